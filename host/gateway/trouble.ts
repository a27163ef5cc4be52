// Why a node cannot be read, and what to do about it, in a sentence: for the console when the gateway starts, and for the dashboard.
import { NodeError } from "../lib/errors.ts";
import { oneLine } from "../lib/text.ts";

const correct = "correct its address under [nodes] in wasmote.toml";
const context =
  "run the gateway where a context with it is kept, or make one here with `wasmote keys claim` or `wasmote provision`";

/** What to do, by what went wrong; what is not here says so by itself. */
function adviceFor(error: unknown): string | undefined {
  if (!(error instanceof NodeError)) return undefined;
  if (error.code === "insecure" || error.status === "4.01" || error.status === "4.03")
    return context;
  if (error.status === "4.04" || error.status === "4.05")
    return "it is a CoAP server and no node of Wasmote: the gateway reads one only as a target of /hc/";
  if (error.code === "address") return correct;
  if (error.code !== "link") return undefined;
  return error.message.includes("cannot be opened")
    ? "check that it is plugged in, and that this user may open it"
    : `${correct}, or mend the name service`;
}

/** The sentence. */
export function troubleOf(error: unknown): string {
  const advice = adviceFor(error);
  const what = error instanceof Error ? error.message : String(error);
  return oneLine(advice === undefined ? what : `${what} (${advice})`);
}

/** Nodes that the console names one by one; a fleet that is off is not a thousand lines. */
const mostNamed = 16;

/** Tells on a console which of the nodes that somebody wrote down cannot be read at first, and when one of them can. */
export class FirstWords {
  readonly #say: (text: string) => void;
  readonly #waiting: Set<string>;
  readonly #told = new Set<string>();
  #unnamed = 0;

  constructor(names: Iterable<string>, say: (text: string) => void) {
    this.#waiting = new Set(names);
    this.#say = say;
  }

  take({ node, what, text }: { node: string; what: string; text: string }): void {
    if (!this.#waiting.has(node)) return;
    if (what === "silent") {
      if (this.#told.has(node)) return;
      if (this.#told.size < mostNamed) {
        this.#told.add(node);
        return this.#say(`${node} cannot be read yet: ${text}`);
      }
      if (this.#unnamed++ === 0)
        this.#say("more nodes cannot be read yet: the dashboard says which, and why");
    } else if (what === "heard") {
      this.#waiting.delete(node);
      if (this.#told.has(node)) this.#say(`${node} answers now`);
    }
  }
}
