// How a verb that failed says so: what was wrong, why, and what to do next; and with which exit code.
import type { NodeError } from "../lib/errors.ts";
import { exitCode, paint, VerbError } from "./context.ts";

/** What to do about each error of the library's. */
const advice: Partial<Record<NodeError["code"], string>> = {
  timeout: "is it on, and is the address right? `wasmote scan` lists the nodes that answer",
  link: "`wasmote scan` lists the ports",
  closed: "is the cable plugged in? the same command goes on where it stopped",
  protocol: "is it a node that listens there? `wasmote scan` lists the nodes that answer",
  answer: "`wasmote info` and `wasmote logs` show the node's state",
};

/** What to do about each reason for which a node refuses a package. */
const refusalAdvice: Record<string, string> = {
  malformed: "make the package anew with `wasmote package`",
  "unknown-key":
    "`wasmote provision --flash` gives the board this project's key; --key names another",
  signature: "the package was altered: make it anew with `wasmote package`",
  class: "`wasmote info` shows the node's class; `wasmote push SOURCE` signs for it by itself",
  sequence: "a number is taken once: `wasmote push SOURCE` signs anew with the next one",
  contract: "update the board with `wasmote flash`, or this program",
  needs: "`wasmote check --node NODE` compares what it needs with what the node has",
  digest: "the package was altered: make it anew with `wasmote package`",
  module: "`wasmote check` shows what is wrong in the source",
  storage: "`wasmote info` shows the node's slots and counters; `wasmote remove` frees one",
  busy: "another package is under way: try again in a moment",
};

/** Tells people, on standard error; the exit code. */
export function report(error: unknown): number {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const fail = (message: string, next: string | undefined, code: number) => {
    say(`${paint("red", "error:")} ${message}`);
    if (next !== undefined) say(`  what to do: ${next}`);
    return code;
  };
  if (error instanceof VerbError) return fail(error.message, error.advice, error.code);
  if (!(error instanceof Error)) return fail(String(error), undefined, exitCode.failed);
  const { message, cause } = error;
  // By their names: what defines them is loaded only where it is needed.
  switch (error.name) {
    case "CommanderError": {
      const { code } = error as Error & { code?: string };
      const fine = ["commander.helpDisplayed", "commander.version", "commander.help"];
      return fine.includes(code ?? "") ? 0 : exitCode.usage;
    }
    case "BuildError":
      say(message);
      return exitCode.source;
    case "ModuleError":
      return fail(
        `the module is not accepted: ${message}`,
        "build it with `wasmote build`",
        exitCode.source,
      );
    case "NodeError": {
      const { code, refusal = "" } = error as NodeError;
      if (code === "aborted") return 130;
      const because =
        cause instanceof Error &&
        !["refused", "link"].includes(code) &&
        !message.includes(cause.message)
          ? `\n  because: ${cause.message}`
          : "";
      const next = code === "refused" ? refusalAdvice[refusal] : advice[code];
      const exit =
        code === "refused" || code === "answer"
          ? exitCode.refused
          : code === "address"
            ? exitCode.usage
            : exitCode.unreachable;
      return fail(message + because, next, exit);
    }
    case "SamplesError":
      return fail(message, "a CSV begins with: time,level", exitCode.usage);
    case "RangeError":
      return fail(message, undefined, exitCode.failed);
  }
  // Files and programs that are not there or not allowed: the system says which.
  const { code, path } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && path !== undefined)
    return fail(message, "check the name, and that it may be read or written", exitCode.failed);
  say(`error: ${error.stack ?? message}\n  this is a fault of wasmote's: please report it`);
  return exitCode.failed;
}
