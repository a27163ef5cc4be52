// Makes a WASI command of a filter, for runtimes of containers and servers.
import { makePod } from "../lib/build/pod.ts";
import { print } from "./context.ts";
import { load, writeResult, type MemoryOptions } from "./program.ts";

export async function podVerb(
  file: string | undefined,
  options: MemoryOptions & { output?: string; json?: boolean },
): Promise<void> {
  const { module, name } = await load(file, options);
  const pod = await makePod(module);
  const output = writeResult(options.output, `${name}.pod.wasm`, pod);
  print(
    options.json,
    { output, bytes: pod.length, module: module.length },
    () => `${output}: ${pod.length} bytes, of which the filter is ${module.length}`,
  );
}
