// Starts a node on this computer and keeps it until it is interrupted. One with a name can be used by that name, and keeps its
// flash from one time to the next.
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { emulate, machines, missing, unfitLink, type Link, type Machine } from "../lib/emulate.ts";
import { announce, feedLine } from "../lib/emulated.ts";
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { makeFlash } from "../lib/package.ts";
import type { Sample } from "../lib/samples.ts";
import { emulatedNode, signingKey, starting } from "../lib/project.ts";
import { print, project, say, untilInterrupted, waiting } from "./context.ts";
import { secure } from "./provision.ts";
import { samplesFrom } from "./samples.ts";
import { readLines } from "./terminal.ts";

interface Options {
  flash?: string;
  name?: string;
  link?: Link;
  dev?: boolean;
  secure?: boolean;
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
  if (options.secure && name === undefined)
    throw new UserError(
      "a node without a name has no context: none would find it",
      "write: --secure --name wye",
      "usage",
    );
  const running = name === undefined ? undefined : emulatedNode(project(), name);
  if (running !== undefined)
    throw new UserError(`${name} runs already, at ${running}`, `--node ${name} reaches it`);
  const speed = Number(options.speed ?? 1);
  if (!(speed > 0 && speed <= 1e6))
    throw new UserError(`${options.speed} is no speed`, "write: --speed 60", "usage");
  const played = options.samples === undefined ? undefined : samplesFrom(options.samples, []);
  const flash = flashOf(chosen, options);
  const { state } = project();
  const file = `${name}.address`;
  // Whoever asks for it by its name in this moment waits.
  if (name !== undefined) state.write(`${starting}\n${process.pid}\n`, ["emulated", file]);
  const signal = untilInterrupted();
  const node = await waiting(
    `starting ${chosen}`,
    emulate({
      machine: chosen,
      signal,
      ...(flash === undefined ? {} : { flash }),
      ...(name === undefined ? {} : { name }),
      ...(link === undefined ? {} : { link }),
      ...(options.dev && chosen === "native" ? { arguments: ["--dev"] } : {}),
    }),
  );
  if (name !== undefined) state.write(`${node.address}\n${process.pid}\n`, ["emulated", file]);
  const shown = { address: node.address, machine: chosen };
  print(
    options.json,
    name === undefined ? shown : { ...shown, name },
    () =>
      `${name ?? node.address}${name === undefined ? "" : ` at ${node.address}`}  (samples as lines on standard input: level 1234; Ctrl-C ends it)`,
  );
  const feed = (sensor: string, value: number) => node.feed(sensor, value);
  const about = { name: name ?? "", address: node.address, machine: chosen };
  const announced = await announce(about, feed);
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
  if (!signal.aborted) throw new UserError(`the node ended:\n${node.console.slice(-5).join("\n")}`);
}

/**
 * The file that is the node's flash. A new node trusts the project's key, as a board does once it is provisioned; with
 * --secure it answers nobody else than this project.
 */
function flashOf(
  machine: Machine,
  { flash, name, dev = false, secure: wanted = false }: Options,
): string | undefined {
  const { state } = project();
  const file = flash ?? (name === undefined ? undefined : state.place("emulated", `${name}.flash`));
  if (file === undefined || existsSync(file)) return file;
  const keys = state.read("key.pem") === undefined ? [] : [signingKey(project()).publicKey];
  if (keys.length > 0 || machine !== "native" || wanted) {
    const contexts = wanted && name !== undefined ? { contexts: secure(name) } : {};
    const provision = { name: name ?? "emulated", keys, development: dev, ...contexts };
    writeFileSync(file, makeFlash(provision), { mode: 0o600 });
  }
  return file;
}

/** Plays samples into a node at so many times their own speed. */
async function play(
  samples: readonly Sample[],
  speed: number,
  feed: (sensor: string, value: number) => void,
  ended: Promise<void>,
): Promise<void> {
  const began = Date.now();
  let over = false;
  void ended.then(() => (over = true));
  for (const { at, sensor, value } of samples) {
    // By the clock, so that what a timer is late by does not add up.
    await delay(Math.max(0, began + at / speed - Date.now()));
    if (over) return;
    try {
      feed(sensor, value);
    } catch (error) {
      say((error as Error).message);
    }
  }
  say(`all ${samples.length} samples were played`);
}
