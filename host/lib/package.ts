// Packages: a COSE_Sign1 (RFC 9052 §4.2) with Ed25519 over a CBOR manifest, then the module. firmware/node/PACKAGE.md has the bytes.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { decode, encode, Tag } from "cbor2";
import { contractVersion, flash, manifestKeys, provisionKeys, texts } from "./contract.ts";
import { fits } from "./names.ts";
import { keepOutOfCores } from "./cores.ts";

/** What the module needs of a node. */
export interface Needs {
  ram: number;
  table: number;
  fuel: number;
  sensors: number;
  outputs: number;
}

/** The signed statement about a module. */
export interface Manifest {
  contract: number;
  vendor: string;
  class: string;
  /** Rises by one to let the sequence begin anew; absent is 0. */
  era?: number;
  sequence: number;
  digest: Uint8Array;
  size: number;
  name: string;
  version: string;
  needs: Needs;
  addKey?: Uint8Array;
  dropKey?: Uint8Array;
}

const sign1 = 18;
const eddsa = -8;
const header = { algorithm: 1, key: 4 } as const;

/** A key pair for signing packages. */
export interface KeyPair {
  privateKey: KeyObject;
  /** 32 bytes. */
  publicKey: Uint8Array;
}

export function generateKey(): KeyPair {
  keepOutOfCores();
  return keyPair(generateKeyPairSync("ed25519").privateKey);
}

/** Reads a private key from PEM; anything but Ed25519 is an error. */
export function readKey(pem: string): KeyPair {
  keepOutOfCores();
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== "ed25519") {
    throw new Error(`packages are signed with Ed25519, not ${privateKey.asymmetricKeyType}`);
  }
  return keyPair(privateKey);
}

export function writeKey({ privateKey }: KeyPair): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

function keyPair(privateKey: KeyObject): KeyPair {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { privateKey, publicKey: Buffer.from(x, "base64url") };
}

/** The identifier of a public key: the first 8 bytes of its SHA-256. */
export function keyId(publicKey: Uint8Array): Uint8Array {
  return digestOf(publicKey).subarray(0, 8);
}

