// Renode's platform and script against the firmware's own facts, as far as that goes without Renode: addresses and interrupts
// of the register crate, memories of the linker and the firmware, lines and pins of the board, files and monitor commands.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { partsFor, renodeReset, renodeWords } from "../../host/lib/emulate/renode.ts";
import { root } from "../../host/setup.mjs";
import { unavailable } from "../harness/target.ts";

const read = (path: string) => readFileSync(join(root, path), "utf8");
const platform = read("renode/stm32f407.repl");
const versions = ["release.repl", "master.repl"].map((file) => read(`renode/${file}`));
const script = read("renode/stm32f407.resc");
const board = "boards/stm32f407-discovery";
const [firmware, chip, linker] = ["src/main.rs", "src/chip.rs", "memory.x"].map((file) =>
  read(join(board, file)),
) as [string, string, string];
/** What else the checker looks at. */
const drivers = ["converter", "dog", "ethernet", "line", "ring", "senses"].map((name) =>
  read(join(board, `src/${name}.rs`)),
);
const harness = ["renode", "switch"].map((name) => read(`host/lib/emulate/${name}.ts`)).join("\n");
/** Where the black-box tests differ on Renode. */
const suites = [
  "harness/module",
  "node/reset.test",
  "node/resources.test",
  "node/update.test",
  "coap/crowd.test",
  "coap/network.test",
]
  .map((name) => read(`test/${name}.ts`))
  .join("\n");

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

