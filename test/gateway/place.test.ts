// `wasmote model` and `wasmote place` as people use them: the report of a network, and a package on a node, at a gateway, in the cloud.
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeFlash, readKey } from "../../host/lib/package.ts";
import { openProject } from "../../host/lib/project.ts";
import { root } from "../../host/setup.mjs";
import { newProject, wasmote, wasmoteJson } from "../harness/command.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { startGateway } from "./harness.ts";

const flow = join(root, "examples/flood/flow.onnx");

describe("wasmote model", () => {
  test("writes a source, a module, and what they cost", async () => {
    using folder = scratch();
    writeFileSync(join(folder.path, "days.csv"), "rain-1,rain-0,flow-1\n9.3,21.9,116.4\n0,0,20\n");
    const made = await wasmoteJson<{
      output: string;
      error: { rows: number; absolute: number };
      fuel: number;
    }>(folder.path, "model", flow, "--samples", "days.csv");
    expect(made).toMatchObject({
      output: "flow.ts",
      arithmetic: "f32",
      opset: 17,
      parameters: 673,
      error: { rows: 2 },
    });
    expect(made.error.absolute).toBeLessThan(1e-3);
    expect(made.fuel).toBeGreaterThan(10_000);
    expect(readFileSync(join(folder.path, "flow.ts"), "utf8")).toContain("export function predict");
    const module = await wasmoteJson(
      folder.path,
      "model",
      flow,
      "--arithmetic",
      "int8",
      "--module",
    );
    expect(module).toMatchObject({ output: "flow.wasm", arithmetic: "int8" });
    // One file serves both verbs: to the network when a row was is nothing, and the module runs with all three inputs.
    writeFileSync(
      join(folder.path, "days.csv"),
      '"time";"rain-1";"rain-0";"flow-1"\r\n2013-12-01;1;0.5;60\r\n',
    );
    const given = ["--samples", "days.csv"];
    expect(await wasmoteJson(folder.path, "model", flow, ...given)).toMatchObject({
      error: { rows: 1 },
    });
    const checked = await wasmoteJson<{ fuel: number }>(
      folder.path,
      "check",
      "flow.wasm",
      ...given,
    );
    expect(checked).toMatchObject({ notExercised: [] });
    expect(checked.fuel).toBeGreaterThan(10_000);
    const text = await wasmote(folder.path, "model", flow);
    expect(text.out).toMatch(/RAM +\d+ bytes/);
  });

  test("says what is wrong, with code 2 and no trace", async () => {
    using folder = scratch();
    writeFileSync(join(folder.path, "bad.onnx"), readFileSync(flow).subarray(0, 1000));
    writeFileSync(join(folder.path, "days.csv"), "rain\n1\n");
    writeFileSync(join(folder.path, "huge.csv"), "rain-1,rain-0,flow-1\n\n1,2,1e39\n");
    writeFileSync(join(folder.path, "hole.csv"), "rain-1,rain-0,flow-1\n1,,3\n");
    writeFileSync(join(folder.path, "head.csv"), "rain-1,rain-0,flow-1\n");
    for (const [words, said] of [
      [["bad.onnx"], /the model is refused/],
      [[flow, "--arithmetic", "f16"], /f16 is not an arithmetic/],
      [[flow, "--inputs", "a,b"], /2 names are given for 3/],
      [[flow, "--samples", "days.csv"], /no column rain-1/],
      [[flow, "--samples", "huge.csv"], /huge\.csv: line 3: 1e39 is beyond a 32-bit float/],
      [[flow, "--samples", "hole.csv"], /hole\.csv: line 2: an empty cell is not a number/],
      [
        [flow, "--samples", "head.csv"],
        /head\.csv: there are no rows below the names of the inputs/,
      ],
    ] as const) {
      const { code, err } = await wasmote(folder.path, "model", ...words);
      expect([code, err]).toEqual([2, expect.stringMatching(said)]);
      expect(err).not.toMatch(/ {4}at /);
    }
  });
});