export function digestOf(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** What is left to say about a module to make a package of it. */
export type PackageOptions = Omit<Manifest, "contract" | "digest" | "size">;

/** Makes and signs a package. */
export function makePackage(module: Uint8Array, options: PackageOptions, key: KeyPair): Uint8Array {
  const manifest = encodeManifest({
    contract: contractVersion,
    digest: digestOf(module),
    size: module.length,
    ...options,
  });
  return sealManifest(manifest, module, key);
}

/** What stands in an envelope beside the manifest. */
export interface EnvelopeHeaders {
  protected?: Map<number, unknown>;
  unprotected?: Map<number, unknown>;
}

/** Signs a manifest, whatever its bytes say, and puts the module behind it. */
export function sealManifest(
  manifest: Uint8Array,
  module: Uint8Array,
  key: KeyPair,
  headers: EnvelopeHeaders = {},
): Uint8Array {
  const protectedHeader = encode(
    headers.protected ??
      new Map<number, unknown>([
        [header.algorithm, eddsa],
        [header.key, Uint8Array.from(keyId(key.publicKey))],
      ]),
  );
  const signature = sign(null, toBeSigned(protectedHeader, manifest), key.privateKey);
  const envelope = encode(
    new Tag(sign1, [
      protectedHeader,
      headers.unprotected ?? new Map(),
      Uint8Array.from(manifest),
      Uint8Array.from(signature),
    ]),
  );
  return Uint8Array.from([...envelope, ...module]);
}

/** Sig_structure (RFC 9052 §4.4). */
function toBeSigned(protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array {
  return encode(["Signature1", protectedHeader, new Uint8Array(), payload]);
}

/** Deterministic CBOR (RFC 8949 §4.2.1): keys in order, shortest forms. */
export function encodeManifest(m: Manifest): Uint8Array {
  return encode(new Map(manifestEntries(m)));
}

/** The entries of the map, in order. */
export function manifestEntries(m: Manifest): [number, unknown][] {
  const { ram, table, fuel, sensors, outputs } = m.needs;
  const entries: [number, unknown][] = [
    [manifestKeys.contract, m.contract],
    [manifestKeys.vendor, m.vendor],
    [manifestKeys.class, m.class],
    [manifestKeys.sequence, m.sequence],
    [manifestKeys.digest, Uint8Array.from(m.digest)],
    [manifestKeys.size, m.size],
    [manifestKeys.name, m.name],
    [manifestKeys.version, m.version],
    [manifestKeys.needs, [ram, table, fuel, sensors, outputs]],
  ];
  if (m.addKey) entries.push([manifestKeys.add_key, Uint8Array.from(m.addKey)]);
  if (m.dropKey) entries.push([manifestKeys.drop_key, Uint8Array.from(m.dropKey)]);
  if (m.era) entries.push([manifestKeys.era, m.era]);
  return entries;
}

/** A package taken apart. */
export interface OpenedPackage {
  manifest: Manifest;
  /** Identifier of the key that signed it. */
  key: Uint8Array;
  module: Uint8Array;
  /** Whether this public key signed it. */
  verify(publicKey: Uint8Array): boolean;
}

/**
 * Takes a package apart; throws a RangeError where a node would call it malformed. Whether it is signed by whom it says, and whether its
 * module is the one in the manifest, is left to the caller.
 */
export function openPackage(given: Uint8Array): OpenedPackage {
  // A Buffer would come out of the CBOR library as something else than bytes.
  const bytes = new Uint8Array(given);
  const length = envelopeLength(bytes);
  if (length === undefined) throw malformed("it does not begin with a COSE_Sign1");
  const { contents } = decoded<Tag>(bytes.subarray(0, length));
  const [protectedHeader, , payload, signature] = contents as [
    Uint8Array,
    unknown,
    Uint8Array,
    Uint8Array,
  ];
  if (signature.length !== 64) throw malformed("its signature is not of 64 bytes");
  const headers = decoded<unknown>(protectedHeader);
  if (!(headers instanceof Map) || headers.size !== 2 || headers.get(header.algorithm) !== eddsa)
    throw malformed("not signed with Ed25519");
  return {
    manifest: decodeManifest(payload),
    key: fixed(headers.get(header.key), 8, "key identifier"),
    module: bytes.subarray(length),
    verify: (publicKey) => {
      const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") };
      const key = createPublicKey({ key: jwk, format: "jwk" });
      return verify(null, toBeSigned(protectedHeader, payload), key, signature);
    },
  };
}

const malformed = (why: string) => new RangeError(`no package: ${why}`);

function decoded<T>(bytes: Uint8Array): T {
  try {
    // Lengths come first (RFC 8949 §4.2.1), as the node wants them.
    return decode<T>(bytes, { preferMap: true, rejectStreaming: true });
  } catch (cause) {
    throw new RangeError(`no package: ${(cause as Error).message}`, { cause });
  }
}

function decodeManifest(payload: Uint8Array): Manifest {
  const m = decoded<unknown>(payload);
  if (!(m instanceof Map)) throw malformed("its manifest is not a map");
  const keys = [...m.keys()] as number[];
  const known = Object.values(manifestKeys) as number[];
  // RFC 8949 §4.2.1: keys in order.
  if (keys.some((key, place) => !known.includes(key) || (place > 0 && key <= keys[place - 1]!)))
    throw malformed("the keys of its manifest are unknown or out of order");
  const uint = (value: unknown, what: string, least = 0) => {
    const good = typeof value === "number" && Number.isInteger(value) && value >= least;
    if (!good || value >= 2 ** 32) throw malformed(`${what} is ${String(value)}`);
    return value;
  };
  const text = (value: unknown, what: string) => {
    if (value === undefined) return "";
    if (typeof value !== "string" || !fits("label", value))
      throw malformed(`${what} is not a text of at most ${texts.label.most} bytes`);
    return value;
  };
  const needs = m.get(manifestKeys.needs) as unknown;
  if (needs !== undefined && (!Array.isArray(needs) || needs.length !== 5))
    throw malformed("needs are five numbers");
  const [ram = 0, table = 0, fuel = 0, sensors = 0, outputs = 0] = ((needs ?? []) as unknown[]).map(
    (need) => uint(need, "a need"),
  );
  const addKey = m.get(manifestKeys.add_key) as unknown;
  const dropKey = m.get(manifestKeys.drop_key) as unknown;
  return {
    contract: uint(m.get(manifestKeys.contract) ?? 0, "contract"),
    vendor: text(m.get(manifestKeys.vendor), "vendor"),
    class: text(m.get(manifestKeys.class), "class"),
    sequence: uint(m.get(manifestKeys.sequence), "sequence", 1),
    digest: fixed(m.get(manifestKeys.digest), 32, "digest"),
    size: uint(m.get(manifestKeys.size), "size", 1),
    name: text(m.get(manifestKeys.name), "name"),
    version: text(m.get(manifestKeys.version), "version"),
    needs: { ram, table, fuel, sensors, outputs },
    ...(m.has(manifestKeys.era) ? { era: uint(m.get(manifestKeys.era), "era") } : {}),
    ...(addKey === undefined ? {} : { addKey: fixed(addKey, 32, "add_key") }),
    ...(dropKey === undefined ? {} : { dropKey: fixed(dropKey, 8, "drop_key") }),
  };
}

function fixed(value: unknown, length: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length)
    throw malformed(`${what} is not of ${length} bytes`);
  return value;
}

/** Where the envelope ends: tag 18, four items, of which three are byte strings and one an empty map. */
function envelopeLength(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== 0xd2 || bytes[1] !== 0x84) return undefined;
  let place = 2;
  for (let item = 0; item < 4; item++) {
    const first = bytes[place++] ?? 0xff;
    if (item === 1) {
      if (first !== 0xa0) return undefined;
      continue;
    }
    const short = first - 0x40;
    if (short < 0 || short > 0x19) return undefined;
    const length =
      short < 24
        ? short
        : short === 24
          ? (bytes[place++] ?? 0)
          : ((bytes[place++] ?? 0) << 8) + (bytes[place++] ?? 0);
    place += length;
  }
  return place <= bytes.length ? place : undefined;
}

