// Verbs for several nodes: which are meant, side by side with a bound, one line of outcome for each, and the exit code of the worst.
import { UserError } from "../lib/errors.ts";
import { gatewayNodes, gatewayPlace } from "../lib/gateway.ts";
import type { Node } from "../lib/node.ts";
import { throughGateway } from "../lib/project.ts";
import { counted, oneLine } from "../lib/text.ts";
import {
  chosenNode,
  exitCode,
  findNode,
  paint,
  print,
  project,
  say,
  table,
  withNode,
  type NodeOptions,
  type Session,
} from "./context.ts";
import { interruptedCode } from "./interruption.ts";
import { tell } from "./report.ts";

export interface SeveralOptions extends NodeOptions {
  all?: boolean;
  /** The node to begin with, or true for the first. */
  canary?: string | boolean;
}

export interface Target {
  /** As it was named. */
  name: string;
  address: string;
}

/** How many nodes are talked to at a time. */
const atOnce = 8;

/** Nodes of a gateway by a pattern, as `river/wye-*`: every one that it knows now. */
async function behindGateway(given: string): Promise<string[]> {
  const through = throughGateway(project(), given);
  if (through === undefined || !through.node.includes("*")) return [given];
  const front = given.slice(0, given.indexOf("/"));
  const place = { ...gatewayPlace(through.url) };
  const nodes = await gatewayNodes(place);
  const pattern = through.node
    .split("*")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  const found = nodes.filter((name) => new RegExp(`^${pattern}$`).test(name));
  if (found.length === 0)
    throw new UserError(
      `the gateway ${front} has no node that ${through.node} fits`,
      "`wasmote rollout` and the dashboard list its nodes",
      "usage",
    );
  return found.map((name) => `${front}/${name}`);
}

/** Every node that is meant, each once: names, addresses, groups of wasmote.toml, nodes of gateways, or all that it names. */
export async function targets({ node = [], all = false }: SeveralOptions): Promise<Target[]> {
  const { nodes, groups } = project();
  if (all && node.length > 0)
    throw new UserError("--all and --node together mean two things", "take one of them", "usage");
  if (all && Object.keys(nodes).length === 0)
    throw new UserError("wasmote.toml names no nodes", "write them under [nodes]", "usage");
  const chosen = chosenNode();
  const given = all ? Object.keys(nodes) : node.length > 0 ? node : chosen ? [chosen] : [];
  if (given.length === 0)
    throw new UserError(
      "no node was named",
      "add --node coap://192.168.1.20 or --node serial:/dev/ttyACM0, or choose one for good with `wasmote use`",
      "usage",
    );
  const names = given.flatMap((name) => {
    const group = Object.hasOwn(groups, name) ? groups[name] : undefined;
    if (group === undefined) return [name];
    if (Object.hasOwn(nodes, name))
      throw new UserError(`${name} is a node and a group in wasmote.toml`, "rename one", "usage");
    if (group.length === 0)
      throw new UserError(
        `the group ${name} in wasmote.toml is empty`,
        "name nodes in it",
        "usage",
      );
    return group;
  });
  const each = (await Promise.all(names.map(behindGateway))).flat();
  const found = each.map((name) => ({ name, address: findNode(name) }));
  // Two names of one node are one node.
  return found.filter(
    ({ address }, at) => found.findIndex((one) => one.address === address) === at,
  );
}

interface Outcome<T> {
  target: Target;
  result?: T;
  /** What failed, as an error tells it. */
  failure?: { code: string; message: string; advice?: string | undefined; exit: number };
}

/** One node's part of a verb: what it did, as JSON and in words. */
export type Work<T> = (node: Node, session: Session, target: Target) => Promise<T>;

export interface SeveralSettings<T> {
  /** The outcome as a line, or several where it is the only one. */
  words: (result: T, alone: boolean) => string;
  /** Whether the others may follow after the canary. */
  proven?: (node: Node, result: T) => Promise<void>;
  longest?: number;
}

