// What may be a name, a unit or a version: one rule for each, wherever such a text is written down. firmware/node/PACKAGE.md has the
// lengths; the characters are those that need no escape in a URI's path, in SenML, in a link and in a terminal.
import { oneLine } from "./text.ts";

/** The longest text of a manifest or a provisioning record, in bytes. */
export const longestText = 32;

/** What is wrong with the name of a node, a project, a sensor, an output or a parameter; undefined where nothing is. */
export function nameFault(name: string): string | undefined {
  return /^[\w.-]{1,32}$/.test(name)
    ? undefined
    : `${oneLine(name).slice(0, 40) || "an empty text"} is not a name: take 1 to ${longestText} letters, digits, dots, - and _`;
}

/** What is wrong with a vendor, a class or a version, which may be empty. */
export function textFault(text: string): string | undefined {
  return /^[\x20-\x7e]*$/.test(text) && !/["\\<>]/.test(text) && text.length <= longestText
    ? undefined
    : `${oneLine(text).slice(0, 40)} is not taken: at most ${longestText} characters of ASCII, without quotes, backslashes and angle brackets`;
}
