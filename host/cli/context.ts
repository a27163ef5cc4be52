// What every verb has: the project it is called in, the nodes it is for, how long it may take, and how it speaks to people and to
// programs.
import { NodeError, UserError } from "../lib/errors.ts";
import { Node } from "../lib/node.ts";
import { nameFault } from "../lib/names.ts";
import { emulationStarts, heard, nodeAddress, openProject, type Project } from "../lib/project.ts";
import { askGateway, type AskOptions, type GatewayPlace } from "../lib/gateway.ts";
import { inForeground } from "../lib/foreground.ts";
import { oneLine, printable, safeJson } from "../lib/text.ts";
import { endsRegularly, heeding, interruptedExit } from "./interruption.ts";

/** Exit codes, as `wasmote --help` lists them. */
export const exitCode = {
  failed: 1,
  usage: 2,
  source: 3,
  unreachable: 4,
  refused: 5,
  check: 6,
  interrupted: interruptedExit,
} as const;

let opened: Project | undefined;

/** The project that the verb was called in. */
export function project(): Project {
  opened ??= openProject();
  return opened;
}

// ---- nodes --------------------------------------------------------------------------------------------------------------

/** What every verb takes that talks to a node. */
export interface NodeOptions {
  node?: string[];
  timeout?: string;
  json?: boolean;
}

/** The node that is meant where none is named: that of WASMOTE_NODE, or what `wasmote use` remembered. */
export function chosenNode(): string | undefined {
  return process.env["WASMOTE_NODE"] || project().state.read("node");
}

/** The address of the one node that is meant. */
export function address({ node = [] }: NodeOptions): string {
  if (node.length > 1)
    throw new UserError(
      `this verb is for one node, ${node.length} were named: ${node.join(", ")}`,
      "name one; push, params, rollback, remove, info and observe take several",
      "usage",
    );
  const given = node[0] ?? chosenNode();
  if (given === undefined)
    throw new UserError(
      "no node was named",
      "add --node coap://192.168.1.20 or --node serial:/dev/ttyACM0, or choose one for good with `wasmote use`",
      "usage",
    );
  return findNode(given);
}

/** How long a name may be unknown: somebody who pastes several lines starts a node in the background with one and uses it with the next. */
const grace = 700;
const longestStart = 15_000;

