// ONNX Runtime, where Python has it: what others compute for the same model.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../lib/root.ts";

/** Reads rows as JSON on standard input, and answers with the rows of the first output. Inputs are split over the model's tensors. */
const script = `
import json, sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
ports = [(p.name, [d if isinstance(d, int) and d > 0 else 1 for d in p.shape]) for p in session.get_inputs()]
answers = []
for row in json.load(sys.stdin):
    at, feed = 0, {}
    for name, shape in ports:
        count = int(numpy.prod(shape))
        feed[name] = numpy.array(row[at:at + count], numpy.float32).reshape(shape)
        at += count
    answers.append([float(one) for one in session.run(None, feed)[0].reshape(-1)])
json.dump(answers, sys.stdout)
`;

/** The Python that has these modules, or nothing: WASMOTE_PYTHON, that of this repository's set-up, the system's. */
export function pythonWith(modules: string): string | undefined {
  const candidates = [
    process.env["WASMOTE_PYTHON"],
    join(packageRoot, ".cache/python/bin/python"),
    "python3",
  ];
  return candidates.find(
    (one) =>
      one !== undefined &&
      (one === "python3" || existsSync(one)) &&
      spawnSync(one, ["-c", `import ${modules}`], { stdio: "ignore" }).status === 0,
  );
}

export const pythonWithRuntime = (): string | undefined => pythonWith("onnxruntime");

/** What ONNX Runtime computes for each row of inputs. */
export async function runRuntime(
  python: string,
  file: string,
  rows: readonly ArrayLike<number>[],
): Promise<number[][]> {
  const child = spawn(python, ["-c", script, file], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let wrong = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (wrong += text));
  // A model that the runtime does not take ends it before it reads.
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(rows.map((row) => Array.from(row))));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0)
    throw new Error(`ONNX Runtime: ${wrong.trim().split("\n").at(-1) ?? `ended with ${code}`}`);
  // Python writes numbers that JSON does not have.
  const text = said.replaceAll(/-?Infinity|NaN/g, '"$&"');
  return JSON.parse(text, (_, value: unknown) =>
    typeof value === "string" ? Number(value) : value,
  ) as number[][];
}
