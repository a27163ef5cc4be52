// A picture that is drawn over itself in a terminal, while text goes above it. The terminal is a shell's as well: before this process stands
// still (Ctrl-Z) or ends, the cursor is there again; what a shell writes meanwhile is left where it is; and in the background nothing is drawn.
import { inForeground } from "./foreground.ts";

const ends = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const cursor = { hidden: "\x1b[?25l", shown: "\x1b[?25h" };

export class Drawing {
  readonly #terminal: NodeJS.WriteStream;
  /** Whether the cursor would be in the way. */
  readonly #hides: boolean;
  #lines: readonly string[] = [];
  /** Lines of the picture that stand right above the cursor. */
  #shown = 0;
  #hidden = false;
  readonly #ending = ends.map((name) => [name, () => this.#ended(name)] as const);

  constructor(terminal: NodeJS.WriteStream, { hides = true }: { hides?: boolean } = {}) {
    this.#terminal = terminal;
    this.#hides = hides;
    process.on("SIGTSTP", this.#halt);
    process.on("SIGCONT", this.#resumed);
    process.on("exit", this.#leave);
    for (const [name, handler] of this.#ending) process.on(name, handler);
  }

  /** Draws these lines in the place of the last ones, and above them what is said. */
  draw(lines: readonly string[], above = ""): void {
    this.#lines = lines;
    if (!inForeground()) {
      // What stands above the cursor from here on is somebody else's.
      this.#shown = 0;
      if (above !== "") this.#terminal.write(above);
      return;
    }
    const hide = this.#hides && !this.#hidden ? cursor.hidden : "";
    this.#hidden = this.#hides;
    const back = this.#shown > 0 ? `\x1b[${this.#shown}A\x1b[J` : "";
    this.#terminal.write(`${hide}${back}${above}${lines.map((line) => `${line}\n`).join("")}`);
    this.#shown = lines.length;
  }

  /** Leaves the picture as it is, and the terminal as it should be. */
  end(): void {
    process.off("SIGTSTP", this.#halt);
    process.off("SIGCONT", this.#resumed);
    process.off("exit", this.#leave);
    for (const [name, handler] of this.#ending) process.off(name, handler);
    this.#leave();
  }

  readonly #leave = (): void => {
    if (!this.#hidden) return;
    this.#hidden = false;
    try {
      this.#terminal.write(cursor.shown);
    } catch {
      // The terminal is gone.
    }
  };

  readonly #halt = (): void => {
    this.#leave();
    process.off("SIGTSTP", this.#halt);
    process.kill(process.pid, "SIGTSTP");
  };

  readonly #resumed = (): void => {
    if (!process.listeners("SIGTSTP").includes(this.#halt)) process.on("SIGTSTP", this.#halt);
    // A shell has written in between.
    this.#shown = 0;
    if (this.#lines.length > 0) this.draw(this.#lines);
  };

  /** Where nobody else listens, the signal does what it would have done. */
  #ended(name: (typeof ends)[number]): void {
    this.#leave();
    if (process.listenerCount(name) > 1) return;
    this.end();
    process.kill(process.pid, name);
  }
}
