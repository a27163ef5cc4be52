// The host's end of OSCORE against the vectors of RFC 8613, Appendix C; firmware/oscore reads the same file.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { describe, expect, test } from "vitest";
import { Context, type Message } from "../../host/lib/coap/oscore.ts";
import { ReservedNumbers } from "../../host/lib/coap/sequence.ts";

interface Derivation {
  section: string;
  secret: string;
  salt?: string;
  id_context?: string;
  sender: string;
  recipient: string;
  sender_nonce: string;
  recipient_nonce: string;
}
interface Protected {
  section: string;
  what: "request" | "response";
  client: string;
  server: string;
  number?: number;
  request?: number;
  unprotected: string;
  protected: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/oscore.json", import.meta.url), "utf8"),
) as { derivations: Derivation[]; messages: Protected[] };
const hex = (text: string) => Buffer.from(text, "hex");

/** The context of a derivation, whose next sequence number is this one. */
function context(section: string, number = 0): Context {
  const one = vectors.derivations.find((each) => each.section === section)!;
  const material = {
    secret: hex(one.secret),
    salt: one.salt === undefined ? undefined : hex(one.salt),
    idContext: one.id_context === undefined ? undefined : hex(one.id_context),
    sender: hex(one.sender),
    recipient: hex(one.recipient),
  };
  return new Context(material, { take: () => number++ });
}

const message = (packet: ParsedPacket) => packet as unknown as Message;
const bytes = (packet: ParsedPacket, { code, options, payload }: Message) =>
  generate({ ...packet, code, options: options as never, payload: Buffer.from(payload) });

describe("the vectors of RFC 8613", () => {
  test.each(vectors.derivations)("$section derives its nonces", (one) => {
    const derived = context(one.section);
    const zero = Buffer.from([0]);
    expect(derived.nonce(hex(one.sender), zero)).toEqual(hex(one.sender_nonce));
    expect(derived.nonce(hex(one.recipient), zero)).toEqual(hex(one.recipient_nonce));
  });

  test.each(vectors.messages.filter(({ what }) => what === "request"))(
    "$section protects its request to the byte",
    (one) => {
      const packet = parse(hex(one.unprotected));
      const { message: sealed } = context(one.client, one.number).protect(message(packet));
      expect(bytes(packet, sealed).toString("hex")).toBe(one.protected);
    },
  );

  test.each(vectors.messages.filter(({ what }) => what === "response"))(
    "$section opens its response, and nothing that differs from it in a bit",
    (one) => {
      const client = context(one.client, one.request);
      const { binding } = client.protect({ code: "0.01", options: [], payload: Buffer.alloc(0) });
      const sealed = hex(one.protected);
      const opened = client.unprotect(parse(sealed), binding);
      const plain = parse(hex(one.unprotected));
      expect([opened.code, opened.payload, opened.messageId, opened.token]).toEqual([
        plain.code,
        plain.payload,
        plain.messageId,
        plain.token,
      ]);
      // From the OSCORE option on: what is before it belongs to the way.
      let refused = 0;
      for (let bit = 8 * 8; bit < sealed.length * 8; bit++) {
        const changed = Buffer.from(sealed);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        let packet: ParsedPacket;
        try {
          packet = parse(changed);
        } catch {
          continue;
        }
        expect(() => client.unprotect(packet, binding), `bit ${bit}`).toThrow(/not believed/);
        refused++;
      }
      expect(refused).toBeGreaterThan(100);
    },
  );
});

test("an answer that is not protected is not believed", () => {
  const client = context("C.1.1");
  const { binding } = client.protect({ code: "0.01", options: [], payload: Buffer.alloc(0) });
  const plain = parse(hex("64455d1f00003974ff48656c6c6f20576f726c6421"));
  expect(() => client.unprotect(plain, binding)).toThrow("is not protected");
});

