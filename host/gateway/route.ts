// A route of the HTTP interface: what it is called with, who may, and that what was done is written down.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal, Role } from "./access.ts";
import type { Core } from "./core.ts";

export interface Context {
  gateway: Core;
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  /** The parts of the path in braces. */
  parts: Record<string, string>;
  principal: Principal;
}

export interface Route {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  /** Undefined is for everybody. */
  role: Role | undefined;
  summary: string;
  /** Arguments of the query, with what they mean. */
  query?: Record<string, string>;
  /** What the answer is, where it is not JSON. */
  type?: string;
  handle: (context: Context) => void | Promise<void>;
}

/** Bytes that a package may have. */
export const longestPackage = 1 << 20;

/** Everything somebody did, with how it ended. */
export async function audited<T>(
  { gateway, principal }: Context,
  what: string,
  target: string,
  work: () => Promise<T>,
): Promise<T> {
  const write = (result: string) => gateway.audit({ who: principal.name, what, target, result });
  try {
    const result = await work();
    write("done");
    return result;
  } catch (error) {
    write((error as Error).message.slice(0, 500));
    throw error;
  }
}