eachTarget("wasmote place", (start) => {
  test("says where it would go, and puts it on the node, at the gateway and in the cloud", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const flash = join(folder.path, "flash");
    const key = readKey(readFileSync(join(project, ".wasmote/key.pem"), "utf8"));
    writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
    const node = await start({ flash });
    const dry = (link: string) =>
      wasmoteJson<{ place: string }>(project, "place", "--dry-run", "--link", link, flow);
    expect(await dry("ethernet")).toMatchObject({ place: "gateway", moved: false });
    expect(await dry("lora")).toMatchObject({ place: "node" });
    const opened = openProject(project);
    await using edge = await startGateway({}, { project: opened });
    await using cloud = await startGateway({}, { project: opened });
    // A token for both: each gateway has its own.
    const place = (on: string, token: string, ...more: string[]) =>
      wasmote(project, "place", "src/main.ts", "--on", on, "--token", token, ...more);
    const feed = ["--feed", "level=wye/sensors/level"];
    // Nobody there knows wye: it is said, and where what comes of it will be.
    const running = async (one: typeof edge) =>
      (await one.json<{ hosted: { name: string }[] }>("/api/hosted")).hosted.length;
    expect(await place("gateway", edge.token, "--gateway", edge.url, ...feed)).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${edge.url}/nodes/river/outputs/alarm`) as string,
      err: expect.stringContaining("there is no node wye; there are: none") as string,
    });
    expect(await (await edge.ask("/nodes/river/outputs/alarm")).text()).toBe("");
    expect([await running(edge), await running(cloud)]).toEqual([1, 0]);
    expect(await place("cloud", cloud.token, "--cloud", cloud.url, ...feed)).toMatchObject({
      code: 0,
    });
    expect(await running(cloud)).toBe(1);
    expect(
      await place("node", edge.token, "--node", node.address, "--gateway", edge.url),
    ).toMatchObject({
      code: 0,
      // What is not named is not said to be out of reach; and what became of the package is said.
      out: expect.stringMatching(
        /installed +river: \d+ bytes installed as \d+ .*\n[^]*cloud +nothing says where the cloud is/,
      ) as string,
    });
    // Started on the node, and stopped where it was.
    expect(await running(edge)).toBe(0);
    expect(await wasmoteJson(project, "get", "app", "--node", node.address)).toBeDefined();
    // A node that takes a package and leaves it, since it traps at once, runs what it ran before, and that is no success.
    writeFileSync(
      join(project, "src/falls.ts"),
      `import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("alarm");
const none: f32[] = [];
out.publish(none[none.length]);
level.onSample((value) => out.publish(value));
`,
    );
    const fell = await wasmote(
      project,
      "place",
      "src/falls.ts",
      "--on",
      "node",
      "-n",
      node.address,
    );
    expect([fell.code, fell.err]).toEqual([
      5,
      expect.stringMatching(/runs river now: package \d+: trap\nsrc\/falls\.ts:5:\d+/),
    ]);
    // Nobody is where the cloud was said to be: it is no choice, and that is said.
    const mute = createServer(() => {}).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const gone = (mute.address() as AddressInfo).port;
    const auto = ["place", "src/main.ts", "--dry-run", "--cloud", `127.0.0.1:${gone}`];
    const asked = await wasmote(project, ...auto, "--timeout", "1");
    mute.close();
    expect(asked.code, asked.err).toBe(0);
    expect(asked.out).toMatch(/cloud +the cloud is not reached/);
    expect(asked.err).toContain(`the cloud http://127.0.0.1:${gone} cannot be reached`);
    const refused = await place("gateway", "wrong", "--gateway", edge.url, ...feed);
    expect([refused.code, refused.err]).toEqual([
      5,
      expect.stringMatching(/the gateway refuses: .*\n {2}what to do: .*WASMOTE_TOKEN/),
    ]);
    const pushed = await wasmote(
      project,
      "push",
      "src/falls.ts",
      "--wait",
      "3",
      "-n",
      node.address,
    );
    expect([pushed.code, pushed.err]).toEqual([
      5,
      expect.stringMatching(/runs river now: package \d+: trap\nsrc\/falls\.ts:5/),
    ]);
    // What a verb's own option mends, its advice names.
    const unfed = await place("gateway", edge.token, "--gateway", edge.url);
    expect(unfed.err).toMatch(/nothing feeds the sensor level.*\n {2}what to do: .*--feed /);
    expect((await place("moon", "x")).code).toBe(2);
    expect(
      (await place("gateway", edge.token, "--gateway", edge.url, "--feed", "wind=a/b")).code,
    ).toBe(2);
  });
});
