// What is believed, on this side of the wire: numbers that a node sends and that become signed or stored, and state that lies in a
// repository of somebody else's. A peer plays the node; a folder plays the repository.
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { encode } from "cbor2";
import { describe, expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { makeFlash, openPackage, readKey } from "../../host/lib/package.ts";
import { lastSequence, longestJump } from "../../host/lib/sequence.ts";
import { newProject, wasmote, wasmoteIn, wasmoteJson } from "../harness/command.ts";
import { peer, reply } from "../harness/peer.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const info = { class: "native", contract: 1 };
const app = { state: "empty", previous: 0, highest: 0, returned: false };

/** A node that says these things of itself, and takes what is pushed; what it took is counted. */
async function node(documents: Record<string, unknown>) {
  const taken: Buffer[] = [];
  const there = await peer((request, send) => {
    const path = request.options
      .filter(({ name }) => name === "Uri-Path")
      .map(({ value }) => String(value))
      .join("/");
    if (request.code === "0.03") {
      taken.push(Buffer.from(request.payload));
      const block = request.options.find(({ name }) => name === "Block1");
      const options = block === undefined ? [] : [block];
      send(reply(request, "2.04", { options: options as never }));
      return;
    }
    const all: Record<string, unknown> = {
      node: info,
      app,
      "app/staged": {},
      stats: {},
      ...documents,
    };
    if (!(path in all)) return send(reply(request, "4.04"));
    const value = all[path];
    const payload = value instanceof Uint8Array ? value : encode(value);
    const options = [{ name: "Content-Format", value: Buffer.from([60]) }];
    send(reply(request, "2.05", { payload: Buffer.from(payload), options: options as never }));
  });
  return Object.assign(there, { taken });
}

const file = (project: string, ...names: string[]) => join(project, ".wasmote", ...names);
const sequence = (project: string) =>
  existsSync(file(project, "sequence")) ? readFileSync(file(project, "sequence"), "utf8") : "";

describe("a number that a node says", () => {
  const wrong: [string, unknown][] = [
    ["infinity", Number.POSITIVE_INFINITY],
    ["no number", Number.NaN],
    ["a negative one", -1],
    ["a fraction", 1.5],
    ["text", "7"],
    ["a list", [7]],
    ["nothing", null],
    ["2^32", 2 ** 32],
    ["64 bits", 2n ** 63n],
    ["a large number of CBOR", 2n ** 80n],
  ];

  test("as the highest sequence is refused where it is none, and nothing is signed or kept", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    for (const [what, value] of wrong) {
      await using there = await node({ app: { ...app, highest: value } });
      const ran = await wasmote(project, "push", "--no-wait", "--node", there.address);
      expect(ran.code, `${what}: ${ran.err}`).toBe(4);
      expect(ran.err, what).toMatch(/\/app: the answer is not/);
      expect(ran.err, what).not.toContain("fault of wasmote's");
      expect(there.taken, what).toEqual([]);
      expect(sequence(project), what).toBe("");
    }
    // The project goes on.
    await using good = await node({});
    expect(await wasmoteJson(project, "push", "--no-wait", "--node", good.address)).toMatchObject({
      sequence: 1,
    });
  });

  test("a highest sequence that is far ahead is not signed after, unless somebody says so", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    for (const highest of [lastSequence - 1, lastSequence, longestJump + 1]) {
      await using there = await node({ app: { ...app, highest } });
      const ran = await wasmote(project, "push", "--no-wait", "--node", there.address);
      expect(ran.code, ran.err).toBe(5);
      expect(ran.err).toMatch(/nothing is signed, .*\n {2}what to do: .*--sequence \d+/);
      expect(there.taken).toEqual([]);
      expect(sequence(project)).toBe("");
    }
    // Somebody else signs for it too: within the bound it is followed, beyond it by word.
    await using near = await node({ app: { ...app, highest: longestJump } });
    const push = ["push", "--no-wait", "--node"];
    expect(await wasmoteJson(project, ...push, near.address)).toMatchObject({
      sequence: longestJump + 1,
    });
    await using far = await node({ app: { ...app, highest: 1_000_000 } });
    expect(await wasmoteJson(project, ...push, far.address, "--sequence", "1000001")).toMatchObject(
      { sequence: 1_000_001 },
    );
    expect(await wasmoteJson(project, ...push, far.address)).toMatchObject({ sequence: 1_000_002 });
  });

  test("a sequence that is kept already and is none is mended from the packages there are", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const words = ["package", "--class", "native"];
    expect(await wasmoteJson(project, ...words)).toMatchObject({ sequence: 1 });
    let next = 2;
    for (const text of ["Infinity\n", "NaN", "", "-5", "4294967296", "1e9", "12 13"]) {
      writeFileSync(file(project, "sequence"), text);
      expect(await wasmoteJson(project, ...words), text).toMatchObject({ sequence: next++ });
    }
  });

  test("a package with a number of one's own does not spend all before it", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const words = ["package", "--class", "native"];
    for (const no of ["0", "-1", "1.5", "x", "4294967296"]) {
      const ran = await wasmote(project, ...words, "--sequence", no);
      expect(ran.code, no).toBe(2);
    }
    expect(await wasmoteJson(project, ...words, "--sequence", String(lastSequence))).toMatchObject({
      sequence: lastSequence,
    });
    expect(await wasmoteJson(project, ...words, "--sequence", "12")).toMatchObject({
      sequence: 12,
    });
    expect(await wasmoteJson(project, ...words)).toMatchObject({ sequence: 13 });
  });

  test("every document is read whatever 64-bit numbers, tags and names stand in it", async () => {
    using folder = scratch();
    const strange = {
      ...info,
      uptime: 2n ** 63n,
      later: 2n ** 64n - 1n,
      negative: -(2n ** 64n),
      nested: { "a\u001b[2Jb": ["\u202eevil\u0007", 2n ** 60n] },
    };
    await using there = await node({ node: strange, stats: { fuel_total: 2n ** 64n - 1n } });
    const ran = await wasmote(folder.path, "info", "-v", "--node", there.address);
    expect(ran, ran.err).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("18446744073709551615");
    expect(ran.out).not.toMatch(
      // oxlint-disable-next-line no-control-regex
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
    );
    const shown = await wasmoteJson<{ node: { uptime: number; later: string } }>(
      folder.path,
      "info",
      "--node",
      there.address,
    );
    expect(shown.node).toMatchObject({ uptime: 2 ** 63, later: "18446744073709551615" });
  });

  test.each([
    ["node", { ...info, contract: -1 }],
    ["node", { ...info, class: 7 }],
    ["node", { contract: 1 }],
    ["node", { ...info, limits: { memory: "much" } }],
    ["node", { ...info, keys: 2 ** 40 }],
    ["app", { ...app, state: "flying" }],
    ["app", { ...app, sensors: "level" }],
    ["app", { ...app, sensors: [1] }],
    ["app", { ...app, event: { what: "trap", sequence: 1, offset: -4 } }],
    ["app", { ...app, event: { what: "trap", sequence: 1, backtrace: [2 ** 33] } }],
    ["app", { ...app, event: { what: "explosion", sequence: 1 } }],
    ["app", [1, 2]],
    ["app", 5],
    ["stats", { runs: -1 }],
    ["stats", { fuel: 1.5 }],
    ["stats", Buffer.from("a16572756e73")],
  ])("/%s with %j is refused with its place", async (path, document) => {
    await using there = await node({ [path]: document });
    await using client = await Node.connect(there.address);
    const read = {
      node: () => client.info(),
      app: () => client.app(),
      stats: () => client.stats(),
    };
    await expect(read[path as keyof typeof read]()).rejects.toMatchObject({
      name: "NodeError",
      code: "protocol",
      message: expect.stringContaining(`/${path}: the answer is not`) as string,
    });
  });
});

