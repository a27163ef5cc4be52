// Makes test/vectors/package.json: packages, good and wrong in one thing each, with what a node says to them. The keys are made up
// from fixed bytes, so that the file comes out the same every time; a test compares. `npm run gen` writes it.
import { createPrivateKey } from "node:crypto";
import binaryen from "binaryen";
import { customSection } from "./lib/contract.ts";
import { makePackage, readKey, type KeyPair, type PackageOptions } from "./lib/package.ts";
import { customBody, encodeFacts, joinSections, noFacts, sections } from "./lib/section.ts";

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

/** A module that publishes its sample, after `before`. */
function module(before: string): Uint8Array {
  const text = `(module
    (import "wasmote" "p" (func $publish (param i32 f32)))
    (func (export "sample") (param i32 f32) ${before} (call $publish (i32.const 0) (local.get 1))))`;
  const compiled = binaryen.parseText(text).emitBinary();
  const facts = {
    ...noFacts,
    sensors: ["level"],
    outputs: [{ name: "flow", unit: "" }],
    parameters: [{ name: "limit", initial: 1, minimum: 0, maximum: 10 }],
  };
  return joinSections([
    ...sections(compiled),
    { id: 0, body: customBody(customSection, encodeFacts(facts)) },
  ]);
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
  add(
    "good, and traps at its first sample",
    "ok",
    pack({ sequence: 8 }, trusted, module("(unreachable)")),
  );
  add("first", "ok", pack({ sequence: 5 }));
  add("signed with an unknown key", "unknown-key", pack({}, other));
  add("of another class of boards", "class", pack({ class: "toaster" }));
  add("of a sequence number that was used", "sequence", pack({ sequence: 5, name: "again" }));
  add("of an older sequence number", "sequence", pack({ sequence: 1 }));
  add("needs more RAM", "needs", pack({ needs: { ...options.needs, ram: 1 << 20 } }));
  add("needs more fuel", "needs", pack({ needs: { ...options.needs, fuel: 1 << 30 } }));
  add("needs more flash", "needs", pack({ needs: { ...options.needs, table: 1 << 20 } }));
  add("its module was altered", "digest", changed(pack(), -1));
  const envelope = pack().length - good.length;
  add("its signature was altered", "signature", changed(pack(), envelope - 1));
  add("its manifest was altered", "signature", changed(pack(), pack().indexOf(118, 20)));
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
