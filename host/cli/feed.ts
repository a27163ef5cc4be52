// Gives a sensor of a node that is emulated on this computer a value.
import { normalAddress } from "../lib/coap/address.ts";
import { emulatedHere, feedNode, type EmulatedNote } from "../lib/emulated.ts";
import { UserError } from "../lib/errors.ts";
import { emulatedNode } from "../lib/project.ts";
import { oneLine } from "../lib/text.ts";
import { print, project } from "./context.ts";

export async function feedVerb(
  node: string,
  sensor: string,
  value: string,
  { json }: { json?: boolean },
): Promise<void> {
  await feedNode(find(node), `${sensor} ${value}`);
  if (json) print(true, { node, sensor, value: Number(value) }, () => "");
}

/** The node that is meant: this project's before others of its name. */
function find(given: string): EmulatedNote {
  const all = emulatedHere();
  const address = emulatedNode(project(), given) ?? normalAddress(given);
  const found =
    all.find((note) => note.address === address) ?? all.find(({ name }) => name === given);
  if (found !== undefined) return found;
  const names = all.map(({ name, address: place }) => name || place).join(", ") || "none";
  throw new UserError(
    `no node ${oneLine(given)} is emulated on this computer; there are: ${names}`,
    "start one with `wasmote emulate --name wye`; a real sensor cannot be fed",
    "usage",
  );
}
