#!/usr/bin/env node
// `wasmote`: the command line. The version is told without loading anything else; the verbs are in commands.ts.
import packageFile from "../../package.json" with { type: "json" };

if (["--version", "-V"].includes(process.argv[2] ?? ""))
  process.stdout.write(`${packageFile.version}\n`);
else await (await import("./commands.ts")).run();
