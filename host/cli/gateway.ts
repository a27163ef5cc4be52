// Starts the gateway and keeps it until it is interrupted.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { defaults, readConfig } from "../gateway/config.ts";
import { Gateway } from "../gateway/gateway.ts";
import { UserError } from "../lib/errors.ts";
import { emulatedNodes } from "../lib/project.ts";
import { print, project, say, waiting } from "./context.ts";
import { untilInterrupted } from "./interruption.ts";
import { temporaryFolder } from "../lib/temporary.ts";

interface Options {
  listen?: string;
  data?: string;
  config?: string;
  directory?: string;
  discover?: boolean;
  demo?: boolean;
  newToken?: boolean;
  json?: boolean;
}

export async function gatewayVerb(options: Options): Promise<void> {
  // Values live for seconds: left to itself, V8 lets hundreds of megabytes of them pile up before it looks for what is gone.
  setFlagsFromString("--heap-growing-percent=40");
  const signal = untilInterrupted();
  const file = resolve(project().folder, options.config ?? "gateway.toml");
  if (options.config !== undefined && !existsSync(file))
    throw new UserError(`there is no file ${file}`, "check the name: docs/gateway.md shows one");
  const config = { ...readConfig(file) };
  if (options.listen !== undefined)
    config.listen = place(options.listen, "--listen 127.0.0.1:8080");
  if (options.directory !== undefined)
    config.directory = place(options.directory, "--directory 0.0.0.0:5683");
  if (options.discover) config.discover = true;
  using passing =
    options.demo && options.data === undefined ? temporaryFolder("gateway") : undefined;
  const folder = passing?.path ?? resolve(project().folder, options.data ?? "gateway-data");
  const nodes = Object.fromEntries(
    emulatedNodes(project()).map(({ name, address }) => [name, address]),
  );
  const starting = Gateway.start({ folder, config, project: project(), nodes, say });
  const gateway = await waiting("starting the gateway", starting).catch((cause: unknown) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" && code !== "EACCES") throw cause;
    throw new UserError(message, "choose another address: --listen 127.0.0.1:8081", "failed", {
      cause,
    });
  });
  try {
    const { first } = gateway.access;
    const token = first ?? (options.newToken ? gateway.access.another() : undefined);
    const { url } = gateway;
    const local = first === undefined ? "" : ". Until the next start, this computer needs none";
    print(options.json, { url, folder, ...(token === undefined ? {} : { token }) }, () =>
      token === undefined
        ? `${url}  (data in ${folder}; Ctrl-C ends it)\n  whoever has lost its token: --new-token makes another`
        : `${url}/#token=${token}\n  this token is shown once: keep it${local} (data in ${folder}; Ctrl-C ends it)`,
    );
    const demo = options.demo
      ? await waiting(
          "starting three nodes",
          import("../gateway/demo.ts").then(({ startDemo }) => startDemo(gateway, folder, signal)),
        ).catch((error: unknown) => {
          // Ctrl-C goes to the nodes as well: whatever fails from there on is no fault.
          if (signal.aborted) return undefined;
          throw error;
        })
      : undefined;
    if (demo !== undefined)
      say("three nodes run the flood alarm; a day of a winter passes each half second");
    await new Promise<void>((done) => {
      signal.addEventListener("abort", () => done());
      if (signal.aborted) done();
    });
    await demo?.stop();
  } finally {
    await gateway.stop();
  }
}

function place(text: string, example: string): typeof defaults.listen {
  const parts = /^(?:(\[[0-9a-fA-F:]+\]|[\w.-]+):)?(\d{1,5})$/.exec(text);
  const port = Number(parts?.[2]);
  if (parts === null || port > 65535)
    throw new UserError(`${text} is not an address`, `write: ${example}`, "usage");
  return { host: (parts[1] ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1"), port };
}
