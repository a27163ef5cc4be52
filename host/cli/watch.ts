// Pushes at every change of the source, and shows what the node publishes, and where it trapped.
import { statSync } from "node:fs";
import { dirname, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { installProgram } from "../lib/install.ts";
import { programFile } from "../lib/program.ts";
import { signingKey } from "../lib/project.ts";
import { print, project, say, withNode, type NodeOptions } from "./context.ts";
import { describeEvent } from "./info.ts";
import { load, type MemoryOptions } from "./program.ts";
import { clock, shownReading } from "../lib/text.ts";
import { watchFolder } from "../lib/watched.ts";
import { told, warn } from "./push.ts";
import { report } from "./report.ts";

/** Milliseconds without a change after which a file is taken as written. */
const quiet = 50;

export async function watchVerb(
  file: string | undefined,
  options: NodeOptions & MemoryOptions & { key?: string },
): Promise<void> {
  const source = programFile(project(), file);
  const shownSource = relative(process.cwd(), source);
  await withNode(options, async (node, { open }) => {
    // Who is not there is said now; what goes wrong later, the next change may mend.
    const { security } = await node.info();
    warn(security ?? "", source);
    const signal = open();
    // A change while a push is under way counts for the next.
    let changed = false;
    let wake = (): void => {};
    let began = Math.round(performance.timeOrigin);
    const change = () => {
      if (!changed) began = Date.now();
      changed = true;
      wake();
    };
    const watcher = watchFolder(dirname(source), (name) => {
      if (name.endsWith(".ts")) change();
    });
    signal.addEventListener("abort", change);
    // Whoever writes a file empties it first, and may write it in parts: half of a source may be another program.
    const settled = async () => {
      do {
        changed = false;
        await delay(quiet);
      } while (changed && !signal.aborted);
      return !signal.aborted && statSync(source, { throwIfNoEntry: false })?.size !== 0;
    };
    let running = new AbortController();
    let followed: Promise<void>[] = [];
    let pushedDigest = "";
    let again = false;
    while (!signal.aborted) {
      changed = false;
      const trouble = (error: unknown) => {
        if (running.signal.aborted) return;
        report(error, options.json);
      };
      const follow = (work: () => Promise<void>) => followed.push(work().catch(trouble));
      try {
        if (again && !(await settled())) continue;
        if (again) say(`${clock(began)} ${shownSource} changed: building`);
        again = true;
        const program = await load(file, options);
        // An editor that writes twice, or a changed comment: the same module already runs.
        if (program.digest === pushedDigest) continue;
        running.abort();
        await Promise.all(followed);
        running = new AbortController();
        followed = [];
        pushedDigest = "";
        const since = began;
        const key = signingKey(project(), options.key);
        const pushed = await installProgram(node, project(), program, key, {
          began: since,
          wait: 0,
        });
        print(options.json, pushed, () => told(pushed).replace("; no output yet", ""));
        pushedDigest = program.digest;
        // Where nothing was sent, no change is what an output follows.
        let first = pushed.unchanged !== true;
        for (const { name } of program.facts.outputs) {
          follow(async () => {
            for await (const reading of node.observe(`outputs/${name}`, running.signal)) {
              const { value, text, at } = reading;
              const after = first ? { after: at - since } : {};
              first = false;
              print(
                options.json,
                { at, path: `outputs/${name}`, value: text ?? value, ...after },
                () =>
                  after.after === undefined
                    ? `${clock(at)}  ${name} = ${shownReading(reading)}`
                    : `${clock(at)}  ${name} = ${shownReading(reading)} (first output, ${after.after} ms after the change)`,
              );
            }
          });
        }
        follow(async () => {
          for await (const app of node.watchApp(running.signal)) {
            if (app.event?.sequence !== pushed.sequence) continue;
            print(options.json, { event: app.event }, () => describeEvent(app) ?? "");
          }
        });
      } catch (error) {
        // A source that does not build, a node that refuses: the next change may mend it.
        trouble(error);
      } finally {
        if (!changed) await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    running.abort();
    await Promise.all(followed);
    watcher.close();
  });
}
