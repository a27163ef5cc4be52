// The dashboard in Chromium: values, a push, a trap with its line, an alarm and its acknowledgement, by keyboard alone; the gateway gone and
// back; axe-core finds nothing.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dashboardFolder } from "../../host/gateway/page.ts";
import { emulateFleet, missing, type Fleet } from "../../host/lib/emulate.ts";
import { installProgram } from "../../host/lib/install.ts";
import { Node } from "../../host/lib/node.ts";
import { generateKey } from "../../host/lib/package.ts";
import { loadProgram } from "../../host/lib/program.ts";
import { keepKey, openProject } from "../../host/lib/project.ts";
import { command, environment, root } from "../../host/setup.mjs";
import { gzipSync } from "node:zlib";
import { echo, pack } from "../harness/module.ts";
import { startGateway, until, type Running } from "./harness.ts";

const { chromium: found } = environment() as { chromium?: { ok: boolean; what: string } };
const executablePath = command("chromium");
const reason = missing("native") ?? (executablePath ? undefined : (found?.what ?? "no chromium"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

test("what the first load takes is under 150 KB compressed", () => {
  const bytes = ["index.html", "main.js", "main.css"].map(
    (file) => gzipSync(readFileSync(join(dashboardFolder, file))).length,
  );
  expect(bytes.reduce((a, b) => a + b)).toBeLessThan(150_000);
});

describe.skipIf(reason !== undefined)(
  `the dashboard${reason ? ` (skipped: ${reason})` : ""}`,
  () => {
    let browser: Browser;
    let page: Page;
    let fleet: Fleet;
    let running: Running;
    let folder: string;
    const faults: string[] = [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "wasmote-dashboard-"));
      fleet = await emulateFleet(3, ["--dev"]);
      running = await start(0);
      browser = await chromium.launch({ executablePath: executablePath!, args: ["--no-sandbox"] });
      page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
      // As long as a test may take: a busy machine is no fault of the page's.
      page.setDefaultTimeout(150_000);
      page.on("pageerror", (error) => faults.push(error.message));
    });
    afterAll(async () => {
      await browser?.close();
      await running?.[Symbol.asyncDispose]();
      await fleet?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    function start(port: number): Promise<Running> {
      const project = openProject(folder);
      return startGateway(
        {
          listen: { host: "127.0.0.1", port },
          rules: [
            {
              name: "high",
              kind: "threshold",
              nodes: ["*"],
              resource: "sensors/level",
              above: 5000,
              below: undefined,
              hysteresis: 0,
              for: 0,
              severity: "critical",
            },
            {
              name: "trap",
              kind: "trap",
              nodes: ["*"],
              resource: "",
              above: undefined,
              below: undefined,
              hysteresis: 0,
              for: 0,
              severity: "critical",
            },
          ],
        },
        {
          folder,
          project,
          nodes: Object.fromEntries(fleet.nodes.map(({ name, address }) => [name, address])),
        },
      );
    }

    /** Presses a key until what has the focus fits: what a keyboard can reach. */
    async function tabTo(selector: string): Promise<void> {
      for (let press = 0; press < 60; press++) {
        await page.keyboard.press("Tab");
        if (
          await page.evaluate(
            (wanted) =>
              (
                globalThis as unknown as {
                  document: { activeElement: { matches(text: string): boolean } };
                }
              ).document.activeElement.matches(wanted),
            selector,
          )
        )
          return;
      }
      throw new Error(`${selector} cannot be reached by Tab`);
    }

    const violations = async () => {
      await page.evaluate(axe);
      const found = (await page.evaluate(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })",
      )) as { violations: { id: string; nodes: { html: string }[] }[] };
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
    };

    test("a token opens it; three nodes show their values", async () => {
      const token = running.token;
      await page.goto(`${running.url}/#token=${token}`);
      for (const [index, { name }] of fleet.nodes.entries())
        fleet.feed(name, "level", 1000 + index);
      for (const index of [0, 1, 2])
        await page
          .getByText(String(1000 + index), { exact: true })
          .first()
          .waitFor();
      expect(await page.locator("#fleet").textContent()).toMatch(/^3 nodes: 3 heard of/);
      expect(await violations()).toEqual([]);
    });

    test("by keyboard alone: a node, a package, and its output", async () => {
      await tabTo('a[href="#node/node-1"]');
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Push" }).waitFor();
      const file = join(folder, "echo.wpkg");
      writeFileSync(file, await pack("native", echo, 1));
      await page.locator("#package").setInputFiles(file);
      await tabTo("button:text('Push')".replace(":text('Push')", ""));
      await page.getByRole("button", { name: "Push" }).focus();
      await page.keyboard.press("Enter");
      await page.getByText(/push echo\.wpkg: done/).waitFor();
      fleet.feed("node-1", "level", 77);
      await until(() => running.gateway.hub.newest("node-1", "outputs/echo")?.value === 77);
      expect(await violations()).toEqual([]);
    });

    test("a trap is shown with the line of the source", async () => {
      mkdirSync(join(folder, "src"));
      writeFileSync(join(folder, "wasmote.toml"), 'main = "src/main.ts"\n');
      writeFileSync(
        join(folder, "src/main.ts"),
        'import { sensor } from "wasmote";\nconst level = sensor("level");\nlevel.onSample((value) => {\n  if (value > 9) unreachable();\n});\n',
      );
      const project = openProject(folder);
      const key = generateKey();
      keepKey(project, key);
      await using node = await Node.connect(fleet.nodes[1]!.address);
      const program = await loadProgram(project, undefined);
      await installProgram(node, project, program, key, { wait: 0 });
      await until(() => running.gateway.nodes.get("node-2")?.app?.digest === program.digest);
      fleet.feed("node-2", "level", 100);
      await until(() => running.gateway.nodes.get("node-2")?.app?.event);
      await page.goto(`${running.url}/#node/node-2`);
      await page.locator(".trap").waitFor();
      expect(await page.locator(".trap").textContent()).toMatch(
        /main\.ts:4:\d+: trap: unreachable\n {2,}if \(value > 9\)/,
      );
    });

    test("a rollout has a lane for each wave; it is begun, waits for approval and is taken back, by keyboard", async () => {
      await page.goto(`${running.url}/#`);
      const counter = `
import { every, output } from "wasmote";
const count = output("count");
let ticks: f32 = 0;
every(100, () => { count.publish(ticks += 1); });
`;
      const planned = await running.ask(
        "/api/rollouts?select=node-*&waves=1,100%25&soak=0&tolerate=0.5&approve",
        { method: "POST", body: Buffer.from(await pack("native", counter, 1_000)) },
      );
      expect(planned.status).toBe(201);
      const card = page.locator("[data-rollout]");
      const lane = (wave: number) => card.locator(".lanes li").nth(wave - 1);
      await card.getByText("planned, nothing was sent").waitFor();
      await lane(2).getByText("2 waiting").waitFor();
      expect(await violations()).toEqual([]);
      const press = async (act: string) => {
        await tabTo(`[data-act^="${act}"]`);
        await page.keyboard.press("Enter");
      };
      await press("start");
      await lane(1).getByText("1 good").waitFor();
      await card.getByText("waits for approval, wave 2 of 2").waitFor();
      expect(await lane(2).getAttribute("aria-current")).toBe("step");
      await press("approve");
      await card.getByText("● done").waitFor();
      await lane(2).getByText("2 good").waitFor();
      // Asked for twice, since every node returns.
      await press("halt");
      await card.getByText("Sure?").waitFor();
      await card.getByText("● done").waitFor();
      await page.keyboard.press("Enter");
      await card.getByText("■ halted").waitFor();
      await lane(1).getByText("1 returned").waitFor();
      await lane(2).getByText("2 returned").waitFor();
      expect(await violations()).toEqual([]);
    });

    test("an alarm is announced and acknowledged by keyboard; a telephone has room for it", async () => {
      await page.setViewportSize({ width: 360, height: 640 });
      await page.goto(`${running.url}/#`);
      fleet.feed("node-3", "level", 6000);
      await page.locator('.alarm[role="alert"]', { hasText: "node-3" }).waitFor();
      expect(await violations()).toEqual([]);
      const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      expect(wide).toBeLessThanOrEqual(0);
      await tabTo('[data-alarm^="high/node-3"]');
      await page.keyboard.press("Enter");
      await page.locator(".alarm.seen", { hasText: "node-3" }).waitFor();
      await page.setViewportSize({ width: 1200, height: 800 });
    });

    test("the gateway gone is said within seconds, what is shown stays; back, the values go on", async () => {
      const { port } = running.gateway;
      await running.gateway.stop();
      await page.locator("#link.lost").waitFor({ timeout: 30_000 });
      expect(await page.locator("#nodes .card").count()).toBe(3);
      running = await start(port);
      await page.locator("#link:not(.lost)").waitFor({ state: "attached", timeout: 60_000 });
      fleet.feed("node-3", "level", 4321);
      await page.getByText("4321", { exact: true }).first().waitFor();
      // Between what was there before and what came after is a gap, and no line (drawn as one by chart.ts).
      const { history } = running.gateway;
      await history.flush();
      const points = await history.query({
        node: "node-3",
        resource: "sensors/level",
        from: 0,
        to: 1e15,
        resolution: "raw",
        limit: 1e6,
      });
      const values = points.map(({ value }) => value);
      expect(values.slice(values.indexOf(6000), values.lastIndexOf(4321))).toContain(null);
      expect(faults).toEqual([]);
    });

    test("a picture of it: README's, where WASMOTE_PICTURE is set", async () => {
      await page.goto(`${running.url}/#`);
      const curve = (step: number) =>
        Math.round(3000 + 2500 * Math.sin(step / 9) + 13 * (step % 7));
      const newest = () => running.gateway.hub.newest("node-3", "sensors/level")?.value;
      for (let step = 0; step < 90; step++) {
        fleet.feed("node-3", "level", curve(step));
        await until(() => newest() === curve(step));
      }
      await page.goto(`${running.url}/#node/node-3`);
      await page.locator("canvas").first().waitFor();
      const picture = await page.screenshot({ animations: "disabled" });
      expect(picture.subarray(1, 4).toString()).toBe("PNG");
      expect(picture.length).toBeGreaterThan(10_000);
      if (process.env["WASMOTE_PICTURE"] !== undefined)
        writeFileSync(join(root, "docs/dashboard.png"), picture);
    });

    test("dark, it is as readable", async () => {
      await page.emulateMedia({ colorScheme: "dark" });
      expect(await violations()).toEqual([]);
    });
  },
);
