// Builds, signs and installs on nodes, and waits for the first output.
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import {
  installPackage,
  installProgram,
  type Installed,
  type InstallOptions,
} from "../lib/install.ts";
import { guarded } from "../lib/keys.ts";
import type { Node } from "../lib/node.ts";
import { openPackage } from "../lib/package.ts";
import { signingKey } from "../lib/project.ts";
import { oneLine, shownReading } from "../lib/text.ts";
import { milliseconds, paint, progress, project, say } from "./context.ts";
import { describeEvent } from "./info.ts";
import { load, type MemoryOptions } from "./program.ts";
import { onEach, targets, type SeveralOptions } from "./several.ts";

interface Options extends SeveralOptions, MemoryOptions {
  key?: string;
  wait: string | boolean;
  again?: boolean;
  sequence?: string;
  restartSequence?: boolean;
  interpreted?: boolean;
  compiled?: boolean;
}

/** The longest that an upload may take by itself: what a node has room for, over a slow link. */
const longestUpload = 15 * 60_000;

export function told({ name, bytes, sequence, installed, unchanged, first }: Installed): string {
  if (unchanged)
    return `${name}: the node runs this module already, as ${sequence}: nothing was sent (--again sends it)`;
  const output =
    first === undefined
      ? "no output yet"
      : `first output ${first.after} ms after the command: ${first.path} = ${shownReading(first)}`;
  return `${name}: ${bytes} bytes installed as ${sequence} in ${installed} ms; ${output}`;
}

/** The first line of every push to a node that anybody may change: nobody should find out later. */
export function warn(security: string, name: string, alone = true): void {
  if (security === "secured") return;
  const who = alone ? "the node is" : `${oneLine(name)} is`;
  say(`${paint("yellow", "note:")} ${who} ${guarded(security)}`);
}

export async function pushVerb(file: string | undefined, options: Options): Promise<void> {
  // Since the command was given, not since this file was loaded.
  const began = Math.round(performance.timeOrigin);
  const seconds = options.wait === false || options.wait === "0" ? 0 : options.wait;
  const wait = seconds === 0 ? 0 : milliseconds(String(seconds), "--wait 10");
  const sequence = options.sequence === undefined ? undefined : Number(options.sequence);
  const settings: InstallOptions = {
    began,
    wait,
    again: options.again ?? false,
    restart: options.restartSequence ?? false,
    ...(sequence === undefined ? {} : { sequence }),
    ...(options.interpreted
      ? { tier: "interpreted" }
      : options.compiled
        ? { tier: "compiled" }
        : {}),
  };
  // Before the compiler runs for seconds.
  const alone = (await targets(options)).length === 1;
  const ready = file?.endsWith(".wpkg") ? readPackage(file) : await load(file, options);
  const key = "bytes" in ready ? undefined : signingKey(project(), options.key);
  await onEach<Installed>(
    options,
    async (node, { signal }, { name }) => {
      warn((await node.front(signal)).security, name, alone);
      const bar = alone ? { onProgress: progress(`pushing ${ready.name}`) } : {};
      const all = { ...settings, ...bar, signal };
      const pushed =
        "bytes" in ready || key === undefined
          ? { ...(await installPackage(node, (ready as Ready).bytes, all)), name: ready.name }
          : await installProgram(node, project(), ready, key, all);
      if (wait > 0 && pushed.first === undefined)
        await refuseFallen(node, pushed.digest, "`wasmote logs` has what the node says", signal);
      return pushed;
    },
    { words: told, proven: (node, pushed) => proven(node, pushed, wait), longest: longestUpload },
  );
}

/** A node that took a package and has left it again since, because it failed. */
export async function refuseFallen(
  node: Node,
  digest: string,
  advice: string,
  signal?: AbortSignal,
): Promise<void> {
  const app = await node.app(signal);
  if (app.state !== "empty" && app.digest === digest) return;
  const runs = app.state === "empty" ? "nothing" : oneLine(app.name ?? "another package");
  throw new UserError(
    `the node took it and runs ${runs} now: ${describeEvent(app) ?? "it does not say why"}`,
    advice,
    "refused",
  );
}

/** A canary is watched for a while: if its new package fails, the others keep theirs. */
async function proven(node: Node, pushed: Installed, wait: number): Promise<void> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), Math.max(wait, 1000));
  try {
    for await (const app of node.watchApp(over.signal)) {
      if (app.event?.sequence === pushed.sequence)
        throw new UserError(
          describeEvent(app) ?? "the package failed",
          "the other nodes were left as they are",
          "refused",
        );
      if (app.state === "confirmed" && app.sequence === pushed.sequence) return;
    }
    say("the canary is still on trial; the others follow");
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

interface Ready {
  bytes: Uint8Array;
  name: string;
}

function readPackage(file: string): Ready {
  const path = resolve(file);
  if (!existsSync(path)) throw new UserError(`there is no file ${path}`, "check the name");
  const bytes = new Uint8Array(readWhole(path));
  try {
    return { bytes, name: openPackage(bytes).manifest.name || basename(path, ".wpkg") };
  } catch (error) {
    throw new UserError(
      `${path}: ${(error as Error).message}`,
      "make one with `wasmote package`",
      "source",
      { cause: error },
    );
  }
}
