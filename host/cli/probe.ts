// probe-rs, which writes to boards.
import { spawnSync } from "node:child_process";
import { VerbError } from "./context.ts";

export function probe(words: string[]): void {
  const run = spawnSync("probe-rs", words, { stdio: "inherit" });
  if (run.error) {
    throw new VerbError(
      "probe-rs is not on the PATH",
      "install it with `cargo install probe-rs-tools --locked`; on Linux also its udev rules (https://probe.rs/docs/getting-started/probe-setup)",
    );
  }
  if (run.status !== 0)
    throw new VerbError(
      `probe-rs ended with ${run.status ?? run.signal}`,
      "is the board plugged in by its ST-LINK socket? `probe-rs list` shows what is found",
    );
}
