// A node, as the host sees it.
import { refusals, type Documents } from "./contract.ts";
import {
  Endpoint,
  formats,
  sleep,
  type EndpointOptions,
  type Method,
  type ObserveOptions,
  type RequestOptions,
  type Response,
} from "./coap/endpoint.ts";
import { openLink } from "./coap/open.ts";
import type { Context } from "./coap/oscore.ts";
import {
  decodeCbor,
  documentPath,
  plain,
  readDocument,
  type AppState,
  type NodeInfo,
  type Staged,
  type Stats,
} from "./document.ts";
import { NodeError } from "./errors.ts";
import { contextsWith, hasContexts } from "./keys.ts";
import { openPackage } from "./package.ts";
import { openProject, type Project } from "./project.ts";
import { oneLine, printable } from "./text.ts";

export type { AppState, NodeInfo, Staged, Stats } from "./document.ts";

/** A resource of `/.well-known/core` (RFC 6690). */
export interface Resource {
  path: string;
  /** Attributes as they stand there; those without a value are `true`. */
  attributes: Record<string, string | true>;
}

/** What executes a package: code that the node made of it, or its interpreter. */
export type Tier = "compiled" | "interpreted";

/** A value of a sensor or output. */
export interface Reading {
  /** NaN where it is no number. */
  value: number;
  /** What it is where it is no number: a text, or the fields of a record. */
  text?: string;
  /** Milliseconds since 1970 at which it came in here. */
  at: number;
}

export interface ConnectOptions extends Omit<EndpointOptions, "context"> {
  /**
   * The security context to speak under; `null`: none, as a stranger. Where it is not given, that which the project has with the node is
   * taken: by the node's name, by its address, or by the name that the node at this address says it has.
   */
  context?: Context | null | undefined;
  /** The node's name, where it is known. */
  name?: string | undefined;
  /** Whose contexts count: those of the folder that this process runs in, where it is not given. */
  project?: Project | undefined;
  /** Called for each line of text that a serial line carries beside the datagrams. */
  onText?: (text: string) => void;
  /** Gives up opening the link. */
  signal?: AbortSignal | undefined;
  /** Gives up whatever is under way, where an operation has no signal of its own. */
  within?: AbortSignal | undefined;
}

export interface PushOptions {
  signal?: AbortSignal | undefined;
  /** Bytes of a block. */
  blockSize?: number;
  onProgress?: (sent: number, total: number) => void;
  /** Resolves when it is the turn of a block of so many bytes. */
  pace?: (bytes: number) => Promise<void>;
}

export class Node {
  readonly address: string;
  readonly #endpoint: Endpoint;
  readonly #options: ConnectOptions;

  private constructor(address: string, endpoint: Endpoint, options: ConnectOptions) {
    this.address = address;
    this.#endpoint = endpoint;
    this.#options = options;
  }

  /**
   * Opens the link to a node, protected where there is a context with it. Whether it answers is seen with the first request, unless it
   * takes one to find out which context it knows.
   */
  static async connect(address: string, options: ConnectOptions = {}): Promise<Node> {
    const { context, name } = options;
    if (context !== undefined) return Node.#open(address, options, context);
    // The gateway speaks to its nodes with contexts of its own, and knows by its tokens who may do what.
    if (address.startsWith("gateway+")) return Node.#open(address, options, null);
    const project = options.project ?? openProject();
    let kept = contextsWith(project, address, name);
    if (kept === undefined && hasContexts(project)) {
      // Whose address it is, the node says. Who lies here gets requests that only the node can open.
      const stranger = await Node.#open(address, options, null);
      const called = await stranger.front().then(
        (front) => front.name,
        async (error: unknown) => {
          // A server without this resource is not one of our nodes; it can still be used.
          if (error instanceof NodeError && ["answer", "protocol"].includes(error.code)) return "";
          await stranger.close();
          throw error;
        },
      );
      kept = contextsWith(project, address, called);
      if (kept === undefined) return stranger;
      await stranger.close();
    }
    const all = kept?.contexts ?? [null];
    for (const [at, one] of all.entries()) {
      const node = await Node.#open(address, options, one);
      if (all.length === 1) return node;
      try {
        await node.request("GET", "node");
        kept?.settle(at);
        return node;
      } catch (error) {
        await node.close();
        const unknown = error instanceof NodeError && error.code === "insecure";
        if (!unknown || at === all.length - 1) throw error;
      }
    }
    throw new Error("no context is left");
  }

