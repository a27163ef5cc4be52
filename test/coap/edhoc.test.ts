// The host's end of EDHOC against the traces of RFC 9529; firmware/edhoc reads the same file.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  agree,
  derive,
  errorText,
  exporterLabels,
  exportOscore,
  extract,
  hash,
  Initiator,
  labels,
  mac,
  makeCredential,
  makeSecret,
  open,
  parseCredential,
  publicKey,
  seal,
  transcript,
  transcript2,
  type Credential,
} from "../../host/lib/coap/edhoc.ts";

interface End {
  secret: string;
  x: string;
  credential: string;
  kid: string;
  ephemeral: string;
}
const vectors = JSON.parse(
  readFileSync(new URL("../vectors/edhoc.json", import.meta.url), "utf8"),
) as {
  initiator: End & { g_x: string; c_i: string };
  responder: End & { g_y: string; c_r: string };
  messages: Record<"message_1" | "message_2" | "message_3" | "message_4" | "error", string>;
  values: Record<string, string>;
  key_update: Record<string, string>;
  invalid: { section: string; what: string; message: string; bytes: string }[];
};
const hex = (text: string) => Buffer.from(text, "hex");
const value = (name: string) => hex(vectors.values[name]!);
const { initiator: i, responder: r, messages } = vectors;
const none = Buffer.alloc(0);
const credentialOf = ({ credential }: End) => parseCredential(hex(credential))!;
const [credI, credR] = [credentialOf(i), credentialOf(r)];

/** The initiator of the trace. */
function initiator(change: { secret?: Buffer; connection?: Buffer } = {}): Initiator {
  return new Initiator({
    own: { credential: credI, secret: change.secret ?? hex(i.secret) },
    connection: change.connection ?? hex(i.c_i),
    preferred: [6],
    ephemeral: hex(i.ephemeral),
  });
}

/** A message_2 with this plaintext, under the keys of the trace: what only its responder can make. */
function sealed(plaintext: Buffer): Buffer {
  const stream = derive(value("prk_2e"), labels.keystream2, value("th_2"), plaintext.length);
  const ciphertext = plaintext.map((byte, at) => byte ^ stream[at]!);
  const whole = Buffer.concat([hex(r.g_y), ciphertext]);
  return Buffer.concat([Buffer.from([0x58, whole.length]), whole]);
}

/** All messages that differ from this one in a bit. */
function* flipped(good: Buffer): Generator<[number, Buffer]> {
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = Buffer.from(good);
    bad[bit >> 3]! ^= 1 << (bit & 7);
    yield [bit, bad];
  }
}

const insecure = expect.objectContaining({ name: "NodeError", code: "insecure" }) as Error;
const refusing = (act: () => unknown, what?: string) => expect(act, what).toThrow(insecure);

