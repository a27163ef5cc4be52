// The hub as those have it who run the fleet: what there has to be at the servers, packages, what each node shall run, what it says it runs.
import { createHash } from "node:crypto";
import type { NatsConnection } from "@nats-io/nats-core";
import { jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { Kvm, type KV } from "@nats-io/kv";
import { Objm, type ObjectStore } from "@nats-io/obj";
import { openPackage } from "../../../lib/package.ts";
import {
  commandsOf,
  desiredBucket,
  keyOf,
  packagesBucket,
  reportedBucket,
  telemetryOf,
  telemetryStream,
} from "./names.ts";

/** What a node shall run. */
export interface Desired {
  /** SHA-256 of the package, in hex: its name in the store of packages. */
  package: string;
  /** SHA-256 of the module, in hex: what a node says it runs. */
  digest: string;
}

/** What a node runs, as its gateway knows. */
export interface Reported {
  digest: string | null;
  state: string;
  /** Why it does not run what it shall. */
  trouble?: string;
}

export interface HubOptions {
  /** Copies of everything: 3 where there are three servers. */
  replicas?: number;
  /** Days that telemetry is kept at the hub. */
  days?: number;
}

/** Creates what is missing; what exists stays as it is. */
export async function prepareHub(
  connection: NatsConnection,
  { replicas = 1, days = 7 }: HubOptions = {},
): Promise<void> {
  const manager = await jetstreamManager(connection);
  const present = await manager.streams.info(telemetryStream).catch(() => undefined);
  if (present === undefined)
    await manager.streams.add({
      name: telemetryStream,
      subjects: [telemetryOf("*")],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      num_replicas: replicas,
      max_age: days * 86_400 * 1e9,
      max_msg_size: 1 << 20,
      duplicate_window: 120 * 1e9,
      allow_direct: true,
    });
  const kvm = new Kvm(connection);
  const bucket = { replicas, history: 1, storage: StorageType.File, allow_direct: true };
  await kvm.create(desiredBucket, bucket);
  await kvm.create(reportedBucket, bucket);
  await new Objm(connection).create(packagesBucket, { replicas, storage: StorageType.File });
}

export class Fleet {
  readonly #connection: NatsConnection;
  readonly #desired: KV;
  readonly #reported: KV;
  readonly #packages: ObjectStore;

  private constructor(
    connection: NatsConnection,
    desired: KV,
    reported: KV,
    packages: ObjectStore,
  ) {
    this.#connection = connection;
    this.#desired = desired;
    this.#reported = reported;
    this.#packages = packages;
  }

  static async open(connection: NatsConnection): Promise<Fleet> {
    const kvm = new Kvm(connection);
    return new Fleet(
      connection,
      await kvm.open(desiredBucket),
      await kvm.open(reportedBucket),
      await new Objm(connection).open(packagesBucket),
    );
  }

  /** Puts a package where gateways find it; once more is as good as once. */
  async put(bytes: Uint8Array): Promise<Desired> {
    const name = createHash("sha256").update(bytes).digest("hex");
    const digest = Buffer.from(openPackage(bytes).manifest.digest).toString("hex");
    if ((await this.#packages.info(name)) === null) await this.#packages.putBlob({ name }, bytes);
    return { package: name, digest };
  }

  async want(gateway: string, node: string, desired: Desired): Promise<void> {
    await this.#desired.put(keyOf(gateway, node), JSON.stringify(desired));
  }

  async reported(gateway: string, node: string): Promise<Reported | undefined> {
    const entry = await this.#reported.get(keyOf(gateway, node));
    return entry?.operation === "PUT" ? entry.json<Reported>() : undefined;
  }

  /** Asks a gateway to do something; it answers or is not there. */
  async command(gateway: string, command: object, patience = 5_000): Promise<unknown> {
    const answer = await this.#connection.request(commandsOf(gateway), JSON.stringify(command), {
      timeout: patience,
    });
    return answer.json();
  }
}
