// Compiles a source and writes the module.
import { print } from "./context.ts";
import { load, writeResult, type MemoryOptions } from "./program.ts";

export async function buildVerb(
  file: string | undefined,
  options: MemoryOptions & { output?: string; json?: boolean },
): Promise<void> {
  const { module, facts, name, digest } = await load(file, options);
  const { inspect } = await import("../lib/engine.ts");
  // A source was checked by the build itself; a module that was given is checked here.
  inspect(module);
  const output = writeResult(options.output, `${name}.wasm`, module);
  print(options.json, { output, bytes: module.length, digest, facts }, () =>
    [`${output}: ${module.length} bytes`, `digest ${digest}`].join("\n"),
  );
}
