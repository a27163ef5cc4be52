// The security contexts of a node: lists, adds, rotates, revokes; gives the first one over a cable. What a context is, and how this computer keeps its own, is in lib/keys.ts.
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { NodeError, UserError } from "../lib/errors.ts";
import {
  allRights,
  encodeKey,
  exported,
  keepNodeKeys,
  keptUnder,
  makeKey,
  nameOf,
  nodeKeys,
  parseRights,
  places,
  rightsText,
  type NodeKey,
} from "../lib/keys.ts";
import { nameFault } from "../lib/names.ts";
import { sleep } from "../lib/coap/endpoint.ts";
import { exchangeKeys, showIdentity } from "./keys-exchange.ts";
import { listKeys, type Listed } from "./keys-listed.ts";
import type { Node } from "../lib/node.ts";
import { address, print, project, table, withNode, type NodeOptions } from "./context.ts";

interface Options extends NodeOptions {
  rights?: string;
  output?: string;
}

export async function keysVerb(
  action: string | undefined,
  place: string | undefined,
  options: Options,
): Promise<void> {
  const actions: Record<string, () => Promise<void>> = {
    list: () => list(options),
    add: () => add(options),
    rotate: () => rotate(options),
    revoke: () => revoke(place, options),
    claim: () => claim(options),
    exchange: () => exchangeKeys(place, options),
    identity: () => Promise.resolve(showIdentity(place, options)),
    forget: () => forget(place, options),
  };
  const chosen = action ?? "list";
  const run = Object.hasOwn(actions, chosen) ? actions[chosen] : undefined;
  if (run === undefined)
    throw new UserError(
      `keys cannot ${chosen}`,
      `it can: ${Object.keys(actions).join(", ")}`,
      "usage",
    );
  await run();
}

/** What this computer's contexts with a node are kept under; whose address is no name's, the node says itself. */
async function keptName(node: Node, at: string, signal: AbortSignal): Promise<string | undefined> {
  return nameOf(project(), at) ?? keptUnder(project(), at, (await node.front(signal)).name);
}

async function list(options: Options): Promise<void> {
  await withNode(options, async (node, { address: at, signal }) => {
    const all = await listKeys(node, signal);
    const name = await keptName(node, at, signal);
    const own = name === undefined ? [] : nodeKeys(project(), name);
    const mine = ({ place, peer }: Listed) =>
      own.some((key) => (key.place === place || key.place === places) && key.peer === peer);
    const shown = all.map((one) => ({ ...one, rights: rightsText(one.rights), own: mine(one) }));
    print(options.json, shown, () =>
      shown.length === 0
        ? "none: the node answers everybody"
        : table(
            shown.map((one): [string, string] => [
              `place ${one.place}`,
              [
                one.rights,
                `peer ${one.peer.toString(16).padStart(2, "0")}`,
                `used ${one.used} times at most`,
                one.own ? "this computer's" : "",
                one.replaces === undefined ? "" : `takes the place of ${one.replaces} when used`,
                one.worn ? "worn: `wasmote keys rotate`" : "",
              ]
                .filter(Boolean)
                .join(", "),
            ]),
          ),
    );
  });
}

/** A place that is free; the last one is left for a successor. */
function freePlace(all: readonly Listed[], spare: number): number {
  const free = Array.from({ length: places }, (_, place) => place).filter(
    (place) => !all.some((one) => one.place === place),
  );
  if (free.length <= spare)
    throw new UserError(
      `all ${places} places are taken, or kept for a successor`,
      "revoke one: `wasmote keys list` shows them",
      "refused",
    );
  return free[0]!;
}

/** Gives somebody else a context: what they need lies in a folder that only this user can read. */
async function add(options: Options): Promise<void> {
  if (options.rights === undefined || options.output === undefined)
    throw new UserError(
      "a new context needs rights, and a folder to be written to",
      "write: --rights read,operate --output dashboard-keys",
      "usage",
    );
  const rights = parseRights(options.rights);
  const folder = resolve(options.output);
  if (existsSync(folder)) throw new UserError(`${folder} is already there`, "name another folder");
  await withNode(options, async (node, { signal }) => {
    const all = await listKeys(node, signal);
    const key = makeKey(
      freePlace(all, 1),
      rights,
      all.map(({ peer }) => peer),
    );
    writeExport(folder, key);
    try {
      await put(node, key, undefined, signal);
    } catch (error) {
      // Where the node has said no, nobody needs it.
      if (error instanceof NodeError && error.code === "answer")
        rmSync(folder, { recursive: true, force: true });
      throw error;
    }
    const { place } = key;
    print(
      options.json,
      { place, rights: rightsText(rights), folder },
      () =>
        `place ${place}: ${rightsText(rights)}\n${folder}: settings.json for aiocoap, libcoap.conf for libcoap`,
    );
  });
}

