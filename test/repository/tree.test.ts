// What holds for the repository as a whole: nothing of one machine in it, and nothing that was built.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((file) => file !== "" && statSync(join(root, file), { throwIfNoEntry: false })?.isFile());
const text = (file: string) => readFileSync(join(root, file), "utf8");

/** The modules of a crate, each with those it uses: by `crate::`, also through what lib.rs exports again, but for its tests. */
function modulesOf(crate: string): Map<string, Set<string>> {
  const source = (file: string) =>
    text(file)
      .split(/^#\[cfg\(test\)\]\n(?:#\[[^]*?\]\n)*mod /m)[0]!
      .replace(/\/\/.*$/gm, "");
  const folder = `firmware/${crate}/src/`;
  const modules = new Map<string, Set<string>>();
  const sources = files.filter((file) => file.startsWith(folder) && file.endsWith(".rs"));
  const nameOf = (file: string) => file.slice(folder.length).split(/[/.]/)[0]!;
  for (const file of sources) if (nameOf(file) !== "lib") modules.set(nameOf(file), new Set());

  // What `use` names first: `a::{b, c::d}` is a, `{a::b, c}` are a and c.
  const first = (list: string): string[] => {
    const group = /^\s*\{([^]*)\}/.exec(list)?.[1];
    if (group === undefined) return [/^\s*(\w+)/.exec(list)?.[1] ?? ""];
    let depth = 0;
    const parts = [""];
    for (const letter of group) {
      if (letter === "{") depth++;
      if (letter === "}") depth--;
      if (letter === "," && depth === 0) parts.push("");
      else parts[parts.length - 1] += letter;
    }
    return parts.flatMap(first);
  };
  const exported = new Map<string, string>();
  for (const [, module, names] of source(`${folder}lib.rs`).matchAll(
    /pub use (?:self::)?(\w+)::(\{[^}]*\}|\w+);/g,
  ))
    for (const name of first(names!)) exported.set(name, module!);
  for (const file of sources) {
    const uses = modules.get(nameOf(file));
    for (const [, rest] of source(file).matchAll(/\bcrate::(\{(?:[^{}]|\{[^{}]*\})*\}|\w+)/g))
      for (const name of first(rest!)) {
        const module = modules.has(name) ? name : exported.get(name);
        if (module !== undefined && module !== nameOf(file)) uses?.add(module);
      }
  }
  return modules;
}

/** A circle of modules that use each other, if there is one. */
function circle(modules: Map<string, Set<string>>): string[] | undefined {
  const finished = new Set<string>();
  const visit = (module: string, path: string[]): string[] | undefined => {
    if (path.includes(module)) return [...path.slice(path.indexOf(module)), module];
    if (finished.has(module)) return undefined;
    for (const next of modules.get(module) ?? []) {
      const found = visit(next, [...path, module]);
      if (found) return found;
    }
    finished.add(module);
    return undefined;
  };
  for (const module of modules.keys()) {
    const found = visit(module, []);
    if (found) return found;
  }
  return undefined;
}

