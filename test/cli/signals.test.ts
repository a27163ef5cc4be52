// Ctrl-C, Ctrl-Z and their relatives for every verb, in a real pseudo-terminal with job control: whatever a verb does just then, it hears
// them. A FIFO without a writer stands for all that takes for ever.
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program } from "../../host/cli/commands.ts";
import { missing } from "../../host/lib/emulate.ts";
import { root } from "../../host/setup.mjs";
import { newProject, wasmoteJson } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";
import { missingTerminal, openTerminal } from "../harness/terminal.ts";

const reason =
  missingTerminal() ??
  missing("native") ??
  (existsSync("/proc/self/task") ? undefined : "only Linux says what a process has open");

interface Case {
  words: string;
  /** The exit code where Ctrl-C is the regular end. */
  code?: 0;
  /** What is typed then. */
  types?: string;
  /** How it is known that it is where it takes long: by its words, by what comes to the node or the gateway, by the pipe being open. */
  shows?: RegExp;
  connects?: boolean;
}

/**
 * Each verb where it takes long, and what Ctrl-C then makes of it: 0 where it is the regular end, else 130. NODE is a node that says nothing,
 * GATEWAY one that takes connections and says nothing, FIFO a pipe that nobody writes to.
 */
const verbs: Record<string, Case[]> = {
  build: [{ words: "src/endless.ts" }],
  check: [{ words: "--samples FIFO" }, { words: "-n NODE", connects: true }],
  model: [{ words: "FIFO" }, { words: "flow.onnx --samples FIFO" }],
  place: [
    { words: "FIFO.onnx --dry-run" },
    { words: "src/main.ts --on gateway --gateway GATEWAY --feed level=a/b", connects: true },
    { words: "evening.onnx --station wye --gateway GATEWAY", connects: true },
  ],
  flood: [{ words: "--machine native --days 10 --plain", shows: /dashboard/ }],
  retrain: [
    { words: "wye-flood --gateway GATEWAY", connects: true },
    { words: "wye-flood --gateway GATEWAY --every 100", connects: true, code: 0 },
  ],
  run: [
    { words: "--samples FIFO" },
    { words: "", code: 0, types: "level 3500\n", shows: /alarm = 1/ },
    { words: "--node NODE", connects: true, code: 0 },
  ],
  test: [{ words: "", shows: /endless/ }],
  package: [{ words: "src/endless.ts --class native" }],
  pod: [{ words: "src/endless.ts" }],
  push: [{ words: "FIFO.wpkg -n NODE" }, { words: "-n NODE", connects: true }],
  watch: [{ words: "-n NODE", connects: true }],
  scan: [{ words: "--seconds 100" }],
  info: [{ words: "-n NODE", connects: true }],
  observe: [{ words: "-n NODE", connects: true }],
  get: [{ words: "node -n NODE", connects: true }],
  put: [{ words: "time 5 -n NODE", connects: true }],
  post: [{ words: "app/x/a -n NODE", connects: true }],
  delete: [{ words: "app -n NODE", connects: true }],
  params: [{ words: "-n NODE", connects: true }],
  logs: [{ words: "-n NODE", connects: true }],
  rollback: [{ words: "-n NODE", connects: true }],
  remove: [{ words: "-n NODE", connects: true }],
  emulate: [{ words: "native", code: 0, shows: /Ctrl-C ends it/ }, { words: "--samples FIFO" }],
  rollout: [
    { words: "start FIFO --gateway GATEWAY" },
    { words: "status --gateway GATEWAY", connects: true },
  ],
  history: [{ words: "wye outputs/alarm --gateway GATEWAY", connects: true }],
  gateway: [{ words: "--listen 0", code: 0, shows: /Ctrl-C ends it/ }],
  keys: [{ words: "-n NODE", connects: true }],
  doctor: [{ words: "-n NODE", connects: true }],
};

/** Done before anybody could press a key: they read nothing but the project, or write a few files. */
const atOnce = ["new", "keygen", "use", "feed", "flash", "provision", "completion"];

test("every verb is in the table", () => {
  const names = program.commands.map((command) => command.name());
  expect([...Object.keys(verbs), ...atOnce].toSorted()).toEqual(names.toSorted());
});

/** Of a machine that is busy with other things: what is waited for is an event. */
const patience = { timeout: 300_000 };

