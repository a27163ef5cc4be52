// A rollout over a fleet of native nodes, through a gateway process that is killed in the middle: a good filter reaches all, one that fails on a
// few is halted and taken back everywhere. `WASMOTE_FLEET=1000` tries it with so many nodes.
import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Rollout } from "../../host/gateway/rollout/machine.ts";
import type { RolloutView } from "../../host/gateway/rollout/rollouts.ts";
import { emulateFleet, missing, type Fleet } from "../../host/lib/emulate.ts";
import { askGateway, type GatewayPlace } from "../../host/lib/gateway.ts";
import { Node } from "../../host/lib/node.ts";
import { generateKey, makePackage, openPackage } from "../../host/lib/package.ts";
import { begin, newProject, program, wasmoteIn } from "../harness/command.ts";
import { pack } from "../harness/module.ts";
import { randomBelow } from "../harness/random.ts";
import { until } from "./harness.ts";

const size = Number(process.env["WASMOTE_FLEET"] ?? 100);
const reason =
  missing("native") ??
  (process.platform === "linux" ? undefined : "only Linux has all of 127.0.0.0/8");

/** A filter that counts; the second and third version fail where an operator has set the parameter. */
const filter = (fault: string) => `
import { every, output, parameter } from "wasmote";
const count = output("count");
const broken = parameter("broken", 0, 0, 1);
let ticks: f32 = 0;
every(100, () => {
  ${fault}
  ticks += 1;
  count.publish(ticks);
});
`;

const digestOf = (bytes: Uint8Array) =>
  Buffer.from(openPackage(bytes).manifest.digest).toString("hex");

