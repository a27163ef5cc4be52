// `get`, `put`, `post` and `delete`: any resource by its path, with a query where it takes one.
import type { Method } from "../lib/coap/endpoint.ts";
import { UserError } from "../lib/errors.ts";
import { oneLine } from "../lib/text.ts";
import { print, withNode, type NodeOptions } from "./context.ts";

/** A path as it is written in a URI: segments and queries may be escaped (RFC 7252 §6.4). */
function resource(given: string): { path: string; query: string[] } {
  const [path = "", ...rest] = given.replace(/^\//, "").split("?");
  const query = rest.join("?").split("&").filter(Boolean);
  try {
    return { path: decodeURI(path), query: query.map(decodeURIComponent) };
  } catch (cause) {
    throw new UserError(
      `${oneLine(given)} is not a path: a % is followed by two hexadecimal digits`,
      "write: app/x/count?since=5",
      "usage",
      { cause },
    );
  }
}

export async function getVerb(given: string, options: NodeOptions): Promise<void> {
  const { path, query } = resource(given);
  await withNode(options, async (node) => {
    const value = await node.read(path, { query });
    const text = () =>
      typeof value === "string" ? value.trimEnd() : JSON.stringify(value, undefined, 2);
    print(options.json, { path, value: typeof value === "string" ? text() : value }, text);
  });
}

/** A request that sends something, and shows what comes back. */
async function send(
  method: Method,
  given: string,
  value: string | undefined,
  options: NodeOptions,
): Promise<void> {
  const { path, query } = resource(given);
  const body = value === undefined ? {} : { payload: Buffer.from(value), format: "text" as const };
  await withNode(options, async (node) => {
    const { status, payload } = await node.request(method, path, { query, ...body });
    const answer = payload.toString("utf8").trimEnd();
    const sent = value === undefined ? {} : { value };
    if (options.json) print(true, { path, ...sent, status, answer }, () => "");
    else if (answer !== "") print(false, undefined, () => answer);
  });
}

export const putVerb = (path: string, value: string, options: NodeOptions) =>
  send("PUT", path, value, options);

export const postVerb = (path: string, value: string | undefined, options: NodeOptions) =>
  send("POST", path, value, options);

export const deleteVerb = (path: string, options: NodeOptions) =>
  send("DELETE", path, undefined, options);
