// Makes a source or a module of an ONNX file, and says what it costs and how exact it is.
import { basename, extname } from "node:path";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import { nameFault } from "../lib/names.ts";
import { oneLine } from "../lib/text.ts";
import {
  arithmetics,
  buildFilter,
  compileModel,
  costOf,
  distanceOf,
  loadModel,
  mostBytes,
  type Arithmetic,
  type Model,
} from "../model/model.ts";
import { evaluate } from "../model/reference.ts";
import { pythonWithRuntime, runRuntime } from "../model/runtime.ts";
import { print, table } from "./context.ts";
import { refuseResult, writeResult, type Writing } from "./result.ts";

export interface ModelVerbOptions {
  output?: string;
  module?: boolean;
  arithmetic: string;
  inputs?: string;
  outputs?: string;
  samples?: string;
  force?: boolean;
  json?: boolean;
}

export async function modelVerb(file: string, options: ModelVerbOptions): Promise<void> {
  const bytes = readModel(file);
  const name = basename(file, extname(file));
  if (nameFault(name) !== undefined || !/^[\w.-]+$/.test(name))
    throw new UserError(
      `${oneLine(name)} cannot be the name of a model`,
      "rename the file",
      "usage",
    );
  const arithmetic = arithmetics.find((one) => one === options.arithmetic);
  if (arithmetic === undefined)
    throw new UserError(
      `${oneLine(options.arithmetic)} is not an arithmetic`,
      `take one of ${arithmetics.join(", ")}`,
      "usage",
    );
  const writing: Writing = {
    kind: options.module ? "a module of Wasmote" : "a source of `wasmote model`",
    given: options.output,
    own: options.module ? `${name}.wasm` : `${name}.ts`,
    force: options.force,
  };
  refuseResult(writing);
  const model = compileModel(bytes, {
    name,
    arithmetic,
    ...(options.inputs === undefined ? {} : { inputs: options.inputs.split(",") }),
    ...(options.outputs === undefined ? {} : { outputs: options.outputs.split(",") }),
  });
  // What is wrong with them is known before seconds are spent.
  const rows = options.samples === undefined ? [] : readRows(options.samples, model);
  const filter = await buildFilter(model);
  const cost = costOf(model, filter);
  const loaded = await loadModel(model);
  const results = (rows.length === 0 ? [model.plan.inputs.map(() => 1)] : rows).map((row) =>
    loaded.run(row),
  );
  const fuel = results.reduce((most, one) => Math.max(most, one.fuel), 0);
  const exact =
    rows.length === 0
      ? undefined
      : await compare(
          file,
          model,
          rows,
          results.map(({ outputs }) => outputs),
        );
  const output = writeResult(options.module ? filter.module : Buffer.from(model.source), writing);
  const { inputs, outputs, opset } = model.plan;
  print(
    options.json,
    {
      output,
      arithmetic,
      opset,
      inputs,
      outputs,
      ...cost,
      fuel,
      ...(exact ? { error: exact } : {}),
    },
    () =>
      table([
        ["output", output],
        ["inputs", inputs.map((one) => one.name).join(", ")],
        ["outputs", outputs.map((one) => one.name).join(", ")],
        [
          "weights",
          `${cost.parameters} with biases, as ${describe(arithmetic)}; ${cost.products} products a run`,
        ],
        [
          "module",
          `${cost.module} bytes as a filter, ${cost.package} with its signature, and ${cost.table} of branch table in flash`,
        ],
        ["RAM", `${cost.ram} bytes`],
        ["fuel", `${fuel} a run`],
        [
          "error",
          exact === undefined
            ? "not measured: --samples FILE gives rows of inputs"
            : `at most ${exact.absolute.toPrecision(3)}, ${exact.relative.toPrecision(3)} in relation, against ${exact.against}, on ${exact.rows} rows`,
        ],
      ]),
  );
}

const describe = (arithmetic: Arithmetic) =>
  ({
    f32: "floats",
    int8: "bytes, multiplied as floats",
    integer: "bytes, multiplied as integers",
  })[arithmetic];

function readModel(file: string): Uint8Array {
  return readWhole(file, mostBytes);
}

/** Rows of inputs: a line of their names, then numbers; lines with # are comments. */
function readRows(file: string, model: Model): number[][] {
  const text = readWhole(file).toString("utf8");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const head = (lines[0] ?? "").split(",").map((one) => one.trim());
  const columns = model.plan.inputs.map(({ name }) => head.indexOf(name));
  const missing = model.plan.inputs.filter((_, place) => columns[place] === -1);
  if (missing.length > 0)
    throw new UserError(
      `${oneLine(file)} has no column ${missing.map(({ name }) => name).join(", ")}`,
      `its first line is to name the inputs: ${model.plan.inputs.map(({ name }) => name).join(",")}`,
      "usage",
    );
  if (lines.length < 2)
    throw new UserError(
      `${oneLine(file)} has no rows below the names of the inputs`,
      "write a line of numbers for each row, with commas",
      "usage",
    );
  return lines.slice(1).map((line, index) => {
    const cells = line.split(",");
    const row = columns.map((column) => Number((cells[column] ?? "").trim() || Number.NaN));
    if (!row.every((one) => Number.isFinite(one)))
      throw new UserError(
        `${oneLine(file)}: row ${index + 1} has something that is not a number`,
        undefined,
        "usage",
      );
    return row;
  });
}

async function compare(file: string, model: Model, rows: number[][], results: number[][]) {
  const python = pythonWithRuntime();
  const others =
    python === undefined
      ? rows.map((row) => evaluate(model.plan, row))
      : await runRuntime(python, file, rows);
  const against =
    python === undefined ? "double precision (no Python with onnxruntime here)" : "ONNX Runtime";
  const { absolute, relative } = distanceOf(results, others);
  return { absolute, relative, rows: rows.length, against };
}
