// Starts a node on this computer and keeps it until it is interrupted. One with a name can be used by that name, and keeps its
// flash from one time to the next.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { emulate, machines, missing, unfitLink, type Link, type Machine } from "../lib/emulate.ts";
import { announce, feedLine } from "../lib/emulated.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import {
  allRights,
  emulatedName,
  encodeKeys,
  guarded,
  keepNodeKeys,
  keptKey,
  makeKey,
  nodeKeys,
  type NodeKey,
} from "../lib/keys.ts";
import { exchangesKeys } from "../lib/identity.ts";
import { nameFault } from "../lib/names.ts";
import { flashFault, makeFlash } from "../lib/package.ts";
import type { Sample } from "../lib/samples.ts";
import { emulatedNode, signingKey, starting } from "../lib/project.ts";
import { writeWhole } from "../lib/state.ts";
import { print, project, say, waiting } from "./context.ts";
import { untilInterrupted } from "./interruption.ts";
import { samplesFrom } from "./samples.ts";
import { readLines } from "./terminal.ts";
import { temporaryFolder } from "../lib/temporary.ts";
import { Node } from "../lib/node.ts";

interface Options {
  flash?: string;
  name?: string;
  link?: Link;
  dev?: boolean;
  open?: boolean;
  samples?: string;
  speed?: string;
  json?: boolean;
}

export async function emulateVerb(machine: string | undefined, options: Options): Promise<void> {
  const chosen = (machine ?? "native") as Machine;
  if (!machines.includes(chosen))
    throw new UserError(
      `there is no machine ${chosen}`,
      `there are: ${machines.join(", ")}`,
      "usage",
    );
  const reason = missing(chosen);
  if (reason !== undefined) {
    const [what = reason, advice = "npm run build"] = reason.split(/: (?=npm |see )/);
    throw new UserError(what, advice);
  }
  const { name, link } = options;
  const unfit = unfitLink(chosen, link);
  if (unfit !== undefined) throw new UserError(unfit, "leave --link out", "usage");
  const fault = name === undefined ? undefined : nameFault(name);
  if (fault !== undefined) throw new UserError(fault, "write: --name wye", "usage");
  const running = name === undefined ? undefined : emulatedNode(project(), name);
  if (running !== undefined)
    throw new UserError(`${name} runs already, at ${running}`, `--node ${name} reaches it`);
  const speed = Number(options.speed ?? 1);
  if (!(speed > 0 && speed <= 1e6))
    throw new UserError(`${options.speed} is not a speed`, "write: --speed 60", "usage");
  const played = options.samples === undefined ? undefined : samplesFrom(options.samples, []);
  const { state } = project();
  using scratch = folderFor(options);
  const made = flashOf(chosen, options, scratch?.path);
  const { flash, key } = made;
  const file = `${name}.address`;
  // Whoever asks for it by its name in this moment waits.
  if (name !== undefined) state.write(`${starting}\n${process.pid}\n`, ["emulated", file]);
  const signal = untilInterrupted();
  const node = await waiting(
    `starting ${chosen}`,
    emulate({
      machine: chosen,
      signal,
      flash,
      ...(name === undefined ? {} : { name }),
      ...(link === undefined ? {} : { link }),
      ...(options.dev && chosen === "native" ? { arguments: ["--dev"] } : {}),
    }),
  );
  if (name !== undefined) state.write(`${node.address}\n${process.pid}\n`, ["emulated", file]);
  const security = made.security ?? (await saidBy(node.address, signal));
  const feed = (sensor: string, value: number) => node.feed(sensor, value);
  const own = key === undefined ? {} : { key: keptKey(key) };
  const about = { name: name ?? "", address: node.address, machine: chosen, ...own };
  // Before it is said to be there: whoever reads that may use it at once.
  const announced = await announce(about, feed);
  const shown = { address: node.address, machine: chosen, security };
  print(
    options.json,
    name === undefined ? shown : { ...shown, name },
    () =>
      `${name ?? node.address}${name === undefined ? "" : ` at ${node.address}`}, ${guarded(security)}\n(samples as lines on standard input: level 1234; Ctrl-C ends it)`,
  );
  const input = readLines((line) => {
    try {
      if (line.trim() !== "") feedLine(line, feed);
    } catch (error) {
      say((error as Error).message);
    }
  });
  if (played !== undefined) void play(played, speed, feed, node.ended);
  await node.ended;
  announced.end();
  if (name !== undefined) state.remove("emulated", file);
  input.stop();
  if (node.complaint !== undefined) throw new UserError(node.complaint);
  if (!signal.aborted) throw new UserError(`the node ended:\n${node.console.slice(-5).join("\n")}`);
}

