// How a verb reports failure: what was wrong, why, what to do next, and the exit code.
import type { NodeError, UserError } from "../lib/errors.ts";
import type { Fault } from "../lib/fault.ts";
import { safeJson } from "../lib/text.ts";
import { exitCode, paint, say } from "./context.ts";
import { interruptedCode } from "./interruption.ts";

/** What to do about each error of the library's. */
const advice: Partial<Record<NodeError["code"], string>> = {
  address: "`wasmote scan` lists the nodes that answer, with their addresses",
  timeout: "is it on, and is the address right? `wasmote scan` lists the nodes that answer",
  link: "`wasmote scan` lists the ports and the nodes that answer",
  closed: "is the cable plugged in? the same command goes on where it stopped",
  protocol: "is it a node that listens there? `wasmote scan` lists the nodes that answer",
  insecure:
    "this computer's context may be gone from the node: `wasmote keys exchange` sets up another one, or an administrator gives one (`wasmote keys add`)",
  answer: "`wasmote info` and `wasmote logs` show the node's state",
};

/** What to do about each reason for which a node refuses a package. */
const refusalAdvice: Record<string, string> = {
  malformed: "make the package anew with `wasmote package`",
  "unknown-key":
    "`wasmote provision --flash` gives the board this project's key; an emulated node trusts the project it was started in; --key names another",
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

/** What is said of an error. */
export interface Told {
  /** The kind of error: a code of NodeError, a kind of UserError, or `internal`. */
  code: string;
  message: string;
  /** What to do about it. */
  advice?: string | undefined;
  exit: number;
  /** Places in the source, where it is about one. */
  faults?: readonly Fault[];
  /** Why a package was refused. */
  refusal?: string;
  /** The message is whole as it is: without `error:` in front. */
  bare?: boolean;
}

/** Tells people on standard error, and with --json programs on standard output; the exit code. */
export function report(error: unknown, json = false): number {
  const code = interruptedCode();
  const told = tell(error);
  if (code !== undefined && told.code === "aborted") return code;
  if (told.message === "") return told.exit;
  say(told.bare ? told.message : `${paint("red", "error:")} ${told.message}`);
  if (told.advice !== undefined) say(`  what to do: ${told.advice}`);
  if (json) {
    const { bare: _, ...shown } = told;
    process.stdout.write(`${safeJson({ error: shown })}\n`);
  }
  // Whatever fails because it was interrupted was interrupted.
  return code || told.exit;
}

/** An error in words. */
export function tell(error: unknown): Told {
  if (!(error instanceof Error))
    return { code: "internal", message: String(error), exit: exitCode.failed };
  const { message } = error;
  // By their names: what defines them is loaded only where it is needed.
  switch (error.name) {
    case "UserError": {
      const { kind, advice: next } = error as UserError;
      return { code: kind, message, advice: next, exit: exitCode[kind] };
    }
    case "CommanderError": {
      const { code } = error as Error & { code?: string };
      // Its help and version are on the screen already.
      if (["commander.helpDisplayed", "commander.version", "commander.help"].includes(code ?? ""))
        return { code: "usage", message: "", exit: 0 };
      return {
        code: "usage",
        message: message.replace(/^error: /, ""),
        advice: "`wasmote --help` lists the verbs, `wasmote VERB --help` the words of one",
        exit: exitCode.usage,
      };
    }
    case "BuildError": {
      const { faults } = error as Error & { faults: Fault[] };
      return { code: "source", message, exit: exitCode.source, faults, bare: true };
    }
    case "ModuleError":
      return {
        code: "source",
        message: `the module is not accepted: ${message}`,
        advice: "build it with `wasmote build`",
        exit: exitCode.source,
      };
    case "NodeError":
      return tellNode(error as NodeError);
    case "SamplesError":
      return {
        code: "usage",
        message,
        advice: "a CSV begins with: time,level",
        exit: exitCode.usage,
      };
    case "RangeError":
      return { code: "failed", message, exit: exitCode.failed };
  }
  if (error.name === "SqliteError") {
    const of_ = (error as Error & { code?: string }).code ?? "";
    const known = Object.keys(databaseAdvice).find((one) => of_.startsWith(one)) ?? "";
    return {
      code: "failed",
      message: `the gateway's data: ${message}`,
      advice: databaseAdvice[known] ?? "name another folder for the data: --data FOLDER",
      exit: exitCode.failed,
    };
  }
  // Files, programs and disks: the system says what is wrong with them.
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (syscall === "uv_cwd" || message.endsWith("uv_cwd"))
    return {
      code: "failed",
      message: "the folder that this shell is in is not there any more",
      advice: "`cd` to one that is, or `cd .` if it was made anew",
      exit: exitCode.failed,
    };
  if (typeof code === "string" && (path !== undefined || syscall !== undefined))
    return {
      code: "failed",
      message,
      advice: systemAdvice[code] ?? "check the name, and that it may be read or written",
      exit: exitCode.failed,
    };
  return {
    code: "internal",
    message: `${error.stack ?? message}\n  this is a fault of wasmote's: please report it`,
    exit: exitCode.failed,
  };
}

const systemAdvice: Record<string, string> = {
  ENOSPC: "the disk is full: make room, then run the same command again",
  EFBIG: "the file may not become as large: raise the limit with `ulimit -f`, or make room",
  EDQUOT: "your share of the disk is full: make room, then run the same command again",
  EROFS: "the disk takes no writes: choose another folder",
  EISDIR: "that is a folder: name a file",
  ENOTDIR: "a part of that path is a file, not a folder",
  EMFILE: "too many files are open: close some programs, or raise the limit with `ulimit -n`",
};

/** What to do about what SQLite says, by the beginning of its code. */
const databaseAdvice: Record<string, string> = {
  SQLITE_FULL: "the disk is full: make room, then run the same command again",
  SQLITE_IOERR:
    "the disk is full or takes no writes: make room, or name another folder: --data FOLDER",
  SQLITE_READONLY: "the folder may not be written: name another with --data FOLDER",
  SQLITE_BUSY: "another gateway uses the folder: end it, or name another with --data FOLDER",
  SQLITE_LOCKED: "another gateway uses the folder: end it, or name another with --data FOLDER",
  SQLITE_NOTADB: "move that file away: what was in it is lost, and a new one is begun",
  SQLITE_CORRUPT: "move that file away: what was in it is lost, and a new one is begun",
};

/** What to do about an answer, by its code (RFC 7252 §5.9). */
const answerAdvice: Record<string, string> = {
  "4.00": "what was sent is not what the resource takes: change it",
  "4.01":
    "`wasmote keys` shows who may do what; `wasmote keys claim` and `wasmote provision` make a context",
  "4.03": "`wasmote keys` shows who may do what",
  "4.04": "`wasmote get .well-known/core` lists what the node has",
  "5.00":
    "`wasmote logs` shows what the node and its module say of it; `wasmote check` tries the requests of a module",
  "5.03": "the node is busy: try again in a moment",
};

function tellNode({ code, refusal, message, cause, status = "" }: NodeError): Told {
  const because =
    cause instanceof Error &&
    !["refused", "link", "aborted"].includes(code) &&
    cause.name !== "NodeError" &&
    !message.includes(cause.message)
      ? `\n  because: ${cause.message}`
      : "";
  const exits: Partial<Record<NodeError["code"], number>> = {
    refused: exitCode.refused,
    answer: exitCode.refused,
    address: exitCode.usage,
    aborted: exitCode.interrupted,
  };
  return {
    code,
    message: message + because,
    advice:
      code === "refused"
        ? refusalAdvice[refusal ?? ""]
        : ((code === "answer" ? answerAdvice[status] : undefined) ?? advice[code]),
    exit: exits[code] ?? exitCode.unreachable,
    ...(refusal === undefined ? {} : { refusal }),
  };
}
