// docs/model.md, followed to the letter in an empty folder: its `sh` lines in their order, in a shell with job control, its filter written where
// the page says. Only the port is one that is free here.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readDays } from "../../host/flood/history.ts";
import { missing } from "../../host/lib/emulate.ts";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";
import { missingTerminal, openTerminal } from "../harness/terminal.ts";

const page = readFileSync(join(root, "docs/model.md"), "utf8");

/** What takes minutes, or needs a Python that trains, and the test that runs it. */
const elsewhere: Record<string, string> = {
  "wasmote flood": "test/gateway/flood.test.ts",
  "wasmote flood --winter 2000 --machine native --plain": "test/gateway/flood.test.ts",
  "wasmote retrain wye-flood --gateway 127.0.0.1:8080": "test/gateway/retrain.test.ts",
  "wasmote retrain wye-flood --gateway 127.0.0.1:8080 --every 604800":
    "test/gateway/retrain.test.ts",
};

const steps = [...page.matchAll(/```(sh|ts)\n([\s\S]*?)```/g)].flatMap(
  ([, kind = "", block = ""]): [kind: string, text: string][] =>
    kind === "ts"
      ? [[kind, block]]
      : block
          .split("\n")
          .map((line) => line.replace(/\s+#.*$/, "").trim())
          .filter((line) => line !== "")
          .map((line) => [kind, line]),
);

test("what another test runs is on the page, and its test is there", () => {
  for (const [line, file] of Object.entries(elsewhere)) {
    expect(steps.map(([, text]) => text)).toContain(line);
    expect(existsSync(join(root, file)), file).toBe(true);
  }
});

test("the samples of the page are the record's", () => {
  const text = readFileSync(join(root, "examples/flood/flow.csv"), "utf8");
  const days = readDays();
  const rows = text.split("\n").filter((line) => /^\d/.test(line));
  expect(rows.length).toBeGreaterThan(80);
  for (const row of rows) {
    const at = days.findIndex(({ date }) => row.startsWith(date));
    const [before, day] = [days[at - 1]!, days[at]!];
    expect(row).toBe([day.date, before.rain, day.rain, before.flow, day.flow].join(","));
  }
});

const reason = missingTerminal() ?? missing("native");

test.skipIf(reason)(
  `every command of docs/model.md does what it is there for${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 900_000 },
  async () => {
    using folder = scratch();
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const port = (free.address() as AddressInfo).port;
    free.close();
    const named = (line: string) => line.replaceAll("8080", String(port));
    const project = join(folder.path, "river");
    await using terminal = await openTerminal(folder.path, { columns: 200 });
    const ran = async (line: string) => {
      const { code, out } = await terminal.run(named(line));
      expect(code, `${line}\n${out}`).toBe(0);
      return out;
    };
    for (const [kind, text] of steps) {
      if (kind === "ts") writeFileSync(join(project, "src/expected.ts"), text);
      else if (text in elsewhere) continue;
      else if (text.endsWith("&")) {
        terminal.type(`${named(text)}\n`);
        await terminal.shows(/Ctrl-C ends it/);
      } else {
        const out = await ran(text);
        if (text.startsWith("wasmote model") && text.includes("--samples"))
          expect(out).toMatch(/error +at most \d/);
        if (text.startsWith("wasmote check")) expect(out).toMatch(/fuel.* given samples/);
        // All that feeds it is there.
        if (text.includes("--feed")) expect(out).not.toContain("there is no");
        if (text.includes("--feed")) expect(out).toContain("/nodes/expected/outputs/expected");
        if (text.includes("--on auto")) expect(out).toMatch(/decided on +(node|gateway|cloud)/);
      }
    }
    // What was fed came out: fed again where two values came as one.
    const history = steps.map(([, text]) => text).find((text) => text.includes("wasmote history"))!;
    const feed = steps
      .map(([, text]) => text)
      .filter((text) => text.includes("wasmote feed wye rain"));
    expect(feed.length).toBe(2);
    let value = "";
    for (const began = Date.now(); !/Z {2}[\d.]+\n/.test(value) && Date.now() - began < 300_000;) {
      for (const line of feed) await ran(line);
      value = await ran(history);
    }
    expect(value).toMatch(/Z {2}[\d.]+\n/);
    await terminal.run("kill %2 %1; wait");
  },
);
