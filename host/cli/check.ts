// Says what a module costs before anything is sent, and whether a node has room for it.
import { readFileSync } from "node:fs";
import { inspect } from "../lib/engine.ts";
import { readSamples, runFuel, simulate } from "../lib/simulate.ts";
import { exitCode, print, table, VerbError, withNode } from "./context.ts";
import { load, placeOf } from "./program.ts";

/** Instructions for a unit of fuel on the Cortex-M4F, the largest of the kernels measured (`npm run -s conformance -- --measure --target cortex-m4`), and its clock. */
const instructionsPerFuel = 17;
const hertz = 168e6;

export async function checkVerb(
  file: string | undefined,
  options: { samples?: string; node?: string; json?: boolean },
): Promise<void> {
  const { module, facts, name, places } = await load(file);
  const { footprint, table: branches } = inspect(module);
  const samples =
    options.samples === undefined ? [] : readSamples(readFileSync(options.samples, "utf8"));
  const { fuel, happenings } = simulate(module, samples);
  const trap = happenings.find((one) => one.kind === "trap");
  const worst = Math.max(0, ...fuel);
  const result: Record<string, unknown> = {
    name,
    bytes: module.length,
    table: branches,
    ram: footprint.total,
    stack: footprint.stack,
    depth: footprint.depth,
    fuel: worst,
    runs: fuel.length,
    microseconds: Math.ceil((worst * instructionsPerFuel * 1e6) / hertz),
  };
  const faults: string[] = [];
  if (trap?.kind === "trap") {
    const [top] = trap.ended.backtrace;
    const place = top && placeOf(places, top.offset);
    const where = place ? ` at ${place.file}:${place.line}:${place.column}` : "";
    faults.push(
      trap.ended.trap === "fuel"
        ? `a run uses more than the ${runFuel} units of fuel that nodes grant${where}`
        : `it traps after ${fuel.length} runs: ${trap.ended.trap}${where}`,
    );
  }
  if (options.node !== undefined) {
    await withNode(options.node, async (node) => {
      const info = await node.info();
      const limits = info["limits"] as Record<string, number>;
      const limit = (key: string) => limits[key] ?? Number.POSITIVE_INFINITY;
      if (footprint.total > limit("memory"))
        faults.push(`it needs ${footprint.total} bytes of RAM, the node has ${limit("memory")}`);
      if (module.length + branches > limit("package"))
        faults.push(
          `with its table it has ${module.length + branches} bytes, a slot takes ${limit("package")}`,
        );
      if (worst > limit("fuel"))
        faults.push(`a run uses ${worst} fuel, the node grants ${limit("fuel")}`);
      const there = await node.discover(["rt=wasmote.sensor"]);
      for (const sensor of facts.sensors)
        if (!there.some(({ path }) => path === `/sensors/${sensor}`))
          faults.push(`the node has no sensor ${sensor}`);
    });
  }
  print(options.json, { ...result, faults }, () =>
    table([
      ["module", `${module.length} bytes, and ${branches} of branch table`],
      [
        "RAM",
        `${footprint.total} bytes: memory ${footprint.memory}, stack ${footprint.stack}, globals ${footprint.globals}, tables ${footprint.tables}`,
      ],
      ["calls", footprint.depth === undefined ? "recursive" : `${footprint.depth} deep at most`],
      [
        "fuel",
        `${worst} at most in ${fuel.length} runs${samples.length === 0 ? " (the start alone; --samples measures more)" : ""}`,
      ],
      ["time", `about ${String(result["microseconds"])} us a run on a Cortex-M4F at 168 MHz`],
    ]),
  );
  if (faults.length > 0)
    throw new VerbError(
      faults.join("\n       "),
      "change the module, or choose another node",
      exitCode.check,
    );
}
