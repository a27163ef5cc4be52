// The package of a river station: assembly/flood with the network of an ONNX file, as a module that node, gateway and cloud run.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Built } from "../lib/build/build.ts";
import { packageRoot } from "../lib/root.ts";
import { compileModel } from "../model/model.ts";
import type { Arithmetic } from "../model/emit.ts";
import { temporaryFolder } from "../lib/temporary.ts";

/** The network that was trained on the river Wye, and its judgement. */
export const eveningFile = join(packageRoot, "examples/flood/evening.onnx");
export const judgementFile = join(packageRoot, "examples/flood/judgement.json");

export interface StationOptions {
  /** The bytes of an ONNX file with the inputs of evening.onnx. */
  network?: Uint8Array;
  arithmetic?: Arithmetic;
  /** What the threshold is until somebody sets it; that of assembly/flood/station.ts without. */
  threshold?: number;
}

/** What the network of a station is given, in this order. */
export const stationInputs: readonly string[] = ["flow", "rain"].flatMap((what) =>
  [1, 2, 3, 4, 5].map((back) => `${what}-${back}`),
);

/** A station with level and rain, which warns of the next day's flood. */
export function buildStation(options: StationOptions = {}): Promise<Built> {
  const { network = readFileSync(eveningFile), arithmetic = "int8", threshold } = options;
  const model = compileModel(network, { name: "evening", arithmetic });
  const names = model.plan.inputs.map(({ name }) => name);
  if (names.join() !== stationInputs.join() || model.plan.outputs.length !== 1)
    throw new RangeError(
      `the network of a station takes ${stationInputs.join(", ")} and gives one number; this one takes ${names.join(", ")}`,
    );
  return built("station", (source) => {
    const given =
      threshold === undefined
        ? source
        : source.replace(/(parameter\("threshold", )[^,]+/, `$1${threshold.toFixed(8)}`);
    return { "station.ts": given, "evening.ts": model.source };
  });
}

/** A station without a rain gauge. */
export function buildGauge(): Promise<Built> {
  return built("gauge", (source) => ({ "gauge.ts": source }));
}

async function built(
  name: string,
  sources: (source: string) => Record<string, string>,
): Promise<Built> {
  const from = join(packageRoot, "assembly/flood");
  using scratch = temporaryFolder("station");
  const folder = scratch.path;
  copyFileSync(join(from, "days.ts"), join(folder, "days.ts"));
  const files = sources(readFileSync(join(from, `${name}.ts`), "utf8"));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return await build(join(folder, `${name}.ts`));
}
