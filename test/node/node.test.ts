// A node seen from outside, on every target: resources, a filter built, pushed, run, reconfigured, replaced and returned from.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { NodeError } from "../../host/lib/errors.ts";
import { Node } from "../../host/lib/node.ts";
import { generateKey, makeFlash, makePackage } from "../../host/lib/package.ts";
import { classOf, first, key, pack, provisioned, spin } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

eachTarget("node", (start, target) => {
  test("tells what it is, in three formats, and lists its resources", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const info = await node.info();
    expect(info).toMatchObject({
      name: "wye",
      class: classOf(target),
      contract: 1,
      development: false,
      keys: 1,
    });
    const json = JSON.parse(await node.get("node", { accept: "json" })) as object;
    expect(Object.keys(json)).toEqual(Object.keys(info));
    expect(await node.get("node", { accept: "text" })).toContain("name: wye\n");
    const resources = await node.discover();
    expect(resources.map(({ path }) => path)).toContain("/sensors/level");
    const sensors = await node.discover(["rt=wasmote.sensor"]);
    expect(sensors.every(({ path }) => path.startsWith("/sensors/"))).toBe(true);
    expect(sensors.length).toBeGreaterThan(1);
    await expect(node.get("nothing")).rejects.toMatchObject({ code: "answer", status: "4.04" });
    await expect(node.put("node", "x")).rejects.toMatchObject({ status: "4.05" });
    await expect(node.get("node", { accept: "octets" })).rejects.toMatchObject({
      status: "4.06",
    });
  });

  test("a sample can be read in five formats", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await feeding(board, "level", 1234, async () => {
      await first(node.observe("sensors/level"), ({ value }) => value === 1234);
      expect(await node.get("sensors/level")).toBe("1234");
      const [senml] = JSON.parse(
        await node.get("sensors/level", { accept: "senml+json" }),
      ) as object[];
      expect(senml).toMatchObject({ bn: "wye/", n: "level", u: "mm", v: 1234 });
      expect(JSON.parse(await node.get("sensors/level", { accept: "json" }))).toMatchObject({
        value: 1234,
        unit: "mm",
      });
    });
  });

  test("the flood alarm, from its source to its outputs", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, "flood-alarm", 1));
    expect(await node.app()).toMatchObject({ state: "trial", name: "flood-alarm", sequence: 1 });
    const flow = first(node.observe("outputs/flow"), () => true);
    board.feed("level", 4000);
    // 20 · 4 · √4 m³/s
    expect((await flow).value).toBe(160);
    const alarm = first(node.observe("outputs/alarm"), () => true);
    board.feed("level", 4800);
    expect((await alarm).value).toBe(1);
    await expect.poll(() => board.pins).toEqual([{ pin: 0, level: 1 }]);
    expect(await node.log()).toContainEqual(expect.stringMatching(/module@\d+: flood/));
    // The trial ends after eight good runs; two of them were the set-up's and the first sample's.
    for (let i = 0; i < 8; i++) board.feed("level", 4800 + i);
    const confirmed = await first(node.watchApp(), ({ state }) => state === "confirmed");
    expect(confirmed.trial).toBe(0);
  });

  test("a parameter changes the running module and outlives a reset", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, "flood-alarm", 1));
    for (let i = 0; i < 9; i++) board.feed("level", 100 + i);
    await first(node.watchApp(), ({ state }) => state === "confirmed");
    expect(await node.params()).toEqual({ limit: 200 });
    await node.setParam("limit", 100);
    await expect(node.setParam("limit", 1e6)).rejects.toMatchObject({ status: "4.00" });
    const alarm = first(node.observe("outputs/alarm"), () => true);
    board.feed("level", 4000);
    expect((await alarm).value).toBe(1);
    await board.reset();
    expect(await node.app()).toMatchObject({ state: "confirmed", sequence: 1 });
    expect(await node.params()).toEqual({ limit: 100 });
  });

  test("a module that traps is left for the one before it, with its place", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, "flood-alarm", 1));
    for (let i = 0; i < 9; i++) board.feed("level", 100 + i);
    await first(node.watchApp(), ({ state }) => state === "confirmed");
    writeFileSync(
      join(folder.path, "trap.ts"),
      'import { sensor } from "wasmote";\nconst level = sensor("level");\nlevel.onSample((value) => {\n  if (value > 10) unreachable();\n});\n',
    );
    const { module, places } = await build(join(folder.path, "trap.ts"));
    const needs = { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 0 };
    const bad = makePackage(
      module,
      { vendor: "", class: classOf(target), sequence: 2, name: "trap", version: "2", needs },
      key,
    );
    await node.push(bad);
    board.feed("level", 50);
    const app = await first(node.watchApp(), ({ returned }) => returned);
    expect(app).toMatchObject({
      state: "confirmed",
      sequence: 1,
      event: { what: "trap", sequence: 2, trap: "unreachable" },
    });
    const place = places.findLast(({ offset }) => offset <= (app.event?.offset ?? 0));
    expect(place).toMatchObject({ file: "trap.ts", line: 4 });
    // Never again, and nothing older either.
    await expect(node.push(bad)).rejects.toMatchObject({ code: "refused", refusal: "sequence" });
    await node.push(await pack(target, "moving-average", 3));
    expect(await node.app()).toMatchObject({ sequence: 3, state: "trial" });
  });

  test("a module that spins delays no answer and is stopped at its budget", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, spin, 1));
    board.feed("level", 1);
    const app = await first(node.watchApp(), ({ event }) => event !== undefined);
    expect(app).toMatchObject({ state: "empty", event: { what: "fuel", sequence: 1 } });
    const level = () => node.get("sensors/level");
    await feeding(board, "level", 1, () => expect.poll(level).toBe("1"));
  });

  test("what may not be installed is refused, each with its reason, and harms nothing", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, "moving-average", 5));
    const refusal = async (bytes: Uint8Array) => {
      const error = await node.push(bytes).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(NodeError);
      return (error as NodeError).refusal;
    };
    expect(await refusal(await pack(target, "flood-alarm", 6, {}, generateKey()))).toBe(
      "unknown-key",
    );
    expect(await refusal(await pack(target, "flood-alarm", 6, { class: "toaster" }))).toBe("class");
    expect(await refusal(await pack(target, "flood-alarm", 5))).toBe("sequence");
    const needs = { ram: 1 << 20, table: 0, fuel: 0, sensors: 0, outputs: 0 };
    expect(await refusal(await pack(target, "flood-alarm", 6, { needs }))).toBe("needs");
    const good = await pack(target, "flood-alarm", 6);
    const signed = Uint8Array.from(good);
    signed[60] = (signed[60] ?? 0) ^ 1;
    expect(["signature", "malformed", "class"]).toContain(await refusal(signed));
    const altered = Uint8Array.from(good);
    altered[good.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    expect(await refusal(altered)).toBe("digest");
    expect(await node.app()).toMatchObject({ sequence: 5, name: "moving-average" });
    await node.push(good);
    expect(await node.app()).toMatchObject({ sequence: 6, previous: 0 });
  });

  test("a request handler answers below /app/x", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, "request-handler", 1));
    const answer = await node.request("GET", "app/x/count");
    expect(answer.payload.toString()).toMatch(/^-?\d+$/);
    await node.remove();
    await expect(node.get("app/x/count")).rejects.toMatchObject({ status: "4.04" });
    expect(await node.app()).toMatchObject({ state: "empty" });
  });

  // The emulated board has nothing but its serial line: everything above went over it.
  if (target === "native")
    describe("serial", () => {
      test("the same over a pseudo-terminal", async () => {
        using folder = scratch();
        const flash = join(folder.path, "flash");
        writeFileSync(flash, makeFlash({ keys: [key.publicKey] }));
        const board = await start({ flash, link: "serial" });
        await using node = await Node.connect(board.address);
        await node.push(await pack(target, "flood-alarm", 1));
        const flow = first(node.observe("outputs/flow"), () => true);
        board.feed("level", 4000);
        expect((await flow).value).toBe(160);
      });
    });
});
