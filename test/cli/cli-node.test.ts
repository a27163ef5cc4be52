// The command line with nodes that are emulated: every verb that talks to one.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "coap-packet";
import { describe, expect, test } from "vitest";
import type { Emulated } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import {
  generateKey,
  makeFlash,
  makePackage,
  openPackage,
  readKey,
} from "../../host/lib/package.ts";
import { nodeAddress, openProject } from "../../host/lib/project.ts";
import { begin, newProject, wasmote, wasmoteJson } from "../harness/command.ts";
import { calm, chaoticProxy } from "../harness/link.ts";
import { pack, provisioned } from "../harness/module.ts";
import { multicastLoops, peer, reply, uintOf } from "../harness/peer.ts";
import { eachTarget, scratch, type Start } from "../harness/target.ts";

/** A project, and a node that trusts its key. */
async function both(start: Start, folder: string, options: { link?: "serial" } = {}) {
  const project = await newProject(folder);
  const flash = join(folder, "flash");
  const key = readKey(readFileSync(join(project, ".wasmote/key.pem"), "utf8"));
  writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
  const node = await start({ flash, ...options });
  expect(await wasmote(project, "use", node.address)).toMatchObject({ code: 0 });
  return { project, node };
}

/** Runs enough samples for a trial to end well. */
function confirm(node: Emulated): void {
  for (let i = 0; i < 9; i++) node.feed("level", 100 + i);
}

/** A program with a table of so many words: a module of any size. */
function withTable(count: number): string {
  const words = Array.from({ length: count }, (_, index) => (index * 7919) % 100_003);
  return [
    'import { output, sensor } from "wasmote";',
    'const level = sensor("level");',
    'const out = output("out");',
    `const table: StaticArray<i32> = [${words.join(",")}];`,
    `level.onSample((value) => out.publish(<f32>table[<i32>value % ${count}]));`,
  ].join("\n");
}

interface Info {
  app: { state: string; returned: boolean; sequence: number; digest: string };
  place?: { file: string; line: number; source: string };
}

