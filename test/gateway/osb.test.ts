// The service broker, row by row of the specification's tables (Open Service Broker v2.17): what it answers, and that a refusal changes nothing.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../host/gateway/config.ts";
import { keepKey, openProject, signingKey } from "../../host/lib/project.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, type Running } from "./harness.ts";
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

describe("every request", () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

  test("needs a token's name and the token, with the role install (401, 403)", async () => {
    const { access } = running.gateway;
    const reader = access.create("reader", "read");
    const installer = access.create("installer", "install");
    const status = async (authorization: string | undefined, more = {}) =>
      (await platform.ask("GET", "/v2/catalog", { headers: { authorization, ...more } })).status;
    expect(await status(undefined)).toBe(401);
    expect(await status("Basic !")).toBe(401);
    expect(await status(basic("first"))).toBe(401);
    expect(await status(basic(`second:${running.token}`))).toBe(401);
    expect(await status(basic("first:wm_no"))).toBe(401);
    expect(await status(`Bearer ${running.token}`)).toBe(401);
    expect(await status(basic(`reader:${reader}`))).toBe(403);
    expect(await status(basic(`installer:${installer}`))).toBe(200);
    // What a browser keeps is not for pages of somebody else's.
    expect(await status(basic(`first:${running.token}`), { origin: "https://other.example" })).toBe(
      401,
    );
    const { headers } = await platform.ask("GET", "/v2/catalog", {
      headers: { authorization: undefined },
    });
    expect(headers.get("www-authenticate")).toMatch(/^Basic /);
  });

  test.each([
    [undefined, 400],
    ["", 400],
    ["two", 400],
    ["2.17.0", 400],
    ["1.17", 412],
    ["3.0", 412],
    ["2.12", 412],
    ["2.13", 200],
    ["2.17", 200],
    ["2.99", 200],
  ])("of version %s is answered with %i", async (version, status) => {
    const headers = { "x-broker-api-version": version };
    expect((await platform.ask("GET", "/v2/catalog", { headers })).status).toBe(status);
  });

  test("has its identity in the answer, also in a refusal, and the user in the audit", async () => {
    const user = Buffer.from('{"user_id":"u1"}').toString("base64");
    const headers = {
      "x-broker-api-request-identity": "r-17",
      "x-broker-api-originating-identity": `cloudfoundry ${user}`,
    };
    const id = fresh();
    const good = await platform.ask("PUT", `/v2/service_instances/${id}`, {
      body: platform.order("series", "raw"),
      headers,
    });
    expect(good.status).toBe(201);
    expect(good.headers.get("x-broker-api-request-identity")).toBe("r-17");
    const bad = await platform.ask("GET", "/v2/service_instances/none", { headers });
    expect([bad.status, bad.headers.get("x-broker-api-request-identity")]).toEqual([404, "r-17"]);
    expect(running.gateway.store.audits(1)).toMatchObject([
      {
        who: 'first for cloudfoundry {"user_id":"u1"}',
        what: "osb PUT",
        target: id,
        result: "201",
      },
    ]);
    for (const wrong of ["cloudfoundry", user, "cloudfoundry !!", `cloudfoundry ${btoa("[1]")}`]) {
      const asked = { headers: { "x-broker-api-originating-identity": wrong } };
      expect((await platform.ask("GET", "/v2/catalog", asked)).status).toBe(400);
    }
  });

  test("is refused where it is malformed", async () => {
    const path = "/v2/service_instances/x";
    const put = async (body: unknown, headers = {}) =>
      (await platform.ask("PUT", path, { body, headers })).status;
    const good = platform.order("series", "raw");
    for (const body of ["", "{", "[]", "3", "null", '"a"']) expect(await put(body)).toBe(400);
    // Deeper than what writes JSON can follow.
    const deep = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`;
    expect(await put(`${JSON.stringify(good).slice(0, -1)},"more":${deep}}`)).toBe(400);
    expect(await put(good, { "content-type": "text/plain" })).toBe(400);
    expect(await put("x".repeat(3 << 20))).toBe(413);
    for (const key of ["service_id", "plan_id", "organization_guid", "space_guid"]) {
      for (const value of [undefined, "", 3, null, {}])
        expect(await put({ ...good, [key]: value })).toBe(400);
    }
    for (const key of ["context", "parameters", "maintenance_info"])
      for (const value of [3, "a", [], null])
        expect(await put({ ...good, [key]: value })).toBe(400);
    // Fields that nobody knows are no reason to stop ("Vendor Extension Fields").
    expect(await put({ ...good, "x-other": 1, __proto__: 2 })).toBe(201);
    expect((await platform.remove("x", platform.ids("series", "raw"))).status).toBe(200);
  });

  test("is refused at other addresses, with other methods, and with broken ids", async () => {
    const status = async (method: string, path: string, body?: unknown) =>
      (await platform.ask(method, path, body === undefined ? {} : { body })).status;
    expect(await status("GET", "/v2/nothing")).toBe(404);
    expect(await status("POST", "/v2/catalog")).toBe(405);
    expect(await status("POST", "/v2/service_instances/x", {})).toBe(405);
    expect(await status("PUT", "/v2/service_instances/x/last_operation", {})).toBe(405);
    expect(await status("PATCH", "/v2/service_instances/x/service_bindings/y", {})).toBe(405);
    for (const id of ["%", "%00", "%ff", "x".repeat(256)])
      expect(await status("GET", `/v2/service_instances/${id}`)).toBe(400);
    const order = platform.order("series", "raw");
    for (const flag of ["yes", "", "true&accepts_incomplete=false", "TRUE"])
      expect(await status("PUT", `/v2/service_instances/x?accepts_incomplete=${flag}`, order)).toBe(
        400,
      );
    // An id may have any other character.
    const odd = encodeURIComponent("a/b ü~'\"");
    expect(await status("PUT", `/v2/service_instances/${odd}`, order)).toBe(201);
    expect((await platform.get(odd)).status).toBe(200);
  });
});

describe("the catalogue", () => {
  test("has unique names and ids, plans, and schemas that say what the broker takes", async () => {
    const { services } = platform;
    const all = services.flatMap((one) => [one, ...one.plans]);
    expect(services.map(({ name }) => name)).toEqual(
      ["series", "stream", "filter"].map((name) => `wasmote-${name}`),
    );
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { id, name } of all) {
      expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
      expect(name).toMatch(/^[A-Za-z0-9.-]+$/);
    }
    const ajv = new Ajv({ strict: false });
    const takes = (schema: Record<string, unknown>) => {
      const { $schema, ...rest } = schema;
      expect($schema).toBe("http://json-schema.org/draft-04/schema#");
      return ajv.compile(rest);
    };
    const { schemas } = services[0]!.plans[0]!;
    const creates = takes(schemas.service_instance.create.parameters);
    for (const parameters of [
      {},
      { nodes: ["wye*"] },
      { nodes: [] },
      { nodes: ["a"], resources: ["outputs/*"] },
      { nodes: "wye" },
      { nodes: [1] },
      { nodes: [""] },
      { nodes: Array.from({ length: 65 }, () => "a") },
      { other: 1 },
      { resources: ["x".repeat(201)] },
    ]) {
      const { status } = await platform.put(fresh(), platform.order("series", "raw", parameters));
      expect([JSON.stringify(parameters), status]).toEqual([
        JSON.stringify(parameters),
        creates(parameters) ? 201 : 400,
      ]);
    }
    const instance = fresh();
    await platform.put(instance, platform.order("series", "raw"));
    const binds = takes(schemas.service_binding.create.parameters);
    for (const parameters of [
      {},
      { days: 1 },
      { days: 3650 },
      { days: 0 },
      { days: 1.5 },
      { days: "1" },
      { days: 3651 },
      { day: 1 },
    ]) {
      const path = `/v2/service_instances/${instance}/service_bindings/${fresh()}`;
      const { status } = await platform.ask("PUT", path, {
        body: { ...platform.ids("series", "raw"), parameters },
      });
      expect([JSON.stringify(parameters), status]).toEqual([
        JSON.stringify(parameters),
        binds(parameters) ? 201 : 400,
      ]);
    }
    const filters = takes(services[2]!.plans[0]!.schemas.service_instance.create.parameters);
    for (const parameters of [
      {},
      { package: it.signed },
      { inputs: {} },
      filter({ inputs: { level: "wye" } }),
      filter({ parameters: { limit: "1" } }),
      filter({ extra: 1 }),
      filter({ inputs: [] }),
    ]) {
      expect(filters(parameters)).toBe(false);
      expect(
        (await platform.put(fresh(), platform.order("filter", "small", parameters))).status,
      ).toBe(400);
    }
    expect(filters(filter())).toBe(true);
  });

  test("has an ETag, and is not sent again to those who have it (304)", async () => {
    const first = await platform.ask("GET", "/v2/catalog");
    const tag = first.headers.get("etag")!;
    const status = async (given: string) =>
      (await platform.ask("GET", "/v2/catalog", { headers: { "if-none-match": given } })).status;
    expect(await status(tag)).toBe(304);
    expect(await status(`"other", W/${tag}`)).toBe(304);
    expect(await status("*")).toBe(304);
    expect(await status('"other"')).toBe(200);
  });

  test("keeps its ids over a restart; another gateway has other ones", async () => {
    using other = scratch();
    const ids = async (given: Running, token: string) =>
      (await Platform.at(given, { token })).services.map(({ id }) => id);
    let first: string[];
    let token: string;
    {
      await using one = await startGateway({ osb: config }, { folder: other.path });
      ({ token } = one);
      first = await ids(one, token);
    }
    await using one = await startGateway({ osb: config }, { folder: other.path });
    expect(await ids(one, token)).toEqual(first);
    expect(first).not.toEqual(platform.services.map(({ id }) => id));
  });

  test("has the filters that the operator offers, with the package of his choice", async () => {
    using other = scratch();
    const own = openProject(other.path);
    keepKey(own, signingKey(it.project));
    writeFileSync(join(other.path, "flood.wpkg"), Buffer.from(it.signed, "base64"));
    const osb = parseConfig({
      osb: { filters: { flood: { package: "flood.wpkg", description: "Warns of floods" } } },
    }).osb!;
    await using one = await startGateway({}, { folder: other.path, project: own });
    const at = await Platform.at(one, { broker: osb });
    const order = at.order("flood", "standard", {
      name: "warner",
      inputs: { level: "wye/sensors/level" },
    });
    expect((await at.put("f", { ...order, parameters: filter() })).status).toBe(400);
    expect((await at.put("f", order)).status).toBe(202);
    await at.release();
    expect(one.gateway.hosted.states()).toMatchObject([{ name: "warner" }]);
    expect(
      (
        await at.patch("f", {
          ...at.ids("flood", "standard"),
          parameters: { inputs: { level: "usk/sensors/level" } },
        })
      ).status,
    ).toBe(202);
    await at.release();
    expect(one.gateway.hosted.states()).toMatchObject([{ inputs: { level: "usk/sensors/level" } }]);
  });

  test.each([
    { name: "" },
    { address: "gateway" },
    { address: "http://gateway/" },
    { filters: { series: { package: "a" } } },
    { filters: { flood: {} } },
    { other: 1 },
  ])("settings %j are refused", (osb) => {
    expect(() => parseConfig({ osb })).toThrow(/osb/);
  });
});

describe("an instance of a synchronous plan", () => {
  test("is made once (201), is the same again (200), and not another (409)", async () => {
    const id = fresh();
    const order = platform.order("series", "raw", { nodes: ["wye"], resources: ["outputs/*"] });
    expect((await platform.put(id, order, false)).status).toBe(201);
    const reordered = {
      ...order,
      parameters: { resources: ["outputs/*"], nodes: ["wye"] },
      context: {},
    };
    expect((await platform.put(id, reordered)).status).toBe(200);
    for (const other of [
      { plan_id: platform.ids("series", "steps").plan_id },
      platform.ids("stream", "shared"),
      { parameters: { nodes: ["usk"] } },
      { parameters: undefined },
      { organization_guid: "other" },
      { space_guid: "other" },
    ])
      expect((await platform.put(id, { ...order, ...other })).status).toBe(409);
    expect((await platform.get(id)).body).toMatchObject({
      ...platform.ids("series", "raw"),
      parameters: order["parameters"],
      maintenance_info: { version: "1.0.0" },
    });
    expect(await platform.last(id)).toBe("succeeded");
  });

  test("is of a service and a plan of the catalogue (400), and of its maintenance (422)", async () => {
    const id = fresh();
    const order = platform.order("series", "raw");
    expect((await platform.put(id, { ...order, service_id: "none" })).status).toBe(400);
    expect((await platform.put(id, { ...order, plan_id: "none" })).status).toBe(400);
    const { plan_id } = platform.ids("stream", "shared");
    expect((await platform.put(id, { ...order, plan_id })).status).toBe(400);
    const conflict = { status: 422, body: { error: "MaintenanceInfoConflict" } };
    const old = { maintenance_info: { version: "0.9.0" } };
    expect(await platform.put(id, { ...order, ...old })).toMatchObject(conflict);
    expect((await platform.put(id, { ...order, maintenance_info: {} })).status).toBe(400);
    expect(await platform.last(id)).toBe(404);
    const current = { maintenance_info: { version: "1.0.0", description: "whatever" } };
    expect((await platform.put(id, { ...order, ...current })).status).toBe(201);
    const { service_id } = order as { service_id: string };
    expect(await platform.patch(id, { service_id, ...old })).toMatchObject(conflict);
    expect((await platform.patch(id, { service_id, ...current })).status).toBe(200);
  });

  test("is updated: plan, parameters, context; what is not in a request stays", async () => {
    const id = fresh();
    const { service_id, plan_id } = platform.ids("series", "raw");
    const steps = platform.ids("series", "steps").plan_id;
    await platform.put(id, platform.order("series", "raw", { nodes: ["wye"] }));
    const patch = async (body: object) =>
      (await platform.patch(id, { service_id, ...body })).status;
    expect(await patch({ plan_id: steps, previous_values: { plan_id } })).toBe(200);
    expect((await platform.get(id)).body).toMatchObject({
      plan_id: steps,
      parameters: { nodes: ["wye"] },
    });
    expect(await patch({ parameters: { resources: ["outputs/flow"] } })).toBe(200);
    expect((await platform.get(id)).body).toMatchObject({
      plan_id: steps,
      parameters: { nodes: ["wye"], resources: ["outputs/flow"] },
    });
    expect(await patch({ context: { platform: "test", instance_name: "new" } })).toBe(200);
    for (const body of [
      { service_id: undefined },
      { service_id: "none" },
      { ...platform.ids("stream", "shared") },
      { plan_id: "none" },
      { plan_id: platform.ids("stream", "shared").plan_id },
      { parameters: { other: 1 } },
      { parameters: 3 },
      { previous_values: { plan_id } },
      { previous_values: 1 },
      { context: "x" },
    ])
      expect(await patch(body)).toBe(400);
    expect((await platform.patch("none", { service_id })).status).toBe(400);
  });

  test("is deleted once (200), and is gone (410)", async () => {
    const id = fresh();
    const ids = platform.ids("series", "raw");
    await platform.put(id, platform.order("series", "raw"));
    const remove = async (query: Record<string, string | undefined>) =>
      (
        await platform.ask(
          "DELETE",
          `/v2/service_instances/${id}?${new URLSearchParams(JSON.parse(JSON.stringify(query)) as Record<string, string>).toString()}`,
        )
      ).status;
    const { service_id, plan_id } = ids;
    for (const query of [
      {},
      { service_id },
      { plan_id },
      { service_id, plan_id: "" },
      { service_id: "x", plan_id },
      platform.ids("series", "steps"),
    ])
      expect(await remove(query)).toBe(400);
    const gone = await platform.remove(id, ids, false);
    expect([gone.status, gone.body]).toEqual([200, {}]);
    expect(await remove(ids)).toBe(410);
    expect((await platform.get(id)).status).toBe(404);
    expect(await platform.last(id)).toBe(404);
    // Its id may be used again.
    expect((await platform.put(id, platform.order("stream", "shared"))).status).toBe(201);
  });
});

describe("an instance of an asynchronous plan", () => {
  const ids = () => platform.ids("filter", "small");

  test("is accepted (202) and the same operation while it comes to be; other attributes are 409", async () => {
    const id = fresh();
    const order = platform.order("filter", "small", filter({ name: "one" }));
    const required = { status: 422, body: { error: "AsyncRequired" } };
    expect(await platform.put(id, order, false)).toMatchObject(required);
    expect(await platform.ask("PUT", `/v2/service_instances/${id}`, { body: order })).toMatchObject(
      required,
    );
    platform.hold();
    const first = await platform.put(id, order);
    expect(first).toMatchObject({
      status: 202,
      body: { operation: expect.stringMatching(/.{10}/) as string },
    });
    expect(first.headers.get("retry-after")).toBe("1");
    const again = await platform.put(id, order);
    expect(again).toMatchObject({ status: 202, body: first.body });
    expect((await platform.put(id, { ...order, space_guid: "x" })).status).toBe(409);
    expect(
      (await platform.put(id, { ...order, plan_id: platform.ids("filter", "large").plan_id }))
        .status,
    ).toBe(409);
    expect((await platform.get(id)).status).toBe(404);
    expect(await platform.last(id)).toBe("in progress");
    const { operation } = first.body as { operation: string };
    expect(
      await platform.last(
        id,
        `?operation=${operation}&service_id=${ids().service_id}&plan_id=${ids().plan_id}`,
      ),
    ).toBe("in progress");
    for (const query of [
      "?operation=other",
      "?operation=",
      "?service_id=x",
      "?plan_id=x",
      "?service_id=",
    ])
      expect(await platform.last(id, query)).toBe(400);
    // Nothing else may be done with it meanwhile, but taking it back.
    const busy = { status: 422, body: { error: "ConcurrencyError" } };
    expect(await platform.patch(id, { ...ids(), parameters: { parameters: {} } })).toMatchObject(
      busy,
    );
    expect(
      await platform.ask(
        "PUT",
        `/v2/service_instances/${id}/service_bindings/b?accepts_incomplete=true`,
        { body: ids() },
      ),
    ).toMatchObject(busy);
    await platform.release();
    expect(await platform.last(id, `?operation=${operation}`)).toBe("succeeded");
    // Asked again, it still says so.
    expect(await platform.last(id)).toBe("succeeded");
    expect((await platform.get(id)).body).toMatchObject({
      ...ids(),
      parameters: { name: "one", inputs: { level: "wye/sensors/level" } },
    });
    expect((await platform.put(id, order)).status).toBe(200);
    expect(running.gateway.hosted.states()).toContainEqual(
      expect.objectContaining({ name: "one" }),
    );
  });

  test("is updated (202), refuses what its plan or its state does not allow (422), and is as before where it fails", async () => {
    const id = fresh();
    await platform.put(id, platform.order("filter", "small", filter({ name: "two" })));
    await platform.release();
    const { service_id } = ids();
    const inputs = { level: "usk/sensors/level" };
    const body = { service_id, parameters: { inputs } };
    expect(await platform.patch(id, body, false)).toMatchObject({
      status: 422,
      body: { error: "AsyncRequired" },
    });
    platform.hold();
    const first = await platform.patch(id, body);
    expect(first.status).toBe(202);
    expect(await platform.patch(id, body)).toMatchObject({ status: 202, body: first.body });
    const busy = { status: 422, body: { error: "ConcurrencyError" } };
    expect(
      await platform.patch(id, { service_id, parameters: { inputs: { level: "a/b" } } }),
    ).toMatchObject(busy);
    expect(await platform.remove(id, ids())).toMatchObject(busy);
    expect(await platform.get(id)).toMatchObject(busy);
    expect(
      await platform.put(id, platform.order("filter", "small", filter({ name: "two" }))),
    ).toMatchObject(busy);
    await platform.release();
    expect((await platform.get(id)).body).toMatchObject({ parameters: { name: "two", inputs } });
    // What changes nothing is done at once.
    expect(await platform.patch(id, body)).toMatchObject({ status: 200, body: {} });
    const too = { service_id, parameters: { package: it.large } };
    expect(await platform.patch(id, too)).toMatchObject({
      status: 422,
      body: { description: expect.stringMatching(/memory/) as string },
    });
    expect(await platform.patch(id, { service_id, parameters: { name: "else" } })).toMatchObject({
      status: 422,
      body: { update_repeatable: false },
    });
    expect(
      (await platform.patch(id, { ...too, plan_id: platform.ids("filter", "large").plan_id }))
        .status,
    ).toBe(202);
    await platform.release();
    // Back to the small plan it does not fit.
    expect((await platform.patch(id, { service_id, plan_id: ids().plan_id })).status).toBe(422);
    platform.failing = "update";
    expect(
      (await platform.patch(id, { service_id, parameters: { inputs: { level: "x/y" } } })).status,
    ).toBe(202);
    await platform.release();
    const failed = await platform.ask("GET", `/v2/service_instances/${id}/last_operation`);
    expect(failed.body).toMatchObject({
      state: "failed",
      instance_usable: true,
      update_repeatable: true,
      description: expect.stringMatching(/disk/) as string,
    });
    expect((await platform.get(id)).body).toMatchObject({ parameters: { inputs } });
  });

  test("is deleted (202), the same again while it lasts, and then gone (410)", async () => {
    const id = fresh();
    await platform.put(id, platform.order("filter", "small", filter({ name: "three" })));
    await platform.release();
    expect(await platform.remove(id, ids(), false)).toMatchObject({
      status: 422,
      body: { error: "AsyncRequired" },
    });
    platform.failing = "delete";
    await platform.remove(id, ids());
    await platform.release();
    const failed = await platform.ask("GET", `/v2/service_instances/${id}/last_operation`);
    expect(failed.body).toMatchObject({ state: "failed", instance_usable: false });
    expect(failed.body).not.toHaveProperty("update_repeatable");
    const path = `/v2/service_instances/${id}/service_bindings/b?accepts_incomplete=true`;
    expect((await platform.ask("PUT", path, { body: ids() })).status).toBe(422);
    platform.hold();
    const first = await platform.remove(id, ids());
    expect(first.status).toBe(202);
    expect(await platform.remove(id, ids())).toMatchObject({ status: 202, body: first.body });
    expect(
      await platform.put(id, platform.order("filter", "small", filter({ name: "three" }))),
    ).toMatchObject({ status: 422, body: { error: "ConcurrencyError" } });
    await platform.release();
    expect(await platform.last(id)).toBe(410);
    expect((await platform.remove(id, ids())).status).toBe(410);
    expect(running.gateway.hosted.states().map(({ name }) => name)).not.toContain("three");
    // Made anew, it is there, and the old deletion is forgotten.
    await platform.put(id, platform.order("filter", "small", filter({ name: "three" })));
    await platform.release();
    expect(await platform.last(id)).toBe("succeeded");
  });

  test("has a signed package of the project's, inputs for its sensors, and a name of its own", async () => {
    const status = async (parameters: object) =>
      (await platform.put(fresh(), platform.order("filter", "small", parameters))).status;
    expect(await status(filter({ package: it.foreign }))).toBe(400);
    for (const wrong of ["AAAA", "A", "no base64!", it.signed.slice(0, -8)])
      expect(await status(filter({ package: wrong }))).toBe(400);
    expect(await status(filter({ inputs: {} }))).toBe(400);
    expect(await status(filter({ parameters: { none: 1 } }))).toBe(400);
    expect(await status(filter({ parameters: { limit: 1e30 } }))).toBe(400);
    expect(await status(filter({ name: "-" }))).toBe(400);
    // The gateway's own name; a series has none, and takes nobody's.
    expect(await status(filter({ name: "gateway" }))).toBe(422);
    await platform.put(fresh(), platform.order("series", "raw"));
    expect(await status(filter({ name: "undefined" }))).toBe(202);
    expect(await status(filter({ package: it.large }))).toBe(400);
    expect(await status(filter({ name: "mine" }))).toBe(202);
    expect(await status(filter({ name: "mine" }))).toBe(422);
    await platform.release();
  });
});
