// The dashboard's files, as esbuild made them: read once, sent compressed where that is understood, and kept by browsers by their ETag.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packageRoot } from "../lib/root.ts";
import { send } from "./http.ts";

const files: Record<string, { file: string; type: string }> = {
  "/": { file: "index.html", type: "text/html;charset=utf-8" },
  "/main.js": { file: "main.js", type: "text/javascript;charset=utf-8" },
  "/try.js": { file: "try.js", type: "text/javascript;charset=utf-8" },
  "/main.css": { file: "main.css", type: "text/css;charset=utf-8" },
};

interface Kept {
  plain: Buffer;
  packed: Buffer;
  etag: string;
}

const kept = new Map<string, Kept>();

/** Where the dashboard was built to. */
export const dashboardFolder = join(packageRoot, "dist/dashboard");

function read(file: string): Kept | undefined {
  const known = kept.get(file);
  if (known !== undefined) return known;
  const path = join(dashboardFolder, file);
  if (!existsSync(path)) return undefined;
  const plain = readFileSync(path);
  const etag = `"${createHash("sha256").update(plain).digest("hex").slice(0, 16)}"`;
  const one = { plain, packed: gzipSync(plain, { level: 9 }), etag };
  kept.set(file, one);
  return one;
}

/** Sends a file of the dashboard; false if there is none with this name. */
export function page(
  pathname: string,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const known = Object.hasOwn(files, pathname) ? files[pathname] : undefined;
  const found = known && read(known.file);
  if (known === undefined || found === undefined) return false;
  const zip = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  const headers = {
    "content-type": known.type,
    "cache-control": "no-cache",
    vary: "accept-encoding",
    etag: found.etag,
    // Only our own scripts run, nobody frames the page, nothing is sent elsewhere.
    "content-security-policy":
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "referrer-policy": "no-referrer",
    ...(zip ? { "content-encoding": "gzip" } : {}),
  };
  if (request.headers["if-none-match"] === found.etag) send(response, 304, headers);
  else send(response, 200, headers, zip ? found.packed : found.plain, request.method === "HEAD");
  return true;
}
