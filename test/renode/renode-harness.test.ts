// The harness that starts Renode, against a renode that dies, hangs, is slow, is mute, prints garbage or leaves a child behind (harness/renode-fake.mjs).
// Behind its serial line is a native node.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { emulate, missing, type Emulated, type Link } from "../../host/lib/emulate.ts";
import { missingNamespace } from "../../host/lib/emulate/namespace.ts";
import { partsFor, renode } from "../../host/lib/emulate/renode.ts";
import { held, Switch } from "../../host/lib/emulate/switch.ts";
import { allRights, encodeKeys, makeKey } from "../../host/lib/keys.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";
import { missingTerminal, openTerminal } from "../harness/terminal.ts";

const reason = missing("native");
const why = reason === undefined ? "" : ` (skipped: ${reason})`;

const started = new Set<Emulated>();
afterEach(async () => {
  await Promise.all([...started].map((node) => node.stop()));
  started.clear();
});

/** Starts the board in a renode that behaves so, `limit` milliseconds being its time to come up. */
async function begin(
  folder: string,
  behaviour: string,
  limit: number,
  flash?: string,
  link?: Link,
  security: "open" | "secured" = "open",
) {
  const secured = join(folder, "secured");
  if (security === "secured")
    writeFileSync(
      secured,
      makeFlash({ name: "wye", keys: [], contexts: encodeKeys([makeKey(0, allRights)]) }),
    );
  const behind = await emulate({
    machine: "native",
    link: "serial",
    ...(security === "secured" && { flash: secured }),
  });
  started.add(behind);
  const program = join(folder, "renode");
  copyFileSync(join(root, "test/harness/renode-fake.mjs"), program);
  chmodSync(program, 0o755);
  const log = join(folder, "log");
  Object.assign(process.env, {
    FAKE: behaviour,
    FAKE_PTY: behind.address.slice("serial:".length),
    FAKE_LOG: log,
    FAKE_TAP: join(root, "test/harness/tap-node.py"),
    FAKE_NATIVE: join(root, "dist/wasmote-native"),
  });
  const told = () => (existsSync(log) ? readFileSync(log, "utf8").split("\n") : []);
  const board = renode(
    {
      machine: "renode",
      ...(flash !== undefined && { flash }),
      ...(link !== undefined && { link }),
    },
    limit,
    program,
  );
  return { board, told };
}

/** The fake has ended, and so have the node behind its Ethernet and what carries its frames. */
async function expectAllEnded(told: string[]) {
  const children = told.flatMap(
    (line) => /^(?:pid|children) (\d+)(?: (\d+))?$/.exec(line)?.slice(1).filter(Boolean) ?? [],
  );
  expect(children.length).toBeGreaterThan(0);
  for (const pid of children) {
    await expect
      .poll(
        () => {
          // What has ended and was not waited for yet is there still, as a zombie.
          const status = `/proc/${pid}/status`;
          return existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, "utf8"));
        },
        { timeout: 20_000 },
      )
      .toBe(false);
  }
}

for (const behaviour of ["good", "slow", "garbage"]) {
  test.skipIf(reason)(
    `a renode that is ${behaviour} comes up, and is told what a board's switches do${why}`,
    async () => {
      using folder = scratch();
      const flash = join(folder.path, "a flash");
      const { board, told } = await begin(folder.path, behaviour, 30_000, flash);
      const node = await board;
      started.add(node);
      {
        await using client = await Node.connect(node.address);
        expect((await client.info()).board).toBe("native");
      }
      node.feed("level", 1234);
      await expect.poll(told).toContain("level R1234");
      node.feed("button", 1);
      await expect.poll(told).toContain("sysbus.gpioPortA.button Press");
      // The fake lights a lamp then.
      await expect.poll(() => node.pins).toContainEqual({ pin: 1, level: 1 });
      node.feed("button", 0);
      // Two tips in a row are two: one has ended before the next begins.
      node.feed("rain", 1);
      node.feed("rain", 1);
      const rain = () => told().filter((line) => line.includes("bucket"));
      await expect.poll(rain, { timeout: 20_000 }).toHaveLength(4);
      const tip = ["sysbus.gpioPortD.bucket Release", "sysbus.gpioPortD.bucket Press"];
      expect(rain()).toEqual([...tip, ...tip]);
      expect(() => node.feed("temperature", 1)).toThrow(/no way in for the sensor temperature/);
      await node.reset();
      expect(told()).toContain("machine Reset");
      await node.stop();
      await node.ended;
      // What its flash held is in the file, and is loaded by the next start.
      expect(readFileSync(flash).every((byte) => byte === 0x5a)).toBe(true);
      await expectAllEnded(told());
      expect(told()).not.toContainEqual(expect.stringContaining("LoadBinary"));
      const again = await begin(folder.path, "good", 30_000, flash);
      started.add(await again.board);
      expect(again.told()).toContainEqual(
        expect.stringMatching(/LoadBinary @.*a\\ flash 0x08000000/),
      );
    },
    60_000,
  );
}

