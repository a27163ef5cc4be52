// The errors of the library: each has a code to act on, and a message that says what was wrong and what to do.

/** Why something with a node did not work. */
export type NodeErrorCode =
  /** The address cannot be read. */
  | "address"
  /** The link cannot be opened: no such port, busy, not allowed. */
  | "link"
  /** The node does not answer, or not in time. */
  | "timeout"
  /** The link was closed while something was under way. */
  | "closed"
  /** The node answers with something that is not CoAP, or not what was asked for. */
  | "protocol"
  /** The node answered with an error of its own; `status` has its CoAP code. */
  | "answer"
  /** The node refused a package; `refusal` says why. */
  | "refused"
  /** What came was not protected by the keys that are shared with the node, or keys are used up. */
  | "insecure"
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

/** What kind of fault it is that somebody at this computer can mend. */
export type UserErrorKind =
  /** It did not work: a file that is missing, a tool that is not there. */
  | "failed"
  /** A word, a setting or an input that is not as it should be. */
  | "usage"
  /** A source that does not build, or a module or package that is none. */
  | "source"
  /** A check that found something. */
  | "check"
  /** A node that cannot be reached. */
  | "unreachable"
  /** A node, or this program on its behalf, that refuses. */
  | "refused";

/** A fault that is not a node's: what was wrong, and what to do next. */
export class UserError extends Error {
  override name = "UserError";
  readonly kind: UserErrorKind;
  readonly advice: string | undefined;
  constructor(
    message: string,
    advice?: string,
    kind: UserErrorKind = "failed",
    options: ErrorOptions = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.advice = advice;
  }
}
