// The same three filters in Wasmote and in the script interpreters that run on microcontrollers and can be had from package
// registries, each in an image of its own for the emulated Cortex-M4F: size of program and flash, RAM, instructions.
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { build } from "../../host/lib/build/build.ts";
import { crossCompiler, engineLibrary, root } from "../../host/setup.mjs";
import { readImage } from "./elf.ts";
import { figure, type Cell, type Report } from "./report.ts";

const folder = join(root, "test/bench/compare");
const cache = join(root, ".cache/compare");
const execute = promisify(execFile);

const filters = ["moving average", "flood alarm", "vibration"];
/** Samples of a run that is measured, after one of `warmUp`. */
const [warmUp, samples] = [100, 1000];

/** What every object for the chip is compiled with, and how objects and the harness become an image. */
export const chip = "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16".split(" ");
const compile = [...chip, ..."-O2 -ffunction-sections -fdata-sections -w".split(" ")];
export const link = [
  ...chip,
  "-T",
  join(folder, "link.ld"),
  ..."-nostartfiles --specs=nano.specs --specs=rdimon.specs -Wl,--gc-sections".split(" "),
];

/** What the harness tells of a program. */
export interface Measured {
  load: number;
  loadHeap: number;
  loadStack: number;
  heap: number;
  compiled: number;
  runs: { result: number; instructions: number; peakHeap: number; stack: number }[];
}

interface Peer {
  name: string;
  /** The program as it is written, and as it is sent to the board. */
  source: string;
  program: () => Promise<Uint8Array>;
  /** Folder of C sources with the files that are compiled, and definitions; or a library. */
  sources?: { crate: string; folder: string; files: (name: string) => boolean };
  definitions?: string[];
  /** Changes a file of the sources. */
  edit?: (name: string, text: string) => string;
  libraries?: () => Promise<string[]>;
  glue?: string;
  /** What is linked although nothing mentions it. */
  forced?: string[];
}

const written = (name: string) => () => Promise.resolve(readFileSync(join(folder, name)));

