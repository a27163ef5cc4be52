// Makes test/vectors/package.json: packages, good and wrong in one thing each, with what a node says to them. The keys are made up
// from fixed bytes, so that the file comes out the same every time; a test compares. `npm run gen` writes it.
import { createPrivateKey } from "node:crypto";
import binaryen from "binaryen";
import { encode } from "cbor2";
import { contractVersion, customSection, limits, manifestKeys } from "./lib/contract.ts";
import {
  digestOf,
  encodeManifest,
  keyId,
  makePackage,
  manifestEntries,
  readKey,
  sealManifest,
  type EnvelopeHeaders,
  type KeyPair,
  type PackageOptions,
} from "./lib/package.ts";
import {
  customBody,
  encodeFacts,
  joinSections,
  memoryBody,
  memorySection,
  noFacts,
  sections,
  type Facts,
} from "./lib/build/section.ts";

/** A package and what becomes of it on a node that trusts the first key, is of class `test` and has had sequence 5. */
export interface PackageVector {
  name: string;
  /** `ok`, or the contract's name of the refusal. */
  expected: string;
  package: string;
}

/** A key from 32 equal bytes (RFC 8410 §7: the fixed part of PKCS #8). */
function key(byte: number): KeyPair {
  const der = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    Buffer.alloc(32, byte),
  ]);
  const pem = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({
    format: "pem",
    type: "pkcs8",
  });
  return readKey(String(pem));
}

/** A handler for requests: a GET traps, a POST never ends, a PUT is answered, and a DELETE is not. */
const asked = `(import "wasmote" "y" (func $reply (param i32 i32 i32)))
    (memory 128 (pagesize 1))
    (global (export "buffer") i32 (i32.const 16))
    (func (export "request") (param i32 i32 i32)
      (if (i32.eq (local.get 0) (i32.const 1)) (then (unreachable)))
      (if (i32.eq (local.get 0) (i32.const 2)) (then (loop $again (br $again))))
      (if (i32.eq (local.get 0) (i32.const 3))
        (then (call $reply (i32.const 0x44) (i32.const 0) (i32.const 0)))))`;

/**
 * A module that counts its samples and publishes their number, and keeps it: as a number, and twice in a record, which must
 * never differ. `before` comes between the two.
 */
function counting(before = "", type: "f64" | "i64" = "f64"): Uint8Array {
  const [one, published] =
    type === "f64"
      ? ["(f64.const 1)", "(f32.demote_f64 (f64.load (i32.const 16)))"]
      : ["(i64.const 1)", "(f32.convert_i64_s (i64.load (i32.const 16)))"];
  const add = (place: number) =>
    `(i32.store (i32.const ${place}) (i32.add (i32.load (i32.const ${place})) (i32.const 1)))`;
  const text = `(module
    (import "wasmote" "p" (func $publish (param i32 f32)))
    (memory 1)
    (func (export "sample") (param i32 f32)
      (${type}.store (i32.const 16) (${type}.add (${type}.load (i32.const 16)) ${one}))
      ${add(32)} ${before} ${add(36)}
      (call $publish (i32.const 0) ${published})))`;
  const facts: Facts = {
    ...noFacts,
    sensors: ["level"],
    outputs: [{ name: "flow", unit: "" }],
    states: [
      { name: "total", at: 16, fields: [{ name: "", type }] },
      {
        name: "pair",
        at: 32,
        fields: [
          { name: "a", type: "i32" },
          { name: "b", type: "i32" },
        ],
      },
    ],
  };
  return joinSections([
    ...sections(binaryen.parseText(text).emitBinary()).map(({ id, body }) =>
      id === memorySection
        ? { id, body: memoryBody({ minimum: 64, maximum: 64, pageBits: 0 }) }
        : { id, body },
    ),
    { id: 0, body: customBody(customSection, encodeFacts(facts)) },
  ]);
}

/** A module that publishes its sample, after `before`. */
function module(before: string, tick = 0, request = ""): Uint8Array {
  const text = `(module
    (import "wasmote" "p" (func $publish (param i32 f32)))
    ${request}
    (func (export "sample") (param i32 f32) ${before} (call $publish (i32.const 0) (local.get 1)))
    ${tick > 0 ? '(func (export "tick") (call $publish (i32.const 0) (f32.const -1)))' : ""})`;
  const compiled = binaryen.parseText(text).emitBinary();
  const facts = {
    ...noFacts,
    sensors: ["level"],
    outputs: [{ name: "flow", unit: "" }],
    parameters: [{ name: "limit", initial: 1, minimum: 0, maximum: 10 }],
    tick,
    buffer: request === "" ? 0 : 64,
  };
  return joinSections([
    ...sections(compiled),
    { id: 0, body: customBody(customSection, encodeFacts(facts)) },
  ]);
}

