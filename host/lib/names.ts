// What may be a name, a unit or a version: one rule for each, wherever such a text is written down. The rules are in
// firmware/node/contract.toml, and a node checks the same ones.
import { texts } from "./contract.ts";
import { oneLine } from "./text.ts";

type Kind = keyof typeof texts;

/** Whether a text keeps to the rule of its kind. */
export function fits(kind: Kind, text: string): boolean {
  const { least, most, ranges, first } = texts[kind];
  const bytes = Buffer.byteLength(text);
  const within = (character: string, all: readonly (readonly [number, number])[]) => {
    const point = character.codePointAt(0)!;
    return all.some(([from, to]) => point >= from && point <= to);
  };
  const characters = Array.from(text);
  return (
    bytes >= least &&
    bytes <= most &&
    characters.every((character) => within(character, ranges)) &&
    characters.slice(0, 1).every((character) => within(character, first))
  );
}

const shown = (text: string) => oneLine(text).slice(0, 40) || "an empty text";

/**
 * What is wrong with the name of a project or a node, which begins the names of all that it has; undefined where nothing
 * is.
 */
export function nameFault(name: string): string | undefined {
  return fits("node", name)
    ? undefined
    : `${shown(name)} is not a name: take 1 to ${texts.node.most} letters, digits, dots, -, : and _, a letter or a digit first`;
}

/** What is wrong with the name of a sensor, an output or a parameter. */
export function channelFault(name: string): string | undefined {
  return fits("name", name)
    ? undefined
    : `${shown(name)} is not a name: take 1 to ${texts.name.most} letters, digits, dots, -, : and _`;
}

/** What is wrong with a unit, which may be empty. */
export function unitFault(unit: string): string | undefined {
  return fits("unit", unit)
    ? undefined
    : `${shown(unit)} is not a unit: at most ${texts.unit.most} characters of ASCII, without spaces, quotes and backslashes`;
}

/** What is wrong with a vendor, a class or a version, which may be empty. */
export function textFault(text: string): string | undefined {
  return fits("label", text)
    ? undefined
    : `${shown(text)} is not taken: at most ${texts.label.most} bytes, without quotes, backslashes, angle brackets and what a terminal does not show`;
}
