// A kernel or a filter as native code for the chip: its twin in Rust, by itself, as object, static and shared library. What
// the module has instead of exports of the same names is what a program for the chip would link or load.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chipCargo, command, root, targetFolder } from "../../host/setup.mjs";
import type { Real } from "./kernels.ts";

export interface Native {
  object: number;
  staticLibrary: number;
  sharedLibrary: number;
  /** Of the shared library: code, constants and initial values, without what describes them. */
  loaded: number;
}

const sources = join(root, "test/bench/engine/src");
const chip = "thumbv7em-none-eabihf";

/** Why there is none, or nothing. */
export function missingNative(): string | undefined {
  if (!command("arm-none-eabi-ld"))
    return "there is no arm-none-eabi-ld (`npm run -s bench -- engine` installs it)";
  if (!spawnSync(compiler().program, ["--version"]).stdout) return "there is no Rust compiler";
  return undefined;
}

/** The compiler for the chip, and where it finds its library: its own or, with Debian's, what Cargo built for the images. */
function compiler(): { program: string; words: string[]; env: Record<string, string> } {
  const { env } = chipCargo() as { env: Record<string, string> };
  if (!env.RUSTC) return { program: "rustc", words: [], env: {} };
  const folder = join(targetFolder() as string, chip, "release/deps");
  const newest = (crate: string) => {
    const found = readdirSync(folder).filter(
      (name) => name.startsWith(`lib${crate}-`) && name.endsWith(".rlib"),
    );
    const age = (name: string) => statSync(join(folder, name)).mtimeMs;
    return join(folder, found.toSorted((a, b) => age(b) - age(a))[0] ?? "");
  };
  const words = ["core", "compiler_builtins"].flatMap((crate) => [
    "--extern",
    `noprelude:${crate}=${newest(crate)}`,
  ]);
  return { program: env.RUSTC, words: [...words, "-L", folder, "-Zunstable-options"], env };
}

/** The twin of a kernel: setup, run and checksum, over arrays of its own. */
export function nativeKernel(kernel: string, real: Real): Native {
  const file = (name: string) => JSON.stringify(join(sources, "kernels", `${name}.rs`));
  return compile(`
#![no_std]
pub type Real = ${real};
unsafe extern "C" { #[link_name = "sqrt${real === "f32" ? "f" : ""}"] safe fn sqrt(x: Real) -> Real; }
#[macro_use] #[path = ${file("support")}] mod support;
use support::*;
#[path = ${file("definite")}] mod definite;
#[path = ${file("lu")}] mod lu;
#[path = ${file(kernel)}] mod kernel;
static mut ARRAYS: kernel::Arrays = kernel::Arrays::ZEROS;
fn arrays() -> &'static mut kernel::Arrays { unsafe { &mut *(&raw mut ARRAYS) } }
#[unsafe(no_mangle)] extern "C" fn setup() { arrays().setup() }
#[unsafe(no_mangle)] extern "C" fn run() { arrays().run() }
#[unsafe(no_mangle)] extern "C" fn checksum() -> i32 { arrays().checksum() }
`);
}

/** The twin of a filter, with the imports and exports of a module. */
export function nativeFilter(name: string): Native {
  const file = (one: string) => JSON.stringify(join(sources, "examples", `${one}.rs`));
  const request = `
static mut BUFFER: [u8; 256] = [0; 256];
#[unsafe(no_mangle)] extern "C" fn buffer() -> *mut u8 { (&raw mut BUFFER).cast() }
#[unsafe(no_mangle)] extern "C" fn request(method: i32, path: i32, payload: i32) {
  let buffer = unsafe { &*(&raw const BUFFER) };
  let (path, rest) = buffer.split_at(path as usize);
  program().request(&mut Imports, method, path, &rest[..payload as usize]);
}`;
  return compile(`
#![no_std]
#[path = ${file("support")}] mod support;
use support::*;
#[path = ${file(name)}] mod filter;
mod imports {
  unsafe extern "C" {
    pub safe fn publish(output: i32, value: f32);
    pub safe fn parameter(number: i32) -> f32;
    pub safe fn gpio(pin: i32, high: i32);
    pub safe fn log(line: *const u8, length: i32);
    pub safe fn reply(code: i32, payload: *const u8, length: i32);
    #[link_name = "sqrtf"] pub safe fn sqrt(x: f32) -> f32;
  }
}
use imports::sqrt;
struct Imports;
impl Node for Imports {
  fn publish(&mut self, output: i32, value: f32) { imports::publish(output, value) }
  fn parameter(&mut self, number: i32) -> f32 { imports::parameter(number) }
  fn gpio(&mut self, pin: i32, high: i32) { imports::gpio(pin, high) }
  fn log(&mut self, line: &[u8]) { imports::log(line.as_ptr(), line.len() as i32) }
  fn reply(&mut self, code: i32, payload: &[u8]) { imports::reply(code, payload.as_ptr(), payload.len() as i32) }
}
static mut PROGRAM: filter::Program = filter::Program::NEW;
fn program() -> &'static mut filter::Program { unsafe { &mut *(&raw mut PROGRAM) } }
#[unsafe(no_mangle)] extern "C" fn sample(sensor: i32, value: f32) { program().sample(&mut Imports, sensor, value) }
${name === "request-handler" ? request : ""}
`);
}

function compile(source: string): Native {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-native-"));
  const path = (name: string) => join(folder, name);
  const { program, words, env } = compiler();
  const run = (name: string, rest: string[]) =>
    execFileSync(name, rest, { cwd: folder, env: { ...process.env, ...env }, stdio: "pipe" });
  try {
    writeFileSync(
      path("twin.rs"),
      `${source}\n#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n`,
    );
    const flags =
      "--edition 2024 --crate-type staticlib --emit obj -A warnings -C opt-level=s -C panic=abort -C codegen-units=1";
    for (const model of ["static", "pic"])
      run(program, [
        ...flags.split(" "),
        "--target",
        chip,
        ...words,
        // Where this checkout lies is not a part of a program's size.
        "--remap-path-prefix",
        `${sources}=src`,
        "-C",
        `relocation-model=${model}`,
        "twin.rs",
        "-o",
        `${model}.o`,
      ]);
    run("arm-none-eabi-ar", ["rcs", "libtwin.a", "static.o"]);
    // As small as it gets: no symbols but the dynamic ones, no padding to pages.
    const tight = "-shared -s --gc-sections -z max-page-size=4096 -z noseparate-code";
    run("arm-none-eabi-ld", [...tight.split(" "), "pic.o", "-o", "libtwin.so"]);
    const sections = run("arm-none-eabi-size", ["-A", "libtwin.so"]).toString();
    const loaded = [...sections.matchAll(/^\.(?:text|rodata|data|got)\S*\s+(\d+)/gm)];
    const size = (name: string) => statSync(path(name)).size;
    return {
      object: size("static.o"),
      staticLibrary: size("libtwin.a"),
      sharedLibrary: size("libtwin.so"),
      loaded: loaded.reduce((sum, [, bytes]) => sum + Number(bytes), 0),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
