// What is drawn in a terminal, at the widths people have, against a reviewed drawing; and the reports of a project's own tests.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { charts, spark } from "../../host/cli/chart.ts";
import { root } from "../../host/setup.mjs";
import { newProject, wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const golden = join(root, "test/golden/charts.txt");

/** A day of a river, and the rain that came before it, each at times of its own. */
const level = Array.from({ length: 240 }, (_, at) => ({
  at: at * 360_000,
  value: 2000 + Math.round(900 * Math.exp(-(((at - 150) / 40) ** 2))),
}));
const rain = Array.from({ length: 24 }, (_, hour) => ({
  at: hour * 3_600_000,
  value: Math.fround(hour > 6 && hour < 14 ? 0.2 * (hour - 5) : 0),
}));

test("charts share an axis of time, at 60, 80 and 200 columns", () => {
  const series = [
    { label: "sensors/level (mm)", points: level },
    { label: "outputs/rain (mm/h)", points: rain },
    { label: "outputs/late", points: [{ at: 72_000_000, value: Number.NaN }] },
  ];
  const moment = (at: number) => `${at / 3_600_000} h`;
  const drawn = [60, 80, 200].map((columns) => {
    const rows = charts(series, { columns, height: 4, moment });
    for (const row of rows) expect(Array.from(row).length).toBeLessThanOrEqual(columns);
    return `== ${columns} columns\n${rows.join("\n")}\n`;
  });
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, drawn.join("\n"));
  expect(drawn.join("\n")).toBe(readFileSync(golden, "utf8"));
});

test("nothing, one value and values that are none are drawn too", () => {
  expect(charts([{ label: "x", points: [] }])).toEqual([]);
  expect(charts([{ label: "x", points: [{ at: 5, value: 1 }] }], { height: 2 })[0]).toBe("x = 1");
  expect(spark([1, Number.NaN, 3])).toBe("▁ █");
  expect(spark([])).toBe("");
});

test("a project's tests are reported as JSON and as JUnit's XML, those that fail with why", async () => {
  using folder = scratch();
  const project = await newProject(folder.path);
  writeFileSync(
    join(project, "test/main.test.mjs"),
    [
      'import assert from "node:assert/strict";',
      'import { test } from "node:test";',
      'test("goes <well>", () => {});',
      'test("goes wrong", () => assert.equal(1, 2, "one is not two"));',
      'test("waits", { skip: "not today" }, () => {});',
    ].join("\n"),
  );
  const ran = await wasmote(project, "test", "--junit", "tests.xml");
  expect(ran.code).toBe(6);
  expect(ran.err).toMatch(/a test failed\n {2}what to do: /);
  const xml = readFileSync(join(project, "tests.xml"), "utf8");
  expect(xml).toMatch(/<testsuite name="river" tests="3" failures="1" skipped="1"/);
  expect(xml).toContain('name="goes &lt;well&gt;"');
  expect(xml).toMatch(/name="goes wrong"[^>]*line="4"><failure message="one is not two\b/);
  const json = await wasmote(project, "test", "--json");
  expect(json.code).toBe(6);
  expect(JSON.parse(json.out.split("\n")[0] ?? "")).toMatchObject({
    tests: [
      { name: "goes <well>", ok: true },
      {
        name: "goes wrong",
        ok: false,
        message: expect.stringContaining("one is not two") as string,
      },
      { name: "waits", skipped: true },
    ],
  });
});
