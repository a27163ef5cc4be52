// What changes in a folder and in the folders within it. Each folder is watched, and no file: an editor that saves writes a new file and
// renames it over the old one, and who watches the file (as Node's own recursive watcher does on Linux) watches from then on one that is gone.
import { lstatSync, readdirSync, watch, type FSWatcher } from "node:fs";
import { join, sep } from "node:path";

/** Calls `changed` with the name of each file or folder that is written, made, renamed or removed below `top`, until it is closed. */
export function watchFolder(top: string, changed: (name: string) => void): { close(): void } {
  const watchers = new Map<string, FSWatcher>();
  const drop = (folder: string) => {
    for (const [path, watcher] of watchers) {
      if (path !== folder && !path.startsWith(folder + sep)) continue;
      watcher.close();
      watchers.delete(path);
    }
  };
  const add = (folder: string): string[] => {
    const watcher = watch(folder, (kind, name) => {
      if (name === null || passedOver(name)) return;
      // A folder that is moved away or made anew under its name: what watched it watches another now.
      // What lies in it already came before it was watched.
      const within = kind === "rename" ? renewed(join(folder, name)) : [];
      for (const one of [name, ...within]) changed(one);
    });
    // A folder that is gone is nothing to report: the one above has told.
    watcher.on("error", () => drop(folder));
    watchers.set(folder, watcher);
    const names = readdirSync(folder).filter((name) => !passedOver(name));
    for (const name of names) renewed(join(folder, name));
    return names;
  };
  const renewed = (path: string): string[] => {
    drop(path);
    try {
      // Symbolic links are not followed: they may lead in a circle.
      return lstatSync(path).isDirectory() ? add(path) : [];
    } catch {
      // Gone again meanwhile, or not to be read.
      drop(path);
      return [];
    }
  };
  add(top);
  return { close: () => drop(top) };
}

const passedOver = (name: string) => name === "node_modules" || name.startsWith(".");
