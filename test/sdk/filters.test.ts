// The SDK's building blocks against references in double precision, on samples of a seeded generator and on the river.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import { simulate, type Happening, type Sample } from "../../host/lib/simulate.ts";
import { random } from "../harness/link.ts";
import { scratch } from "../harness/target.ts";

/** Every block once, each with an output of its own. */
const program = `
import {
  DeadBand, Goertzel, Hysteresis, Median, MovingAverage, now, output, ratingCurve, RatingTable, RateOfChange, sensor, Smoothing, Window,
} from "wasmote";

const level = sensor("level");
const mean = output("mean");
const middle = output("median");
const least = output("minimum");
const most = output("maximum");
const smooth = output("smoothing");
const switched = output("hysteresis");
const passed = output("deadband");
const rate = output("rate");
const curve = output("curve");
const table = output("table");
const amplitude = output("amplitude");
const rms = output("rms");

const average = new MovingAverage(7);
const median = new Median(5);
const window = new Window(6);
const smoothing = new Smoothing(0.25);
const hysteresis = new Hysteresis();
const band = new DeadBand();
const change = new RateOfChange();
const rating = new RatingTable(4);
rating.point(0, 0);
rating.point(1000, 20);
rating.point(2000, 70);
rating.point(4000, 300);
const block = new Goertzel(16, 1.4142135);

level.onSample((value) => {
  mean.publish(average.next(value));
  middle.publish(median.next(value));
  window.push(value);
  least.publish(window.minimum);
  most.publish(window.maximum);
  smooth.publish(smoothing.next(value));
  if (hysteresis.next(value, 1500, 2500)) switched.publish(<f32>hysteresis.on);
  if (band.next(value, 400)) passed.publish(value);
  rate.publish(change.next(value, now()));
  curve.publish(ratingCurve(value / 1000, 20, 0.2));
  table.publish(rating.flow(value));
  if (block.next(value)) {
    amplitude.publish(block.amplitude);
    rms.publish(block.rms);
  }
});
`;

const next = random(7);
const courses: Record<string, Sample[]> = {
  "noise with repeated values": Array.from({ length: 600 }, (_, index) => ({
    at: index * 250,
    sensor: "level",
    value: Math.fround(index % 5 === 0 ? Math.round(next(4)) * 1000 : next(4000)),
  })),
  "the river": readRiver().map(({ level }, day) => ({
    at: day * 1000,
    sensor: "level",
    value: level,
  })),
  "a sine of the sought frequency": Array.from({ length: 160 }, (_, index) => ({
    at: index * 10,
    sensor: "level",
    value: Math.fround(2000 + 700 * Math.sin((2 * Math.PI * index * 2) / 16)),
  })),
};

type Reference = (values: number[], times: number[]) => number[];
const last = (values: number[], index: number, size: number) =>
  values.slice(Math.max(0, index + 1 - size), index + 1);
const blocks = (values: number[], size: number) =>
  Array.from({ length: Math.floor(values.length / size) }, (_, index) =>
    values.slice(index * size, (index + 1) * size),
  );

const references: Record<string, Reference> = {
  mean: (values) =>
    values.map((_, index) => {
      const window = last(values, index, 7);
      return window.reduce((sum, value) => sum + value, 0) / window.length;
    }),
  median: (values) =>
    values.map((_, index) => {
      const window = last(values, index, 5).toSorted((a, b) => a - b);
      return window[(window.length - 1) >> 1]!;
    }),
  minimum: (values) => values.map((_, index) => Math.min(...last(values, index, 6))),
  maximum: (values) => values.map((_, index) => Math.max(...last(values, index, 6))),
  smoothing: (values) => {
    let state: number | undefined;
    return values.map(
      (value) => (state = state === undefined ? value : state + (value - state) / 4),
    );
  },
  hysteresis: (values) => {
    let on = false;
    return values.flatMap((value) => {
      const before: boolean = on;
      if (value >= 2500) on = true;
      if (value <= 1500) on = false;
      return on === before ? [] : [Number(on)];
    });
  },
  deadband: (values) => {
    let through: number | undefined;
    return values.flatMap((value) => {
      if (through !== undefined && Math.abs(value - through) <= 400) return [];
      return [(through = value)];
    });
  },
  rate: (values, times) =>
    values.map((value, index) =>
      index === 0 ? 0 : (value - values[index - 1]!) / ((times[index]! - times[index - 1]!) / 1000),
    ),
  curve: (values) => values.map((value) => 20 * Math.max(0, value / 1000 - 0.2) ** 1.5),
  table: (values) =>
    values.map((value) => {
      const points = [
        [0, 0],
        [1000, 20],
        [2000, 70],
        [4000, 300],
      ] as const;
      const upper = points.findIndex(([level]) => level >= value);
      if (upper === 0) return points[0][1];
      // Above the last point, as the last piece goes on.
      const at = upper < 0 ? points.length - 1 : upper;
      const [[x0, y0], [x1, y1]] = [points[at - 1]!, points[at]!];
      return y0 + ((value - x0) * (y1 - y0)) / (x1 - x0);
    }),
  // The Fourier sum itself, of the second of sixteen frequencies.
  amplitude: (values) =>
    blocks(values, 16).map((block) => {
      const turn = (2 * Math.PI * 2) / 16;
      const real = block.reduce((sum, value, index) => sum + value * Math.cos(turn * index), 0);
      const imaginary = block.reduce(
        (sum, value, index) => sum + value * Math.sin(turn * index),
        0,
      );
      return (2 * Math.hypot(real, imaginary)) / 16;
    }),
  rms: (values) =>
    blocks(values, 16).map((block) => Math.sqrt(block.reduce((sum, x) => sum + x * x, 0) / 16)),
};

/** How far single precision may be from double: relative to the largest value that was added up. */
const tolerance: Record<string, number> = { amplitude: 2e-5, rms: 1e-6 };

describe("building blocks", () => {
  let module: Uint8Array;
  beforeAll(async () => {
    using folder = scratch();
    const file = join(folder.path, "blocks.ts");
    writeFileSync(file, program);
    ({ module } = await build(file));
  });

  describe.each(Object.keys(courses))("on %s", (course) => {
    const samples = courses[course]!;
    const values = samples.map(({ value }) => value);
    const times = samples.map(({ at }) => at);
    let happenings: Happening[];
    beforeAll(() => {
      ({ happenings } = simulate(module, samples));
    });

    test.each(Object.keys(references))("%s is what its reference gives", (name) => {
      const found = happenings.flatMap((one) =>
        one.kind === "output" && one.name === name ? [one.value] : [],
      );
      const expected = references[name]!(values, times);
      expect(found.length).toBe(expected.length);
      expect(found.length).toBeGreaterThan(0);
      const room = (tolerance[name] ?? 3e-7) * Math.max(...expected.map(Math.abs), 4000);
      const worst = Math.max(...found.map((value, index) => Math.abs(value - expected[index]!)));
      expect(worst).toBeLessThanOrEqual(room);
    });
  });

  test("a moving average does not drift: after 20,000 samples it is as exact as after ten", () => {
    const draw = random(3);
    const long = Array.from({ length: 20_000 }, (_, index) => ({
      at: index,
      sensor: "level",
      value: Math.fround(draw(4000)),
    }));
    const { happenings } = simulate(module, long);
    const found = happenings.findLast((one) => one.kind === "output" && one.name === "mean");
    const window = long.slice(-7).map(({ value }) => value);
    const mean = window.reduce((sum, value) => sum + value, 0) / 7;
    expect(found?.kind === "output" && Math.abs(found.value - mean)).toBeLessThan(1e-3);
  });
});
