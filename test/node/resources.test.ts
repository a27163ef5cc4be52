// Every resource of a node in every format: what discovery promises is kept, and nothing else is given.
import { decode } from "cbor2";
import { expect, test } from "vitest";
import { formats, type Format } from "../../host/lib/coap/endpoint.ts";
import { Node } from "../../host/lib/node.ts";
import { first, pack, provisioned } from "../harness/module.ts";
import { feeding } from "../harness/feeding.ts";
import { eachTarget, scratch } from "../harness/target.ts";

/** One of everything: an output, a parameter, a request handler. */
const everything = `
import { Code, onRequest, output, parameter, sensor } from "wasmote";
const level = sensor("level");
const half = output("half", "mm");
const divisor = parameter("divisor", 2, 1, 10);
level.onSample((value) => {
  half.publish(value / divisor.value);
});
onRequest((request) => {
  request.reply(Code.CONTENT, "asked");
});
`;

const readable: Format[] = ["text", "json", "cbor", "senml+json", "senml+cbor"];

/** A body, decoded as its format says; decoding fails when it is none. */
function decoded(format: Format, body: Buffer): unknown {
  if (format.endsWith("json")) return JSON.parse(body.toString("utf8"));
  if (format.endsWith("cbor")) return decode(body);
  return body.toString("utf8");
}

eachTarget("resources", (start, target) => {
  test("every resource answers in each format it lists, in five when it can be read, and in no other", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, everything, 1));
    const half = first(node.observe("outputs/half"));
    board.feed("level", 1500);
    expect((await half).value).toBe(750);
    await node.put("time", "1767225600");

    const resources = await node.discover();
    const paths = resources.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(everywhere));
    let answers = 0;
    for (const { path, attributes } of resources) {
      if (path === "/app/x" || path === "/app/rollback") continue;
      const offered = String(attributes.ct).split(" ").map(Number);
      expect([path, offered.toSorted((a, b) => a - b)]).toEqual([path, [0, 50, 60, 110, 112]]);
      for (const format of Object.keys(formats) as Format[]) {
        if (!readable.includes(format)) {
          const refused = node.request("GET", path, { accept: format });
          await expect(refused, `${path} as ${format}`).rejects.toMatchObject({ status: "4.06" });
          continue;
        }
        const { payload, format: given } = await node.request("GET", path, { accept: format });
        expect([path, given]).toEqual([path, formats[format]]);
        answers += 1;
        const value = decoded(format, payload);
        expect(value, `${path} as ${format}`).toBeDefined();
        if (format.startsWith("senml")) expect(Array.isArray(value)).toBe(true);
      }
      // What is not there for a method says so, and is not taken for something else.
      await expect(node.request("iPATCH", path)).rejects.toMatchObject({ status: "4.05" });
    }
    expect(answers).toBe((paths.length - 2) * readable.length);
    await expect(node.get("app/rollback")).rejects.toMatchObject({ status: "4.05" });
    expect(await node.get("app/x/anything")).toBe("asked");
  });

  test("a value is the same in five formats", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await feeding(board, "level", 1234, async () => {
      await first(node.observe("sensors/level"), ({ value }) => value === 1234);
      const get = async (accept: Format) =>
        decoded(accept, (await node.request("GET", "sensors/level", { accept })).payload);
      expect(Number(await get("text"))).toBe(1234);
      expect(await get("json")).toMatchObject({ value: 1234, unit: "mm" });
      expect(await get("cbor")).toMatchObject({ value: 1234, unit: "mm" });
      expect(await get("senml+json")).toMatchObject([{ bn: "wye/", n: "level", u: "mm", v: 1234 }]);
      // RFC 8428 §6: -2 base name, 0 name, 1 unit, 2 value.
      const [record] = (await get("senml+cbor")) as [
        Map<number, unknown> | Record<string, unknown>,
      ];
      const entries = record instanceof Map ? [...record] : Object.entries(record);
      const fields = Object.fromEntries(entries.map(([key, value]) => [String(key), value]));
      expect(fields).toMatchObject({ "-2": "wye/", 0: "level", 1: "mm", 2: 1234 });
    });
  });

  test("discovery filters by every attribute", async () => {
    const board = await start();
    await using node = await Node.connect(board.address);
    const all = await node.discover();
    const by = async (filter: string) => (await node.discover([filter])).map(({ path }) => path);
    const sensors = all.filter(({ path }) => path.startsWith("/sensors/")).map(({ path }) => path);
    expect(sensors.length).toBeGreaterThan(1);
    expect(await by("rt=wasmote.sensor")).toEqual(sensors);
    expect(await by("href=/sensors/*")).toEqual(sensors);
    expect(await by("href=/node")).toEqual(["/node"]);
    const observable = all.filter(({ attributes }) => attributes.obs).map(({ path }) => path);
    expect(await by("obs")).toEqual(observable);
    expect(await by("ct=110")).toEqual(
      all.filter(({ attributes }) => attributes.ct).map(({ path }) => path),
    );
    expect(await by("rt=nothing")).toEqual([]);
  });
});

const everywhere = [
  "/node",
  "/time",
  "/sensors/level",
  "/outputs/half",
  "/app",
  "/app/staged",
  "/app/rollback",
  "/app/params/divisor",
  "/app/x",
  "/log",
  "/stats",
];