eachTarget("command line", (start) => {
  test("push, observe with a recording, replay, params, logs, rollback, remove", async () => {
    using folder = scratch();
    const { project, node } = await both(start, folder.path);
    expect(await wasmoteJson(project, "info")).toMatchObject({
      node: { name: "wye" },
      app: { state: "empty" },
    });
    expect(await wasmoteJson(project, "check", "--node", node.address)).toMatchObject({
      faults: [],
    });
    // The first output comes with the first sample.
    const pushing = begin(project, ["push", "--wait", "60"]);
    const feeding = setInterval(() => node.feed("level", 4000), 200);
    await pushing.ended;
    clearInterval(feeding);
    expect(pushing.ran.code, pushing.ran.err).toBe(0);
    expect(pushing.ran.out).toMatch(
      /^river: \d+ bytes installed as 1 in \d+ ms; first output \d+ ms after the command: outputs\/alarm = 1\n$/,
    );
    node.feed("level", 100);

    const observed = begin(project, ["observe", "--record", "day.jsonl", "--count", "4", "--json"]);
    const seen = (path: string, value: number) =>
      observed.shows(new RegExp(`"path":"${path}","value":${value}\\}`));
    await seen("sensors/level", 100);
    await seen("outputs/alarm", 0);
    node.feed("level", 3500);
    await seen("sensors/level", 3500);
    await seen("outputs/alarm", 1);
    expect((await observed.ended).code, observed.ran.err).toBe(0);
    expect(await wasmoteJson(project, "run", "--replay", "day.jsonl")).toEqual({
      samples: 2,
      outputs: 1,
      same: true,
    });
    // Another module on the same recording is found out.
    const source = join(project, "src/main.ts");
    const text = readFileSync(source, "utf8");
    writeFileSync(source, text.replace("<f32>high.on", "2"));
    const otherwise = await wasmote(project, "run", "--replay", "day.jsonl");
    expect(otherwise.code).toBe(6);
    expect(otherwise.err).toMatch(
      /alarm: 1 was recorded and does not come now\n.*another one than/,
    );

    // A ranger that says nothing for a while is silent: this one goes on.
    const ranging = setInterval(() => node.feed("level", 3500), 200);
    expect(await wasmoteJson(project, "get", "sensors/level")).toMatchObject({ value: "3500" });
    clearInterval(ranging);
    expect(await wasmoteJson(project, "params", "limit=4000")).toEqual({ limit: 4000 });
    // Flash is written as often as it stands: a value that waits for it is said to.
    {
      await using client = await Node.connect(node.address);
      let kept = 0;
      for (let value = 4001; kept === 0 && value < 4100; value++)
        kept = await client.setParam("limit", value);
      expect(kept).toBeGreaterThan(0);
    }
    const waits = await wasmote(project, "params", "limit=4100");
    expect(waits.code).toBe(0);
    expect(waits.err).toMatch(/limit counts now, and is kept over a reset of \S+ in \d+ s\n/);
    expect((await wasmote(project, "put", "app/params/limit", "5000")).code).toBe(0);
    expect((await wasmote(project, "get", "app/params/limit")).out).toBe("5000\n");
    const refused = await wasmote(project, "params", "limit=-1");
    expect(refused.code).toBe(5);
    expect(refused.err).toMatch(/4\.00.*\n {2}what to do: what was sent is not what/);
    confirm(node);
    const following = begin(project, ["logs", "--follow", "--json"]);
    await following.shows("package 1 confirmed");
    following.child.kill("SIGINT");
    expect((await following.ended).code).toBe(0);
    expect((await wasmote(project, "logs")).out).toContain("package 1 confirmed");

    // Another program over the first, and back; and back to an older one, by its digest.
    const { app } = await wasmoteJson<Info>(project, "info");
    expect(await wasmoteJson(project, "push", "--no-wait")).toMatchObject({ sequence: 2 });
    expect(await wasmoteJson(project, "rollback")).toMatchObject({
      sequence: 1,
      digest: app.digest,
    });
    expect(await wasmoteJson(project, "push", "--no-wait")).toMatchObject({ sequence: 3 });
    expect(await wasmoteJson(project, "rollback", app.digest)).toMatchObject({
      sequence: 1,
      digest: app.digest,
    });
    // What is no longer on the node is signed anew.
    await wasmote(project, "remove");
    expect(await wasmoteJson(project, "rollback", app.digest.slice(0, 10))).toMatchObject({
      sequence: 4,
      digest: app.digest,
    });
    const before = await wasmote(project, "rollback");
    expect(before.code).toBe(5);
    expect(before.err).toMatch(
      /4\.09 there is no package to go back to: one that is replaced .* not kept\n {2}what to do: `wasmote rollback DIGEST` installs .*, such as [0-9a-f]{12}\n/,
    );
    const unknown = await wasmote(project, "rollback", "ffff");
    expect(unknown.err).toMatch(/no module with a digest ffff… .*\n {2}what to do: there are: /);
    expect((await wasmote(project, "remove")).out).toBe("the node runs nothing\n");
  });

  test("watch pushes at every change, shows outputs, and the line of a trap", async () => {
    using folder = scratch();
    const { project, node } = await both(start, folder.path);
    const watching = begin(project, ["watch"]);
    watching.child.stdin.end();
    await watching.shows(/installed as 1 in \d+ ms/);
    node.feed("level", 9000);
    await watching.shows(/alarm = 1 \(first output, \d+ ms after the change\)/);
    const source = join(project, "src/main.ts");
    const text = readFileSync(source, "utf8");
    writeFileSync(source, `${text}let x: i32 = "a";\n`);
    await watching.shows(/\d\d:\d\d:\d\d\S* src\/main\.ts changed: building\n/);
    await watching.shows(/main\.ts:\d+:\d+: /);
    writeFileSync(
      source,
      text.replace("  if (!high", "  if (millimetres > 10) unreachable();\n  if (!high"),
    );
    await watching.shows(/installed as 2 in \d+ ms/);
    node.feed("level", 50);
    await watching.shows(
      /package 2: trap\nsrc\/main\.ts:10:\d+: trap: unreachable\n {4}if \(millimetres > 10\) unreachable\(\);\n +\^/,
    );
    watching.child.kill("SIGINT");
    expect((await watching.ended).code).toBe(0);
  });
});