describe.skipIf(reason !== undefined)(
  `rollouts${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    let folder: string;
    let project: string;
    let fleet: Fleet;
    let child: ChildProcess | undefined;
    let place: GatewayPlace;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "wasmote-rollout-"));
      project = await newProject(folder);
      fleet = await emulateFleet(size, ["--dev"]);
      const named = fleet.nodes.map(({ name, address }) => `${name} = "${address}"`);
      appendFileSync(join(project, "wasmote.toml"), `${named.join("\n")}\n`);
      await start();
    }, 120_000);
    afterAll(async () => {
      child?.kill("SIGKILL");
      await fleet?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    async function start(): Promise<void> {
      const words = ["gateway", "--listen", "127.0.0.1:0", "--json"];
      child = spawn(process.execPath, [program, ...words], {
        cwd: project,
        stdio: ["ignore", "pipe", "inherit"],
      });
      for await (const line of createInterface({ input: child.stdout! })) {
        const { url, token } = JSON.parse(line) as { url: string; token?: string };
        place = { url, token: token ?? place.token };
        break;
      }
      await until(async () => {
        const nodes = await askGateway<{ package: unknown; board: unknown }[]>(place, "/api/nodes");
        return nodes.filter(({ board }) => board !== null).length === size;
      });
    }

    async function kill(): Promise<void> {
      const ended = new Promise((resolve) => child!.once("exit", resolve));
      child!.kill("SIGKILL");
      await ended;
    }

    const quick = "silence=60&soak=0.2&at-once=16";
    const plan = (bytes: Uint8Array, query: string) =>
      askGateway<RolloutView>(place, `/api/rollouts?${query}&select=node-*&${quick}`, {
        method: "POST",
        body: bytes,
      });
    const go = (id: number) => askGateway(place, `/api/rollouts/${id}/start`, { method: "POST" });
    const view = (id: number) => askGateway<RolloutView>(place, `/api/rollouts/${id}`);
    const ended = (id: number, state: string) =>
      until(async () => {
        const now = await view(id);
        const busy = now.members.some(({ state: one }) =>
          ["pushing", "trial", "failed", "returning"].includes(one),
        );
        return now.state === state && !busy && now;
      });

    /** What runs on each node, as the nodes say it. */
    async function digests(): Promise<Map<string, number>> {
      const of = new Map<string, number>();
      for (const { address } of fleet.nodes) {
        await using node = await Node.connect(address);
        const { digest = "" } = await node.app();
        of.set(digest, (of.get(digest) ?? 0) + 1);
      }
      return of;
    }

    test("a good filter reaches all nodes, whenever the gateway is killed", async () => {
      const first = await pack("native", filter(""), 1);
      const made = await plan(first, "waves=1,10%,100%");
      expect(made.state).toBe("planned");
      expect(made.members.map(({ state }) => state)).toEqual(Array(size).fill("waiting"));
      // Nothing goes anywhere before it is started.
      expect(await digests()).toEqual(new Map([["", size]]));
      await go(made.id);
      const below = randomBelow(7);
      for (const share of [0.02, 0.3, 0.6]) {
        await until(async () => {
          const { members } = await view(made.id);
          return members.filter(({ state }) => state === "good").length >= share * size;
        });
        await new Promise((resolve) => setTimeout(resolve, below(300)));
        await kill();
        await start();
      }
      const done = await ended(made.id, "done");
      expect(done.members.filter(({ state }) => state === "good").length).toBe(size);
      expect(await digests()).toEqual(new Map([[digestOf(first), size]]));
      // Once more is nothing new: every node has it.
      const again = await plan(first, "waves=100%");
      expect(again.members.every(({ state }) => state === "good")).toBe(true);
    }, 240_000);

    test("a filter that fails on a few nodes is halted and taken back everywhere", async () => {
      const before = [...(await digests()).keys()][0]!;
      const broken = fleet.nodes.filter((_, index) => index % 33 === 5);
      for (const { address } of broken) {
        await using node = await Node.connect(address);
        await node.setParam("broken", 1);
      }
      const faulty = await pack("native", filter("if (broken.value > 0) unreachable();"), 2);
      writeFileSync(join(project, "faulty.wpkg"), faulty);
      const run = (...words: string[]) =>
        wasmoteIn(project, { WASMOTE_TOKEN: place.token ?? "" }, "rollout", ...words);
      const words = ["--gateway", place.url, "--soak", "0.2", "--waves", "1,5%,100%"];
      const dry = await run("start", "faulty.wpkg", ...words);
      expect(dry.code, dry.err).toBe(0);
      expect(dry.out).toMatch(/wave 1: 1 node {2}/);
      expect(dry.err).toMatch(/nothing was sent/);
      const id = /^(\d+) /.exec(dry.out)![1]!;
      const going = await run("start", id, "--follow", "--gateway", place.url);
      expect(going.code, going.out + going.err).toBe(6);
      expect(going.err).toMatch(/was halted: \d+ of \d+ nodes? failed: trap/);
      const halted = await ended(Number(id), "halted");
      expect(halted.members.filter(({ state }) => state === "returned").length).toBeGreaterThan(0);
      expect(halted.members.every(({ state }) => state === "returned" || state === "waiting")).toBe(
        true,
      );
      // What ran before runs again on each of them, and none was lost.
      expect(await digests()).toEqual(new Map([[before, size]]));
    }, 240_000);

    test("nodes that trapped with filters before are judged by the new one only", async () => {
      // The good filter traps where the parameter is set; set anew, it is whole again, and the traps stay counted.
      const repaired = await pack("native", filter("if (broken.value > 1) unreachable();"), 3);
      const counted = await Promise.all(
        fleet.nodes.map(async ({ address }) => {
          await using node = await Node.connect(address);
          return (await node.stats()).traps;
        }),
      );
      expect(counted.filter((traps) => traps > 0).length).toBeGreaterThan(0);
      const made = await plan(repaired, "waves=100%&tolerate=1");
      await go(made.id);
      const done = await ended(made.id, "done");
      // A busy machine may be late with values, or with a node's word; nothing else keeps a node from being good.
      const others = done.members.filter(
        ({ state, reason }) => state !== "good" && !/came \d+ times|silent/.test(reason ?? ""),
      );
      expect(others.map(({ node, state, reason }) => `${node}: ${state} ${reason}`)).toEqual([]);
      expect(done.members.filter(({ state }) => state === "good").length).toBeGreaterThan(size / 2);
    }, 240_000);

    test("who resumes what he paused has approved no wave; what was halted is not started again", async () => {
      const next = await pack("native", filter("if (broken.value > 2) unreachable();"), 4);
      const { id } = await plan(next, "waves=1,100%&approve&soak=0&tolerate=1");
      const act = (what: string) =>
        askGateway<Rollout>(place, `/api/rollouts/${id}/${what}`, { method: "POST" });
      await go(id);
      await until(async () => (await view(id)).state === "asking");
      expect((await act("pause")).state).toBe("paused");
      expect((await act("resume")).state).toBe("asking");
      expect((await act("halt")).state).toBe("halted");
      await expect(go(id)).rejects.toThrow(/the rollout is halted: nothing to start/);
      await ended(id, "halted");
    }, 120_000);

    test("what does not fit is refused before the first byte, with the reason; whoever lacks the right is refused too", async () => {
      const old = await pack("native", filter("ticks += 1;"), 1);
      const { id, members } = await plan(old, "");
      expect(members.every(({ state }) => state === "refused")).toBe(true);
      expect(members[0]!.reason).toMatch(/sequence number 1, the node has had [1-4]/);
      await expect(go(id)).rejects.toThrow(
        /no node takes the package: node-\d+: .*sequence number/,
      );
      for (const query of ["waves=50%", "soak=-1", "tolerate=2", "silence=x"])
        await expect(plan(old, query)).rejects.toThrow(/the gateway refuses/);
      await expect(
        askGateway(place, "/api/rollouts?select=nobody", { method: "POST", body: old }),
      ).rejects.toThrow(/^the gateway refuses: no node is called nobody$/);
      await expect(
        askGateway(place, "/api/rollouts?select=*", { method: "POST", body: new Uint8Array(40) }),
      ).rejects.toThrow(/no package/);
      // Damaged on the way, and signed as it is: neither is a node's fault that was not reached.
      const damaged = Uint8Array.from(old);
      damaged[Buffer.from(old).indexOf("\0asm") + 8]! ^= 1;
      await expect(plan(damaged, "")).rejects.toThrow(/damaged: its module is not the one/);
      const needs = { ram: 0, table: 0, fuel: 0, sensors: 0, outputs: 0 };
      const about = { vendor: "", class: "native", sequence: 9, name: "f", version: "1", needs };
      const module = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 99);
      const broken = makePackage(module, about, generateKey());
      await expect(plan(broken, "")).rejects.toThrow(/module is broken: malformed at byte/);
      await expect(
        askGateway({ ...place, token: "x" }, "/api/rollouts", { method: "POST" }),
      ).rejects.toThrow(/refuses/);
      await expect(view(99)).rejects.toThrow(/no rollout 99/);
    });
  },
);

test("is followed for as long as it takes, without a word of the runtime's own", async () => {
  const rollout = { id: 1, name: "f", version: "1", digest: "00", wave: 0, members: [] };
  let asked = 0;
  const server = createServer((_, response) => {
    // More questions than an AbortSignal has listeners before Node.js warns.
    const state = ++asked < 13 ? "running" : "done";
    response.end(JSON.stringify({ ...rollout, state, settings: { waves: [{ share: 1 }] } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const words = ["status", "1", "--follow", "--gateway", `http://127.0.0.1:${port}`];
    const followed = await wasmoteIn(tmpdir(), {}, "rollout", ...words);
    expect(followed).toMatchObject({ code: 0, err: "" });
    expect(followed.out).toMatch(/running[^]*done/);
    // Ctrl-C ends the look, and says so.
    asked = -1e6;
    const looking = begin(tmpdir(), ["rollout", ...words]);
    await looking.shows("running");
    looking.child.kill("SIGINT");
    const left = await looking.ended;
    expect(left.code).toBe(0);
    expect(left.err).toMatch(/^rollout 1 goes on: wasmote rollout halt 1 stops it/);
  } finally {
    server.close();
  }
}, 60_000);
