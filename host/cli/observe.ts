// Shows values as they come in, and records them.
import { createWriteStream } from "node:fs";
import { exitCode, print, spark, untilInterrupted, VerbError, withNode } from "./context.ts";

export async function observeVerb(
  paths: string[],
  options: { node?: string; count?: string; record?: string; chart?: boolean; json?: boolean },
): Promise<void> {
  const most = options.count === undefined ? Number.POSITIVE_INFINITY : Number(options.count);
  if (!(most > 0)) throw new VerbError(`${options.count} is no count`, undefined, exitCode.usage);
  await withNode(options.node, async (node) => {
    let chosen = paths.map((path) => path.replace(/^\//, ""));
    if (chosen.length === 0) {
      const app = await node.app();
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
    const record = options.record === undefined ? undefined : createWriteStream(options.record);
    const seen = new Map<string, number[]>();
    let count = 0;
    const follow = async (path: string) => {
      for await (const { value, at } of node.observe(path, signal)) {
        record?.write(`${JSON.stringify({ at, path, value })}\n`);
        const values = [...(seen.get(path) ?? []), value].slice(-60);
        seen.set(path, values);
        print(options.json, { at, path, value }, () =>
          options.chart ? `${path} ${spark(values)} ${value}` : `${path} = ${value}`,
        );
        if (++count >= most) done.abort();
        if (signal.aborted) return;
      }
    };
    const ended = await Promise.allSettled(chosen.map(follow));
    record?.end();
    const failed = ended.find((one) => one.status === "rejected" && !signal.aborted);
    if (failed?.status === "rejected") throw failed.reason;
  });
}
