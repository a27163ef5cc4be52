// The command line where people use it: in a terminal with job control, in the foreground and in the background.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emulatedHere } from "../../host/lib/emulated.ts";
import { newProject, wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";
import { missingTerminal, openTerminal } from "../harness/terminal.ts";

const reason = missingTerminal();

describe.skipIf(reason)(`in a terminal${reason ? ` (skipped: ${reason})` : ""}`, () => {
  test("a node in the background runs on, is fed there, and comes to the front and goes back", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    await using terminal = await openTerminal(project);
    const { run, type, shows } = terminal;
    type("wasmote emulate native --name wye &\n");
    await shows(/wye at coap:/);
    expect((await run("wasmote use wye")).code).toBe(0);
    expect((await run("wasmote push --no-wait")).code).toBe(0);
    expect((await run("jobs")).out).toMatch(/\[1\]\+? +Running +wasmote emulate/);
    // What is typed goes to the shell alone.
    expect((await run("wasmote feed wye level 3500")).code).toBe(0);
    await expect
      .poll(async () => (await wasmote(project, "get", "outputs/alarm")).out, { timeout: 60_000 })
      .toBe("1\n");
    // In front it reads what is typed.
    type("fg\n");
    await shows("wasmote emulate native");
    type("level 100\n");
    await expect
      .poll(async () => (await wasmote(project, "get", "outputs/alarm")).out, { timeout: 60_000 })
      .toBe("0\n");
    type("\x1a");
    await shows(/Stopped +wasmote emulate/);
    expect((await run("bg")).code).toBe(0);
    expect((await run("echo level 4000")).out).toContain("level 4000\n");
    expect((await run("jobs")).out).toMatch(/Running +wasmote emulate/);
    expect((await run("wasmote get outputs/alarm")).out).toMatch(/\n0\n/);
    const ended = await run("kill %1; wait %1");
    expect(ended.code).toBe(0);
    expect(emulatedHere()).toEqual([]);
  });

  test("what is drawn over itself is told in lines where it does not fit, and has no colours where nobody wants them", async () => {
    using folder = scratch();
    await using terminal = await openTerminal(await newProject(folder.path));
    /** All that goes to a terminal of this size meanwhile. */
    const shown = async (rows: number, columns: number) => {
      const before = terminal.raw().length;
      const flood = "NO_COLOR=1 wasmote flood --days 10 --machine native --pace 0";
      const { code } = await terminal.run(`stty rows ${rows} cols ${columns}; ${flood}`);
      expect(code).toBe(0);
      return terminal.raw().slice(before);
    };
    // oxlint-disable-next-line no-control-regex
    const [up, coloured] = [/\x1b\[\d+A/, /\x1b\[[\d;]*m/];
    const small = await shown(8, 40);
    expect(small).toContain("alarm off");
    expect(small).not.toMatch(up);
    expect(small).not.toMatch(coloured);
    const large = await shown(40, 100);
    expect(large).toMatch(up);
    expect(large).not.toMatch(coloured);
  });

  test("a chart gives the cursor back before it stands still, and wipes nothing that a shell wrote meanwhile", async () => {
    using folder = scratch();
    await using terminal = await openTerminal(await newProject(folder.path));
    // oxlint-disable-next-line no-control-regex
    const [up, hidden, shown] = [/\x1b\[\d+A/, "\x1b[?25l", "\x1b[?25h"];
    const back = () => terminal.raw().lastIndexOf(shown) > terminal.raw().lastIndexOf(hidden);
    terminal.type("stty rows 40 cols 100; wasmote flood --machine native --pace 200\n");
    const drawn = (from: number) =>
      expect.poll(() => terminal.raw().slice(from), { timeout: 120_000 });
    await drawn(0).toMatch(up);
    expect(back()).toBe(false);
    for (const again of ["fg\n", "fg\n"]) {
      terminal.type("\x1a");
      await terminal.shows(/Stopped/);
      expect(back()).toBe(true);
      await terminal.run("echo what a shell writes");
      const from = terminal.raw().length;
      terminal.type(again);
      await drawn(from).toMatch(up);
      // What it draws first goes below what stands there.
      const first = terminal.raw().slice(from);
      expect(first.indexOf("m3/s")).toBeGreaterThan(-1);
      expect(first.indexOf("m3/s")).toBeLessThan(first.search(up));
      expect(back()).toBe(false);
    }
    terminal.type("\x03");
    await terminal.shows(/stopping/);
    expect((await terminal.run("echo ended")).out).toContain("ended");
    expect(back()).toBe(true);
  });

  test("no verb is stopped in the background, though the terminal stops who reads or sets it there", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    await using terminal = await openTerminal(project);
    const { run, type, shows } = terminal;
    type("wasmote emulate --name wye &\n");
    await shows(/wye at coap:/);
    const verbs = [
      "build",
      "check",
      "run",
      "run --samples samples.csv --chart",
      "test",
      "package --class native",
      "use wye",
      "push --no-wait",
      "info",
      "params limit=100",
      "get sensors/level",
      "logs",
      "scan --seconds 0.2",
      "doctor",
      "remove",
      "completion bash",
    ];
    for (const verb of verbs) {
      const ran = await run(`wasmote ${verb} & wait $!`);
      expect(ran.out, verb).not.toContain("Stopped");
      expect(ran.code, `${verb}: ${ran.out}`).toBe(0);
    }
    // One that goes on until it is ended.
    for (const verb of ["observe sensors/level", "logs --follow", "watch"]) {
      type(`wasmote ${verb} &\n`);
      await shows(/\[2\] \d+/);
      await run("wasmote feed wye level 5");
      const ran = await run("jobs; kill -INT %2; wait %2");
      expect(ran.out, verb).toMatch(/\[2\][+-]? +Running/);
    }
  });

  test("Ctrl-C ends a verb that goes on with 0, and one that is not done with 130", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    const nowhere = `coap://127.0.0.1:${silent.address().port}`;
    await using terminal = await openTerminal(project);
    const { run, type, shows } = terminal;
    type("wasmote emulate --name wye &\n");
    await shows(/wye at coap:/);
    const interrupted = async (line: string, until: () => Promise<unknown>) => {
      type(`${line}; echo "co""de=$?"\n`);
      await until();
      type("\x03");
      await shows(/code=\d+\n/);
      return Number([...terminal.screen().matchAll(/code=(\d+)\n/g)].at(-1)?.[1]);
    };
    for (const line of ["wasmote observe sensors/level -n wye"])
      expect(await interrupted(line, () => shows("waiting for"))).toBe(0);
    const heard = () => once(silent, "message");
    for (const verb of ["info", "get node", "params", "logs", "observe", "remove"])
      expect(await interrupted(`wasmote ${verb} -n ${nowhere}`, heard), verb).toBe(130);
    await run("kill %1; wait %1");
    silent.close();
  });

  test("Ctrl-C ends the gateway's demonstration while it is being started, too", async () => {
    using folder = scratch();
    await using terminal = await openTerminal(folder.path);
    terminal.type('wasmote gateway --demo --data kept --listen 0; echo "co""de=$?"\n');
    await terminal.shows("starting three nodes");
    terminal.type("\x03");
    await terminal.shows(/code=\d+/);
    expect(terminal.screen()).toMatch(/code=0/);
    expect(terminal.screen()).not.toMatch(/error:|fault of wasmote/);
    // The flash of its nodes is of no use to anybody.
    const kept = readdirSync(join(folder.path, "kept"));
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.filter((file) => file.endsWith(".flash"))).toEqual([]);
  });

  test("a verb whose terminal is closed ends by itself: Node.js sets back a terminal that is gone, and crashes", () => {
    using folder = scratch();
    const main = join(import.meta.dirname, "../../host/cli/main.ts");
    const words = [
      process.execPath,
      "--import",
      import.meta.resolve("tsx"),
      main,
      "gateway",
      "--listen",
      "0",
    ];
    const script = `import os, pty, sys
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while b"Ctrl-C ends it" not in said: said += os.read(terminal, 4096)
os.close(terminal)
status = os.waitpid(pid, 0)[1]
print("signal" if os.WIFSIGNALED(status) else "exit", flush=True)`;
    const options = { encoding: "utf8", cwd: folder.path, timeout: 120_000 } as const;
    const { stdout, stderr } = spawnSync("python3", ["-c", script, ...words], options);
    expect([stdout, stderr]).toEqual(["exit\n", ""]);
  });

  test("the terminal that is closed takes the node in it along", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    {
      await using terminal = await openTerminal(project);
      terminal.type("wasmote emulate --name wye\n");
      await terminal.shows(/wye at coap:/);
    }
    const file = join(project, ".wasmote/emulated/wye.address");
    await expect
      .poll(() => {
        try {
          return readFileSync(file, "utf8");
        } catch {
          return "gone";
        }
      })
      .toBe("gone");
  });
});
