// The command line on computers that are not as they should be: full disks, folders that cannot be made, files that are something else, words
// that are missing, gateways that hang. Each time the failure is told in words and as JSON, nothing is half done, and what was there stays.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emulate, missing } from "../../host/lib/emulate.ts";
import { nativeSensors } from "../../host/lib/emulate/native.ts";
import { Node } from "../../host/lib/node.ts";
import { flashFault, flashSize, makeFlash } from "../../host/lib/package.ts";
import { makeFolder } from "../../host/lib/state.ts";
import { begin, newProject, program, wasmote, wasmoteIn } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const folder = scratch();
let project = "";
beforeAll(async () => {
  project = await newProject(folder.path);
});
afterAll(() => folder[Symbol.dispose]());

/** The last line as JSON: what failed. */
function failure(out: string): { code: string; message: string; advice: string; exit: number } {
  const last = out.trimEnd().split("\n").at(-1) ?? "";
  return (JSON.parse(last || "{}") as { error: ReturnType<typeof failure> }).error;
}

describe("wrong words", () => {
  test.each([
    ["fly"],
    ["pussh"],
    ["help", "fly"],
    ["--fast"],
    ["build", "--fast"],
    ["build", "a.ts", "b.ts"],
    ["new"],
    ["get"],
    ["put", "x"],
    ["feed", "wye", "level"],
    ["rollout"],
    ["rollout", "fly"],
    ["rollout", "start"],
    ["rollout", "pause", "x"],
    ["rollout", "start", "river.wpkg", "--shadow", "soon"],
    ["rollout", "start", "river.wpkg", "--shadow", "0"],
    ["rollout", "status", "--gateway", "http://"],
    ["history", "wye"],
    ["history", "wye", "outputs/flow", "--since", "yesterday"],
    ["history", "wye", "outputs/flow", "--since", "-1"],
    ["history", "wye", "outputs/flow", "--step", "toString"],
    ["history", "wye", "outputs/flow", "--limit", "100001"],
    ["place"],
    ["place", "src/main.ts", "--link", "toString"],
    ["place", "src/main.ts", "--on", "moon"],
    ["place", "src/main.ts", "--on", "gateway"],
    ["place", "src/main.ts", "--on", "gateway", "--gateway", "127.0.0.1:1", "--timeout", "x"],
    ["place", "src/main.ts", "--station", "wye"],
    ["place", "src/main.ts", "--station", "\u001b[2J", "--gateway", "127.0.0.1:1"],
    ["retrain"],
    ["retrain", "wye-flood", "--rounds", "0"],
    ["retrain", "wye-flood", "--teachers", "-1"],
    ["retrain", "wye-flood", "--soak", "long"],
    ["retrain", "wye-flood", "--every", "x"],
    ["retrain", "wye-flood", "--gateway", "http://"],
    ["model"],
    ["model", "samples.csv"],
    ["gateway", "--listen", "x"],
    ["gateway", "--fast"],
    ["keys", "fly"],
    ["keys", "add"],
    ["keys", "revoke"],
    ["keys", "exchange", "a1"],
    ["keys", "identity", "nobody"],
    ["provision", "--height", "x"],
    ["provision", "--name"],
    ["emulate", "fly"],
    ["emulate", "--name", "a b"],
    ["emulate", "--flash", "samples.csv"],
    ["emulate", "--flash", "src"],
    ["completion", "tcsh"],
    ["observe", "--count", "x"],
    ["run", "--samples"],
    ["run", "--param", "--chart"],
    ["build", "--output", "--heap", "8192"],
  ])("%s %s %s: a sentence, what to do, and JSON", async (...words) => {
    const ran = await wasmote(project, ...words, "--json");
    expect(ran.err).toMatch(/^error: .+\n(?:.*\n)*? {2}what to do: .+\n$/);
    expect(failure(ran.out)).toMatchObject({
      exit: ran.code,
      message: expect.stringMatching(/./) as string,
      advice: expect.stringMatching(/./) as string,
    });
    expect(ran.code).toBe(2);
  });
});

