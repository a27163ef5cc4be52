// What a gateway decides as somebody's cloud: days that it is given, by packages that it was handed.
import { DayRunner } from "../../flood/days.ts";
import { openPackage } from "../../lib/package.ts";
import { Refused } from "../http.ts";

/** Deciders at most, and days in a question. */
const mostDeciders = 1_000;

/** What others have handed to this gateway, which is their cloud. Not kept: the caller hands it over again. */
export class Deciders {
  readonly #all = new Map<string, DayRunner>();

  start(name: string, bytes: Uint8Array, parameters: Record<string, number>): void {
    if (!this.#all.has(name) && this.#all.size >= mostDeciders)
      throw new Refused(422, `${mostDeciders} deciders run here already`);
    try {
      this.#all.set(name, new DayRunner(openPackage(bytes).module, parameters));
    } catch (error) {
      throw new Refused(422, `the package does not run here: ${(error as Error).message}`);
    }
  }

  stop(name: string): boolean {
    return this.#all.delete(name);
  }

  of(name: string): DayRunner {
    const found = this.#all.get(name);
    if (found === undefined) throw new Refused(404, `nothing decides as ${name}`);
    return found;
  }
}
