// OSCORE (RFC 8613) at the client's end: requests are encrypted as a whole, and only answers to them are believed. AES-CCM-16-64-128
// and HKDF with SHA-256, over node:crypto. The node's end is firmware/oscore; both read test/vectors/oscore.json.
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";
import { keepOutOfCores } from "../cores.ts";

/** What two ends agree on beforehand (RFC 8613 §3.2). IDs have at most 7 bytes, and the empty one is an ID like any other. */
export interface Material {
  secret: Uint8Array;
  salt?: Uint8Array | undefined;
  idContext?: Uint8Array | undefined;
  /** The ID that we send with. */
  sender: Uint8Array;
  /** The ID of the node. */
  recipient: Uint8Array;
}

/** Hands out sequence numbers below 2^40, none of them ever twice. */
export interface SequenceNumbers {
  take(): number;
}

interface Option {
  name: string | number;
  value: Buffer;
}

/** A message without what only its way needs: ID, token and type. */
export interface Message {
  code: string;
  options: readonly Option[];
  payload: Uint8Array;
}

/** A request that was sent: what its answers are bound to. */
export interface Binding {
  kid: Buffer;
  piv: Buffer;
  /** The highest number of an answer that came for it; -1 before the first. */
  newest: number;
  /** Whether it was answered: one without a number of its own comes once, and before all others. */
  answered: boolean;
}

const cipher = "aes-128-ccm";
const tagLength = 8;
const nonceLength = 13;
const longestId = 7;
const longestPiv = 5;
/** COSE's number of AES-CCM-16-64-128 (RFC 9053 §4.2). */
const algorithm = 10;
const oscore = "OSCORE";
/** Options that stay outside for those on the way (RFC 8613 §4.1, class U). Observe and No-Response are in both. */
const outside = new Set<string | number>(["Uri-Host", "Uri-Port", "Proxy-Uri", "Proxy-Scheme"]);

/** A security context: the keys that both ends derive. */
export class Context {
  readonly #material: Material;
  readonly #sequence: SequenceNumbers;
  readonly #senderKey: Buffer;
  readonly #recipientKey: Buffer;
  readonly #commonIv: Buffer;

  constructor(material: Material, sequence: SequenceNumbers) {
    keepOutOfCores();
    const { secret, salt = Buffer.alloc(0), idContext, sender, recipient } = material;
    for (const id of [sender, recipient])
      if (id.length > longestId) throw new RangeError(`an ID has at most ${longestId} bytes`);
    if (Buffer.compare(sender, recipient) === 0)
      throw new RangeError("the two ends need different IDs");
    const derive = (id: Uint8Array, type: string, length: number) => {
      const context = idContext === undefined ? [Buffer.from([0xf6])] : byteString(idContext);
      const name = [Buffer.from([algorithm, 0x60 | type.length]), Buffer.from(type)];
      const info = [Buffer.from([0x85]), ...byteString(id), ...context, ...name];
      const whole = Buffer.concat([...info, Buffer.from([length])]);
      return Buffer.from(hkdfSync("sha256", secret, salt, whole, length));
    };
    this.#material = material;
    this.#sequence = sequence;
    this.#senderKey = derive(sender, "Key", 16);
    this.#recipientKey = derive(recipient, "Key", 16);
    this.#commonIv = derive(Buffer.alloc(0), "IV", nonceLength);
  }

