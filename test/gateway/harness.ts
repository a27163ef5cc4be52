// What the gateway's tests share: a gateway in a folder of its own, its requests, its stream.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { Gateway, type GatewayOptions } from "../../host/gateway/gateway.ts";
import type { Config } from "../../host/gateway/config.ts";
import { openProject } from "../../host/lib/project.ts";

export interface Running extends AsyncDisposable {
  gateway: Gateway;
  folder: string;
  url: string;
  token: string;
  ask(path: string, init?: RequestInit): Promise<Response>;
  json<T>(path: string, init?: RequestInit): Promise<T>;
}

/** Starts a gateway on a free port; its folder goes with it. */
export async function startGateway(
  config: Partial<Config> = {},
  options: Partial<GatewayOptions> = {},
): Promise<Running> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "wasmote-gateway-test-"));
  const gateway = await Gateway.start({
    project: openProject(folder),
    period: 2_000,
    patience: 4_000,
    ...options,
    folder,
    config: { listen: { host: "127.0.0.1", port: 0 }, ...config },
  });
  const token = gateway.access.first ?? "";
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(gateway.url + path, {
      redirect: "manual",
      ...init,
      headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) },
    });
  return {
    gateway,
    folder,
    url: gateway.url,
    token,
    ask,
    json: async <T>(path: string, init?: RequestInit) =>
      (await ask(path, init)).json() as Promise<T>,
    [Symbol.asyncDispose]: async () => {
      await gateway.stop();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until something holds, looking after every envelope and every 20 ms; the test's own time limit ends it. */
export async function until<T>(
  look: () => T | Promise<T>,
): Promise<NonNullable<Exclude<T, false | 0>>> {
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<Exclude<T, false | 0>>;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Envelopes of a stream of Server-Sent Events, and its other events by name. */
export async function* events(
  response: Response,
): AsyncGenerator<{ event: string; id: number; data: Envelope & { reason?: string } }> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of response.body! as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(part, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data !== undefined)
        yield {
          event: field("event") ?? "message",
          id: Number(field("id")),
          data: JSON.parse(data) as Envelope,
        };
    }
  }
}
