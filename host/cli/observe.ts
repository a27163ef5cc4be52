// Shows values as they come in, and records them.
import { UserError } from "../lib/errors.ts";
import type { Node, Reading } from "../lib/node.ts";
import { clock, shownReading } from "../lib/text.ts";
import { Drawing } from "../lib/drawing.ts";
import { charts, spark, type Series } from "./chart.ts";
import { print, say, withNode, type Session } from "./context.ts";
import { recorder, type Recorder } from "./record.ts";
import { refuseForeign } from "./result.ts";
import { targets, worstOf, type SeveralOptions, type Target } from "./several.ts";

interface Options extends SeveralOptions {
  count?: string;
  record?: string;
  chart?: boolean;
  force?: boolean;
}

export async function observeVerb(paths: string[], options: Options): Promise<void> {
  const most = options.count === undefined ? Number.POSITIVE_INFINITY : Number(options.count);
  if (!(most > 0))
    throw new UserError(`${options.count} is not a count`, "write: --count 10", "usage");
  const list = await targets(options);
  if (list.length > 1 && options.record !== undefined)
    throw new UserError(
      "a recording is of one node",
      "run the verb once for each, with a file of its own",
      "usage",
    );
  if (options.record !== undefined) refuseForeign(options.record, "a recording", options.force);
  const wanted = paths.map((path) => path.replace(/^\//, ""));
  const screen = new Screen(options, list.length > 1);
  // The first that fails ends it where it is the only one; of several the others go on.
  const done = new AbortController();
  let count = 0;
  const taken = () => {
    if (++count >= most) done.abort();
  };
  const failures: unknown[] = [];
  const all = list.map(async (target) => {
    const work = (node: Node, session: Session) =>
      follow({ node, session, target, wanted, options, screen, done: done.signal, taken });
    await withNode(options, work, { place: target.address }).catch((error: unknown) => {
      if (list.length === 1) throw error;
      failures.push(error);
      say(`${target.name}: ${(error as Error).message}`);
    });
  });
  await Promise.all(all).finally(() => screen.end());
  if (failures.length > 0) process.exitCode = worstOf(failures);
}

interface Following {
  node: Node;
  session: Session;
  target: Target;
  wanted: readonly string[];
  options: Options;
  screen: Screen;
  /** Fires when enough was seen. */
  done: AbortSignal;
  taken: () => void;
}

/** Follows the resources of one node until it is interrupted, or enough was seen. */
async function follow(following: Following): Promise<void> {
  const { node, session, target, options, screen, done, taken } = following;
  const { chosen, record } = await choose(following);
  const own = new AbortController();
  const stop = () => own.abort();
  const interrupted = session.open();
  for (const signal of [done, interrupted, ...(record ? [record.failed] : [])])
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  screen.waits(target, chosen);
  const one = async (path: string) => {
    let known = true;
    for await (const reading of node.observe(path, own.signal)) {
      record?.write(path, reading, known);
      known = false;
      screen.show(target, path, reading);
      taken();
      if (own.signal.aborted) return;
    }
  };
  const ended = await Promise.allSettled(chosen.map((path) => one(path).finally(stop)));
  await record?.end();
  const failed = ended.find((result) => result.status === "rejected");
  if (failed?.status === "rejected" && !options.all) throw failed.reason;
}

/** What is followed: what was named, or all outputs; with a recording the sensors too. */
async function choose({ node, wanted, options, target }: Following): Promise<{
  chosen: readonly string[];
  record: Recorder | undefined;
}> {
  // Any CoAP server has resources; what runs there is asked only where it is needed.
  if (wanted.length > 0 && options.record === undefined)
    return { chosen: wanted, record: undefined };
  const { outputs = [], sensors = [], digest } = await node.app();
  const named = [
    ...outputs.map((name) => `outputs/${name}`),
    ...(options.record === undefined ? [] : sensors.map((name) => `sensors/${name}`)),
  ];
  const chosen = wanted.length > 0 ? wanted : named;
  if (chosen.length === 0)
    throw new UserError(
      `${target.name} has no outputs`,
      "push a module, or name a path: sensors/level",
    );
  if (options.record === undefined) return { chosen, record: undefined };
  const head = { parameters: await node.params(), ...(digest === undefined ? {} : { digest }) };
  return { chosen, record: recorder(options.record, head) };
}

/** How many values a chart looks back. */
const longestSeries = 500;

/** Where values are shown: a line each, or drawn over and over in a terminal. */
class Screen {
  readonly #options: Options;
  readonly #several: boolean;
  readonly #drawing: Drawing | undefined;
  readonly #seen = new Map<string, Series>();

  constructor(options: Options, several: boolean) {
    this.#options = options;
    this.#several = several;
    if (options.chart === true && process.stdout.isTTY && options.json !== true)
      this.#drawing = new Drawing(process.stdout, { hides: false });
  }

  end(): void {
    this.#drawing?.end();
  }

  /** Says what is waited for, which may take long. */
  waits({ name }: Target, paths: readonly string[]): void {
    if (!this.#drawing) say(`waiting for ${paths.join(", ")} of ${name} (Ctrl-C ends it)`);
  }

  show({ name }: Target, path: string, reading: Reading): void {
    const { value, at, text } = reading;
    const label = this.#several ? `${name} ${path}` : path;
    const series = this.#seen.get(label) ?? { label, points: [] };
    series.points = [...series.points, { at, value }].slice(-longestSeries);
    this.#seen.set(label, series);
    if (this.#drawing) return this.#draw(this.#drawing);
    const { json, chart } = this.#options;
    const whose = this.#several ? { node: name } : {};
    const bars = () => spark(series.points.slice(-60).map((point) => point.value));
    print(json, { ...whose, at, path, value: text ?? value }, () =>
      chart
        ? `${clock(at)}  ${label} ${bars()} ${shownReading(reading)}`
        : `${clock(at)}  ${label} = ${shownReading(reading)}`,
    );
  }

  #draw(drawing: Drawing): void {
    const all = charts([...this.#seen.values()], { columns: process.stdout.columns ?? 80 });
    // What has scrolled away cannot be drawn over. A terminal that does not know how large it is has room for all.
    drawing.draw(all.slice(0, Math.max(1, (process.stdout.rows || Infinity) - 1)));
  }
}
