// Says what in dist/ is older than its sources, before the tests run it: such a test fails for a reason that its message does not show.
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";

const crates = ["engine", "compiler", "coap", "oscore", "node"].map(
  (crate) => `firmware/${crate}/src`,
);
/** Folders whose files each piece of dist/ is made of. */
const sources: Record<string, string[]> = {
  "wasmote-native": [...crates, "boards/native/src"],
  "engine.node": ["firmware/engine/src", "firmware/compiler/src", "host/engine-node/src"],
  "stm32f407-qemu.elf": [...crates, "boards/cortex-m/src", "boards/stm32f407-discovery/src"],
  "mps2-an386.elf": [...crates, "firmware/net/src", "boards/cortex-m/src", "boards/mps2-an386/src"],
  "wasmote.js": ["host/cli", "host/lib", "host/gateway", "host/model", "host/flood"],
};

export function setup(): void {
  const stale = Object.entries(sources).flatMap(([piece, folders]) => {
    const path = join(root, "dist", piece);
    if (!existsSync(path)) return [];
    const made = statSync(path).mtimeMs;
    const newer = tracked(folders).find((file) => statSync(join(root, file)).mtimeMs > made);
    return newer === undefined ? [] : [`dist/${piece} is older than ${newer}`];
  });
  if (stale.length > 0)
    process.stderr.write(`note: ${stale.join("; ")}: \`npm run build\` makes it anew\n`);
}

function tracked(folders: string[]): string[] {
  const words = ["ls-files", "-z", "--", ...folders];
  const listed = execFileSync("git", words, { cwd: root, encoding: "utf8" });
  return listed.split("\0").filter((file) => file !== "" && existsSync(join(root, file)));
}
