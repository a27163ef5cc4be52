// A pod without a cluster: containerd runs a filter by a shim of runwasi's library with wasmtime (test/peers/containerd), and what comes out is what
// node:wasi makes of the same samples, byte for byte. Where the shim has not been built (`npm run -s cluster`), pod.test.ts's runtimes stand for it.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import { makePod } from "../../host/lib/build/pod.ts";
import { command, root } from "../../host/setup.mjs";
import { scratch } from "../harness/scratch.ts";

const shim = join(root, ".cache/cluster/containerd-shim-wasmtime-v1");
const [containerd, client] = [command("containerd"), command("ctr")];
const missing = !existsSync(shim)
  ? "no shim: `npm run -s cluster` builds it"
  : containerd === undefined || client === undefined
    ? "no containerd: `npm run -s cluster` installs it"
    : process.getuid?.() !== 0
      ? "containers are made by root"
      : undefined;

const runner = `
import { WASI } from "node:wasi";
import { readFileSync } from "node:fs";
const wasi = new WASI({ version: "preview1", returnOnExit: true });
const module = await WebAssembly.compile(readFileSync(process.argv[1]));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
`;

/** A containerd of the test's own: its socket, its folders, no network, none of Kubernetes' interface. */
class Containerd implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #said: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    const others = ["aufs", "btrfs", "devmapper", "zfs"].map((name) => `snapshotter.v1.${name}`);
    const off = ["grpc.v1.cri", "internal.v1.opt", ...others].map(
      (name) => `"io.containerd.${name}"`,
    );
    const file = join(folder, "containerd.toml");
    writeFileSync(
      file,
      `version = 2
root = "${join(folder, "root")}"
state = "${join(folder, "state")}"
disabled_plugins = [${off.join(", ")}]
[grpc]
address = "${this.#socket}"
`,
    );
    // It looks for shims where programs are.
    const env = { ...process.env, PATH: `${dirname(shim)}:${process.env.PATH}` };
    this.#child = spawn(containerd!, ["--config", file], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on("data", (part: Buffer) => this.#said.push(part.toString()));
  }

  get #socket(): string {
    return join(this.#folder, "containerd.sock");
  }

  ctr(words: string[], input = "") {
    const line = ["--address", this.#socket, ...words];
    const { status, stdout, stderr } = spawnSync(client!, line, { input, encoding: "utf8" });
    return { status, stdout, stderr };
  }

  /** Begins a command whose input stays open. */
  begin(words: string[]) {
    const child = spawn(client!, ["--address", this.#socket, ...words]);
    let out = "";
    child.stdout.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr.on("data", (part: Buffer) => this.#said.push(part.toString()));
    child.stdin.on("error", () => {});
    return { child, out: () => out, ended: new Promise((resolve) => child.once("close", resolve)) };
  }

  async ready(): Promise<void> {
    while (this.ctr(["version"]).status !== 0) {
      if (this.#child.exitCode !== null) throw new Error(this.#said.join(""));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Containers have processes of their own, which outlive the daemon.
    const tasks = this.ctr(["--timeout", "10s", "task", "ls", "-q"]);
    for (const id of tasks.stdout.split("\n").filter(Boolean))
      this.ctr(["--timeout", "10s", "task", "rm", "--force", id]);
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

test.skipIf(missing !== undefined)(
  `containerd runs a filter as it is run elsewhere${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  async () => {
    using folder = scratch();
    const files = join(folder.path, "files");
    mkdirSync(files, { recursive: true });
    const { module } = await build("assembly/examples/flood-alarm.ts");
    const pod = join(files, "flood.wasm");
    writeFileSync(pod, await makePod(module));
    const samples = readRiver()
      .map(({ level }, at) => `${JSON.stringify({ n: "level", t: 1000 + at / 10, v: level })}\n`)
      .join("");
    const words = ["--no-warnings", "--input-type=module", "-e", runner, pod];
    const alone = spawnSync(process.execPath, words, { input: samples, encoding: "utf8" });
    expect(alone.status, alone.stderr).toBe(0);
    expect(alone.stdout.split("\n").length).toBeGreaterThan(100);

    await using daemon = new Containerd(folder.path);
    await daemon.ready();
    // runwasi's library opens the pipe of standard input in both directions, so that a pod never sees its end: it is stopped once all came.
    const line = ["run", "--rm", "--runtime", "io.containerd.wasmtime.v1", "--rootfs", files];
    // Its state lies where all of runwasi's does: the name is no other's.
    const id = `wasmote-${process.pid}`;
    const running = daemon.begin([...line, id, "/flood.wasm"]);
    running.child.stdin!.write(samples);
    await expect.poll(() => running.out().length).toBe(alone.stdout.length);
    expect(daemon.ctr(["task", "kill", "--signal", "SIGKILL", id]).status).toBe(0);
    await running.ended;
    expect(running.out()).toBe(alone.stdout);
    // Nothing of it is left.
    expect(daemon.ctr(["task", "ls", "-q"]).stdout).toBe("");
    expect(daemon.ctr(["container", "ls", "-q"]).stdout).toBe("");
  },
  600_000,
);