eachTarget(
  "command line, in particular",
  (start) => {
    test("a trap is shown with its line, of the source that trapped and not of the one that runs", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      expect((await wasmote(project, "push", "--no-wait")).code).toBe(0);
      confirm(node);
      const info = () => wasmoteJson<Info>(project, "info");
      await expect
        .poll(async () => (await info()).app.state, { timeout: 90_000 })
        .toBe("confirmed");
      const lines = [
        'import { sensor } from "wasmote";',
        'const level = sensor("level");',
        "level.onSample((value) => {",
        "  if (value > 10) unreachable();",
        "});",
      ];
      const bad = join(project, "src/bad.ts");
      writeFileSync(bad, lines.join("\n"));
      expect((await wasmote(project, "push", "src/bad.ts", "--no-wait")).code).toBe(0);
      // The source goes on; what trapped is what was pushed.
      writeFileSync(bad, ["// a new first line", ...lines].join("\n"));
      await wasmoteJson(project, "build", "src/bad.ts");
      node.feed("level", 50);
      await expect.poll(async () => (await info()).app.returned, { timeout: 90_000 }).toBe(true);
      expect((await info()).place).toMatchObject({
        file: "src/bad.ts",
        line: 4,
        source: lines[3],
      });
      const { out } = await wasmote(project, "info");
      expect(out).toMatch(
        /package 2: trap\nsrc\/bad\.ts:4:\d+: trap: unreachable\n {4}if \(value > 10\)/,
      );
      const doctor = await wasmote(project, "doctor");
      expect(doctor.out).toMatch(/failed +.*the last package did not fail/);
      expect(doctor.out).toContain("src/bad.ts:4:");
      expect(doctor.code).toBe(6);
    });

    test("a package that the node refuses says why, and what to do, for each reason", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      const make = (
        sequence: number,
        options: object = {},
        signer?: ReturnType<typeof generateKey>,
      ) => pack("native", "flood-alarm", sequence, options, signer);
      const altered = async (at: (bytes: Uint8Array) => number) => {
        const bytes = Uint8Array.from(await make(6));
        const place = at(bytes);
        bytes[place] = (bytes[place] ?? 0) ^ 1;
        return bytes;
      };
      const good = await make(5);
      const { manifest } = openPackage(good);
      const needs = { ...manifest.needs, ram: 1 << 20 };
      const { key } = await import("../harness/module.ts");
      const invalid = makePackage(
        Buffer.from("0061736d0100000001", "hex"),
        {
          vendor: "",
          class: "native",
          sequence: 6,
          name: "x",
          version: "1",
          needs: manifest.needs,
        },
        key,
      );
      const cases: [reason: string, bytes: Uint8Array, advice: RegExp][] = [
        ["unknown-key", await make(6, {}, generateKey()), /wasmote provision --flash/],
        [
          "signature",
          await altered((bytes) => bytes.length - openPackage(bytes).module.length - 1),
          /was altered/,
        ],
        ["class", await make(6, { class: "toaster" }), /`wasmote info` shows the node's class/],
        ["sequence", good, /a number is taken once/],
        ["contract", await make(6, { contract: 99 }), /wasmote flash/],
        ["needs", await make(6, { needs }), /wasmote check --node/],
        ["digest", await altered((bytes) => bytes.length - 1), /was altered/],
        ["module", invalid, /wasmote check/],
      ];
      const install = (bytes: Uint8Array, node: string) => {
        writeFileSync(join(folder.path, "x.wpkg"), bytes);
        return wasmote(
          folder.path,
          "push",
          "x.wpkg",
          "--node",
          node,
          "--timeout",
          "5",
          "--no-wait",
        );
      };
      const installed = await install(good, board.address);
      expect(installed, installed.err).toMatchObject({ code: 0 });
      const check = async (bytes: Uint8Array, node: string, reason: string, advice: RegExp) => {
        const ran = await install(bytes, node);
        expect(ran.err).toMatch(new RegExp(`the node refuses the package: ${reason}: \\w+`));
        expect(ran.err.split("what to do: ")[1], reason).toMatch(advice);
        expect(ran.code, reason).toBe(5);
      };
      for (const [reason, bytes, advice] of cases)
        await check(bytes, board.address, reason, advice);
      await using node = await Node.connect(board.address);
      expect(await node.app()).toMatchObject({ sequence: 5 });
      // What this program sends no package for, and what a healthy node has not: a peer says it.
      for (const [code, text, advice] of [
        ["4.00", "malformed: no COSE_Sign1 with a manifest", /make the package anew/],
        ["5.00", "storage: the flash cannot be written", /`wasmote info` shows the node's slots/],
        ["5.03", "busy: another package is being received", /try again in a moment/],
      ] as const) {
        await using full = await peer((request, send) => {
          const payload = Buffer.from(request.code === "0.03" ? text : [0xa0]);
          send(reply(request, request.code === "0.03" ? code : "2.05", { payload }));
        });
        await check(good, full.address, text.split(":")[0]!, advice);
      }
    });

    test("a module that is too large for a node is said to be, by check and by push", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      writeFileSync(join(project, "src/large.ts"), withTable(6000));
      const checked = await wasmote(project, "check", "src/large.ts", "--node", node.address);
      expect(checked.code).toBe(6);
      expect(checked.err).toMatch(/with its table it has \d+ bytes, a slot takes \d+/);
      const pushed = await wasmote(project, "push", "src/large.ts");
      expect(pushed.code).toBe(5);
      expect(pushed.err).toMatch(/refuses the package: needs: /);
      expect(pushed.err).toContain("what to do: `wasmote check --node NODE`");
    });

    test("a link that is lost in mid-push is said to be, and the same command goes on where it stopped", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      writeFileSync(join(project, "src/main.ts"), withTable(400));
      await using proxy = await chaoticProxy(node.address, calm);
      const blocks: number[] = [];
      let lostOnce = false;
      proxy.spy = (datagram) => {
        const packet = parse(datagram);
        const block = packet.code === "0.03" ? (uintOf(packet, "Block1") ?? 0) >> 4 : undefined;
        if (block === undefined) return;
        blocks.push(block);
        if (block === 1 && !lostOnce) {
          lostOnce = true;
          proxy.cut(true);
        }
      };
      const words = ["push", "--no-wait", "--node", proxy.address];
      const lost = await wasmote(project, ...words, "--timeout", "4");
      expect(lost.code).toBe(4);
      expect(lost.err).toMatch(/does not answer.*\n {2}what to do: /s);
      expect(blocks).toContain(1);
      proxy.cut(false);
      blocks.length = 0;
      const again = await wasmoteJson(project, ...words);
      expect(again).toMatchObject({ sequence: 1 });
      // The first block was not sent again.
      expect(blocks).not.toContain(0);
      expect(await wasmoteJson<Info>(project, "info")).toMatchObject({ app: { sequence: 1 } });
    });

    test("a serial port carries every verb, and is said to be busy while another has it", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path, { link: "serial" });
      expect(node.address).toMatch(/^serial:/);
      expect(await wasmoteJson(project, "push", "--no-wait")).toMatchObject({ sequence: 1 });
      const observing = begin(project, ["observe", "outputs/alarm", "sensors/level"]);
      node.feed("level", 4000);
      await observing.shows(/alarm = 1/);
      const busy = await wasmote(project, "info");
      expect(busy.code).toBe(4);
      expect(busy.err).toMatch(/cannot be opened: another program has it open.*\n {2}what to do: /);
      observing.child.kill("SIGINT");
      expect((await observing.ended).code).toBe(0);
      expect((await wasmote(project, "get", "outputs/alarm")).out).toBe("1\n");
      await node.stop();
      const gone = await wasmote(project, "info", "--timeout", "1");
      expect(gone.code).toBe(4);
    });

    test("run takes the samples of a node's sensors", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      const running = begin(project, ["run", "--node", node.address, "--json"]);
      node.feed("level", 3500);
      await running.shows(/"kind":"output","name":"alarm","value":1/);
      node.feed("level", 100);
      await running.shows(/"kind":"output","name":"alarm","value":0/);
      running.child.kill("SIGINT");
      expect((await running.ended).code, running.ran.err).toBe(0);
    });

    test("observe draws", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      const drawing = begin(project, ["observe", "sensors/level", "--chart", "--count", "3"]);
      for (const [value, bars] of [
        [10, "▁"],
        [20, "▁█"],
        [15, "▁█▅"],
      ] as const) {
        node.feed("level", value);
        await drawing.shows(`sensors/level ${bars} ${value}\n`);
      }
      expect((await drawing.ended).code).toBe(0);
    });

    test("check says what a node lacks", async () => {
      using folder = scratch();
      const { project, node } = await both(start, folder.path);
      const source = join(project, "src/main.ts");
      writeFileSync(source, readFileSync(source, "utf8").replace('"level"', '"voltage"'));
      const ran = await wasmote(project, "check", "--node", node.address);
      expect(ran.code).toBe(6);
      expect(ran.err).toMatch(/the node has no sensor voltage\n {2}what to do: /);
    });
  },
  ["native"],
);

