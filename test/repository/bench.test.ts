// The benchmarks' own parts: what they lay out and how they count.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { missing, type Machine } from "../../host/lib/emulate.ts";
import { programs } from "../../host/lib/emulate/programs.ts";
import { instantiate, missingEngine } from "../../host/lib/engine.ts";
import { benchImages, images, root } from "../../host/setup.mjs";
import { load, quantile } from "../bench/load.ts";
import { figure, markdown, svg, tableMarkdown, type Report } from "../bench/report.ts";
import { partOf } from "../bench/size.ts";
import { boards, entered, loop, sampled } from "../bench/startup.ts";
import { moduleOf } from "../bench/update.ts";
import { readFacts } from "../../host/lib/build/section.ts";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { generate, parse } from "coap-packet";

const report: Report = {
  name: "example",
  title: "An example",
  method: "Made up.",
  notes: ["It is slower here."],
  tables: [{ title: "Figures", columns: ["what", "bytes"], rows: [["a < b", 1234567]] }],
  plots: [
    {
      title: "Bytes",
      unit: "less is better",
      labels: ["a < b"],
      series: [{ name: "one", values: [3] }],
    },
  ],
};

describe("a report", () => {
  test("is a page with its notes before its plots and tables", () => {
    const page = markdown(report);
    expect(page.indexOf("slower here")).toBeLessThan(page.indexOf("example.svg"));
    expect(page.indexOf("example.svg")).toBeLessThan(page.indexOf("## Figures"));
    expect(page).toContain("`npm run -s bench -- example`");
  });

  test("aligns its columns, numbers to the right", () => {
    expect(tableMarkdown(report.tables[0]!).split("\n")).toEqual([
      "| what  |     bytes |",
      "| ----- | --------: |",
      "| a < b | 1,234,567 |",
    ]);
  });

  test("draws a plot that is well-formed whatever the labels hold", () => {
    const drawing = svg(report.plots[0]!);
    expect(drawing).toContain("a &lt; b");
    expect(drawing.match(/<text/g)?.length).toBe(drawing.match(/<\/text>/g)?.length);
  });

  test("rounds figures to what can be read", () => {
    expect([0.012345, 1.5, 99.99, 123.4, 1e6, NaN].map(figure)).toEqual([
      "0.0123",
      "1.50",
      "100",
      "123",
      "1,000,000",
      "-",
    ]);
  });
});

describe("the load", () => {
  test("counts lost and wrong answers, and times the right ones", async () => {
    const server = createSocket("udp4");
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    let requests = 0;
    server.on("message", (datagram, { port, address }) => {
      const { messageId, token } = parse(datagram);
      requests += 1;
      // Every fourth request gets no answer, every fourth a wrong one.
      if (requests % 4 === 0) return;
      const payload = Buffer.from(requests % 4 === 1 ? "12" : "1234");
      server.send(
        generate({ ack: true, code: "2.05", messageId, token: token ?? Buffer.alloc(0), payload }),
        port,
        address,
      );
    });
    const { port } = server.address();
    const result = await load({
      host: "127.0.0.1",
      port,
      path: "sensors/level",
      clients: 1,
      repeats: 8,
      limit: 50,
      expect: (text) => text === "1234",
    });
    server.close();
    expect([result.times.length, result.lost, result.wrong]).toEqual([6, 2, 2]);
    expect(quantile(result.times, 0.5)).toBeGreaterThan(0);
  });
});

describe("the size of an image", () => {
  test("counts a generic function for the crate it is made for", () => {
    expect(
      partOf("_ZN4core3ptr55drop_in_place$LT$wasmote_coap..Server$GT$17h0123456789abcdefE"),
    ).toBe("coap");
    expect(partOf("_ZN14wasmote_engine7execute3run17h0123456789abcdefE")).toBe("engine");
    expect(partOf("__aeabi_memcpy")).toBe("language");
  });
});