/** Manifests with one thing wrong in each. */
function wrongManifests(
  module: Uint8Array,
  options: PackageOptions,
): [name: string, expected: string, manifest: Uint8Array, headers?: EnvelopeHeaders][] {
  const whole = manifestEntries({
    contract: contractVersion,
    digest: digestOf(module),
    size: module.length,
    ...options,
  });
  const keys = manifestKeys;
  const manifest = (entries: [number, unknown][]) => encode(new Map(entries));
  const set = (key: number, value: unknown) =>
    manifest(whole.map(([k, v]) => (k === key ? [k, value] : [k, v])));
  const without = (key: number) => manifest(whole.filter(([k]) => k !== key));
  const needs = (change: Partial<PackageOptions["needs"]>) => {
    const { ram, table, fuel, sensors, outputs } = { ...options.needs, ...change };
    return set(keys.needs, [ram, table, fuel, sensors, outputs]);
  };
  const good = manifest(whole);
  const long = "x".repeat(33);
  return [
    ["of another version of the contract", "contract", set(keys.contract, 2)],
    ["its contract is a text", "malformed", set(keys.contract, "1")],
    ["without a contract", "contract", without(keys.contract)],
    ["its vendor is too long", "malformed", set(keys.vendor, long)],
    ["its vendor is a number", "malformed", set(keys.vendor, 1)],
    ["its class is too long", "malformed", set(keys.class, long)],
    ["without a class", "class", without(keys.class)],
    ["its sequence is 0", "malformed", set(keys.sequence, 0)],
    ["its sequence is negative", "malformed", set(keys.sequence, -1)],
    ["its sequence has 33 bits", "malformed", set(keys.sequence, 2 ** 32)],
    ["without a sequence", "malformed", without(keys.sequence)],
    ["its digest is short", "malformed", set(keys.digest, new Uint8Array(31).fill(1))],
    ["its digest is another module's", "digest", set(keys.digest, new Uint8Array(32).fill(1))],
    ["without a digest", "malformed", without(keys.digest)],
    ["its size is too small", "digest", set(keys.size, module.length - 1)],
    ["its size is too large", "digest", set(keys.size, module.length + 1)],
    ["its size is 0", "malformed", set(keys.size, 0)],
    ["without a size", "malformed", without(keys.size)],
    ["its name is too long", "malformed", set(keys.name, long)],
    ["its name has a line break", "malformed", set(keys.name, "a\nb")],
    ["its version is too long", "malformed", set(keys.version, long)],
    ["its needs are four", "malformed", set(keys.needs, [0, 0, 0, 1])],
    ["its needs are six", "malformed", set(keys.needs, [0, 0, 0, 1, 1, 1])],
    ["needs more sensors", "needs", needs({ sensors: 200 })],
    ["needs more outputs", "needs", needs({ outputs: 17 })],
    [
      "its second key is short",
      "malformed",
      manifest([...whole, [keys.add_key, new Uint8Array(31)]]),
    ],
    [
      "its dropped key is long",
      "malformed",
      manifest([...whole, [keys.drop_key, new Uint8Array(9)]]),
    ],
    ["with a key that nobody knows", "malformed", manifest([...whole, [13, 1]])],
    ["its era is negative", "malformed", manifest([...whole, [keys.era, -1]])],
    ["its era has 33 bits", "malformed", manifest([...whole, [keys.era, 2 ** 32]])],
    ["its keys are out of order", "malformed", manifest(whole.toReversed())],
    ["its manifest has something behind it", "malformed", Uint8Array.from([...good, 0])],
    ["its manifest ends early", "malformed", good.subarray(0, -1)],
    ["its manifest is no map", "malformed", encode([1, 2])],
    // A map without a length: BF … FF.
    ["its manifest has no length", "malformed", Uint8Array.from([0xbf, ...good.subarray(1), 0xff])],
    [
      "signed with another algorithm",
      "malformed",
      good,
      {
        protected: new Map<number, unknown>([
          [1, -7],
          [4, new Uint8Array(8)],
        ]),
      },
    ],
    [
      "its key identifier is short",
      "malformed",
      good,
      {
        protected: new Map<number, unknown>([
          [1, -8],
          [4, new Uint8Array(7)],
        ]),
      },
    ],
    [
      "with an unprotected header",
      "malformed",
      good,
      { unprotected: new Map<number, unknown>([[4, 1]]) },
    ],
  ];
}

