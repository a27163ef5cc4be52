// The one error of the library: a code to act on, and a message that says what was wrong and what to do.

/** Why something with a node did not work. */
export type NodeErrorCode =
  /** The address cannot be read. */
  | "address"
  /** The link cannot be opened: no such port, busy, not allowed. */
  | "link"
  /** The node does not answer. */
  | "timeout"
  /** The link was closed while something was under way. */
  | "closed"
  /** The node answers with something that is no CoAP, or not what was asked for. */
  | "protocol"
  /** The node answered with an error of its own; `status` has its CoAP code. */
  | "answer"
  /** The node refused a package; `refusal` says why. */
  | "refused"
  /** The signal that was given has fired; `cause` is its reason. */
  | "aborted";

export class NodeError extends Error {
  override name = "NodeError";
  readonly code: NodeErrorCode;
  /** The CoAP code of the answer, as in `4.04`. */
  readonly status: string | undefined;
  /** What the node says of its error (RFC 7252 §5.5.2). */
  readonly diagnostic: string | undefined;
  /** Why a package was refused: a name of the contract, such as `sequence`. */
  readonly refusal: string | undefined;

  constructor(
    code: NodeErrorCode,
    message: string,
    options: ErrorOptions & { status?: string; diagnostic?: string; refusal?: string } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status;
    this.diagnostic = options.diagnostic;
    this.refusal = options.refusal;
  }
}
