// Every line of the command line that the documentation and the help show is one that the command line takes: verbs, options, numbers of
// words. Nothing is run.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { program } from "../../host/cli/commands.ts";
import { root } from "../../host/setup.mjs";

/** The words of a shell's line, up to what is the shell's own. */
function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [, double, single, plain = ""] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    const quoted = double ?? single;
    if (quoted === undefined && /^[&|>#;<]|^2>/.test(plain)) break;
    words.push(quoted ?? plain.replace(/[;)]$/, ""));
  }
  return words;
}

/** Lines that begin with `wasmote` in the pages: in their listings, and between backquotes. */
function fromPages(): [string, string][] {
  const pages = execFileSync("git", ["ls-files", "*.md"], { cwd: root, encoding: "utf8" })
    .split("\n")
    .filter((page) => page !== "" && page !== "CHANGELOG.md");
  return pages.flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8");
    const listed = [...text.matchAll(/^(?:\$ )?(?:npx )?wasmote (.+)$/gm)];
    const quoted = [...text.matchAll(/`(?:npx )?wasmote ([a-z][^`\n]*)`/g)];
    return [...listed, ...quoted].map(([, line = ""]): [string, string] => [page, line]);
  });
}

/** The examples of each verb's help. */
function fromHelp(): [string, string][] {
  return program.commands.flatMap((command) => {
    let help = "";
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    // What an example is for may stand behind it, in brackets.
    return [...help.matchAll(/^ {2}wasmote (.+?)(?: {2,}\(.*)?$/gm)].map(
      ([, line = ""]): [string, string] => [`${command.name()} --help`, line],
    );
  });
}

const lines = [...fromHelp(), ...fromPages()];

test("the help and the pages show lines", () => {
  expect(lines.length).toBeGreaterThan(80);
  expect(new Set(lines.map(([, line]) => wordsOf(line)[0])).size).toBeGreaterThan(30);
});

test("each is taken, by the verb that it names", async () => {
  const reached: string[] = [];
  const silence = (command: Command) => {
    command.exitOverride();
    command.configureOutput({ writeOut: () => {}, writeErr: () => {} });
    command.action(() => void reached.push(command.name()));
  };
  program.exitOverride();
  for (const command of program.commands) silence(command);
  const refused: string[] = [];
  const wrong = ["build --nonsense", "fly", "use a b"];
  for (const [where, line] of [...lines, ...wrong.map((one): [string, string] => ["wrong", one])]) {
    const words = wordsOf(line).filter((word) => word !== "…" && word !== "...");
    if (words.length === 0 || words[0] === "--help" || words[0] === "--version") continue;
    reached.length = 0;
    try {
      await program.parseAsync(words, { from: "user" });
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code === "commander.helpDisplayed") continue;
      // A sentence may name a verb without its words; an example may not.
      if (code === "commander.missingArgument" && where.endsWith(".md")) continue;
      refused.push(`${where}: wasmote ${line}: ${message}`);
      continue;
    }
    if (reached.join() !== words[0])
      refused.push(`${where}: wasmote ${line}: reached ${reached.join()}`);
  }
  expect(refused.filter((one) => !one.startsWith("wrong: "))).toEqual([]);
  expect(refused.length).toBe(wrong.length);
});
