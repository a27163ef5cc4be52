// Processes as Linux lists them: what a verb has started, and whether that still runs.
import { existsSync, readFileSync } from "node:fs";

/** Why a test about processes is left out, where this is so. */
export const noProcesses = existsSync("/proc/self/task")
  ? undefined
  : "only Linux lists what a process started";

/** What a process has started and not yet waited for. */
export function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(list)) return [];
  const all = readFileSync(list, "utf8").trim().split(" ").map(Number);
  return all.filter((one) => one > 1);
}

/** Whether a process runs: one that nobody has waited for after its end does not. */
export function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
