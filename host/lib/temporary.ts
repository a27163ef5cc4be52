// Temporary folders. One whose process was killed is removed by whoever makes the next: no signal and no power cut leaves them for ever.
import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** A folder of this process, gone when it is disposed of. */
export interface TemporaryFolder extends Disposable {
  path: string;
}

// Containers may share a folder for temporary files, and know nothing of each other's processes.
const space = (() => {
  try {
    return Number(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? 0).toString(36);
  } catch {
    return "0";
  }
})();

/** wasmote-PURPOSE-SPACE-PROCESS-XXXXXX */
const ours = new RegExp(`^wasmote-[a-z]+-${space}-(\\d+)-\\w{6}$`);

/** An empty folder that only this user can read. */
export function temporaryFolder(purpose: string): TemporaryFolder {
  removeLeft();
  const path = mkdtempSync(join(tmpdir(), `wasmote-${purpose}-${space}-${process.pid}-`));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function removeLeft(): void {
  for (const name of readdirSync(tmpdir())) {
    const id = Number(ours.exec(name)?.[1]);
    if (!(id > 0) || isThere(id)) continue;
    const path = join(tmpdir(), name);
    try {
      const { uid } = userInfo();
      const found = lstatSync(path);
      if (found.isDirectory() && (uid === -1 || found.uid === uid))
        rmSync(path, { recursive: true, force: true });
    } catch {
      // Another process removes it just now, or it is not to be had: it harms nobody.
    }
  }
}

function isThere(id: number): boolean {
  try {
    // Signal 0 asks whether the process is there.
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
