// README.md, followed to the letter: the lines of its `sh` blocks are run one after the other, in the order in which they
// stand there, in an empty folder, with `wasmote` on the PATH. What another test runs is named here with that test; a board
// that README.md speaks of is a node on a pseudo-terminal, and probe-rs a program that writes down what it was told.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { emulate } from "../host/lib/emulate.ts";
import { makeFlash, readKey } from "../host/lib/package.ts";
import { root } from "../host/setup.mjs";
import { scratch } from "./harness/target.ts";

/** What is run elsewhere: the whole run of the tests runs itself. */
const elsewhere: Record<string, string> = {
  "npm start": "test/demo.test.ts",
  "npm test": "test/all.mjs",
  // Changes this computer for everybody; `wasmote` is put on the PATH instead.
  "npm link": "test/package.test.ts",
};

test("what another test runs is there", () => {
  const files = Object.values(elsewhere);
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/```sh\n([\s\S]*?)```/g)];
const lines = blocks
  .flatMap(([, block = ""]) => block.split("\n"))
  .map((line) => line.replace(/\s+#.*$/, "").trim())
  .filter((line) => line !== "" && !(line in elsewhere));

/** A program for the PATH. */
function program(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o755);
}

test("every command of README.md does what it is there for", { timeout: 600_000 }, async () => {
  expect(lines.length).toBeGreaterThan(10);
  using folder = scratch();
  const bin = join(folder.path, "bin");
  mkdirSync(bin);
  program(bin, "wasmote", `#!/bin/sh\nexec node ${join(root, "dist/wasmote.js")} "$@"\n`);
  const told = join(folder.path, "probe-rs.txt");
  program(bin, "probe-rs", `#!/bin/sh\necho "$@" >> ${told}\n`);
  const environment = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
  const running: ChildProcess[] = [];
  const boards: { stop(): Promise<void> }[] = [];
  let cwd = folder.path;
  try {
    for (const line of lines) {
      if (line.startsWith("cd ")) {
        cwd = resolve(cwd, line.slice(3));
        continue;
      }
      let words = line;
      if (line.includes("/dev/ttyUSB0")) {
        // The board: provisioned with the project's key, as the lines before have it.
        const flash = join(folder.path, "board");
        const { publicKey } = readKey(readFileSync(join(cwd, ".wasmote/key.pem"), "utf8"));
        writeFileSync(flash, makeFlash({ keys: [publicKey], name: "board" }));
        const board = await emulate({
          machine: "native",
          link: "serial",
          flash,
          arguments: ["--class", "stm32f407"],
        });
        boards.push(board);
        words = line.replaceAll("serial:/dev/ttyUSB0", board.address);
      }
      if (line.endsWith("&")) {
        const child = spawn("sh", ["-c", `exec ${words.slice(0, -1)}`], {
          cwd,
          env: environment,
          stdio: ["pipe", "pipe", "inherit"],
        });
        running.push(child);
        await new Promise((ready, failed) => {
          child.stdout.once("data", ready);
          child.once("close", () => failed(new Error(`${line}: ended at once`)));
        });
        continue;
      }
      const limits = { cwd, env: environment, timeout: 90_000 };
      await promisify(execFile)("sh", ["-c", `exec ${words}`], limits).catch(
        (error: Error & { killed?: boolean; stdout?: string; stderr?: string }) => {
          const how = error.killed === true ? "does not end" : "fails";
          throw new Error(`${line}: ${how}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
        },
      );
    }
    // The board's firmware and its keys went where they belong.
    const probe = readFileSync(told, "utf8");
    expect(probe).toMatch(/download --chip STM32F407VGTx .*stm32f407-discovery\.elf/);
    expect(probe).toMatch(/download .*--base-address 0x8003c00 .*provision\.bin/);
  } finally {
    for (const child of running) {
      const ended = new Promise((done) => child.once("close", done));
      child.kill("SIGINT");
      await ended;
    }
    await Promise.all(boards.map((board) => board.stop()));
  }
});
