// The library `wasmote/model` in somebody's program: with its types, and as it runs.
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { compiled } from "../harness/library.ts";
import { scratch } from "../harness/target.ts";

test("a program compiles a model, asks what it costs, and runs it", () => {
  using folder = scratch();
  copyFileSync(join(root, "examples/flood/flow.onnx"), join(folder.path, "flow.onnx"));
  const said = compiled(
    folder.path,
    `import { buildFilter, compileModel, costOf, loadModel, type Cost, type Model } from "wasmote/model";
// Its types are not there.
const { readFileSync } = await import("node:" + "fs");
const model: Model = compileModel(readFileSync("flow.onnx"), { arithmetic: "int8" });
const cost: Cost = costOf(model, await buildFilter(model));
const { run } = await loadModel(model);
const { outputs, fuel } = run(model.plan.inputs.map(() => 1));
// @ts-expect-error: there is no such arithmetic
const refused = () => compileModel(new Uint8Array(), { arithmetic: "f16" });
console.log(JSON.stringify([outputs.every(Number.isFinite), outputs.length, fuel > 0, cost.package < 1536, typeof refused]));
`,
  );
  expect(said).toEqual(["", 0]);
  const ran = spawnSync(process.execPath, ["main.js"], { cwd: folder.path, encoding: "utf8" });
  expect(ran.stderr).toBe("");
  expect(JSON.parse(ran.stdout)).toEqual([true, 1, true, true, "function"]);
}, 180_000);