describe.skipIf(reason)(`signals${reason ? ` (skipped: ${reason})` : ""}`, () => {
  const folder = scratch();
  let project = "";
  beforeAll(async () => {
    project = await newProject(folder.path);
    for (const name of ["FIFO", "FIFO.wpkg", "FIFO.onnx", "src/never.ts"])
      execFileSync("mkfifo", [join(project, name)]);
    for (const name of ["flow", "evening"])
      copyFileSync(join(root, `examples/flood/${name}.onnx`), join(project, `${name}.onnx`));
    // A source whose import is the pipe: the compiler waits for it, in code that does not return to the loop.
    writeFileSync(
      join(project, "src/endless.ts"),
      'import { x } from "./never";\nexport const y = x;\n',
    );
    writeFileSync(
      join(project, "test/endless.test.mjs"),
      'import { test } from "node:test";\nconsole.error("endless");\ntest("endless", () => new Promise((done) => setTimeout(done, 1e6)));\n',
    );
    // Samples come from standard input.
    const settings = join(project, "wasmote.toml");
    writeFileSync(settings, readFileSync(settings, "utf8").replace(/^samples.*$/m, ""));
    // Built once, so that what follows does not take seconds of its own.
    await wasmoteJson(project, "build");
  });
  afterAll(() => folder[Symbol.dispose]());

  /** A terminal, and beside it a node and a gateway that take what comes and say nothing. */
  async function stage() {
    let said = 0;
    const node = createSocket("udp4").on("message", () => said++);
    const held = new Set<Socket>();
    const gateway = createServer((socket) => {
      held.add(socket);
      said++;
      socket.on("error", () => {}).resume();
    });
    node.bind(0, "127.0.0.1");
    gateway.listen(0, "127.0.0.1");
    await Promise.all([once(node, "listening"), once(gateway, "listening")]);
    const terminal = await openTerminal(project);
    const shell = Number(/pid=(\d+)\n/.exec((await terminal.run('echo "pi""d=$$"')).out)?.[1]);
    const at = {
      NODE: `coap://127.0.0.1:${node.address().port}`,
      GATEWAY: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`,
    };
    const lines = (file: string) => readFileSync(file, "utf8").trim().split(/\s+/).map(Number);
    const job = () => lines(`/proc/${shell}/task/${shell}/children`)[0] || undefined;
    const opens = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).some((fd) => {
        try {
          return /FIFO|never\.ts/.test(readlinkSync(`/proc/${pid}/fd/${fd}`));
        } catch {
          return false;
        }
      });
    const busy = (pipe: boolean) => {
      try {
        const pid = job();
        return pid !== undefined && (!pipe || opens(pid));
      } catch {
        return false;
      }
    };
    return {
      terminal,
      job,
      /** Begins a verb, and waits until it is where it takes long; its process. */
      async start(verb: string, { words, types = "", shows, connects }: Case): Promise<number> {
        const before = said;
        const line = words.replaceAll(/NODE|GATEWAY/g, (name) => at[name as keyof typeof at]);
        terminal.type(`wasmote ${verb} ${line}\n${types}`);
        if (shows) await terminal.shows(shows);
        else if (connects) await expect.poll(() => said, patience).toBeGreaterThan(before);
        else await expect.poll(() => busy(/FIFO|endless/.test(words)), patience).toBe(true);
        const pid = job();
        if (pid === undefined) throw new Error(`${verb} ${words} has ended: ${terminal.screen()}`);
        return pid;
      },
      /** The exit code, once the shell is back. */
      async code(): Promise<number> {
        await expect.poll(job, patience).toBeUndefined();
        const { out } = await terminal.run('echo "co""de=$?"');
        return Number(/code=(\d+)\n/.exec(out)?.[1]);
      },
      async [Symbol.asyncDispose]() {
        await terminal[Symbol.asyncDispose]();
        node.close();
        for (const one of held) one.destroy();
        gateway.close();
      },
    };
  }

  /** Each case on one of a few stages side by side. */
  async function each(
    work: (on: Awaited<ReturnType<typeof stage>>, verb: string, one: Case) => Promise<void>,
    most = Infinity,
  ): Promise<void> {
    const left = Object.entries(verbs).flatMap(([verb, cases]) =>
      cases.slice(0, most).map((one) => [verb, one] as const),
    );
    const worker = async () => {
      await using on = await stage();
      for (let next = left.shift(); next !== undefined; next = left.shift())
        await work(on, ...next);
    };
    await Promise.all(Array.from({ length: 4 }, worker));
  }

  test("Ctrl-C ends every verb, also after Ctrl-Z and fg", { timeout: 900_000 }, () =>
    each(async (on, verb, one) => {
      await on.start(verb, one);
      on.terminal.type("\x1a");
      await on.terminal.shows(/Stopped/);
      on.terminal.type("fg\n");
      await on.terminal.shows(/fg\n(.*\n)*wasmote/);
      on.terminal.type("\x03");
      expect(await on.code(), `${verb} ${one.words}`).toBe(one.code ?? 130);
    }),
  );

  test("SIGTERM and SIGHUP end every verb", { timeout: 900_000 }, () => {
    let count = 0;
    return each(async (on, verb, one) => {
      const name = count++ % 2 === 0 ? "SIGTERM" : "SIGHUP";
      const pid = await on.start(verb, one);
      process.kill(pid, name);
      const own = name === "SIGTERM" ? 143 : 129;
      // A verb that has something to close takes the signal; where its default acts, a shell says which it was.
      const taken = one.connects === true || one.shows !== undefined;
      expect(await on.code(), `${verb} ${one.words} ${name}`).toBe(one.code ?? (taken ? 130 : own));
    }, 1);
  });
});
