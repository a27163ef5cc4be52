// The entry file of a module, as source: the exports of the contract, which call the program's handlers.
import type { Declared, Handler } from "./declared.ts";

/** @param collects Whether what handlers leave in memory is collected after each. */
export function entrySource(
  files: readonly string[],
  { facts, handlers }: Declared,
  collects: boolean,
): string {
  const of = (kind: Handler["kind"]) => handlers.filter((handler) => handler.kind === kind);
  const called = ({ name, takes }: Handler, value: string) => `${name}(${takes ? value : ""});`;
  const exported = (head: string, lines: string[]) =>
    lines.length === 0
      ? []
      : [`export function ${head}: void {`, ...lines, ...(collects ? ["__collect();"] : []), "}"];
  const samples = of("sample").map((handler) => {
    const test = facts.sensors.length > 1 ? `if (sensor === ${handler.number}) ` : "";
    return `  ${test}${called(handler, "value")}`;
  });
  // One period needs no counting: it is the module's.
  const counts = of("tick").map(({ number }) => number / facts.tick);
  const ticks = of("tick").map((handler, index) =>
    counts[index] === 1
      ? called(handler, "")
      : `if (--left${index} === 0) { left${index} = ${counts[index]}; ${called(handler, "")} }`,
  );
  const timers = of("timer").map(
    (handler) => `if (__due(${handler.number})) ${called(handler, "")}`,
  );
  const requests = of("request").flatMap((handler) => [
    "const request = __request(method, path, payload);",
    called(handler, "request"),
  ]);
  return [
    ...(timers.length > 0 ? [`import { __due } from "wasmote";`] : []),
    ...(requests.length > 0 ? [`import { __request, __requestBuffer } from "wasmote";`] : []),
    ...files.map((file) => `import "./${file}";`),
    ...handlers.map(({ name, file }) => `import { ${name} } from "./${file}";`),
    ...exported("sample(sensor: i32, value: f32)", samples),
    ...counts.map((count, index) => (count === 1 ? "" : `let left${index}: u32 = ${count};`)),
    ...exported("tick()", [...ticks, ...timers]),
    ...exported("request(method: i32, path: i32, payload: i32)", requests),
    ...(requests.length > 0 ? ["export const buffer: i32 = __requestBuffer();"] : []),
    // What the start leaves is free before the first handler runs.
    ...(collects ? ["__collect();"] : []),
  ].join("\n");
}
