// The product's libraries as somebody's compiler sees them.
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";

/** Makes a project of one source in a folder, which finds the package `wasmote`; what tsc says of it, and its exit code. */
export function compiled(folder: string, source: string): [string, number | null] {
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/wasmote"));
  write("package.json", '{"type":"module"}');
  write("main.ts", source);
  write(
    "tsconfig.json",
    JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        target: "es2023",
        strict: true,
        outDir: ".",
        skipLibCheck: true,
        types: [],
        lib: ["es2023", "dom"],
      },
      files: ["main.ts"],
    }),
  );
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  return [stdout, status];
}
