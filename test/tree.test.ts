// What holds for the repository as a whole: nothing of one machine in it, and nothing that was built.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((file) => file !== "" && statSync(join(root, file), { throwIfNoEntry: false })?.isFile());
const text = (file: string) => readFileSync(join(root, file), "utf8");

describe("the repository", () => {
  test("names no registry host in the lock file", () => {
    expect(text("package-lock.json")).not.toMatch(/https?:\/\/[^"]*\.tgz/);
  });

  test("holds no file over 512 KiB", () => {
    expect(files.filter((file) => statSync(join(root, file)).size > 512 * 1024)).toEqual([]);
  });

  test("holds no path of somebody's machine", () => {
    const home = /\/(root|home\/\w+|tmp\/\w+|work)\/(main|shared|target|\.)/;
    expect(files.filter((file) => file !== "test/tree.test.ts" && home.test(text(file)))).toEqual(
      [],
    );
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

  test("has a first line saying what it is for in every source file", () => {
    const sources = files.filter(
      (file) => /\.(ts|mjs|rs)$/.test(file) && !/^test\/(golden|vectors)\//.test(file),
    );
    expect(sources.filter((file) => !/^(#!.*\n)?\s*(\/\/|\/\*)/.test(text(file)))).toEqual([]);
  });
});
