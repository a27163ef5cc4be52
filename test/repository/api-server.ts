// Kubernetes' API server with its database, on loopback, for one test: built from Kubernetes' own modules by test/cluster.mjs, etcd is the
// distribution's. Nothing runs in it: there is no scheduler and no machine, only what every cluster takes or refuses.
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { freePort } from "../../host/lib/emulate/socket.ts";
import { command, root } from "../../host/setup.mjs";
import { scratch } from "../harness/scratch.ts";

const program = join(root, ".cache/cluster/kube-apiserver");
const etcd = command("etcd");

/** Why there is none; undefined where there is one. */
export const missingApiServer = !existsSync(program)
  ? "no kube-apiserver: `npm run -s cluster` builds it"
  : etcd === undefined
    ? "no etcd: `npm run -s cluster` installs it"
    : undefined;

/** What a request came to. */
export interface Answered {
  status: number;
  body: Record<string, unknown>;
}

const token = "wasmote-test";

export class ApiServer implements AsyncDisposable {
  readonly #folder = scratch();
  readonly #children: { child: ChildProcess; said: string[] }[] = [];
  #port = 0;

  static async start(): Promise<ApiServer> {
    const server = new ApiServer();
    try {
      await server.#start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const folder = this.#folder.path;
    const [clients, peers] = [await freePort(), await freePort()];
    const [client, peer] = [`http://127.0.0.1:${clients}`, `http://127.0.0.1:${peers}`];
    this.#run(etcd!, [
      `--data-dir=${join(folder, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ]);
    // Tokens of service accounts are signed, though nobody asks for one here.
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const [key, open] = [join(folder, "key.pem"), join(folder, "open.pem")];
    writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(open, publicKey.export({ type: "spki", format: "pem" }));
    writeFileSync(join(folder, "tokens"), `${token},tester,1,system:masters\n`);
    this.#port = await freePort();
    this.#run(program, [
      `--etcd-servers=${client}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${this.#port}`,
      `--cert-dir=${join(folder, "certificates")}`,
      `--token-auth-file=${join(folder, "tokens")}`,
      "--authorization-mode=RBAC",
      "--anonymous-auth=false",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${open}`,
      `--service-account-signing-key-file=${key}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      "--endpoint-reconciler-type=none",
      // It looks for accounts that a controller makes, and there is none.
      "--disable-admission-plugins=ServiceAccount",
    ]);
    while (!(await this.#isReady())) {
      const gone = this.#children.find(({ child }) => child.exitCode !== null);
      if (gone) throw new Error(`${gone.child.spawnfile} has ended:\n${gone.said.join("")}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.ask("GET", "/readyz")).status === 200;
    } catch {
      return false;
    }
  }

  #run(file: string, words: string[]): void {
    const child = spawn(file, words, { cwd: this.#folder.path, stdio: ["ignore", "pipe", "pipe"] });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (part: Buffer) => {
        said.push(part.toString());
        said.splice(0, said.length - 40);
      });
    this.#children.push({ child, said });
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));
  }

  /** Asks for a path; a body goes as JSON. */
  ask(method: string, path: string, body?: object): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const asking = request(
        {
          host: "127.0.0.1",
          port: this.#port,
          method,
          path,
          headers: {
            authorization: `Bearer ${token}`,
            ...(body && { "content-type": "application/json" }),
          },
          // The server has made its certificate by itself, and is ours.
          rejectUnauthorized: false,
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => (text += part));
          response.on("error", reject);
          response.on("end", () => {
            const json = text.startsWith("{") ? (JSON.parse(text) as Answered["body"]) : { text };
            resolve({ status: response.statusCode ?? 0, body: json });
          });
        },
      );
      asking.on("error", reject);
      asking.end(body && JSON.stringify(body));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The database last: the server would wait for it.
    for (const { child } of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      await ended;
    }
    this.#folder[Symbol.dispose]();
  }
}