test.skipIf(reason)(
  `a node that answers strangers next to nothing is up once it says that${why}`,
  async () => {
    using folder = scratch();
    const { board, told } = await begin(
      folder.path,
      "good",
      30_000,
      undefined,
      undefined,
      "secured",
    );
    const node = await board;
    started.add(node);
    await using stranger = await Node.connect(node.address);
    expect(await stranger.front()).toMatchObject({ name: "wye", security: "secured" });
    // Its line is open here, and no second client's: whether it is up again is asked at the monitor.
    await node.reset();
    const asked = told().filter((line) => line.includes("ReadDoubleWord 0x4000440C"));
    expect(asked.length).toBeGreaterThan(2);
    expect(await stranger.front()).toMatchObject({ name: "wye" });
  },
  60_000,
);

test("a switch that is moved twice at once is held for longer than a debounce in between", async () => {
  vi.useFakeTimers();
  try {
    const said: [string, number][] = [];
    const began = Date.now();
    const button = new Switch("button", (line) => void said.push([line, Date.now() - began]));
    for (const how of ["Press", "Release", "Press"] as const) button.move(how);
    await vi.advanceTimersByTimeAsync(3 * held);
    expect(said).toEqual([
      ["button Press", 0],
      ["button Release", held],
      ["button Press", 2 * held],
    ]);
  } finally {
    vi.useRealTimers();
  }
  // The firmware wants 20 ms, in its own time.
  expect(held).toBeGreaterThanOrEqual(400);
});

test.skipIf(reason)(
  `a renode that does not give its flash back leaves the file as it was, and says so${why}`,
  async () => {
    for (const behaviour of ["forgetful", "halting"]) {
      using folder = scratch();
      const flash = join(folder.path, "flash");
      writeFileSync(flash, Buffer.alloc(0x1_0000, 7));
      const { board } = await begin(folder.path, behaviour, 30_000, flash);
      const node = await board;
      await node.stop();
      expect(readFileSync(flash).every((byte) => byte === 7)).toBe(true);
      expect(readdirSync(folder.path)).not.toContain("flash.new");
      expect(node.complaint).toMatch(/did not give its flash back: .*flash is as it was/);
    }
  },
  60_000,
);

const terminal = reason ?? missingTerminal();

test.skipIf(terminal)(
  `Ctrl-C in a terminal ends it in order, its flash kept${terminal ? ` (skipped: ${terminal})` : ""}`,
  async () => {
    using folder = scratch();
    const { board } = await begin(folder.path, "good", 30_000);
    started.add(await board);
    const flash = join(folder.path, "flash");
    const log = join(folder.path, "another");
    const fake = `exec '${process.execPath}' '${join(folder.path, "renode")}' "$@"`;
    await using shell = await openTerminal(folder.path, {
      env: { FAKE_LOG: log },
      programs: { renode: fake },
    });
    shell.type(`wasmote emulate renode --open --flash '${flash}'; echo "co""de=$?"\n`);
    await shell.shows("Ctrl-C ends it");
    shell.type("\x03");
    await shell.shows(/code=0\n/);
    expect(readFileSync(flash).every((byte) => byte === 0x5a)).toBe(true);
    await expectAllEnded(readFileSync(log, "utf8").split("\n"));
  },
  120_000,
);

for (const [behaviour, says] of [
  [
    "dies",
    /renode ended before its serial line\n {2}\| System\.Exception: the platform does not load/,
  ],
  ["dies later", /renode ended before/],
  ["hangs", /renode did not bring up in time its serial line/],
  ["is mute", /renode did not bring up in time an answer of the node/],
  ["breeds", /renode did not bring up in time its serial line/],
  ["floods", /renode did not bring up in time its serial line(\n {2}\| garbage){60}$/],
  [
    "never ends a line",
    /renode did not bring up in time its serial line(\n {2}\| [garbe]{1000}){1,60}$/,
  ],
  ["hides its version", /renode did not bring up in time its serial line/],
] as const) {
  test.skipIf(reason)(`a renode that ${behaviour} is ended, with what it said${why}`, async () => {
    using folder = scratch();
    const { board, told } = await begin(folder.path, behaviour, 2_500);
    await expect(board).rejects.toThrow(says);
    await expectAllEnded(told());
  });
}

