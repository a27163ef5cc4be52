// TLS by certificate files: read at the start, and again when they were renewed.
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { UserError } from "../lib/errors.ts";
import type { Config } from "./config.ts";

type Files = NonNullable<Config["tls"]>;

export interface Secrets {
  cert: Buffer;
  key: Buffer;
  minVersion: "TLSv1.2";
}

/** Reads certificate and key; throws a UserError where they are not there or do not belong together. */
export function readSecrets({ certificate, key }: Files): Secrets {
  const read = (file: string) => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new UserError(
        `${file} cannot be read: ${(cause as Error).message}`,
        "name certificate and key in gateway.toml, under [tls]",
        "usage",
        { cause },
      );
    }
  };
  const secrets: Secrets = { cert: read(certificate), key: read(key), minVersion: "TLSv1.2" };
  try {
    createSecureContext(secrets);
  } catch (cause) {
    throw new UserError(
      `${certificate} and ${key} are no certificate with its key: ${(cause as Error).message}`,
      "both are PEM files; the certificate may have those that signed it behind it",
      "usage",
      { cause },
    );
  }
  return secrets;
}

/** When the files were changed last, as one text; undefined while they are being replaced. */
export function stateOf({ certificate, key }: Files): string | undefined {
  const parts = [certificate, key].map((file) => statSync(file, { throwIfNoEntry: false }));
  return parts.includes(undefined)
    ? undefined
    : parts.map((one) => `${one?.mtimeMs} ${one?.size} ${one?.ino}`).join(" ");
}
