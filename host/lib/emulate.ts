// Nodes on this computer: the native process, and the firmware images in QEMU and Renode. The tests' targets, `wasmote emulate` and
// the demonstration all start theirs here, so what a user sees is what the tests ran.
//
// A node is handed its flash as a file, which outlives it: stop one and start another with the same file, and the power
// has been cut. Every process started here ends with this one, also when this one fails.
import { native } from "./emulate/native.ts";
import { unfitLink, type Emulated, type EmulateOptions } from "./emulate/machine.ts";
import { missing } from "./emulate/programs.ts";
import { board } from "./emulate/qemu.ts";
import { renode } from "./emulate/renode.ts";

export { missing } from "./emulate/programs.ts";
export * from "./emulate/machine.ts";
export { emulateFleet, type Fleet } from "./emulate/fleet.ts";

/** Starts a node and resolves once it can be talked to. */
export async function emulate(options: EmulateOptions): Promise<Emulated> {
  const reason = unfitLink(options.machine, options.link) ?? missing(options.machine);
  if (reason !== undefined) throw new Error(reason);
  const { machine, signal } = options;
  signal?.throwIfAborted();
  const node = await (machine === "native"
    ? native(options)
    : machine === "renode"
      ? renode(options)
      : board(options, machine));
  const stop = () => void (node.end?.() ?? node.stop());
  signal?.addEventListener("abort", stop, { once: true });
  void node.ended.then(() => signal?.removeEventListener("abort", stop));
  // It may have fired while the node came up.
  if (signal?.aborted) await node.stop();
  signal?.throwIfAborted();
  return node;
}
