// The native node: the firmware as a process of this computer.
import type { Emulated, EmulateOptions, PinChange } from "./machine.ts";
import { parseEvent, start } from "./process.ts";
import { programs } from "./programs.ts";

export async function native(options: EmulateOptions): Promise<Emulated> {
  const words = [
    ...(options.link === "serial" ? ["--pty"] : ["--udp", "127.0.0.1:0"]),
    ...(options.flash === undefined ? [] : ["--flash", options.flash]),
    ...(options.name === undefined ? [] : ["--name", options.name]),
    ...(options.arguments ?? []),
  ];
  const process = start(programs.native, words);
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
    feed: (sensor, value) => process.write(`sample ${sensor} ${value}\n`),
    reset: async () => {
      const again = process.first((line) =>
        parseEvent(line)?.event === "ready" ? true : undefined,
      );
      process.write("reset\n");
      await again;
    },
    stop: () => process.stop(),
    ended: process.ended,
  };
}
