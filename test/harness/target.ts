// What a test runs against. One suite, several targets: the native process, the boards in QEMU, Renode, a real board.
//
//   eachTarget("observe", (start) => {
//     test("…", async () => {
//       const node = await start({ … });
//
// WASMOTE_TARGET chooses (a comma between several): native, qemu-stm32, qemu-mps2, renode, renode-ethernet, or a real board as
// probe-rs:/dev/ttyUSB0 (board.ts). By default it is all of them; what cannot be had is skipped, with the reason in the title. Whatever a test started is stopped when it ends, and its console is shown when it fails.
import { afterEach, describe, onTestFailed, test } from "vitest";
import {
  emulate,
  machines,
  missing,
  type Emulated,
  type EmulateOptions,
  type Machine,
} from "../../host/lib/emulate.ts";
import { missingNamespace } from "../../host/lib/emulate/namespace.ts";
import { missingBoard, startBoard } from "./board.ts";

export { scratch } from "./scratch.ts";

export type StartOptions = Omit<EmulateOptions, "machine">;
/** Starts a node that lives until the end of the test, or for the whole suite when called from `beforeAll`. */
export type Start = (options?: StartOptions) => Promise<Emulated>;

/** Renode with the board's Ethernet on a TAP interface, instead of its serial line. */
const ethernet = "renode-ethernet";

// A comma also stands between the two ports of a board.
const chosen = (process.env.WASMOTE_TARGET ?? [...machines, ethernet, "probe-rs"].join(",")).split(
  /,(?!\/)/,
);

/** Declares a suite once for every chosen target, or for those of them that `only` names. */
export function eachTarget(
  title: string,
  suite: (start: Start, target: string) => void,
  only?: readonly string[],
): void {
  for (const target of chosen) {
    if (only !== undefined && !only.includes(target)) continue;
    const reason = unavailable(target);
    if (reason !== undefined) {
      describe(`${title} on ${target}`, () => {
        test.skip(`skipped: ${reason}`, () => {});
      });
      continue;
    }
    describe(`${title} on ${target}`, () => {
      const started = new Set<Emulated>();
      afterEach(async () => {
        await Promise.all([...started].map((node) => node.stop()));
        started.clear();
      });
      suite(async (options = {}) => {
        const node = await startTarget(target, options);
        started.add(node);
        onTestFailed(() => {
          process.stderr.write(
            `console of ${node.address}:\n${node.console
              .slice(-60)
              .map((line) => `  | ${line}\n`)
              .join("")}`,
          );
        });
        return node;
      }, target);
    });
  }
}

/** Why a target cannot be had here. */
export function unavailable(target: string): string | undefined {
  if (isMachine(target)) return missing(target);
  if (target === ethernet) return missing("renode") ?? missingNamespace();
  if (isBoard(target)) return missingBoard(target);
  return `there is no target ${target}`;
}

/** Starts a node outside a suite: the benchmarks' way in. The caller stops it. */
export async function startTarget(target: string, options: StartOptions = {}): Promise<Emulated> {
  if (isMachine(target)) return emulate({ machine: target, ...options });
  if (target === ethernet) return emulate({ machine: "renode", link: "ethernet", ...options });
  if (isBoard(target)) return startBoard(target, options);
  throw new Error(`${target}: ${unavailable(target) ?? "cannot be started from here"}`);
}

function isMachine(target: string): target is Machine {
  return (machines as readonly string[]).includes(target);
}

function isBoard(target: string): boolean {
  return target === "probe-rs" || target.startsWith("probe-rs:");
}
