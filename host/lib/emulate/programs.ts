// Where the programs of the machines lie: what the set-up built into dist/, and what is on the PATH.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Machine } from "./machine.ts";
import { packageRoot } from "../root.ts";

/** The native node, and the images for the chip. */
export const programs: Record<Machine, string> = {
  native: join(packageRoot, "dist/wasmote-native"),
  "qemu-stm32": join(packageRoot, "dist/stm32f407-qemu.elf"),
  "qemu-mps2": join(packageRoot, "dist/mps2-an386.elf"),
  renode: join(packageRoot, "dist/stm32f407-discovery.elf"),
};

/** A program, where it lies; one with a path lies there. */
export function onPath(program: string): string | undefined {
  if (program.includes("/")) return existsSync(program) ? program : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** QEMU for ARM, where it lies. */
export function qemu(): string | undefined {
  return onPath("qemu-system-arm");
}

/** Why a machine is not available here, or undefined: a test skips with this reason, a verb prints it. */
export function missing(machine: Machine): string | undefined {
  const file = programs[machine];
  if (!existsSync(file)) return `${file} has not been built: npm run build`;
  if (machine === "renode")
    return onPath("renode") ? undefined : "renode is not on the PATH: see renode/README.md";
  if (machine !== "native" && !qemu())
    return "there is no qemu-system-arm: npm run build installs it on Debian";
  return undefined;
}