describe("emulate", () => {
  test("starts a node by name that other verbs find, and keeps its flash", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const started = begin(project, ["emulate", "--name", "wye", "--json"]);
    await started.shows(/"address":"coap/);
    expect(await wasmoteJson(project, "info", "--node", "wye")).toMatchObject({
      node: { name: "wye", development: false, keys: 1 },
    });
    // Who knows both its name and its address, as a gateway does, is answered too.
    const opened = openProject(project);
    await using named = await Node.connect(nodeAddress(opened, "wye"), {
      project: opened,
      name: "wye",
    });
    expect(await named.info()).toMatchObject({ name: "wye", security: "secured" });
    const twice = await wasmote(project, "emulate", "--name", "wye");
    expect(twice.err).toMatch(/wye runs already, at coap:.*\n {2}what to do: --node wye/);
    expect(await wasmoteJson(project, "push", "--node", "wye", "--no-wait")).toMatchObject({
      sequence: 1,
    });
    started.child.stdin.write("level 3500\n");
    await expect
      .poll(async () => (await wasmote(project, "get", "outputs/alarm", "--node", "wye")).out, {
        timeout: 60_000,
      })
      .toBe("1\n");
    for (let i = 0; i < 9; i++) started.child.stdin.write(`level ${i}\n`);
    await expect
      .poll(async () => (await wasmoteJson<Info>(project, "info", "--node", "wye")).app.state, {
        timeout: 60_000,
      })
      .toBe("confirmed");
    const doctor = await wasmote(project, "doctor", "--node", "wye");
    expect(doctor.out).toMatch(/ok +wye answers\nok +wye trusts a key/);
    started.child.kill("SIGINT");
    expect((await started.ended).code).toBe(0);
    const away = await wasmote(project, "info", "--node", "wye");
    expect(away.err).toContain("there is no node wye");
    const again = begin(project, ["emulate", "--name", "wye"]);
    await again.shows(/wye at coap:/);
    expect(await wasmoteJson<Info>(project, "info", "--node", "wye")).toMatchObject({
      app: { state: "confirmed", sequence: 1 },
    });
  });

  test("is found by scan, through the group of RFC 7252 §12.8", async (context) => {
    if (!(await multicastLoops())) context.skip("this machine's own loop takes no multicast");
    using folder = scratch();
    const started = begin(folder.path, ["emulate", "--name", "wye", "--json"]);
    await started.shows(/"address":"coap/);
    const { address } = JSON.parse(started.ran.out) as { address: string };
    // Over the group, by this computer's own loop; it waits up to five seconds before it answers (RFC 7252 §8.2).
    const found = await wasmoteJson<{ address: string; name: string; answers: boolean }[]>(
      folder.path,
      "scan",
      "--seconds",
      "6",
    );
    expect(found.find((one) => one.address === address)).toMatchObject({
      name: "wye",
      how: "network",
      answers: true,
    });
  });
});