  static async #open(
    address: string,
    options: ConnectOptions,
    context: Context | null,
  ): Promise<Node> {
    const { onText, signal, within, name: _, project: __, context: ___, ...rest } = options;
    const link = await openLink(address, signal ?? within);
    if (onText) link.onText = onText;
    const endpoint = new Endpoint(link, context === null ? rest : { ...rest, context });
    return new Node(address, endpoint, options);
  }

  /** Whether the link was lost, as when a cable is pulled: everything fails until `reconnect`. */
  get lost(): boolean {
    return this.#endpoint.lost;
  }

  /** Opens the link again. Requests under way fail with the code `closed`; observers must observe again. */
  async reconnect(signal?: AbortSignal): Promise<void> {
    const link = await openLink(this.address, signal ?? this.#options.within);
    const { onText } = this.#options;
    if (onText) link.onText = onText;
    await this.#endpoint.reconnect(link);
  }

  close(): Promise<void> {
    return this.#endpoint.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  request(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
    return this.#endpoint.request(method, path, this.#limited(options));
  }

  #limited<T extends { signal?: AbortSignal | undefined }>(options: T): T {
    return options.signal === undefined ? { ...options, signal: this.#options.within } : options;
  }

  /** Each state of a resource from now on, as the node sends it. */
  notifications(path: string, options: ObserveOptions = {}): AsyncGenerator<Response, void, void> {
    return this.#endpoint.observe(path, this.#limited(options));
  }

  /** A resource as text: what a terminal may show, CBOR as JSON. */
  async get(path: string, options: RequestOptions = {}): Promise<string> {
    const { payload, format } = await this.request("GET", path, options);
    const value = readValue(payload, format);
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  /** A resource as a value: text, or what stands in its CBOR. */
  async read(path: string, options: RequestOptions = {}): Promise<unknown> {
    const { payload, format } = await this.request("GET", path, options);
    return readValue(payload, format);
  }

  async put(path: string, text: string, options: RequestOptions = {}): Promise<void> {
    await this.request("PUT", path, { format: "text", ...options, payload: Buffer.from(text) });
  }

  /** The CBOR of a document. */
  async #payload(name: keyof Documents, signal?: AbortSignal): Promise<Buffer> {
    return (await this.request("GET", documentPath(name), { accept: "cbor", signal })).payload;
  }

  async #document<K extends keyof Documents>(name: K, signal?: AbortSignal): Promise<Documents[K]> {
    return readDocument(name, await this.#payload(name, signal));
  }

  async info(signal?: AbortSignal): Promise<NodeInfo> {
    const document = await this.#payload("node", signal);
    const { security, full } = readFront(document);
    if (security === "secured" && !full)
      throw new NodeError(
        "answer",
        `${this.address} is secured, and this computer has no context that may read it`,
        { status: "4.01" },
      );
    return readDocument("node", document);
  }

  /** What anybody may know of a node: its name, and how it is guarded. */
  async front(signal?: AbortSignal): Promise<Front> {
    return readFront(await this.#payload("node", signal));
  }

  async stats(signal?: AbortSignal): Promise<Stats> {
    return this.#document("stats", signal);
  }

  async app(signal?: AbortSignal): Promise<AppState> {
    return this.#document("app", signal);
  }

  /** What has been received of a package that is on its way; a node that keeps no such thing has received nothing. */
  async staged(signal?: AbortSignal): Promise<Staged> {
    return this.#document("staged", signal);
  }

  /** Each state of the running package from now on. */
  async *watchApp(signal?: AbortSignal): AsyncGenerator<AppState, void, void> {
    const options = this.#limited({ accept: "cbor" as const, signal });
    for await (const { payload } of this.#endpoint.observe("app", options)) {
      yield readDocument("app", payload);
    }
  }

  async discover(filters: readonly string[] = [], signal?: AbortSignal): Promise<Resource[]> {
    const options = { query: filters, signal };
    const { payload } = await this.request("GET", ".well-known/core", options);
    return parseLinks(printable(payload.toString("utf8")));
  }

  /** Values of `sensors/level` or `outputs/flow`, as they come in. */
  async *observe(
    path: string,
    signal?: AbortSignal,
    options: ObserveOptions = {},
  ): AsyncGenerator<Reading, void, void> {
    const limited = this.#limited({ ...options, accept: "text" as const, signal });
    const states = this.#endpoint.observe(path, limited);
    for await (const { payload } of states) {
      const text = payload.toString("utf8");
      // An observation begins with what there is, which may be nothing yet.
      if (text !== "") yield { ...readReading(path, text), at: Date.now() };
    }
  }

  /** What the running module keeps over resets and updates, as text: a number, or a record's fields. */
  async states(signal?: AbortSignal): Promise<Record<string, string>> {
    const { states = [] } = await this.app(signal);
    const values: Record<string, string> = {};
    for (const name of states) {
      values[name] = fields(await this.get(`app/state/${name}`, { accept: "text", signal }));
    }
    return values;
  }

  async params(signal?: AbortSignal): Promise<Record<string, number>> {
    const { params = [] } = await this.app(signal);
    const values: Record<string, number> = {};
    for (const name of params)
      values[name] = readNumber(name, await this.get(`app/params/${name}`, { signal }));
    return values;
  }

  /** What executes packages from now on. What runs is interpreted at once; to be compiled it begins anew. */
  async setTier(tier: Tier, signal?: AbortSignal): Promise<void> {
    await this.put("app/tier", tier, { signal });
  }

  /** Sets a parameter, which counts at once. The seconds until it is kept over a reset: 0 when it is already. */
  async setParam(name: string, value: number, signal?: AbortSignal): Promise<number> {
    const path = `app/params/${name}`;
    const payload = Buffer.from(String(value));
    const answer = await this.request("PUT", path, { format: "text", payload, signal });
    const told = /^kept over a reset in (\d{1,9}) s$/.exec(answer.payload.toString("utf8"));
    return Number(told?.[1] ?? 0);
  }

  /** The log, line by line. */
  async log(signal?: AbortSignal): Promise<string[]> {
    return readLines(await this.get("log", { signal }));
  }

  async *watchLog(signal?: AbortSignal): AsyncGenerator<string, void, void> {
    for await (const { payload } of this.#endpoint.observe("log", this.#limited({ signal }))) {
      yield* readLines(payload.toString("utf8"));
    }
  }

  /**
   * Installs a package. An upload of the same package that was cut off goes on where it stopped. Resolves once the new module runs
   * on trial; a refusal is a NodeError with the code `refused`.
   */
  async push(bytes: Uint8Array, options: PushOptions = {}): Promise<void> {
    const { blockSize = 512, onProgress, pace } = options;
    const { signal } = this.#limited(options);
    const digest = Buffer.from(openPackage(bytes).manifest.digest).toString("hex");
    const place = async () => {
      const { digest: known, size, received = 0 } = await this.staged(signal);
      const same = known === digest && size === bytes.length;
      const from = same ? Math.floor(received / blockSize) * blockSize : 0;
      return from > 0 && from < bytes.length ? from : 0;
    };
    let from = await place();
    for (let attempt = 0; ; attempt++) {
      let confirmed = from;
      try {
        await this.#endpoint.upload("PUT", "app", bytes, {
          signal,
          blockSize,
          from,
          pace,
          onProgress: (sent, total) => {
            confirmed = sent;
            onProgress?.(sent, total);
          },
        });
        return;
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
        // The node forgot what it had, or somebody else's upload came between: from the start.
        if (error.status === "4.08" && attempt < 3) {
          await sleep(100, signal);
          from = 0;
          continue;
        }
        // Gone quiet in the middle, as a node is that was reset: it is asked once what it has.
        if (error.code === "timeout" && confirmed > from && confirmed < bytes.length) {
          from = await place();
          continue;
        }
        // "name: text", as the contract says.
        const { status, diagnostic = "" } = error;
        const refusal = diagnostic.split(":")[0] ?? "";
        if (status !== undefined && Object.hasOwn(refusals, refusal))
          throw new NodeError("refused", `the node refuses the package: ${diagnostic}`, {
            cause: error,
            status,
            diagnostic,
            refusal,
          });
        throw error;
      }
    }
  }

  /** Back to the previous package. */
  async rollback(signal?: AbortSignal): Promise<void> {
    await this.request("POST", "app/rollback", { signal });
  }

  async remove(signal?: AbortSignal): Promise<void> {
    await this.request("DELETE", "app", { signal });
  }
}