/** Does a verb's work on every node that is meant, and prints what came of it. */
export async function onEach<T>(
  options: SeveralOptions,
  work: Work<T>,
  { words, proven, longest }: SeveralSettings<T>,
): Promise<void> {
  const list = await targets(options);
  const limits = longest === undefined ? {} : { longest };
  const [only] = list;
  if (list.length === 1 && only !== undefined) {
    const result = await withNode(options, (node, session) => work(node, session, only), {
      place: only.address,
      ...limits,
    });
    print(options.json, result, () => words(result, true));
    return;
  }
  const one = async (target: Target, canary = false): Promise<Outcome<T>> => {
    try {
      const each = async (node: Node, session: Session) => {
        const result = await work(node, session, target);
        if (canary) await proven?.(node, result);
        return result;
      };
      return {
        target,
        result: await withNode(options, each, { place: target.address, ...limits }),
      };
    } catch (error) {
      return { target, failure: tell(error) };
    }
  };
  const outcomes = new Map<Target, Outcome<T>>();
  const first = canaryOf(list, options.canary);
  if (first !== undefined) outcomes.set(first, await one(first, true));
  const alone = first !== undefined && outcomes.get(first)?.failure !== undefined;
  const rest = alone ? [] : list.filter((target) => target !== first);
  await bounded(rest, atOnce, async (target) => void outcomes.set(target, await one(target)));
  const all = list.map(
    (target): Outcome<T> =>
      outcomes.get(target) ?? {
        target,
        failure: {
          code: "skipped",
          message: `nothing was done: ${first?.name ?? "the first"} failed`,
          exit: 0,
        },
      },
  );
  finish(all, options.json, (result) => words(result, false));
}

function finish<T>(
  all: readonly Outcome<T>[],
  json: boolean | undefined,
  words: (result: T) => string,
): void {
  const shown = all.map(({ target: { name, address }, result, failure }) => ({
    node: name,
    address,
    ok: failure === undefined,
    ...(failure === undefined ? { result } : { error: failure }),
  }));
  print(json, shown, () =>
    table(
      all.map(({ target, result, failure }): [string, string] => [
        target.name,
        failure === undefined
          ? `${paint("green", "ok")}       ${words(result as T)}`
          : failure.code === "skipped"
            ? `${paint("yellow", "skipped")}  ${failure.message}`
            : `${paint("red", "failed")}   ${oneLine(failure.message)}`,
      ]),
    ),
  );
  const failed = all.filter(({ failure }) => failure !== undefined && failure.code !== "skipped");
  const worst = Math.max(0, ...failed.map(({ failure }) => failure?.exit ?? 0));
  if (worst === 0) return;
  const advice = new Set(failed.flatMap(({ failure }) => failure?.advice ?? []));
  say(`${paint("red", "error:")} ${failed.length} of ${counted(all.length, "node")} failed`);
  for (const line of advice) say(`  what to do: ${line}`);
  process.exitCode = interruptedCode() ?? worst;
}

function canaryOf(list: readonly Target[], canary: string | boolean | undefined) {
  if (canary === undefined || canary === false) return undefined;
  if (canary === true) return list[0];
  const found = list.find(({ name, address }) => name === canary || address === canary);
  if (found === undefined)
    throw new UserError(
      `${oneLine(canary)} is not one of the nodes that were named`,
      `take one of: ${list.map(({ name }) => name).join(", ")}`,
      "usage",
    );
  return found;
}

/** Works through a list with so many at a time; nothing new is begun once the verb is interrupted. */
export async function bounded<T>(
  list: readonly T[],
  most: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...list];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, left.length) }, worker));
}

/** The exit code of several failures. */
export function worstOf(errors: readonly unknown[]): number {
  return Math.max(exitCode.failed, ...errors.map((error) => tell(error).exit));
}
