// Starts a node on this computer and keeps it until it is interrupted.
import { existsSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { emulate, machines, missing, type Machine } from "../lib/emulate.ts";
import { makeFlash } from "../lib/package.ts";
import { exitCode, print, project, signingKey, untilInterrupted, VerbError } from "./context.ts";
import { join } from "node:path";

export async function emulateVerb(
  machine: string | undefined,
  options: { flash?: string; name?: string; dev?: boolean; json?: boolean },
): Promise<void> {
  const chosen = (machine ?? "native") as Machine;
  if (!machines.includes(chosen))
    throw new VerbError(
      `there is no machine ${chosen}`,
      `there are: ${machines.join(", ")}`,
      exitCode.usage,
    );
  const reason = missing(chosen);
  if (reason !== undefined) throw new VerbError(reason, "npm run build");
  // A new node trusts the project's key, as a board does once it is provisioned.
  const { flash, name } = options;
  if (
    flash !== undefined &&
    !existsSync(flash) &&
    existsSync(join(project().folder, ".wasmote/key.pem"))
  )
    writeFileSync(
      flash,
      makeFlash({ name: name ?? "emulated", keys: [signingKey(undefined).publicKey] }),
    );
  const node = await emulate({
    machine: chosen,
    ...(flash === undefined ? {} : { flash }),
    ...(name === undefined ? {} : { name }),
    ...(options.dev && chosen === "native" ? { arguments: ["--dev"] } : {}),
  });
  print(
    options.json,
    { address: node.address, machine: chosen },
    () => `${node.address}  (samples as lines on standard input: level 1234; Ctrl-C ends it)`,
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
  input.close();
  process.stdin.destroy();
  if (!signal.aborted) throw new VerbError(`the node ended:\n${node.console.slice(-5).join("\n")}`);
}
