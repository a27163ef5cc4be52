// Makes the record that gives a board its name and the keys it trusts.
import { writeFileSync } from "node:fs";
import { encodeProvision, provisionOffset } from "../lib/package.ts";
import { UserError } from "../lib/errors.ts";
import { nameFault, textFault } from "../lib/names.ts";
import { signingKey } from "../lib/project.ts";
import { print, project } from "./context.ts";
import { download } from "./probe.ts";

/** Where flash lies in the address space of the STM32F407. */
const flashStart = 0x0800_0000;

export async function provisionVerb(
  output: string | undefined,
  options: {
    name: string;
    vendor: string;
    public?: string[];
    dev?: boolean;
    height?: string;
    flash?: boolean;
    chip: string;
    json?: boolean;
  },
): Promise<void> {
  // What the firmware would discard is not written to a board.
  const fault = nameFault(options.name) ?? textFault(options.vendor);
  if (fault !== undefined) throw new UserError(fault, "write: --name wye", "usage");
  const height = options.height === undefined ? undefined : Number(options.height);
  // Millimetres up to a hundred metres: what a ranger could ever measure.
  if (height !== undefined && !(Number.isInteger(height) && height > 0 && height <= 100_000))
    throw new UserError(
      `${options.height} is no height: whole millimetres from 1 to 100000`,
      "write: --height 4200",
      "usage",
    );
  const most = 4;
  if ((options.public?.length ?? 0) > most)
    throw new UserError(
      `${options.public?.length} keys are too many: a board is provisioned with ${most} at most`,
      "leave some out; a package may add keys later",
      "usage",
    );
  const keys = options.public?.map((text) => {
    if (!/^[0-9a-f]{64}$/i.test(text))
      throw new UserError(
        `${text} is no public key`,
        "32 bytes in hexadecimal, as `wasmote keygen` prints them",
        "usage",
      );
    return Buffer.from(text, "hex");
  }) ?? [signingKey(project()).publicKey];
  const record = encodeProvision({
    name: options.name,
    vendor: options.vendor,
    keys,
    development: options.dev ?? false,
    ...(height === undefined ? {} : { height }),
  });
  const file = output ?? project().state.write(record, ["provision.bin"]);
  if (output !== undefined) writeFileSync(output, record);
  const place = `0x${(flashStart + provisionOffset).toString(16)}`;
  const { chip, json } = options;
  print(
    json,
    { file, bytes: record.length, address: place },
    () =>
      `${file}: ${record.length} bytes, for ${place}${height === undefined ? "\nwithout --height the level of a board with a ranger is its distance to the water" : ""}`,
  );
  if (!options.flash) return;
  download(file, { chip, json, address: place });
}
