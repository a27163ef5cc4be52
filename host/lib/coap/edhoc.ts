// EDHOC (RFC 9528) at the initiator's end: two ends that know each other's public keys agree on a secret that nobody else ever learns,
// and on an OSCORE context of it. Method 3 (static Diffie-Hellman keys at both ends) and cipher suite 2 (AES-CCM-16-64-128, SHA-256,
// MACs of 8 bytes, P-256), over node:crypto. The node's end is firmware/edhoc; both read test/vectors/edhoc.json.
//
//   const first = new Initiator({ own, connection });     first.message1 ─▶
//   const { message3, finish } = first.answer(message2, peers);              ◀─ message_2     message3 ─▶
//   const material = finish(message4);                                        ◀─ message_4     new Context(material, …)
import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  timingSafeEqual,
} from "node:crypto";
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";
import type { Material } from "./oscore.ts";

/** A public key in a CWT Claims Set (RFC 9528 §3.5.2), and what EDHOC needs of it. */
export interface Credential {
  /** The Claims Set, byte for byte as it was agreed on: at most 192 bytes. */
  ccs: Uint8Array;
  /** What identifies it: at most 7 bytes. */
  kid: Uint8Array;
  /** The x-coordinate of the key. */
  x: Uint8Array;
}

/** Our own credential, with its secret key of 32 bytes. */
export interface Identity {
  credential: Credential;
  secret: Uint8Array;
}

const curve = "prime256v1";
const cipher = "aes-128-ccm";
const method = 3;
const suite = 2;
const hashLength = 32;
const macLength = 8;
const tagLength = 8;
/** Bytes that an identifier has at most, as OSCORE's have. */
const longestId = 7;
const longestCredential = 192;

/** What a key is derived for (RFC 9528 §4.1.2, Figure 6). */
export const labels = {
  keystream2: 0,
  salt3e2m: 1,
  mac2: 2,
  k3: 3,
  iv3: 4,
  salt4e3m: 5,
  mac3: 6,
  prkOut: 7,
  k4: 8,
  iv4: 9,
  prkExporter: 10,
} as const;

/** Labels of the exporter (RFC 9528 §10.1). */
export const exporterLabels = { oscoreSecret: 0, oscoreSalt: 1 } as const;

// ---- keys ---------------------------------------------------------------------------------------------------------------

/** The x-coordinate of the public key of a secret; a secret that the curve does not have is a RangeError. */
export function publicKey(secret: Uint8Array): Buffer {
  return coordinates(secret).x;
}

function coordinates(secret: Uint8Array): { x: Buffer; y: Buffer } {
  const key = ecdh(secret).getPublicKey();
  return { x: key.subarray(1, 33), y: key.subarray(33) };
}

function ecdh(secret: Uint8Array) {
  const key = createECDH(curve);
  try {
    if (secret.length !== 32) throw new RangeError("it has not 32 bytes");
    key.setPrivateKey(secret);
  } catch (cause) {
    throw new RangeError("not a secret key of P-256", { cause });
  }
  return key;
}

/** What a secret and an x-coordinate share; an x-coordinate that is not on the curve is a NodeError `insecure`. */
export function agree(secret: Uint8Array, x: Uint8Array): Buffer {
  const own = ecdh(secret);
  try {
    // Either of the two points with this x-coordinate leads to the same (RFC 9528 Appendix B).
    return own.computeSecret(Buffer.concat([Buffer.from([2]), x]));
  } catch (cause) {
    throw refused("a public key that is not on the curve", cause);
  }
}

/** A new secret key. */
export function makeSecret(): Buffer {
  const key = createECDH(curve);
  key.generateKeys();
  // Leading zeros are left out there.
  return Buffer.from(key.getPrivateKey("hex").padStart(64, "0"), "hex");
}