describe("a file that is no flash", () => {
  test("is told from one that is", () => {
    const flash = makeFlash({ name: "wye", keys: [] });
    expect(flashFault(flash)).toBeUndefined();
    expect(flashFault(new Uint8Array(flashSize).fill(0xff))).toBeUndefined();
    expect(flashFault(new Uint8Array(0))).toBeUndefined();
    for (const other of [
      Buffer.from("time,level\n0,1\n"),
      flash.subarray(1),
      Buffer.concat([flash, flash]),
      new Uint8Array(flashSize),
      new Uint8Array(flashSize).fill(0x61),
    ])
      expect(flashFault(other)).toBeDefined();
  });

  test.skipIf(missing("native"))("is left as it is", async () => {
    const own = "time,level\n0,1\n";
    writeFileSync(join(project, "own.csv"), own);
    symlinkSync("own.csv", join(project, "link.csv"));
    for (const name of ["own.csv", "link.csv"]) {
      const ran = await wasmote(project, "emulate", "native", "--flash", name);
      expect(ran.code, ran.err).toBe(2);
      expect(ran.err).toMatch(/is not the flash of a node: it has 15 bytes/);
    }
    expect(readFileSync(join(project, "own.csv"), "utf8")).toBe(own);
  });
});

describe("a folder that cannot be made", () => {
  test("is an error, and one that is there or being made is none", () => {
    using place = scratch();
    const deep = join(place.path, "a/b/c");
    makeFolder(deep, 0o700);
    makeFolder(deep);
    expect(statSync(deep).mode & 0o777).toBe(0o700);
    writeFileSync(join(place.path, "file"), "");
    for (const wrong of ["file", "file/x"])
      expect(() => makeFolder(join(place.path, wrong))).toThrow(/ENOTDIR/);
    symlinkSync("nowhere", join(place.path, "dangling"));
    expect(() => makeFolder(join(place.path, "dangling"))).toThrow(/ENOENT/);
  });

  // A folder for processes, where the system says of every new name that its parent is missing.
  const strange = "/proc/self/fd/none/x";
  test.skipIf(!existsSync("/proc/self/fd"))("is no folder to try for ever", async () => {
    expect(() => makeFolder(strange)).toThrow(/ENOENT|EACCES|EPERM/);
    for (const words of [
      ["new", strange],
      ["gateway", "--listen", "0", "--data", strange],
      ["build", "-o", `${strange}/a.wasm`],
      ["test", "--junit", `${strange}/a.xml`],
      ["keys", "add", "--rights", "read", "-o", strange, "-n", "127.0.0.1:1"],
    ]) {
      const ran = await wasmote(project, ...words, "--json");
      expect(ran.code, `${words.join(" ")}\n${ran.err}`).not.toBe(0);
      expect(failure(ran.out).code, ran.err).not.toBe("internal");
    }
    const home = await wasmoteIn(project, { XDG_STATE_HOME: strange, HOME: strange }, "build");
    expect(home.err).not.toContain("fault of wasmote's");
  });
});

describe.skipIf(process.platform === "win32")("a folder that was removed under the shell", () => {
  test.each([["build"], ["info"], ["new", "x"], ["emulate", "native"], ["push"], ["doctor"]])(
    "is named as what is wrong: %s",
    (...words) => {
      using folder = scratch();
      const line = `mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"`;
      const ran = spawnSync("sh", ["-c", line, process.execPath, program, ...words, "--json"], {
        cwd: folder.path,
        encoding: "utf8",
        timeout: 120_000,
      });
      expect(ran.status, ran.stderr).toBe(1);
      expect(ran.stderr).toMatch(
        /folder that this shell is in is not there any more\n {2}what to do: /,
      );
      expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code: "failed", exit: 1 } });
    },
  );
});

