// Shows a winter of floods on emulated stations, a gateway and a cloud: alarms, moves, cut links, and what it was worth.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createScreen } from "../demo/screen.ts";
import type { Figures } from "../flood/figures.ts";
import { runWinter } from "../flood/winter.ts";
import { missing } from "../lib/emulate.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { oneLine } from "../lib/text.ts";
import { interruption, print, say, table } from "./context.ts";

interface Options {
  winter: string;
  days?: string;
  pace: string;
  machine?: string;
  listen: string;
  plain?: boolean;
  json?: boolean;
}

export async function floodVerb(options: Options): Promise<void> {
  const signal = interruption();
  const winter = whole(options.winter, "--winter 2013", 1935, 2016);
  const days = options.days === undefined ? undefined : whole(options.days, "--days 60", 10, 183);
  const pace = whole(options.pace, "--pace 400", 0, 60_000);
  const port = whole(options.listen, "--listen 8080", 0, 65_535);
  const machine = machineOf(options.machine);
  // What is drawn goes beside the result, so that --json stays JSON.
  const screen = createScreen(process.stderr, options.plain ?? false);
  const folder = mkdtempSync(join(tmpdir(), "wasmote-flood-"));
  try {
    const figures = await runWinter({
      folder,
      machine,
      winter,
      days,
      pace,
      port,
      signal,
      screen: {
        step: (title) => screen.step(title),
        say: (text) => screen.say(oneLine(text)),
        day: ({ place, ...shown }) => screen.point({ ...shown, version: place }),
      },
    });
    screen.end();
    signal.throwIfAborted();
    print(options.json, figures, () => describe(figures));
  } catch (error) {
    if (signal.aborted) throw new NodeError("aborted", "interrupted", { cause: error });
    throw error;
  } finally {
    screen.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

function whole(text: string, example: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UserError(
      `${oneLine(text)} is not a whole number from ${least} to ${most}`,
      `write: ${example}`,
      "usage",
    );
  return value;
}

function machineOf(given: string | undefined): "native" | "qemu-mps2" {
  if (given !== undefined && given !== "native" && given !== "qemu-mps2")
    throw new UserError(
      `a winter does not run on ${oneLine(given)}`,
      "take qemu-mps2, an emulated board with Ethernet, or native, a process",
      "usage",
    );
  if (given !== undefined) {
    const reason = missing(given);
    if (reason !== undefined) throw new UserError(reason, undefined, "failed");
    return given;
  }
  const reason = missing("qemu-mps2");
  if (reason === undefined) return "qemu-mps2";
  say(`No emulated boards (${oneLine(reason)}): the stations run as processes instead.`);
  return "native";
}

const short = (value: number) =>
  Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "-";

function describe(figures: Figures): string {
  const { worth, persistence, costs, bytes, alarms, ledger, from, to } = figures;
  const everything = bytes.samples;
  return table([
    ["days", `${from} to ${to}`],
    [
      "flood days",
      `${worth.floodDaysCaught} of ${worth.floodDays} warned of on the evening before`,
    ],
    [
      "onsets",
      `${worth.onsetsCaught} of ${worth.onsets}, ${worth.leadDays === null ? "none" : `${short(worth.leadDays)} days`} ahead; ${persistence.onsetsCaught} by "today as tomorrow"`,
    ],
    ["false alarms", `${worth.falseAlarms}; ${persistence.falseAlarms} by "today as tomorrow"`],
    ["webhooks", `${alarms.raised} alarms and ${alarms.ended} ends, each once`],
    [
      "moves",
      `${ledger.moves}; decisions that came again ${ledger.repeated}, days that were never decided ${ledger.missed}`,
    ],
    [
      "bytes",
      `on hereford's link: ${everything} to send every sample, ${bytes.days} to fetch the days, ${bytes.alarms} for the alarm's changes`,
    ],
    ...costs.map((cost): [string, string] => [
      `on the ${cost.place}`,
      `${cost.decisions} decisions: ${cost.fuel} fuel, ${short(cost.milliseconds)} ms, ${short(cost.bytes)} bytes, ${short(cost.energy)} uJ of the station each (by LoRa)`,
    ]),
  ]);
}