test.skipIf(reason)(
  `a renode that does not load the parts of its version gets the others${why}`,
  async () => {
    using folder = scratch();
    const { board, told } = await begin(folder.path, "newer", 20_000);
    started.add(await board);
    const parts = told().filter((line) => line.startsWith("$parts="));
    expect(parts.map((line) => /\w+\.repl$/.exec(line)?.[0])).toEqual([
      "release.repl",
      "master.repl",
    ]);
    // The first was ended.
    await expectAllEnded(
      told()
        .filter((line) => line.startsWith("pid "))
        .slice(0, 1),
    );
  },
  60_000,
);

/** Those who are not root, and what makes one here of who is. */
const people: [string, string[]][] =
  process.getuid?.() === 0
    ? [
        [
          "a root without a right to namespaces",
          ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"],
        ],
        [
          "a user without any right",
          [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"',
            "sh",
          ],
        ],
      ]
    : [["this user", []]];

/** Why somebody cannot have a network of his own here, or not read the project. */
function unfitFor(prefix: string[]): string | undefined {
  const test = `test -r '${join(root, "dist/wasmote.js")}' && test -x '${process.execPath}' || { echo the project cannot be read by this user >&2; exit 1; }`;
  const make = "unshare --net --user --map-root-user ip tuntap add dev wasmote0 mode tap";
  const [program, ...words] = [...prefix, "sh", "-c", `${test}; ${make}`];
  const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split("\n").at(-1));
}

const apart =
  missingNamespace() ??
  (spawnSync("python3", ["-c", "import fcntl"]).status === 0 ? undefined : "there is no python3");
const noNetwork = reason ?? apart;