const imported = /^(?:import|export)\b[^"'`;]*?\bfrom "(\.[^"]*)";$/gm;

/** The files below a folder with the files that each imports, types too. */
function importsBelow(folder: string): Map<string, Set<string>> {
  const sources = files.filter((file) => file.startsWith(`${folder}/`) && /\.m?ts$/.test(file));
  const imports = (file: string) =>
    [...text(file).matchAll(imported), ...text(file).matchAll(/\bimport\("(\.[^"]*)"\)/g)].map(
      ([, to]) => join(dirname(file), to!),
    );
  return new Map(sources.map((file) => [file, new Set(imports(file))]));
}

/** The functions of a source with their lengths in lines: from the line that begins one to the brace that closes it, by indentation. */
function functionsIn(source: string): { name: string; length: number }[] {
  const lines = source.split("\n");
  return lines.flatMap((line, from) => {
    const [, indent, rust, name = rust] =
      /^(\s*)(?:(?:pub(?:\([\w: ]+\))?|const|unsafe|async|default|export|static|private|extern "C") )*(?:fn (\w+)|function\*? (\w+))/.exec(
        line,
      ) ?? [];
    if (indent === undefined || name === undefined || line.endsWith("}")) return [];
    const length = lines.slice(from).findIndex((end, at) => at > 0 && end === `${indent}}`) + 1;
    return [{ name, length }];
  });
}

/** The folders of firmware/ that are crates. */
const crates = files.flatMap((file) => /^firmware\/([\w-]+)\/Cargo\.toml$/.exec(file)?.[1] ?? []);

/** What portable crates may depend on, of this repository: dependencies point inwards. */
const inwards: Record<string, string[]> = {
  engine: [],
  compiler: ["engine"],
  coap: [],
  oscore: ["coap"],
  edhoc: ["oscore"],
  node: ["engine", "compiler", "coap", "oscore", "edhoc"],
  net: ["node", "coap"],
  sensors: ["node"],
};

describe("the portable crates", () => {
  describe.each(crates)("%s", (crate) => {
    test("has no modules that use each other in a circle", () => {
      const modules = modulesOf(crate);
      const edges = [...modules.values()].reduce((sum, uses) => sum + uses.size, 0);
      // A crate of one file has nothing to go round in; the rest would go unseen if `crate::` were no longer understood.
      expect(edges).toBeGreaterThanOrEqual(modules.size > 2 ? 1 : 0);
      expect(circle(modules)).toBeUndefined();
    });
  });

  test("are searched for circles by a search that finds them", () => {
    const uses = (text: string) =>
      new Map(text.split(" ").map((edge) => [edge[0]!, new Set(edge[1])]));
    expect(circle(uses("ab bc ca"))).toEqual(["a", "b", "c", "a"]);
    expect(circle(uses("ab bc c"))).toBeUndefined();
    // One that is known: interpret executes what module describes, and not the other way round.
    expect(modulesOf("engine").get("interpret")).toContain("module");
    expect(modulesOf("engine").get("module")).not.toContain("interpret");
  });

  test.each(["assembly", "host", "test"])(
    "nor has %s files that import each other in a circle",
    (folder) => {
      const imports = importsBelow(folder);
      expect([...imports.values()].reduce((sum, to) => sum + to.size, 0)).toBeGreaterThan(20);
      expect(circle(imports)).toBeUndefined();
    },
  );

  test.each(crates)("%s depends inwards alone", (crate) => {
    const manifest = parse(text(`firmware/${crate}/Cargo.toml`)) as Record<string, object>;
    const ours = Object.keys(manifest["dependencies"] ?? {})
      .filter((name) => name.startsWith("wasmote-"))
      .map((name) => name.slice("wasmote-".length));
    expect(inwards[crate], `firmware/${crate} is not in the list of directions`).toBeDefined();
    expect(ours.filter((name) => !inwards[crate]!.includes(name))).toEqual([]);
  });
});

/** The crates of firmware/ that hold no unsafe code, and say so. */
const safe = ["coap", "edhoc", "net", "node", "oscore", "sensors"];

describe("unsafe code", () => {
  test.each(crates)("of %s is where it has a reason", (crate) => {
    expect(text(`firmware/${crate}/src/lib.rs`).includes("#![forbid(unsafe_code)]")).toBe(
      safe.includes(crate),
    );
  });
});

describe("the repository", () => {
  test("names no registry host in the lock file", () => {
    expect(text("package-lock.json")).not.toMatch(/https?:\/\/[^"]*\.tgz/);
  });

  test("holds no file over 512 KiB", () => {
    expect(files.filter((file) => statSync(join(root, file)).size > 512 * 1024)).toEqual([]);
  });

  test("holds no path of somebody's machine", () => {
    const home = /\/(root|home\/\w+|tmp\/\w+|work)\/(main|shared|target|\.)/;
    expect(
      files.filter((file) => file !== "test/repository/tree.test.ts" && home.test(text(file))),
    ).toEqual([]);
  });

  test("has a licence text for each licence that package.json and Cargo name", () => {
    const { license } = JSON.parse(text("package.json")) as { license: string };
    expect(text("firmware/Cargo.toml")).toContain(`license = "${license}"`);
    expect(
      license
        .split(" OR ")
        .map((name) => files.includes(`LICENSE-${name.split("-")[0]?.toUpperCase()}`)),
    ).toEqual([true, true]);
  });

  test("has an engine without std, heap or dependencies but libm", () => {
    const { dependencies, ...others } = parse(text("firmware/engine/Cargo.toml"));
    expect(Object.keys(dependencies as object)).toEqual(["libm"]);
    expect(Object.keys(others).filter((key) => /^(target|build-dependencies)$/.test(key))).toEqual(
      [],
    );
    const sources = files.filter((file) => /^firmware\/engine\/src\/.*\.rs$/.test(file));
    expect(sources.length).toBeGreaterThan(10);
    expect(text("firmware/engine/src/lib.rs")).toMatch(/^#!\[no_std\]$/m);
    const code = (file: string) => text(file).split("#[cfg(test)]")[0]!;
    expect(sources.filter((file) => code(file).includes("extern crate"))).toEqual([]);
  });

  test("has no source file over 900 lines, but for the assembly and what is generated", () => {
    const sources = files.filter((file) =>
      /^(firmware\/[\w-]+\/(src|tests)|boards|host|assembly|test)\/.*\.(rs|ts)$/.test(file),
    );
    expect(sources.length).toBeGreaterThan(100);
    const long = sources.filter(
      (file) => text(file).split("\n").length > 901 && !text(file).includes("Not for editing"),
    );
    expect(long).toEqual([]);
  });

  test("has no function over 150 lines, but for the loop that dispatches on opcodes", () => {
    const sources = files.filter((file) =>
      /^(firmware\/[\w-]+\/(src|tests)|boards|host|assembly|test)\/.*\.(rs|ts|mjs)$/.test(file),
    );
    const all = sources.flatMap((file) =>
      functionsIn(text(file)).map((one) => ({ ...one, file: `${file}: ${one.name}` })),
    );
    // The search sees functions, also the longest.
    expect(all.length).toBeGreaterThan(2000);
    const long = all.filter(({ length }) => length > 150).map(({ file }) => file);
    expect(long).toEqual([
      // Tables of cases, in two of them.
      "firmware/compiler/tests/encode.rs: cases",
      "firmware/engine/src/interpret/mod.rs: run_slots",
      "firmware/engine/tests/behaviour/refusal.rs: a_refusal_says_what_is_wrong_and_at_which_byte",
      // What it measures depends on what the compiler puts in line: in parts its figures would be others.
      "test/machine/src/coap.rs: main",
    ]);
  });

  test("has a first line saying what it is for in every source file", () => {
    const sources = files.filter(
      (file) => /\.(ts|mjs|rs)$/.test(file) && !/^test\/(golden|vectors)\//.test(file),
    );
    expect(sources.filter((file) => !/^(#!.*\n)?\s*(\/\/|\/\*)/.test(text(file)))).toEqual([]);
  });
});
