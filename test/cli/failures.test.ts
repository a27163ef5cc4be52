// Every verb that talks to a node, against every way in which a node can fail it: each ends by itself, with the right exit code, a
// sentence that says what was wrong and what to do, and with --json the same as JSON.
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { generate } from "coap-packet";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { begin, newProject, wasmote, wasmoteJson } from "../harness/command.ts";
import { peer, reply, uintOf, type Peer } from "../harness/peer.ts";
import { scratch } from "../harness/target.ts";

/** Verbs with their words; the node is named behind them. */
const verbs = [
  ["info"],
  ["check"],
  ["push"],
  ["push", "river.wpkg", "--no-wait"],
  ["watch"],
  ["observe"],
  ["observe", "sensors/level"],
  ["observe", "--record", "day.jsonl"],
  ["get", "sensors/level"],
  ["put", "app/params/limit", "5"],
  ["post", "app/x/count"],
  ["delete", "app/staged"],
  ["params"],
  ["params", "limit=5"],
  ["logs"],
  ["logs", "--follow"],
  ["rollback"],
  ["remove"],
  ["run"],
] as const;

const none = Buffer.alloc(0);
const block = (number: number, more: boolean, size: number) => {
  const value = number * 16 + (more ? 8 : 0) + Math.log2(size) - 4;
  const bytes = Buffer.from([value >> 16, (value >> 8) & 255, value & 255]);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0) >>> 0);
};

/** A peer that answers with the first block of a body, or acknowledges the first of an upload; and then, `later`, with the next. */
function dripping(later: (send: () => void) => void): Promise<Peer> {
  return peer((request, send) => {
    if (request.reset || request.ack) return;
    const upload = uintOf(request, "Block1");
    const asked = (uintOf(request, "Block2") ?? 0) >> 4;
    const options =
      upload === undefined
        ? [
            { name: "Block2", value: block(asked, true, 16) },
            { name: "ETag", value: Buffer.from([1]) },
            ...(uintOf(request, "Observe") === 0
              ? [{ name: "Observe", value: Buffer.from([2]) }]
              : []),
          ]
        : [{ name: "Block1", value: block(upload >> 4, true, 16) }];
    const code = upload === undefined ? "2.05" : "2.31";
    const payload = upload === undefined ? Buffer.alloc(16, 0x61) : none;
    const answer = () => send(reply(request, code, { payload, options: options as never }));
    if (asked === 0 && (upload ?? 0) >> 4 === 0) answer();
    else later(answer);
  });
}

async function refusedPort(): Promise<Peer> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return at(`coap://127.0.0.1:${port}`);
}

/** A serial line with somebody else at its other end: see harness/line.py. */
async function line(what: string): Promise<Peer> {
  const child = spawn("python3", [join(root, "test/harness/line.py"), what], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [name] = (await once(child.stdout, "data")) as [Buffer];
  return {
    address: `serial:${name.toString().trim()}`,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "close");
      child.stdin.end();
      await ended;
    },
  };
}
const python = spawnSync("python3", ["-c", "import pty"]).status === 0;

const at = (address: string): Peer => ({ address, [Symbol.asyncDispose]: async () => {} });

/** Each failure, as the address of a node that has it. */
const failures: Record<string, () => Promise<Peer>> = {
  "a name that does not resolve": async () => at("coap://nowhere.invalid"),
  "a port that nobody listens at": refusedPort,
  "a peer that is silent": () => peer(() => {}),
  "a peer that acknowledges and never answers": () =>
    peer(({ messageId, confirmable }, send) => {
      if (confirmable) send(generate({ ack: true, code: "0.00", messageId, token: none }));
    }),
  "a peer that sends half of a file": () => dripping(() => {}),
  "a peer whose blocks drip": () => dripping((send) => setTimeout(send, 200).unref()),
  "a peer that sends noise": () => peer((_, send) => send(Buffer.from("noise"))),
  "a peer that rejects everything": () =>
    peer(({ messageId, reset }, send) => {
      if (!reset) send(generate({ reset: true, code: "0.00", messageId, token: none }));
    }),
  "a serial port that is not there": async () => at("serial:/dev/nothing"),
  "a serial port that is none": async () => at("serial:/dev/null"),
  "a serial line that nobody reads": () => line("dead"),
  "a serial line that says nothing": () => line("mute"),
  "a serial line that is a loop": () => line("echo"),
  "a serial line with a console": () => line("login"),
  "a serial line that hangs up": () => line("cut"),
};
const needsPython = (name: string) => !python && name.startsWith("a serial line ");

describe("a verb ends by itself and says why", () => {
  const folder = scratch();
  let project = "";
  beforeAll(async () => {
    project = await newProject(folder.path);
    await wasmoteJson(project, "package", "--class", "native");
  });
  afterAll(() => folder[Symbol.dispose]());

  test.for(Object.keys(failures))("with %s", async (name, { skip }) => {
    if (needsPython(name)) skip("there is no python3 with pty");
    await using there = await failures[name]!();
    const one = async (words: readonly string[]) => {
      const what = words.join(" ");
      // The last verb reads samples of the node; its own standard input has none.
      const ran = await wasmote(
        project,
        ...words,
        "--node",
        there.address,
        "--timeout",
        "1",
        "--json",
      );
      expect(ran.code, `${what}: ${ran.err}`).toBe(4);
      expect(ran.err, what).toMatch(/error: .+\n( {2}because: .*\n)? {2}what to do: /);
      expect(ran.err, what).not.toContain("fault of wasmote's");
      const last = ran.out.trimEnd().split("\n").at(-1) ?? "";
      expect(JSON.parse(last), what).toMatchObject({
        error: {
          exit: 4,
          message: expect.any(String) as string,
          advice: expect.any(String) as string,
        },
      });
    };
    const left = [...verbs];
    const worker = async () => {
      for (let words = left.shift(); words !== undefined; words = left.shift()) await one(words);
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
  });

  test("doctor and scan go through everything, whatever fails", async () => {
    await using silent = await peer(() => {});
    const doctor = await wasmote(project, "doctor", "--node", silent.address, "--timeout", "1");
    expect(doctor.code).toBe(6);
    expect(doctor.out).toMatch(/failed .* answers \(.*does not answer/);
    const scan = await wasmote(project, "scan", "--seconds", "0.2");
    expect(scan.code).toBe(0);
  });

  test("a node that drips lines of its log for ever is left when the time is over, however many come", async () => {
    let blocks = 0;
    await using endless = await dripping((send) => {
      blocks++;
      setTimeout(send, 20).unref();
    });
    const ran = await wasmote(project, "logs", "--node", endless.address, "--timeout", "2");
    expect(ran.code).toBe(4);
    expect(ran.err).toMatch(/does not answer in (time|full)/);
    expect(blocks).toBeGreaterThan(3);
  });

  test("is ended by SIGINT, SIGTERM and SIGHUP while it waits", async () => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      for (const verb of ["info", "push", "logs"]) {
        let heard = () => {};
        const asked = new Promise<void>((resolve) => (heard = resolve));
        await using silent = await peer(() => heard());
        const { child, ended } = begin(project, [verb, "--node", silent.address]);
        await asked;
        child.kill(signal);
        const ran = await ended;
        expect(ran.code, `${verb} ${signal}: ${ran.err}`).toBe(130);
      }
  });
});