/** The credential of a secret key, as RFC 9529 §3 and aiocoap have theirs: a Claims Set of a subject and a COSE_Key. */
export function makeCredential(secret: Uint8Array, kid: Uint8Array, subject?: string): Credential {
  if (kid.length > longestId) throw new RangeError(`a kid has at most ${longestId} bytes`);
  const { x, y } = coordinates(secret);
  const name = Buffer.from(subject ?? "", "utf8");
  const claims =
    subject === undefined ? [Buffer.from([0xa1])] : [Buffer.from([0xa2, 2]), head(3, name.length)];
  // COSE_Key: EC2, kid, P-256, x, y (RFC 9053 §7.1.1).
  const key = [Buffer.from([8, 0xa1, 1, 0xa5, 1, 2, 2]), byteString(kid), Buffer.from([0x20, 1])];
  const point = [Buffer.from([0x21]), byteString(x), Buffer.from([0x22]), byteString(y)];
  const ccs = Buffer.concat([...claims, name, ...key, ...point]);
  if (ccs.length > longestCredential)
    throw new RangeError(`a credential has at most ${longestCredential} bytes`);
  return { ccs, kid, x };
}

/**
 * Reads a Claims Set: a confirmation with a key for P-256 that has a kid, and perhaps issuer, subject and audience, in their only encoding.
 * `undefined` for everything else.
 */
