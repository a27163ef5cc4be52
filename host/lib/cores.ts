// Core files of a process that holds keys have none of its memory.
import { writeFileSync } from "node:fs";

let done = false;

/** From here on nothing that this process or one started by it has in memory gets into a core file (core(5): Linux; elsewhere there is no such switch). */
export function keepOutOfCores(): void {
  if (done) return;
  done = true;
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // Another system, or one that lets nobody write there.
  }
}