eachTarget(
  "what runs already",
  (start) => {
    test("is not installed again, and the way back stays; --again sends it", async () => {
      using folder = scratch();
      const project = await newProject(folder.path);
      const flash = join(folder.path, "flash");
      const { publicKey } = readKey(readFileSync(file(project, "key.pem"), "utf8"));
      writeFileSync(flash, makeFlash({ name: "wye", keys: [publicKey] }));
      const board = await start({ flash });
      await using there = await Node.connect(board.address);
      const push = (...words: string[]) =>
        wasmoteJson(project, "push", "--no-wait", "--node", board.address, ...words);
      const confirm = async () => {
        for (let i = 0; i < 9; i++) board.feed("level", i);
        await expect
          .poll(async () => (await there.app()).state, { timeout: 60_000 })
          .toBe("confirmed");
      };
      expect(await push()).toMatchObject({ sequence: 1 });
      await confirm();
      const source = join(project, "src/main.ts");
      writeFileSync(source, readFileSync(source, "utf8").replace("3000", "2500"));
      expect(await push()).toMatchObject({ sequence: 2 });
      await confirm();
      for (let times = 0; times < 3; times++)
        expect(await push()).toMatchObject({ sequence: 2, bytes: 0, unchanged: true });
      const said = await wasmote(project, "push", "--node", board.address);
      expect(said).toMatchObject({ code: 0 });
      expect(said.out).toMatch(/the node runs this module already, as 2: nothing was sent/);
      expect((await there.app()).previous).toBe(1);
      expect(await push("--again")).toMatchObject({ sequence: 3 });
      expect(await there.app()).toMatchObject({ sequence: 3 });
    });

    test("begins anew with the next era, by one verb, after which nothing older is taken", async () => {
      using folder = scratch();
      const project = await newProject(folder.path);
      const flash = join(folder.path, "flash");
      const { publicKey } = readKey(readFileSync(file(project, "key.pem"), "utf8"));
      writeFileSync(flash, makeFlash({ name: "wye", keys: [publicKey] }));
      const board = await start({ flash });
      const to = ["--node", board.address];
      const push = (...words: string[]) =>
        wasmoteJson(project, "push", "--no-wait", ...to, ...words);
      const reached = async () => {
        await using there = await Node.connect(board.address);
        const { era, highest } = await there.app();
        return { era, highest };
      };
      for (let times = 1; times <= 3; times++)
        expect(await push("--again")).toMatchObject({ sequence: times });
      const kept = join(folder.path, "kept.wpkg");
      const numbered = ["--class", "native", "--sequence", "9", "-o", kept];
      await wasmoteJson(project, "package", ...numbered);
      expect(await push("--restart-sequence")).toMatchObject({ sequence: 1 });
      expect(await reached()).toEqual({ era: 1, highest: 1 });
      // A number of the era before, however high, is over; the next ones are of the new era.
      const old = await wasmote(project, "push", kept, ...to, "--json");
      expect(old.code, old.out).toBe(5);
      expect(old.out).toContain("of an era that is over");
      expect(await push("--again")).toMatchObject({ sequence: 2 });
      expect(await reached()).toEqual({ era: 1, highest: 2 });
      // Also after a restart of the node, and of what is known here.
      await board.reset();
      rmSync(file(project, "sequence-1"));
      expect(await push("--again")).toMatchObject({ sequence: 3 });
      expect(await reached()).toEqual({ era: 1, highest: 3 });
    });
  },
  ["native"],
);

