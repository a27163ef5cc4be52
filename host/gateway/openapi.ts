// The description of the HTTP interface (OpenAPI 3.1), made of the table of routes, and a page to try it.
import type { ServerResponse } from "node:http";
import type { Route } from "./route.ts";
import { send } from "./http.ts";

export function openapi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, role, summary, query = {}, type = "application/json" } of routes) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    const inQuery = Object.entries(query).map(([name, description]) => ({
      name,
      in: "query",
      description,
      schema: { type: "string" },
    }));
    (paths[path] ??= {})[method.toLowerCase()] = {
      summary: role === undefined ? summary : `${summary} (role ${role})`,
      parameters: [...inPath, ...inQuery],
      security: role === undefined ? [] : [{ token: [] }],
      ...(method === "POST" || (method === "PUT" && !path.endsWith("/app"))
        ? { requestBody: { content: { "application/json": { schema: { type: "object" } } } } }
        : {}),
      responses: {
        "200": { description: "done", content: { [type]: {} } },
        default: { description: "what was wrong", content: { "application/json": {} } },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Wasmote gateway",
      version: "1",
      description:
        "Nodes under /nodes/NAME/PATH besides: each CoAP resource of a node by HTTP (RFC 8075).",
    },
    components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    paths,
  };
}

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** One form a route; the script is a file of its own, since pages of ours run no script that stands in them. */
export function tryPage(response: ServerResponse, routes: readonly Route[]): void {
  const forms = routes.map(({ method, path, role, summary, query = {} }, index) => {
    const names = [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name),
      ...Object.keys(query),
    ];
    const fields = names
      .map((name) => `<label>${escape(name)} <input name="${escape(name)}"></label>`)
      .join(" ");
    const body =
      method === "POST" || method === "PUT"
        ? '<label>body <input name="$body" size="40"></label>'
        : "";
    return `<li><form data-method="${method}" data-path="${escape(path)}"><h2><code>${method} ${escape(path)}</code></h2><p>${escape(summary)}${role ? ` <small>role ${role}</small>` : ""}</p>${fields} ${body} <button aria-describedby="o${index}">Try</button><pre id="o${index}" role="status"></pre></form></li>`;
  });
  send(
    response,
    200,
    { "content-type": "text/html;charset=utf-8", "content-security-policy": "default-src 'self'" },
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Wasmote gateway: interface</title><link rel="stylesheet" href="/main.css"><main class="try"><h1>Interface</h1><p><a href="/openapi.json">openapi.json</a>, <a href="/">dashboard</a></p><ul>${forms.join("")}</ul></main><script type="module" src="/try.js"></script></html>`,
  );
}
