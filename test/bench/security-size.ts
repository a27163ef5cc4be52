// What security takes of the board's flash. Most of it is inlined into the node's tasks, so that symbols do not tell: each instruction counts
// for the source file that it was made from, and code of libraries for whoever calls it.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { chip, command, root, targetFolder } from "../../host/setup.mjs";
import type { Table } from "./report.ts";

/** Parts by the files of ours that an instruction belongs to, or by the library where none of ours calls it. */
const parts: [string, RegExp][] = [
  ["OSCORE: contexts, windows, cipher", /\/firmware\/oscore\/|\/(?:aes|ccm|cipher)-\d/],
  [
    "roles, contexts in flash",
    /\/node\/src\/(?:server\/guard|runner\/guard|keyring|slot\/keys|turns)\.rs|\/coap\/src\/(?:security|echo)\.rs/,
  ],
  ["EDHOC: messages, key schedule", /\/firmware\/edhoc\/src\/(?!curve)/],
  ["EDHOC: exchanges on the node", /\/node\/src\/(?:server|runner)\/exchange\.rs/],
  [
    "EDHOC: the curve P-256",
    /\/edhoc\/src\/curve\.rs|\/(?:p256|primeorder|primefield|elliptic-curve|crypto-bigint|subtle|zeroize)-\d/,
  ],
];

/** Bytes of code in the image with its debug lines, by part; or why they cannot be had. */
export function measureSecurity(): Record<string, number> | string {
  const symbolizer = command("llvm-symbolizer");
  if (symbolizer === undefined) return "there is no llvm-symbolizer (Debian: llvm)";
  const words = `build --quiet --release --locked --target ${chip} -p stm32f407-discovery --features chip`;
  const { status } = spawnSync("cargo", words.split(" "), {
    cwd: join(root, "firmware"),
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) return "the board's image could not be built";
  const image = join(targetFolder(), chip, "release/stm32f407-discovery");
  const most = { maxBuffer: 2 ** 30, encoding: "utf8" } as const;
  const nm = command("llvm-nm") ?? command("nm");
  if (nm === undefined) return "there is no nm";
  // Of each function its address and size; the lowest bit says that it is Thumb code.
  const functions = execFileSync(nm, ["-S", image], most)
    .split("\n")
    .map((line) => /^([0-9a-f]{8}) ([0-9a-f]{8}) [tTwW] /.exec(line))
    .filter((found) => found !== null)
    .map(([, at, size]) => [Number(`0x${at}`) & ~1, Number(`0x${size}`)] as const);
  const places = new Set<number>();
  for (const [at, size] of functions) for (let n = at; n < at + size; n += 2) places.add(n);
  const input = Array.from(places, (at) => `0x${at.toString(16)}\n`).join("");
  const lines = execFileSync(symbolizer, [`--obj=${image}`, "--inlines"], { ...most, input });
  const sums = Object.fromEntries(parts.map(([name]) => [name, 0]));
  for (const stack of lines.trim().split("\n\n")) {
    // Function and file take turns, the innermost first.
    const files = stack.split("\n").filter((_, index) => index % 2 === 1);
    const own = files.find((file) => /\/(?:firmware|boards)\/[\w-]+\/src\//.test(file));
    const of = own ?? files.find((file) => file.includes("/registry/src/")) ?? "";
    const part = parts.find(([, mentioned]) => mentioned.test(of));
    if (part) sums[part[0]]! += 2;
  }
  return sums;
}

/** As a table, with the two sums that have an aim. */
export function securityTable(sums: Record<string, number>): Table {
  const sum = (names: RegExp) =>
    Object.entries(sums)
      .filter(([name]) => names.test(name))
      .reduce((all, [, bytes]) => all + bytes, 0);
  return {
    title:
      "Flash that security takes in the board's image: code, by the file that it was made from",
    columns: ["what", "bytes"],
    rows: [
      ...Object.entries(sums),
      ["OSCORE and roles (aim: 24 KiB)", sum(/^(?!EDHOC)/)],
      ["with EDHOC (aim: 56 KiB)", sum(/./)],
    ],
  };
}
