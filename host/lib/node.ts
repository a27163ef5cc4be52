// A node, as the host sees it.
import { decode } from "cbor2";
import { refusals } from "./contract.ts";
import { Endpoint, sleep, type Method, type RequestOptions, type Response } from "./endpoint.ts";
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

/** A value of a sensor or output. */
export interface Reading {
  value: number;
  /** Milliseconds since 1970 at which it came in here. */
  at: number;
}

export interface PushOptions {
  signal?: AbortSignal;
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
  static async connect(address: string, onText: (text: string) => void = () => {}): Promise<Node> {
    const link = await openLink(address);
    link.onText = onText;
    return new Node(address, new Endpoint(link));
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
    try {
      return plain(decode(payload)) as Record<string, unknown>;
    } catch (cause) {
      throw new NodeError("protocol", `/${path}: the answer is no CBOR`, { cause });
    }
  }

  info(signal?: AbortSignal): Promise<Record<string, unknown>> {
    return this.#document("node", signal);
  }

  stats(signal?: AbortSignal): Promise<Record<string, number>> {
    return this.#document("stats", signal) as Promise<Record<string, number>>;
  }

  async app(signal?: AbortSignal): Promise<AppState> {
    return (await this.#document("app", signal)) as unknown as AppState;
  }

  /** Each state of the running package from now on. */
  async *watchApp(signal?: AbortSignal): AsyncGenerator<AppState, void, void> {
    for await (const { payload } of this.#endpoint.observe("app", { accept: "cbor", signal })) {
      yield plain(decode(payload)) as AppState;
    }
  }

  async discover(filters: readonly string[] = [], signal?: AbortSignal): Promise<Resource[]> {
    const options = { query: filters, signal };
    const { payload } = await this.request("GET", ".well-known/core", options);
    return parseLinks(payload.toString("utf8"));
  }

  /** Values of `sensors/level` or `outputs/flow`, as they come in. */
  async *observe(path: string, signal?: AbortSignal): AsyncGenerator<Reading, void, void> {
    for await (const { payload } of this.#endpoint.observe(path, { accept: "text", signal })) {
      const text = payload.toString("utf8");
      // An observation begins with what there is, which may be nothing yet.
      if (text !== "") yield { value: Number(text), at: Date.now() };
    }
  }

  async params(signal?: AbortSignal): Promise<Record<string, number>> {
    const { params = [] } = await this.app(signal);
    const values: Record<string, number> = {};
    for (const name of params)
      values[name] = Number(await this.get(`app/params/${name}`, { signal }));
    return values;
  }

  async setParam(name: string, value: number, signal?: AbortSignal): Promise<void> {
    await this.put(`app/params/${name}`, String(value), { signal });
  }

  /** The log, line by line. */
  async log(signal?: AbortSignal): Promise<string[]> {
    return (await this.get("log", { signal })).split("\n").filter(Boolean);
  }

  async *watchLog(signal?: AbortSignal): AsyncGenerator<string, void, void> {
    for await (const { payload } of this.#endpoint.observe("log", { signal })) {
      for (const line of payload.toString("utf8").split("\n")) if (line) yield line;
    }
  }

  /**
   * Installs a package. An upload of the same package that was cut off goes on where it stopped. Resolves once the new module runs
   * on trial; a refusal is a NodeError with the code `refused`.
   */
  async push(bytes: Uint8Array, options: PushOptions = {}): Promise<void> {
    const { blockSize = 512, signal } = options;
    const digest = Buffer.from(openPackage(bytes).manifest.digest).toString("hex");
    const staged = (await this.#document("app/staged", signal)) as {
      digest?: string;
      size?: number;
      received?: number;
    };
    const same = staged.digest === digest && staged.size === bytes.length;
    const from = same ? Math.floor((staged.received ?? 0) / blockSize) * blockSize : 0;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#endpoint.upload("PUT", "app", bytes, {
          ...options,
          blockSize,
          format: "octets",
          from: attempt === 0 && from < bytes.length ? from : 0,
        });
        return;
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
        // The node forgot what it had, or somebody else's upload came between: once more from the start.
        if (error.status === "4.08" && attempt < 3) {
          await sleep(100, signal);
          continue;
        }
        const name = /\/app: \d\.\d\d ([a-z-]+): /.exec(error.message)?.[1];
        if (name !== undefined && name in refusals) {
          const text = error.message.replace(/^.*?: \d\.\d\d /, "");
          throw new NodeError("refused", `the node refuses the package: ${text}`, {
            cause: error,
            refusal: name,
            ...(error.status === undefined ? {} : { status: error.status }),
          });
        }
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

/** Bytes as hexadecimal text, all the way down: what people and JSON can read. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

/** Links in the format of RFC 6690 §2. */
export function parseLinks(text: string): Resource[] {
  return [...text.matchAll(/<([^>]*)>((?:;[^,;="]+(?:=(?:"[^"]*"|[^,;"]*))?)*)/g)].map(
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
