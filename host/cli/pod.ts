// Makes a WASI command of a filter, for runtimes of containers and servers.
import { writeLayout } from "../lib/build/oci.ts";
import { makePod } from "../lib/build/pod.ts";
import { readFacts } from "../lib/build/section.ts";
import { print } from "./context.ts";
import { load, type MemoryOptions } from "./program.ts";
import { writeResult } from "./result.ts";

export async function podVerb(
  file: string | undefined,
  options: MemoryOptions & { output?: string; oci?: string; force?: boolean; json?: boolean },
): Promise<void> {
  const { module, name } = await load(file, options);
  const pod = await makePod(module);
  const output = writeResult(pod, {
    kind: "a module of Wasmote",
    given: options.output,
    own: `${name}.pod.wasm`,
    force: options.force,
  });
  const manifest = options.oci === undefined ? undefined : writeLayout(options.oci, pod, name);
  // What a node keeps over resets begins anew with each run of a command.
  const forgets = readFacts(module).states.map((state) => state.name);
  print(
    options.json,
    {
      output,
      bytes: pod.length,
      module: module.length,
      ...(manifest === undefined ? {} : { oci: options.oci, manifest }),
      ...(forgets.length === 0 ? {} : { forgets }),
    },
    () =>
      [
        `${output}: ${pod.length} bytes, of which the filter is ${module.length}`,
        ...(manifest === undefined ? [] : [`${options.oci}: OCI layout, ${manifest}`]),
        ...(forgets.length === 0 ? [] : [`begins anew with each run: ${forgets.join(", ")}`]),
      ].join("\n"),
  );
}
