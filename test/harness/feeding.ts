// Sensors that go on: a ranger of which nothing comes for three seconds is silent, and a loaded machine may take longer than that to ask.
import type { Emulated } from "../../host/lib/emulate.ts";

/** Feeds a value to a sensor, and what it is by then again every 200 ms, until the work is done. */
export async function feeding<T>(
  board: Pick<Emulated, "feed">,
  sensor: string,
  value: number | (() => number),
  work: () => Promise<T>,
): Promise<T> {
  const feed = () => board.feed(sensor, typeof value === "number" ? value : value());
  feed();
  const again = setInterval(feed, 200);
  try {
    return await work();
  } finally {
    clearInterval(again);
  }
}
