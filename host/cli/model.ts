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
import { numberOf, readTable, SamplesError } from "../lib/samples.ts";
import { print, table } from "./context.ts";
import { fromCsv } from "./samples.ts";
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

/** Rows of inputs from a CSV as other verbs take it; when a row was is nothing to a network. */
function readRows(file: string, model: Model): number[][] {
  const names = model.plan.inputs.map(({ name }) => name);
  const first = `its first line is to name the inputs: ${names.join(",")}`;
  return fromCsv(file, first, (text) => {
    const { head, rows } = readTable(text);
    const missing = names.filter((name) => !head.includes(name));
    if (missing.length > 0) throw new SamplesError(`there is no column ${missing.join(", ")}`);
    if (rows.length === 0)
      throw new SamplesError("there are no rows below the names of the inputs");
    const columns = names.map((name) => head.indexOf(name));
    return rows.map(({ cells, number }) =>
      columns.map((column) => {
        const value = Math.fround(numberOf(cells[column] ?? "", number));
        if (Number.isFinite(value)) return value;
        throw new SamplesError(`line ${number}: ${cells[column]} is beyond a 32-bit float`);
      }),
    );
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
