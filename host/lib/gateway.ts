// A gateway, as the tools see it: its HTTP interface with a token, and its errors in words.
import { UserError } from "./errors.ts";
import { oneLine } from "./text.ts";

export interface GatewayPlace {
  /** `http://127.0.0.1:8080`. */
  url: string;
  token?: string | undefined;
}

/** The gateway that is meant: the one that was named, that of WASMOTE_GATEWAY, or the one on this computer. */
export function gatewayPlace(given: string | undefined): GatewayPlace {
  const text = given ?? (process.env["WASMOTE_GATEWAY"] || "http://127.0.0.1:8080");
  const whole = /^https?:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(whole))
    throw new UserError(
      `${oneLine(text)} is no address of a gateway`,
      "write: --gateway http://127.0.0.1:8080",
      "usage",
    );
  return { url: new URL(whole).origin, token: process.env["WASMOTE_TOKEN"] };
}

/** Asks a gateway; the JSON of its answer, or a UserError that says what it said. */
export async function askGateway<T>(
  { url, token }: GatewayPlace,
  path: string,
  {
    method = "GET",
    body,
    signal,
  }: { method?: string; body?: Uint8Array; signal?: AbortSignal } = {},
): Promise<T> {
  const headers: Record<string, string> =
    token === undefined ? {} : { authorization: `Bearer ${token}` };
  const given = {
    ...(body === undefined ? {} : { body: Uint8Array.from(body) }),
    ...(signal ? { signal } : {}),
  };
  const response = await fetch(url + path, { method, headers, redirect: "error", ...given }).catch(
    (cause: unknown) => {
      const why = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
      throw new UserError(
        `the gateway ${url} cannot be reached: ${oneLine(why)}`,
        "start one with `wasmote gateway`, or name it: --gateway http://HOST:PORT",
        "unreachable",
        { cause },
      );
    },
  );
  const text = await response.text();
  if (response.ok) {
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new UserError(`${url} is no gateway of Wasmote`, undefined, "failed", { cause });
    }
  }
  const denied = response.status === 401 || response.status === 403;
  throw new UserError(
    `the gateway refuses: ${oneLine(text.slice(0, 500)) || response.statusText}`,
    denied ? "set WASMOTE_TOKEN to a token with the right role" : undefined,
    denied || response.status === 409 ? "refused" : "failed",
  );
}
