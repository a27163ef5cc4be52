// `npm start`, from outside: without a terminal its fixed parts are compared with a reviewed transcript; in a terminal it
// draws; on a board that is not emulated it takes the samples as they come.
import { execFile, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify, stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { emulate, machines, missing } from "../../host/lib/emulate.ts";
import { generateKey, makeFlash, writeKey } from "../../host/lib/package.ts";
import { command, root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";

const golden = join(root, "test/golden/demo.txt");
const tsx = join(root, "node_modules/.bin/tsx");
const run = promisify(execFile);

/** What depends on the machine: times, and on which day a filter that is pushed while data flows takes over. */
function fixed(transcript: string): string {
  const [before = "", after = ""] = transcript.split("== A better filter");
  return `${before}== A better filter${after.slice(0, after.indexOf("\n"))}\n${after.slice(after.indexOf("== A broken"))}`
    .replace(/\d+ ms/g, "N ms")
    .replace(/[\d.]+ s$/m, "N s");
}

for (const machine of machines) {
  const reason = missing(machine);
  test.skipIf(reason)(
    `the demonstration on ${machine}${reason ? ` (skipped: ${reason})` : ""}`,
    { timeout: 240_000 },
    async () => {
      using folder = scratch();
      const drawing = join(folder.path, "demo.svg");
      const words = ["host/demo/main.ts", "--target", machine, "--picture", drawing];
      const { stdout, stderr } = await run(tsx, words, { cwd: root });
      expect(stderr).toBe("");
      // The board's own lines differ; the story is the same.
      const story = fixed(stdout)
        .replace(/== A board:[\s\S]*?\n\n/, "")
        // A package names the class of its board.
        .replace(/\b7[01]\d(?= bytes)/g, "7NN");
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(golden, story);
      expect(story).toBe(readFileSync(golden, "utf8"));
      const [, simulated, there] =
        /fuel of a run\s+(\d+) at most in the simulation, (\d+) on the node/.exec(stdout) ?? [];
      expect(there).toBe(simulated);
      const [, lost] = /replaced; (\d+) samples went by without an output/.exec(stdout) ?? [];
      expect(lost).toBe("0");
      expect(readFileSync(drawing, "utf8")).toContain("<svg");
    },
  );
}

test("writes over no file of somebody's own", async () => {
  using folder = scratch();
  const own = join(folder.path, "plan.svg");
  writeFileSync(own, "<svg>a year's work</svg>");
  const words = ["host/demo/main.ts", "--target", "native", "--picture", own];
  await expect(run(tsx, words, { cwd: root })).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is there already") as string,
  });
  expect(readFileSync(own, "utf8")).toBe("<svg>a year's work</svg>");
});

const script = command("script") === undefined ? " (skipped: there is no `script`)" : "";
test.skipIf(script)(
  `in a terminal the river is drawn, and the cursor is given back${script}`,
  { timeout: 120_000 },
  async () => {
    const line = `${tsx} host/demo/main.ts --target native`;
    const { stdout } = await run("script", ["-qefc", line, "/dev/null"], {
      cwd: root,
      env: { ...process.env, CI: "", TERM: "xterm", COLUMNS: "100", LINES: "40" },
      maxBuffer: 1 << 26,
    });
    const seen = stripVTControlCharacters(stdout);
    expect(seen).toMatch(/[▁▂▃▄▅▆▇█]{20}/);
    expect(seen).toContain("FLOOD ALARM");
    expect(stdout.lastIndexOf("\x1b[?25h")).toBeGreaterThan(stdout.lastIndexOf("\x1b[?25l"));
  },
);

test(
  "on a board of one's own the filters see what its sensor shows",
  { timeout: 120_000 },
  async () => {
    using folder = scratch();
    const key = generateKey();
    const [flash, pem] = [join(folder.path, "flash"), join(folder.path, "key.pem")];
    writeFileSync(flash, makeFlash({ keys: [key.publicKey] }));
    writeFileSync(pem, writeKey(key));
    const board = await emulate({ machine: "native", flash, link: "serial" });
    // A sensor that shows a low river ten times a second.
    let shown = 0;
    const sensor = setInterval(() => board.feed("level", 1000 + (shown++ % 50)), 100);
    try {
      const words = [
        "host/demo/main.ts",
        "--target",
        board.address,
        "--key",
        pem,
        "--samples",
        "3",
      ];
      const { stdout } = await run(tsx, words, { cwd: root });
      expect(stdout).toContain("returned to flood-early by hand");
      expect(stdout).toMatch(/samples shown +\d+ of \d+/);
    } finally {
      clearInterval(sensor);
      await board.stop();
    }
  },
);

test.each([
  [["--target", "toaster"], /there is no target toaster; there are native, /],
  [["--target", "serial:/dev/null", "--key", "nowhere.pem"], /there is no key .*wasmote keygen/],
  [["--samples", "0"], /--samples 0: a whole number from 1 on/],
])("%j is refused with what to do", async (words, message) => {
  const child = spawn(tsx, ["host/demo/main.ts", ...words], { cwd: root });
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(text).toMatch(message);
  expect(code).toBe(1);
});
