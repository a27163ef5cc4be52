// Observations on behalf of others: one upstream for all who observe the same of the same node, begun with the first and ended with the last.
import type { Response } from "../lib/coap/endpoint.ts";
import type { Node } from "../lib/node.ts";
import { namesOf, type Key } from "./cache.ts";

/** Told of each state; of nothing when the observation is over. */
type Listener = (response: Response | undefined) => void;

interface Running {
  listeners: Set<Listener>;
  newest: Response | undefined;
  ending: AbortController;
}

export class Shared {
  readonly #running = new Map<string, Running>();

  /** Observes; the function that is returned ends it. */
  join(key: Key, connect: () => Promise<Node>, listener: Listener): () => void {
    const name = namesOf(key).whole;
    let running = this.#running.get(name);
    if (running === undefined) {
      running = { listeners: new Set(), newest: undefined, ending: new AbortController() };
      this.#running.set(name, running);
      void this.#run(name, key, connect, running);
    }
    const { listeners, newest, ending } = running;
    listeners.add(listener);
    if (newest !== undefined) listener(newest);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      ending.abort();
      if (this.#running.get(name) === running) this.#running.delete(name);
    };
  }

  async #run(
    name: string,
    { options }: Key,
    connect: () => Promise<Node>,
    running: Running,
  ): Promise<void> {
    const { signal } = running.ending;
    try {
      const node = await connect();
      for await (const response of node.notifications("", { options, signal })) {
        running.newest = response;
        for (const listener of running.listeners) listener(response);
      }
    } catch {
      // Whoever observes is told that it is over, and asks for more if it wants more.
    }
    if (this.#running.get(name) === running) this.#running.delete(name);
    if (!signal.aborted) for (const listener of running.listeners) listener(undefined);
  }

  get size(): number {
    return this.#running.size;
  }
}
