// A node, as the host sees it.
import { decode } from "cbor2";
import { refusals } from "./contract.ts";
import {
  Endpoint,
  printable,
  sleep,
  type EndpointOptions,
  type Method,
  type ObserveOptions,
  type RequestOptions,
  type Response,
} from "./endpoint.ts";
import { NodeError } from "./errors.ts";
import { openLink } from "./link.ts";
import { openPackage } from "./package.ts";

/** A resource of `/.well-known/core` (RFC 6690). */
export interface Resource {
  path: string;
  /** Attributes as they stand there; those without a value are `true`. */
  attributes: Record<string, string | true>;
}

/** `/app`: the package that runs, and what happened to the one before. */
export interface AppState {
  state: "empty" | "trial" | "confirmed";
  name?: string;
  version?: string;
  sequence?: number;
  digest?: string;
  size?: number;
  table?: number;
  ram?: number;
  trial?: number;
  sensors?: string[];
  outputs?: string[];
  params?: string[];
  previous: number;
  highest: number;
  returned: boolean;
  event?: {
    what: "trap" | "fuel" | "reset" | "rollback" | "damaged";
    sequence: number;
    trap?: string;
    function?: number;
    offset?: number;
    backtrace?: number[];
  };
}

/** `/app/staged`: empty where nothing is on its way. */
export interface Staged {
  /** Of the module, in hexadecimal. */
  digest?: string;
  size?: number;
  received?: number;
}

/** A value of a sensor or output. */
export interface Reading {
  value: number;
  /** Milliseconds since 1970 at which it came in here. */
  at: number;
}

export interface ConnectOptions extends EndpointOptions {
  /** Called for each line of text that a serial line carries beside the datagrams. */
  onText?: (text: string) => void;
  signal?: AbortSignal | undefined;
}

export interface PushOptions {
  signal?: AbortSignal | undefined;
  /** Bytes of a block. */
  blockSize?: number;
  onProgress?: (sent: number, total: number) => void;
}

export class Node {
  readonly address: string;
  readonly #endpoint: Endpoint;

  private constructor(address: string, endpoint: Endpoint) {
    this.address = address;
    this.#endpoint = endpoint;
  }

  /** Opens the link to a node. Whether it answers is seen with the first request. */
  static async connect(address: string, options: ConnectOptions = {}): Promise<Node> {
    const { onText, signal, ...rest } = options;
    const link = await openLink(address, signal);
    if (onText) link.onText = onText;
    return new Node(address, new Endpoint(link, rest));
  }

  close(): Promise<void> {
    return this.#endpoint.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  request(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
    return this.#endpoint.request(method, path, options);
  }

  /** A resource as text. */
  async get(path: string, options: RequestOptions = {}): Promise<string> {
    const { payload } = await this.request("GET", path, options);
    return payload.toString("utf8");
  }

  async put(path: string, text: string, options: RequestOptions = {}): Promise<void> {
    await this.request("PUT", path, { ...options, format: "text", payload: Buffer.from(text) });
  }

