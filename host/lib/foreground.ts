// Job control (POSIX.1-2017 §11.1): whether the terminal is this process's to read and to draw on.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Whether this process may read the terminal now. */
export function inForeground(): boolean {
  const [group, foreground] = groups();
  return group === undefined || foreground === undefined || group === foreground;
}

/** The process group of this process, and the one that its terminal is for; undefined where they cannot be told. */
function groups(): [number?, number?] {
  const numbers = (text: string) => text.trim().split(/\s+/).map(Number);
  try {
    // proc(5): behind the name in brackets come state, parent, group, session, terminal, the terminal's group.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const fields = numbers(stat.slice(stat.lastIndexOf(")") + 4));
    // A process without a terminal is told of none.
    return fields[4] === -1 ? [] : [fields[1], fields[4]];
  } catch {
    const words = ["-o", "pgid=,tpgid=", "-p", String(process.pid)];
    const { stdout, status } = spawnSync("ps", words, { encoding: "utf8" });
    if (status !== 0) return [];
    const [group, foreground] = numbers(stdout);
    return [group, foreground];
  }
}
