// What a service broker answers where it does not do what it is asked (Open Service Broker v2.17, "Service Broker Errors").

/** The words that the specification gives a meaning. */
export type ErrorCode =
  | "AsyncRequired"
  | "ConcurrencyError"
  | "RequiresApp"
  | "MaintenanceInfoConflict";

export class BrokerError extends Error {
  override name = "BrokerError";
  readonly status: number;
  readonly code: ErrorCode | undefined;
  /** Only of updates: whether it makes sense to ask for the same once more. */
  readonly repeatable: boolean | undefined;

  constructor(status: number, description: string, code?: ErrorCode, repeatable?: boolean) {
    super(description);
    this.status = status;
    this.code = code;
    this.repeatable = repeatable;
  }

  get body(): object {
    return {
      ...(this.code === undefined ? {} : { error: this.code }),
      description: this.message,
      ...(this.repeatable === undefined ? {} : { update_repeatable: this.repeatable }),
    };
  }
}

export const asyncRequired = () =>
  new BrokerError(422, "this plan works asynchronously: accepts_incomplete=true", "AsyncRequired");

export const concurrent = (what: string) =>
  new BrokerError(422, `another operation of this ${what} is in progress`, "ConcurrencyError");
