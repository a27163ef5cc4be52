// Many native nodes in one process, each for itself.
import { parseEvent, start } from "./process.ts";
import { missing, programs } from "./programs.ts";

/** Many native nodes in one process. */
export interface Fleet {
  /** Each node's name and address. */
  readonly nodes: readonly { name: string; address: string }[];
  readonly console: readonly string[];
  /** Gives a sensor of one of them a value. */
  feed(name: string, sensor: string, value: number): void;
  stop(): Promise<void>;
}

/** Starts so many native nodes, called node-1 and so on, each on a loopback address of its own; resolves when all can be talked to. */
export async function emulateFleet(count: number, words: readonly string[] = []): Promise<Fleet> {
  const reason = missing("native");
  if (reason !== undefined) throw new Error(reason);
  const process = start(programs.native, ["--fleet", String(count), ...words]);
  const nodes: { name: string; address: string }[] = [];
  await process.first((line) => {
    const event = parseEvent(line);
    if (event?.event === "ready")
      nodes.push({ name: `node-${String(event.node)}`, address: `coap://${String(event.udp)}` });
    return nodes.length === count ? true : undefined;
  });
  return {
    nodes: nodes.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })),
    console: process.console,
    feed: (name, sensor, value) => process.write(`${name} sample ${sensor} ${value}\n`),
    stop: () => process.stop(),
  };
}