describe("state that somebody else's repository brings along", () => {
  /** A repository with a source, made elsewhere: on another computer, with another secret. */
  async function foreign(folder: string): Promise<string> {
    const elsewhere = { XDG_STATE_HOME: join(folder, "elsewhere") };
    expect((await wasmoteIn(folder, elsewhere, "new", "river")).code).toBe(0);
    const project = join(folder, "river");
    expect((await wasmoteIn(project, elsewhere, "build")).code).toBe(0);
    return project;
  }

  test("is not used: no key, no module, no node of it, whatever the verb", async () => {
    using folder = scratch();
    const project = await foreign(folder.path);
    for (const words of [
      ["build"],
      ["package", "--class", "native"],
      ["push", "--node", "coap://127.0.0.1:1"],
      ["info"],
      ["rollback", "ab", "--node", "coap://127.0.0.1:1"],
      ["provision"],
      ["use", "coap://127.0.0.1:1"],
      ["emulate", "--name", "wye"],
      ["keygen"],
    ]) {
      const ran = await wasmote(project, ...words);
      expect(ran.code, words.join(" ")).toBe(1);
      expect(ran.err).toMatch(/\.wasmote was not made on this computer: .*\n {2}what to do: /);
      expect(ran.out).toBe("");
    }
    // Without it the project is as good as any; and whose key it was can take it over.
    renameSync(file(project), join(folder.path, "old"));
    expect((await wasmote(project, "keygen", "--import", "../old/key.pem")).code).toBe(0);
    expect(readFileSync(file(project, "key.pem"))).toEqual(
      readFileSync(join(folder.path, "old/key.pem")),
    );
    expect((await wasmote(project, "package", "--class", "native")).code).toBe(0);
  });

  test("a project that is moved or copied on this computer stays one's own", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const moved = join(folder.path, "other place");
    renameSync(project, moved);
    expect((await wasmote(moved, "package", "--class", "native")).code).toBe(0);
  });

  test("what is signed is built from what is shown: a kept build that was not made here is made anew", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const source = join(project, "src/main.ts");
    const good = await wasmoteJson<{ digest: string }>(project, "build");
    // Another module for the same source, as whoever can write the folder would put it there: every digest fits.
    writeFileSync(
      join(project, "src/bad.ts"),
      'import { every, gpio } from "wasmote";\nevery(5, () => gpio(0, true));\n',
    );
    const bad = await wasmoteJson<{ digest: string }>(project, "build", "src/bad.ts");
    const builds = readdirSync(file(project, "builds"));
    for (const name of builds) {
      const path = file(project, "builds", name);
      const build = JSON.parse(readFileSync(path, "utf8")) as {
        digest: string;
        inputs: Record<string, string>;
      };
      if (!(source in build.inputs)) continue;
      writeFileSync(path, JSON.stringify({ ...build, digest: bad.digest }));
      const kept = JSON.parse(
        readFileSync(file(project, "modules", `${bad.digest}.json`), "utf8"),
      ) as { sources: Record<string, string> };
      kept.sources["main.ts"] = readFileSync(source, "utf8");
      writeFileSync(file(project, "modules", `${bad.digest}.json`), JSON.stringify(kept));
    }
    expect(builds.length).toBe(2);
    const { output } = await wasmoteJson<{ output: string }>(
      project,
      "package",
      "--class",
      "native",
    );
    const { manifest } = openPackage(readFileSync(join(project, output)));
    expect(Buffer.from(manifest.digest).toString("hex")).toBe(good.digest);
    // A kept module with other bytes is damaged, and nothing that is signed again.
    cpSync(
      file(project, "modules", `${bad.digest}.wasm`),
      file(project, "modules", `${good.digest}.wasm`),
    );
    const back = await wasmote(project, "rollback", good.digest, "--node", "coap://127.0.0.1:1");
    expect(back.err).toMatch(/is damaged/);
  });

  test("an upload goes on with a package that was kept only if the project's key signed it", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const { digest } = await wasmoteJson<{ digest: string }>(project, "build");
    await wasmoteJson(project, "package", "--class", "native");
    const other = await newProject(mkdirp(join(folder.path, "b")));
    await wasmoteJson(other, "package", "--class", "native");
    const wpkg = (of: string) => file(of, "packages", "1.wpkg");
    const { publicKey } = readKey(readFileSync(file(project, "key.pem"), "utf8"));
    const half = { digest: Uint8Array.from(Buffer.from(digest, "hex")), size: 442, received: 64 };
    for (const [bytes, sequence] of [
      [readFileSync(wpkg(other)), 2],
      [readFileSync(wpkg(project)).subarray(0, 100), 3],
      [Buffer.from("nonsense"), 4],
    ] as const) {
      writeFileSync(wpkg(project), bytes);
      const last = sequence - 1;
      if (last > 1) cpSync(wpkg(project), file(project, "packages", `${last}.wpkg`));
      await using there = await node({ "app/staged": half });
      expect(
        await wasmoteJson(project, "push", "--no-wait", "--node", there.address),
      ).toMatchObject({ sequence });
      const sent = openPackage(Buffer.concat(there.taken));
      expect(sent.verify(publicKey)).toBe(true);
    }
  });

  test("nothing in a repository is run, and nothing but sources makes what is built", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const build = async () => (await wasmoteJson<{ digest: string }>(project, "build")).digest;
    const honest = await build();
    const traces = mkdirp(join(folder.path, "traces"));
    const trace = (name: string) => JSON.stringify(join(traces, name));
    // The compiler's own configuration may name a program that it runs, and options that change what comes out.
    const evil = join(project, "evil.mjs");
    writeFileSync(
      evil,
      `import { writeFileSync } from "node:fs";
      writeFileSync(${trace("loaded")}, "");
      export default class { afterParse() { writeFileSync(${trace("called")}, ""); } }`,
    );
    const config = { options: { transform: [evil], noAssert: true, optimizeLevel: 0 } };
    for (const place of [".", "src"])
      writeFileSync(join(project, place, "asconfig.json"), JSON.stringify(config));
    // A package of the SDK's name, a toolchain that says which cargo is run, programs of the names that are looked for.
    rmSync(join(project, "node_modules"), { recursive: true });
    const fake = mkdirp(join(project, "node_modules/wasmote/assembly"));
    writeFileSync(
      join(fake, "index.ts"),
      "export function sensor(name: string): i32 { return 0; }",
    );
    const bin = mkdirp(join(project, "bin"));
    for (const name of ["cargo", "rustc", "probe-rs", "node"]) {
      const script = `#!/bin/sh\n: > ${trace(name)}\n`;
      writeFileSync(join(bin, name), script, { mode: 0o755 });
      writeFileSync(join(project, name), script, { mode: 0o755 });
    }
    writeFileSync(join(project, "rust-toolchain.toml"), `[toolchain]\npath = "${project}"\n`);
    // Nor is it what an earlier build left.
    writeFileSync(
      join(project, "src/main.ts"),
      `${readFileSync(join(project, "src/main.ts"), "utf8")}\n`,
    );
    expect(await build()).toBe(honest);
    for (const words of [["check"], ["run"], ["doctor"], ["package", "--class", "native"]])
      await wasmote(project, ...words);
    expect(readdirSync(traces)).toEqual([]);
  });

  test("a link in .wasmote is not followed: what it points to stays as it is", async () => {
    using folder = scratch();
    await using there = await node({});
    const names = ["sequence", "node", "seen.json", "key.pem", "packages", "builds", "modules"];
    for (const name of names) {
      const project = await newProject(mkdirp(join(folder.path, name)));
      const victim = join(folder.path, name, "victim");
      const isFolder = !/[.]|sequence|node/.test(name);
      if (isFolder) mkdirSync(victim);
      else writeFileSync(victim, "precious");
      rmSync(file(project, name), { recursive: true, force: true });
      symlinkSync(victim, file(project, name));
      const all = [
        ...(["sequence", "packages", "builds", "modules"].includes(name)
          ? [["package", "--class", "native"]]
          : []),
        ["use", there.address],
        ["info", "--node", there.address],
        ["provision"],
        ["keygen"],
      ];
      for (const words of all) await wasmote(project, ...words);
      if (isFolder) expect(readdirSync(victim), name).toEqual([]);
      else expect(readFileSync(victim, "utf8"), name).toBe("precious");
      expect(lstatSync(file(project, name)).isSymbolicLink()).toBe(true);
    }
  });

  test("nor is one at .wasmote itself, at the module or at the package that a verb names itself", async () => {
    using folder = scratch();
    const project = await newProject(folder.path);
    const victim = join(folder.path, "victim");
    writeFileSync(victim, "precious");
    for (const [name, words] of [
      ["river.wasm", ["build"]],
      ["river.wpkg", ["package", "--class", "native"]],
    ] as const) {
      symlinkSync(victim, join(project, name));
      const ran = await wasmote(project, ...words);
      expect(ran.code).toBe(1);
      expect(ran.err).toMatch(/is a symbolic link: nothing is written through it/);
    }
    expect(readFileSync(victim, "utf8")).toBe("precious");
    renameSync(file(project), join(folder.path, "state"));
    symlinkSync(join(folder.path, "state"), file(project));
    const ran = await wasmote(project, "package", "--class", "native");
    expect(ran.err).toMatch(/\.wasmote is a symbolic link/);
  });

  test.each([
    ['name = "../../escaped"\n', /is not a name/],
    ['name = "a\\u0007b"\n', /is not a name/],
    ['version = "1\\u202e0"\n', /is not taken/],
    ['vendor = "a\\u0000b"\n', /is not taken/],
    [`class = "${"é".repeat(17)}"\n`, /is not taken/],
    [`name = "${"x".repeat(33)}"\n`, /is not a name/],
  ])("wasmote.toml with %j is refused", async (text, message) => {
    using folder = scratch();
    writeFileSync(join(folder.path, "wasmote.toml"), text);
    const ran = await wasmote(folder.path, "build");
    expect(ran.err).toMatch(message);
    expect(ran.code).toBe(2);
  });
});

function mkdirp(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}
