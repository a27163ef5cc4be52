// The documentation against the tree: links lead somewhere, scripts exist. readme.test.ts runs README.md's commands.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter(Boolean);
const text = (page: string) => readFileSync(join(root, page), "utf8");
const { scripts } = JSON.parse(text("package.json")) as { scripts: Record<string, string> };

describe("the documentation", () => {
  test("links to files that exist", () => {
    const broken = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\((?!https?:|coap:|#|mailto:)([^)#\s]+)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !existsSync(join(root, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  // A word in backquotes with a slash in it is a path, unless it begins with one (a resource) or has a blank or a scheme in it.
  test.each(["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/board.md"])(
    "names in %s files and folders that exist",
    (page) => {
      const named = [...text(page).matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map(([, name = ""]) => name);
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((name) => !existsSync(join(root, name)))).toEqual([]);
    },
  );

  test("has every verb of the command line in README's table", () => {
    const verbs = [...text("host/cli/commands.ts").matchAll(/^verb\(\n\s*"([a-z]+)/gm)].map(
      ([, verb = ""]) => verb,
    );
    expect(verbs.length).toBeGreaterThan(20);
    const rows = text("README.md")
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    expect(verbs.filter((verb) => !rows.some((row) => row.includes(`\`${verb}\``)))).toEqual([]);
  });

  test("names package scripts that exist", () => {
    const named = pages.flatMap((page) =>
      [...text(page).matchAll(/npm run (?:-s )?([a-z]+)/g)].map(([, script = ""]) => script),
    );
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});
