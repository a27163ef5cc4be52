// Makes the key that packages are signed with, or takes one over.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import { hex } from "../lib/kept.ts";
import { generateKey, keyId, readKey, writeKey, type KeyPair } from "../lib/package.ts";
import { keepKey } from "../lib/project.ts";
import { writeWhole } from "../lib/state.ts";
import { print, project } from "./context.ts";

export async function keygenVerb(
  file: string | undefined,
  options: { import?: string; json?: boolean },
): Promise<void> {
  const path = file === undefined ? join(project().state.folder, "key.pem") : resolve(file);
  const { state } = project();
  if (file === undefined ? state.read("key.pem") !== undefined : existsSync(path))
    throw new UserError(
      `${path} is already there`,
      "a key that nodes trust is not to be lost: move it away first",
    );
  const key = options.import === undefined ? generateKey() : importKey(resolve(options.import));
  if (file === undefined) keepKey(project(), key);
  else writeWhole(path, writeKey(key), 0o600);
  const facts = { file: path, public: hex(key.publicKey), id: hex(keyId(key.publicKey)) };
  print(options.json, facts, () => `${path}\npublic key ${facts.public}\nkey id ${facts.id}`);
}

function importKey(path: string): KeyPair {
  if (!existsSync(path)) throw new UserError(`there is no key ${path}`, "check the name");
  try {
    return readKey(readWhole(path).toString("utf8"));
  } catch (error) {
    throw new UserError(
      `${path} is not a key for packages: ${(error as Error).message}`,
      "a key is a file that `wasmote keygen` made",
      "usage",
      { cause: error },
    );
  }
}
