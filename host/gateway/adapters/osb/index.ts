// A service broker at the gateway (Open Service Broker v2.17): platforms order values, streams and filters here as they order databases.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { IncomingMessage, ServerResponse } from "node:http";
import { UserError } from "../../../lib/errors.ts";
import { writeWhole } from "../../../lib/state.ts";
import type { OsbConfig } from "../../config.ts";
import type { Core } from "../../core.ts";
import { Broker, type BrokerOptions } from "./broker.ts";
import { Catalog } from "./catalog.ts";
import { HostedFilters } from "./filters.ts";
import { BrokerHttp } from "./http.ts";
import { Services } from "./services.ts";
import { BrokerStore } from "./store.ts";

export class ServiceBroker {
  readonly broker: Broker;
  readonly #http: BrokerHttp;
  readonly #services: Services;

  constructor(gateway: Core, config: OsbConfig, options: Partial<BrokerOptions> = {}) {
    const key = keyIn(gateway.options.folder);
    const presets = config.filters.map(({ name, description, package: file }) => ({
      name,
      description,
      package: read(resolve(gateway.project.folder, file)),
    }));
    this.broker = new Broker({
      store: new BrokerStore(gateway.store.database),
      catalog: new Catalog(key, config.name, presets),
      filters: new HostedFilters(gateway),
      key,
      base: () => config.address ?? gateway.url,
      ...options,
    });
    this.#http = new BrokerHttp(gateway, this.broker);
    this.#services = new Services(gateway, this.broker);
  }

  /** Whether an address is the broker's, or of a service that it gave. */
  has(path: string): boolean {
    return path.startsWith("/v2/") || path.startsWith("/services/");
  }

  serve(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void> {
    const part = path.startsWith("/v2/") ? this.#http : this.#services;
    return part.serve(request, response, path, query);
  }

  stop(): Promise<void> {
    return this.broker.stop();
  }
}

/** 32 random bytes of this gateway, in a file that only its user reads. */
function keyIn(folder: string): Uint8Array {
  const file = join(folder, "osb.key");
  if (!existsSync(file)) {
    const key = randomBytes(32);
    writeWhole(file, key, 0o600);
    return key;
  }
  const key = readFileSync(file);
  if (key.length !== 32)
    throw new UserError(
      `${file} is not a key of 32 bytes`,
      "bring back the file: all credentials hang on it",
    );
  return key;
}

function read(file: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (cause) {
    throw new UserError(
      `${file} cannot be read`,
      "gateway.toml names it under [osb.filters]",
      "usage",
      { cause },
    );
  }
}
