// A switch on an emulated board, moved through the emulator's monitor.

/** Milliseconds that a move lasts at least: longer than the firmware's debounce, in the board's time, which lags behind ours. */
export const held = 500;

/** Moves a switch; each move waits until the one before has lasted. */
export class Switch {
  readonly #tell: (command: string) => void;
  readonly #name: string;
  #ready: Promise<void> = Promise.resolve();

  /** A switch by its name at the monitor, which `tell` is a line to. */
  constructor(name: string, tell: (command: string) => void) {
    this.#name = name;
    this.#tell = tell;
  }

  /** `PressAndRelease` of the monitor is shorter than a debounce: there is `Press`, and there is `Release`. */
  move(how: "Press" | "Release"): void {
    this.#ready = this.#ready.then(() => {
      this.#tell(`${this.#name} ${how}`);
      return new Promise((resolve) => void setTimeout(resolve, held).unref());
    });
  }
}
