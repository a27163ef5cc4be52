// Verbs for several nodes: a fleet of native nodes, some of which are broken, through groups, --all and a canary.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { newProject, wasmote, wasmoteJson } from "../harness/command.ts";
import { peer } from "../harness/peer.ts";
import { scratch } from "../harness/target.ts";

const reason =
  missing("native") ??
  (process.platform === "linux" ? undefined : "only Linux has all of 127.0.0.0/8");

interface Outcome {
  node: string;
  ok: boolean;
  result?: { sequence: number };
  error?: { code: string; exit: number };
}

describe.skipIf(reason)(`several nodes${reason ? ` (skipped: ${reason})` : ""}`, () => {
  test("are pushed to, asked and set side by side, and the worst gives the exit code", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const fleet = await emulateFleet(17, ["--dev"]);
    await using silent = await peer(() => {});
    try {
      const broken = [silent.address, "coap://nowhere.invalid", "serial:/dev/nothing"];
      const nodes = [
        ...fleet.nodes.map(({ name, address }) => `${name} = "${address}"`),
        ...broken.map((address, at) => `broken-${at} = "${address}"`),
      ];
      const groups = 'pair = ["node-1", "node-2"]\nbad = ["broken-0", "node-3"]\n';
      appendFileSync(join(project, "wasmote.toml"), `${nodes.join("\n")}\n\n[groups]\n${groups}`);
      const all = await wasmote(project, "push", "--all", "--no-wait", "--timeout", "5", "--json");
      expect(all.code, all.err).toBe(4);
      const outcomes = JSON.parse(all.out) as Outcome[];
      expect(outcomes.length).toBe(20);
      expect(outcomes.filter(({ ok }) => !ok).map(({ node }) => node)).toEqual([
        "broken-0",
        "broken-1",
        "broken-2",
      ]);
      expect(all.err).toMatch(/3 of 20 nodes failed\n( {2}what to do: .*\n)+/);
      // Two names are two nodes, a group is all of its, and a node is meant once.
      const two = await wasmoteJson<Outcome[]>(project, "info", "-n", "node-1", "-n", "node-5");
      expect(two.map(({ node }) => node)).toEqual(["node-1", "node-5"]);
      const group = await wasmoteJson<Outcome[]>(
        project,
        "params",
        "limit=77",
        "-n",
        "pair",
        "-n",
        "node-1",
      );
      expect(group).toMatchObject([
        { node: "node-1", ok: true, result: { limit: 77 } },
        { node: "node-2", ok: true, result: { limit: 77 } },
      ]);
      const words = await wasmote(project, "info", "-n", "pair");
      expect(words.out).toMatch(/^node-1 {2}ok {7}native, up .*, runs river .*\nnode-2 {2}ok/);
      // A canary that fails keeps the others as they are.
      const canary = await wasmote(
        project,
        "remove",
        "-n",
        "bad",
        "--canary",
        "--timeout",
        "1",
        "--json",
      );
      expect(canary.code).toBe(4);
      expect(JSON.parse(canary.out)).toMatchObject([
        { node: "broken-0", ok: false, error: { code: "timeout", exit: 4 } },
        { node: "node-3", ok: false, error: { code: "skipped" } },
      ]);
      expect(await wasmoteJson(project, "info", "-n", "node-3")).toMatchObject({
        app: { name: "river" },
      });
      // One that does what it should is the first of all, and the others follow.
      const source = join(project, "src/main.ts");
      writeFileSync(source, readFileSync(source, "utf8").replace("3000", "2500"));
      const good = await wasmoteJson<Outcome[]>(
        project,
        "push",
        "-n",
        "pair",
        "-n",
        "node-6",
        "--canary",
        "--wait",
        "1",
      );
      expect(good.map(({ node, ok }) => [node, ok])).toEqual([
        ["node-1", true],
        ["node-2", true],
        ["node-6", true],
      ]);
      // Each package has a number of its own: the canary's was the first.
      const sequences = good.map(({ result }) => result?.sequence ?? 0);
      expect(sequences[0]).toBe(Math.min(...sequences));
    } finally {
      await fleet.stop();
    }
  });

  test("a verb for one node does not take two, and words that mean nothing are refused", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    for (const [words, message] of [
      [
        ["get", "node", "-n", "coap://127.0.0.1:1", "-n", "coap://127.0.0.1:2"],
        /is for one node, 2 were/,
      ],
      [["info", "--all"], /wasmote\.toml names no nodes/],
      [["info", "--all", "-n", "coap://127.0.0.1:1"], /--all and --node together/],
    ] as const) {
      const ran = await wasmote(project, ...words);
      expect(ran.code).toBe(2);
      expect(ran.err).toMatch(message);
    }
  });
});