// No file may grow: what a full disk is, without root to make one. What is printed goes through pipes, which have no such limit.
describe.skipIf(process.platform === "win32")("a disk that takes nothing more", () => {
  const full = (where: string, ...words: string[]) => {
    const line = `ulimit -f 0; exec "$0" "$@"`;
    const ran = spawnSync("sh", ["-c", line, process.execPath, program, ...words], {
      cwd: where,
      encoding: "utf8",
      timeout: 120_000,
    });
    return { code: ran.status, out: ran.stdout, err: ran.stderr };
  };
  const verbs: string[][] = [
    ["build"],
    ["build", "-o", "b.wasm"],
    ["package", "--class", "native"],
    ["keygen", "other.pem"],
    ["provision"],
    ["provision", "--name", "wye"],
    ["provision", "out.bin"],
    ["use", "127.0.0.1"],
    ["new", "river2"],
    ["test", "--junit", "t.xml"],
    ["emulate", "--name", "wye"],
    ["gateway", "--listen", "0", "--data", "data"],
  ];

  test.each(verbs)("%s %s %s %s: a sentence, and nothing half made", async (...words) => {
    const before = readdirSync(project);
    const ran = full(project, ...words, "--json");
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(/error: .+\n {2}what to do: .*(disk|ulimit|room).*\n/);
    expect(failure(ran.out)).toMatchObject({ code: "failed", exit: 1 });
    // What a verb makes is not there; a folder for data may be.
    const made = readdirSync(project).filter((name) => !before.includes(name) && name !== "data");
    const empty = made.filter((name) => statSync(join(project, name)).size === 0);
    expect(made.filter((name) => !empty.includes(name))).toEqual([]);
  });

  test("what it cut off works once there is room, with the same words", async () => {
    for (const words of [
      ["new", "river3"],
      ["keygen", "third.pem"],
    ]) {
      expect(full(project, ...words).code).toBe(1);
      expect(await wasmote(project, ...words)).toMatchObject({ code: 0 });
    }
    const { code } = full(project, "emulate", "--name", "usk");
    expect(code).toBe(1);
    expect(existsSync(join(project, ".wasmote/emulated/usk.flash"))).toBe(false);
  });

  test("what needs no disk goes on without one", async () => {
    using other = scratch();
    const fresh = await newProject(other.path);
    for (const words of [["run", "--samples", "samples.csv"], ["check"]]) {
      const ran = full(fresh, ...words);
      expect(ran.code, ran.err).toBe(0);
    }
  });
});

describe.skipIf(missing("native"))("an emulated node", () => {
  const counting = `import { output, sensor, state } from "wasmote";
const rain = sensor("rain");
const sum = output("sum");
const total = state("total", 0);
rain.onSample((mm) => {
  total.value += mm;
  sum.publish(f32(total.value));
});
`;
  const start = async (where: string) => {
    const node = begin(where, ["emulate", "native", "--name", "rain", "--json"]);
    await node.shows(/"address"/);
    return node;
  };
  const total = async (where: string) =>
    (await wasmote(where, "get", "app/state/total", "-n", "rain")).out.trim();

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "keeps what its module remembers when %s ends it",
    async (signal) => {
      using place = scratch();
      const where = await newProject(place.path);
      writeFileSync(join(where, "src/main.ts"), counting);
      const first = await start(where);
      expect(await wasmote(where, "push", "-n", "rain", "--no-wait")).toMatchObject({ code: 0 });
      // Enough runs for the package to stay: a reset in its trial brings back what ran before.
      for (let sample = 0; sample < 40; sample++) first.child.stdin.write("rain 2\n");
      const app = async () => (await wasmote(where, "get", "app", "-n", "rain")).out;
      await expect.poll(app, { timeout: 60_000 }).toMatch(/"state": ?"confirmed"/);
      // The last of them has been counted when the sum stays.
      let sum = "";
      const stays = async () => sum === (sum = await total(where)) && sum !== "";
      await expect.poll(stays, { timeout: 60_000 }).toBe(true);
      // A terminal, and a shell's `kill %1`, tell the whole job.
      const list = `/proc/${first.child.pid}/task/${first.child.pid}/children`;
      const own = existsSync(list) ? readFileSync(list, "utf8").trim().split(" ") : [];
      for (const one of own) if (Number(one) > 1) process.kill(Number(one), signal);
      first.child.kill(signal);
      expect((await first.ended).code).toBe(0);
      const second = await start(where);
      expect(await total(where)).toBe(sum);
      second.child.kill(signal);
      await second.ended;
    },
  );

  test("has the sensors that it can be fed", async () => {
    const node = await emulate({ machine: "native" });
    try {
      await using client = await Node.connect(node.address);
      const links = await client.discover(["rt=wasmote.sensor"]);
      expect(links.map(({ path }) => path.replace("/sensors/", "")).toSorted()).toEqual(
        nativeSensors.toSorted(),
      );
    } finally {
      await node.stop();
    }
  });

  test("says so when it has no such sensor", async () => {
    using place = scratch();
    const where = await newProject(place.path);
    const node = await start(where);
    const ran = await wasmote(where, "feed", "rain", "wind", "3", "--json");
    expect(ran.code).toBe(2);
    expect(failure(ran.out).message).toMatch(/no sensor wind/);
    expect(await wasmote(where, "params", "nope=1", "-n", "rain")).toMatchObject({ code: 5 });
    node.child.kill("SIGTERM");
    await node.ended;
  });
});

