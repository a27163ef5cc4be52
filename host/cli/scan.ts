// Looks for nodes: on the networks, at serial ports, in wasmote.toml. Says who answers now, and when the others last did.
import { existsSync, readdirSync } from "node:fs";
import { discover } from "../lib/coap/discover.ts";
import { Node } from "../lib/node.ts";
import { normalAddress } from "../lib/coap/address.ts";
import { emulatedHere } from "../lib/emulated.ts";
import { counted, oneLine } from "../lib/text.ts";
import { heard, lastSeen } from "../lib/project.ts";
import { milliseconds, print, project, table, waiting } from "./context.ts";

interface Found {
  address: string;
  name: string;
  how: "network" | "serial port" | "wasmote.toml" | "emulated here";
}

interface Seen extends Found {
  answers: boolean;
  /** `secured`, `open` or `unclaimed`; empty where it does not say. */
  security: string;
  /** When it last answered a verb of this project, or this one. */
  seen: string | null;
}

export async function scanVerb(options: { seconds: string; json?: boolean }): Promise<void> {
  const listen = milliseconds(options.seconds, "--seconds 6");
  // What runs on this computer needs no group to be found by: it is shown at once.
  const here = await ask(emulated(), Math.min(listen, 2000));
  const early = options.json ? [] : here;
  if (early.length > 0) print(false, undefined, () => rows(early));
  const found = await waiting(
    "listening",
    Promise.all([network(listen), ask(serialPorts(), listen), ask(named(), listen)]),
  );
  // One that is named and answers on the network too is shown once, by its name.
  const all = new Map<string, Seen>();
  for (const one of [...here, ...found.flat()])
    all.set(one.address, { ...all.get(one.address), ...one });
  const list = [...all.values()];
  const rest = list.filter(({ address }) => !early.some((one) => one.address === address));
  if (options.json) print(true, list, () => "");
  else if (rest.length > 0) print(false, undefined, () => rows(rest));
  else if (list.length === 0)
    print(
      false,
      undefined,
      () =>
        "no node answers: is one on this network or plugged in? `wasmote emulate` starts one here",
    );
}

const rows = (list: readonly Seen[]) =>
  table(
    list.map(({ address, name, how, answers, security, seen }): [string, string] => [
      address,
      `${oneLine(name) || "?"}  (${how}; ${answers ? `answers${security && `, ${security}`}` : `silent, ${ago(seen)}`})`,
    ]),
  );

function emulated(): Found[] {
  return emulatedHere().map(({ name, address }) => ({ address, name, how: "emulated here" }));
}

function ago(seen: string | null): string {
  if (seen === null) return "never seen from this folder";
  const minutes = Math.max(0, Date.now() - Date.parse(seen)) / 60_000;
  if (minutes < 90) return `last seen ${counted(Math.round(minutes), "minute")} ago`;
  if (minutes < 48 * 60) return `last seen ${Math.round(minutes / 60)} hours ago`;
  return `last seen ${Math.round(minutes / 1440)} days ago`;
}

async function network(listen: number): Promise<Seen[]> {
  const asked: Promise<Seen[]>[] = [];
  for await (const address of discover({ listen }))
    asked.push(ask([{ address, name: "", how: "network" }], listen));
  return (await Promise.all(asked)).flat();
}

/** Serial ports that look like a board's; one that does not answer is not a node, or is busy. */
function serialPorts(): Found[] {
  const ports = (existsSync("/dev") ? readdirSync("/dev") : []).filter((name) =>
    /^(ttyACM|ttyUSB|cu\.usb)/.test(name),
  );
  return ports.map((name) => ({ address: `serial:/dev/${name}`, name: "", how: "serial port" }));
}

function named(): Found[] {
  return Object.entries(project().nodes).map(([name, address]) => ({
    address: normalAddress(address) ?? address,
    name,
    how: "wasmote.toml",
  }));
}

function ask(list: readonly Found[], patience: number): Promise<Seen[]> {
  const all = list.map(async (one): Promise<Seen> => {
    const before = lastSeen(project().state)[one.address] ?? null;
    try {
      // What everybody may know; one that answers strangers nothing is asked under our own context.
      const known = one.how === "wasmote.toml" || one.how === "emulated here";
      const whose = known ? { project: project() } : { context: null };
      await using node = await Node.connect(one.address, { patience, ...whose });
      const { name, security } = await node.front();
      const now = new Date();
      heard(project(), one.address, now);
      const told = { answers: true, security, seen: now.toISOString() };
      return { ...one, name: one.name || name, ...told };
    } catch {
      return { ...one, answers: false, security: "", seen: before };
    }
  });
  return Promise.all(all);
}
