// What a handshake of EDHOC may cost the chip.
import { expect, test } from "vitest";
import { environment } from "../../host/setup.mjs";
import { handshakeSteps, measureHandshake } from "../bench/edhoc-cost.ts";

const cost = measureHandshake();
const built = environment() as { qemu?: { ok: boolean }; toolchain?: { ok: boolean } };

if (typeof cost === "string" && !(built.qemu?.ok && built.toolchain?.ok)) {
  test.skip(`a handshake keeps to its budget: skipped: ${cost}`, () => {});
} else {
  test("a handshake on the chip is the one of RFC 9529, and keeps to its budget of instructions and flash", () => {
    if (typeof cost === "string") throw new Error(cost);
    const { steps, whole, flash } = cost;
    expect(steps.filter(({ good }) => !good)).toEqual([]);
    expect(steps.map(({ step }) => step)).toEqual(expect.arrayContaining(handshakeSteps));
    // A tenth above what it takes; the aim is below 100 million.
    expect(whole).toBeLessThan(54_000_000);
    expect(whole).toBeGreaterThan(1_000_000);
    // What is done before the curve, where requests are answered: some thousands, and a decryption.
    const of = (name: string) => steps.find(({ step }) => step === name)!.instructions;
    expect(of("message_1 is read")).toBeLessThan(8_000);
    expect(of("message_3 is opened")).toBeLessThan(80_000);
    // Nobody learns from the time it takes what a secret is.
    const agreements = steps.filter(({ step }) => step.startsWith("an agreement with"));
    expect(agreements.length).toBe(3);
    expect(new Set(agreements.map(({ instructions }) => instructions)).size).toBe(1);
    const stack = Math.max(...steps.map(({ stack: bytes }) => bytes));
    expect(stack).toBeLessThan(6 * 1024);
    expect(stack).toBeGreaterThan(600);
    expect(flash).toBeLessThan(20 * 1024);
    expect(flash).toBeGreaterThan(4 * 1024);
  });
}
