// Renode's platform and script against the firmware's own facts, as far as that goes without Renode: addresses and interrupts
// of the register crate, memories of the linker and the firmware, lines and pins of the board, files and monitor commands.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { renodeReset, renodeWords } from "../host/lib/emulate/renode.ts";
import { root } from "../host/setup.mjs";

const read = (path: string) => readFileSync(join(root, path), "utf8");
const platform = read("renode/stm32f407.repl");
const script = read("renode/stm32f407.resc");
const board = "boards/stm32f407-discovery";
const [firmware, chip, linker] = ["src/main.rs", "src/chip.rs", "memory.x"].map((file) =>
  read(join(board, file)),
) as [string, string, string];

interface Part {
  type: string;
  address: number;
  size: number | undefined;
  /** Interrupts, in the order of the outputs. */
  interrupts: number[];
  text: string;
}

/** `[11-13,47]` is 11, 12, 13, 47. */
function numbers(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = Number.NaN, last = first] = range.trim().split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

const parts = new Map<string, Part>();
for (const text of platform.replaceAll(/^\/\/.*\n/gm, "").split(/\n(?=\w+: )/)) {
  const head = /^\s*(\w+): ([\w.]+) @ (?:\{\s*)?(?:sysbus)?\s*<?(0x[0-9A-Fa-f]+)?/.exec(text);
  if (!head) continue;
  const [, name = "", type = "", address] = head;
  const interrupts = [...text.matchAll(/-> nvic@(?:\[([\d,-]+)\]|(\d+))/g)];
  const size = /size: (0x[0-9A-Fa-f]+)$/m.exec(text)?.[1];
  parts.set(name, {
    type,
    address: Number(address),
    size: size === undefined ? undefined : Number(size),
    interrupts: interrupts.flatMap(([, list, one]) => numbers(list ?? one ?? "")),
    text,
  });
}

/** Renode's name of a part, the register crate's, and the interrupts it has. */
const peripherals: [string, string, string[]][] = [
  ["rcc", "RCC", []],
  ["rtc", "RTC", ["RTC_ALARM"]],
  ["pwr", "PWR", []],
  ["iwdg", "IWDG", []],
  ["flashController", "FLASH", []],
  ["exti", "EXTI", ["EXTI0", "EXTI1", "EXTI2", "EXTI3", "EXTI4"]],
  ["usart1", "USART1", ["USART1"]],
  ["usart2", "USART2", ["USART2"]],
  ["usart3", "USART3", ["USART3"]],
  ["usart6", "USART6", ["USART6"]],
  ["dma1", "DMA1", [0, 1, 2, 3, 4, 5, 6, 7].map((stream) => `DMA1_STREAM${stream}`)],
  ["dma2", "DMA2", [0, 1, 2, 3, 4, 5, 6, 7].map((stream) => `DMA2_STREAM${stream}`)],
  ["gpioPortA", "GPIOA", []],
  ["gpioPortB", "GPIOB", []],
  ["gpioPortC", "GPIOC", []],
  ["gpioPortD", "GPIOD", []],
  ["gpioPortE", "GPIOE", []],
  ["spi1", "SPI1", ["SPI1"]],
  ["adc1", "ADC1", ["ADC"]],
  ["rng", "RNG", ["HASH_RNG"]],
  ["ethernet", "ETHERNET_MAC", ["ETH"]],
];

describe("renode/stm32f407.repl", () => {
  const version = /name = "stm32f4"\nversion = "([^"]+)"/.exec(read("firmware/Cargo.lock"))?.[1];
  const cargo = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
  const registry = join(cargo, "registry/src");
  const registers = (existsSync(registry) ? readdirSync(registry) : [])
    .map((index) => join(registry, index, `stm32f4-${version}/src/stm32f407/mod.rs`))
    .find((path) => existsSync(path));
  const why = registers ? "" : ` (skipped: Cargo has not fetched stm32f4 ${version})`;

  test.skipIf(!registers)(`has the addresses and interrupts of the register crate${why}`, () => {
    const source = readFileSync(registers ?? "", "utf8");
    const address = (name: string) => {
      const found = new RegExp(`pub type ${name} = crate::Periph<[^,]+, (0x[0-9a-fA-F_]+)>`).exec(
        source,
      );
      return Number(found?.[1]?.replaceAll("_", ""));
    };
    const interrupt = (name: string) =>
      Number(new RegExp(`^ {4}${name} = (\\d+),$`, "m").exec(source)?.[1]);
    for (const [part, name, interrupts] of peripherals) {
      expect(parts.get(part)?.address, part).toBe(address(name));
      expect(parts.get(part)?.interrupts, part).toEqual(interrupts.map(interrupt));
    }
    // What is compared is all there is beside memories, the core's own and what hangs on pins.
    const others = [...parts].filter(([name]) => !peripherals.some(([part]) => part === name));
    expect(others.map(([name]) => name)).toEqual(
      ["flash", "sram", "ccm", "signature", "nvic", "cpu", "dwt"].concat([
        "green",
        "orange",
        "red",
        "blue",
        "button",
        "bucket",
        "phy",
      ]),
    );
  });

  test("has every peripheral the firmware takes", () => {
    const taken = new Set(
      [...`${firmware}${chip}`.matchAll(/\b(?:dp|pac::)\.?([A-Z][A-Z0-9_]{2,})\b/g)].map(
        ([, name]) => name,
      ),
    );
    expect(taken.size).toBeGreaterThan(12);
    // Parts of a block that is there, or that Renode has no model of and the firmware only writes to.
    for (const name of ["ETHERNET_DMA", "ADC_COMMON", "SYSCFG"]) taken.delete(name);
    const known = new Set(peripherals.map(([, name]) => name));
    expect([...taken].filter((name) => name !== undefined && !known.has(name))).toEqual([]);
  });

  test("has the memories of the linker and the firmware", () => {
    const memory = (name: string) => {
      const [, origin, kilobytes] =
        new RegExp(`${name} : ORIGIN = (0x\\w+), LENGTH = (\\d+)K`).exec(linker) ?? [];
      return { start: Number(origin), end: Number(origin) + (Number(kilobytes) << 10) };
    };
    expect(parts.get("flash")).toMatchObject({ address: memory("FLASH").start, size: 1 << 20 });
    // The stack, and what is static behind it.
    const [stack, ram] = [memory("STACK"), memory("RAM")];
    expect(stack.end).toBe(ram.start);
    const sram = { address: stack.start, size: ram.end - stack.start };
    expect(parts.get("sram")).toMatchObject(sram);
    expect(sram.size).toBe(128 << 10);
    // Where the firmware looks for the module's memory first.
    expect(chip).toMatch(/\[0x1000_0000, 0x2002_0000\]\.into_iter\(\)\.find\(there\)/);
    expect(parts.get("ccm")).toMatchObject({ address: 0x1000_0000, size: 64 << 10 });
    const signature = parts.get("signature");
    const asked = [...chip.matchAll(/0x(1fff_7a\w\w)/g)].map(([, digits]) =>
      Number(`0x${digits?.replace("_", "")}`),
    );
    expect(asked.length).toBeGreaterThan(4);
    for (const address of asked) {
      expect(address).toBeGreaterThanOrEqual(signature?.address ?? Infinity);
      expect(address + 4).toBeLessThanOrEqual((signature?.address ?? 0) + (signature?.size ?? 0));
      expect(script).toContain(
        `WriteDoubleWord 0x${address.toString(16).toUpperCase().replace("0X", "0x")}`,
      );
    }
  });

  test("has pins where the firmware has them", () => {
    for (const [name, port, pin, field] of [
      ["green", "D", 12, "green"],
      ["orange", "D", 13, "orange"],
      ["red", "D", 14, "red"],
      ["blue", "D", 15, "blue"],
      ["button", "A", 0, "button"],
      ["bucket", "D", 10, "rain"],
    ] as const) {
      expect(parts.get(name)?.text).toContain(`@ gpioPort${port} ${pin}`);
      expect(firmware).toMatch(new RegExp(`${field}: (Rain<)?Pin<'${port}', ${pin}, `));
    }
  });

  test("has a transceiver that the driver takes for one with its cable in", () => {
    const phy = parts.get("phy")?.text ?? "";
    const field = (name: string) => Number(new RegExp(`${name}: (0x\\w+)`).exec(phy)?.[1]);
    // Link and negotiation over (IEEE 802.3 §22.2.4.2), and 100 Mbit/s in full duplex on both sides.
    expect(field("Id1")).toBe(7);
    expect(field("BasicStatus") & 0x24).toBe(0x24);
    expect(field("AutoNegotiationAdvertisement")).toBe(0x01e1);
    expect(field("AutoNegotiationLinkPartnerBasePageAbility") & 0x100).toBe(0x100);
  });
});

