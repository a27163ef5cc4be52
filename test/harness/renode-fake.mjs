#!/usr/bin/env node
// A renode without an emulator, to test the harness with: it takes the same arguments, opens the same ports (the serial line
// is the pseudo-terminal that FAKE_PTY names, where a native node listens), answers at the monitor as Renode does, and misbehaves
// as FAKE says. What it was told is in the file FAKE_LOG.
import { spawn } from "node:child_process";
import { appendFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const { FAKE: mode = "good", FAKE_PTY: pty, FAKE_LOG: log } = process.env;
const words = process.argv.slice(2);
if (words[0] === "--version" && mode === "hides its version") {
  process.on("SIGTERM", () => {});
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}
if (words[0] === "--version") {
  process.stdout.write("Renode v1.16.1.12345\n  build: 0123abcd-202508200000\n");
  process.exit(0);
}
appendFileSync(log, `pid ${process.pid}\n`);
const commands = words[words.indexOf("-e") + 1].split("; ");
for (const command of commands) appendFileSync(log, `${command}\n`);
const variable = (name) => {
  const line = commands.find((command) => command.startsWith(`$${name}=`));
  return line.slice(name.length + 2).replaceAll('"', "");
};
const port = Number(words[words.indexOf("--port") + 1]);

if (mode === "dies") {
  process.stderr.write("System.Exception: the platform does not load\n");
  process.exit(3);
}
if (mode === "breeds") {
  // What it starts holds its output, and outlives it.
  const child = spawn("sleep", ["1000"], { stdio: "inherit" });
  appendFileSync(log, `children ${child.pid}\n`);
}
if (mode === "floods") {
  process.stdout.on("error", () => {});
  setInterval(() => process.stdout.write("garbage\n".repeat(20_000)), 10);
}
if (mode === "never ends a line") {
  process.stdout.on("error", () => {});
  setInterval(() => process.stdout.write("garbage".repeat(20_000)), 10);
}
if (mode === "newer" && variable("parts").endsWith("release.repl")) {
  // It stays at its monitor then.
  process.stderr.write(
    "There was an error executing command 'include'\nError E04: Could not resolve type\n",
  );
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}
// The board's Ethernet: behind it is a native node (tap-node.py).
const tap = commands
  .map((command) => /^emulation CreateTap "(\w+)"/.exec(command)?.[1])
  .find(Boolean);
const cable =
  tap && !["dies", "hangs", "newer", "unplugged"].includes(mode)
    ? spawn("python3", [process.env.FAKE_TAP, tap, process.env.FAKE_NATIVE], {
        stdio: ["pipe", "pipe", "inherit"],
      })
    : undefined;
cable?.stdout.on("data", (text) => appendFileSync(log, text));
const pause = mode === "slow" ? 400 : 0;
const garbage = Buffer.from([0xff, 0x00, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0xc3, 0x28, 0x0d, 0x0a]);
if (mode === "garbage") {
  for (let line = 0; line < 200; line++) process.stdout.write(garbage);
}
if (["hangs", "breeds", "floods", "never ends a line", "hides its version"].includes(mode))
  setInterval(() => {}, 1000);
else {
  await delay(pause);
  // The pseudo-terminal is there before the sockets, and before anybody listens.
  if (mode === "is mute") writeFileSync(variable("serial"), "");
  else symlinkSync(pty, variable("serial"));
  if (mode === "dies later") setTimeout(() => process.exit(4), 300);
  else {
    await delay(pause);
    const level = createServer((socket) => {
      socket.on("data", (bytes) =>
        appendFileSync(log, `level ${bytes.toString("latin1").trim()}\n`),
      );
      socket.on("error", () => {});
    }).listen(Number(variable("level")), "127.0.0.1");
    await delay(pause);
    // USART2's first control register: how often it is looked at before its receiver is on.
    let silent = 2;
    const lamps = { green: "False", orange: "False", red: "False", blue: "False" };
    const prompt = "\x1b[33;1m(wasmote) \x1b[0m";
    createServer((socket) => {
      if (mode === "garbage") socket.write(garbage);
      // Telnet's negotiation comes first.
      socket.write(Buffer.from([0xff, 0xfd, 0x03, 0xff, 0xfb, 0x01]));
      socket.write(`Renode, version 1.16.1\r\n${prompt}`);
      socket.setEncoding("utf8");
      socket.on("error", () => {});
      let line = "";
      socket.on("data", (text) => {
        line += text;
        const lines = line.split("\n");
        line = lines.pop();
        for (const command of lines) {
          if (!command.endsWith(" State")) appendFileSync(log, `${command}\n`);
          // Echoed, and answered.
          socket.write(`${command}\r\n`);
          const [, lamp] = /gpioPortD\.(\w+) State$/.exec(command) ?? [];
          if (lamp) socket.write(`\x1b[0m${lamps[lamp]}\r\n`);
          if (command.endsWith("button Press")) lamps.orange = "True";
          if (command === "machine Reset") silent = 2;
          if (command === "sysbus ReadDoubleWord 0x4000440C")
            socket.write(`\x1b[0m0x${--silent < 0 ? "0000202C" : "00000000"}\r\n`);
          const [, status] = /^sysbus.ethernet.phy BasicStatus (\w+)$/.exec(command) ?? [];
          if (status) cable?.stdin.write(status === "0x782D" ? "in\n" : "out\n");
          const [, file] = /^dump_file 0x08000000 0x10000 @(.*)$/.exec(command) ?? [];
          // Not at all, or a part.
          if (mode === "forgetful" && file) continue;
          if (mode === "halting" && file) {
            writeFileSync(file.replaceAll("\\", ""), Buffer.alloc(99));
            process.exit(5);
          }
          if (file) writeFileSync(file.replaceAll("\\", ""), Buffer.alloc(0x1_0000, 0x5a));
          const [, said] = /^echo "(.*)"$/.exec(command) ?? [];
          if (said) socket.write(`${said}\r\n`);
          socket.write(prompt);
        }
      });
    }).listen(port, "127.0.0.1");
    level.unref();
  }
}
