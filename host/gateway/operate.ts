// Operating nodes through the gateway: parameters, packages with the fit check, rollback, logs with source lines of traps.
import { describeTrap } from "../lib/backtrace.ts";
import { installPackage } from "../lib/install.ts";
import { keptPackage } from "../lib/kept.ts";
import { openPackage } from "../lib/package.ts";
import { readFacts } from "../lib/build/section.ts";
import { inspect } from "../lib/engine.ts";
import type { Project } from "../lib/project.ts";
import { Refused } from "./http.ts";
import type { ManagedNode } from "./nodes.ts";

/** Whether a package fits a node, and every reason why it does not. */
export interface Fit {
  fits: boolean;
  reasons: string[];
  name: string;
  version: string;
  sequence: number;
  bytes: number;
  ram: number;
}

/** Compares what a package needs with what a node has, before the first byte goes there. */
export async function fitOf(node: ManagedNode, bytes: Uint8Array): Promise<Fit> {
  const opened = (() => {
    try {
      return openPackage(bytes);
    } catch (error) {
      throw new Refused(400, `this is not a package: ${(error as Error).message}`);
    }
  })();
  const { manifest, module } = opened;
  const info = await node.connection.info();
  const app = await node.connection.app();
  const { footprint, table } = inspect(module);
  const facts = readFacts(module);
  const { limits } = info;
  const reasons: string[] = [];
  const over = (what: string, needs: number, has: number | undefined) => {
    if (has !== undefined && needs > has)
      reasons.push(`needs ${needs} ${what}, the node has ${has}`);
  };
  over("bytes of RAM", footprint.total, limits["memory"]);
  over("bytes of flash", module.length + table, limits["package"]);
  for (const sensor of facts.sensors)
    if (!node.resources.some(({ path }) => path === `/sensors/${sensor}`))
      reasons.push(`the node has no sensor ${sensor}`);
  if (manifest.class !== info.class)
    reasons.push(`is for ${manifest.class}, the node is a ${info.class}`);
  if (manifest.sequence <= app.highest)
    reasons.push(`has the sequence number ${manifest.sequence}, the node has had ${app.highest}`);
  return {
    fits: reasons.length === 0,
    reasons,
    name: manifest.name,
    version: manifest.version,
    sequence: manifest.sequence,
    bytes: bytes.length,
    ram: footprint.total,
  };
}

/** Installs a package that fits, as fast as its link may carry it; what does not fit is refused here, with all reasons. */
export async function push(
  node: ManagedNode,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<object> {
  const fit = await fitOf(node, bytes);
  if (!fit.fits)
    throw new Refused(409, `the package does not fit ${node.name}: ${fit.reasons.join("; ")}`);
  const { link } = node;
  const shared =
    link === undefined
      ? {}
      : {
          blockSize: link.blockSize,
          pace: (length: number) => link.turn(length, signal),
        };
  const installed = await installPackage(node.connection, bytes, { wait: 0, signal, ...shared });
  node.seen();
  return installed;
}

/** What befell the package of a node last, with the lines of the source where the module was built here. */
export function trapOf(
  project: Project,
  node: ManagedNode,
): { what: string; sequence: number; text: string } | undefined {
  const { event } = node.app ?? {};
  if (event === undefined) return undefined;
  const { what, sequence, trap, offset, backtrace = [] } = event;
  if (what !== "trap" && what !== "fuel") return { what, sequence, text: what };
  // The first of the calls is where it happened.
  const offsets = offset === undefined ? backtrace : [offset, ...backtrace.slice(1)];
  return {
    what,
    sequence,
    text: describeTrap(trap ?? what, keptPackage(project, sequence), offsets),
  };
}
