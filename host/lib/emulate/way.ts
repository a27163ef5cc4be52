// The ways by which samples reach the sensors of an emulated board.

/** A socket that samples go in by: which sensors', and how one is written there. */
export interface Way {
  path: string;
  takes: (sensor: string) => boolean;
  frame: (sensor: string, value: number) => string;
}

/** The river-level sensor's serial line: `R`, four digits, CR. */
export const ranger = (path: string): Way => ({
  path,
  takes: (sensor) => sensor === "level",
  frame: (_, value) => `R${String(Math.round(value)).padStart(4, "0")}\r`,
});