/** What a node is given at flash time. */
export interface Provision {
  name?: string;
  vendor?: string;
  keys: readonly Uint8Array[];
  development?: boolean;
  /** Millimetres from the bed up to a ranger that looks down on the water: the level is this less its distance. */
  height?: number;
  /** The resource directory where the node registers by its name (RFC 9176 §5.1): IPv4 address, UDP port, and for how many seconds at a time. */
  directory?: { address: string; port: number; lifetime: number };
  /** Security contexts, as keys.ts writes them. */
  contexts?: Uint8Array;
  /** The node's own key for EDHOC, with its Claims Set. */
  identity?: { secret: Uint8Array; ccs: Uint8Array };
  /** Whom it exchanges keys with: their Claims Sets, bits of their rights, and the place of the context that each of them has already. */
  initiators?: readonly { ccs: Uint8Array; rights: number; place?: number }[];
  /** Answers everybody, whatever contexts there are. */
  open?: boolean;
  /** Answers nobody who has no context. */
  hidden?: boolean;
}

/**
 * The provisioning record: `WMPR`, length, CBOR map, CRC-32. Three times, each from a whole word on, so that two bits which flip change
 * nothing. All of the place is written, so that nothing of an earlier record stays behind it. A RangeError: too long for that.
 */
export function encodeProvision({
  name,
  vendor,
  keys,
  development,
  height,
  directory,
  contexts,
  identity,
  initiators,
  open,
  hidden,
}: Provision): Uint8Array {
  const entries: [number, unknown][] = [];
  if (name) entries.push([provisionKeys.name, name]);
  if (vendor) entries.push([provisionKeys.vendor, vendor]);
  entries.push([provisionKeys.keys, keys.map((key) => Uint8Array.from(key))]);
  if (development) entries.push([provisionKeys.development, true]);
  if (height) entries.push([provisionKeys.height, height]);
  if (directory) {
    const { address, port, lifetime } = directory;
    const bytes = Uint8Array.from(address.split("."), Number);
    entries.push([provisionKeys.directory, [bytes, port, lifetime]]);
  }
  if (contexts?.length) entries.push([provisionKeys.contexts, contexts]);
  if (open) entries.push([provisionKeys.open, true]);
  if (hidden) entries.push([provisionKeys.hidden, true]);
  const bytesOf = (bytes: Uint8Array) => Uint8Array.from(bytes);
  if (identity)
    entries.push([provisionKeys.identity, [bytesOf(identity.secret), bytesOf(identity.ccs)]]);
  if (initiators?.length) {
    const none = 8;
    const all = initiators.map(({ ccs, rights, place = none }) => [bytesOf(ccs), rights, place]);
    entries.push([provisionKeys.initiators, all]);
  }
  const map = encode(new Map(entries));
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return bytes;
  };
  const record = [...provisionMagic, ...word(map.length), ...map, ...word(crc32(map))];
  while (record.length % 4 !== 0) record.push(0xff);
  const room = flash.slots - flash.provision;
  if (3 * record.length > room)
    throw new RangeError(`a provisioning record has at most ${Math.floor(room / 3)} bytes`);
  const whole = new Uint8Array(room).fill(0xff);
  for (let copy = 0; copy < 3; copy++) whole.set(record, copy * record.length);
  return whole;
}

/** CRC-32/ISO-HDLC. */
function crc32(bytes: Uint8Array): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

const provisionMagic = Buffer.from("WMPR");

/** Where the record lies in flash, from its first byte. */
export const provisionOffset = flash.provision;
/** Bytes of a flash file: up to the end of the slots. */
export const flashSize = flash.end;

/** A flash file for an emulated or native node: erased but for the record. */
export function makeFlash(provision: Provision): Uint8Array {
  const bytes = new Uint8Array(flashSize).fill(0xff);
  bytes.set(encodeProvision(provision), provisionOffset);
  return bytes;
}

/** Why a file is not the flash of an emulated node; undefined where it is. An empty file is flash that was never written. */
export function flashFault(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length !== flashSize) return `it has ${bytes.length} bytes, and flash has ${flashSize}`;
  const record = bytes.subarray(provisionOffset);
  const erased = record.subarray(0, provisionMagic.length).every((byte) => byte === 0xff);
  // In any of its copies: a bit of the first may have flipped.
  const provisioned = Buffer.from(record)
    .subarray(0, flash.slots - flash.provision)
    .includes(provisionMagic);
  return erased || provisioned
    ? undefined
    : "where a provisioning record lies there is something else";
}
