// Lines of a stream. Unlike node:readline, whose interface throws what befalls the stream: a client that was killed ended the node it fed.
import type { Readable } from "node:stream";

/** Characters after which a line without an end is taken for one. */
const longestLine = 64 << 10;

/** Hands over a stream line by line, what is left at its end too. What befalls the stream is for who opened it. */
export function eachLine(stream: Readable, use: (line: string) => void): void {
  let held = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (held + text).split(/\r?\n/);
    held = lines.pop() ?? "";
    for (const line of lines) use(line);
    if (held.length < longestLine) return;
    use(held);
    held = "";
  });
  stream.on("end", () => {
    if (held !== "") use(held);
  });
}
