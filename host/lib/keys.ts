// The security contexts that this computer has with nodes, by the names of the nodes: in the folder `.wasmote/keys`, which only the user
// can read. A node's own side is firmware/node/src/keyring.rs.
//
//   keys/NAME/contexts.json        the contexts, the newest first: the node may know only one of them for a while. Of a node that
//                                  `wasmote emulate` runs NAME@emulated
//   keys/NAME/numbers-…/           sequence numbers of one context, none of them ever used twice (coap/sequence.ts)
//
// A context is on disk before a node hears of it, and goes only when the node has answered under a newer one: wherever a rotation is cut
// off, one of them works.
import { createHash, randomBytes, randomInt } from "node:crypto";
import { closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { Context, type Material } from "./coap/oscore.ts";
import { ReservedNumbers } from "./coap/sequence.ts";
import { rights as rightBits } from "./contract.ts";
import { normalAddress } from "./coap/address.ts";
import { emulatedHere, numbersOf, type KeptKey } from "./emulated.ts";
import { UserError } from "./errors.ts";
import { nameFault } from "./names.ts";
import { emulatedNodes, type Project } from "./project.ts";

export type RightName = keyof typeof rightBits;
export const rightNames = Object.keys(rightBits) as RightName[];
/** All rights: an administrator's who also installs, operates and reads. */
export const allRights = Object.values(rightBits).reduce<number>((sum, bit) => sum | bit, 0);

/** A security context between a node and one peer. */
export interface NodeKey {
  /** Its place in the node, 0 to 7; 8 where that is not known. */
  place: number;
  secret: Uint8Array;
  /** Of what came of a key exchange. */
  salt?: Uint8Array;
  /** The ID that the peer sends with, and that of the node. */
  peer: number;
  node: number;
  /** Bits of what its holder may do. */
  rights: number;
}

/** Places for contexts in a node. */
export const places = 8;
/** Bytes of a context as a node takes it. */
const keyLength = 19;
const pending = 0x80;

/** A context with a new secret; its IDs are none of those that are taken. */
export function makeKey(place: number, rights: number, taken: readonly number[] = []): NodeKey {
  let peer: number;
  do peer = randomInt(0x80);
  while (taken.includes(peer));
  return { place, secret: randomBytes(16), peer, node: peer | 0x80, rights };
}

/** A context as it lies in a node; `replaces` is the place of the one that goes when this one was used. */
export function encodeKey({ secret, peer, node, rights }: NodeKey, replaces?: number): Uint8Array {
  const flags = rights | (replaces === undefined ? 0 : pending | (replaces << 4));
  return Uint8Array.from([...secret, peer, node, flags]);
}

/** The contexts of a provisioning record, by their places. */
export function encodeKeys(keys: readonly NodeKey[]): Uint8Array {
  const count = Math.max(0, ...keys.map(({ place }) => place + 1));
  const all = new Uint8Array(count * keyLength);
  for (const key of keys) all.set(encodeKey(key), key.place * keyLength);
  return all;
}

/** Rights as people write them: `read,operate`, or `all`. */
export function parseRights(text: string): number {
  if (text === "all") return allRights;
  return text.split(",").reduce((sum, name) => {
    if (!Object.hasOwn(rightBits, name))
      throw new UserError(
        `${name} is not a right`,
        `there are: ${rightNames.join(", ")}, or all`,
        "usage",
      );
    return sum | rightBits[name as RightName];
  }, 0);
}

/** Rights in words. */
export function rightsText(mask: number): string {
  return rightNames.filter((name) => mask & rightBits[name]).join(",") || "none";
}

/** What OSCORE's keys are derived from, at the peer's end. */
export function materialOf({ secret, salt, peer, node }: NodeKey): Material {
  const ids = { sender: Uint8Array.of(peer), recipient: Uint8Array.of(node) };
  return salt === undefined ? { secret, ...ids } : { secret, salt, ...ids };
}

/** How a node is guarded, in words. */
export function guarded(security: string | undefined): string {
  if (security === "secured") return "secured: only those who have a context are answered";
  if (security === "open") return "open: whoever reaches it may read and change it";
  return "unclaimed: nobody has given it a context, so whoever reaches it may read and change it";
}

/** A context for a node that lasts as long as this process, and so do its numbers. */
export function passingContext(rights = allRights): { key: NodeKey; context: Context } {
  const key = makeKey(0, rights);
  let next = 0;
  return { key, context: new Context(materialOf(key), { take: () => next++ }) };
}

// ---- what is kept -------------------------------------------------------------------------------------------------------

const fileOf = (name: string) => ["keys", name, "contexts.json"];

/** The contexts with a node of this name, the newest first. */
export function nodeKeys({ state }: Project, name: string): NodeKey[] {
  const kept = state.readJson<KeptKey[]>(...fileOf(name)) ?? [];
  return kept.map(({ salt, ...key }) => ({
    ...key,
    secret: Buffer.from(key.secret, "hex"),
    ...(salt === undefined ? {} : { salt: Buffer.from(salt, "hex") }),
  }));
}

/** A context as it is kept in files. */
export function keptKey({ salt, ...key }: NodeKey): KeptKey {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const salted = salt === undefined ? {} : { salt: hex(salt) };
  return { ...key, secret: hex(key.secret), ...salted };
}

/** Keeps the contexts with a node: they are on disk when this returns. None: they are forgotten. */
export function keepNodeKeys({ state }: Project, name: string, keys: readonly NodeKey[]): void {
  if (keys.length === 0) return state.remove(...fileOf(name));
  const kept = keys.map(keptKey);
  const path = state.write(`${JSON.stringify(kept)}\n`, fileOf(name));
  for (const place of [path, dirname(path)]) {
    const handle = openSync(place, "r");
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }
}

/** The context of a key, with the numbers that nobody else has used. */
function contextOf({ state }: Project, name: string, key: NodeKey): Context {
  const id = createHash("sha256").update(key.secret).digest("hex").slice(0, 16);
  const folder = state.place("keys", name, `numbers-${id}`);
  return new Context(materialOf(key), new ReservedNumbers(folder));
}

/** What the contexts with an emulated node are kept under: a board of the same name is another node. */
export const emulatedName = (name: string) => `${name}@emulated`;

/** The name of the node at an address, where this computer has a context with one of that name. */
export function nameOf(project: Project, address: string): string | undefined {
  const known = project.state.list("keys");
  return known.length === 0 ? undefined : nameAt(project, address, (name) => known.includes(name));
}

/** The name that this project has for an address, where it is one that counts. */
export function nameAt(
  project: Project,
  address: string,
  counts: (name: string) => boolean,
): string | undefined {
  const named = Object.entries(project.nodes).concat(
    emulatedNodes(project).map(({ name, address: at }) => [emulatedName(name), at]),
  );
  const wanted = normalAddress(address) ?? address;
  const found = named.find(
    ([name, place]) => (normalAddress(place) ?? place) === wanted && counts(name),
  );
  return found?.[0];
}

/** The name that this computer's contexts with the node at an address, or of this name, are kept under. */
export function keptUnder(project: Project, address: string, given?: string): string | undefined {
  const named = given !== undefined && nameFault(given) === undefined ? given : undefined;
  const known = (name: string) => nodeKeys(project, name).length > 0;
  // A node that is emulated here has its contexts by its address, whatever it is called.
  return named !== undefined && known(named) ? named : nameOf(project, address);
}

/** The contexts that this computer has with one node, the newest first: in the middle of a rotation the node may know any of them. */
export interface KeptContexts {
  contexts: Context[];
  /** Forgets those before one that the node has answered under. */
  settle(at: number): void;
}

/** The contexts with the node at an address, or of this name; `undefined` where there are none. */
export function contextsWith(
  project: Project,
  address: string,
  given?: string,
): KeptContexts | undefined {
  const name = keptUnder(project, address, given);
  const keys = name === undefined ? [] : nodeKeys(project, name);
  if (name !== undefined && keys.length > 0)
    return {
      contexts: keys.map((key) => contextOf(project, name, key)),
      settle: (at) => {
        if (at < keys.length - 1) keepNodeKeys(project, name, keys.slice(0, at + 1));
      },
    };
  // One that was started without a name is known by its address, as long as it runs.
  const wanted = normalAddress(address) ?? address;
  const note = emulatedHere().find((one) => one.key !== undefined && one.address === wanted);
  if (note?.key === undefined) return undefined;
  const { salt: _, ...rest } = note.key;
  const key = { ...rest, secret: Buffer.from(rest.secret, "hex") };
  return {
    contexts: [new Context(materialOf(key), new ReservedNumbers(numbersOf(note.process)))],
    settle: () => {},
  };
}

/** Whether this computer has a context with any node. */
export function hasContexts({ state }: Project): boolean {
  return state.list("keys").length > 0;
}

// ---- for others ---------------------------------------------------------------------------------------------------------

/** A context in the words of other programs: aiocoap's `settings.json`, and what libcoap's -E takes. */
export function exported({ secret, salt, peer, node }: NodeKey): {
  aiocoap: string;
  libcoap: string;
} {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const id = (value: number) => hex(Uint8Array.of(value));
  const aiocoap = {
    "sender-id_hex": id(peer),
    "recipient-id_hex": id(node),
    secret_hex: hex(secret),
    salt_hex: salt === undefined ? "" : hex(salt),
    algorithm: "AES-CCM-16-64-128",
    "kdf-hashfun": "sha256",
    window: 32,
  };
  const libcoap = [
    `master_secret,hex,"${hex(secret)}"`,
    ...(salt === undefined ? [] : [`master_salt,hex,"${hex(salt)}"`]),
    `sender_id,hex,"${id(peer)}"`,
    `recipient_id,hex,"${id(node)}"`,
    "replay_window,integer,32",
    "aead_alg,integer,10",
    "hkdf_alg,integer,-10",
  ];
  return { aiocoap: `${JSON.stringify(aiocoap, null, 2)}\n`, libcoap: `${libcoap.join("\n")}\n` };
}
