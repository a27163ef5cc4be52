// States of a module as bytes and as values: what a node keeps of it over resets and updates.
import { isDeepStrictEqual } from "node:util";
import { limits } from "./contract.ts";
import { oneLine, shortest } from "./text.ts";
import { layouts, placed, type FieldFact, type StateFact } from "./build/section.ts";

type Scalar = number | bigint | boolean;
/** A number, or a record by its fields. */
export type Plain = Scalar | Record<string, Scalar>;

/** Whether values of one type are values of the other. */
export function sameType(one: readonly FieldFact[], other: readonly FieldFact[]): boolean {
  return isDeepStrictEqual(one, other);
}

/** The bytes of a state in a memory. */
export function readState(
  memory: { read(at: number, length: number): Uint8Array | undefined },
  { at, fields }: StateFact,
): Uint8Array | undefined {
  return memory.read(at, placed(fields).size);
}

/** A value of a type that lies in these bytes: a number, or a record. */
export function plainValue(fields: readonly FieldFact[], bytes: Uint8Array): Plain {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { places } = placed(fields);
  const values = fields.map((field, index): [string, Scalar] => [
    field.name,
    layouts[field.type].read(view, places[index]!),
  ]);
  const [first] = values;
  return first?.[0] === "" ? first[1] : Object.fromEntries(values);
}

/** A value as JSON has it: a whole number of 64 bits is a text. */
export function writable(value: Plain | string): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, writable(one)]));
}

/** A value as it is shown: a record as its fields on one line. */
export function shown(value: Plain | string): string {
  if (typeof value === "number") return shortest(value);
  if (typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, one]) => `${name} ${shown(one)}`)
    .join(", ");
}

/** What a value is for those who count with it, and as a text where it is no plain number; {@link readReading} gives the same of a node's. */
export function readingOf(value: Plain | string): { value: number; text?: string } {
  if (typeof value === "number" || typeof value === "bigint") return { value: Number(value) };
  const number = typeof value === "boolean" ? Number(value) : Number.NaN;
  return { value: number, text: oneLine(shown(value)) };
}

/** States by their names. */
export function plainStates(
  states: readonly (StateFact & { bytes: Uint8Array })[],
): Record<string, Plain> {
  return Object.fromEntries(
    states.map(({ name, fields, bytes }) => [name, plainValue(fields, bytes)]),
  );
}

/** Flash is written in cells of so many bytes: one says what follows, and each of the others has one byte less of it. */
const cell = 16;
/** Bytes that name and type take beside a value. */
const mark = 5;

/** What states cost: bytes of memory, and bytes of flash for each time they are saved (firmware/node/src/runner/keep.rs). */
export function stateCost(states: readonly StateFact[]): { bytes: number; flash: number } {
  const bytes = states.reduce((sum, { fields }) => sum + placed(fields).size, 0);
  const block = bytes + states.length * mark;
  return { bytes, flash: cell * (1 + Math.ceil(block / (cell - 1))) };
}

/** How often a change is saved, in minutes. */
export const stateMinutes = limits.state_period / 60_000;
