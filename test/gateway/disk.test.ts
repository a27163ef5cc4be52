// A full disk: a small tmpfs. It is an alarm and no end, and what waited is written when there is room.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SqliteHistory } from "../../host/gateway/sqlite/history.ts";
import { startGateway, until } from "./harness.ts";

const mount = (() => {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-mount-"));
  const tried =
    process.platform === "linux" && process.getuid?.() === 0
      ? spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder])
      : undefined;
  if (tried?.status === 0) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true, force: true });
  return tried?.status === 0 ? "" : " (skipped: this may mount no tmpfs)";
})();

test.skipIf(mount !== "")(
  `a full disk is an alarm and no end; what waited is written when there is room${mount}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "wasmote-full-"));
    const size = (words: string) =>
      spawnSync("mount", [...words.split(" "), "tmpfs", folder], { encoding: "utf8" });
    expect(size("-t tmpfs -o size=3m").status).toBe(0);
    try {
      mkdirSync(join(folder, "data"));
      const running = await startGateway({}, { folder: join(folder, "data") });
      const { hub, history, alarms } = running.gateway;
      let count = 0;
      const publish = (many: number) => {
        for (let more = 0; more < many; more++)
          hub.publish({ node: "wye", resource: "x", time: Date.now(), value: count++ });
      };
      await until(async () => {
        publish(2_000);
        await history.flush();
        return history.state().trouble;
      });
      const disk = () => alarms.list().find(({ kind }) => kind === "disk");
      expect(disk()).toMatchObject({ node: "gateway", severity: "critical" });
      // It serves, writes down what it can, and ends nothing: also what has to be written to be done.
      for (let again = 0; again < 20; again++) {
        publish(500);
        await history.flush();
      }
      expect((await running.ask("/api/values")).status).toBe(200);
      expect((await running.ask("/nodes/wye/x", { method: "PUT", body: "1" })).status).toBe(404);
      expect((await running.ask("/healthz")).status).toBe(200);
      // What has to be kept is refused in words, also to who has no console.
      let refused = { status: 0, text: "" };
      for (let more = 0; more < 500; more++) {
        const body = JSON.stringify({ name: `reader-${more}`, role: "read" });
        const answer = await running.ask("/api/tokens", { method: "POST", body });
        refused = { status: answer.status, text: await answer.text() };
        if (answer.status !== 201) break;
      }
      expect(refused).toEqual({
        status: 507,
        text: expect.stringContaining("the gateway's disk is full") as string,
      });
      expect(history.state()).toMatchObject({ lost: 0 });
      expect(history.state().waiting).toBeGreaterThan(0);
      expect(size("-o remount,size=64m").status).toBe(0);
      await until(async () => (await history.flush(), history.state().waiting === 0));
      await until(() => disk()?.ended !== undefined || disk() === undefined);
      await running.gateway.stop();
      const kept = new SqliteHistory({ folder: join(folder, "data") });
      const all = { node: "wye", resource: "x", from: 0, to: 1e15, limit: 1e7 };
      const points = await kept.query({ ...all, resolution: "raw" });
      const steps = await kept.query({ ...all, resolution: "1h" });
      await kept.close();
      expect(points.length).toBe(count);
      expect(steps.reduce((sum, { n = 0 }) => sum + n, 0)).toBe(count);
    } finally {
      spawnSync("umount", ["-l", folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  },
  180_000,
);
