// Writes firmware to a board.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { print, VerbError } from "./context.ts";
import { probe } from "./probe.ts";

export async function flashVerb(
  image: string | undefined,
  { chip, json }: { chip: string; json?: boolean },
): Promise<void> {
  const root = import.meta.url.includes("/host/cli/") ? "../../dist/" : "./";
  const file = image ?? fileURLToPath(new URL(`${root}stm32f407-discovery.elf`, import.meta.url));
  if (!existsSync(file)) throw new VerbError(`there is no image ${file}`, "npm run build");
  probe(["download", "--chip", chip, "--verify", file], json);
  probe(["reset", "--chip", chip], json);
  print(json, { image: file, chip }, () => `${file} runs on the board`);
}
