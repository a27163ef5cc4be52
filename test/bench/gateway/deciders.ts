// Decisions of the flood model that callers ask of a gateway over HTTP, of a package that it was handed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { buildStation } from "../../../host/flood/station.ts";
import { Gateway } from "../../../host/gateway/gateway.ts";
import { needsOf } from "../../../host/lib/needs.ts";
import { makePackage } from "../../../host/lib/package.ts";
import { keepKey, openProject, signingKey } from "../../../host/lib/project.ts";
import { scratch } from "../../harness/target.ts";
import { figure, type Cell } from "../report.ts";

/** Columns of `asked`. */
export const askedColumns = [
  "callers",
  "a decision a second each: ms until an answer, median",
  "one after the other: ms, median",
  "decisions a second",
  "CPU ms of the gateway each",
];

/** The days that a decision is made of, the newest last: day, level in mm, rain in mm. */
const days = Array.from({ length: 5 }, (_, day) => [16_000 + day, 1500, 2]);
const body = JSON.stringify({ from: 16_004, days });
/** Decisions of each caller. */
const paced = 10;
const each = 30;

/** Callers in a process of their own; how long each decision took, the shortest first, in ms. */
async function callers(url: string, tokens: string[], count: number, period: number) {
  const words = [join(import.meta.dirname, "callers.mjs"), url, String(count), String(period)];
  const child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(JSON.stringify({ tokens, body }));
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  if (code !== 0) throw new Error("a caller got no decision");
  return (JSON.parse(said) as number[]).toSorted((a, b) => a - b);
}

const median = (times: readonly number[]): string => figure(times[times.length >> 1]!);

/** A row for each number of callers. */
export async function asked(crowd: readonly number[] = [1, 64]): Promise<Cell[][]> {
  using folder = scratch();
  mkdirSync(folder.path, { recursive: true });
  const project = openProject(folder.path);
  keepKey(project);
  const { module } = await buildStation();
  const about = { vendor: "", class: "hosted", sequence: 1, name: "station", version: "1.0.0" };
  const bytes = makePackage(module, { ...about, needs: needsOf(module) }, signingKey(project));
  const gateway = await Gateway.start({
    project,
    folder: join(folder.path, "gateway"),
    nodes: {},
    config: { listen: { host: "127.0.0.1", port: 0 } },
  });
  try {
    // The limit per token is for users; a benchmark is none.
    gateway.access.limit = () => undefined;
    const url = `${gateway.url}/api/deciders`;
    const tokens: string[] = [];
    const rows: Cell[][] = [];
    for (const count of crowd) {
      while (tokens.length < count) {
        const name = `c${tokens.length}`;
        const token = gateway.access.create(name, "admin");
        const headers = { authorization: `Bearer ${token}` };
        const sent = { method: "PUT", headers, body: Uint8Array.from(bytes) };
        const response = await fetch(`${url}/${name}`, sent);
        if (!response.ok) throw new Error(await response.text());
        tokens.push(token);
      }
      const seldom = await callers(url, tokens, paced, 1000);
      const [began, busy] = [performance.now(), process.cpuUsage()];
      const often = await callers(url, tokens, each, 0);
      const seconds = (performance.now() - began) / 1000;
      const { user, system } = process.cpuUsage(busy);
      rows.push([
        count,
        median(seldom),
        median(often),
        Math.round(often.length / seconds),
        figure((user + system) / 1000 / often.length),
      ]);
    }
    return rows;
  } finally {
    await gateway.stop();
  }
}