/** Writes a context for other programs. */
export function writeExport(folder: string, key: NodeKey): void {
  mkdirSync(folder, { mode: 0o700 });
  const { aiocoap, libcoap } = exported(key);
  try {
    for (const [name, text] of [
      ["settings.json", aiocoap],
      ["libcoap.conf", libcoap],
    ] as const)
      writeFileSync(join(folder, name), text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    // A half of it would be taken for the whole.
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function put(
  node: Node,
  key: NodeKey,
  replaces?: number,
  signal?: AbortSignal,
): Promise<void> {
  const payload = encodeKey(key, replaces);
  await patiently(
    () => node.request("PUT", `keys/${key.place}`, { format: "octets", payload, signal }),
    signal,
  );
}

/** How long a node may be busy with its flash. */
const busyLimit = 10_000;

/** Asks again while the node is busy with its flash. */
async function patiently(work: () => Promise<unknown>, signal?: AbortSignal): Promise<void> {
  for (const until = performance.now() + busyLimit; ;) {
    try {
      await work();
      return;
    } catch (error) {
      const busy =
        error instanceof NodeError && error.status === "5.03" && performance.now() < until;
      if (!busy) throw error;
    }
    await sleep(200, signal);
  }
}

/** Takes a new secret for this computer. The old one goes when the new one was used; wherever this is cut off, one of them works. */
async function rotate(options: Options): Promise<void> {
  // One after the other: a serial line is one client's.
  const name = await withNode(options, async (node, { address: at, signal }) => {
    const name = await keptName(node, at, signal);
    // Connecting has found out which of several the node knows.
    const own = name === undefined ? undefined : nodeKeys(project(), name)[0];
    if (name === undefined || own === undefined)
      throw new UserError(
        "this computer has no context with this node",
        "`wasmote provision --name NAME --flash` gives the node and this computer one",
      );
    const all = await listKeys(node, signal);
    // No two have one peer's ID.
    const there = all.find(({ peer }) => peer === own.peer);
    if (there === undefined) throw new NodeError("protocol", "/keys does not list our context");
    const key = makeKey(
      freePlace(all, 0),
      there.rights,
      all.map(({ peer }) => peer),
    );
    keepNodeKeys(project(), name, [key, own]);
    await put(node, key, there.place, signal);
    return name;
  });
  // Connecting forgets the old one once the node has answered under the new one.
  await withNode(options, async (node, { signal }) => {
    await node.front(signal);
    const { place } = nodeKeys(project(), name)[0]!;
    print(options.json, { node: name, place }, () => `${name}: a new secret, in place ${place}`);
  });
}

/**
 * Gives a node that has no context its first one, over its cable: from then on it answers this project. What it is called is what it
 * was provisioned with.
 */
async function claim(options: Options): Promise<void> {
  const at = address(options);
  const called = await withNode(options, async (node, { signal }) => {
    const { name, security } = await node.front(signal);
    if (security !== "unclaimed")
      throw new UserError(
        `${name} is ${security || "without security"}: only a node that nobody has given a context can be claimed`,
        security === "secured"
          ? "ask its administrator for a context: `wasmote keys add`"
          : "provision it anew: `wasmote provision --name NAME --flash`",
        "refused",
      );
    const fault = nameFault(name);
    if (fault !== undefined) throw new NodeError("protocol", `/node: ${fault}`);
    if (nodeKeys(project(), name).length > 0)
      throw new UserError(
        `this project has a context with a node called ${name} already`,
        `if that one is gone: \`wasmote keys forget ${name}\`; else provision this one with another name`,
        "refused",
      );
    const key = makeKey(0, allRights);
    keepNodeKeys(project(), name, [key]);
    try {
      await put(node, key, undefined, signal);
    } catch (error) {
      // Where the node has said no, nobody needs it; of silence nobody knows.
      if (error instanceof NodeError && error.code === "answer") keepNodeKeys(project(), name, []);
      throw error;
    }
    return name;
  });
  await withNode({ ...options, node: [at] }, async (node, { signal }) => {
    const { full } = await node.front(signal);
    if (!full) throw new NodeError("protocol", `${called} does not know the context it was given`);
    print(
      options.json,
      { node: called },
      () => `${called} answers this project only, which may do everything with it`,
    );
  });
}

/** Takes away what this computer has of contexts with a node: with one that is gone, or was provisioned anew by somebody else. */
async function forget(name: string | undefined, options: Options): Promise<void> {
  if (name === undefined || nodeKeys(project(), name).length === 0)
    throw new UserError(
      `this project has no context with a node called ${name ?? "nothing"}`,
      "write: keys forget wye",
      "usage",
    );
  keepNodeKeys(project(), name, []);
  print(
    options.json,
    { node: name },
    () => `${name}: this project has no context with it any more`,
  );
}

async function revoke(text: string | undefined, options: Options): Promise<void> {
  const place = Number(text ?? "");
  if (text === undefined || !(Number.isInteger(place) && place >= 0 && place < places))
    throw new UserError(
      `${text ?? "nothing"} is not the place of a context`,
      "`wasmote keys list` shows them: write the number of one",
      "usage",
    );
  await withNode(options, async (node, { signal }) => {
    await patiently(() => node.request("DELETE", `keys/${place}`, { signal }), signal);
    print(options.json, { place }, () => `place ${place} is empty`);
  });
}