  /** A document: `node`, `app`, `stats`, `app/staged`. */
  async #document(path: string, signal?: AbortSignal): Promise<Record<string, unknown>> {
    const { payload } = await this.request("GET", path, { accept: "cbor", signal });
    return readDocument(path, payload);
  }

  info(signal?: AbortSignal): Promise<Record<string, unknown>> {
    return this.#document("node", signal);
  }

  stats(signal?: AbortSignal): Promise<Record<string, number>> {
    return this.#document("stats", signal) as Promise<Record<string, number>>;
  }

  async app(signal?: AbortSignal): Promise<AppState> {
    return readApp(await this.#document("app", signal));
  }

  /** What has been received of a package that is on its way. */
  async staged(signal?: AbortSignal): Promise<Staged> {
    const { digest, size, received } = await this.#document("app/staged", signal);
    return typeof digest === "string" && typeof size === "number" && typeof received === "number"
      ? { digest, size, received }
      : {};
  }

  /** Each state of the running package from now on. */
  async *watchApp(signal?: AbortSignal): AsyncGenerator<AppState, void, void> {
    for await (const { payload } of this.#endpoint.observe("app", { accept: "cbor", signal })) {
      yield readApp(readDocument("app", payload));
    }
  }

  async discover(filters: readonly string[] = [], signal?: AbortSignal): Promise<Resource[]> {
    const options = { query: filters, signal };
    const { payload } = await this.request("GET", ".well-known/core", options);
    return parseLinks(payload.toString("utf8"));
  }

  /** Values of `sensors/level` or `outputs/flow`, as they come in. */
  async *observe(
    path: string,
    signal?: AbortSignal,
    options: ObserveOptions = {},
  ): AsyncGenerator<Reading, void, void> {
    const states = this.#endpoint.observe(path, { ...options, accept: "text", signal });
    for await (const { payload } of states) {
      const text = payload.toString("utf8");
      // An observation begins with what there is, which may be nothing yet.
      if (text !== "") yield { value: readNumber(path, text), at: Date.now() };
    }
  }

  async params(signal?: AbortSignal): Promise<Record<string, number>> {
    const { params = [] } = await this.app(signal);
    const values: Record<string, number> = {};
    for (const name of params)
      values[name] = readNumber(name, await this.get(`app/params/${name}`, { signal }));
    return values;
  }

  async setParam(name: string, value: number, signal?: AbortSignal): Promise<void> {
    await this.put(`app/params/${name}`, String(value), { signal });
  }

  /** The log, line by line. */
  async log(signal?: AbortSignal): Promise<string[]> {
    return readLines(await this.get("log", { signal }));
  }

  async *watchLog(signal?: AbortSignal): AsyncGenerator<string, void, void> {
    for await (const { payload } of this.#endpoint.observe("log", { signal })) {
      yield* readLines(payload.toString("utf8"));
    }
  }

  /**
   * Installs a package. An upload of the same package that was cut off goes on where it stopped. Resolves once the new module runs
   * on trial; a refusal is a NodeError with the code `refused`.
   */
  async push(bytes: Uint8Array, options: PushOptions = {}): Promise<void> {
    const { blockSize = 512, signal, onProgress } = options;
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

function readLines(text: string): string[] {
  return printable(text).split("\n").filter(Boolean);
}

/** A number as a node writes it; `NaN` and the infinities are values of a module too. */
function readNumber(path: string, text: string): number {
  const value = { NaN: Number.NaN, inf: Infinity, "-inf": -Infinity, null: Number.NaN }[text];
  const number = value ?? Number(text);
  if (value === undefined && (text.trim() === "" || Number.isNaN(number)))
    throw new NodeError("protocol", `/${path}: the answer is no number: ${text.slice(0, 40)}`);
  return number;
}

/** A CBOR map with names for keys. */
function readDocument(path: string, payload: Uint8Array): Record<string, unknown> {
  let document: unknown;
  try {
    document = plain(decode(payload));
  } catch (cause) {
    throw new NodeError("protocol", `/${path}: the answer is no CBOR`, { cause });
  }
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw new NodeError("protocol", `/${path}: the answer is no document`);
  return document as Record<string, unknown>;
}

/** What others do with `/app`, they can: its lists are lists of names, its numbers numbers. */
function readApp(document: Record<string, unknown>): AppState {
  const names = (value: unknown) =>
    value === undefined || (Array.isArray(value) && value.every((one) => typeof one === "string"));
  const event = document["event"] as Record<string, unknown> | undefined;
  const sound =
    ["sensors", "outputs", "params"].every((key) => names(document[key])) &&
    ["previous", "highest"].every((key) => typeof document[key] === "number") &&
    (event === undefined || (typeof event === "object" && typeof event?.["sequence"] === "number"));
  if (!sound) throw new NodeError("protocol", "/app: the answer is no state of a package");
  return document as unknown as AppState;
}

/** Bytes as hexadecimal text, all the way down: what people and JSON can read. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "string") return printable(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
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
