// Writes firmware to a board.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../lib/errors.ts";
import { packageRoot } from "../lib/root.ts";
import { print } from "./context.ts";
import { download } from "./probe.ts";

export async function flashVerb(
  image: string | undefined,
  { chip, json }: { chip: string; json?: boolean },
): Promise<void> {
  const file = image ?? join(packageRoot, "dist/stm32f407-discovery.elf");
  if (!existsSync(file)) throw new UserError(`there is no image ${file}`, "npm run build");
  download(file, { chip, json });
  print(json, { image: file, chip }, () => `${file} runs on the board`);
}