export function packageVectors(): { keys: string[]; packages: PackageVector[] } {
  const [trusted, other] = [key(7), key(9)];
  const good = module("");
  const options: PackageOptions = {
    vendor: "",
    class: "test",
    sequence: 6,
    name: "vector",
    version: "1",
    needs: { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 1 },
  };
  const pack = (change: Partial<PackageOptions> = {}, signer = trusted, bytes = good) =>
    makePackage(bytes, { ...options, ...change }, signer);
  const packages: PackageVector[] = [];
  const add = (name: string, expected: string, bytes: Uint8Array) =>
    packages.push({ name, expected, package: Buffer.from(bytes).toString("hex") });
  const changed = (bytes: Uint8Array, at: number) => {
    const copy = Uint8Array.from(bytes);
    copy.set([(copy.at(at) ?? 0) ^ 1], at < 0 ? copy.length + at : at);
    return copy;
  };
  add("good", "ok", pack());
  add("good, and the next", "ok", pack({ sequence: 7 }));
  const modules: [name: string, before: string][] = [
    ["good, and traps at its first sample", "(unreachable)"],
    ["good, and spins at its first sample", "(loop $again (br $again))"],
    [
      "good, and traps at its eleventh sample",
      "(if (f32.eq (local.get 1) (f32.const 10)) (then (unreachable)))",
    ],
  ];
  for (const [name, before] of modules)
    add(name, "ok", pack({ sequence: 8 }, trusted, module(before)));
  add("good, and ticks every 10 ms", "ok", pack({ sequence: 8 }, trusted, module("", 10)));
  add("good, and answers requests", "ok", pack({ sequence: 8 }, trusted, module("", 0, asked)));
  const third = "(if (f32.eq (local.get 1) (f32.const 2)) (then (unreachable)))";
  const counters: [name: string, sequence: number, module: Uint8Array][] = [
    ["good, and counts", 6, counting()],
    ["good, and counts on", 7, counting("(nop)")],
    ["good, and counts in another type", 7, counting("(nop)", "i64")],
    ["good, counts and traps at its third sample", 8, counting(third)],
  ];
  for (const [name, sequence, bytes] of counters)
    add(name, "ok", pack({ sequence }, trusted, bytes));
  add("signed later", "ok", pack({ sequence: 10 }));
  // Another module than that of the next, or it would be no way back from it.
  add("first", "ok", pack({ sequence: 5 }, trusted, module("(nop)")));
  add("signed with an unknown key", "unknown-key", pack({}, other));
  add("of another class of boards", "class", pack({ class: "toaster" }));
  add("of a sequence number that was used", "sequence", pack({ sequence: 5, name: "again" }));
  add("of an older sequence number", "sequence", pack({ sequence: 1 }));
  const jump = limits.sequence_jump;
  add("good, and as far above as is taken", "ok", pack({ sequence: 5 + jump }));
  add("too far above what was installed", "sequence", pack({ sequence: 5 + jump + 1 }));
  add("the last sequence number there is", "sequence", pack({ sequence: 2 ** 32 - 1 }));
  add("good, and of the next era", "ok", pack({ era: 1, sequence: 1 }));
  add("of the next era, and too far above", "sequence", pack({ era: 1, sequence: jump + 1 }));
  add("of the era after the next", "sequence", pack({ era: 2, sequence: 6 }));
  add("of the last era there is", "sequence", pack({ era: 2 ** 32 - 1, sequence: 6 }));
  add("needs more RAM", "needs", pack({ needs: { ...options.needs, ram: 1 << 20 } }));
  add("needs more fuel", "needs", pack({ needs: { ...options.needs, fuel: 1 << 30 } }));
  add("needs more flash", "needs", pack({ needs: { ...options.needs, table: 1 << 20 } }));
  add("its module was altered", "digest", changed(pack(), -1));
  const envelope = pack().length - good.length;
  add("its signature was altered", "signature", changed(pack(), envelope - 1));
  add("its manifest was altered", "signature", changed(pack(), pack().indexOf(118, 20)));
  const wrong = wrongManifests(good, options);
  for (const [name, expected, manifest, headers] of wrong)
    add(name, expected, sealManifest(manifest, good, trusted, headers));
  const sealed = pack();
  add("without the tag", "malformed", sealed.subarray(1));
  add("with another tag", "malformed", changed(sealed, 0));
  add(
    "with a fifth part",
    "malformed",
    Uint8Array.from(sealed, (b, at) => (at === 1 ? 0x85 : b)),
  );
  add(
    "signed by another than it says",
    "signature",
    sealManifest(
      encodeManifest({
        contract: contractVersion,
        digest: digestOf(good),
        size: good.length,
        ...options,
      }),
      good,
      other,
      {
        protected: new Map<number, unknown>([
          [1, -8],
          [4, Uint8Array.from(keyId(trusted.publicKey))],
        ]),
      },
    ),
  );
  add("good, and brings a second key", "ok", pack({ sequence: 9, addKey: other.publicKey }));
  add(
    "good, and brings a second key for its own",
    "ok",
    pack({ sequence: 9, addKey: other.publicKey, dropKey: keyId(trusted.publicKey) }),
  );
  add("signed with the second key", "unknown-key", pack({ sequence: 10 }, other));
  add("drops the only key", "needs", pack({ dropKey: keyId(trusted.publicKey) }));
  add("no module", "module", pack({}, trusted, Buffer.from("no module at all")));
  add(
    "a module that imports what no node has",
    "module",
    pack(
      {},
      trusted,
      binaryen.parseText('(module (import "env" "f" (func)) (func (export "start")))').emitBinary(),
    ),
  );
  add("no package", "malformed", Buffer.from("this is no package, whatever it says it is"));
  return {
    keys: [trusted, other].map(({ publicKey }) => Buffer.from(publicKey).toString("hex")),
    packages,
  };
}
