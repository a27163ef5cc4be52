// Doubles in software, which the chip has none of in hardware: in this computer's engine and in V8, which both have the processor
// compute them, and on the emulated Cortex-M4F interpreted and compiled. Every operation gets many pairs of operands that are made
// by the module itself, where rounding, cancelling and the ends of the range are near; what all results are is compared by a hash.
import binaryen from "binaryen";
import { expect, test } from "vitest";
import { instantiate, missingEngine } from "../../host/lib/engine.ts";
import { executeOnChip, noMachine, type MachineCommand } from "../harness/machine.ts";

const pairs = Number(process.env["WASMOTE_PAIRS"] ?? 16_000);

/** Zeros, subnormals, normal numbers and infinities at their ends, NaNs, and where the arithmetic on the chip goes other ways. */
const specials = [
  0x0000000000000000n,
  0x0000000000000001n,
  0x000fffffffffffffn,
  0x0010000000000000n,
  0x0010000000000001n,
  0x001fffffffffffffn,
  0x0340000000000000n,
  0x3690000000000000n,
  0x380fffffffffffffn,
  0x3810000000000000n,
  0x3fdfffffffffffffn,
  0x3fe0000000000000n,
  0x3fefffffffffffffn,
  0x3ff0000000000000n,
  0x3ff0000000000001n,
  0x3ff8000000000000n,
  0x41dfffffffc00000n,
  0x41f0000000000000n,
  0x4330000000000001n,
  0x433fffffffffffffn,
  0x4340000000000000n,
  0x43e0000000000000n,
  0x47efffffe0000000n,
  0x47effffff0000000n,
  0x7f80000000000000n,
  0x7f90000000000000n,
  0x7fdfffffffffffffn,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0x7ff0000000000001n,
  0x7ff8000000000000n,
  0x7fffffffffffffffn,
];

/** What is done with the locals $a and $b, which are bits, and gives bits. */
const operations: Record<string, string> = Object.fromEntries([
  ...["add", "sub", "mul", "div", "min", "max", "copysign"].map((name) => [
    name,
    `(i64.reinterpret_f64 (f64.${name} (f64.reinterpret_i64 (local.get $a)) (f64.reinterpret_i64 (local.get $b))))`,
  ]),
  ...["eq", "ne", "lt", "gt", "le", "ge"].map((name) => [
    name,
    `(i64.extend_i32_u (f64.${name} (f64.reinterpret_i64 (local.get $a)) (f64.reinterpret_i64 (local.get $b))))`,
  ]),
  ...["sqrt", "ceil", "floor", "trunc", "nearest"].map((name) => [
    name,
    `(i64.reinterpret_f64 (f64.${name} (f64.reinterpret_i64 (local.get $a))))`,
  ]),
  ...["convert_i32_s", "convert_i32_u"].map((name) => [
    name,
    `(i64.reinterpret_f64 (f64.${name} (i32.wrap_i64 (i64.shr_s (local.get $a) (i64.and (local.get $b) (i64.const 63))))))`,
  ]),
  ...["convert_i64_s", "convert_i64_u"].map((name) => [
    name,
    `(i64.reinterpret_f64 (f64.${name} (i64.shr_s (local.get $a) (i64.and (local.get $b) (i64.const 63)))))`,
  ]),
  [
    "promote",
    "(i64.reinterpret_f64 (f64.promote_f32 (f32.reinterpret_i32 (i32.wrap_i64 (i64.shr_u (local.get $a) (i64.const 29))))))",
  ],
  // Of what is near the range of the smaller format.
  [
    "demote",
    `(i64.extend_i32_u (i32.reinterpret_f32 (f32.demote_f64 (f64.reinterpret_i64 (select (local.get $a)
      (i64.or (i64.and (local.get $a) (i64.const 0x800fffffffffffff))
        (i64.shl (i64.add (i64.const 864) (i64.rem_u (local.get $b) (i64.const 320))) (i64.const 52)))
      (i32.wrap_i64 (i64.and (local.get $b) (i64.const 1024))))))))`,
  ],
  ...["i32_s", "i32_u", "i64_s", "i64_u"].map((name) => {
    const [type, sign] = name.split("_");
    const operation = `(${type}.trunc_sat_f64_${sign} (f64.reinterpret_i64 (local.get $a)))`;
    return [`truncate_${name}`, type === "i32" ? `(i64.extend_i32_u ${operation})` : operation];
  }),
]);