  /** The nonce for a Partial IV of the end with this ID (RFC 8613 §5.2). */
  nonce(id: Uint8Array, piv: Uint8Array): Buffer {
    const nonce = Buffer.alloc(nonceLength);
    nonce[0] = id.length;
    nonce.set(id, 1 + longestId - id.length);
    nonce.set(piv, nonceLength - piv.length);
    return nonce.map((byte, at) => byte ^ this.#commonIv[at]!) as Buffer;
  }

  /** Protects a request (RFC 8613 §8.1). */
  protect(request: Message): { message: Message; binding: Binding } {
    const { sender, idContext } = this.#material;
    const kid = Buffer.from(sender);
    const piv = encodePiv(this.#sequence.take());
    const binding = { kid, piv, newest: -1, answered: false };
    const observe = request.options.some(({ name }) => name === "Observe");
    const sealer = createCipheriv(cipher, this.#senderKey, this.nonce(kid, piv), {
      authTagLength: tagLength,
    });
    const inner = plaintext({
      ...request,
      options: request.options.filter(({ name }) => !outside.has(name)),
    });
    sealer.setAAD(additionalData(binding), { plaintextLength: inner.length });
    const payload = Buffer.concat([sealer.update(inner), sealer.final(), sealer.getAuthTag()]);
    const flags = piv.length | 0x08 | (idContext === undefined ? 0 : 0x10);
    const context = idContext === undefined ? [] : [Buffer.from([idContext.length]), idContext];
    const value = Buffer.concat([Buffer.from([flags]), piv, ...context, kid]);
    return {
      // RFC 8613 §4.1.3.5, §4.2: only that something is observed is seen from outside.
      message: {
        code: observe ? "0.05" : "0.02",
        options: [
          ...request.options.filter(({ name }) => outside.has(name) || name === "Observe"),
          { name: oscore, value },
        ],
        payload,
      },
      binding,
    };
  }

  /**
   * Opens what answers a request (RFC 8613 §8.4): the packet as it was before it was protected. An answer that is not protected, was made with another key, or
   * is older than one that came before it is a NodeError `insecure`.
   */
  unprotect(packet: ParsedPacket, binding: Binding): ParsedPacket {
    const value = packet.options.find(({ name }) => name === oscore)?.value as Buffer | undefined;
    if (value === undefined) {
      // RFC 8613 §8.2: how a node says that it cannot open a request. Anybody could have said it.
      const said = packet.code.startsWith("4.") ? oneLine(packet.payload.toString("utf8")) : "";
      throw insecure(`is not protected${said && ` (${packet.code} ${said})`}`);
    }
    const piv = responsePiv(value, this.#material.recipient);
    if (piv === undefined) throw insecure("has a malformed OSCORE option");
    // A response without a number of its own has the nonce of its request.
    const own = piv.length > 0;
    const nonce = own
      ? this.nonce(this.#material.recipient, piv)
      : this.nonce(binding.kid, binding.piv);
    const end = packet.payload.length - tagLength;
    if (end < 1) throw insecure("is too short");
    const opener = createDecipheriv(cipher, this.#recipientKey, nonce, {
      authTagLength: tagLength,
    });
    opener.setAuthTag(packet.payload.subarray(end));
    opener.setAAD(additionalData(binding), { plaintextLength: end });
    let inner: Buffer;
    try {
      inner = opener.update(packet.payload.subarray(0, end));
      opener.final();
    } catch (cause) {
      throw insecure("was not made with the key of this node, or was changed", cause);
    }
    let opened: ParsedPacket;
    try {
      opened = parse(Buffer.concat([Buffer.from([0x40, inner[0]!, 0, 0]), inner.subarray(1)]));
    } catch (cause) {
      throw insecure("is not a message within", cause);
    }
    // RFC 8613 §4.1.3.5.2: notifications are ordered by their numbers; one that is not newer was replayed, or overtaken. For those
    // who observe, it takes the place of the value of Observe, which is empty within: one more, for a response without a number comes before them.
    const observe = opened.options.find(({ name }) => name === "Observe");
    const number = own ? piv.reduce((sum, byte) => sum * 256 + byte, 0) : -1;
    // RFC 8613 §7.4.1: nor is any other answer believed twice.
    if (own ? number <= binding.newest : binding.answered)
      throw insecure("is older than what came before");
    binding.answered = true;
    binding.newest = Math.max(binding.newest, number);
    if (observe && own) {
      observe.value = Buffer.alloc(4);
      observe.value.writeUInt32BE((number + 1) % 2 ** 24);
    }
    const { ack, confirmable, reset, messageId, token } = packet;
    return { ...opened, ack, confirmable, reset, messageId, token };
  }
}

function insecure(what: string, cause?: unknown): NodeError {
  return new NodeError("insecure", `an answer ${what}; it was not believed`, { cause });
}

/** Code, options, and the payload behind its marker (RFC 8613 §5.3). */
function plaintext({ code, options, payload }: Message): Buffer {
  const whole = generate({
    code,
    options: options as never,
    payload: Buffer.from(payload),
    messageId: 0,
    token: Buffer.alloc(0),
  });
  return Buffer.concat([whole.subarray(1, 2), whole.subarray(4)]);
}

/** A number in as few bytes as hold it, at least one. */
function encodePiv(number: number): Buffer {
  if (!Number.isSafeInteger(number) || number < 0 || number >= 2 ** (8 * longestPiv))
    throw new NodeError("insecure", "this context's sequence numbers are used up: rotate its keys");
  const hex = number.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
}

/**
 * The Partial IV of a response's OSCORE option: empty where it has none, `undefined` where the option is malformed or names
 * another sender than the node.
 */
function responsePiv(value: Buffer, recipient: Uint8Array): Buffer | undefined {
  if (value.length === 0) return value;
  const flags = value[0]!;
  const length = flags & 0x07;
  // Reserved bits, or a kid context, which no response needs.
  if ((flags & 0xf0) !== 0 || flags === 0 || length > longestPiv) return undefined;
  const piv = value.subarray(1, 1 + length);
  const rest = value.subarray(1 + length);
  const named = (flags & 0x08) === 0 ? rest.length === 0 : rest.equals(recipient);
  const minimal = piv.length < 2 || piv[0] !== 0;
  return piv.length === length && minimal && named ? piv : undefined;
}

/** The additional data (RFC 8613 §5.4): `["Encrypt0", h'', bstr .cbor [1, [alg], request_kid, request_piv, h'']]`. */
function additionalData({ kid, piv }: Binding): Buffer {
  const head = Buffer.from([0x85, 1, 0x81, algorithm]);
  const external = Buffer.concat([
    head,
    ...byteString(kid),
    ...byteString(piv),
    Buffer.from([0x40]),
  ]);
  return Buffer.concat([Buffer.from("\x83\x68Encrypt0\x40", "latin1"), ...byteString(external)]);
}

/** A CBOR byte string shorter than 24 bytes (RFC 8949 §3). */
function byteString(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length > 23) throw new RangeError("longer than 23 bytes");
  return [Buffer.from([0x40 | bytes.length]), bytes];
}
