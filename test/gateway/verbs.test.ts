// The verbs of the command line through a gateway: the same words, to a node that only the gateway reaches, with the rights of a token, and
// written down.
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { emulate, missing, type Emulated } from "../../host/lib/emulate.ts";
import { signingKey, openProject } from "../../host/lib/project.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { begin, newProject, wasmoteIn } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

const reason = missing("native");

test.skipIf(reason !== undefined)(
  `push, info, params, observe, logs and rollback go through it${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const { publicKey } = signingKey(openProject(project));
    const nodes: Emulated[] = [];
    try {
      for (const name of ["wye", "usk"]) {
        const flash = join(folder.path, name);
        writeFileSync(flash, makeFlash({ name, keys: [publicKey] }));
        nodes.push(await emulate({ machine: "native", flash, name }));
      }
      const [wye, usk] = nodes as [Emulated, Emulated];
      await using running = await startGateway(
        {},
        { nodes: { wye: wye.address, usk: usk.address } },
      );
      const { gateway } = running;
      appendFileSync(
        join(project, "wasmote.toml"),
        `\n[gateways]\nriver = "${running.url}"\ngone = "http://127.0.0.1:9"\n`,
      );
      const made = await running.json<{ token: string }>("/api/tokens", {
        method: "POST",
        body: JSON.stringify({ name: "reader", role: "read" }),
      });
      await until(() => [...gateway.nodes].every(({ resources }) => resources.length > 0));
      const as = (token: string, ...words: string[]) =>
        wasmoteIn(project, { WASMOTE_TOKEN: token }, ...words);
      const admin = async <T>(...words: string[]): Promise<T> => {
        const ran = await as(running.token, ...words, "--json");
        expect(ran.code, ran.err + ran.out).toBe(0);
        return JSON.parse(ran.out) as T;
      };

      wye.feed("level", 5);
      expect(await admin("info", "-n", "river/wye")).toMatchObject({ node: { name: "wye" } });
      const first = await admin<{ sequence: number }>("push", "-n", "river/wye", "--no-wait");
      expect(first.sequence).toBe(1);
      await until(() => gateway.nodes.get("wye")?.app?.sequence === 1);
      // What a verb sees is the node's state, and nothing that was kept.
      expect(await admin("params", "-n", "river/wye", "limit=77")).toMatchObject({ limit: 77 });
      expect(await admin("params", "-n", "river/wye")).toMatchObject({ limit: 77 });
      // By a pattern, both.
      const both = await admin<{ node: string; ok: boolean }[]>(
        "push",
        "-n",
        "river/*",
        "--no-wait",
        "--again",
      );
      expect(both.map(({ node, ok }) => [node, ok])).toEqual([
        ["river/wye", true],
        ["river/usk", true],
      ]);
      await until(() => (gateway.nodes.get("usk")?.app?.sequence ?? 0) > 0);
      const logs = await as(running.token, "logs", "-n", "river/wye", "--json");
      expect([logs.code, logs.out.length > 10], logs.err).toEqual([0, true]);
      const observing = begin(project, ["observe", "sensors/level", "-n", "river/wye", "--json"], {
        WASMOTE_TOKEN: running.token,
      });
      await observing.shows(/"value":5/);
      wye.feed("level", 6);
      await observing.shows(/"value":6/);
      observing.child.kill("SIGINT");
      await observing.ended;
      await until(() => gateway.shared.size === 0);

      // Rights: a reader reads, and nothing else; without a token nobody does anything.
      expect((await as(made.token, "info", "-n", "river/wye", "--json")).code).toBe(0);
      const refused = await as(made.token, "params", "-n", "river/wye", "limit=1", "--json");
      expect([refused.code, refused.err]).toEqual([
        5,
        expect.stringContaining("needs the role operate; reader has read"),
      ]);
      const pushed = await as(made.token, "push", "-n", "river/wye", "--again", "--no-wait");
      expect([pushed.code, pushed.err]).toEqual([
        5,
        expect.stringContaining("needs the role install"),
      ]);
      const stranger = await as("wm_nobody", "info", "-n", "river/wye");
      expect([stranger.code, stranger.err]).toEqual([
        4,
        expect.stringContaining("set WASMOTE_TOKEN"),
      ]);
      const unknown = await as(running.token, "info", "-n", "river/teme");
      expect([unknown.code, unknown.err]).toEqual([4, expect.stringContaining("has no node teme")]);
      expect((await as(running.token, "info", "-n", "gone/wye")).code).toBe(4);
      expect((await as(running.token, "info", "-n", "river/te*")).code).toBe(2);

      const back = await as(running.token, "rollback", "-n", "river/wye", "--json");
      // The node's own answer: a package on trial has none before it that is good.
      expect(back.err).toContain("4.09 there is no package to go back to");
      const audit =
        await running.json<{ who: string; what: string; target: string }[]>("/api/audit");
      const done = audit.filter(({ who }) => who !== "this computer");
      expect(
        done
          .filter(({ what }) => what === "PUT /app")
          .map(({ target }) => target)
          .toSorted(),
      ).toEqual(["usk", "wye", "wye"]);
      expect(done.some(({ what }) => what === "PUT /app/params/limit")).toBe(true);
      expect(done.some(({ what }) => what === "POST /app/rollback")).toBe(true);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  },
  300_000,
);

test("history shows what a gateway has kept: values, steps, gaps, and what is left out", async () => {
  using folder = scratch();
  const project = await newProject(folder.path);
  await using running = await startGateway();
  const start = Date.parse("2026-11-28T12:00:00Z");
  for (const [seconds, value] of [
    [0, 12.5],
    [20, null],
    [30, 13.5],
    [60, 2],
  ] as const)
    running.gateway.history.append({
      node: "wye",
      resource: "outputs/flow",
      time: start + seconds * 1000,
      value,
    });
  const told = { node: "wye", resource: "outputs/mood", time: start, value: null };
  running.gateway.history.append({ ...told, text: "high\u001b[2J" });
  appendFileSync(join(project, "wasmote.toml"), `\n[gateways]\nriver = "${running.url}"\n`);
  const from = ["--since", "2026-11-28T12:00:00Z", "--until", "2026-11-28T12:01:01Z"];
  const history = (...words: string[]) =>
    wasmoteIn(project, { WASMOTE_TOKEN: running.token }, "history", ...words, ...from);
  expect(await history("river/wye", "outputs/flow")).toMatchObject({
    code: 0,
    out: [
      "2026-11-28T12:00:00.000Z  12.5",
      "2026-11-28T12:00:20.000Z  (gap)",
      "2026-11-28T12:00:30.000Z  13.5",
      "2026-11-28T12:01:00.000Z  2",
      "",
    ].join("\n"),
    err: "",
  });
  const steps = await history("wye", "/outputs/flow", "--step", "1m", "--gateway", running.url);
  expect(steps.out.split("\n")[0]).toBe("2026-11-28T12:00:00.000Z  13  12.5 … 13.5, 2 values");
  const few = await history("river/wye", "outputs/flow", "--limit", "2");
  expect([few.out.split("\n").length, few.err]).toEqual([
    3,
    expect.stringContaining("these are the oldest 2: "),
  ]);
  // A text is a value, and shown without what a terminal would obey.
  const mood = await history("river/wye", "outputs/mood");
  expect(mood.out).toBe("2026-11-28T12:00:00.000Z  high\ufffd[2J\n");
  const json = await history("river/wye", "outputs/flow", "--json");
  expect(JSON.parse(json.out)).toMatchObject({
    node: "wye",
    resource: "outputs/flow",
    points: [{ value: 12.5 }, { value: null }, { value: 13.5 }, { time: start + 60_000, value: 2 }],
  });
  const none = await history("river/usk", "outputs/flow");
  expect([none.code, none.out]).toEqual([1, ""]);
  expect(none.err).toContain("the gateway refuses: there is no node usk; there are: ");
  const both = await history("river/wye", "outputs/flow", "--gateway", running.url);
  expect([both.code, both.err]).toEqual([2, expect.stringContaining("mean two gateways")]);
  const stranger = await wasmoteIn(
    project,
    { WASMOTE_TOKEN: "wm_nobody" },
    "history",
    "river/wye",
    "outputs/flow",
  );
  expect([stranger.code, stranger.err]).toEqual([5, expect.stringContaining("set WASMOTE_TOKEN")]);
});