const peers: Peer[] = [
  {
    name: "Wasmote",
    source: "../../../assembly/bench/filters.ts",
    program: async () =>
      (await build(join(root, "assembly/bench/filters.ts"), { plain: true })).module,
    libraries: async () => [await engineLibrary()],
  },
  {
    name: "Wasmote compiled",
    source: "../../../assembly/bench/filters.ts",
    program: async () =>
      (await build(join(root, "assembly/bench/filters.ts"), { plain: true })).module,
    libraries: async () => [await engineLibrary(["compiled"])],
  },
  {
    name: "Lua 5.4",
    source: "filters.lua",
    program: written("filters.lua"),
    glue: "lua.c",
    sources: {
      crate: "lua-src",
      folder: "lua-5.4.9",
      // Without the programs and the libraries that a filter does not use.
      files: (name) => !/^(lua|luac|l(os|io|db|utf8|coro|str|tab)lib|loadlib|linit)\.c$/.test(name),
    },
    // Integers and floats of 32 bits, as its manual advises for small targets: faster and smaller on this chip.
    edit: (name, text) =>
      name === "luaconf.h" ? text.replace(/#define LUA_32BITS\s+0/, "#define LUA_32BITS 1") : text,
    forced: ["_printf_float"],
  },
  {
    name: "QuickJS",
    source: "filters.js",
    program: written("filters.js"),
    glue: "quickjs.c",
    sources: {
      crate: "rquickjs-sys",
      folder: "quickjs",
      files: (name) => /^(quickjs|libregexp|libunicode|dtoa)\.c$/.test(name),
    },
    // Its own switch for a target without threads and atomics (that of DJGPP) fits a bare chip.
    definitions: ["_GNU_SOURCE", "__DJGPP"],
    forced: ["_printf_float"],
  },
];

/** The same in C: the base of every image, and what instructions are a multiple of. */
const native: Peer = {
  name: "C",
  source: "native.c",
  program: () => Promise.resolve(new Uint8Array()),
  glue: "native.c",
};

/** What each run comes to, in the JavaScript of this process. */
function expected(): number[] {
  const context: { run?: (which: number, n: number) => number } = {};
  runInNewContext(readFileSync(join(folder, "filters.js"), "utf8"), context);
  return filters.map((_, which) => {
    context.run?.(which, warmUp);
    return context.run?.(which, samples) ?? NaN;
  });
}

/** Where Cargo keeps the source of a crate. */
async function crateFolder(name: string): Promise<string> {
  const words = ["metadata", "--locked", "--format-version", "1", "--manifest-path"];
  const { stdout } = await execute("cargo", [...words, join(root, "firmware/Cargo.toml")], {
    maxBuffer: 1 << 28,
  });
  const { packages } = JSON.parse(stdout) as {
    packages: { name: string; manifest_path: string }[];
  };
  const found = packages.find((one) => one.name === name);
  if (!found) throw new Error(`Cargo knows no crate ${name}`);
  return dirname(found.manifest_path);
}

/** Compiles and links the image of a peer. */
async function image(peer: Peer): Promise<string> {
  const place = join(cache, peer.name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  const inputs = [join(folder, "harness.c")];
  const options = (peer.definitions ?? []).map((name) => `-D${name}`);
  if (peer.glue) inputs.push(join(folder, peer.glue));
  if (peer.sources) {
    const { crate, folder: inside, files } = peer.sources;
    const from = join(await crateFolder(crate), inside);
    for (const entry of readdirSync(from).filter((name) => /\.[ch]$/.test(name))) {
      const text = readFileSync(join(from, entry), "latin1");
      writeFileSync(join(place, entry), peer.edit?.(entry, text) ?? text, "latin1");
      if (entry.endsWith(".c") && files(entry)) inputs.push(join(place, entry));
    }
  }
  const objects = inputs.map((input, number) => join(place, `${number}.o`));
  const queue = inputs.map((input, number) => [input, objects[number]!] as const);
  await Promise.all(
    cpus().map(async () => {
      for (let next = queue.pop(); next; next = queue.pop())
        await execute(
          "arm-none-eabi-gcc",
          compile.concat(options, "-I", place, "-I", folder, "-c", next[0], "-o", next[1]),
        );
    }),
  );
  const elf = join(place, "image.elf");
  const forced = (peer.forced ?? []).flatMap((name) => ["-u", name]);
  const libraries = (await peer.libraries?.()) ?? [];
  await execute("arm-none-eabi-gcc", link.concat(forced, objects, libraries, "-lm", "-o", elf));
  return elf;
}

/** MicroPython as npm has it, as WebAssembly for this computer: what it takes for the same program, in words of 32 bits too. */
async function micropython(want: number[]) {
  // It comes without types.
  const name = "@micropython/micropython-webassembly-pyscript";
  const { loadMicroPython } = (await import(`${name}/micropython.mjs`)) as {
    loadMicroPython: (options: object) => Promise<Python>;
  };
  const engine = createRequire(import.meta.url).resolve(`${name}/micropython.wasm`);
  const source = readFileSync(join(folder, "filters.py"), "utf8");
  const python = await loadMicroPython({ heapsize: 64 * 1024 });
  python.runPython("import gc\ngc.collect()\nbefore = gc.mem_alloc()");
  python.runPython(source);
  python.runPython("gc.collect()\nafter = gc.mem_alloc()");
  const heap = Number(python.globals.get("after")) - Number(python.globals.get("before"));
  const run = python.globals.get("run") as (which: number, n: number) => number;
  want.forEach((value, which) => {
    run(which, warmUp);
    const found = run(which, samples);
    if (found !== value)
      throw new Error(`MicroPython: ${filters[which]} is ${found} and has to be ${value}`);
  });
  return { engine: statSync(engine).size, source: source.length, heap };
}

interface Python {
  runPython: (text: string) => void;
  globals: { get: (name: string) => unknown };
}

/** Runs an image with the harness in it on the emulated chip; its program lies beside it. */
export async function emulateImage(elf: string): Promise<Measured> {
  const place = dirname(elf);
  const machine = "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none";
  const run = execute(
    "qemu-system-arm",
    [...machine.split(" "), "-semihosting-config", "enable=on,target=native", "-kernel", elf],
    { cwd: place, timeout: 300_000 },
  );
  run.child.stdin?.end();
  const { stdout } = await run;
  const found = JSON.parse(stdout) as Partial<Measured>;
  if (found.runs?.length !== filters.length) throw new Error(`${elf}: ${stdout}`);
  return found as Measured;
}

async function measure(peer: Peer, elf: string): Promise<Measured> {
  writeFileSync(join(dirname(elf), "program"), await peer.program());
  return emulateImage(elf);
}

export async function run(): Promise<Report> {
  const compiler = await crossCompiler();
  if (!compiler.ok) throw new Error(`nothing can be compared: ${compiler.what}`);
  const want = expected();
  const python = await micropython(want);
  const all: Entry[] = [];
  const base = readImage(await image(native), () => "all");
  for (const peer of [native, ...peers]) {
    const elf = await image(peer);
    const measured = await measure(peer, elf);
    measured.runs.forEach(({ result }, which) => {
      if (result !== want[which])
        throw new Error(
          `${peer.name}: ${filters[which]} is ${result} and has to be ${want[which]}`,
        );
    });
    const source = readFileSync(join(folder, peer.source)).length;
    const flash = readImage(elf, () => "all").flash - base.flash;
    all.push({ peer, measured, source, flash, sent: (await peer.program()).length });
  }
  const [c, own, compiled, ...others] = all as [Entry, Entry, Entry, ...Entry[]];

  const running = ({ measured: { runs } }: Entry) =>
    Math.max(...runs.map(({ peakHeap, stack }) => peakHeap + stack));
  const loading = ({ measured }: Entry) => measured.loadHeap + measured.loadStack;
  const each = ({ measured: { runs } }: Entry, which: number) =>
    (runs[which]?.instructions ?? NaN) / samples;
  const metrics: [string, (entry: Entry) => number][] = [
    ["flash of the engine", ({ flash }) => flash],
    ["RAM while it runs", running],
    ["RAM while it is loaded", loading],
    ["instructions to load", ({ measured }) => measured.load],
    ["bytes sent", ({ sent }) => sent],
    ["bytes once compiled", ({ measured }) => measured.compiled],
    ...filters.map(
      (name, which) =>
        [`instructions of the ${name}`, (entry: Entry) => each(entry, which)] as [
          string,
          (entry: Entry) => number,
        ],
    ),
  ];
  const lost = metrics.flatMap(([what, of]) =>
    others
      .filter((entry) => of(entry) < of(own))
      .map(
        (entry) =>
          `Wasmote loses to ${entry.peer.name} in ${what}: ${figure(of(own))} to ${figure(of(entry))}.`,
      ),
  );
  const engines = [own, compiled, ...others];
  return {
    name: "compare",
    title: "Compare: filters in Wasmote, Lua and JavaScript",
    method:
      "Three filters, written the way each language has them (test/bench/compare, assembly/bench/filters.ts): a moving average over 8 samples, a flood alarm with " +
      `hysteresis, the root mean square of a vibration over 64. Each engine is an image of its own on an emulated Cortex-M4F, with the same ` +
      `harness in C, compiled with -O2 (Wasmote's as on a node); a run feeds ${samples} samples, after ${warmUp} to warm up. All give the results ` +
      "that this computer's JavaScript gives, or nothing is measured. Instructions are QEMU's, heap is what the engine asks for, stack is what it " +
      "paints over. Wasmote compiled: the same module, through the compiler and the verifier when it is loaded, with as much memory for its code as it " +
      "takes. Flash is that of the image without what the filters in C need, C library included where an engine uses it. Wasmote's " +
      "table of branches counts as flash, where a node keeps it. Lua is built with numbers of 32 bits, as its manual advises for small targets; " +
      "QuickJS (quickjs-ng) knows doubles alone, which this chip computes in software. Wasmote counts fuel and checks bounds in all of this.",
    notes: [
      ...lost,
      ...(lost.length === 0 ? ["Wasmote is ahead in every column."] : []),
      "Left out on the chip: MicroPython, of which no package with its C sources was found; npm has it as WebAssembly, and what can be said of that is below. " +
        "Left out altogether, for the same reason: Duktape, JerryScript, Espruino.",
    ],
    tables: [
      {
        title: "Program and engine, in bytes",
        columns: [
          "engine",
          "source",
          "sent",
          "compiled",
          "flash",
          "RAM, running",
          "of that stack",
          "RAM, loading",
        ],
        rows: engines.map((entry): Cell[] => [
          entry.peer.name,
          entry.source,
          entry.sent,
          entry.measured.compiled,
          entry.flash,
          running(entry),
          Math.max(...entry.measured.runs.map(({ stack }) => stack)),
          loading(entry),
        ]),
      },
      {
        title: "Instructions",
        columns: ["engine", "to load", ...filters.map((name) => `${name}, a sample`), "times C"],
        rows: [c, ...engines].map((entry): Cell[] => [
          entry.peer.name,
          entry.measured.load,
          ...filters.map((_, which) => Math.round(each(entry, which))),
          figure(
            Math.exp(
              filters.reduce(
                (sum, _, which) => sum + Math.log(each(entry, which) / each(c, which)),
                0,
              ) / filters.length,
            ),
          ),
        ]),
      },
      {
        title: "MicroPython 1.27, on this computer, in bytes",
        columns: ["engine, as WebAssembly", "source", "heap of the program"],
        rows: [[python.engine, python.source, python.heap]],
      },
    ],
    plots: [
      {
        title: "A sample",
        unit: "instructions, less is better",
        labels: filters,
        series: engines.map((entry) => ({
          name: entry.peer.name,
          values: filters.map((_, which) => each(entry, which)),
        })),
      },
      {
        title: "What it takes",
        unit: "bytes, less is better",
        labels: ["flash", "RAM, running", "RAM, loading"],
        series: engines.map((entry) => ({
          name: entry.peer.name,
          values: [entry.flash, running(entry), loading(entry)],
        })),
      },
    ],
  };
}

interface Entry {
  peer: Peer;
  measured: Measured;
  source: number;
  flash: number;
  sent: number;
}