/** See `Node.front`. */
export interface Front {
  name: string;
  /** `secured`, `open`, or `unclaimed` where nobody gave it a context; of an older node it is not known. */
  security: string;
  /** Whether all the rest is there too. */
  full: boolean;
}

function readFront(document: Buffer): Front {
  const value: unknown = plain(decodeCbor(document)?.value);
  const map = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const text = (key: string) => (typeof map[key] === "string" ? oneLine(map[key]) : "");
  return { name: text("name"), security: text("security"), full: "limits" in map };
}

function readLines(text: string): string[] {
  return printable(text).split("\n").filter(Boolean);
}

/** A record as a node writes it in plain text, a field a line, on one line; anything else as it is. */
function fields(text: string): string {
  const lines = text.trim().split("\n");
  const value = /^[\w$]+: (?:true|false|NaN|-?inf|-?[\d.]+(?:e[+-]?\d+)?)$/;
  if (!lines.every((line) => value.test(line))) return text.trim();
  return lines.map((line) => line.replace(": ", " ")).join(", ");
}

/** Characters of a text or record that are shown: more than any node of ours tells. */
const longestText = 400;

/** The value of a sensor, or of an output, which may be a text, a record, or true or false: 1 or 0. */
export function readReading(path: string, text: string): { value: number; text?: string } {
  try {
    return { value: readNumber(path, text) };
  } catch (error) {
    if (!/^\/?outputs\//.test(path)) throw error;
    if (text === "true" || text === "false") return { value: Number(text === "true"), text };
    return { value: Number.NaN, text: oneLine(fields(printable(text.slice(0, longestText)))) };
  }
}

/** A number as a node writes it; `NaN` and the infinities are values of a module too. */
function readNumber(path: string, text: string): number {
  const value = { NaN: Number.NaN, inf: Infinity, "-inf": -Infinity, null: Number.NaN }[text];
  if (value !== undefined) return value;
  if (!/^-?\d{1,400}(\.\d{1,400})?(e[+-]?\d{1,3})?$/i.test(text))
    throw new NodeError(
      "protocol",
      `/${oneLine(path)}: the answer is not a number: ${oneLine(text.slice(0, 40))}`,
    );
  return Number(text);
}

/** The content of an answer: CBOR decoded, bytes that are not text in hexadecimal, everything else as the text it is. */
function readValue(payload: Buffer, format: number | undefined): unknown {
  if (format === formats.cbor || format === formats["senml+cbor"]) {
    const decoded = decodeCbor(payload);
    if (decoded !== undefined) return plain(decoded.value);
  }
  if (format === formats.octets) return payload.toString("hex");
  return printable(payload.toString("utf8"));
}

/** Links in the format of RFC 6690 §2. */
export function parseLinks(text: string): Resource[] {
  return [...text.matchAll(/<([^<>]*)>((?:;[^,;="]+(?:=(?:"[^"]*"|[^,;"]*))?)*)/g)].map(
    ([, path = "", rest = ""]) => ({
      path,
      attributes: Object.fromEntries(
        [...rest.matchAll(/;([^=;]+)(?:=(?:"([^"]*)"|([^;]*)))?/g)].map(
          ([, key = "", quoted, bare]) => [key, quoted ?? bare ?? true],
        ),
      ),
    }),
  );
}
