// The filters that a new user writes first (assembly/recipes), on their own data: what they give is what a reference gives, and they
// pass `check`'s exercise of every handler.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { exercise } from "../../host/lib/exercise.ts";
import { readSamples, Simulation, type Sample } from "../../host/lib/simulate.ts";
import { root } from "../../host/setup.mjs";

const folder = join(root, "assembly/recipes");
const recipes = readdirSync(folder).flatMap((file) =>
  file.endsWith(".ts") ? [basename(file, ".ts")] : [],
);
const data = (name: string) => readSamples(readFileSync(join(folder, name), "utf8"));
const levels = data("level.csv");
const rain = data("rain.csv");
const values = (samples: readonly Sample[]) => samples.map(({ value }) => Math.fround(value));

async function run(name: string, samples: readonly Sample[], end = 0): Promise<Simulation> {
  const made = new Simulation((await build(join(folder, `${name}.ts`))).module);
  for (const sample of samples) made.sample(sample);
  made.until(end);
  return made;
}

const outputs = ({ happenings }: Simulation, wanted: string) =>
  happenings.flatMap((one) => (one.kind === "output" && one.name === wanted ? [one.value] : []));
const texts = ({ happenings }: Simulation, kind: "log" | "reply") =>
  happenings.flatMap((one) => (one.kind === kind && "text" in one ? [one.text] : []));

test("there are six, and data for each", () => {
  expect(recipes.toSorted()).toEqual([
    "log-book",
    "log-line",
    "long-window",
    "rain-hour",
    "status",
    "summary",
  ]);
  expect(levels.length).toBeGreaterThan(150);
  expect(rain.length).toBeGreaterThan(150);
});

test("recipes keep their sizes", async () => {
  const sizes: Record<string, number> = {};
  for (const name of recipes.toSorted())
    sizes[name] = (await build(join(folder, `${name}.ts`))).module.length;
  expect(sizes["summary"]).toBeLessThanOrEqual(320);
  await expect(`${JSON.stringify(sizes, null, 2)}\n`).toMatchFileSnapshot("../golden/recipes.json");
});

test.each(recipes)("%s passes the exercise of every handler", async (name) => {
  const { module, paths } = await build(join(folder, `${name}.ts`));
  const { simulation, unexercised, runs } = exercise(module, [...levels, ...rain], paths);
  expect(simulation.happenings.filter(({ kind }) => kind === "trap")).toEqual([]);
  expect(unexercised).toEqual([]);
  expect(runs.sample).toBeGreaterThanOrEqual(10_000);
  if (simulation.has("request")) expect(runs.request).toBeGreaterThanOrEqual(2_000);
  if (simulation.has("tick")) expect(runs.tick).toBeGreaterThanOrEqual(1_000);
});

describe("on its data", () => {
  test("summary gives least, greatest and mean of each minute", async () => {
    const made = await run("summary", levels, 240_000);
    const minutes = [0, 1, 2, 3].map((minute) =>
      // A tick that is due with a sample comes first.
      values(levels.filter(({ at }) => Math.floor(at / 60_000) === minute)),
    );
    const full = minutes.filter(({ length }) => length > 0);
    expect(outputs(made, "least")).toEqual(full.map((minute) => Math.min(...minute)));
    expect(outputs(made, "greatest")).toEqual(full.map((minute) => Math.max(...minute)));
    expect(outputs(made, "mean")).toEqual(
      full.map((minute) => Math.fround(minute.reduce((sum, one) => sum + one, 0) / minute.length)),
    );
  });

  test("status answers with JSON that can be read", async () => {
    const made = await run("status", levels);
    made.request(levels.at(-1)!.at, 1, "status");
    const highest = Math.max(...values(levels));
    expect(JSON.parse(texts(made, "reply")[0]!)).toEqual({
      samples: levels.length,
      highest,
      metres: Math.round(highest / 10) / 100,
    });
  });

  test("log line says each move of more than ten centimetres", async () => {
    const made = await run("log-line", levels);
    let last = Number.NaN;
    const expected = values(levels).flatMap((value) => {
      if (Math.abs(value - last) <= 100) return [];
      last = value;
      return [`level ${value} mm`];
    });
    expect(expected.length).toBeGreaterThan(10);
    expect(texts(made, "log")).toEqual(expected);
  });

  test("long window gives the mean of all, while there are fewer than 5,000", async () => {
    const made = await run("long-window", levels);
    const all = values(levels);
    const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
    expect(outputs(made, "hour").length).toBe(all.length);
    expect(outputs(made, "hour").at(-1)).toBeCloseTo(mean, 2);
  });

  test("log book keeps the last five floods", async () => {
    const made = await run("log-book", levels);
    made.request(levels.at(-1)!.at, 1, "book");
    let on = false;
    const expected = levels.flatMap(({ at, value }) => {
      const now = on ? value > 2000 : value >= 3000;
      if (now === on) return [];
      on = now;
      return [`${Math.floor(at / 1000)}: ${on ? "flood" : "over"}`];
    });
    expect(expected.length).toBeGreaterThan(5);
    expect(texts(made, "reply")).toEqual([expected.slice(-5).join("\n")]);
  });

  test("rain of the hour adds up each hour, and warns of the cloudburst once", async () => {
    const made = await run("rain-hour", rain, 2 * 3_600_000);
    const sums = [0, 1].map((hour) =>
      values(rain.filter(({ at }) => Math.floor(at / 3_600_000) === hour)).reduce(
        (sum, one) => Math.fround(sum + one),
        0,
      ),
    );
    expect(outputs(made, "hourly")).toEqual(sums);
    expect(sums[1]).toBeGreaterThan(20);
    expect(texts(made, "log").length).toBe(1);
    expect(texts(made, "log")[0]).toMatch(/^cloudburst: 20(\.\d+)? mm in this hour$/);
  });
});
