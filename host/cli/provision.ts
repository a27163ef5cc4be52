// Makes the record that gives a board its name and the keys it trusts.
import { writeFileSync } from "node:fs";
import { encodeProvision, provisionOffset } from "../lib/package.ts";
import { exitCode, print, signingKey, stateFile, VerbError } from "./context.ts";
import { probe } from "./probe.ts";

/** Where flash lies in the address space of the STM32F407. */
const flashStart = 0x0800_0000;

export async function provisionVerb(
  output: string | undefined,
  options: {
    name: string;
    vendor: string;
    public?: string[];
    dev?: boolean;
    flash?: boolean;
    chip: string;
    json?: boolean;
  },
): Promise<void> {
  const keys = options.public?.map((text) => {
    if (!/^[0-9a-f]{64}$/i.test(text))
      throw new VerbError(
        `${text} is no public key`,
        "32 bytes in hexadecimal, as `wasmote keygen` prints them",
        exitCode.usage,
      );
    return Buffer.from(text, "hex");
  }) ?? [signingKey(undefined).publicKey];
  const record = encodeProvision({
    name: options.name,
    vendor: options.vendor,
    keys,
    development: options.dev ?? false,
  });
  const file = output ?? stateFile("provision.bin");
  writeFileSync(file, record);
  const place = `0x${(flashStart + provisionOffset).toString(16)}`;
  const { chip, json } = options;
  print(
    json,
    { file, bytes: record.length, address: place },
    () => `${file}: ${record.length} bytes, for ${place}`,
  );
  if (!options.flash) return;
  const words = ["--chip", chip, "--binary-format", "bin", "--base-address", place];
  probe(["download", ...words, file], json);
  probe(["reset", "--chip", chip], json);
}