interface Made {
  flash: string;
  /** The context with a node that has no name, as long as it runs. */
  key?: NodeKey;
  /** Not known of a flash that somebody else provisioned: the node says it. */
  security: "secured" | "open" | undefined;
}

/** How a node says it is guarded. One that is to say nothing to strangers is secured. */
async function saidBy(address: string, signal: AbortSignal): Promise<string> {
  try {
    await using node = await Node.connect(address, {
      context: null,
      patience: 5_000,
      within: signal,
    });
    return (await node.front(signal)).security;
  } catch (error) {
    if (error instanceof NodeError && error.code === "timeout") return "secured";
    throw error;
  }
}

/** Where the flash of a node lies that nobody will start again. */
function folderFor({ flash, name }: Options) {
  if (flash !== undefined || name !== undefined) return undefined;
  return temporaryFolder("flash");
}

/**
 * The file that is the node's flash. A new node trusts the project's key, as a board does once it is provisioned, and answers nobody else
 * than this project; with --open it answers everybody.
 */
function flashOf(machine: Machine, options: Options, scratch: string | undefined): Made {
  const { name, dev = false } = options;
  const { state } = project();
  const open = options.open ?? project().open;
  const file =
    options.flash ?? (scratch ? join(scratch, "flash") : state.place("emulated", `${name}.flash`));
  const kept = name === undefined ? undefined : emulatedName(name);
  const found = statSync(file, { throwIfNoEntry: false });
  // An empty file is one that was cut off before there was anything in it.
  if (found !== undefined && !(found.isFile() && found.size === 0)) {
    // A node writes over all of it.
    const fault = found.isFile() ? flashFault(readFileSync(file)) : "it is not a file";
    if (fault !== undefined)
      throw new UserError(
        `${file} is not the flash of a node: ${fault}`,
        "name a file that is not there yet: it is made",
        "usage",
      );
    const secured = kept !== undefined && nodeKeys(project(), kept).length > 0;
    if (secured && options.open)
      throw new UserError(
        `${name} was made to answer this project alone, and its flash is kept`,
        `take another name, or remove ${file} to begin it anew`,
      );
    return { flash: file, security: secured ? "secured" : undefined };
  }
  if (!open && options.flash !== undefined && name === undefined)
    throw new UserError(
      "this project keeps what opens a node under the node's name, and this one has none",
      "write: --name wye, or --open for a node that answers everybody",
      "usage",
    );
  const keys = state.read("key.pem") === undefined ? [] : [signingKey(project()).publicKey];
  const key = open ? undefined : makeKey(0, allRights);
  // Before the node has it; contexts with an earlier node of this name are of no use any more.
  if (kept !== undefined) keepNodeKeys(project(), kept, key === undefined ? [] : [key]);
  const secured = key !== undefined && kept !== undefined;
  const contexts = key === undefined ? { open } : { contexts: encodeKeys([key]) };
  const exchanges = secured ? exchangesKeys(project(), kept) : {};
  const provision = { name: name ?? "emulated", keys, development: dev, ...contexts, ...exchanges };
  writeWhole(file, makeFlash(provision), 0o600);
  const unnamed = key !== undefined && name === undefined ? { key } : {};
  return { flash: file, ...unnamed, security: open ? "open" : "secured" };
}

/** Plays samples into a node at so many times their own speed. */
async function play(
  samples: readonly Sample[],
  speed: number,
  feed: (sensor: string, value: number) => void,
  ended: Promise<void>,
): Promise<void> {
  const began = performance.now();
  let over = false;
  void ended.then(() => (over = true));
  for (const { at, sensor, value } of samples) {
    // By the clock, so that what a timer is late by does not add up.
    await delay(Math.max(0, began + at / speed - performance.now()));
    if (over) return;
    try {
      feed(sensor, value);
    } catch (error) {
      say((error as Error).message);
    }
  }
  say(`all samples were played: ${samples.length}`);
}
