// Makes the key that packages are signed with.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { keyId } from "../lib/package.ts";
import { print, stateFile, VerbError, writeNewKey } from "./context.ts";
import { hex } from "./program.ts";

export async function keygenVerb(
  file: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  const path = file === undefined ? stateFile("key.pem") : resolve(file);
  if (existsSync(path))
    throw new VerbError(
      `${path} is already there`,
      "a key that nodes trust is not to be lost: move it away first",
    );
  const { publicKey } = writeNewKey(path);
  const facts = { file: path, public: hex(publicKey), id: hex(keyId(publicKey)) };
  print(options.json, facts, () => `${path}\npublic key ${facts.public}\nkey id ${facts.id}`);
}
