// Small parts of HTTP that every route uses.
import type { IncomingMessage, ServerResponse } from "node:http";

/** A request that is not served; the status says whose fault it is. */
export class Refused extends Error {
  override name = "Refused";
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** Reads a body that may be so long and no longer. */
export async function readBody(request: IncomingMessage, longest: number): Promise<Buffer> {
  const said = Number(request.headers["content-length"] ?? 0);
  const tooLong = () => new Refused(413, `more than ${longest} bytes`, { connection: "close" });
  if (said > longest) throw tooLong();
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > longest) throw tooLong();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Reads a JSON object. */
export async function readJson(
  request: IncomingMessage,
  longest = 65_536,
): Promise<Record<string, unknown>> {
  const body = await readBody(request, longest);
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8") || "{}");
  } catch {
    throw new Refused(400, "the body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refused(400, "the body is not a JSON object");
  return value as Record<string, unknown>;
}

const mostTogether = 16_384;

export function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array = "",
  head = false,
  reason?: string,
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const bodiless = status === 204 || status === 304;
  if (reason !== undefined) response.statusMessage = reason;
  response.writeHead(status, {
    "x-content-type-options": "nosniff",
    ...headers,
    ...(bodiless ? {} : { "content-length": String(bytes.length) }),
  });
  if (bodiless || head) response.end();
  // A short body as text of its bytes: Node.js sends that together with the header in one call, and bytes in two parts.
  else if (bytes.length <= mostTogether)
    response.end(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"),
      "latin1",
    );
  else response.end(bytes);
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  send(
    response,
    status,
    { "content-type": "application/json", "cache-control": "no-store" },
    `${JSON.stringify(value)}\n`,
  );
}
