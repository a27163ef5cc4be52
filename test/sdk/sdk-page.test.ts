// The reference page of the SDK is what its examples come to now, and every difference from plain AssemblyScript is as it says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { missingEngine } from "../../host/lib/engine.ts";
import * as sdk from "../../host/sdk.ts";
import { root } from "../../host/setup.mjs";

const unbuilt = missingEngine("wasmote");
const skipped = unbuilt ? ` (skipped: ${unbuilt})` : "";

test.skipIf(unbuilt)(
  `docs/sdk.md is what \`npm run gen\` writes${skipped}`,
  { timeout: 120_000 },
  async () => {
    expect(readFileSync(join(root, "docs/sdk.md"), "utf8")).toBe(await sdk.sdkPage());
  },
);

test("every class, and every function that is not a part of the build, is on the page", () => {
  const page = readFileSync(join(root, "docs/sdk.md"), "utf8");
  const sources = ["index.ts", "filters.ts", "time.ts"].map((name) =>
    readFileSync(join(root, "assembly", name), "utf8"),
  );
  const exported = sources.flatMap((source) =>
    [
      ...source.matchAll(/^(?:\/\/ @ts-ignore.*\n)?(?:@\w+ )*export (?:function|class) (\w+)/gm),
    ].map(([, name]) => name!),
  );
  const own = exported.filter((name) => !name.startsWith("__"));
  expect(own.length).toBeGreaterThan(25);
  const typesOnly = ["Sensor", "Output", "Parameter", "State", "Timer", "Request"];
  expect(own.filter((name) => !typesOnly.includes(name) && !page.includes(name))).toEqual([]);
});

describe.skipIf(unbuilt)(`what differs from plain AssemblyScript${skipped}`, () => {
  test.each(sdk.differences)("$what", async ({ example, fault, logs = [], trap }) => {
    const found = await sdk.tried(example);
    if (fault) expect(found.fault).toMatch(fault);
    else expect(found.fault).toBeUndefined();
    expect(found.logs).toEqual(logs);
    if (trap) expect(found.trap).toMatch(trap);
    else expect(found.trap).toBeUndefined();
  });
});
