// Web links (RFC 6690): written, and chosen by what is asked for.
import type { Resource } from "../lib/node.ts";

/** Whether a link has all that a query asks for (RFC 6690 §4.1). */
export function linkFits(
  { path, attributes }: Resource,
  query: Iterable<readonly [string, string]>,
): boolean {
  const values: Record<string, string | true> = { ...attributes, href: path };
  return [...query].every(([key, wanted]) => fits(key, values[key], wanted));
}

/** A value against what is wanted: whole, up to a `*`, or for lists of words one of them (RFC 6690 §4.1). */
export function fits(key: string, value: string | true | undefined, wanted: string): boolean {
  if (value === undefined) return false;
  if (value === true) return wanted === "";
  const words = ["rt", "if", "rel", "ct"].includes(key) ? value.split(" ") : [value];
  return words.some((word) =>
    wanted.endsWith("*") ? word.startsWith(wanted.slice(0, -1)) : word === wanted,
  );
}

export function writeLink({ attributes }: Resource, href: string): string {
  const words = Object.entries(attributes).map(([key, value]) =>
    value === true
      ? key
      : /^\d+$/.test(value)
        ? `${key}=${value}`
        : `${key}="${value.replaceAll('"', "")}"`,
  );
  return [`<${href}>`, ...words].join(";");
}
