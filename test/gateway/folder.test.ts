// A gateway's folder is one gateway's; what is asked of its history is the same time wherever it runs.
import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { timeOf } from "../../host/gateway/api.ts";
import { Refused } from "../../host/gateway/http.ts";
import { UserError } from "../../host/lib/errors.ts";
import { root } from "../../host/setup.mjs";
import { startGateway, until } from "./harness.ts";

describe("a folder", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "wasmote-folder-"));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  test("is one gateway's: a second one is refused with what to do, here and in another process", async () => {
    {
      await using first = await startGateway({}, { folder });
      const refused = await startGateway({}, { folder }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(UserError);
      expect((refused as UserError).message).toContain(`another gateway uses the folder ${folder}`);
      const words = ["--import", "tsx", join(root, "host/cli/main.ts"), "gateway"];
      const given = ["--listen", "0", "--data", folder];
      const second = spawnSync(process.execPath, [...words, ...given], {
        encoding: "utf8",
        cwd: root,
        timeout: 60_000,
      });
      expect([second.status, second.stdout]).toEqual([1, ""]);
      expect(second.stderr).toMatch(/another gateway uses the folder.*\n.*end it, or name another/);
      // The first goes on as it was.
      first.gateway.hub.publish({ node: "a", resource: "x", time: Date.now(), value: 7 });
      const { points } = await first.json<{ points: object[] }>("/api/history?node=a&resource=x");
      expect(points).toMatchObject([{ value: 7 }]);
    }
    await using again = await startGateway({}, { folder });
    expect(again.gateway.access.first).toBeUndefined();
  });

  test.each(["gateway.db", "history.db"])(
    "with a broken %s is not begun in, and the file is named",
    async (name) => {
      writeFileSync(join(folder, name), "this was a database".repeat(300));
      const failed = startGateway({}, { folder });
      await expect(failed).rejects.toThrow(`${join(folder, name)}: file is not a database`);
      rmSync(join(folder, name));
      await using running = await startGateway({}, { folder });
      expect((await running.ask("/healthz")).status).toBe(200);
    },
  );

  test("that is taken away while the gateway runs is an alarm, until it is back", async () => {
    const lines: string[] = [];
    await using running = await startGateway({}, { folder, say: (line) => lines.push(line) });
    const raised = async () => {
      const alarms =
        await running.json<{ id: string; text: string; ended?: number }[]>("/api/alarms");
      return alarms.find((one) => one.id === "disk/gateway/folder" && one.ended === undefined)
        ?.text;
    };
    expect(await raised()).toBeUndefined();
    renameSync(folder, `${folder}-away`);
    expect(await until(raised)).toContain(`${folder} was removed or moved`);
    // It goes on meanwhile, and a value that is written does not end the alarm.
    running.gateway.hub.publish({ node: "a", resource: "x", time: Date.now(), value: 7 });
    await running.gateway.history.flush();
    expect((await running.ask("/healthz")).status).toBe(200);
    expect(await raised()).toBeDefined();
    renameSync(`${folder}-away`, folder);
    await until(async () => (await raised()) === undefined);
    expect(lines.filter((line) => line.includes("removed or moved"))).toHaveLength(1);
  });

  test("is given back by a start that fails", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const listen = { host: "127.0.0.1", port };
    await expect(startGateway({ listen }, { folder })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    await expect(
      startGateway({ postgres: "postgres://nobody@/none?host=/nowhere" }, { folder }),
    ).rejects.toThrow();
    taken.close();
    await using running = await startGateway({}, { folder });
    expect((await running.ask("/healthz")).status).toBe(200);
    // Nor did they make the token that is shown once.
    expect(running.gateway.access.first).toBeDefined();
  });
});

test("a time in a query is the same time in every zone, and what is none is refused", () => {
  const now = Date.parse("2026-11-28T12:00:00Z");
  const zone = process.env["TZ"];
  try {
    for (const TZ of ["UTC", "America/St_Johns", "Pacific/Kiritimati"]) {
      process.env["TZ"] = TZ;
      const cases: [string, number][] = [
        ["-60000", now - 60_000],
        ["0", 0],
        ["2026", 2026],
        ["999999999999999", 999_999_999_999_999],
        ["2026-11-28", Date.parse("2026-11-28T00:00:00Z")],
        ["2026-11-28T12:00", now],
        ["2026-11-28T12:00:00.5", now + 500],
        ["2026-11-28T12:00:00z", now],
        ["2026-11-28T14:00:00+02:00", now],
        // Before 1970 is not a time ago.
        ["1969-12-31", -86_400_000],
        ["1969-12-31T23:59:59Z", -1_000],
      ];
      for (const [text, time] of cases)
        expect([TZ, text, timeOf(text, 1, now)]).toEqual([TZ, text, time]);
    }
  } finally {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  }
  for (const text of [
    "",
    " ",
    "now",
    "12 May",
    "may 5",
    "5m",
    "NaN",
    "Infinity",
    "1e308",
    "0x10",
    "1.5",
    "--5",
    "2026-13-45",
    "9007199254740993",
    "2026-11-28T25:00",
    "2026-11-28 12:00",
  ])
    expect(() => timeOf(text, 1, now), text).toThrow(Refused);
});
