// Reads what a platform sends: each field is checked once, and what is wrong is a 400 that names it.
import { BrokerError } from "./errors.ts";

export type Fields = Record<string, unknown>;

const bad = (text: string) => new BrokerError(400, text);

/** A JSON object, or nothing. */
export function objectOf(from: Fields, key: string): Fields | undefined {
  const value = valueOf(from, key);
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(`${key} is not an object`);
  return value as Fields;
}

/** A text that is not empty, or nothing. */
export function textOf(from: Fields, key: string, longest = 1_000): string | undefined {
  const value = valueOf(from, key);
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "") throw bad(`${key} is not a text, or an empty one`);
  if (value.length > longest) throw bad(`${key} is longer than ${longest} characters`);
  return value;
}

export function neededText(from: Fields, key: string): string {
  const value = textOf(from, key);
  if (value === undefined) throw bad(`${key} is missing`);
  return value;
}

/** A list of texts that are not empty. */
export function textsOf(from: Fields, key: string, standard: string[]): string[] {
  const value = valueOf(from, key);
  if (value === undefined) return standard;
  const good = (one: unknown) => typeof one === "string" && one !== "" && one.length <= 200;
  if (!Array.isArray(value) || value.length > 64 || !value.every(good))
    throw bad(`${key} is not a list of at most 64 texts`);
  return value as string[];
}

/** Refuses fields that mean nothing here; not of whole messages, whose senders may add to them. */
export function only(from: Fields, known: readonly string[], place: string): void {
  for (const key of Object.keys(from))
    if (!known.includes(key)) throw bad(`${place} has no ${key.slice(0, 60)}`);
}

/** What JSON has under a name, not what JavaScript's objects have. */
function valueOf(from: Fields, key: string): unknown {
  return Object.hasOwn(from, key) ? from[key] : undefined;
}

/** Whether two values are the same JSON; the order of the names in an object does not count. */
export function same(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