export function parseCredential(ccs: Uint8Array): Credential | undefined {
  if (ccs.length > longestCredential) return undefined;
  const reader = new Reader(Buffer.from(ccs));
  const confirmation = (): Omit<Credential, "ccs"> => {
    if (reader.of(5) !== 1 || reader.integer() !== 1) throw new Malformed();
    const found = new Map<number, Buffer | number>();
    let last = -1;
    for (let left = reader.of(5); left > 0; left--) {
      const label = reader.integer();
      // 1, 2, -1, -2, -3 are encoded as 01, 02, 20, 21, 22.
      const place = label < 0 ? 0x1f - label : label;
      if (place <= last) throw new Malformed();
      last = place;
      found.set(label, label === 1 || label === -1 ? reader.integer() : reader.bytes());
    }
    const [kid, x, y] = [2, -2, -3].map((label) => found.get(label)) as (Buffer | undefined)[];
    const known = [...found.keys()].every((label) => [1, 2, -1, -2, -3].includes(label));
    if (!known || found.get(1) !== 2 || found.get(-1) !== 1) throw new Malformed();
    if (kid === undefined || kid.length > longestId || x?.length !== 32) throw new Malformed();
    if (y !== undefined && y.length !== 32) throw new Malformed();
    return { kid, x };
  };
  try {
    let key: Omit<Credential, "ccs"> | undefined;
    let last = -Infinity;
    for (let left = reader.of(5); left > 0; left--) {
      const label = reader.integer();
      if (label <= last) return undefined;
      last = label;
      if (label === 8) key = confirmation();
      else if (label >= 1 && label <= 3) reader.text();
      else return undefined;
    }
    return key === undefined || !reader.ended ? undefined : { ccs, ...key };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

// ---- what is derived (RFC 9528 §4) --------------------------------------------------------------------------------------

/** SHA-256 of these parts, one after the other. */
export function hash(...parts: Uint8Array[]): Buffer {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
}

/** EDHOC_Extract (RFC 9528 §4.1.1). */
export function extract(salt: Uint8Array, shared: Uint8Array): Buffer {
  return createHmac("sha256", salt).update(shared).digest();
}

/** EDHOC_KDF (RFC 9528 §4.1.2): HKDF-Expand, of which node:crypto has only the whole; at most 255 blocks. */
export function derive(prk: Uint8Array, label: number, context: Uint8Array, length: number) {
  const info = Buffer.concat([head(0, label), byteString(context), head(0, length)]);
  const blocks: Buffer[] = [];
  for (let made = 0; made < length; made += hashLength) {
    const hmac = createHmac("sha256", prk);
    hmac.update(blocks.at(-1) ?? Buffer.alloc(0)).update(info);
    blocks.push(hmac.update(Buffer.from([blocks.length + 1])).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** TH_2 (RFC 9528 §5.3.2). */
export function transcript2(gY: Uint8Array, message1: Uint8Array): Buffer {
  return hash(byteString(gY), byteString(hash(message1)));
}

/** TH_3 of TH_2, PLAINTEXT_2 and CRED_R, and TH_4 of TH_3, PLAINTEXT_3 and CRED_I (RFC 9528 §5.3.2, §5.4.2). */
export function transcript(th: Uint8Array, plaintext: Uint8Array, { ccs }: Credential): Buffer {
  return hash(byteString(th), plaintext, ccs);
}

/** MAC_2, with C_R as it is encoded in `front`, or MAC_3 (RFC 9528 §5.3.2, §5.4.2). */
export function mac(
  prk: Uint8Array,
  label: number,
  front: Uint8Array,
  { ccs, kid }: Credential,
  th: Uint8Array,
  ead: Uint8Array = Buffer.alloc(0),
): Buffer {
  const id = Buffer.concat([Buffer.from([0xa1, 4]), byteString(kid)]);
  return derive(prk, label, Buffer.concat([front, id, byteString(th), ccs, ead]), macLength);
}

/** The OSCORE Master Secret and Salt (RFC 9528 §A.1). */
export function exportOscore(prkOut: Uint8Array): { secret: Buffer; salt: Buffer } {
  const none = Buffer.alloc(0);
  const exporter = derive(prkOut, labels.prkExporter, none, hashLength);
  return {
    secret: derive(exporter, exporterLabels.oscoreSecret, none, 16),
    salt: derive(exporter, exporterLabels.oscoreSalt, none, 8),
  };
}

/** Encrypts what is in message_3 or message_4 (RFC 9528 §5.4.2, §5.5.2). */
export function seal(key: Uint8Array, iv: Uint8Array, th: Uint8Array, plaintext: Uint8Array) {
  const sealer = createCipheriv(cipher, key, iv, { authTagLength: tagLength });
  sealer.setAAD(additionalData(th), { plaintextLength: plaintext.length });
  return Buffer.concat([sealer.update(plaintext), sealer.final(), sealer.getAuthTag()]);
}

/** Decrypts it; another tag is a NodeError `insecure`. */
export function open(key: Uint8Array, iv: Uint8Array, th: Uint8Array, sealed: Uint8Array) {
  const end = sealed.length - tagLength;
  if (end < 0) throw refused("a ciphertext that is too short");
  const opener = createDecipheriv(cipher, key, iv, { authTagLength: tagLength });
  opener.setAuthTag(sealed.subarray(end));
  opener.setAAD(additionalData(th), { plaintextLength: end });
  try {
    return Buffer.concat([opener.update(sealed.subarray(0, end)), opener.final()]);
  } catch (cause) {
    throw refused("a message that was changed, or made with another key", cause);
  }
}

/** `["Encrypt0", h'', TH]`. */
function additionalData(th: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("\x83\x68Encrypt0\x40", "latin1"), byteString(th)]);
}

// ---- the messages (RFC 9528 §5) -----------------------------------------------------------------------------------------

export interface InitiatorOptions {
  own: Identity;
  /** What we call the connection, C_I: the OSCORE ID that the responder sends with, at most 7 bytes. */
  connection: Uint8Array;
  /** Suites that we would like better than 2, in front of it (RFC 9528 §5.2.2). */
  preferred?: readonly number[];
  /** Our ephemeral secret: random bytes if not given. For tests. */
  ephemeral?: Uint8Array;
}

/** What has to be sent for message_2, and what becomes of it. */
export interface Answered {
  message3: Buffer;
  /** Who answered: one of those that were given. */
  peer: Credential;
  /** What the responder calls the connection, C_R: in front of message_3 on CoAP. */
  connection: Buffer;
  /** What OSCORE's keys are derived from, once message_4 has shown that the responder has it, too. */
  finish: (message4: Uint8Array) => Material;
}

/** An initiator, for one handshake. What is not as it should be is a NodeError: the handshake is over then. */
export class Initiator {
  readonly message1: Buffer;
  readonly #own: Identity;
  readonly #connection: Buffer;
  #ephemeral: Buffer | undefined;

  constructor({ own, connection, preferred = [], ephemeral }: InitiatorOptions) {
    if (connection.length > longestId) throw new RangeError(`at most ${longestId} bytes`);
    this.#own = own;
    this.#connection = Buffer.from(connection);
    this.#ephemeral = Buffer.from(ephemeral ?? makeSecret());
    const suites = [...preferred, suite].map((number) => head(0, number));
    const list = suites.length === 1 ? suites : [head(4, suites.length), ...suites];
    const key = byteString(publicKey(this.#ephemeral));
    this.message1 = Buffer.concat([head(0, method), ...list, key, identifier(this.#connection)]);
  }

  /** Takes message_2 from one of those who are known (RFC 9528 §5.3.3), and composes message_3 (§5.4.2). Once. */
  answer(message2: Uint8Array, peers: readonly Credential[]): Answered {
    const ephemeral = this.#ephemeral;
    if (ephemeral === undefined) throw refused("a second message_2");
    this.#ephemeral = undefined;
    const { gY, ciphertext } = reading(() => {
      const reader = new Reader(Buffer.from(message2));
      const whole = reader.bytes();
      if (!reader.ended || whole.length <= hashLength) throw new Malformed();
      return { gY: whole.subarray(0, hashLength), ciphertext: whole.subarray(hashLength) };
    });
    const gXY = agree(ephemeral, gY);
    const th2 = transcript2(gY, this.message1);
    const prk2e = extract(th2, gXY);
    const stream = derive(prk2e, labels.keystream2, th2, ciphertext.length);
    const plaintext2 = ciphertext.map((byte, at) => byte ^ stream[at]!);
    const said = reading(() => readPlaintext(plaintext2, true));
    if (said.critical) throw refused("something critical that is not understood");
    if (said.connection.equals(this.#connection))
      throw refused("our own identifier for the connection");
    const peer = peers.find(({ kid }) => said.kid.equals(kid));
    if (peer === undefined)
      throw refused(`a credential that is not known (kid ${said.kid.toString("hex")})`);
    const salt3e2m = derive(prk2e, labels.salt3e2m, th2, hashLength);
    const prk3e2m = extract(salt3e2m, agree(ephemeral, peer.x));
    const front = identifier(said.connection);
    const mac2 = mac(prk3e2m, labels.mac2, front, peer, th2, said.ead);
    if (!timingSafeEqual(mac2, said.mac)) throw refused("a MAC that was made with another key");

    const { credential, secret } = this.#own;
    const th3 = transcript(th2, plaintext2, peer);
    const salt4e3m = derive(prk3e2m, labels.salt4e3m, th3, hashLength);
    const prk4e3m = extract(salt4e3m, agree(secret, gY));
    const mac3 = mac(prk4e3m, labels.mac3, Buffer.alloc(0), credential, th3);
    const plaintext3 = Buffer.concat([identifier(credential.kid), byteString(mac3)]);
    const [k3, iv3] = [derive(prk3e2m, labels.k3, th3, 16), derive(prk3e2m, labels.iv3, th3, 13)];
    const message3 = byteString(seal(k3, iv3, th3, plaintext3));
    const th4 = transcript(th3, plaintext3, credential);
    return {
      message3,
      peer,
      connection: said.connection,
      finish: (message4) => {
        const sealed = reading(() => {
          const reader = new Reader(Buffer.from(message4));
          const bytes = reader.bytes();
          if (!reader.ended) throw new Malformed();
          return bytes;
        });
        const [k4, iv4] = [
          derive(prk4e3m, labels.k4, th4, 16),
          derive(prk4e3m, labels.iv4, th4, 13),
        ];
        const opened = new Reader(open(k4, iv4, th4, sealed));
        if (reading(() => opened.ead())) throw refused("something critical that is not understood");
        const prkOut = derive(prk4e3m, labels.prkOut, th4, hashLength);
        // RFC 9528 §A.1, Table 14: we send with what the responder calls the connection.
        const ids = { sender: said.connection, recipient: this.#connection };
        return { ...exportOscore(prkOut), ...ids };
      },
    };
  }
}

/** What an error message says (RFC 9528 §6), for people; `undefined` where it is none. */
export function errorText(message: Uint8Array): string | undefined {
  const reader = new Reader(Buffer.from(message));
  try {
    switch (reader.integer()) {
      case 1:
        return oneLine(reader.text());
      case 2:
        return "it has none of our cipher suites";
      case 3:
        return "it does not know our credential";
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}

/** An identifier of a connection or a key as it is encoded: one that is the encoding of an integer is that integer (RFC 9528 §3.3.2). */
export function identifier(id: Uint8Array): Buffer {
  return id.length === 1 && isInteger(id[0]!) ? Buffer.from(id) : byteString(id);
}

const isInteger = (byte: number) => byte <= 0x17 || (byte >= 0x20 && byte <= 0x37);

/** PLAINTEXT_2, or PLAINTEXT_3, which has no identifier of a connection. */
export function readPlaintext(plaintext: Uint8Array, second: boolean) {
  const reader = new Reader(Buffer.from(plaintext));
  const connection = second ? reader.identifier() : Buffer.alloc(0);
  const kid = reader.identifier();
  const value = reader.bytes();
  if (value.length !== macLength) throw new Malformed();
  const ead = reader.rest;
  return { connection, kid, mac: value, ead, critical: reader.ead() };
}

// ---- CBOR (RFC 8949) ----------------------------------------------------------------------------------------------------

/** What was read is not what EDHOC has in this place. */
class Malformed extends Error {}

/** What a peer sent is read by this, or is a NodeError `insecure`. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof Malformed) throw refused("a malformed message", cause);
    throw cause;
  }
}

function refused(what: string, cause?: unknown): NodeError {
  return new NodeError("insecure", `the key exchange met ${what}; no key came of it`, { cause });
}

/** The head of a data item whose argument is below 2^16. */
function head(major: number, argument: number): Buffer {
  const kind = major << 5;
  if (argument < 24) return Buffer.from([kind | argument]);
  if (argument < 0x100) return Buffer.from([kind | 24, argument]);
  if (argument >= 0x1_0000) throw new RangeError("above 65,535");
  return Buffer.from([kind | 25, argument >> 8, argument & 0xff]);
}

function byteString(bytes: Uint8Array): Buffer {
  return Buffer.concat([head(2, bytes.length), bytes]);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A sequence of data items in their only encoding (RFC 9528 §3.1, RFC 8949 §4.2.1); whatever else is `Malformed`. */
class Reader {
  rest: Buffer;

  constructor(rest: Buffer) {
    this.rest = rest;
  }

  get ended(): boolean {
    return this.rest.length === 0;
  }

  #take(length: number): Buffer {
    if (length > this.rest.length) throw new Malformed();
    const taken = this.rest.subarray(0, length);
    this.rest = this.rest.subarray(length);
    return taken;
  }

  /** Major type and argument, which has at most 32 bits. */
  #head(): { major: number; argument: number } {
    const first = this.#take(1)[0]!;
    const [major, short] = [first >> 5, first & 0x1f];
    if (short < 24) return { major, argument: short };
    if (short > 26) throw new Malformed();
    const length = 2 ** (short - 24);
    const argument = this.#take(length).readUIntBE(0, length);
    if (argument < [24, 0x100, 0x1_0000][short - 24]!) throw new Malformed();
    return { major, argument };
  }

  /** The argument of an item of this major type. */
  of(wanted: number): number {
    const { major, argument } = this.#head();
    if (major !== wanted) throw new Malformed();
    return argument;
  }

  integer(): number {
    const { major, argument } = this.#head();
    if (major > 1) throw new Malformed();
    return major === 0 ? argument : -1 - argument;
  }

  bytes(): Buffer {
    return this.#take(this.of(2));
  }

  text(): string {
    const bytes = this.#take(this.of(3));
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Malformed();
    }
  }

  identifier(): Buffer {
    const whole = this.rest;
    const { major, argument } = this.#head();
    if (major <= 1 && argument < 24) return whole.subarray(0, 1);
    if (major !== 2 || argument > longestId) throw new Malformed();
    const id = this.#take(argument);
    if (id.length === 1 && isInteger(id[0]!)) throw new Malformed();
    return id;
  }

  /** External authorization data up to the end (RFC 9528 §3.8): whether there is something critical among it. */
  ead(): boolean {
    let critical = false;
    while (!this.ended) {
      if (this.integer() < 0) critical = true;
      if (!this.ended && this.rest[0]! >> 5 === 2) this.bytes();
    }
    return critical;
  }
}
