// Shows a winter of floods on emulated stations, a gateway and a cloud: alarms, moves, cut links, and what it was worth.
import { createScreen } from "../demo/screen.ts";
import type { Figures } from "../flood/figures.ts";
import { buildModules, runWinter, type WinterOptions } from "../flood/winter.ts";
import { missing } from "../lib/emulate.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { counted, oneLine } from "../lib/text.ts";
import { print, say, table, waiting } from "./context.ts";
import { heeding } from "./interruption.ts";
import { temporaryFolder } from "../lib/temporary.ts";

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
  const winter = whole(options.winter, "--winter 2013", 1970, 2016);
  const days = options.days === undefined ? undefined : whole(options.days, "--days 60", 10, 183);
  const pace = whole(options.pace, "--pace 400", 0, 60_000);
  const port = whole(options.listen, "--listen 8080", 0, 65_535);
  const machine = machineOf(options.machine);
  const modules = await waiting("building the stations' modules", buildModules());
  const figures = await heeding((signal) =>
    shown({ machine, winter, days, pace, port, modules, signal }, options.plain ?? false),
  );
  print(options.json, figures, () => describe(figures));
}

async function shown(
  options: Omit<WinterOptions, "folder" | "screen">,
  plain: boolean,
): Promise<Figures> {
  const { signal } = options;
  // What is drawn goes beside the result, so that --json stays JSON.
  const screen = createScreen(process.stderr, plain, {
    name: "place",
    legend: "n: on the node, g: at the gateway, c: in the cloud",
  });
  using scratch = temporaryFolder("flood");
  const folder = scratch.path;
  const stopping = () => {
    screen.end();
    say("stopping");
  };
  signal.addEventListener("abort", stopping, { once: true });
  try {
    return await runWinter({
      ...options,
      folder,
      screen: {
        step: (title) => screen.step(title),
        // Behind "stopping" there is nothing to tell.
        say: (text) => void (signal.aborted || screen.say(oneLine(text))),
        day: ({ place, ...day }) => screen.point({ ...day, version: place }),
      },
    });
  } catch (error) {
    if (signal.aborted) throw new NodeError("aborted", "interrupted", { cause: error });
    throw error;
  } finally {
    signal.removeEventListener("abort", stopping);
    screen.end();
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

const where = { node: "on the node", gateway: "at the gateway", cloud: "in the cloud" } as const;
const ahead = (days: number) => (days === 1 ? "a day" : `${short(days)} days`);

function describe(figures: Figures): string {
  const { worth, persistence, costs, bytes, alarms, others, undecided, ledger, from, to } = figures;
  const everything = bytes.samples;
  return table([
    [
      "days",
      `${from} to ${to}; a decision is made of five days, so there is none on the first ${undecided}, and a flood behind them is not counted`,
    ],
    [
      "flood days",
      `${worth.floodDaysCaught} of ${worth.floodDays} warned of on the evening before`,
    ],
    [
      "onsets",
      `${worth.onsetsCaught} of ${worth.onsets} (days with a flood after one without)${worth.leadDays === null ? "" : ` ${ahead(worth.leadDays)} ahead`}; ${persistence.onsetsCaught} by "today as tomorrow"`,
    ],
    ["false alarms", `${worth.falseAlarms}; ${persistence.falseAlarms} by "today as tomorrow"`],
    [
      "webhooks",
      [["hereford-flood", alarms] as const, ...Object.entries(others)]
        .map(
          ([name, { raised, ended }]) =>
            `${name} ${counted(raised, "alarm")} and ${counted(ended, "end")}`,
        )
        .join(", ") + ", each once",
    ],
    [
      "moves",
      `${ledger.moves}; decisions that came again ${ledger.repeated}, days that were never decided ${ledger.missed}`,
    ],
    [
      "bytes",
      `on hereford's link: ${everything} to send every sample, ${bytes.days} to fetch the days, ${bytes.alarms} for the alarm's changes`,
    ],
    ...costs.map((cost): [string, string] => [
      where[cost.place],
      `${counted(cost.decisions, "decision")}: ${cost.fuel} fuel, ${short(cost.milliseconds)} ms, ${short(cost.bytes)} bytes, ${short(cost.energy)} uJ of the station each by LoRa${cost.estimate === null ? "" : `; ${short(cost.estimate)} uJ were estimated${cost.place === "node" ? "" : ", without the gateway's questions: it asks each second, as a day takes no longer here"}`}`,
    ]),
  ]);
}
