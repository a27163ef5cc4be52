// Sequence numbers of a project in which several programs sign at once: none is taken twice.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openProject } from "../../host/lib/project.ts";
import { nextSequence, signedSequence } from "../../host/lib/sequence.ts";
import { newProject, wasmoteJson } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

test("programs that sign at once take different numbers", async () => {
  using folder = scratch();
  const river = await newProject(folder.path);
  const all = await Promise.all(
    Array.from({ length: 4 }, (_, at) =>
      wasmoteJson<{ sequence: number }>(
        river,
        "package",
        "--class",
        "native",
        "--output",
        `${at}.wpkg`,
      ),
    ),
  );
  const numbers = all.map(({ sequence }) => sequence).toSorted((a, b) => a - b);
  expect(new Set(numbers).size).toBe(4);
  expect(signedSequence(openProject(river))).toBe(numbers.at(-1));
});

test("a number that another program has claimed is passed over, and old claims go", () => {
  using folder = scratch();
  writeFileSync(join(folder.path, "wasmote.toml"), 'name = "river"\n');
  const project = openProject(folder.path);
  expect(nextSequence(project, { highest: 0, era: 0 })).toBe(1);
  // It has claimed a number, and has not written it yet.
  expect(project.state.claim("claims-0", "2")).toBe(true);
  expect(nextSequence(project, { highest: 0, era: 0 })).toBe(3);
  // One that was slow writes a lower number afterwards.
  project.state.write("1\n", ["sequence"]);
  expect(nextSequence(project, { highest: 0, era: 0 })).toBe(4);
  expect(readdirSync(join(folder.path, ".wasmote/claims-0"))).toEqual(["4"]);
  expect(nextSequence(project, { highest: 0, era: 1 })).toBe(1);
});
