// What a request may cost the chip: a change that makes one dearer is seen here.
import { expect, test } from "vitest";
import { measureCost } from "../bench/coap-cost.ts";
import { environment } from "../../host/setup.mjs";

/** Instructions that a kind of request may take; a tenth or two above what it takes. */
const budgets: Record<string, number> = {
  // Of which some 900 are keyed hashes: who asks, and the entity tag.
  "GET of a sensor, text": 5_450,
  "discovery, first block": 43_000,
  "PUT of the time": 4_500,
  "a repeated PUT": 700,
  "a Block1 block of 256 bytes, handed over": 6_100,
  "a sample with 1 observer, a notification each": 5_900,
  "a sample with 16 observers, a notification each": 5_000,
  "a malformed datagram": 450,
  "GET of a sensor, text, protected": 62_000,
  "a Block1 block of 256 bytes, handed over, protected": 115_000,
  "a sample with 1 observer, a notification each, protected": 29_000,
};

const cost = measureCost();
const built = environment() as { qemu?: { ok: boolean }; toolchain?: { ok: boolean } };

if (typeof cost === "string" && !(built.qemu?.ok && built.toolchain?.ok)) {
  test.skip(`requests keep to their budgets: skipped: ${cost}`, () => {});
} else {
  test("requests keep to their budgets of instructions, flash and RAM", () => {
    if (typeof cost === "string") throw new Error(cost);
    const dear = Object.entries(budgets).flatMap(([name, budget]) => {
      const found = cost.requests.find((request) => request.name === name);
      return found !== undefined && found.instructions <= budget
        ? []
        : [`${name}: ${found?.instructions} of ${budget}`];
    });
    expect(dear).toEqual([]);
    // Nobody learns from the time it takes how much of a tag was right.
    const [right, ...wrong] = cost.tags;
    expect(right).toMatchObject({ tag: "right", taken: 200 });
    expect(wrong.length).toBe(3);
    for (const { instructions, taken } of wrong)
      expect({ instructions, taken }).toEqual({ instructions: right!.instructions, taken: 0 });
    // Whoever floods a node holds nobody up: only the first long forgery in a while is looked at to its end, and a key exchange has an
    // answer that says when to come again.
    expect(cost.floods.length).toBe(11);
    for (const { flood, idle, mean, most, late, rounds } of cost.floods) {
      const bound = / begun after|^no message/.test(flood) ? 2.3 : 2;
      expect(mean / idle, flood).toBeLessThan(bound);
      if (bound > 2) continue;
      const long = flood.includes("1 KiB");
      expect(late / rounds, flood).toBeLessThanOrEqual(long ? 0.05 : 0);
      expect(most / idle, flood).toBeLessThan(long ? 6 : 2);
    }
    expect(cost.ram).toBeLessThan(12 * 1024);
    const { stage, keys } = cost.contexts;
    expect(stage + keys).toBeLessThanOrEqual(3 * 1024);
    // Eight secrets and more are in either.
    expect(Math.min(stage, keys)).toBeGreaterThan(8 * 16);
    // What the compiler made of the crate and of the resources behind it, which it does not keep apart.
    // What is generic over its caller's functions is made once: `shares.rs` and `encode.rs` take them by reference. With a security
    // stage the compiler keeps the crate apart from the board's tasks, where a third of it was counted before.
    expect(cost.flash).toBeLessThan(40 * 1024);
    expect(cost.flash).toBeGreaterThan(4 * 1024);
  });
}
