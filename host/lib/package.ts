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
import { contractVersion, manifestKeys, provisionKeys } from "./contract.ts";

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
  return keyPair(generateKeyPairSync("ed25519").privateKey);
}

/** Reads a private key from PEM; anything but Ed25519 is an error. */
export function readKey(pem: string): KeyPair {
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
  const protectedHeader = encode(
    new Map<number, unknown>([
      [header.algorithm, eddsa],
      [header.key, Uint8Array.from(keyId(key.publicKey))],
    ]),
  );
  const signature = sign(null, toBeSigned(protectedHeader, manifest), key.privateKey);
  const envelope = encode(
    new Tag(sign1, [protectedHeader, new Map(), manifest, Uint8Array.from(signature)]),
  );
  return Uint8Array.from([...envelope, ...module]);
}

/** Sig_structure (RFC 9052 §4.4). */
function toBeSigned(protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array {
  return encode(["Signature1", protectedHeader, new Uint8Array(), payload]);
}

/** Deterministic CBOR (RFC 8949 §4.2.1): keys in order, shortest forms. */
function encodeManifest(m: Manifest): Uint8Array {
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
  return encode(new Map(entries));
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

/** Takes a package apart; throws a RangeError where it is malformed. */
export function openPackage(given: Uint8Array): OpenedPackage {
  // A Buffer would come out of the CBOR library as something else than bytes.
  const bytes = new Uint8Array(given);
  const malformed = (why: string) => new RangeError(`no package: ${why}`);
  const length = envelopeLength(bytes);
  if (length === undefined) throw malformed("it does not begin with a COSE_Sign1");
  const tag = decode<Tag>(bytes.subarray(0, length), { preferMap: true });
  const [protectedHeader, , payload, signature] = tag.contents as Uint8Array[];
  if (!protectedHeader || !payload || signature?.length !== 64)
    throw malformed("its parts are not those of a COSE_Sign1");
  const headers = decode<Map<number, unknown>>(protectedHeader, { preferMap: true });
  if (headers.get(header.algorithm) !== eddsa) throw malformed("not signed with Ed25519");
  const m = decode<Map<number, unknown>>(payload, { preferMap: true });
  const [ram = 0, table = 0, fuel = 0, sensors = 0, outputs = 0] =
    (m.get(manifestKeys.needs) as number[]) ?? [];
  const optional = (key: number) => m.get(key) as Uint8Array | undefined;
  const addKey = optional(manifestKeys.add_key);
  const dropKey = optional(manifestKeys.drop_key);
  const manifest: Manifest = {
    contract: m.get(manifestKeys.contract) as number,
    vendor: m.get(manifestKeys.vendor) as string,
    class: m.get(manifestKeys.class) as string,
    sequence: m.get(manifestKeys.sequence) as number,
    digest: m.get(manifestKeys.digest) as Uint8Array,
    size: m.get(manifestKeys.size) as number,
    name: m.get(manifestKeys.name) as string,
    version: m.get(manifestKeys.version) as string,
    needs: { ram, table, fuel, sensors, outputs },
    ...(addKey ? { addKey } : {}),
    ...(dropKey ? { dropKey } : {}),
  };
  return {
    manifest,
    key: headers.get(header.key) as Uint8Array,
    module: bytes.subarray(length),
    verify: (publicKey) => {
      const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") };
      const key = createPublicKey({ key: jwk, format: "jwk" });
      return verify(null, toBeSigned(protectedHeader, payload), key, signature);
    },
  };
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
}

/** The provisioning record: `WMPR`, length, CBOR map, CRC-32. */
export function encodeProvision({ name, vendor, keys, development }: Provision): Uint8Array {
  const entries: [number, unknown][] = [];
  if (name) entries.push([provisionKeys.name, name]);
  if (vendor) entries.push([provisionKeys.vendor, vendor]);
  entries.push([provisionKeys.keys, keys.map((key) => Uint8Array.from(key))]);
  if (development) entries.push([provisionKeys.development, true]);
  const map = encode(new Map(entries));
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return bytes;
  };
  return Uint8Array.from([
    ...Buffer.from("WMPR"),
    ...word(map.length),
    ...map,
    ...word(crc32(map)),
  ]);
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

/** Where the record lies in flash, from its first byte; a flash file has the same layout as the STM32F407's. */
export const provisionOffset = 0x3c00;
/** Bytes of a flash file: sectors 0 to 3. */
export const flashSize = 0x10000;

/** A flash file for an emulated or native node: erased but for the record. */
export function makeFlash(provision: Provision): Uint8Array {
  const flash = new Uint8Array(flashSize).fill(0xff);
  flash.set(encodeProvision(provision), provisionOffset);
  return flash;
}