describe.skipIf(noNetwork)(
  `a renode with Ethernet${noNetwork === undefined ? "" : ` (skipped: ${noNetwork})`}`,
  () => {
    test("is in a network of its own, gets its address there, and is reached from outside", async () => {
      using folder = scratch();
      const flash = join(folder.path, "flash");
      const { board, told } = await begin(folder.path, "good", 30_000, flash, "ethernet");
      const node = await board;
      started.add(node);
      expect(node.address).toMatch(/^coap:\/\/127\.0\.0\.1:\d+$/);
      expect(told()).toContain("dhcp 10.0.2.15 by 10.0.2.2");
      const words = ['emulation CreateTap "wasmote0" "tap"', "connector Connect host.tap network"];
      expect(told().filter((line) => /tap/.test(line))).toEqual(words);
      await using client = await Node.connect(node.address);
      expect((await client.info()).board).toBe("native");
      // Each client has an address of its own in there: none gets the answer of another.
      const crowd = await Promise.all(Array.from({ length: 20 }, () => Node.connect(node.address)));
      try {
        const times = await Promise.all(crowd.map((one) => one.get("time")));
        expect(times.filter((time) => Number.isFinite(Number(time))).length).toBe(20);
      } finally {
        await Promise.all(crowd.map((one) => one[Symbol.asyncDispose]()));
      }
      // The way in is open to what is not datagrams too.
      node.feed("level", 1234);
      await expect.poll(told).toContain("level R1234");
      node.feed("button", 1);
      await expect.poll(() => node.pins).toContainEqual({ pin: 1, level: 1 });
      // The cable out and in.
      await node.plug?.(false);
      await expect.poll(told).toContain("sysbus.ethernet.phy BasicStatus 0x7809");
      await expect(client.get("time", { signal: AbortSignal.timeout(1_500) })).rejects.toThrow();
      await node.plug?.(true);
      await expect
        .poll(() => client.get("time").catch(() => undefined), { timeout: 20_000 })
        .toBeDefined();
      await node.reset();
      expect(told()).toContain("machine Reset");
      await node.stop();
      await node.ended;
      expect(readFileSync(flash).every((byte) => byte === 0x5a)).toBe(true);
      // Of the emulator, of what carries its frames, and of the node behind that.
      expect(told().filter((line) => /^(pid|children) /.test(line)).length).toBe(2);
      await expectAllEnded(told());
    }, 60_000);

    test("ends with who started it, however that went", async () => {
      using folder = scratch();
      const { board, told } = await begin(folder.path, "good", 30_000, undefined, "ethernet");
      started.add(await board);
      // The same, by a verb that is killed.
      const log = join(folder.path, "another");
      const verb = spawn(
        process.execPath,
        [join(root, "dist/wasmote.js"), "emulate", "renode", "--link", "ethernet", "--json"],
        {
          cwd: folder.path,
          env: {
            ...process.env,
            FAKE_LOG: log,
            PATH: `${folder.path}:${process.env.PATH}`,
          },
        },
      );
      const ended = once(verb, "close");
      const [said] = (await once(verb.stdout, "data")) as [Buffer];
      expect(JSON.parse(String(said))).toMatchObject({ machine: "renode" });
      verb.kill("SIGKILL");
      await ended;
      await expectAllEnded(readFileSync(log, "utf8").split("\n"));
      // The first is as it was.
      await using client = await Node.connect((await board).address);
      expect((await client.info()).board).toBe("native");
      await (await board).stop();
      await expectAllEnded(told());
    }, 60_000);

    // Who is not root may have the same, in a user namespace; so may a root who may not make others, as in a container.
    for (const [who, prefix] of people) {
      const unfit = unfitFor(prefix);
      const because = unfit === undefined ? "" : ` (skipped: ${unfit})`;
      test.skipIf(unfit)(
        `is had by ${who}, and ends with who started it${because}`,
        async () => {
          using folder = scratch();
          const { board } = await begin(folder.path, "good", 30_000, undefined, "ethernet");
          started.add(await board);
          chmodSync(folder.path, 0o777);
          const log = join(folder.path, "another");
          const [program, ...words] = [
            ...prefix,
            process.execPath,
            join(root, "dist/wasmote.js"),
            "emulate",
            "renode",
            "--link",
            "ethernet",
            "--open",
            "--json",
          ];
          const verb = spawn(program, words, {
            cwd: folder.path,
            env: {
              ...process.env,
              HOME: folder.path,
              FAKE_LOG: log,
              PATH: `${folder.path}:${process.env.PATH}`,
            },
          });
          let complaint = "";
          verb.stderr.on("data", (bytes: Buffer) => (complaint += bytes.toString()));
          const ended = once(verb, "close");
          const said = await Promise.race([
            once(verb.stdout, "data").then(([bytes]) => String(bytes)),
            ended.then(() => complaint),
          ]);
          const { address } = JSON.parse(said) as { address: string };
          {
            await using client = await Node.connect(address);
            expect((await client.info()).board).toBe("native");
          }
          // What it runs is in a user namespace of its own.
          const told = readFileSync(log, "utf8").split("\n");
          const pid = told.find((line) => line.startsWith("pid "))?.slice(4);
          expect(readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync("/proc/self/ns/user"));
          verb.kill("SIGKILL");
          await ended;
          await expectAllEnded(told);
        },
        60_000,
      );
    }

    test("that dies, hangs, or is not answered for is ended with all that it started", async () => {
      // What ends by itself is given its time; what does not is left soon, however far it came by then.
      for (const [behaviour, limit, says] of [
        ["dies", 30_000, /ended before/],
        ["dies later", 30_000, /ended before/],
        ["hangs", 4_000, /did not bring up in time its serial line/],
        ["unplugged", 4_000, /did not bring up in time/],
      ] as const) {
        using folder = scratch();
        const { board, told } = await begin(folder.path, behaviour, limit, undefined, "ethernet");
        await expect(board).rejects.toThrow(says);
        await expectAllEnded(told());
        await Promise.all([...started].map((node) => node.stop()));
        started.clear();
      }
    }, 60_000);
  },
);

test("a machine that has no such link says which it has", async () => {
  await expect(emulate({ machine: "native", link: "ethernet" })).rejects.toThrow(
    /native has no link ethernet: it has udp, serial/,
  );
  await expect(emulate({ machine: "renode", link: "udp" })).rejects.toThrow(
    /renode has no link udp: it has serial, ethernet/,
  );
});

test("a renode that is not there is said to be not there", async () => {
  const nowhere = renode({ machine: "renode" }, 2_000, "/nonexistent/renode");
  await expect(nowhere).rejects.toThrow(/renode ended before its serial line\n {2}\| .*ENOENT/);
});

test("the parts are those of the version", () => {
  for (const [said, parts] of [
    ["Renode v1.16.1.14200\n  build: 1a2b3c4d-202502172220", "release.repl"],
    ["Renode v1.16.0.1525\n", "release.repl"],
    ["Renode v1.16.1.14200+20260804git1234abcd\n", "master.repl"],
    ["Renode v1.16.1-nightly\n", "master.repl"],
    ["Renode v1.16.2.1\n", "master.repl"],
    ["Renode v1.17.0.1\n", "master.repl"],
    ["Renode v2.0.0\n", "master.repl"],
    // Nothing that can be read: the release, which most have.
    ["", "release.repl"],
  ] as const)
    expect(partsFor(said), said).toBe(parts);
});
