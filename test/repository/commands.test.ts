// Every command that the documentation names, and why it runs on a machine that has nothing yet but Node and Rust.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasCLibrary, root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";

const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter((page) => page !== "");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};

/** Scripts that need no set-up, with the reason. */
const bare: Record<string, string> = {
  test: "sets the machine up itself (test/all.mjs)",
  conformance: "is Cargo's alone",
  gen: "of those who change the contract: they have run the tests",
  lint: "of those who change the source",
  format: "of those who change the source",
  mutants: "of those who change the source",
  wasmote: "of those who change the source",
};

const named = new Map<string, string[]>();
for (const page of pages)
  for (const [line] of readFileSync(join(root, page), "utf8").matchAll(
    /npm (?:run (?:-s )?[a-z]+|start|test)(?: --[^`\n|]*)?/g,
  )) {
    const name = /npm (?:run (?:-s )?)?([a-z]+)/.exec(line)?.[1] ?? "";
    named.set(name, [...(named.get(name) ?? []), line.trim()]);
  }

describe("a command that the documentation names", () => {
  test("is there", () => {
    expect(named.size).toBeGreaterThan(5);
    expect([...named.keys()].filter((name) => !(name in scripts))).toEqual([]);
  });

  test("sets the machine up before it runs, unless it needs none", () => {
    const without = [...named.keys()].filter(
      (name) => !(name in bare) && !scripts[name]?.startsWith("node host/setup.mjs"),
    );
    expect(without).toEqual([]);
  });

  test("names a benchmark that exists, and the page of each names its command", () => {
    const source = readFileSync(join(root, "test/bench/main.ts"), "utf8");
    const list = [...source.matchAll(/^ {2}"?([a-z-]+)"?: \{/gm)].map(([, name = ""]) => name);
    expect(list.length).toBeGreaterThan(5);
    const asked = (named.get("bench") ?? []).map((line) => /-- ([a-z-]+)/.exec(line)?.[1] ?? "");
    expect(asked.filter((name) => name !== "" && name !== "all" && !list.includes(name))).toEqual(
      [],
    );
    const written = list.filter((name) => existsSync(join(root, "docs/benchmarks", `${name}.md`)));
    expect(written.length).toBeGreaterThan(5);
    expect(written.filter((name) => !asked.includes(name))).toEqual([]);
  });
});

describe("what a benchmark lacks", () => {
  test("a compiler for the chip without a C library is found out, and one with it is not", () => {
    using folder = scratch();
    const fake = (name: string, text: string) => {
      const path = join(folder.path, name);
      writeFileSync(path, `#!/bin/sh\n${text}\n`);
      chmodSync(path, 0o755);
      return path;
    };
    expect(hasCLibrary(fake("without", 'echo "stdio.h: No such file" >&2; exit 1'))).toBe(false);
    expect(hasCLibrary(fake("with", "cat > /dev/null"))).toBe(true);
    expect(hasCLibrary(join(folder.path, "none"))).toBe(false);
  });

  test("is said in a sentence with what to install, without a stack trace", () => {
    using folder = scratch();
    // There is a compiler, but no C library, and nobody who could install one.
    const gcc = join(folder.path, "arm-none-eabi-gcc");
    writeFileSync(gcc, "#!/bin/sh\nexit 1\n");
    chmodSync(gcc, 0o755);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", "test/bench/main.ts", "compare"],
      { cwd: root, encoding: "utf8", env: { ...process.env, PATH: folder.path } },
    );
    expect(status).toBe(1);
    expect(stdout + stderr).toMatch(
      /install these, then run this again: .*libnewlib-arm-none-eabi/,
    );
    expect(stderr).toMatch(/bench compare: nothing can be compared: /);
    expect(stdout + stderr).not.toMatch(/\n {4}at /);
  });
});

const user = process.getuid?.() === 0 ? "" : " (skipped: only root installs without asking)";
test.skipIf(user !== "")(
  `the set-up tells what it installs for the whole computer, and WASMOTE_SUDO=no forbids it${user}`,
  () => {
    using folder = scratch();
    const called = join(folder.path, "called");
    for (const [name, text] of [
      ["apt-get", `echo "$@" >> ${called}`],
      ["env", 'shift; exec "$@"'],
      ["id", "echo 0"],
    ] as const) {
      writeFileSync(join(folder.path, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder.path, name), 0o755);
    }
    const ask = (answer?: string) =>
      spawnSync(
        process.execPath,
        ["-e", 'import("./host/setup.mjs").then((m) => m.crossCompiler())'],
        {
          cwd: root,
          encoding: "utf8",
          env: {
            ...process.env,
            // Nothing else: where /bin is /usr/bin, a compiler may be there.
            PATH: folder.path,
            ...(answer === undefined ? {} : { WASMOTE_SUDO: answer }),
          },
        },
      );
    expect(ask("no").stdout).toMatch(/install these, then run this again/);
    expect(() => readFileSync(called)).toThrow();
    expect(ask().stdout).toMatch(/installing for this computer: apt-get install gcc-arm-none-eabi/);
    expect(readFileSync(called, "utf8")).toContain("install -y --no-install-recommends");
  },
);
