// README.md, followed to the letter: the lines of its `sh` blocks are run one after the other, in the order in which they
// stand there, in an empty folder, with `wasmote` on the PATH, typed into a shell with job control in a pseudo-terminal. What another test runs is named here with that test; a board
// that README.md speaks of is a node on a pseudo-terminal, and probe-rs a program that writes down what it was told.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { emulate } from "../../host/lib/emulate.ts";
import { makeFlash, provisionOffset } from "../../host/lib/package.ts";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";
import { commands, missingTerminal, openTerminal } from "../harness/terminal.ts";

/** What is run elsewhere: the whole run of the tests runs itself. */
const elsewhere: Record<string, string> = {
  "npm start": "test/repository/demo.test.ts",
  "npm test": "test/all.mjs",
  // Changes this computer for everybody; `wasmote` is put on the PATH instead.
  "npm link": "test/node/package.test.ts",
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

const reason = missingTerminal();

test.skipIf(reason)(
  `every command of README.md does what it is there for${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 600_000 },
  async () => {
    expect(lines.length).toBeGreaterThan(10);
    using folder = scratch();
    const told = join(folder.path, "probe-rs.txt");
    const path = commands(folder.path, { "probe-rs": `echo "$@" >> ${told}` });
    const boards: { stop(): Promise<void> }[] = [];
    let cwd = folder.path;
    await using terminal = await openTerminal(folder.path, { env: { PATH: path } });
    try {
      for (const line of lines) {
        if (line.startsWith("cd ")) cwd = resolve(cwd, line.slice(3));
        let words = line;
        if (line.includes("/dev/ttyUSB0")) {
          // The board: provisioned as the lines before have it, with the project's key and a context.
          const flash = join(folder.path, "board");
          const bytes = makeFlash({ keys: [] });
          bytes.set(readFileSync(join(cwd, ".wasmote/provision.bin")), provisionOffset);
          writeFileSync(flash, bytes);
          const board = await emulate({
            machine: "native",
            link: "serial",
            flash,
            arguments: ["--class", "stm32f407"],
          });
          boards.push(board);
          words = line.replaceAll("serial:/dev/ttyUSB0", board.address);
        }
        // What stays in the background is not waited for: the next line is typed at once, as when all of them are pasted.
        if (line.endsWith("&")) {
          terminal.type(`${words}\n`);
          continue;
        }
        const { code, out } = await terminal.run(words);
        expect(code, `${line}\n${out}`).toBe(0);
        expect(out, line).not.toContain("Stopped");
        // The first sequence ends with a value on the screen.
        if (line === "wasmote get outputs/alarm") expect(out).toMatch(/\n1\n/);
      }
      expect(lines).toContain("wasmote get outputs/alarm");
      const ended = await terminal.run("kill %1; wait %1");
      expect(ended.code, ended.out).toBe(0);
      // The board's firmware and its keys went where they belong.
      const probe = readFileSync(told, "utf8");
      expect(probe).toMatch(/download --chip STM32F407VGTx .*stm32f407-discovery\.elf/);
      expect(probe).toMatch(/download .*--base-address 0x8003800 .*provision\.bin/);
    } finally {
      await Promise.all(boards.map((board) => board.stop()));
    }
  },
);
