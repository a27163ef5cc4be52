// Makes the record that gives a board its name and the keys it trusts.
import { isIPv4 } from "node:net";
import { flash, limits } from "../lib/contract.ts";
import { encodeProvision, provisionOffset, type Provision } from "../lib/package.ts";
import { UserError } from "../lib/errors.ts";
import type { Credential } from "../lib/coap/edhoc.ts";
import { exchangesKeys, readCredential } from "../lib/identity.ts";
import {
  allRights,
  encodeKeys,
  keepNodeKeys,
  makeKey,
  nodeKeys,
  parseRights,
} from "../lib/keys.ts";
import { nameFault, textFault } from "../lib/names.ts";
import { signingKey } from "../lib/project.ts";
import { writeOutput } from "../lib/state.ts";
import { print, project } from "./context.ts";
import { download } from "./probe.ts";
import { refuseForeign } from "./result.ts";

export async function provisionVerb(
  output: string | undefined,
  options: {
    name: string;
    vendor: string;
    public?: string[];
    dev?: boolean;
    height?: string;
    directory?: string;
    lifetime?: string;
    open?: boolean;
    hidden?: boolean;
    initiator?: string[];
    flash?: boolean;
    force?: boolean;
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
      `${options.height} is not a height: whole millimetres from 1 to 100000`,
      "write: --height 4200",
      "usage",
    );
  const most = limits.provisioned_keys;
  if ((options.public?.length ?? 0) > most)
    throw new UserError(
      `${options.public?.length} keys are too many: a board is provisioned with ${most} at most`,
      "leave some out; a package may add keys later",
      "usage",
    );
  const keys = options.public?.map((text) => {
    if (!/^[0-9a-f]{64}$/i.test(text))
      throw new UserError(
        `${text} is not a public key`,
        "32 bytes in hexadecimal, as `wasmote keygen` prints them",
        "usage",
      );
    return Buffer.from(text, "hex");
  }) ?? [signingKey(project()).publicKey];
  const open = options.open ?? project().open;
  if (options.hidden && (options.initiator ?? []).length > 0)
    throw new UserError(
      "a hidden node takes part in no key exchange",
      "write --hidden or --initiator",
      "usage",
    );
  if (open && options.hidden)
    throw new UserError(
      "a node that answers everybody is not hidden",
      "write --open or --hidden",
      "usage",
    );
  if (output !== undefined) refuseForeign(output, "a provisioning record", options.force);
  const others = options.initiator?.map(initiatorOf) ?? [];
  if (others.length >= limits.initiators)
    throw new UserError(
      `a node exchanges keys with ${limits.initiators} at most, of which this project is one`,
      "leave some out: `wasmote keys add` gives contexts to others",
      "usage",
    );
  const contexts = open
    ? { open }
    : { contexts: secure(options.name), ...exchangesKeys(project(), options.name, others) };
  const record = encoded({
    ...contexts,
    hidden: options.hidden ?? false,
    name: options.name,
    vendor: options.vendor,
    keys,
    development: options.dev ?? false,
    ...(height === undefined ? {} : { height }),
    ...directoryOf(options.directory, options.lifetime),
  });
  const file = output ?? project().state.write(record, ["provision.bin"]);
  // It holds a secret: for this user only.
  if (output !== undefined) writeOutput(output, record, 0o600);
  const place = `0x${(flash.start + provisionOffset).toString(16)}`;
  const { chip, json } = options;
  print(
    json,
    { file, bytes: record.length, address: place, secured: !open },
    () =>
      `${file}: ${record.length} bytes, for ${place}\n${
        open
          ? "open: whoever reaches the node may read and change it"
          : `secured: it answers this project, which knows it as ${options.name}; \`wasmote keys\` lets others in`
      }${height === undefined ? "\nwithout --height the level of a board with a ranger is its distance to the water" : ""}`,
  );
  if (!options.flash) return;
  download(file, { chip, json, address: place });
}

/** A record that fits three times. */
function encoded(provision: Provision): Uint8Array {
  try {
    return encodeProvision(provision);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `this is too much for one board: ${error.message}`,
      "leave out some of --public or --initiator",
      "usage",
    );
  }
}

/** Somebody whom the node is to exchange keys with, as `read,operate=CREDENTIAL`. */
function initiatorOf(text: string): { credential: Credential; rights: number } {
  const [, rights = "", credential = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  return { credential: readCredential(credential), rights: parseRights(rights) };
}

/** Where the node is to register. A board has no names to look up: its address in numbers. */
function directoryOf(text: string | undefined, seconds = "600"): Pick<Provision, "directory"> {
  if (text === undefined) return {};
  const [, address = "", port = "5683"] = /^([\d.]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const [number, lifetime] = [Number(port), Number(seconds)];
  if (!isIPv4(address) || number < 1 || number > 65535)
    throw new UserError(
      `${text} is no IPv4 address with a port`,
      "write: --directory 192.168.1.10:5683",
      "usage",
    );
  // RFC 9176 §5: 1 to 4294967295. A minute at least, so that a node does not spend its life on registering.
  if (!(Number.isInteger(lifetime) && lifetime >= 60 && lifetime <= 0xffff_ffff))
    throw new UserError(
      `${seconds} is no lifetime: whole seconds from 60 to 4294967295`,
      "write: --lifetime 600",
      "usage",
    );
  return { directory: { address, port: number, lifetime } };
}

/** A context for this computer, which may do everything; those before it are kept until the node has answered under the new one. */
export function secure(name: string): Uint8Array {
  const before = nodeKeys(project(), name);
  const key = makeKey(
    0,
    allRights,
    before.map(({ peer }) => peer),
  );
  keepNodeKeys(project(), name, [key, ...before.slice(0, 3)]);
  return encodeKeys([key]);
}