/** The address of a node by its name; one that is just being started is waited for. */
export function findNode(given: string): string {
  for (const began = performance.now(); ;) {
    try {
      return nodeAddress(project(), given);
    } catch (error) {
      const limit = emulationStarts(project(), given) ? longestStart : grace;
      if (nameFault(given) !== undefined || performance.now() - began > limit) throw error;
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/** Seconds as somebody wrote them, in milliseconds. */
export function milliseconds(text: string, example: string, what = "time"): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!(value > 0 && value <= 1e6))
    throw new UserError(`${oneLine(text)} is not a ${what}`, `write seconds: ${example}`, "usage");
  return value * 1000;
}

/** A verb's conversation with one node. */
export interface Session {
  node: Node;
  address: string;
  /** Fires when the verb is interrupted, or when its time is over. */
  signal: AbortSignal;
  /**
   * From here on the verb goes on until it is interrupted, which is then its regular end: its time is not limited any more. Returns the signal
   * that ends it.
   */
  readonly open: () => AbortSignal;
}

/**
 * Runs with a node and closes the link whatever happens. All of it has to be done within `--timeout`, unless the verb opens the session;
 * a longer limit is for what takes long by itself. A stranger speaks under no context, whatever there is.
 */
export function withNode<T>(
  options: NodeOptions,
  work: (node: Node, session: Session) => Promise<T>,
  {
    place = address(options),
    longest,
    stranger = false,
  }: { place?: string; longest?: number; stranger?: boolean } = {},
): Promise<T> {
  const patience = patienceOf(options);
  return heeding((interrupted) =>
    connected(interrupted, place, { patience, longest: longest ?? patience, stranger }, work),
  );
}

async function connected<T>(
  interrupted: AbortSignal,
  place: string,
  { patience, longest, stranger }: { patience: number; longest: number; stranger: boolean },
  work: (node: Node, session: Session) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const over = new Error(`does not answer in full within ${longest / 1000} s`);
  const timer = setTimeout(() => limit.abort(over), longest);
  const stop = () => limit.abort(interrupted.reason);
  interrupted.addEventListener("abort", stop);
  if (interrupted.aborted) stop();
  const { signal } = limit;
  const open = () => {
    clearTimeout(timer);
    endsRegularly();
    return signal;
  };
  try {
    await using node = await Node.connect(place, {
      project: project(),
      patience,
      within: signal,
      ...(stranger ? { context: null } : {}),
    });
    const result = await work(node, { node, address: place, signal, open });
    heard(project(), place);
    return result;
  } catch (error) {
    // A node that refuses is one that answers.
    if (error instanceof NodeError && ["answer", "refused"].includes(error.code))
      heard(project(), place);
    if (error instanceof NodeError && error.code === "aborted" && signal.reason === over)
      throw new NodeError("timeout", `${oneLine(place)} ${over.message}`, { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
    interrupted.removeEventListener("abort", stop);
  }
}

/** How long a node or a gateway may take, in milliseconds. */
export function patienceOf({ timeout = "30" }: NodeOptions): number {
  return milliseconds(timeout, "--timeout 10", "time-out");
}

/** Asks a gateway, until Ctrl-C. */
export function ask<T = unknown>(
  place: GatewayPlace,
  path: string,
  options: Omit<AskOptions<T>, "signal"> = {},
): Promise<T> {
  return heeding((signal) => askGateway(place, path, { ...options, signal }));
}

// ---- output -------------------------------------------------------------------------------------------------------------

/** `limit=150`, as many as there are. */
export function assignments(words: readonly string[], example: string): [string, number][] {
  return words.map((text) => {
    const parts = text.split("=");
    const [name = "", value = ""] = parts;
    if (parts.length !== 2 || name === "" || value.trim() === "" || Number.isNaN(Number(value)))
      throw new UserError(`${oneLine(text)} is not an assignment`, `write: ${example}`, "usage");
    return [name, Number(value)];
  });
}

const colours = { red: 31, green: 32, yellow: 33, dim: 2 };

/** Text in a colour: only on a terminal, and not where NO_COLOR is set (https://no-color.org). */
export function paint(colour: keyof typeof colours, text: string): string {
  if (!process.stderr.isTTY || process.env["NO_COLOR"]) return text;
  return `\x1b[${colours[colour]}m${text}\x1b[0m`;
}

/** The sequences of `paint`. */
// oxlint-disable-next-line no-control-regex
const painted = /(\x1b\[(?:31|32|33|2|0)m)/;

/** The way of all text to the terminal: only our own colours and line breaks control it. */
export function clean(text: string): string {
  return text
    .split(painted)
    .map((part, index) => (index % 2 === 1 ? part : printable(part)))
    .join("");
}

/** `--json` prints one JSON document a line on standard output; everything for people is left out. */
export function print(json: boolean | undefined, value: unknown, text: () => string): void {
  process.stdout.write(json ? `${safeJson(value)}\n` : `${clean(text())}\n`);
}

/** Words for people that are not the result. */
export function say(text: string): void {
  process.stderr.write(`${clean(text)}\n`);
}

/** Progress of what may take over a second: only on a terminal. */
export function progress(title: string): (done: number, total: number) => void {
  if (!process.stderr.isTTY) return () => {};
  const began = performance.now();
  return (done, total) => {
    if ((done < total && performance.now() - began < 300) || !inForeground()) return;
    const width = 30;
    const full = Math.round((width * done) / Math.max(1, total));
    const bar = "#".repeat(full) + "-".repeat(width - full);
    process.stderr.write(`\r\x1b[K${oneLine(title)} [${bar}] ${done}/${total}`);
    if (done >= total) process.stderr.write("\r\x1b[K");
  };
}

/** Shows that something is under way, with the seconds it has taken: only on a terminal, and from half a second on. */
export async function waiting<T>(title: string, work: Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return await work;
  const began = performance.now();
  let shown = false;
  const timer = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    // In the background the line belongs to a shell.
    if (seconds > 0.5 && (shown = inForeground()))
      process.stderr.write(`\r\x1b[K${oneLine(title)} … ${seconds.toFixed(0)} s`);
  }, 200);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown || inForeground()) process.stderr.write("\r\x1b[K");
  }
}

/** Names and values under each other. */
export function table(rows: readonly (readonly [string, string | number])[]): string {
  const lines = rows.map(([name, value]) => [oneLine(name), value] as const);
  const width = Math.max(0, ...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
