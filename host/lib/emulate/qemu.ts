// The boards in QEMU.
import { join } from "node:path";
import type { Emulated, EmulateOptions, Machine, PinChange } from "./machine.ts";
import { parseEvent, start } from "./process.ts";
import { programs, qemu } from "./programs.ts";
import { connect } from "./socket.ts";
import { ranger, type Way } from "./way.ts";
import { eachLine } from "../lines.ts";
import { temporaryFolder } from "../temporary.ts";

/** The machines that are QEMU's. */
export type Emulator = Exclude<Machine, "native" | "renode">;

/**
 * A board in QEMU. Its console and its flash go through semihosting (the second argument is the flash file), its reset
 * button is QEMU's machine protocol, and what differs between boards is in `wiring`.
 */
export async function board(options: EmulateOptions, machine: Emulator): Promise<Emulated> {
  const scratch = temporaryFolder("qemu");
  const folder = scratch.path;
  const { words, ways, cable, address } = wiring[machine](folder);
  const process = start(
    qemu() ?? "qemu-system-arm",
    [
      words,
      "-display none -monitor none -chardev stdio,id=console -qmp".split(" "),
      [`unix:${quoted(folder)}/qmp,server=on,wait=off`],
      ["-kernel", programs[machine], "-semihosting-config"],
      `enable=on,target=native,chardev=console,arg=wasmote,arg=${quoted(options.flash ?? join(folder, "flash"))}`,
      options.arguments ?? [],
    ].flat(),
  );
  void process.ended.then(() => scratch[Symbol.dispose]());
  const pins: PinChange[] = [];
  process.each((line) => {
    const pin = /^gpio (\d+) ([01])$/.exec(line);
    if (pin) pins.push({ pin: Number(pin[1]), level: Number(pin[2]) });
  });
  const ready = (line: string) => (line.startsWith("wasmote: ready") ? true : undefined);
  await process.first(ready);
  const sockets = await Promise.all(ways.map(({ path }) => connect(path)));
  const control = await monitor(join(folder, "qmp"));
  return {
    machine,
    address: await address(process.console, control),
    console: process.console,
    pins,
    feed: (sensor, value) => {
      const way = ways.findIndex(({ takes }) => takes(sensor));
      if (way < 0) throw new Error(`${machine} has no way in for the sensor ${sensor}`);
      sockets[way]?.write(ways[way]?.frame(sensor, value) ?? "");
    },
    reset: async () => {
      const again = process.first(ready);
      await control("system_reset");
      await again;
    },
    ...(cable !== undefined && {
      // The last way in takes lines.
      command: (line: string) => void sockets.at(-1)?.write(`${line}\n`),
      plug: async (up: boolean) => void (await control("set_link", { name: cable, up })),
    }),
    stop: () => process.stop(),
    ended: process.ended,
  };
}

interface Wiring {
  /** QEMU's words for this board. */
  words: string[];
  ways: Way[];
  /** QEMU's name for the network's end at the board. */
  cable?: string;
  /** Where the node is reached, from what QEMU said when it started, or says when it is asked. */
  address: (console: readonly string[], control: Monitor) => string | Promise<string>;
}

/**
 * An instruction takes 8 ns of the board's time, about as on the real one. With `shift=auto` the board's time ran ten times as
 * fast as ours while this computer was busy, and the node's retransmissions with it.
 */
const pace = "-icount shift=3";

/** A path in an option of QEMU's, where a comma ends a value. */
const quoted = (path: string) => path.replaceAll(",", ",,");

const socketAt = (path: string) => ["-serial", `unix:${quoted(path)},server=on,wait=off`];

const wiring: Record<Emulator, (folder: string) => Wiring> = {
  // USART 2 is the slipmux link, on a pseudo-terminal; USART 3 is the river-level sensor.
  "qemu-stm32": (folder) => {
    const level = join(folder, "level");
    return {
      words: [
        ...`-M netduinoplus2 ${pace} -serial null -serial pty`.split(" "),
        ...socketAt(level),
      ],
      ways: [ranger(level)],
      address: (console) => {
        const said = /redirected to (\/dev\/\S+) \(label serial1\)/.exec(console.join("\n"));
        return `serial:${said?.[1] ?? ""}`;
      },
    };
  },
  // Ethernet with CoAP's port led out to a port of this computer that the system chooses; UART 1 is the river-level sensor,
  // UART 0 takes samples of the others as lines.
  "qemu-mps2": (folder) => {
    const [lines, level] = [join(folder, "lines"), join(folder, "level")];
    return {
      words: [
        ...`-M mps2-an386 ${pace} -nic user,hostfwd=udp:127.0.0.1:0-:5683`.split(" "),
        ...socketAt(lines),
        ...socketAt(level),
      ],
      ways: [
        ranger(level),
        {
          path: lines,
          takes: () => true,
          frame: (sensor, value) => `sample ${sensor} ${value}\n`,
        },
      ],
      cable: "lan9118.0",
      address: async (_, control) => {
        return `coap://127.0.0.1:${await forwarded(control)}`;
      },
    };
  },
};

/** The port of this computer that leads to the board. */
export async function forwarded(control: Monitor): Promise<number> {
  const said = await control("human-monitor-command", { "command-line": "info usernet" });
  return Number(/HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)/.exec(String(said))?.[1]);
}

/** Asks QEMU to do something, by its machine protocol (QMP), and resolves to what it returns. */
export type Monitor = (execute: string, words?: object) => Promise<unknown>;

/** The way to QEMU's machine protocol at a socket. */
export async function monitor(path: string): Promise<Monitor> {
  const socket = await connect(path);
  const waiting: { resolve: (value: unknown) => void; reject: (reason: Error) => void }[] = [];
  eachLine(socket, (line) => {
    const answer = parseEvent(line);
    if (answer === undefined || !("return" in answer || "error" in answer)) return;
    const asked = waiting.shift();
    if ("return" in answer) asked?.resolve(answer.return);
    else asked?.reject(new Error(`QEMU: ${JSON.stringify(answer.error)}`));
  });
  socket.on("close", () => {
    for (const asked of waiting.splice(0)) asked.reject(new Error("QEMU has ended"));
  });
  const control: Monitor = (execute, words = {}) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket.write(`${JSON.stringify({ execute, arguments: words })}\n`);
    });
  await control("qmp_capabilities");
  return control;
}
