// Akri's agent as it is on the wire: a registration server and a client made of the .proto file, killed, restarted, cancelling.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  credentials,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ClientReadableStream,
  type GrpcObject,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { AkriHandler } from "../../host/gateway/adapters/akri/handler.ts";
import { parseDetails } from "../../host/gateway/adapters/akri/devices.ts";
import { emulateFleet, missing, type Fleet } from "../../host/lib/emulate.ts";
import { startGateway, until } from "./harness.ts";

const proto = new URL("akri/discovery.proto", import.meta.url).pathname;
const v0 = loadPackageDefinition(loadSync(proto, { enums: String, defaults: true }))[
  "v0"
] as GrpcObject;
const Registration = v0["Registration"] as ServiceClientConstructor;
const Discovery = v0["DiscoveryHandler"] as ServiceClientConstructor;

interface Device {
  id: string;
  properties: Record<string, string>;
}

/** The agent's half: takes registrations, asks for devices. */
class Agent {
  readonly registrations: Record<string, unknown>[] = [];
  #server: Server | undefined;
  readonly #clients: InstanceType<ServiceClientConstructor>[] = [];

  async start(folder: string): Promise<void> {
    this.#server = new Server();
    this.#server.addService(Registration.service, {
      RegisterDiscoveryHandler: (
        { request }: { request: Record<string, unknown> },
        done: (error: null, answer: object) => void,
      ) => {
        this.registrations.push(request);
        done(null, {});
      },
    });
    await new Promise<void>((resolve, reject) =>
      this.#server!.bindAsync(
        `unix:${join(folder, "agent-registration.sock")}`,
        ServerCredentials.createInsecure(),
        (error) => (error === null ? resolve() : reject(error)),
      ),
    );
  }

  /** Asks what devices there are; the lists as they come. */
  discover(details: string): {
    lists: Device[][];
    ended: Promise<{ code?: number; details?: string }>;
    cancel(): void;
    /** Stops reading, and goes on. */
    stall(): void;
    read(): void;
  } {
    const endpoint = String(this.registrations.at(-1)!["endpoint"]);
    const client = new Discovery(
      endpoint.replace(/^http:\/\//, "").replace(/^\//, "unix:/"),
      credentials.createInsecure(),
    );
    this.#clients.push(client);
    const lists: Device[][] = [];
    const call = (client["Discover"] as (request: object) => ClientReadableStream<unknown>).call(
      client,
      { discoveryDetails: details, discoveryProperties: {} },
    );
    call.on("data", ({ devices }: { devices: Device[] }) => lists.push(devices));
    const ended = new Promise<{ code?: number; details?: string }>((resolve) => {
      call.on("error", (error: { code?: number; details?: string }) => resolve(error));
      call.on("end", () => resolve({}));
    });
    return {
      lists,
      ended,
      cancel: () => call.cancel(),
      stall: () => call.pause(),
      read: () => call.resume(),
    };
  }

  stop(): void {
    for (const client of this.#clients) client.close();
    this.#server?.forceShutdown();
  }
}

describe("discoveryDetails", () => {
  test("are YAML, with defaults", () => {
    expect(parseDetails("")).toEqual({ nodes: [], types: [], silence: 10 });
    expect(
      parseDetails("nodes: [wye-*]\nresourceTypes:\n  - wasmote.level\nsilenceMinutes: 2"),
    ).toEqual({
      nodes: ["wye-*"],
      types: ["wasmote.level"],
      silence: 2,
    });
  });
  test.each([
    "nodes: wye",
    "- a",
    "{",
    "names: [a]",
    "nodes: [1]",
    "silenceMinutes: -1",
    "silenceMinutes: .nan",
    "a: &a [x]\nnodes: *a",
    "x".repeat(70_000),
    "__proto__: []",
  ])("%j are refused", (text) => {
    expect(() => parseDetails(text)).toThrow(RangeError);
  });
});

const reason = missing("native");
describe.skipIf(reason !== undefined)(
  `a discovery handler for Akri${reason ? ` (skipped: ${reason})` : ""}`,
  () => {
    let folder: string;
    let fleet: Fleet;
    let agent: Agent;
    const ids = (list: Device[] | undefined) => list?.map(({ id }) => id).join(" ");

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "wasmote-akri-"));
      fleet = await emulateFleet(3, ["--dev"]);
    });
    afterEach(() => agent?.stop());
    afterAll(async () => {
      await fleet?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    test("registers with each agent that comes, lists all devices on each change, and never ends a stream", async () => {
      const [first, second] = fleet.nodes;
      const akri = { directory: folder, listen: undefined };
      // The handler is there before the agent.
      await using running = await startGateway({ akri }, { nodes: { wye: first!.address } });
      agent = new Agent();
      await agent.start(folder);
      await until(() => agent.registrations.length);
      expect(agent.registrations[0]).toEqual({
        name: "wasmote",
        endpoint: join(folder, "wasmote.sock"),
        endpointType: "UDS",
        shared: true,
      });
      const all = agent.discover("");
      const some = agent.discover("nodes: [usk*]");
      // A node is a device once it was heard of; its resources are known a moment later, which is a change like any other.
      await until(() => {
        const [device] = all.lists.at(-1) ?? [];
        return device !== undefined && Object.values(device.properties).includes("sensors/level");
      });
      expect(ids(all.lists.at(-1))).toBe("wye");
      const [{ properties }] = all.lists.at(-1) as [Device];
      expect(properties).toMatchObject({
        WASMOTE_NODE: "wye",
        WASMOTE_ADDRESS: first!.address,
        WASMOTE_GATEWAY: running.url,
        WASMOTE_BOARD: "native",
      });
      expect(Object.keys(properties).every((key) => /^[A-Z][A-Z0-9_]*$/.test(key))).toBe(true);
      // A list without devices is told as well.
      await until(() => some.lists.length);
      expect(some.lists[0]).toEqual([]);
      running.gateway.add("usk", second!.address, "configured");
      await until(() => ids(all.lists.at(-1)) === "usk wye" && ids(some.lists.at(-1)) === "usk");
      await running.gateway.nodes.remove("wye");
      await until(() => ids(all.lists.at(-1)) === "usk");
      // A bad configuration is said to be one, and harms no other.
      const bad = await agent.discover("nodes: 3").ended;
      expect(bad).toMatchObject({ code: 3, details: "nodes is not a list of texts" });
      // The agent takes a query back, and is registered with again: it may have been restarted.
      const before = agent.registrations.length;
      some.cancel();
      await until(() => agent.registrations.length > before);
      // It is killed and comes back.
      agent.stop();
      agent = new Agent();
      await agent.start(folder);
      await until(() => agent.registrations.length);
      const again = agent.discover("");
      await until(() => ids(again.lists.at(-1)) === "usk");
    }, 240_000);

    test("serves many agents that come and go at once; one that does not read gets the newest list and none in between", async () => {
      const warnings: Error[] = [];
      const warned = (warning: Error) => warnings.push(warning);
      process.on("warning", warned);
      await using running = await startGateway({}, { nodes: { wye: fleet.nodes[0]!.address } });
      const { nodes } = running.gateway;
      agent = new Agent();
      await agent.start(folder);
      // Sixteen lists wait in the library of an agent that does not read; of these long ones hardly more go on their way.
      const base = `http://${"x".repeat(300_000)}`;
      const handler = await AkriHandler.start({ nodes, directory: folder, base, period: 10 });
      try {
        await until(() => agent.registrations.length);
        const good = agent.discover("");
        await until(() => ids(good.lists.at(-1)) === "wye");
        const slow = agent.discover("");
        slow.stall();
        const crowd = Array.from({ length: 40 }, () => agent.discover("nodes: [none]"));
        await until(() => crowd.every(({ lists }) => lists.length > 0));
        for (const one of crowd) one.cancel();
        let seen = 0;
        for (let turn = 0; turn < 24; turn++) {
          running.gateway.add("usk", fleet.nodes[1]!.address, "configured");
          await until(() => ids(good.lists.at(-1)) === "usk wye");
          await nodes.remove("usk");
          await until(() => ids(good.lists.at(-1)) === "wye");
          seen = good.lists.length;
        }
        expect(seen).toBeGreaterThan(48);
        slow.read();
        await until(() => slow.lists.length > 1 && ids(slow.lists.at(-1)) === "wye");
        expect(slow.lists.length).toBeLessThan(24);
      } finally {
        await handler.stop();
        process.off("warning", warned);
      }
      expect(warnings.map(({ message }) => message)).toEqual([]);
    }, 120_000);

    test("refuses a folder whose name is too long for a socket", async () => {
      const directory = join(folder, "x".repeat(100));
      const started = startGateway({ akri: { directory, listen: undefined } });
      await expect(started).rejects.toThrow(/too long a name for a socket/);
    });

    test("takes the place of one that was killed, and listens on the network where it is told to", async () => {
      agent = new Agent();
      await agent.start(folder);
      // A socket that nobody listens at any more.
      const stale = new Server();
      await new Promise<void>((resolve) =>
        stale.bindAsync(
          `unix:${join(folder, "wasmote.sock")}`,
          ServerCredentials.createInsecure(),
          () => resolve(),
        ),
      );
      {
        await using _ = await startGateway({ akri: { directory: folder, listen: undefined } });
        await until(() => agent.registrations.length === 1);
        const call = agent.discover("");
        await until(() => call.lists.length);
      }
      stale.forceShutdown();
      await using _ = await startGateway({ akri: { directory: folder, listen: "127.0.0.1:0" } });
      await until(() => agent.registrations.length >= 2);
      expect(agent.registrations.at(-1)).toMatchObject({
        endpoint: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string,
        endpointType: "NETWORK",
      });
      const call = agent.discover("");
      await until(() => call.lists.length);
    }, 60_000);
  },
);