describe("what only benchmarks build", () => {
  const folder = join(root, "test/bench");
  const crates = readdirSync(folder).filter((name) => existsSync(join(folder, name, "Cargo.toml")));

  test("is linted, each crate with each of its features", () => {
    expect(crates.length).toBeGreaterThan(2);
    for (const folderName of crates) {
      const manifest = readFileSync(join(folder, folderName, "Cargo.toml"), "utf8");
      const crate = /^name = "(.*)"$/m.exec(manifest)?.[1];
      const looked = benchImages.filter((image) => image.crate === crate);
      expect(looked.length, crate).toBeGreaterThan(0);
      const table = /\[features\]\n([^]*?)\n\n/.exec(manifest)?.[1] ?? "";
      const features = new Map(
        [...table.matchAll(/^([\w-]+) = \[(.*)\]$/gm)].map(([, name = "", implied = ""]) => [
          name,
          [...implied.matchAll(/"([\w-]+)"/g)].map(([, one = ""]) => one),
        ]),
      );
      const seen = new Set<string>();
      const see = (name: string) => {
        seen.add(name);
        features.get(name)?.forEach(see);
      };
      for (const { features: named = [] } of looked) named.forEach(see);
      const unseen = [...features.keys()].filter((name) => !seen.has(name));
      // One is wasmi's alone; of the others the C is compiled only for the benchmark itself.
      const others = crate === "wasmote-bench-engine" ? ["gcc", "wasmi-loop", "wasm3"] : [];
      expect(unseen, crate).toEqual(others);
      // None that there is no longer.
      expect([...seen].filter((name) => !features.has(name))).toEqual([]);
    }
  });

  test("is all that a benchmark asks Cargo for and the set-up does not build", () => {
    const source = readdirSync(folder)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("\n");
    const known = new Set([...images, ...benchImages].map(({ crate }) => crate));
    const asked = [...source.matchAll(/"-p", "([\w-]+)"/g)].map(([, crate = ""]) => crate);
    expect(asked).toContain("wasmote-update");
    expect(asked.filter((crate) => !known.has(crate))).toEqual([]);
  });
});

describe("the update benchmark's modules", () => {
  test.each([256, 1024, 4096, 12_288])(
    "have the size they say (%i) and tell what they are",
    (size) => {
      const module = moduleOf(size, -1);
      expect(module.length).toBe(size);
      expect(readFacts(module)).toMatchObject({ sensors: ["level"], tick: 100 });
    },
  );
});

describe("the filters of `compare`", () => {
  const missing = missingEngine("wasmote");
  test.skipIf(missing)(
    `come to the same in AssemblyScript and in JavaScript${missing ? ` (skipped: ${missing})` : ""}`,
    async () => {
      const { module } = await build(join(root, "assembly/bench/filters.ts"), { plain: true });
      const instance = instantiate(module, "wasmote", () => undefined);
      expect(instance.call(undefined, [], 1e6).trap).toBeUndefined();
      const script: { run?: (which: number, n: number) => number } = {};
      runInNewContext(readFileSync(join(root, "test/bench/compare/filters.js"), "utf8"), script);
      const results = [0, 1, 2].map((which) => script.run?.(which, 3000));
      expect(new Set(results).size).toBe(3);
      expect([0, 1, 2].flatMap((which) => instance.call("run", [which, 3000], 1e9).values)).toEqual(
        results,
      );
    },
  );
});

describe("the start", () => {
  for (const [name, { leaves }] of Object.entries(boards)) {
    const machine = name as Machine;
    const reason = missing(machine);
    const why = reason === undefined ? "" : ` (skipped: ${reason})`;
    // The benchmark finds functions by their symbols, which change when code moves.
    test.skipIf(reason !== undefined)(`is followed by functions that ${name} has${why}`, () => {
      const symbols = readFileSync(programs[machine], "latin1");
      for (const mark of [loop, sampled, leaves, ...Object.values(entered)])
        expect(symbols, mark).toContain(mark);
    });
  }
});
