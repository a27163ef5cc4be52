// Starts a node on this computer and keeps it until it is interrupted. One with a name can be used by that name, and keeps its
// flash from one time to the next.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { emulate, machines, missing, type Machine } from "../lib/emulate.ts";
import { makeFlash } from "../lib/package.ts";
import {
  emulatedFile,
  emulatedNode,
  exitCode,
  print,
  project,
  signingKey,
  stateFile,
  untilInterrupted,
  VerbError,
  waiting,
} from "./context.ts";
import { join } from "node:path";

export async function emulateVerb(
  machine: string | undefined,
  options: {
    flash?: string;
    name?: string;
    link?: "udp" | "serial";
    dev?: boolean;
    json?: boolean;
  },
): Promise<void> {
  const chosen = (machine ?? "native") as Machine;
  if (!machines.includes(chosen))
    throw new VerbError(
      `there is no machine ${chosen}`,
      `there are: ${machines.join(", ")}`,
      exitCode.usage,
    );
  const reason = missing(chosen);
  if (reason !== undefined) {
    const [what = reason, advice = "npm run build"] = reason.split(/: (?=npm )/);
    throw new VerbError(what, advice);
  }
  const { name, link } = options;
  if (name !== undefined && !/^[\w.-]{1,32}$/.test(name))
    throw new VerbError(`${name} is no name for a node`, "take letters and digits", exitCode.usage);
  const running = name === undefined ? undefined : emulatedNode(name);
  if (running !== undefined)
    throw new VerbError(`${name} runs already, at ${running}`, `--node ${name} reaches it`);
  // A new node trusts the project's key, as a board does once it is provisioned.
  const flash =
    options.flash ?? (name === undefined ? undefined : stateFile("emulated", `${name}.flash`));
  const key = existsSync(join(project().folder, ".wasmote/key.pem"))
    ? [signingKey(undefined).publicKey]
    : [];
  if (flash !== undefined && !existsSync(flash) && (key.length > 0 || chosen !== "native"))
    writeFileSync(
      flash,
      makeFlash({ name: name ?? "emulated", keys: key, development: options.dev ?? false }),
    );
  const node = await waiting(
    `starting ${chosen}`,
    emulate({
      machine: chosen,
      ...(flash === undefined ? {} : { flash }),
      ...(name === undefined ? {} : { name }),
      ...(link === undefined ? {} : { link }),
      ...(options.dev && chosen === "native" ? { arguments: ["--dev"] } : {}),
    }),
  );
  if (name !== undefined) writeFileSync(emulatedFile(name), `${node.address}\n${process.pid}\n`);
  print(
    options.json,
    { address: node.address, machine: chosen, ...(name === undefined ? {} : { name }) },
    () =>
      `${name ?? node.address}${name === undefined ? "" : ` at ${node.address}`}  (samples as lines on standard input: level 1234; Ctrl-C ends it)`,
  );
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => {
    const [sensor = "", value = ""] = line.trim().split(/\s+/);
    try {
      if (sensor !== "") node.feed(sensor, Number(value));
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  });
  const signal = untilInterrupted();
  signal.addEventListener("abort", () => void node.stop());
  await node.ended;
  if (name !== undefined) rmSync(emulatedFile(name), { force: true });
  input.close();
  process.stdin.destroy();
  if (!signal.aborted) throw new VerbError(`the node ended:\n${node.console.slice(-5).join("\n")}`);
}
