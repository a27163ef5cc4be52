// Looks for what is missing here or wrong with a node, and says what mends it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { missingEngine } from "../lib/engine.ts";
import { machines, missing } from "../lib/emulate.ts";
import { exitCode, print, project, readState, VerbError, withNode } from "./context.ts";
import { join } from "node:path";

interface Finding {
  what: string;
  ok: boolean;
  /** The command that mends it. */
  mend?: string;
}

export async function doctorVerb(options: { node?: string; json?: boolean }): Promise<void> {
  const findings: Finding[] = [];
  const find = (what: string, ok: boolean, mend: string) =>
    findings.push({ what, ok, ...(ok ? {} : { mend }) });
  const program = (name: string, words: string[], mend: string) =>
    find(name, !spawnSync(name, words, { stdio: "ignore" }).error, mend);
  find(
    "Node.js 20 or newer",
    Number(process.versions.node.split(".")[0]) >= 20,
    "install Node.js 20",
  );
  find("the node's engine", missingEngine("wasmote") === undefined, "npm run build");
  for (const machine of machines)
    find(`emulated: ${machine}`, missing(machine) === undefined, "npm run build");
  program("probe-rs", ["--version"], "cargo install probe-rs-tools --locked");
  program("cargo", ["--version"], "install Rust from https://rustup.rs");
  find(
    "a key for packages",
    existsSync(join(project().folder, ".wasmote/key.pem")),
    "wasmote keygen",
  );
  const node = options.node ?? readState("node");
  if (node !== undefined) {
    await withNode(node, async (one) => {
      const [info, app] = [await one.info(), await one.app()];
      find(`${node} answers`, true, "");
      find(
        "it has a key",
        Number(info["keys"] ?? 0) > 0 || info["development"] === true,
        "wasmote provision --flash",
      );
      find("its package did not trap", app.event === undefined, "wasmote info shows where");
    });
  }
  const bad = findings.filter(({ ok }) => !ok);
  print(options.json, findings, () =>
    findings
      .map(
        ({ what, ok, mend }) => `${ok ? "ok     " : "missing"}  ${what}${mend ? `: ${mend}` : ""}`,
      )
      .join("\n"),
  );
  // What only some need (boards, a probe) is said and is no fault.
  const needed = bad.filter(({ what }) => /Node.js|engine|native|answers/.test(what));
  if (needed.length > 0)
    throw new VerbError(needed.map(({ what }) => what).join(", "), needed[0]?.mend, exitCode.check);
}