describe("a gateway", () => {
  /** A server with somebody else's manners. */
  async function web(handle: Parameters<typeof createServer>[1]) {
    const server: Server = createServer(handle).listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      server,
      [Symbol.dispose]() {
        server.closeAllConnections();
        server.close();
      },
    };
  }
  const asks = (url: string) => [
    ["rollout", "status", "--gateway", url],
    ["rollout", "status", "1", "--gateway", url, "--follow"],
    ["rollout", "pause", "1", "--gateway", url],
    ["rollout", "start", "river.wpkg", "--gateway", url],
    ["rollout", "start", "river.wpkg", "--gateway", url, "--shadow", "1"],
    ["history", "wye", "outputs/flow", "--gateway", url],
    ["place", "src/main.ts", "--on", "gateway", "--gateway", url],
    ["place", "src/main.ts", "--on", "gateway", "--gateway", url, "--station", "wye"],
    ["retrain", "wye-flood", "--gateway", url],
  ];
  beforeAll(async () => {
    expect(await wasmote(project, "package", "--class", "native")).toMatchObject({ code: 0 });
  });

  test.each([
    ["that nobody runs", undefined, 4],
    ["that is another web server", "<html>\u001b[2J</html>", 1],
    ["that answers with JSON of another kind", '{"\u001b[2J":[1]}', undefined],
    ["that answers with null", "null", undefined],
  ] as const)("%s is told in words", async (_, body, code) => {
    using there = await web((_request, response) => response.end(body));
    if (body === undefined) there[Symbol.dispose]();
    for (const asked of asks(there.url).flatMap((words) => [words, [...words, "--json"]])) {
      const ran = await wasmote(project, ...asked);
      const about = `${asked.join(" ")}\n${ran.err}`;
      expect(ran.err, about).not.toContain("fault of wasmote's");
      // oxlint-disable-next-line no-control-regex
      expect(ran.out + ran.err, about).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
      if (code === undefined || !asked.includes("--json")) continue;
      expect(ran.code, about).toBe(code);
      expect(failure(ran.out), about).toMatchObject({
        exit: code,
        advice: expect.any(String) as string,
      });
    }
  });

  test("that never answers is left at Ctrl-C, whatever was under way", async () => {
    for (const at of asks("").keys()) {
      let asked = () => {};
      const heard = new Promise<void>((resolve) => (asked = resolve));
      // Odd ones begin an answer and never end it.
      using there = await web((_request, response) => {
        if (at % 2 === 1) response.write("[");
        asked();
      });
      const words = asks(there.url)[at]!;
      const { child, ended } = begin(project, words);
      await heard;
      child.kill("SIGINT");
      const ran = await ended;
      expect(ran.code, `${words.join(" ")}\n${ran.err}`).toBe(words.includes("--follow") ? 0 : 130);
      expect(ran.err).not.toContain("error");
    }
  });
});

test("a project whose folder has odd characters works, and `new` says how to get there", async () => {
  using place = scratch();
  const odd = join(place.path, `it's a "folder", with $HOME & é`);
  mkdirSync(odd);
  const ran = await wasmote(odd, "new", "river");
  expect(ran).toMatchObject({ code: 0, err: "" });
  const where = join(odd, "river");
  for (const words of [["run"], ["test"], ["package", "--class", "native"]])
    expect((await wasmote(where, ...words)).code, words.join(" ")).toBe(0);
  const named = await wasmote(place.path, "new", `${odd}/other`);
  const step = /next: (cd .*) && wasmote/.exec(named.out)?.[1] ?? "false";
  const shell = spawnSync("sh", ["-c", `${step} && pwd`], { cwd: place.path, encoding: "utf8" });
  expect(shell.stdout.trim()).toBe(join(odd, "other"));
});
