// What compiled code spends its instructions on: QEMU tells each one that it executes, and each belongs to an instruction of the
// module.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { compiled } from "../../host/lib/engine.ts";
import { disassemble } from "../../host/lib/disassembly.ts";
import { executeOnChip, noMachine, type MachineCommand } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";
import { buildKernel, polybench, realsOf, type Real } from "./kernels.ts";
import type { Report } from "./report.ts";

/** Those that are slowest beside native code, as the benchmark `engine` has them. */
export const worst: [string, Real][] = [
  ["3mm", "f32"],
  ["jacobi-1d", "f32"],
  ["nussinov", "f32"],
  ["ackermann", "f32"],
  ["fib", "f32"],
  ["state", "f32"],
];

export const kinds = [
  "fuel",
  "bounds of accesses",
  "addresses and other integers",
  "loads and stores",
  "floats",
  "between the two kinds of registers",
  "conditions and branches",
  "calls: frames, arguments, the stack's end",
  "copies of locals and numbers",
] as const;
type Kind = (typeof kinds)[number];

/** An instruction of the chip: which kind of work it is, by its text and by the instruction of the module that it is of. */
export function kindOf(machine: string, wasm: string | undefined): Kind {
  const [name = ""] = machine.split(" ");
  const access = wasm !== undefined && /\.(load|store)/.test(wasm);
  // What is left of the fuel is in r9; a loop's end branches by it.
  if (/^\S+ r9, r9,/.test(machine) || name === "bgt") return "fuel";
  if (wasm === undefined || wasm.startsWith("call"))
    return "calls: frames, arguments, the stack's end";
  if (access && /^(cmp|b|movw)/.test(name)) return "bounds of accesses";
  if (/^vmov (s\d+, r|r\d+, s)/.test(machine)) return "between the two kinds of registers";
  if (/^v(ldr|str)|^(ldr|str)/.test(name)) return "loads and stores";
  if (/^vm(ov|rs)|^vcmp/.test(name))
    return name === "vmov.f32" ? "floats" : "conditions and branches";
  if (name.startsWith("v")) return "floats";
  if (/^(b|cb|it|cmp|tst|tbh)/.test(name) && name !== "bic" && name !== "bics")
    return "conditions and branches";
  if (/^(mov|movs|movw|movt|mvn)(\.w)?$/.test(name)) return "copies of locals and numbers";
  return "addresses and other integers";
}

/** How often each instruction of compiled code is executed, by its address in the order in which they are met first; the machine's heap has no other code. */
async function counts(commands: MachineCommand[]): Promise<Map<number, number>> {
  using folder = scratch();
  const log = join(folder.path, "trace");
  if (spawnSync("mkfifo", [log]).status !== 0) throw new Error("mkfifo cannot be run here");
  const reader = spawn("cat", [log], { stdio: ["ignore", "pipe", "inherit"] });
  const found = new Map<number, number>();
  const read = once(
    createInterface({ input: reader.stdout }).on("line", (line) => {
      const address = /^Trace [^[]*\[[0-9a-f]+\/([0-9a-f]+)\//.exec(line)?.[1];
      if (address === undefined) return;
      const place = parseInt(address, 16);
      found.set(place, (found.get(place) ?? 0) + 1);
    }),
    "close",
  );
  const words = [
    "-singlestep",
    "-d",
    "exec,nochain",
    "-dfilter",
    "0x21000000+0x1000000",
    "-D",
    log,
  ];
  const outcomes = await executeOnChip(commands, 2 ** 40, "compiled", 600_000, words);
  await read;
  const wrong = outcomes.find(({ status }) => status !== "ok");
  if (wrong) throw new Error(wrong.text);
  if (outcomes[0]?.text !== "compiled") throw new Error(`interpreted: ${outcomes[0]?.text}`);
  return found;
}

/** Instructions of a kernel's run, by kind. */
export async function breakdown(module: Uint8Array): Promise<Map<Kind, number>> {
  const made = compiled(module);
  const listing = disassemble(made, () => undefined);
  if (listing.without) throw new Error(listing.without);
  const of = new Map<number, Kind>();
  for (const { at, text } of listing.frames) of.set(at, kindOf(text!, undefined));
  for (const { steps } of listing.lines)
    for (const step of steps)
      for (const { at, text } of step.machine) of.set(at, kindOf(text!, step.text));
  const invoke = (name: string): MachineCommand => ({
    do: "invoke",
    instance: "k",
    name,
    values: [],
  });
  const before: MachineCommand[] = [{ do: "instantiate", name: "k", module }, invoke("setup")];
  const without = await counts(before);
  const whole = await counts([...before, invoke("run")]);
  // Both begin with the same instruction, at the one place of the code from which on all that was executed are instructions.
  const [begun = 0, ...others] = [...whole.keys()];
  const begins = [...of.keys()].filter((at) => others.every((pc) => of.has(at + pc - begun)));
  if (begins.length !== 1) throw new Error(`the code may begin at ${begins.length} places`);
  const placed = (found: Map<number, number>) => {
    const [first = 0] = found.keys();
    return new Map([...found].map(([pc, count]) => [begins[0]! + pc - first, count]));
  };
  const earlier = placed(without);
  const all = new Map<Kind, number>(kinds.map((kind) => [kind, 0]));
  for (const [at, count] of placed(whole)) {
    const kind = of.get(at)!;
    all.set(kind, all.get(kind)! + count - (earlier.get(at) ?? 0));
  }
  return all;
}

export async function run(): Promise<Report> {
  if (noMachine) throw new Error(noMachine);
  const rows: (string | number)[][] = [];
  for (const [kernel, real] of worst) {
    const { module } = await buildKernel(kernel, real);
    const found = await breakdown(module);
    const all = [...found.values()].reduce((sum, count) => sum + count);
    const name = realsOf(kernel).length > 1 ? `${kernel} ${real}` : kernel;
    const shares = kinds.map((kind) => `${((found.get(kind)! / all) * 100).toFixed(1)} %`);
    rows.push([polybench.includes(kernel) ? name : `${name} (micro)`, all, ...shares]);
  }
  return {
    name: "breakdown",
    title: "Compiled code: what its instructions are for",
    method:
      "The kernels that are slowest beside native code (page `engine`), three of PolyBench and three of the micro-kernels. QEMU executes " +
      "the function `run` instruction by instruction; each belongs to an instruction of the module, as `wasmote check --disassemble` " +
      "shows them. What is computed in front of loops counts for its kind; functions in flash that compiled code calls are not counted.",
    notes: [
      "An access of a memory whose bounds are looked at takes a comparison and a branch, and often the sum that is compared; native code looks at none. " +
        "It also has its loops unrolled, which neither AssemblyScript nor the compiler does, so that conditions, the fuel of a round and the " +
        "counter weigh on every element.",
      "A float goes through a general register on its way from and to the memory, because an address may be unaligned, where VLDR faults.",
      "A call takes 14 instructions without its arguments: four of them look at the stack's end, two at the fuel. A local in a register is stored before a call and fetched after it.",
    ],
    tables: [
      { title: "Shares of the instructions", columns: ["kernel", "instructions", ...kinds], rows },
    ],
    plots: [],
  };
}
