// Pushes at every change of the source, and shows what the node publishes.
import { watch as watchFile } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { project, untilInterrupted, withNode } from "./context.ts";
import { load } from "./program.ts";
import { push, told } from "./push.ts";

export async function watchVerb(
  file: string | undefined,
  options: { node?: string; key?: string },
): Promise<void> {
  const signal = untilInterrupted();
  const source = file === undefined ? join(project().folder, project().main) : resolve(file);
  await withNode(options.node, async (node) => {
    // A change while a push is under way counts for the next.
    let changed = false;
    let wake = (): void => {};
    const change = () => {
      changed = true;
      wake();
    };
    const watcher = watchFile(dirname(source), { recursive: true }, (_, name) => {
      if (name?.endsWith(".ts")) change();
    });
    signal.addEventListener("abort", change);
    while (!signal.aborted) {
      changed = false;
      const running = new AbortController();
      const followed: Promise<void>[] = [];
      try {
        const program = await load(file);
        const pushed = await push(node, program, options.key);
        process.stdout.write(`${told(pushed, program.name)}\n`);
        for (const { name } of program.facts.outputs) {
          followed.push(
            (async () => {
              for await (const { value } of node.observe(`outputs/${name}`, running.signal))
                process.stdout.write(`${name} = ${value}\n`);
            })().catch(() => {}),
          );
        }
      } catch (error) {
        // A source that does not build, a node that refuses: the next change may mend it.
        process.stderr.write(`${(error as Error).message}\n`);
      }
      if (!changed) await new Promise<void>((resolve) => (wake = resolve));
      running.abort();
      await Promise.all(followed);
    }
    watcher.close();
  });
}
