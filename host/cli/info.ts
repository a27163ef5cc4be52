// Shows what a node says of itself, of its package and of its runs.
import { describeTrap, sourcePlace } from "../lib/backtrace.ts";
import { keptPackage } from "../lib/kept.ts";
import { guarded } from "../lib/keys.ts";
import type { AppState, NodeInfo, Stats } from "../lib/node.ts";
import { project, table } from "./context.ts";
import { onEach, type SeveralOptions } from "./several.ts";

interface Info {
  node: NodeInfo;
  app: AppState;
  stats: Stats;
  /** What the module keeps, by name. */
  kept: Record<string, string>;
  place?: object;
}

export async function infoVerb(options: SeveralOptions & { verbose?: boolean }): Promise<void> {
  await onEach<Info>(
    options,
    async (node) => {
      const [info, app, stats] = [await node.info(), await node.app(), await node.stats()];
      // Before its first run a module has none to tell of.
      const kept = (app.states ?? []).length === 0 ? {} : await node.states().catch(() => ({}));
      // The package that trapped is no longer the one that runs.
      const { event } = app;
      const place =
        event?.offset === undefined
          ? undefined
          : sourcePlace(keptPackage(project(), event.sequence), event.offset);
      return { node: info, app, stats, kept, ...(place ? { place } : {}) };
    },
    {
      words: (info, alone) =>
        !alone ? brief(info) : options.verbose ? everything(info) : people(info),
    },
  );
}

/** A node on one line. */
function brief({ node, app }: Info): string {
  return `${node.class}, up ${span(node.uptime)}, ${running(app)}`;
}

function running({ name, version, sequence, state, returned }: AppState): string {
  if (state === "empty") return "runs nothing";
  const back = returned ? ", returned to" : "";
  return `runs ${name ?? "a package"} ${version ?? ""} (sequence ${sequence ?? "?"}, ${state}${back})`;
}

/** The summary for people. */
function people({ node, app, stats, kept }: Info): string {
  const { limits, missing = [] } = node;
  const failures = (["traps", "ticks_missed", "samples_dropped"] as const).flatMap((name) =>
    stats[name] > 0 ? [`${stats[name]} ${name.replaceAll("_", " ")}`] : [],
  );
  const rows: [string, string][] = [
    ["node", `${node.name ?? "?"}, a ${node.board ?? node.class} (class ${node.class})`],
    ["firmware", `${node.firmware ?? "?"}, contract ${node.contract}`],
    ["security", guarded(node.security)],
    ["up", `${span(node.uptime)} since: ${node.reset ?? "?"}`],
    [
      "trusts",
      node.development === true
        ? "any key (development)"
        : `${node.keys ?? 0} ${node.keys === 1 ? "key" : "keys"}: ${(node.trusted ?? []).join(", ") || "none"}`,
    ],
    ["room", `${limits["memory"] ?? "?"} bytes of RAM, packages of ${limits["package"] ?? "?"}`],
    ...(missing.length > 0 ? ([["without", missing.join(", ")]] as [string, string][]) : []),
    ["app", running(app)],
  ];
  if (app.state !== "empty") {
    const names = (list: readonly string[] = []) => list.join(", ") || "none";
    rows.push(
      ["module", `${app.size ?? "?"} bytes, ${app.ram ?? "?"} of RAM, ${app.digest ?? ""}`],
      ["tier", tierOf(app)],
      ["sensors", names(app.sensors)],
      ["outputs", names(app.outputs)],
      ["parameters", names(app.params)],
      ...Object.entries(kept).map(([name, value]): [string, string] => [
        "state",
        `${name} ${value}`,
      ]),
      [
        "runs",
        `${stats.runs}, ${stats.fuel_max} fuel at most${failures.length > 0 ? `; ${failures.join(", ")}` : ""}`,
      ],
    );
  }
  const happened = describeEvent(app);
  return table(rows) + (happened === undefined ? "" : `\n\n${happened}`);
}

/** What executes the package, and why. */
function tierOf({ tier = "interpreted", code, why }: AppState): string {
  return code !== undefined ? `${tier}, ${code} bytes of code` : why ? `${tier}: ${why}` : tier;
}

/** Every counter there is. */
function everything({ node, app, stats }: Info): string {
  const rows = (record: object) =>
    table(
      Object.entries(record).map(([key, value]): [string, string] => [
        key,
        typeof value === "object" ? JSON.stringify(value) : String(value),
      ]),
    );
  const happened = describeEvent(app);
  const trap = happened === undefined ? "" : `\n\n${happened}`;
  return `${rows(node)}\n\napp\n${rows(app)}${trap}\n\nstats\n${rows(stats)}`;
}

/** A time in milliseconds as people say it. */
function span(time: number | undefined): string {
  if (time === undefined) return "?";
  const seconds = Math.floor(time / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const from = parts.findIndex(([count]) => count > 0);
  if (from < 0) return "0 s";
  return parts
    .slice(from, from + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** What happened to the package before the one that runs, with the line of a trap. */
export function describeEvent({ event }: AppState): string | undefined {
  if (event === undefined) return undefined;
  const { what, sequence, trap, offset, backtrace = [] } = event;
  const head = `package ${sequence}: ${what}`;
  if (what !== "trap" && what !== "fuel") return head;
  // The first of the calls is where it happened.
  const offsets = offset === undefined ? backtrace : [offset, ...backtrace.slice(1)];
  return `${head}\n${describeTrap(trap ?? what, keptPackage(project(), sequence), offsets)}`;
}
