// Looks for what is missing here or wrong with a node, and says what mends it.
import { spawnSync } from "node:child_process";
import { machines, missing } from "../lib/emulate.ts";
import { engineNames, missingEngine } from "../lib/engine.ts";
import { chosenNode, paint, print, project, withNode, type NodeOptions } from "./context.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { packageRoot } from "../lib/root.ts";
import { oneLine } from "../lib/text.ts";
import type { Node } from "../lib/node.ts";
import { describeEvent } from "./info.ts";
import { listKeys } from "./keys-listed.ts";

interface Finding {
  what: string;
  ok: boolean;
  /** Whether wasmote cannot do without it. */
  needed: boolean;
  /** The command that mends it. */
  mend?: string;
}

export async function doctorVerb(options: NodeOptions): Promise<void> {
  const findings: Finding[] = [];
  const find = (what: string, ok: boolean, mend: string, needed = false) =>
    findings.push({ what, ok, needed, ...(ok ? {} : { mend }) });
  // In a folder of nobody's: what lies in this one (rust-toolchain.toml) may say which program runs under a name.
  const program = (name: string, mend: string) => {
    const ran = spawnSync(name, ["--version"], { stdio: "ignore", cwd: packageRoot });
    find(name, ran.status === 0, mend);
  };
  find(
    "Node.js 20 or newer",
    Number(process.versions.node.split(".")[0]) >= 20,
    "nvm install 20",
    true,
  );
  for (const engine of engineNames)
    find(
      `engine ${engine}`,
      missingEngine(engine) === undefined,
      engine === "wasm3" ? "apt-get install libclang-dev && npm run build" : "npm run build",
      engine === "wasmote",
    );
  for (const machine of machines)
    find(
      `emulated: ${machine}`,
      missing(machine) === undefined,
      machine === "renode" ? "install Renode: https://renode.io" : "npm run build",
      machine === "native",
    );
  program("probe-rs", "cargo install probe-rs-tools --locked");
  program("cargo", "curl https://sh.rustup.rs -sSf | sh");
  find("a key for packages", keyIsThere(), "wasmote keygen");
  const node = options.node?.[0] ?? chosenNode();
  if (node !== undefined) {
    try {
      await withNode({ ...options, node: [node] }, async (one) => {
        const [info, app] = [await one.info(), await one.app()];
        find(`${node} answers`, true, "");
        find(
          `${node} trusts a key`,
          (info.keys ?? 0) > 0 || info.development === true,
          "wasmote provision --flash",
        );
        find(
          `${node} takes signed packages only`,
          info.development !== true,
          "wasmote provision --flash",
        );
        find(
          `${node} answers only those who have a context${info.security === "secured" ? "" : ` (it is ${info.security ?? "without security"})`}`,
          info.security === "secured",
          "wasmote provision --name NAME --flash",
        );
        if (info.readout !== undefined)
          find(
            `${node}: its secrets cannot be read out through its debug port`,
            !info.readout,
            "STM32_Programmer_CLI -c port=SWD -ob RDP=0xBB (going back erases the chip)",
          );
        if (info.security === "secured") await contexts(node, one, find);
        const happened = describeEvent(app);
        const trouble = happened === undefined ? "" : `\n  ${happened.replaceAll("\n", "\n  ")}`;
        find(
          `${node}: the last package did not fail${trouble}`,
          happened === undefined,
          "wasmote push",
          // What a person took back did not fail.
          app.event?.what !== undefined && app.event.what !== "rollback",
        );
      });
    } catch (error) {
      if (error instanceof NodeError && error.code === "aborted") throw error;
      const insecure = error instanceof NodeError && error.code === "insecure";
      const mend = insecure ? "wasmote keys exchange" : "wasmote scan";
      find(`${node} answers (${oneLine((error as Error).message)})`, false, mend, true);
    }
  }
  print(options.json, findings, () =>
    findings
      .map(({ what, ok, needed, mend }) => {
        const word = ok ? "ok     " : needed ? "failed " : "without";
        const colour = ok ? "green" : needed ? "red" : "yellow";
        return `${paint(colour, word)}  ${what}${mend ? `\n         mend it with: ${mend}` : ""}`;
      })
      .join("\n"),
  );
  // What only some users need (boards, a probe) is reported, and is not an error.
  const bad = findings.filter(({ ok, needed }) => needed && !ok);
  if (bad.length > 0)
    throw new UserError(bad.map(({ what }) => what).join(", "), bad[0]?.mend, "check");
}

/** Contexts that should be replaced, as far as this computer may see them. */
async function contexts(
  name: string,
  node: Node,
  find: (what: string, ok: boolean, mend: string) => void,
): Promise<void> {
  const all = await listKeys(node).catch(() => undefined);
  if (all === undefined) return;
  const worn = all.filter((one) => one.worn).map(({ place }) => place);
  find(
    `${name}: no context is worn${worn.length > 0 ? ` (place ${worn.join(", ")})` : ""}`,
    worn.length === 0,
    "wasmote keys rotate",
  );
}

/** State that came from elsewhere is not used: its key is none. */
function keyIsThere(): boolean {
  try {
    return project().state.read("key.pem") !== undefined;
  } catch {
    return false;
  }
}
