// What verbs show in a terminal, at the widths people have, against reviewed screens: a real pseudo-terminal of that many columns.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { newProject } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";
import { missingTerminal, openTerminal } from "../harness/terminal.ts";

const golden = join(root, "test/golden/screens.txt");
const verbs = ["wasmote run src/smooth.ts --samples day.csv --chart", "wasmote info"];
const reason = missingTerminal();

test.skipIf(reason)(
  `a chart and a mistake look as they did at 60, 80 and 200 columns${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 240_000 },
  async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    copyFileSync(join(root, "assembly/examples/moving-average.ts"), join(project, "src/smooth.ts"));
    copyFileSync(join(root, "assembly/recipes/level.csv"), join(project, "day.csv"));
    const screens: string[] = [];
    for (const columns of [60, 80, 200]) {
      await using terminal = await openTerminal(project, { columns });
      expect((await terminal.run("tput cols")).out).toMatch(new RegExp(`\\n${columns}\\n`));
      for (const verb of verbs) {
        const { out, code } = await terminal.run(verb);
        // Behind the echo of the line, before that of the next.
        const shown = out.slice(out.indexOf("\n") + 1).split(/^.*echo "do""ne/m)[0] ?? "";
        for (const line of shown.split("\n"))
          if (verb.includes("--chart"))
            expect(Array.from(line).length).toBeLessThanOrEqual(columns);
        screens.push(`== ${columns} columns: ${verb} (${code})\n${shown}`);
      }
    }
    const all = screens.join("\n");
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, all);
    expect(all).toBe(readFileSync(golden, "utf8"));
  },
);