describe("renode/stm32f407.resc", () => {
  test("connects the serial lines that the firmware listens on", () => {
    const task = (interrupt: string) =>
      new RegExp(`binds = ${interrupt},.*\\n *fn (\\w+)`).exec(firmware)?.[1];
    expect(task("USART2")).toBe("line");
    expect(task("USART3")).toBe("sonar");
    expect(script).toContain("connector Connect sysbus.usart2 serial\n");
    expect(script).toContain("connector Connect sysbus.usart3 level\n");
    // No telnet bytes in what is binary.
    expect(script).toContain('emulation CreateServerSocketTerminal $level "level" false\n');
  });

  test("names parts of the platform, files that are there, and commands that Renode documents", () => {
    expect(script).toContain("machine LoadPlatformDescription $ORIGIN/stm32f407.repl\n");
    for (const [, part] of script.matchAll(/sysbus\.(\w+)/g))
      expect([...parts.keys()]).toContain(part);
    const commands = script
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && !/^[#:$]|^"""$/.test(line));
    expect(commands.length).toBeGreaterThan(10);
    const documented =
      /^(mach create|machine LoadPlatformDescription|sysbus (LoadELF|WriteDoubleWord)|emulation Create(UartPtyTerminal|ServerSocketTerminal|Switch)|connector Connect|macro) /;
    expect(commands.filter((line) => !documented.test(line))).toEqual([]);
    expect(script).not.toMatch(/https?:|ApplySVD/);
  });

  test("is given by the harness what it asks for", () => {
    const words = renodeWords({
      elf: join(root, "dist/a b.elf"),
      script: join(root, "renode/stm32f407.resc"),
      flash: "flash",
      serial: "pty",
      level: 1,
      monitor: 2,
    });
    const commands = words.at(-1)?.split("; ") ?? [];
    expect(words.slice(0, -1)).toEqual(["--disable-xwt", "--plain", "--port", "2", "-e"]);
    const set = commands.flatMap((command) => /^\$(\w+)=/.exec(command)?.[1] ?? []);
    expect(set).toEqual([...script.matchAll(/^\$(\w+)\?=/gm)].map(([, name]) => name));
    const included = commands.find((command) => command.startsWith("include @"))?.slice(9) ?? "";
    expect(existsSync(included)).toBe(true);
    // After the machine is there, and before the firmware goes on top of it.
    expect(commands.slice(-3)).toEqual([
      "sysbus LoadBinary @flash 0x08000000",
      "runMacro $reset",
      "start",
    ]);
    expect(commands[0]).toContain("a\\ b.elf");
    expect(script).toContain('macro reset\n"""');
    expect(renodeReset).toBe("machine Reset\n");
  });
});
