// The service broker against requests that schemathesis makes of the official description: nothing that they have is a server's error, and
// every answer is one that the description or the specification has.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { missingTools, tool } from "../harness/tools.ts";
import { scratch } from "../harness/target.ts";
import { startGateway } from "./harness.ts";
import { config } from "./osb/platform.ts";

/** What the specification has and its description leaves out: refusals of every request (401, 412, 400), and of bodies that are too long. */
const general = [400, 401, 412, 413];

describe.skipIf(missingTools !== undefined)(
  `the service broker and its description${missingTools === undefined ? "" : ` (skipped: ${missingTools})`}`,
  () => {
    test("agree on every request that is made of the description", async () => {
      using folder = scratch();
      const text = readFileSync(new URL("osb/openapi.yaml", import.meta.url), "utf8");
      const described = parse(text) as {
        paths: Record<string, Record<string, { responses: Record<string, object> }>>;
      };
      const refusal = {
        description: "refused",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      };
      for (const { responses } of Object.values(described.paths).flatMap((one) =>
        Object.values(one),
      ))
        for (const status of general) responses[status] ??= refusal;
      const file = join(folder.path, "openapi.json");
      writeFileSync(file, JSON.stringify(described));
      await using running = await startGateway({ osb: config });
      const child = spawn(
        tool("st"),
        [
          "run",
          file,
          "--url",
          running.url,
          "--auth",
          `first:${running.token}`,
          "--header",
          "X-Broker-API-Version: 2.17",
          "--no-color",
          "--continue-on-failure",
          // No request hangs on the time or on chance, nor ends before a busy machine has answered it.
          "--generation-deterministic",
          "--request-timeout",
          "120",
          "--max-examples",
          "5",
          "--suppress-health-check",
          "all",
          "--rate-limit",
          "150/s",
          // It cannot know which services, plans and instances there are: a valid body is most often of none.
          "--exclude-checks",
          "positive_data_acceptance",
          "--warnings",
          "off",
        ],
        { cwd: folder.path, stdio: ["ignore", "pipe", "pipe"] },
      );
      let said = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (part: string) => (said += part));
      const code = await new Promise((resolve) => child.once("close", resolve));
      expect(code, said).toBe(0);
      expect(said).toMatch(/Tested: 10\b/);
      expect(Number(/(\d+) generated/.exec(said)?.[1])).toBeGreaterThan(200);
    }, 600_000);
  },
);
