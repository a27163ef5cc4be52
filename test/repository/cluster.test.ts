// The manifests of docs/deploy at a real API server of Kubernetes, with the definitions of Akri and SpinKube: each is taken as it is, nothing of it
// is dropped, and what is wrong is refused. Where no API server has been built (`npm run -s cluster`), deploy.test.ts's schemas stand for it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { root } from "../../host/setup.mjs";
import { ApiServer, missingApiServer, type Answered } from "./api-server.ts";

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  spec?: Record<string, unknown>;
  [other: string]: unknown;
}

interface Resources {
  resources: { name: string; kind: string; namespaced: boolean }[];
}

const folder = join(root, "docs/deploy");
const manifests = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), "utf8")))
  .map((document) => document.toJS() as Manifest);
const definitionsFolder = join(import.meta.dirname, "crds");
const definitions = readdirSync(definitionsFolder).map(
  (file) => parse(readFileSync(join(definitionsFolder, file), "utf8")) as Manifest,
);

/** Where resources of a manifest's kind are, as the server itself says. */
async function placeOf(server: ApiServer, { apiVersion, kind }: Manifest): Promise<string> {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { body } = await server.ask("GET", group);
  const found = (body as unknown as Resources).resources.find(
    (one) => one.kind === kind && !one.name.includes("/"),
  );
  if (!found) throw new Error(`the server has no ${kind} in ${apiVersion}`);
  return `${group}/${found.namespaced ? "namespaces/default/" : ""}${found.name}`;
}

/** As `kubectl create --validate=strict`. */
async function create(server: ApiServer, manifest: Manifest, dry = false): Promise<Answered> {
  const strict = `?fieldValidation=Strict${dry ? "&dryRun=All" : ""}`;
  return server.ask("POST", (await placeOf(server, manifest)) + strict, manifest);
}

test.skipIf(missingApiServer !== undefined)(
  `manifests are what an API server of Kubernetes takes${missingApiServer === undefined ? "" : ` (skipped: ${missingApiServer})`}`,
  async () => {
    await using server = await ApiServer.start();
    for (const definition of definitions) {
      const made = await create(server, definition);
      expect(made.status, JSON.stringify(made.body)).toBe(201);
      // It serves them once it has looked at their names and schemas.
      const place = `${await placeOf(server, definition)}/${definition.metadata.name}`;
      await expect
        .poll(async () => JSON.stringify((await server.ask("GET", place)).body["status"]))
        .toMatch(/"type":"Established","status":"True"|"status":"True"[^}]*"type":"Established"/);
    }
    expect(manifests.length).toBeGreaterThan(10);
    const kinds = new Set<string>();
    for (const manifest of manifests) {
      const made = await create(server, manifest);
      expect(made.status, JSON.stringify(made.body)).toBe(201);
      const place = `${await placeOf(server, manifest)}/${manifest.metadata.name}`;
      // All that was said is kept as it was said; the server's defaults stand beside it.
      expect((await server.ask("GET", place)).body).toMatchObject(manifest);
      kinds.add(manifest.kind);
      // And it does say no, to a field that is not there and to a value of another kind.
      if (manifest.spec === undefined) continue;
      const another = { ...manifest, metadata: { name: `${manifest.metadata.name}-2` } };
      const unknown = { ...another, spec: { ...manifest.spec, another: 1 } };
      const refused = await create(server, unknown, true);
      expect(refused.status, manifest.kind).toBe(400);
      expect(JSON.stringify(refused.body)).toMatch(/unknown field/);
      const [first = ""] = Object.keys(manifest.spec);
      const twisted = { ...another, spec: { ...manifest.spec, [first]: [[]] } };
      expect([400, 422], manifest.kind).toContain((await create(server, twisted, true)).status);
    }
    expect([...kinds]).toEqual(expect.arrayContaining(["Configuration", "SpinApp", "Pod"]));
  },
  600_000,
);
