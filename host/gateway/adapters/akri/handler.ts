// A discovery handler for Akri (docs.akri.sh): its agent registers us, asks what devices there are, and is told again whenever that
// changes. The agent gives up a query whose stream ends, so a stream ends only with the agent or the gateway.
import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  credentials,
  loadPackageDefinition,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  status,
  type GrpcObject,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { UserError } from "../../../lib/errors.ts";
import { oneLine } from "../../../lib/text.ts";
import type { Nodes } from "../../nodes.ts";
import { devicesOf, parseDetails, type Device } from "./devices.ts";
import { discovery } from "./proto.ts";

/** The name that an Akri configuration names as its `discoveryHandler`. */
export const handlerName = "wasmote";

/** Where the agent takes registrations, in its folder. */
const agentSocket = "agent-registration.sock";

// What goes wrong is told by whoever asked; the library would write it to the console as well.
setLogVerbosity(logVerbosity.NONE);

export interface AkriOptions {
  nodes: Nodes;
  /** The agent's folder of sockets: DISCOVERY_HANDLERS_DIRECTORY of the pod. */
  directory: string;
  /** `IP:PORT` to listen at instead of a socket in that folder. */
  listen?: string | undefined;
  /** The gateway's own address, as pods reach it. */
  base: string;
  /** Milliseconds between two looks at the nodes. */
  period?: number;
}

type Call = ServerWritableStream<{ discoveryDetails: string }, { devices: Device[] }>;

export class AkriHandler {
  readonly #options: AkriOptions;
  readonly #server = new Server();
  readonly #service: GrpcObject;
  readonly #stopping = new AbortController();
  /** What ends each query that is open. */
  readonly #streams = new Set<() => void>();
  #registered = false;
  #again: (() => void) | undefined;
  #work: Promise<void> | undefined;
  endpoint = "";

  private constructor(options: AkriOptions) {
    this.#options = options;
    // The library's type wants comments and both kinds of fields where the JSON of protobuf.js has neither.
    const definition = fromJSON(discovery as unknown as Parameters<typeof fromJSON>[0], {
      defaults: true,
      enums: String,
    });
    this.#service = loadPackageDefinition(definition)["v0"] as GrpcObject;
  }

  /** Listens, and keeps registering until the agent is there; also with each agent that comes after it. */
  static async start(options: AkriOptions): Promise<AkriHandler> {
    const handler = new AkriHandler(options);
    await handler.#listen();
    handler.#work = handler.#register();
    return handler;
  }

  /** Whether the agent has taken the last registration. */
  get registered(): boolean {
    return this.#registered;
  }

  async #listen(): Promise<void> {
    const { directory, listen } = this.#options;
    const { service } = this.#service["DiscoveryHandler"] as ServiceClientConstructor;
    this.#server.addService(service, { Discover: (call: Call) => void this.#discover(call) });
    const socket = join(directory, `${handlerName}.sock`);
    // Both are sockets of this folder (unix(7): 108 bytes with a zero at the end); a longer name would be cut off, and nobody find it.
    if (Buffer.byteLength(join(directory, agentSocket)) > 107)
      throw new UserError(
        `Akri's folder has too long a name for a socket: ${oneLine(directory)}`,
        "name a shorter one under [akri] in gateway.toml",
      );
    // What a handler that was killed left behind: nobody listens there, and binding to it would fail.
    if (listen === undefined && existsSync(socket)) rmSync(socket);
    const port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync(
        listen ?? `unix:${socket}`,
        ServerCredentials.createInsecure(),
        (error, bound) =>
          error === null
            ? resolve(bound)
            : reject(
                new UserError(
                  `Akri's handler cannot listen: ${oneLine(error.message)}`,
                  "see [akri] in gateway.toml",
                ),
              ),
      ),
    );
    const host = listen?.replace(/:\d+$/, "");
    this.endpoint = host === undefined ? socket : `http://${host}:${port}`;
  }

  async #register(): Promise<void> {
    const { directory, listen } = this.#options;
    const { signal } = this.#stopping;
    const Registration = this.#service["Registration"] as ServiceClientConstructor;
    const request = {
      name: handlerName,
      endpoint: this.endpoint,
      endpointType: listen === undefined ? "UDS" : "NETWORK",
      shared: true,
    };
    for (let pause = 100; !signal.aborted;) {
      const place = join(directory, agentSocket);
      // Looked at before: an agent that is restarted just after it took us is another one, and has to be told again.
      const before = madeAt(place);
      const client = new Registration(`unix:${place}`, credentials.createInsecure());
      const failure = await new Promise<Error | null>((resolve) => {
        const call = client["RegisterDiscoveryHandler"] as (
          request: object,
          options: object,
          done: (error: Error | null) => void,
        ) => void;
        call.call(client, request, { deadline: Date.now() + 5_000 }, resolve);
      });
      client.close();
      if (failure === null) {
        this.#registered = true;
        pause = 100;
        await this.#forgotten(place, before);
        this.#registered = false;
      } else await delay(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(pause * 2, 10_000);
    }
  }

  /**
   * Until the agent may have forgotten us: its socket is another one, so it was restarted; or it cancelled a query, which it does when it ends
   * and when a configuration is taken back.
   */
  async #forgotten(place: string, before: bigint | undefined): Promise<void> {
    const { signal } = this.#stopping;
    const { period = 1_000 } = this.#options;
    let cancelled = false;
    this.#again = () => (cancelled = true);
    while (!cancelled && !signal.aborted && madeAt(place) === before)
      await delay(period, undefined, { signal }).catch(() => {});
  }

  /** One query of the agent's: all devices at once, and all again with each change, also when there are none. */
  async #discover(call: Call): Promise<void> {
    const { nodes, base, period = 1_000 } = this.#options;
    let details;
    try {
      details = parseDetails(call.request.discoveryDetails);
    } catch (error) {
      call.emit("error", { code: status.INVALID_ARGUMENT, details: (error as Error).message });
      return;
    }
    const over = new AbortController();
    const stop = () => over.abort();
    this.#streams.add(stop);
    call.on("cancelled", stop);
    call.on("error", stop);
    for (let shown: string | undefined; !over.signal.aborted;) {
      const devices = devicesOf(nodes, details, base);
      const text = JSON.stringify(devices);
      // An agent that does not read gets the newest list when it does, and none in between.
      if (text !== shown && call.writableLength === 0) {
        call.write({ devices });
        shown = text;
      }
      await delay(period, undefined, { signal: over.signal }).catch(() => {});
    }
    this.#streams.delete(stop);
    this.#again?.();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const end of this.#streams) end();
    this.#again?.();
    this.#server.forceShutdown();
    await this.#work;
    const socket = join(this.#options.directory, `${handlerName}.sock`);
    if (this.#options.listen === undefined && existsSync(socket)) rmSync(socket);
  }
}

/** When a socket was made; undefined where there is none. */
function madeAt(place: string): bigint | undefined {
  return statSync(place, { bigint: true, throwIfNoEntry: false })?.ctimeNs;
}
