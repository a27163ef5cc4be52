// The manifests in docs/deploy: what Kubernetes knows is held against its own schemas, the rest against what it is for.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv, type ValidateFunction } from "ajv";
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { parseDetails } from "../../host/gateway/adapters/akri/devices.ts";
import { handlerName } from "../../host/gateway/adapters/akri/handler.ts";
import { parseConfig } from "../../host/gateway/config.ts";
import { root } from "../../host/setup.mjs";
import { wasmote } from "../harness/command.ts";
import { missingTools, tool } from "../harness/tools.ts";

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec?: Record<string, unknown>;
}

/** Judges by the schemas of Kubernetes 1.33; a field that they have not is a fault. */
const judge = `
import json, sys
from kubernetes_validate import validate
for one in json.load(sys.stdin):
    try:
        validate(one, "1.33", strict=True)
        print(one["kind"], "good")
    except Exception as error:
        print(one["kind"], type(error).__name__)
        print(error, file=sys.stderr)
`;

/** Resources that others define: by their own definitions. */
const isCustom = ({ apiVersion }: Manifest) => /^(akri\.sh|core\.spinkube\.dev)\//.test(apiVersion);

type Schema = Record<string, unknown>;

/** A schema of a definition as ajv takes it; a field that it does not have is a fault, as for `kubectl --validate=strict`. */
function closed(given: unknown): unknown {
  if (Array.isArray(given)) return given.map(closed);
  if (typeof given !== "object" || given === null) return given;
  const schema = Object.fromEntries(
    Object.entries(given as Schema).map(([key, value]) => [key, closed(value)]),
  ) as Schema;
  if (schema["x-kubernetes-int-or-string"] === true) return { type: ["integer", "string"] };
  if (
    schema["type"] === "object" &&
    schema["properties"] !== undefined &&
    schema["additionalProperties"] === undefined &&
    schema["x-kubernetes-preserve-unknown-fields"] !== true
  )
    schema["additionalProperties"] = false;
  return schema;
}

/** Akri's and SpinKube's definitions, by group, version and kind. */
function definitions(): Map<string, ValidateFunction> {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const from = fileURLToPath(new URL("crds", import.meta.url));
  const found = new Map<string, ValidateFunction>();
  for (const file of readdirSync(from)) {
    const { spec } = parse(readFileSync(join(from, file), "utf8")) as {
      spec: {
        group: string;
        names: { kind: string };
        versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
      };
    };
    for (const { name, schema } of spec.versions) {
      const whole = schema.openAPIV3Schema;
      // What each resource has besides.
      const common = { apiVersion: {}, kind: {}, metadata: {} };
      whole["properties"] = { ...(whole["properties"] as object), ...common };
      const key = `${spec.group}/${name} ${spec.names.kind}`;
      found.set(key, ajv.compile(closed(whole) as object));
    }
  }
  return found;
}

const folder = join(root, "docs/deploy");
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const manifests = files.flatMap((file) =>
  parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => {
    expect(document.errors).toEqual([]);
    return { file, manifest: document.toJS() as Manifest };
  }),
);

describe("the manifests", () => {
  test.skipIf(missingTools !== undefined)(
    `are what Kubernetes 1.33 takes${missingTools === undefined ? "" : ` (skipped: ${missingTools})`}`,
    () => {
      const own = manifests.filter(({ manifest }) => !isCustom(manifest));
      expect(own.length).toBeGreaterThan(7);
      const service = own.find(({ manifest }) => manifest.kind === "Service")!.manifest;
      // The last ones show that it does say no.
      const wrong = [
        { ...service, spec: { ...service.spec, port: 1 } },
        { ...service, kind: "Nothing" },
      ];
      const input = JSON.stringify([...own.map(({ manifest }) => manifest), ...wrong]);
      const { stdout, stderr } = spawnSync(tool("python"), ["-c", judge], {
        input,
        encoding: "utf8",
      });
      expect(stdout.split("\n").filter(Boolean), stderr).toEqual([
        ...own.map(({ manifest }) => `${manifest.kind} good`),
        "Service ValidationError",
        "Nothing SchemaNotFoundError",
      ]);
    },
    120_000,
  );

  test("of Akri and SpinKube are what their own definitions take", () => {
    const by = definitions();
    const custom = manifests.flatMap(({ manifest }) => (isCustom(manifest) ? [manifest] : []));
    expect(custom.map(({ kind }) => kind).toSorted()).toEqual([
      "Configuration",
      "SpinApp",
      "SpinAppExecutor",
    ]);
    for (const manifest of custom) {
      const check = by.get(`${manifest.apiVersion} ${manifest.kind}`)!;
      check(manifest);
      expect(check.errors ?? [], manifest.kind).toEqual([]);
      // They do say no: to a field that is not there, and to one of another kind.
      expect(check({ ...manifest, spec: { ...manifest.spec, another: 1 } })).toBe(false);
      const [first = ""] = Object.keys(manifest.spec!);
      expect(check({ ...manifest, spec: { ...manifest.spec, [first]: [[]] } })).toBe(false);
    }
  });

  test("have settings that the gateway takes, and options that it has", async () => {
    const settings = manifests.flatMap(({ manifest }) => manifest.data?.["gateway.toml"] ?? []);
    expect(settings.length).toBe(2);
    for (const text of settings) parseConfig(parseToml(text));
    const { out } = await wasmote(folder, "gateway", "--help");
    const words = manifests.flatMap(({ manifest }) => [
      ...JSON.stringify(manifest).matchAll(/"args":\["gateway"([^\]]*)\]/g),
    ]);
    expect(words.length).toBe(2);
    for (const option of words.flatMap(([, text = ""]) => text.match(/--[a-z-]+/g) ?? []))
      expect(out).toContain(option);
  }, 60_000);

  test("name the handler to Akri, with details that it takes and fields that its Configuration has", () => {
    const { spec } = manifests.find(({ manifest }) => manifest.kind === "Configuration")!.manifest;
    // The fields of Akri's own definition (configurations.akri.sh, v0).
    const fields = [
      "discoveryHandler",
      "capacity",
      "brokerSpec",
      "instanceServiceSpec",
      "configurationServiceSpec",
      "brokerProperties",
    ];
    for (const field of Object.keys(spec!)) expect(fields).toContain(field);
    const handler = spec!["discoveryHandler"] as Record<string, string>;
    expect(handler["name"]).toBe(handlerName);
    expect(parseDetails(handler["discoveryDetails"]!)).toMatchObject({ nodes: ["wye-*"] });
    expect(JSON.stringify(spec!["brokerSpec"])).toContain("brokerPodSpec");
  });
});
