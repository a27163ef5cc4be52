// Shows values as they come in, and records them.
import { chart, spark } from "./chart.ts";
import {
  exitCode,
  print,
  untilInterrupted,
  VerbError,
  withNode,
  type NodeOptions,
} from "./context.ts";
import { recorder } from "./record.ts";

export async function observeVerb(
  paths: string[],
  options: NodeOptions & { count?: string; record?: string; chart?: boolean },
): Promise<void> {
  const most = options.count === undefined ? Number.POSITIVE_INFINITY : Number(options.count);
  if (!(most > 0))
    throw new VerbError(`${options.count} is no count`, "write: --count 10", exitCode.usage);
  await withNode(options, async (node) => {
    const app = await node.app();
    let chosen = paths.map((path) => path.replace(/^\//, ""));
    if (chosen.length === 0) {
      chosen = [
        ...(app.outputs ?? []).map((name) => `outputs/${name}`),
        ...(options.record === undefined
          ? []
          : (app.sensors ?? []).map((name) => `sensors/${name}`)),
      ];
      if (chosen.length === 0)
        throw new VerbError(
          "the node has no outputs",
          "push a module, or name a path: sensors/level",
        );
    }
    const done = new AbortController();
    const signal = AbortSignal.any([untilInterrupted(), done.signal]);
    const parameters = options.record === undefined ? {} : await node.params();
    const record =
      options.record === undefined
        ? undefined
        : recorder(options.record, {
            parameters,
            ...(app.digest === undefined ? {} : { digest: app.digest }),
          });
    const seen = new Map<string, number[]>();
    const drawing = options.chart === true && process.stdout.isTTY && options.json !== true;
    let drawn = 0;
    const draw = () => {
      const width = (process.stdout.columns ?? 80) - 16;
      const rows = [...seen].flatMap(([path, values]) => [
        `${path} = ${values.at(-1)}`,
        ...chart(values.slice(-width), { width, height: 6 }),
      ]);
      // Back to the first line of the last picture, and over it.
      const back = drawn > 0 ? `\x1b[${drawn}A` : "";
      process.stdout.write(`${back}${rows.map((row) => `\x1b[K${row}\n`).join("")}`);
      drawn = rows.length;
    };
    let count = 0;
    const follow = async (path: string) => {
      let known = true;
      for await (const reading of node.observe(path, signal)) {
        const { value, at } = reading;
        record?.write(path, reading, known);
        known = false;
        const values = [...(seen.get(path) ?? []), value].slice(-500);
        seen.set(path, values);
        if (drawing) draw();
        else
          print(options.json, { at, path, value }, () =>
            options.chart ? `${path} ${spark(values.slice(-60))} ${value}` : `${path} = ${value}`,
          );
        if (++count >= most) done.abort();
        if (signal.aborted) return;
      }
    };
    // The first that fails ends the others.
    const ended = await Promise.allSettled(
      chosen.map((path) => follow(path).finally(() => done.abort())),
    );
    await record?.end();
    const failed = ended.find((one) => one.status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  });
}
