// What `npm run mutants` makes of cargo-mutants' report. The command itself takes minutes, and is for whoever changes a crate.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../host/setup.mjs";
import { judge, nameOf } from "../mutants.mjs";

const outcome = (summary: string, name: string) => ({ summary, scenario: { Mutant: { name } } });

test("mutants are known by what they change, not by where it stands", () => {
  expect(nameOf("net/src/host.rs:30:5: replace is_host -> bool with true")).toBe(
    "net/src/host.rs: replace is_host -> bool with true",
  );
  expect(nameOf("a.rs:1:2: replace < with == in x")).toBe("a.rs: replace < with == in x");
});

test("what is equal and what does not compile counts neither way", () => {
  const outcomes = [
    { summary: "Success", scenario: "Baseline" },
    ...Array.from({ length: 18 }, (_, n) => outcome("CaughtMutant", `a.rs:${n}:1: x`)),
    outcome("Timeout", "a.rs:19:1: endless"),
    outcome("MissedMutant", "a.rs:20:1: missed"),
    outcome("MissedMutant", "a.rs:21:9: equal"),
    outcome("Unviable", "a.rs:22:1: y"),
  ];
  expect(judge(outcomes, [{ mutant: "a.rs: equal" }])).toEqual({
    caught: 19,
    missed: ["a.rs:20:1: missed"],
    equal: 1,
    unviable: 1,
    share: 95,
  });
  expect(judge([], []).share).toBe(0);
});

test("each equal mutant has a reason, and its file is there", () => {
  const listed = JSON.parse(readFileSync(join(root, "test/mutants.json"), "utf8")) as {
    mutant: string;
    why: string;
  }[];
  for (const { mutant, why } of listed) {
    expect(why.length, mutant).toBeGreaterThan(20);
    const file = mutant.slice(0, mutant.indexOf(": "));
    expect(() => readFileSync(join(root, "firmware", file)), mutant).not.toThrow();
  }
});
