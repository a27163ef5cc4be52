// The native node: the firmware as a process of this computer.
import type { Emulated, EmulateOptions, PinChange } from "./machine.ts";
import { UserError } from "../errors.ts";
import { oneLine } from "../text.ts";
import { parseEvent, start } from "./process.ts";
import { programs } from "./programs.ts";

/** The sensors that the process has, whoever asks: it says nothing to a line for another. */
export const nativeSensors = ["level", "rain", "temperature", "button", "ax", "ay", "az"];

export async function native(options: EmulateOptions): Promise<Emulated> {
  const words = [
    ...(options.link === "serial" ? ["--pty"] : ["--udp", "127.0.0.1:0"]),
    ...(options.flash === undefined ? [] : ["--flash", options.flash]),
    ...(options.name === undefined ? [] : ["--name", options.name]),
    ...(options.arguments ?? []),
  ];
  // It ends in order when its input ends, and keeps what its module remembers; a signal for the whole job does not come before that.
  const process = start(programs.native, words, { deaf: true });
  const pins: PinChange[] = [];
  const address = await process.first((line) => {
    const event = parseEvent(line);
    if (event?.event !== "ready") return undefined;
    return options.link === "serial"
      ? `serial:${String(event.serial)}`
      : `coap://${String(event.udp)}`;
  });
  process.each((line) => {
    const event = parseEvent(line);
    if (event?.event === "gpio") pins.push({ pin: Number(event.pin), level: Number(event.level) });
  });
  return {
    machine: "native",
    address,
    console: process.console,
    pins,
    feed: (sensor, value) => {
      if (!nativeSensors.includes(sensor))
        throw new UserError(
          `the node has no sensor ${oneLine(sensor)}`,
          `it has: ${nativeSensors.join(", ")}`,
          "usage",
        );
      process.write(`sample ${sensor} ${value}\n`);
    },
    reset: async () => {
      const again = process.first((line) =>
        parseEvent(line)?.event === "ready" ? true : undefined,
      );
      process.write("reset\n");
      await again;
    },
    stop: () => process.stop(),
    end: () => process.end(),
    ended: process.ended,
  };
}
