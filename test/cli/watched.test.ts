// A folder that is watched tells each change, however an editor saves: in place, or by a new file that takes the old one's name.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { watchFolder } from "../../host/lib/watched.ts";
import { scratch } from "../harness/target.ts";

/** A watched folder. `seen` waits for a name; `drained` takes in what was told of the changes before. */
function watched(folder: string) {
  const told: string[] = [];
  let wake = (): void => {};
  const watcher = watchFolder(folder, (name) => {
    told.push(name);
    wake();
  });
  const seen = async (name: string) => {
    while (!told.includes(name)) await new Promise<void>((resolve) => (wake = resolve));
  };
  let marks = 0;
  // The system tells changes in their order: behind the mark's, no other is outstanding.
  const drained = async () => {
    const mark = `mark-${++marks}`;
    writeFileSync(join(folder, mark), "");
    await seen(mark);
    return told.splice(0);
  };
  return { seen, drained, [Symbol.dispose]: () => watcher.close() };
}

test("every save is told, by renaming or in place, in turns", async () => {
  using scratchFolder = scratch();
  const folder = scratchFolder.path;
  const file = join(folder, "main.ts");
  writeFileSync(file, "0");
  using watching = watched(folder);
  const { seen, drained } = watching;
  for (const way of ["rename", "rename", "in place", "rename", "rename", "in place"]) {
    await drained();
    if (way === "in place") writeFileSync(file, way);
    else {
      writeFileSync(`${file}.new`, way);
      renameSync(`${file}.new`, file);
    }
    await seen("main.ts");
  }
});

test("so are those in folders within it, also in one that is made or made anew while it is watched", async () => {
  using scratchFolder = scratch();
  const folder = scratchFolder.path;
  mkdirSync(join(folder, "old"));
  using watching = watched(folder);
  const { seen, drained } = watching;
  for (const name of ["old", "new", "old"]) {
    const within = join(folder, name);
    rmSync(within, { recursive: true, force: true });
    mkdirSync(within);
    await drained();
    writeFileSync(join(within, "part.ts"), "");
    await seen("part.ts");
  }
});

test("what lies in a folder that is moved in is told", async () => {
  using elsewhere = scratch();
  using scratchFolder = scratch();
  mkdirSync(join(elsewhere.path, "parts"));
  writeFileSync(join(elsewhere.path, "parts/part.ts"), "");
  using watching = watched(scratchFolder.path);
  renameSync(join(elsewhere.path, "parts"), join(scratchFolder.path, "parts"));
  await watching.seen("part.ts");
});

test("what packages bring and hidden files are passed over", async () => {
  using scratchFolder = scratch();
  const folder = scratchFolder.path;
  mkdirSync(join(folder, "node_modules"));
  using watching = watched(folder);
  writeFileSync(join(folder, "node_modules/part.ts"), "");
  writeFileSync(join(folder, ".main.ts.swp"), "");
  expect(await watching.drained()).toEqual(expect.not.arrayContaining(["part.ts", ".main.ts.swp"]));
});
