// The manifests in docs/deploy: what Kubernetes knows is held against its own schemas, the rest against what it is for.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
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
      const own = manifests.filter(({ manifest }) => !manifest.apiVersion.startsWith("akri.sh/"));
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
