// Begins a project that builds, runs and tests at once.
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { keepKey, openProject } from "../lib/project.ts";
import { makeFolder } from "../lib/state.ts";
import { print } from "./context.ts";
import { packageRoot } from "../lib/root.ts";
import { linkPackage } from "./program.ts";

const source = `// Warns when the river is high. Names are turned into numbers when this is built.
import { gpio, Hysteresis, output, parameter, sensor } from "wasmote";

const level = sensor("level");
const alarm = output("alarm");
const limit = parameter("limit", 3000, 0, 10000);
const high = new Hysteresis();

level.onSample((millimetres) => {
  if (!high.next(millimetres, limit.value - 100, limit.value)) return;
  alarm.publish(<f32>high.on);
  gpio(0, high.on);
});
`;

const test = `// Runs the filter in the node's own engine, on recorded samples.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { build, readSamples, simulate } from "wasmote";

test("warns once, and once that it is over", async () => {
  const { module } = await build("src/main.ts");
  const samples = readSamples(readFileSync("samples.csv", "utf8"));
  const { happenings, fuel } = simulate(module, samples);
  const alarms = happenings.filter((one) => one.kind === "output").map((one) => one.value);
  assert.deepEqual(alarms, [1, 0]);
  assert.ok(Math.max(...fuel) < 1000);
});
`;

const samples = "time,level\n0,2000\n1000,2900\n2000,3100\n3000,3200\n4000,2950\n5000,2800\n";

/** What makes a project whose nodes are not secured. */
const openLine =
  "# Whoever reaches a node that is made here may read and change it.\nopen = true\n";

/** For editors: AssemblyScript's types, and the SDK's. */
const tsconfig = { extends: "wasmote/tsconfig.json", include: ["./**/*.ts"] };

export async function newVerb(
  folder: string,
  { json, open = false }: { json?: boolean; open?: boolean },
): Promise<void> {
  const path = resolve(folder);
  const there = existsSync(path);
  if (there && readdirSync(path).length > 0)
    throw new UserError(`${path} is not empty`, "choose another name");
  const name = basename(path);
  const fault = nameFault(name);
  if (fault !== undefined) throw new UserError(fault, "packages bear it", "usage");
  try {
    fill(path, name, open);
  } catch (error) {
    // Half a project is none, and would be in the way of the next try.
    for (const one of there ? readdirSync(path).map((own) => join(path, own)) : [path])
      rmSync(one, { recursive: true, force: true });
    throw error;
  }
  print(
    json,
    { folder: path, name, open },
    () =>
      `${path}${open ? "\nopen: whoever reaches a node of this project may read and change it" : ""}\nnext: cd ${quoted(folder)} && wasmote run --samples samples.csv`,
  );
}

/** A word as a shell takes it. */
const quoted = (word: string) =>
  /^[\w./~-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

function fill(path: string, name: string, open: boolean): void {
  const write = (file: string, text: string) => writeFileSync(join(path, file), text);
  const writeJson = (file: string, value: object) =>
    write(file, `${JSON.stringify(value, null, 2)}\n`);
  for (const part of ["src", "test"]) makeFolder(join(path, part));
  write("src/main.ts", source);
  writeJson("src/tsconfig.json", tsconfig);
  write("test/main.test.mjs", test);
  write("samples.csv", samples);
  write(
    "wasmote.toml",
    `name = "${name}"\nmain = "src/main.ts"\nversion = "0.1.0"\nsamples = "samples.csv"\n${open ? openLine : ""}\n[nodes]\n# wye = "coap://192.168.1.20"\n`,
  );
  writeJson("package.json", {
    name: name.toLowerCase(),
    private: true,
    type: "module",
    scripts: { test: "wasmote test" },
    // By its place, never by a name that somebody could register.
    devDependencies: { wasmote: `file:${relative(path, packageRoot) || "."}` },
  });
  write(".gitignore", ".wasmote/\n*.wasm\n*.wpkg\nnode_modules/\n");
  keepKey(openProject(path));
  linkPackage(path);
}