const bytes = (words: bigint[]) =>
  words
    .flatMap((word) =>
      Array.from({ length: 8 }, (_, at) => Number((word >> BigInt(8 * at)) & 255n)),
    )
    .map((byte) => `\\${byte.toString(16).padStart(2, "0")}`)
    .join("");

/** `single` says whether the result is of 32 bits, a NaN of which looks otherwise. */
const source = `(module
  (memory 1) (data (i32.const 0) "${bytes(specials)}")
  (global $state (mut i64) (i64.const 0))
  ;; splitmix64
  (func $next (result i64) (local $z i64)
    (global.set $state (i64.add (global.get $state) (i64.const 0x9e3779b97f4a7c15)))
    (local.set $z (global.get $state))
    (local.set $z (i64.mul (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 30))) (i64.const 0xbf58476d1ce4e5b9)))
    (local.set $z (i64.mul (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 27))) (i64.const 0x94d049bb133111eb)))
    (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 31))))
  ;; one of the specials, with any sign
  (func $special (result i64)
    (i64.xor
      (i64.load (i32.wrap_i64 (i64.shl (i64.and (call $next) (i64.const 31)) (i64.const 3))))
      (i64.and (call $next) (i64.const 0x8000000000000000))))
  ;; any number, of a mantissa that may have few ones or few zeros
  (func $any (result i64) (local $kind i64)
    (local.set $kind (i64.and (call $next) (i64.const 7)))
    (if (i64.eqz (local.get $kind)) (then (return (call $special))))
    (if (i64.le_u (local.get $kind) (i64.const 2))
      (then (return (i64.and (call $next) (i64.or (i64.const 0xfff0000000000000) (i64.and (i64.and (call $next) (call $next)) (call $next)))))))
    (if (i64.eq (local.get $kind) (i64.const 3))
      (then (return (i64.or (call $next) (i64.and (i64.const 0x000fffffffffffff) (i64.or (i64.or (call $next) (call $next)) (call $next)))))))
    ;; ones but for the last bits, two bits at any place, nothing from somewhere on
    (if (i64.eq (local.get $kind) (i64.const 4))
      (then (return (i64.or (call $next) (i64.and (i64.const 0x000fffffffffffff) (i64.shl (i64.const -1) (i64.and (call $next) (i64.const 15))))))))
    (if (i64.eq (local.get $kind) (i64.const 5))
      (then (return (i64.or (i64.and (call $next) (i64.const 0xfff0000000000000))
        (i64.and (i64.or (i64.shl (i64.const 1) (call $next)) (i64.shl (i64.const 1) (call $next))) (i64.const 0x000fffffffffffff))))))
    (if (i64.eq (local.get $kind) (i64.const 6))
      (then (return (i64.and (call $next) (i64.or (i64.const 0xfff0000000000000) (i64.shl (i64.const -1) (call $next)))))))
    (call $next))
  ;; a second operand: any, or one whose exponent suits that of the first
  (func $beside (param $a i64) (result i64) (local $kind i64) (local $near i64) (local $exponent i64)
    (local.set $kind (i64.and (call $next) (i64.const 7)))
    (if (i64.eqz (local.get $kind)) (then (return (call $any))))
    ;; a neighbour, of either sign
    (if (i64.eq (local.get $kind) (i64.const 1))
      (then (return (i64.xor (i64.add (local.get $a) (i64.sub (i64.and (call $next) (i64.const 7)) (i64.const 3)))
        (i64.and (call $next) (i64.const 0x8000000000000000))))))
    ;; two bits far below, of the same sign: what rounds and carries at once
    (if (i64.eq (local.get $kind) (i64.const 2))
      (then (return (i64.or
        (i64.and (i64.sub (local.get $a) (i64.shl (i64.and (call $next) (i64.const 63)) (i64.const 52))) (i64.const 0xfff0000000000000))
        (i64.and (i64.or (i64.shl (i64.const 1) (call $next)) (i64.shl (i64.const 1) (call $next))) (i64.const 0x000fffffffffffff))))))
    (local.set $exponent (i64.and (i64.shr_u (local.get $a) (i64.const 52)) (i64.const 2047)))
    (local.set $near (i64.sub (i64.and (call $next) (i64.const 127)) (i64.const 64)))
    ;; the same magnitude or one close by, so that sums cancel or round
    (if (i64.le_u (local.get $kind) (i64.const 4))
      (then (local.set $near (i64.add (local.get $exponent)
        (select (local.get $near) (i64.shr_s (local.get $near) (i64.const 5)) (i32.wrap_i64 (i64.and (call $next) (i64.const 1))))))))
    ;; products and quotients at the ends of the range
    (if (i64.eq (local.get $kind) (i64.const 5))
      (then (local.set $near (i64.add (i64.shr_s (local.get $near) (i64.const 4)) (i64.sub (i64.const 1023) (local.get $exponent))))))
    (if (i64.eq (local.get $kind) (i64.const 6))
      (then (local.set $near (i64.add (i64.shr_s (local.get $near) (i64.const 4)) (i64.sub (i64.const 3070) (local.get $exponent))))))
    (if (i64.eq (local.get $kind) (i64.const 7))
      (then (local.set $near (i64.add (i64.shr_s (local.get $near) (i64.const 4)) (i64.add (i64.const 1023) (local.get $exponent))))))
    (i64.or (i64.and (call $any) (i64.const 0x800fffffffffffff))
      (i64.shl (i64.and (local.get $near) (i64.const 2047)) (i64.const 52))))
  ;; so that engines with other NaNs can be compared: all of them become one
  (func $one_nan (param $bits i64) (param $single i32) (result i64)
    (select (i64.const 0x7ff8000000000000) (local.get $bits)
      (select
        (i64.gt_u (i64.and (local.get $bits) (i64.const 0x7fffffff)) (i64.const 0x7f800000))
        (i64.gt_u (i64.and (local.get $bits) (i64.const 0x7fffffffffffffff)) (i64.const 0x7ff0000000000000))
        (local.get $single))))
${Object.entries(operations)
  .map(
    ([name, body]) => `
  (func (export "${name}") (param $seed i64) (param $count i32) (param $exact i32) (result i64)
    (local $a i64) (local $b i64) (local $bits i64) (local $hash i64)
    (global.set $state (local.get $seed))
    (loop $again
      (local.set $a (call $any))
      (local.set $b (call $beside (local.get $a)))
      (local.set $bits ${body})
      (if (i32.eqz (local.get $exact)) (then (local.set $bits (call $one_nan (local.get $bits) (i32.const ${Number(name === "demote")})))))
      (local.set $hash (i64.rotl (i64.mul (i64.xor (local.get $hash) (local.get $bits)) (i64.const 0x9e3779b97f4a7c15)) (i64.const 29)))
      (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $hash))`,
  )
  .join("")})`;

const skip = missingEngine("wasmote") ?? missingEngine("v8") ?? noMachine;
const seeds = Array.from({ length: 8 }, (_, index) => BigInt(index) * 0x51ed270b9f8a5n + 7n);

test.skipIf(skip)(
  `doubles are those of a processor to the bit, interpreted and compiled${skip ? ` (skipped: ${skip})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const text = binaryen.parseText(source);
    text.setFeatures(binaryen.Features.All);
    const module = text.emitBinary();
    const nobody = () => undefined;
    const [own, v8] = [instantiate(module, "wasmote", nobody), instantiate(module, "v8", nobody)];
    for (const engine of [own, v8]) engine.call(undefined, [], 1000);
    const commands: MachineCommand[] = [{ do: "instantiate", name: "doubles", module }];
    const expected: { what: string; hash: unknown }[] = [];
    const count = Math.ceil(pairs / seeds.length);
    for (const name of Object.keys(operations))
      for (const seed of seeds) {
        const what = `${name}, ${count} pairs from ${seed} on`;
        const plain = own.call(name, [seed, count, 0], 2 ** 40);
        expect(plain.trap, what).toBeUndefined();
        expect(v8.call(name, [seed, count, 0], 2 ** 40).values, what).toEqual(plain.values);
        expected.push({ what, hash: own.call(name, [seed, count, 1], 2 ** 40).values[0] });
        const values = [
          { type: "i64" as const, value: seed },
          { type: "i32" as const, value: count },
          { type: "i32" as const, value: 1 },
        ];
        commands.push({ do: "invoke", instance: "doubles", name, values });
      }
    for (const tier of ["interpreted", "compiled"] as const) {
      const [made, ...outcomes] = await executeOnChip(commands, 1 << 30, tier);
      expect(made?.status).toBe("ok");
      expect(made?.text).toBe(tier === "compiled" ? "compiled" : "");
      expect(outcomes.length).toBe(expected.length);
      outcomes.forEach(({ status, values }, index) => {
        const { what, hash } = expected[index]!;
        expect({ status, hash: values[0]?.value }, `${what}, ${tier}`).toEqual({
          status: "ok",
          hash,
        });
      });
    }
  },
);