/** The parts of a platform description, by name. */
function readParts(description: string): Map<string, Part> {
  const parts = new Map<string, Part>();
  for (const text of description.replaceAll(/^\/\/.*\n/gm, "").split(/\n(?=\w+: )/)) {
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
  return parts;
}
const parts = readParts(`${platform}\n${versions[1]}`);

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
  ["adcCommon", "ADC_COMMON", []],
  ["syscfg", "SYSCFG", []],
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
    for (const version of versions) {
      const there = readParts(`${platform}\n${version}`);
      for (const [part, name, interrupts] of peripherals) {
        expect(there.get(part)?.address, part).toBe(address(name));
        expect(there.get(part)?.interrupts, part).toEqual(interrupts.map(interrupt));
      }
    }
    // What is compared is all there is beside memories, the core's own and what hangs on pins.
    const others = [...parts].filter(([name]) => !peripherals.some(([part]) => part === name));
    expect(others.map(([name]) => name)).toEqual(
      ["flash", "sram", "ccm", "signature", "nvic", "cpu", "dwt", "bitbandPeripherals"].concat([
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
    // A part of a block that is there.
    taken.delete("ETHERNET_DMA");
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
      /^(mach create|machine LoadPlatformDescription|logLevel|sysbus (LoadELF|WriteDoubleWord)|sysbus\.adc1 FeedSample|sysbus\.gpioPortD\.bucket Press$|emulation Create(UartPtyTerminal|ServerSocketTerminal|Switch)|connector Connect|macro) ?/;
    expect(commands.filter((line) => !documented.test(line))).toEqual([]);
    expect(script).not.toMatch(/https?:|ApplySVD/);
  });

  test("is given by the harness what it asks for", () => {
    const words = renodeWords({
      elf: join(root, "dist/a b.elf"),
      script: join(root, "renode/stm32f407.resc"),
      parts: join(root, "renode/release.repl"),
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

/** A type and its properties, with the value of each that is not compared elsewhere: what each version of Renode knows it by. */
type Kind = [type: string, properties: string[]];
const memory: Kind = ["Memory.MappedMemory", ["size"]];
const array: Kind = ["Memory.ArrayMemory", ["size"]];
const uart: Kind = ["UART.STM32_UART", ["frequency"]];
const port: Kind = ["GPIOPort.STM32_GPIOPort", ["numberOfAFs: 16"]];
const lamp: Kind = ["Miscellaneous.LED", []];
const button: Kind = ["Miscellaneous.Button", []];
const dma: Kind = ["DMA.STM32DMA", []];
const both: Record<string, Kind> = {
  flash: memory,
  sram: memory,
  ccm: memory,
  signature: memory,
  adcCommon: array,
  syscfg: array,
  nvic: ["IRQControllers.NVIC", ["priorityMask: 0xF0", "systickFrequency: 168000000"]],
  cpu: ["CPU.CortexM", ['cpuType: "cortex-m4f"', "nvic: nvic"]],
  dwt: ["Miscellaneous.DWT", ["frequency: 168000000"]],
  bitbandPeripherals: ["Miscellaneous.BitBanding", ["peripheralBase: 0x40000000"]],
  rcc: ["Miscellaneous.STM32F4_RCC", ["rtcPeripheral: rtc"]],
  rtc: ["Timers.STM32F4_RTC", []],
  pwr: ["Miscellaneous.STM32_PWR", []],
  iwdg: [
    "Timers.STM32_IndependentWatchdog",
    ["frequency: 32000", "windowOption: false", "defaultPrescaler: 0x4"],
  ],
  flashController: ["MTD.STM32F4_FlashController", ["flash: flash"]],
  exti: ["IRQControllers.STM32F4_EXTI", ["numberOfOutputLines: 24"]],
  usart1: uart,
  usart2: uart,
  usart3: uart,
  usart6: uart,
  dma1: dma,
  dma2: dma,
  gpioPortA: port,
  gpioPortB: port,
  gpioPortC: port,
  gpioPortD: port,
  gpioPortE: port,
  green: lamp,
  orange: lamp,
  red: lamp,
  blue: lamp,
  button,
  bucket: button,
  adc1: ["Analog.STM32_ADC", []],
  ethernet: ["Network.SynopsysEthernetMAC", []],
  phy: [
    "Network.EthernetPhysicalLayer",
    [
      "Id1: 0x0007",
      "Id2: 0xC0F1",
      "BasicStatus: 0x782D",
      "AutoNegotiationAdvertisement: 0x01E1",
      "AutoNegotiationLinkPartnerBasePageAbility: 0x41E1",
    ],
  ],
};
const own: Record<string, Kind>[] = [
  { spi1: ["SPI.STM32SPI", []], rng: ["Miscellaneous.STM32F4_RNG", []] },
  {
    spi1: ["SPI.STM32SPI", ["series: STM32Series.F4"]],
    rng: ["Miscellaneous.STM32_RNG", ["series: STM32Series.F4"]],
  },
];

/** Where a part is, if the register crate does not say: the core's own, and what hangs on others. */
const seats: Record<string, string> = {
  signature: "sysbus 0x1FFF7800",
  nvic: "sysbus 0xE000E000",
  cpu: "sysbus",
  dwt: "sysbus 0xE0001000",
  bitbandPeripherals: "sysbus <0x42000000, +0x2000000>",
  green: "gpioPortD 12",
  orange: "gpioPortD 13",
  red: "gpioPortD 14",
  blue: "gpioPortD 15",
  button: "gpioPortA 0",
  bucket: "gpioPortD 10",
  phy: "ethernet 0",
};

const each = (count: number, wire: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => wire(index));
const pins = each(16, (pin) => `${pin} -> exti@${pin}`);
/** The wires of a part, but for the numbers of interrupts: those are the register crate's. */
const wired: Record<string, string[]> = {
  nvic: ["IRQ -> cpu@0"],
  rtc: ["AlarmIRQ -> nvic"],
  exti: each(5, (line) => `${line} -> nvic`),
  usart1: ["-> nvic"],
  usart2: ["-> nvic"],
  usart3: ["-> nvic"],
  usart6: ["-> nvic"],
  dma1: each(8, (stream) => `${stream} -> nvic`),
  dma2: each(8, (stream) => `${stream} -> nvic`),
  gpioPortA: pins,
  gpioPortB: pins,
  gpioPortC: pins,
  gpioPortD: pins.concat("12 -> green@0", "13 -> orange@0", "14 -> red@0", "15 -> blue@0"),
  gpioPortE: pins,
  button: ["-> gpioPortA@0"],
  bucket: ["-> gpioPortD@10"],
  spi1: ["IRQ -> nvic"],
  adc1: ["IRQ -> nvic"],
  rng: ["-> nvic"],
  ethernet: ["-> nvic"],
};

/** The wires that a part's text describes; a source with more or fewer ends than it has is said to be uneven. */
function wiresOf(text: string): string[] {
  const list = (end: string) =>
    end.startsWith("[") ? numbers(end.slice(1, -1)).map(String) : [end];
  return [...text.matchAll(/^ {4}(?:(\S+) )?-> (.*)$/gm)].flatMap(([, from = "", all = ""]) =>
    all.split(" | ").flatMap((to) => {
      const [part = "", input = ""] = to.split("@");
      const [outputs, inputs] = [list(from), list(input)];
      if (outputs.length !== inputs.length) return [`${from} -> ${to} is uneven`];
      return outputs.map((output, at) =>
        `${output} -> ${part}${part === "nvic" ? "" : `@${inputs[at]}`}`.trim(),
      );
    }),
  );
}

interface Everything {
  platform: string;
  release: string;
  master: string;
  script: string;
  linker: string;
  firmware: string;
  harness: string;
  suites: string;
}
const everything: Everything = {
  platform,
  release: versions[0] ?? "",
  master: versions[1] ?? "",
  script,
  linker,
  firmware: [firmware, chip, ...drivers].join("\n"),
  harness,
  suites,
};

/** What is known to go wrong on Renode 1.16.1 or on what comes after it. */
function faults(all: Everything): string[] {
  const found: string[] = [];
  for (const [index, version] of (["release", "master"] as const).entries()) {
    const there = readParts(`${all.platform}\n${all[version]}`);
    const known = { ...both, ...own[index] };
    for (const [name, [type, properties]] of Object.entries(known)) {
      const part = there.get(name);
      if (!part) {
        found.push(`${version}: ${name} is missing`);
        continue;
      }
      if (part.type !== type) found.push(`${version}: ${name} is a ${part.type}, not a ${type}`);
      const given = [...part.text.matchAll(/^ {4}((\w+): .*)$/gm)].map(
        ([, whole = "", property = ""], at) => (properties[at] === property ? property : whole),
      );
      if (given.join() !== properties.join())
        found.push(
          `${version}: ${name} has ${given.join() || "nothing"}, not ${properties.join()}`,
        );
      const wires = wiresOf(part.text).toSorted().join();
      if (wires !== (wired[name] ?? []).toSorted().join())
        found.push(`${version}: ${name} is wired ${wires || "to nothing"}`);
      const seat = /^\s*\w+: \S+ @ (.*)$/m.exec(part.text)?.[1];
      if (name in seats && seat !== seats[name])
        found.push(`${version}: ${name} is at ${seat}, not at ${seats[name]}`);
    }
    const braces = /\{[^{}]*\{ address: 0x1FFFC000; size: 0x100; region: "optionBytes" \}\s*\}/;
    if (!braces.test(there.get("flashController")?.text ?? ""))
      found.push(`${version}: the option bytes are missing`);
    for (const name of there.keys())
      if (!(name in known)) found.push(`${version}: nothing is known of ${name}`);
  }
  for (const [name, { text }] of readParts(all.platform)) {
    const sources = [...text.matchAll(/^ {4}(?:\[([\d,-]+)\]|(\d+)) -> /gm)];
    const pins = sources.flatMap(([, list, one]) => numbers(list ?? one ?? ""));
    for (const pin of new Set(pins))
      if (pins.filter((other) => other === pin).length > 1)
        found.push(`${name} wires its output ${pin} twice (E16)`);
  }
  const clock = { usart1: 84, usart2: 42, usart3: 42, usart6: 84 };
  for (const [name, megahertz] of Object.entries(clock))
    if (!readParts(all.platform).get(name)?.text.includes(`frequency: ${megahertz}000000\n`))
      found.push(`${name} is not paced by its bus`);

  const order = (...lines: string[]) => {
    const places = lines.map((line) => all.script.indexOf(line));
    return places.every((place, at) => place >= 0 && place > (places[at - 1] ?? -1));
  };
  const last = ["CreateUartPtyTerminal", "connector Connect sysbus.usart2 serial\n"];
  if (!order("LoadPlatformDescription $parts", "connector Connect sysbus.usart3 level", ...last))
    found.push("the serial line does not come last");
  if (
    !order(
      'mach create "wasmote"\n',
      "LoadPlatformDescription $ORIGIN/stm32f407.repl\n",
      "LoadPlatformDescription $parts\n",
      "sysbus WriteDoubleWord ",
      'emulation CreateSwitch "network"\n',
      "connector Connect sysbus.ethernet network\n",
      'emulation CreateServerSocketTerminal $level "level"',
      "connector Connect sysbus.usart3 level\n",
      'emulation CreateUartPtyTerminal "serial" $serial true\n',
      'macro reset\n"""\n    sysbus LoadELF $elf\n',
    )
  )
    found.push("the script uses something that is not there yet");
  if (!/macro reset\n"""[^"]*FeedSample \d+ 16[^"]*FeedSample \d+ 17[^"]*"""/.test(all.script))
    found.push("the converter is not fed at each reset");
  const fed = (channel: number) =>
    Number(new RegExp(`FeedSample (\\d+) ${channel} `).exec(all.script)?.[1]);
  // As the factory's words have them: the reference, and the sensor at 30 degrees.
  if (fed(16) !== 0x05de || fed(17) !== 0x03bf)
    found.push("the converter's channels 16 and 17 do not come swapped");
  if (!/FeedSample 959 17 -1\n {4}sysbus\.gpioPortD\.bucket Press\n"""/.test(all.script))
    found.push("the bucket is not level after a reset");
  if (!/^logLevel 3$/m.test(all.script)) found.push("the console is full of warnings");

  if (/https?:|ApplySVD/.test(`${all.platform}${all.release}${all.master}${all.script}`))
    found.push("something is fetched when it is loaded");
  if (!/CreateServerSocketTerminal \$level "level" false\n/.test(all.script))
    found.push("telnet's bytes are among what the sensor says");
  found.push(...firmwareFaults(all), ...harnessFaults(all));
  return found;
}

/** The firmware, where a model wants what silicon does not mind. */
function firmwareFaults(all: Everything): string[] {
  const found: string[] = [];
  if (!/\.sqr1\(\)\.write/.test(all.firmware)) found.push("SQR1 is never written");
  // The register crate has them as halves, and the HAL uses that.
  if (/IndependentWatchdog|\.(kr|pr|rlr)\(\)|IWDG::ptr\(\)\s*\.cast::<u16>/.test(all.firmware))
    found.push("the watchdog is accessed by halves");
  // A model that follows the chain ends at the bits for the end of a ring (RDES1 bit 15, TDES0 bit 21).
  if (!/CHAINED: u32 = 1 << 14/.test(all.firmware) || !/CHAINED: u32 = 1 << 20/.test(all.firmware))
    found.push("descriptors are not chained");
  if (/const \w*END\w*: u32 = 1 << (15|21)\b/.test(all.firmware))
    found.push("a descriptor ends its ring");
  const ram = /RAM : ORIGIN = (0x\w+)/.exec(all.linker)?.[1];
  if (!(Number(ram) >= 0x2000_0000)) found.push("DMA does not reach what is static");
  const begins = /fn init\(cx[^]*?\n {4}\}\n/.exec(all.firmware)?.[0] ?? "";
  const places = ["serial_lines(", "line::start(", "Server::new("].map((what) =>
    begins.indexOf(what),
  );
  if (places.some((place, at) => place < 0 || place < (places[at - 1] ?? 0)))
    found.push("something can be answered before the sensor is listened to");
  if (!/dmamfbocr\(\)\.read\(\)/.test(all.firmware))
    found.push("frames that are dropped are not counted");
  if (/ftf\(\)\.bit_is_clear/.test(all.firmware)) found.push("the MAC's flush is waited for");
  if (!/DMA\.store\(false, Relaxed\)/.test(all.firmware))
    found.push("nothing takes over from DMA that does not serve the USART");
  return found;
}

/** The harness, and what its tests expect. */
function harnessFaults(all: Everything): string[] {
  const found: string[] = [];
  if (/PressAndRelease/.test(all.harness.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "")))
    found.push("a button is pressed for less than a debounce");
  if (!/await answers\(process/.test(all.harness)) found.push("no answer is waited for");
  if (!/!\(await listens\(control\)\)/.test(all.harness))
    found.push("a reset under a client that has the line open is waited for in vain");
  if (!/await node\.front\(/.test(all.harness)) found.push("a secured node never comes up");
  if (!/dump_file/.test(all.harness) || !/sysbus LoadBinary/.test(all.harness))
    found.push("a power cut loses the flash");
  for (const [what, name] of [
    ["the sensor's port", "level"],
    ["its monitor", "monitor"],
  ])
    if (!all.harness.includes(`patiently(process, end, "${what}", () => enter(${name}))`))
      found.push(`it is given up when ${what} is not there yet`);
  if (!/catch \(error\) \{\s*await process\.stop\(\);\s*throw error;/.test(all.harness))
    found.push("a start that fails leaves renode behind");
  if (!/gpioPortD\.\$\{lamp\} State/.test(all.harness)) found.push("pins are not read");
  if (!/partsFor\(/.test(all.harness) || !/error instanceof Unloaded/.test(all.harness))
    found.push("one version's parts are given to all");

  if (!/clients = target\.startsWith\("renode"\) \? 4 : 64/.test(all.suites))
    found.push("64 at once are more than the model takes");
  if (!/"a reset" && !target\.startsWith\("renode"\) \? "pin" : "power on"/.test(all.suites))
    found.push("a reset cause is expected that is not modelled");
  if (/class: target\b/.test(all.suites) || !/classes\[target\] \?\? "stm32f407"/.test(all.suites))
    found.push("a package is for the class of the emulator, not of the board");
  if (!/in five formats", async[^]{0,300}?feeding\(board, "level"/.test(all.suites))
    found.push("a value that is read in five formats is said once");
  if (!/\["qemu-mps2", "renode-ethernet"\]/.test(all.suites))
    found.push("the network's suite does not run on Ethernet");
  return found;
}

describe("what is known of Renode", () => {
  test("is kept to by the platform, the script, the firmware and the harness", () => {
    expect(faults(everything)).toEqual([]);
  });

  test.each<[string, keyof Everything, string | RegExp, string]>([
    ["rng is a Miscellaneous.STM32_RNG", "release", "STM32F4_RNG", "STM32_RNG"],
    ["rng is a Miscellaneous.STM32F4_RNG", "master", "STM32_RNG", "STM32F4_RNG"],
    ["spi1 has series", "release", "    IRQ", "    series: STM32Series.F4\n    IRQ"],
    ["spi1 has nothing", "master", "    series: STM32Series.F4\n    IRQ", "    IRQ"],
    ["spi1 is missing", "master", /spi1:[^]*?nvic@35\n/, ""],
    ["wires its output 12 twice", "platform", "[0-11] -> exti@[0-11]", "[0-15] -> exti@[0-15]"],
    ["output 13 twice", "platform", "    13 ->", "    13 -> exti@13\n    13 ->"],
    ["usart2 has nothing", "platform", /(usart2: .*\n) {4}frequency.*\n/, "$1"],
    ["nvic has priorityMask: 0xFF", "platform", "priorityMask: 0xF0", "priorityMask: 0xFF"],
    ["nvic is wired to nothing", "platform", "    IRQ -> cpu@0\n", ""],
    ["dwt has frequency: 16", "platform", /(dwt: .*\n {4}frequency: )168/, "$116"],
    ["dwt is at sysbus 0xE0000000", "platform", "0xE0001000", "0xE0000000"],
    ["gpioPortA is wired to nothing", "platform", "    [0-15] -> exti@[0-15]\n", ""],
    ["is uneven", "platform", "[0-11] -> exti@[0-11]", "[0-11] -> exti@[0-15]"],
    ["gpioPortD is wired", "platform", " | orange@0", ""],
    ["button is wired", "platform", "    -> gpioPortA@0", "    -> gpioPortA@1"],
    ["phy is at ethernet 1", "platform", "@ ethernet 0", "@ ethernet 1"],
    ["option bytes are missing", "platform", /.*optionBytes.*\n/, ""],
    ["usart1 is not paced", "platform", "84000000", "8000000"],
    [
      "nothing is known of uart4",
      "platform",
      "usart6:",
      "uart4: UART.STM32_UART @ sysbus 0x40004C00\n\nusart6:",
    ],
    ["bitbandPeripherals is missing", "platform", /bitbandPeripherals: [^]*?0x40000000\n/, ""],
    ["does not come last", "script", /(emulation CreateUartPty.*\n)/, ""],
    ["does not come last", "script", "connector Connect sysbus.usart3 level\n", ""],
    ["not fed at each reset", "script", /.*FeedSample.* 16 .*\n/, ""],
    [
      "do not come swapped",
      "script",
      "1502 16 -1\n    sysbus.adc1 FeedSample 959",
      "959 16 -1\n    sysbus.adc1 FeedSample 1502",
    ],
    ["not there yet", "script", /(mach create.*\n)(.*\n)/, "$2$1"],
    ["not there yet", "script", /(.*CreateSwitch.*\n)(.*\n)/, "$2$1"],
    ["not there yet", "script", /.*sysbus.ethernet network\n/, ""],
    ["not there yet", "script", /(.*CreateServerSocket.*\n)(.*\n)/, "$2$1"],
    ["not there yet", "script", "    sysbus LoadELF $elf\n", ""],
    ["bucket is not level", "script", /.*bucket Press\n/, ""],
    ["full of warnings", "script", "logLevel 3", "logLevel -1"],
    ["SQR1", "firmware", "adc.sqr1().write(", "adc.sqr3().write("],
    ["by halves", "firmware", "let dog = Dog::start(", "let dog = IndependentWatchdog::new("],
    ["by halves", "firmware", "self.write(0, FEED);", "self.0.kr().write(|w| w.key().reset());"],
    ["by halves", "firmware", /(IWDG::ptr\(\)\s*)\.cast::<u32>/, "$1.cast::<u16>"],
    ["not chained", "firmware", "1 << 14", "1 << 15"],
    [
      "ends its ring",
      "firmware",
      "const SEND_CHAINED",
      "const SEND_END: u32 = 1 << 21;\nconst SEND_CHAINED",
    ],
    ["DMA does not reach", "linker", "RAM : ORIGIN = 0x20007400", "RAM : ORIGIN = 0x10000000"],
    [
      "before the sensor",
      "firmware",
      /( {8}serial_lines\(\n[^;]*;\n)([^]*?)( {8}let directory)/,
      "$2$1$3",
    ],
    ["not counted", "firmware", "dmamfbocr().read()", "dmasr().read()"],
    // Renode's own description of the family is without these.
    ["ccm is missing", "platform", /ccm: .*\n.*\n/, ""],
    ["dwt is missing", "platform", /dwt: .*\n.*\n/, ""],
    ["usart6 is missing", "platform", /usart6: [^]*?nvic@71\n/, ""],
    ["adc1 is missing", "platform", /adc1: .*\n.*\n/, ""],
    ["syscfg is missing", "platform", /syscfg: .*\n.*\n/, ""],
    ["adcCommon is missing", "platform", /adcCommon: .*\n.*\n/, ""],
    [
      "is fetched",
      "script",
      "mach create",
      "sysbus ApplySVD @https://example.org/stm32f40x.svd.gz\nmach create",
    ],
    ["telnet's bytes", "script", '"level" false', '"level"'],
    [
      "not fed at each reset",
      "script",
      /macro reset\n"""\n(.*\n)(.*\n)(.*\n)/,
      '$2$3macro reset\n"""\n$1',
    ],
    [
      "the sensor's port is not there yet",
      "harness",
      /patiently\(process, end, "the sensor's port", \(\) => (enter\(level\))\)/,
      "$1",
    ],
    [
      "its monitor is not there yet",
      "harness",
      /patiently\(process, end, "its monitor", \(\) => (enter\(monitor\))\)/,
      "$1",
    ],
    ["leaves renode behind", "harness", /await process\.stop\(\);\s*throw error;/, "throw error;"],
    ["pins are not read", "harness", " State`", " Name`"],
    ["given to all", "harness", "error instanceof Unloaded", "error === undefined"],
    ["64 at once", "suites", "? 4 : 64", "? 64 : 64"],
    ["not modelled", "suites", '"a reset" && !target.startsWith("renode")', '"a reset"'],
    ["class of the emulator", "suites", "class: classOf(target)", "class: target"],
    ["said once", "suites", /(five formats", async[^]*?)feeding\(/, "$1once("],
    ["does not run on Ethernet", "suites", '["qemu-mps2", "renode-ethernet"]', '["qemu-mps2"]'],
    [
      "flush is waited for",
      "firmware",
      "w.ftf().set_bit());",
      "w.ftf().set_bit());\n(0..PATIENCE).any(|_| r.ftf().bit_is_clear());",
    ],
    ["takes over from DMA", "firmware", "DMA.store(false, Relaxed)", ""],
    ["less than a debounce", "harness", '"Press"', '"PressAndRelease"'],
    ["no answer", "harness", /await answers\(process/g, "await forgotten(process"],
    ["reset under a client", "harness", "!(await listens(control))", "true"],
    ["secured node", "harness", "node.front(", "node.info("],
    ["loses the flash", "harness", "dump_file", "forget"],
    ["loses the flash", "harness", "sysbus LoadBinary", "sysbus Forget"],
  ])("and what does not is found: %s", (says, where, old, put) => {
    const changed = everything[where].replace(old, put);
    expect(changed).not.toBe(everything[where]);
    expect(faults({ ...everything, [where]: changed })).toContainEqual(
      expect.stringContaining(says),
    );
  });
});

describe("renode/README.md", () => {
  const page = read("renode/README.md");

  test("names targets, folders, scripts and machines' rights that there are", () => {
    const targets = [...page.matchAll(/WASMOTE_TARGET=([\w,-]+)/g)].flatMap(
      ([, list]) => list?.split(",") ?? [],
    );
    expect(new Set(targets)).toEqual(new Set(["renode", "renode-ethernet"]));
    for (const target of targets) expect(unavailable(target)).not.toMatch(/there is no target/);
    const named = [...page.matchAll(/vitest run ((?:test\/\w+ ?)+)/g)].flatMap(
      ([, list]) => list?.trim().split(" ") ?? [],
    );
    expect(named.length).toBeGreaterThan(1);
    for (const path of named) expect(existsSync(join(root, path)), path).toBe(true);
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    for (const [, name = ""] of page.matchAll(/npm run ([\w:-]+)/g))
      expect(Object.keys(scripts)).toContain(name);
    // The release that the parts of release.repl are for.
    for (const [, version = ""] of page.matchAll(/renode[:-](\d+\.\d+\.\d+)/g))
      expect(partsFor(`Renode v${version}`)).toBe("release.repl");
    // What a container needs to install packages, and for the TAP interface.
    for (const word of ["--user root", "--cap-add NET_ADMIN", "--device /dev/net/tun"])
      expect(page).toContain(word);
    // What the monitor is told by hand is what the harness tells it.
    for (const word of ["dump_file 0x08000000 0x10000", "phy BasicStatus 0x7809", "machine Reset"])
      expect(page).toContain(word);
  });
});