test("an answer to another request is not believed", () => {
  const client = context("C.1.1", 20);
  const request = { code: "0.01", options: [], payload: Buffer.alloc(0) };
  client.protect(request);
  const { binding } = client.protect(request);
  const answer = parse(hex(vectors.messages.at(-1)!.protected));
  expect(() => client.unprotect(answer, binding)).toThrow(/not believed/);
});

test("nothing of a request but that something is observed is seen from outside", () => {
  const options = [
    { name: "Observe", value: Buffer.alloc(0) },
    { name: "Uri-Path", value: Buffer.from("secret") },
    { name: "Block1", value: Buffer.from([6]) },
    { name: "252", value: Buffer.from("echo") },
    { name: "65000", value: Buffer.from("unknown") },
  ];
  const { message: sealed } = context("C.1.1").protect({
    code: "0.01",
    options,
    payload: hex("00"),
  });
  expect(sealed.code).toBe("0.05");
  expect(new Set(sealed.options.map(({ name }) => name))).toEqual(new Set(["OSCORE", "Observe"]));
  expect(Buffer.from(sealed.payload).includes("secret")).toBe(false);
});

test("sequence numbers end where Partial IVs do, and keys have two ends", () => {
  const request = { code: "0.01", options: [], payload: Buffer.alloc(0) };
  expect(() => context("C.1.1", 2 ** 40 - 1).protect(request)).not.toThrow();
  expect(() => context("C.1.1", 2 ** 40).protect(request)).toThrow("rotate its keys");
  const id = Buffer.from([1]);
  const material = { secret: Buffer.alloc(16), sender: id, recipient: id };
  expect(() => new Context(material, { take: () => 0 })).toThrow("different IDs");
});

test("no sequence number is used twice, by several processes that are killed at any moment", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const module = new URL("../../host/lib/coap/sequence.ts", import.meta.url).href;
  // Each prints the numbers it has used, until it is killed.
  const script = `const { ReservedNumbers } = await import(${JSON.stringify(module)});
    const numbers = new ReservedNumbers(${JSON.stringify(join(folder, "numbers"))});
    for (;;) process.stdout.write(numbers.take() + "\\n") || (await new Promise((go) => process.stdout.once("drain", go)));`;
  const file = join(folder, "use.mts");
  writeFileSync(file, script);
  const loader = new URL("../../node_modules/tsx/dist/loader.mjs", import.meta.url).href;
  try {
    const used: number[] = [];
    const round = async () => {
      const child = spawn(process.execPath, ["--import", loader, file], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      child.stdout.setEncoding("utf8");
      for await (const part of child.stdout) {
        text += part as string;
        if (text.length > 1_500 && !child.killed) child.kill("SIGKILL");
      }
      // What it did not finish to print it may have used too; it is no whole line.
      used.push(...text.split("\n").slice(0, -1).map(Number));
    };
    for (let i = 0; i < 3; i++) await Promise.all([round(), round(), round()]);
    expect(used.length).toBeGreaterThan(900);
    expect(new Set(used).size).toBe(used.length);
    expect(readdirSync(join(folder, "numbers")).length).toBeLessThan(8);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("what one process sends after another is newer, so that no window takes it for a replay", () => {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  try {
    const all = [0, 1, 2].map(() => new ReservedNumbers(join(folder, "numbers")));
    let last = -1;
    for (const turn of [0, 0, 1, 0, 2, 2, 1, 0, 1, 2, 0, 0, 0, 1]) {
      const number = all[turn]!.take();
      expect(number).toBeGreaterThan(last);
      // Both under way at once: the older one is still within the window of 32.
      expect(number - last).toBeLessThan(32);
      last = number;
    }
    // Whoever empties the folder does not make anybody begin anew.
    last = all[0]!.take();
    rmSync(join(folder, "numbers"), { recursive: true, force: true });
    for (let n = 0; n < 40; n++) {
      const number = all[0]!.take();
      expect(number).toBeGreaterThan(last);
      last = number;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
