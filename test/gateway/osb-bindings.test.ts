// The service broker's bindings, what happens at the same time, orphans, and a kill (Open Service Broker v2.17).
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServiceBroker } from "../../host/gateway/adapters/osb/index.ts";
import { openProject } from "../../host/lib/project.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, until, type Running } from "./harness.ts";
import { config, world, Platform, type World } from "./osb/platform.ts";

let it: World;
let running: Running;
let platform: Platform;
beforeAll(async () => {
  it = await world();
  ({ running, platform } = it);
}, 60_000);
afterAll(() => it?.close());
const fresh = () => it.fresh();
const filter = (more: object = {}) => it.filter(more);

describe("a binding", () => {
  const bind = (instance: string, id: string, body: object, incomplete = true) =>
    platform.ask(
      "PUT",
      `/v2/service_instances/${instance}/service_bindings/${id}?accepts_incomplete=${incomplete}`,
      { body },
    );
  const look = (instance: string, id: string) =>
    platform.ask("GET", `/v2/service_instances/${instance}/service_bindings/${id}`);
  const unbind = (
    instance: string,
    id: string,
    ids: { service_id: string; plan_id: string },
    incomplete = true,
  ) =>
    platform.ask(
      "DELETE",
      `/v2/service_instances/${instance}/service_bindings/${id}?${new URLSearchParams({ ...ids, accepts_incomplete: String(incomplete) }).toString()}`,
    );
  const last = async (instance: string, id: string, query = "") => {
    const { status, body } = await platform.ask(
      "GET",
      `/v2/service_instances/${instance}/service_bindings/${id}/last_operation${query}`,
    );
    return status === 200 ? body["state"] : status;
  };

  test("is made once (201), is the same again (200), not another (409), is deleted (200) and gone (410)", async () => {
    const instance = fresh();
    const ids = platform.ids("series", "raw");
    expect((await bind("none", "b", ids)).status).toBe(400);
    await platform.put(instance, platform.order("series", "raw"));
    for (const body of [
      {},
      { ...ids, plan_id: "" },
      { ...ids, service_id: "x" },
      platform.ids("series", "steps"),
      { ...ids, app_guid: "" },
      { ...ids, bind_resource: 3 },
      { ...ids, bind_resource: { app_guid: 1 } },
      { ...ids, context: [] },
      { ...ids, parameters: [] },
    ])
      expect((await bind(instance, "b", body)).status).toBe(400);
    const made = await bind(instance, "b", { ...ids, app_guid: "app" }, false);
    expect(made).toMatchObject({
      status: 201,
      body: {
        credentials: { username: "b", uri: `${running.url}/services/${instance}` },
        endpoints: [{ host: "127.0.0.1", ports: [String(running.gateway.port)], protocol: "tcp" }],
      },
    });
    expect(await bind(instance, "b", { ...ids, bind_resource: { app_guid: "app" } })).toMatchObject(
      { status: 200, body: made.body },
    );
    expect((await bind(instance, "b", { ...ids, app_guid: "other" })).status).toBe(409);
    expect(
      (await bind(instance, "b", { ...ids, app_guid: "app", parameters: { days: 1 } })).status,
    ).toBe(409);
    expect((await look(instance, "b")).body).toEqual({ ...made.body, parameters: { days: 90 } });
    expect(await last(instance, "b")).toBe("succeeded");
    const { expires_at, renew_before } = made.body["metadata"] as Record<string, string>;
    expect(expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\dZ$/);
    expect(Date.parse(renew_before!)).toBeLessThan(Date.parse(expires_at!));
    expect((await unbind(instance, "b", { ...ids, plan_id: "x" })).status).toBe(400);
    expect(await unbind(instance, "b", ids, false)).toMatchObject({ status: 200, body: {} });
    expect((await unbind(instance, "b", ids)).status).toBe(410);
    expect((await look(instance, "b")).status).toBe(404);
    expect(await last(instance, "b")).toBe(404);
    // The same id again has other credentials.
    const again = await bind(instance, "b", { ...ids, app_guid: "app" });
    expect(again.body["credentials"]).not.toEqual(made.body["credentials"]);
  });

  test("of a plan for applications names one (422 RequiresApp)", async () => {
    const instance = fresh();
    const ids = platform.ids("stream", "application");
    await platform.put(instance, platform.order("stream", "application"));
    expect(await bind(instance, "b", ids)).toMatchObject({
      status: 422,
      body: { error: "RequiresApp" },
    });
    expect((await bind(instance, "b", { ...ids, bind_resource: { app_guid: "app" } })).status).toBe(
      201,
    );
  });

  test("of an asynchronous plan comes without credentials (202), which are fetched once it is there", async () => {
    const instance = fresh();
    const ids = platform.ids("filter", "small");
    await platform.put(instance, platform.order("filter", "small", filter()));
    await platform.release();
    expect(await bind(instance, "b", ids, false)).toMatchObject({
      status: 422,
      body: { error: "AsyncRequired" },
    });
    platform.hold();
    const first = await bind(instance, "b", ids);
    expect(first.status).toBe(202);
    expect(Object.keys(first.body)).toEqual(["operation"]);
    expect(await bind(instance, "b", ids)).toMatchObject({ status: 202, body: first.body });
    expect((await bind(instance, "b", { ...ids, app_guid: "x" })).status).toBe(409);
    expect((await look(instance, "b")).status).toBe(404);
    expect(await last(instance, "b", `?operation=${String(first.body["operation"])}`)).toBe(
      "in progress",
    );
    expect(await last(instance, "b", "?operation=x")).toBe(400);
    await platform.release();
    expect(await last(instance, "b")).toBe("succeeded");
    expect(await look(instance, "b")).toMatchObject({
      status: 200,
      body: { credentials: { username: "b" } },
    });
    platform.hold();
    expect(await unbind(instance, "b", ids, false)).toMatchObject({
      status: 422,
      body: { error: "AsyncRequired" },
    });
    const gone = await unbind(instance, "b", ids);
    expect(gone.status).toBe(202);
    expect(await unbind(instance, "b", ids)).toMatchObject({ status: 202, body: gone.body });
    expect(await bind(instance, "b", ids)).toMatchObject({
      status: 422,
      body: { error: "ConcurrencyError" },
    });
    await platform.release();
    expect(await last(instance, "b")).toBe(410);
    // A binding that is taken back while it comes to be never is.
    platform.hold();
    await bind(instance, "c", ids);
    expect((await unbind(instance, "c", ids)).status).toBe(202);
    await platform.release();
    expect([await last(instance, "c"), (await look(instance, "c")).status]).toEqual([410, 404]);
  });

  test("fails where its filter does not run, and is made anew when asked for again", async () => {
    const instance = fresh();
    const ids = platform.ids("filter", "small");
    await platform.put(instance, platform.order("filter", "small", filter({ name: "halting" })));
    await platform.release();
    running.gateway.hosted.stop("halting");
    await bind(instance, "b", ids);
    await platform.release();
    expect(await last(instance, "b")).toBe("failed");
    expect((await look(instance, "b")).status).toBe(404);
    platform.failing = "create";
    await bind(instance, "b", ids);
    await platform.release();
    expect(await last(instance, "b")).toBe("failed");
    expect((await unbind(instance, "b", ids)).status).toBe(202);
    await platform.release();
    expect(await last(instance, "b")).toBe(410);
  });

  test("has a successor with other credentials, and both are good until one is deleted", async () => {
    const instance = fresh();
    const ids = platform.ids("stream", "application");
    await platform.put(instance, platform.order("stream", "application"));
    const old = await bind(instance, "old", { ...ids, app_guid: "app", parameters: { days: 7 } });
    for (const predecessor_binding_id of ["none", "new", "", 3])
      expect((await bind(instance, "new", { predecessor_binding_id })).status).toBe(400);
    // Service, plan, application and parameters are those of the one before.
    const made = await bind(instance, "new", { predecessor_binding_id: "old" });
    expect(made.status).toBe(201);
    expect((await bind(instance, "new", { predecessor_binding_id: "old" })).status).toBe(200);
    expect((await bind(instance, "new", { ...ids, app_guid: "app" })).status).toBe(409);
    expect((await look(instance, "new")).body).toMatchObject({ parameters: { days: 7 } });
    const opens = async ({ body }: typeof old) => {
      const { uri, username, password } = body["credentials"] as Record<string, string>;
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
      return (await fetch(`${uri}/values`, { headers: { authorization } })).status;
    };
    expect([await opens(old), await opens(made)]).toEqual([200, 200]);
    await unbind(instance, "old", ids);
    expect([await opens(old), await opens(made)]).toEqual([401, 200]);
    expect((await bind(instance, "third", { predecessor_binding_id: "old" })).status).toBe(400);
  });

  test("shows what its instance selects, of nobody else, until it ends", async () => {
    const { hub } = running.gateway;
    const now = Date.now();
    for (const [node, resource, value] of [
      ["wye", "outputs/flow", 1],
      ["wye", "sensors/level", 2],
      ["usk", "outputs/flow", 3],
    ] as const)
      hub.publish({ node, resource, time: now, value });
    const [one, other] = [fresh(), fresh()];
    await platform.put(
      one,
      platform.order("series", "raw", { nodes: ["wye"], resources: ["outputs/*"] }),
    );
    await platform.put(other, platform.order("series", "steps", { nodes: ["usk"] }));
    const credentials = async (instance: string, plan: string) =>
      (await bind(instance, "b", platform.ids("series", plan))).body["credentials"] as Record<
        string,
        string
      >;
    const mine = await credentials(one, "raw");
    const others = await credentials(other, "steps");
    const ask = (
      instance: string,
      path: string,
      { username, password }: Record<string, string> = mine,
      more = {},
    ) =>
      fetch(`${running.url}/services/${instance}/${path}`, {
        headers: {
          authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`,
          ...more,
        },
      });
    const { values } = (await (await ask(one, "values")).json()) as {
      values: { node: string; resource: string }[];
    };
    expect(values.map(({ node, resource }) => `${node}/${resource}`)).toEqual(["wye/outputs/flow"]);
    const history = async (node: string, resource: string, more = "") =>
      (await ask(one, `history?node=${node}&resource=${resource}${more}`)).status;
    expect(await history("wye", "outputs/flow")).toBe(200);
    expect(await history("wye", "sensors/level")).toBe(403);
    expect(await history("usk", "outputs/flow")).toBe(403);
    // Credentials are of one instance; those of another, no token and a token of the gateway open nothing.
    expect((await ask(one, "values", others)).status).toBe(401);
    expect((await ask(one, "values", { username: "first", password: running.token })).status).toBe(
      401,
    );
    expect((await ask(one, "values", mine, { origin: "https://other.example" })).status).toBe(401);
    expect((await ask("none", "values")).status).toBe(401);
    expect((await ask(one, "other")).status).toBe(404);
    const query = "history?node=usk&resource=outputs/flow";
    expect((await ask(other, query, others)).status).toBe(403);
    expect((await ask(other, `${query}&resolution=1m`, others)).status).toBe(200);
    expect((await ask(other, `${query}&resolution=raw`, others)).status).toBe(403);
    expect(
      (
        await fetch(`${running.url}/api/nodes`, {
          headers: { authorization: `Bearer ${mine["password"]}` },
        })
      ).status,
    ).toBe(401);
    // A stream ends with the binding that opened it.
    const stream = await ask(one, "stream");
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("wye")) text += (await reader.read()).value ?? "";
    expect(text).not.toContain("usk");
    await unbind(one, "b", platform.ids("series", "raw"));
    await expect(
      reader.read().then(async ({ done }) => done || (await reader.read())),
    ).rejects.toThrow();
    const { broker } = running.gateway.osb!;
    const password = others["password"]!;
    expect(broker.admits(other, "b", password)).toBeDefined();
    expect(broker.admits(other, "b", password, Date.now() + 91 * 86_400_000)).toBeUndefined();
  });
});

describe("requests at the same time", () => {
  test("for one instance make it once", async () => {
    const [one, two] = [fresh(), fresh()];
    const order = platform.order("filter", "small", filter());
    const all = await Promise.all(Array.from({ length: 12 }, () => platform.put(one, order)));
    expect(new Set(all.map(({ status }) => status === 200 || status === 202))).toEqual(
      new Set([true]),
    );
    expect(new Set(all.flatMap(({ body }) => body["operation"] ?? [])).size).toBe(1);
    const different = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        platform.put(two, platform.order("series", "raw", { nodes: [`n${index}`] })),
      ),
    );
    expect(different.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      201,
      ...Array.from({ length: 11 }, () => 409),
    ]);
    const gone = await Promise.all(
      Array.from({ length: 6 }, () => platform.remove(two, platform.ids("series", "raw"))),
    );
    expect(gone.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 410, 410, 410, 410, 410,
    ]);
    await platform.release();
  });
});

// "Orphan Mitigation": a platform that cannot be sure deletes, until it is told that nothing is there.
describe("an orphan", () => {
  const deletedUntilGone = async (id: string, ids: { service_id: string; plan_id: string }) => {
    const seen: number[] = [];
    for (;;) {
      const { status } = await platform.remove(id, ids);
      seen.push(status);
      if (status === 200 || status === 410) return seen;
      await platform.release();
    }
  };

  test("whose answer never came is deleted while it comes to be", async () => {
    const id = fresh();
    platform.hold();
    const timeout = new AbortController();
    const asked = platform
      .ask("PUT", `/v2/service_instances/${id}?accepts_incomplete=true`, {
        body: platform.order("filter", "small", filter({ name: "orphan" })),
        signal: timeout.signal,
      })
      .catch(() => {});
    await until(() =>
      running.gateway.store.database.prepare("SELECT 1 FROM osb_instance WHERE id = ?").get(id),
    );
    timeout.abort();
    await asked;
    expect(await deletedUntilGone(id, platform.ids("filter", "small"))).toEqual([202, 410]);
    expect(running.gateway.hosted.states().map(({ name }) => name)).not.toContain("orphan");
    expect(await platform.last(id)).toBe(410);
  });

  test("whose provisioning failed is deleted; before that it is not there", async () => {
    const id = fresh();
    platform.failing = "create";
    const order = platform.order("filter", "small", filter());
    await platform.put(id, order);
    await platform.release();
    const failed = await platform.ask("GET", `/v2/service_instances/${id}/last_operation`);
    expect(failed.body).toEqual({ state: "failed", description: "the disk is full during create" });
    expect((await platform.get(id)).status).toBe(404);
    expect((await platform.patch(id, platform.ids("filter", "small"))).status).toBe(400);
    expect(await deletedUntilGone(id, platform.ids("filter", "small"))).toEqual([202, 410]);
  });

  test("that was refused (4xx) or never arrived is not there, and deleting it says so", async () => {
    const id = fresh();
    const ids = platform.ids("filter", "small");
    await platform.put(id, platform.order("filter", "small", filter({ package: "AAAA" })));
    expect(await deletedUntilGone(id, ids)).toEqual([410]);
    const path = `/v2/service_instances/${id}/service_bindings/b?${new URLSearchParams({ ...ids, accepts_incomplete: "true" }).toString()}`;
    expect((await platform.ask("DELETE", path)).status).toBe(410);
  });

  test("that still has bindings goes with them", async () => {
    const id = fresh();
    const ids = platform.ids("series", "raw");
    await platform.put(id, platform.order("series", "raw"));
    const path = `/v2/service_instances/${id}/service_bindings/b`;
    const { body } = await platform.ask("PUT", path, { body: ids });
    const { password } = body["credentials"] as { password: string };
    expect(await deletedUntilGone(id, ids)).toEqual([200]);
    expect(running.gateway.osb!.broker.admits(id, "b", password)).toBeUndefined();
    expect(
      (await platform.ask("DELETE", `${path}?${new URLSearchParams(ids).toString()}`)).status,
    ).toBe(410);
  });
});

describe("a gateway that is killed", () => {
  test("goes on with each operation that was under way, and knows each binding", async () => {
    const ids = platform.ids("filter", "small");
    const [made, coming, leaving] = [fresh(), fresh(), fresh()];
    const binding = (id: string) =>
      `/v2/service_instances/${made}/service_bindings/${id}?accepts_incomplete=true`;
    const order = (name: string) => platform.order("filter", "small", filter({ name }));
    await platform.put(made, order("made"));
    await platform.put(leaving, order("leaving"));
    await platform.release();
    await platform.ask("PUT", binding("b"), { body: ids });
    await platform.release();
    const { body } = await platform.ask("GET", binding("b"));
    const { password } = body["credentials"] as { password: string };
    platform.hold();
    const { operation } = (await platform.put(coming, order("coming"))).body as {
      operation: string;
    };
    await platform.remove(leaving, ids);
    await platform.ask("PUT", binding("c"), { body: ids });
    // As the disk is at this moment: nothing more gets there from the process.
    using other = scratch();
    running.gateway.store.database.pragma("wal_checkpoint(PASSIVE)");
    cpSync(it.folder, other.path, { recursive: true });
    await platform.release();
    await using one = await startGateway(
      {},
      { folder: other.path, project: openProject(other.path) },
    );
    // Told by the broker itself, before a platform asks.
    one.gateway.osb = new ServiceBroker(one.gateway, config);
    await one.gateway.osb.broker.idle();
    const names = one.gateway.hosted.states().map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["made", "coming"]));
    expect(names).not.toContain("leaving");
    const after = await Platform.at(one, { token: running.token });
    expect(await after.last(coming, `?operation=${operation}`)).toBe("succeeded");
    expect(await after.last(leaving)).toBe(410);
    expect((await after.ask("GET", binding("c"))).status).toBe(200);
    expect(one.gateway.osb!.broker.admits(made, "b", password)).toBeDefined();
  }, 60_000);
});

test("an instance of a filter that the operator offers no longer is used and deleted as before", async () => {
  writeFileSync(join(it.folder, "preset.wpkg"), Buffer.from(it.signed, "base64"));
  const filters = [{ name: "preset", description: "A filter", package: "preset.wpkg" }];
  const before = await Platform.at(running, { broker: { ...config, filters } });
  const { id: service_id, plans } = before.services.find(({ name }) => name === "wasmote-preset")!;
  const ids = { service_id, plan_id: plans[0]!.id };
  const id = fresh();
  const body = { ...ids, organization_guid: "o", space_guid: "s" };
  const parameters = { inputs: { level: "wye/sensors/level" }, name: "preset" };
  expect((await before.put(id, { ...body, parameters })).status).toBe(202);
  await before.release();
  const path = `/v2/service_instances/${id}/service_bindings/b`;
  await before.ask("PUT", `${path}?accepts_incomplete=true`, { body: ids });
  await before.release();
  const after = await Platform.at(running);
  expect(after.services.map(({ name }) => name)).not.toContain("wasmote-preset");
  const bound = await after.ask("GET", path);
  expect(bound.status).toBe(200);
  const { password } = bound.body["credentials"] as { password: string };
  expect(running.gateway.osb!.broker.admits(id, "b", password)).toMatchObject({ raw: true });
  expect((await after.put(fresh(), { ...body, parameters })).status).toBe(400);
  const query = new URLSearchParams({ ...ids, accepts_incomplete: "true" }).toString();
  expect((await after.ask("DELETE", `${path}?${query}`)).status).toBe(202);
  await after.release();
  expect((await after.remove(id, ids)).status).toBe(202);
  await after.release();
  expect(await after.last(id)).toBe(410);
  expect(running.gateway.hosted.states().map(({ name }) => name)).not.toContain("preset");
});

test("a binding whose id has a colon has credentials that are good: no user name has one (RFC 7617 §2)", async () => {
  const id = fresh();
  await platform.put(id, platform.order("series", "raw"));
  for (const binding of ["a:b", "a%b", "%3A"]) {
    const path = `/v2/service_instances/${id}/service_bindings/${encodeURIComponent(binding)}`;
    const { body } = await platform.ask("PUT", path, { body: platform.ids("series", "raw") });
    const { username, password, values_url } = body["credentials"] as Record<string, string>;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    expect((await fetch(values_url!, { headers: { authorization } })).status).toBe(200);
  }
});