describe("the trace of RFC 9529, section 3", () => {
  const [th2, th3, th4] = ["th_2", "th_3", "th_4"].map(value) as [Buffer, Buffer, Buffer];
  const [prk2e, prk3e2m, prk4e3m] = ["prk_2e", "prk_3e2m", "prk_4e3m"].map(value) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  test.each([
    ["g_xy", () => agree(hex(i.ephemeral), hex(r.g_y))],
    ["g_xy", () => agree(hex(r.ephemeral), hex(i.g_x))],
    ["g_rx", () => agree(hex(i.ephemeral), hex(r.x))],
    ["g_rx", () => agree(hex(r.secret), hex(i.g_x))],
    ["g_iy", () => agree(hex(i.secret), hex(r.g_y))],
    ["g_iy", () => agree(hex(r.ephemeral), hex(i.x))],
    ["message_1_hash", () => hash(hex(messages.message_1))],
    ["th_2", () => transcript2(hex(r.g_y), hex(messages.message_1))],
    ["prk_2e", () => extract(th2, value("g_xy"))],
    ["salt_3e2m", () => derive(prk2e, labels.salt3e2m, th2, 32)],
    ["prk_3e2m", () => extract(value("salt_3e2m"), value("g_rx"))],
    ["mac_2", () => mac(prk3e2m, labels.mac2, hex(r.c_r), credR, th2)],
    ["keystream_2", () => derive(prk2e, labels.keystream2, th2, 11)],
    ["th_3", () => transcript(th2, value("plaintext_2"), credR)],
    ["salt_4e3m", () => derive(prk3e2m, labels.salt4e3m, th3, 32)],
    ["prk_4e3m", () => extract(value("salt_4e3m"), value("g_iy"))],
    ["mac_3", () => mac(prk4e3m, labels.mac3, none, credI, th3)],
    ["k_3", () => derive(prk3e2m, labels.k3, th3, 16)],
    ["iv_3", () => derive(prk3e2m, labels.iv3, th3, 13)],
    ["ciphertext_3", () => seal(value("k_3"), value("iv_3"), th3, value("plaintext_3"))],
    ["plaintext_3", () => open(value("k_3"), value("iv_3"), th3, value("ciphertext_3"))],
    ["th_4", () => transcript(th3, value("plaintext_3"), credI)],
    ["k_4", () => derive(prk4e3m, labels.k4, th4, 16)],
    ["iv_4", () => derive(prk4e3m, labels.iv4, th4, 13)],
    ["prk_out", () => derive(prk4e3m, labels.prkOut, th4, 32)],
    ["prk_exporter", () => derive(value("prk_out"), labels.prkExporter, none, 32)],
    ["oscore_secret", () => derive(value("prk_exporter"), exporterLabels.oscoreSecret, none, 16)],
    ["oscore_salt", () => derive(value("prk_exporter"), exporterLabels.oscoreSalt, none, 8)],
    ["oscore_secret", () => exportOscore(value("prk_out")).secret],
    ["oscore_salt", () => exportOscore(value("prk_out")).salt],
  ])("has this %s", (name, derived) => {
    expect(derived().toString("hex")).toBe(vectors.values[name]);
  });

  test("has this update of what came of it (RFC 9528 Appendix H)", () => {
    const { context, prk_out: updated, ...keys } = vectors.key_update;
    const prkOut = derive(value("prk_out"), 11, hex(context!), 32);
    expect(prkOut.toString("hex")).toBe(updated);
    const { secret, salt } = exportOscore(prkOut);
    expect([secret, salt]).toEqual([hex(keys["oscore_secret"]!), hex(keys["oscore_salt"]!)]);
  });

  test("has these keys, in credentials that are made as they are read", () => {
    for (const [end, subject] of [
      [i, "42-50-31-FF-EF-37-32-39"],
      [r, "example.edu"],
    ] as const) {
      expect(publicKey(hex(end.secret))).toEqual(hex(end.x));
      const made = makeCredential(hex(end.secret), hex(end.kid), subject);
      expect(Buffer.from(made.ccs).toString("hex")).toBe(end.credential);
      expect(parseCredential(made.ccs)).toMatchObject({ kid: hex(end.kid), x: hex(end.x) });
    }
    expect(publicKey(hex(i.ephemeral))).toEqual(hex(i.g_x));
    expect(publicKey(hex(r.ephemeral))).toEqual(hex(r.g_y));
  });

  test("has these messages, and an OSCORE context in the end", () => {
    const first = initiator();
    expect(first.message1.toString("hex")).toBe(messages.message_1);
    const answered = first.answer(hex(messages.message_2), [credI, credR]);
    expect(answered.message3.toString("hex")).toBe(messages.message_3);
    expect(answered.peer).toBe(credR);
    expect(answered.connection).toEqual(hex(r.c_r));
    expect(answered.finish(hex(messages.message_4))).toEqual({
      secret: value("oscore_secret"),
      salt: value("oscore_salt"),
      sender: hex(r.c_r),
      recipient: hex(i.c_i),
    });
    refusing(() => first.answer(hex(messages.message_2), [credR]), "a message_2 again");
  });
});

