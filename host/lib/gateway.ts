// A gateway, as the tools see it: its HTTP interface with a token, and its errors in words.
import { NodeError, UserError } from "./errors.ts";
import { oneLine } from "./text.ts";

export interface GatewayPlace {
  /** `http://127.0.0.1:8080`. */
  url: string;
  token?: string | undefined;
}

/** The gateway that is meant: the one that was named, that of WASMOTE_GATEWAY, or the one on this computer; its token likewise. */
export function gatewayPlace(given: string | undefined, token?: string): GatewayPlace {
  const text = given ?? (process.env["WASMOTE_GATEWAY"] || "http://127.0.0.1:8080");
  const whole = /^https?:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(whole))
    throw new UserError(
      `${oneLine(text)} is not an address of a gateway`,
      "write: --gateway http://127.0.0.1:8080",
      "usage",
    );
  return { url: new URL(whole).origin, token: token ?? process.env["WASMOTE_TOKEN"] };
}

/** How long a gateway may take, and how many bytes of an answer are read. */
const longest = 120_000;
const mostBytes = 32 * 1024 * 1024;

export interface AskOptions<T> {
  method?: string;
  body?: Uint8Array;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Milliseconds for the whole of it. */
  limit?: number;
  /** What a gateway is called in messages. */
  what?: string;
  /** Whether an answer is one that a gateway gives; without it whoever asks looks by himself. */
  is?: (answer: unknown) => answer is T;
}

/**
 * Asks a gateway; the JSON of its answer. Throws a UserError that says what it said, or why it said nothing; a NodeError with the code
 * `aborted` when the signal fires.
 */
export async function askGateway<T = unknown>(
  { url, token }: GatewayPlace,
  path: string,
  {
    method = "GET",
    body,
    headers: more = {},
    signal,
    limit = longest,
    what = "gateway",
    is,
  }: AskOptions<T> = {},
): Promise<T> {
  const headers: Record<string, string> = {
    ...more,
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const late = AbortSignal.timeout(limit);
  const ends = signal === undefined ? late : AbortSignal.any([late, signal]);
  const given = {
    ...(body === undefined ? {} : { body: Uint8Array.from(body) }),
    signal: ends,
  };
  const failed = (cause: unknown): Error => {
    if (signal?.aborted) return new NodeError("aborted", "given up", { cause: signal.reason });
    if (cause instanceof UserError) return cause;
    const why = late.aborted
      ? `it does not answer in full within ${limit / 1000} s`
      : ((cause as { cause?: Error }).cause?.message ?? (cause as Error).message);
    return new UserError(
      `the ${what} ${url} cannot be reached: ${oneLine(why)}`,
      `start one with \`wasmote gateway\`, or name it: --${what} http://HOST:PORT`,
      "unreachable",
      { cause },
    );
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(url + path, { method, headers, redirect: "error", ...given });
    text = await readText(response, url);
  } catch (cause) {
    throw failed(cause);
  }
  // What is to be gone is gone.
  if (method === "DELETE" && response.status === 404) return undefined as T;
  if (response.ok) {
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      throw notOurs(url, cause);
    }
    if (is?.(answer) === false) throw notOurs(url);
    return answer as T;
  }
  const denied = response.status === 401 || response.status === 403;
  // A gateway of Wasmote gives its reason as JSON; whatever else listens there says it in its own way.
  const reason = reasonOf(text);
  const said =
    oneLine((reason ?? text).trim().slice(0, 500)) ||
    response.statusText ||
    String(response.status);
  throw new UserError(
    `the ${what} refuses: ${said}`,
    advised(said) ??
      (denied
        ? "set WASMOTE_TOKEN to a token with the right role, or name it with --token; where it is lost, `wasmote gateway --new-token` makes another"
        : reason === undefined
          ? `is it a gateway of Wasmote that listens at ${url}?`
          : "its dashboard shows what it has"),
    denied || response.status === 409 ? "refused" : "failed",
  );
}

/** What to do where a verb's own option mends it, by what a gateway says. A gateway gives no advice itself: who knows what it is. */
const advised = (said: string): string | undefined =>
  (
    [
      [
        "key did not sign",
        "run it in the folder of the gateway's project, or name that project's key: --key FILE",
      ],
      ["nothing says where the cloud is", "name it: --cloud http://HOST:PORT"],
      ["nothing feeds the sensor", "say it for each sensor: --feed SENSOR=NODE/sensors/NAME"],
      ["would be fed by what it makes", "name another resource: --feed SENSOR=NODE/sensors/NAME"],
    ] as const
  ).find(([words]) => said.includes(words))?.[1];

/** The names of the nodes that a gateway knows now. */
export async function gatewayNodes(place: GatewayPlace, signal?: AbortSignal): Promise<string[]> {
  const nodes = await askGateway(place, "/api/nodes", {
    ...(signal === undefined ? {} : { signal }),
    is: (answer): answer is { name: string }[] =>
      Array.isArray(answer) &&
      answer.every((one) => typeof (one as { name?: unknown } | null)?.name === "string"),
  });
  return nodes.map(({ name }) => name);
}

/** The message in a gateway's answer to a request that it refuses. */
function reasonOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } };
    return typeof error?.message === "string" ? error.message : undefined;
  } catch {
    return undefined;
  }
}

const notOurs = (url: string, cause?: unknown) =>
  new UserError(
    `${url} is not a Wasmote gateway`,
    "name it: --gateway http://HOST:PORT",
    "failed",
    { cause },
  );

/** The body of an answer, which somebody else than a gateway may never end. */
async function readText(response: Response, url: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > mostBytes) throw notOurs(url);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
