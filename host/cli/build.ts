// Compiles a source and writes the module.
import { print } from "./context.ts";
import { load, type MemoryOptions } from "./program.ts";
import { writeResult } from "./result.ts";

export async function buildVerb(
  file: string | undefined,
  options: MemoryOptions & { output?: string; force?: boolean; json?: boolean },
): Promise<void> {
  const { module, facts, name, digest } = await load(file, options);
  const { inspect } = await import("../lib/engine.ts");
  // A source was checked by the build itself; a module that was given is checked here.
  inspect(module);
  const output = writeResult(module, {
    kind: "a module of Wasmote",
    given: options.output,
    own: `${name}.wasm`,
    force: options.force,
  });
  print(options.json, { output, bytes: module.length, digest, facts }, () =>
    [`${output}: ${module.length} bytes`, `digest ${digest}`].join("\n"),
  );
}
