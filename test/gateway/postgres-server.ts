// A server of PostgreSQL for the tests, of the distribution's: at a socket in its folder, killed, started again.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "../../host/setup.mjs";
import { until } from "./harness.ts";

const { postgres } = environment() as { postgres?: { ok: boolean; what: string } };
/** Why there is none, as tests say it; empty where there is one. */
export const skip = postgres?.ok === true ? "" : ` (skipped: ${postgres?.what ?? "no PostgreSQL"})`;

/** PostgreSQL does not run as root: then as nobody. */
const id = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), "wasmote-postgres-"));
  readonly url: string;
  #server: ChildProcess | undefined;

  constructor() {
    chmodSync(this.folder, 0o700);
    if (id.uid !== undefined) chownSync(this.folder, id.uid, id.gid);
    this.url = `postgres://tester@/postgres?host=${encodeURIComponent(this.folder)}`;
    const words = ["-D", join(this.folder, "data"), "-A", "trust", "-U", "tester", "--no-sync"];
    const made = spawnSync(join(postgres!.what, "initdb"), words, { ...id, encoding: "utf8" });
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  }

  /** Starts it at a socket in its folder: no port is taken. */
  async start(): Promise<void> {
    const settings = ["listen_addresses=", "fsync=off", `unix_socket_directories=${this.folder}`];
    this.#server = spawn(
      join(postgres!.what, "postgres"),
      ["-D", join(this.folder, "data"), ...settings.flatMap((one) => ["-c", one])],
      { ...id, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    this.#server.stderr!.on("data", (text: Buffer) => (said += text.toString()));
    await until(() => {
      if (this.#server!.exitCode !== null) throw new Error(`postgres ended: ${said}`);
      return said.includes("ready to accept connections");
    });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill(signal);
    await ended;
    // Its children notice by themselves; until they have, no other server gets the shared memory.
    await until(() => readdirSync("/proc").every((pid) => !/^\d+$/.test(pid) || !this.#ours(pid)));
  }

  /** All of them work in the folder of the data; what they are called says nothing of it. */
  #ours(pid: string): boolean {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(this.folder);
    } catch {
      return false;
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
