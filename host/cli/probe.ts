// probe-rs, which writes to boards.
import { spawnSync } from "node:child_process";
import { UserError } from "../lib/errors.ts";

/** Runs probe-rs, its output shown; what `--json` prints stays apart from it. */
export function probe(words: string[], json = false): void {
  const run = spawnSync("probe-rs", words, {
    stdio: ["inherit", json ? 2 : "inherit", "inherit"],
  });
  if (run.error) {
    throw new UserError(
      "probe-rs is not on the PATH",
      "install it with `cargo install probe-rs-tools --locked`; on Linux also its udev rules (https://probe.rs/docs/getting-started/probe-setup)",
    );
  }
  if (run.status === 0) return;
  const list = spawnSync("probe-rs", ["list"], { encoding: "utf8" });
  const found = list.stdout.split("\n").filter((line) => /^\[\d+\]/.test(line));
  throw new UserError(
    `probe-rs ended with ${run.status ?? run.signal}`,
    found.length === 0
      ? "no probe is found: is the board plugged in by its ST-LINK socket? On Linux a probe also needs udev rules (https://probe.rs/docs/getting-started/probe-setup)"
      : `the probe is there (${found.join(", ")}): is another program using it, and is --chip the right one?`,
  );
}

/**
 * Writes a file to a board's flash, and starts it. Sectors are erased as a whole, and the first one has the vector table of the
 * firmware and the provisioning record: what is in a sector and not in the file is read before and written again.
 */
export function download(
  file: string,
  { chip, json, address }: { chip: string; json?: boolean; address?: string },
): void {
  const form =
    address === undefined ? ["--verify"] : ["--binary-format", "bin", "--base-address", address];
  probe(["download", "--chip", chip, "--restore-unwritten", ...form, file], json);
  probe(["reset", "--chip", chip], json);
}