describe("a hostile responder", () => {
  const answer = (message2: Buffer, peers: Credential[] = [credR]) =>
    initiator().answer(message2, peers);

  test("cannot cut off or change a bit of message_2", () => {
    const good = hex(messages.message_2);
    for (let length = 0; length < good.length; length++)
      refusing(() => answer(good.subarray(0, length)), `${length} bytes`);
    for (const [bit, bad] of flipped(good)) refusing(() => answer(bad), `bit ${bit}`);
    refusing(() => answer(Buffer.concat([good, Buffer.from([0])])));
  });

  test("cannot put anything else into its plaintext", () => {
    const good = value("plaintext_2");
    expect(answer(sealed(good)).message3.toString("hex")).toBe(messages.message_3);
    for (let length = 0; length < good.length; length++)
      refusing(() => answer(sealed(good.subarray(0, length))), `${length} bytes`);
    for (const [bit, bad] of flipped(good)) refusing(() => answer(sealed(bad)), `bit ${bit}`);
    for (const [ead, message] of [
      [[0x20], /critical/],
      [[0x00], /another key/],
      [[0x40], /malformed/],
    ] as const)
      expect(() => answer(sealed(Buffer.concat([good, Buffer.from(ead)])))).toThrow(message);
  });

  test.each(vectors.invalid.filter(({ message }) => message !== "message_1"))(
    "is refused what RFC 9529 §$section has: $what",
    ({ message, bytes }) => {
      refusing(() => answer(message === "message_2" ? hex(bytes) : sealed(hex(bytes))));
    },
  );

  test("has to be known, by its key and by its name", () => {
    const message2 = hex(messages.message_2);
    expect(() => answer(message2, [])).toThrow(/not known \(kid 32\)/);
    expect(() => answer(message2, [credI])).toThrow(/not known/);
    const subject = Buffer.from(credR.ccs);
    subject[5]! ^= 1;
    for (const change of [{ x: credI.x }, { ccs: subject }])
      expect(() => answer(message2, [{ ...credR, ...change }])).toThrow(/another key/);
    refusing(() => answer(message2, [{ ...credR, x: Buffer.alloc(32, 0xff) }]));
    // What it chose is what we call the connection.
    const same = initiator({ connection: hex(r.c_r) });
    refusing(() => same.answer(message2, [credR]));
  });

  test("has to show that it has the secret, in message_4", () => {
    const answered = answer(hex(messages.message_2));
    const good = hex(messages.message_4);
    for (let length = 0; length < good.length; length++)
      refusing(() => answered.finish(good.subarray(0, length)), `${length} bytes`);
    for (const [bit, bad] of flipped(good)) refusing(() => answered.finish(bad), `bit ${bit}`);
    const [k4, iv4, th4] = ["k_4", "iv_4", "th_4"].map(value) as [Buffer, Buffer, Buffer];
    const saying = (plaintext: number[]) => {
      const text = seal(k4, iv4, th4, Buffer.from(plaintext));
      return answered.finish(Buffer.concat([Buffer.from([0x40 | text.length]), text]));
    };
    expect(() => saying([0x20])).toThrow(/critical/);
    expect(() => saying([0x40])).toThrow(/malformed/);
    expect(saying([0x00, 0x41, 0xff]).secret).toEqual(value("oscore_secret"));
    expect(answered.finish(good).secret).toEqual(value("oscore_secret"));
  });

  test.each([
    ["0202", "it has none of our cipher suites"],
    ["03f5", "it does not know our credential"],
    ["01636f6e65", "one"],
    ["01656f1b5b316d", "o"],
    ["0163", undefined],
    ["", undefined],
    ["04f5", undefined],
    ["5820", undefined],
  ])("says %s, which is told as text", (message, text) => {
    const told = errorText(hex(message));
    if (text === undefined) expect(told).toBeUndefined();
    else expect(told).toContain(text);
    // eslint-disable-next-line no-control-regex -- what must not get to a terminal
    expect(told ?? "").not.toMatch(/[\x00-\x1f\x7f]/);
  });
});

describe("credentials", () => {
  test("are read in their only encoding, and nothing beyond", () => {
    const good = hex(i.credential);
    for (let length = 0; length < good.length; length++)
      expect(parseCredential(good.subarray(0, length)), `${length} bytes`).toBeUndefined();
    expect(parseCredential(Buffer.concat([good, none, Buffer.from([0])]))).toBeUndefined();
    for (const [bit, bad] of flipped(good)) {
      const other = parseCredential(bad);
      // Another name, kid or point, or none.
      if (other !== undefined) expect(other.ccs, `bit ${bit}`).not.toEqual(good);
    }
    // A subject that is no text, and one that is.
    const key = i.credential.slice(58);
    expect(parseCredential(hex(`a20261ff08a101${key}`))).toBeUndefined();
    expect(parseCredential(hex(`a202616108a101${key}`))).toBeDefined();
    for (const other of ["bf08a101", "b80108a101", "a208a101", "a108a102", "a108a201"])
      expect(parseCredential(hex(other + key)), other).toBeUndefined();
  });

  test("are made of any key, which is never a byte short", () => {
    for (let round = 0; round < 600; round++) {
      const secret = makeSecret();
      expect(secret.length).toBe(32);
      if (round % 50 !== 0) continue;
      const made = makeCredential(secret, Buffer.from([0x80, round & 0xff]));
      expect(parseCredential(made.ccs)).toMatchObject({ kid: made.kid, x: publicKey(secret) });
    }
    const secret = makeSecret();
    expect(() => makeCredential(secret, Buffer.alloc(8))).toThrow(RangeError);
    expect(() => makeCredential(secret, Buffer.alloc(1), "x".repeat(200))).toThrow(RangeError);
    for (const bad of [Buffer.alloc(32), Buffer.alloc(32, 0xff), Buffer.alloc(31, 1)])
      expect(() => publicKey(bad)).toThrow(RangeError);
  });
});
