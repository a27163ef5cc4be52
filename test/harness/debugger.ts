// QEMU's debugger interface, as far as the tests need it: reading and writing the memory of a running board. The board stands
// still meanwhile, its clock with it.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";

/** QEMU's words for a debugger at this socket. */
export function debuggerWords(socket: string): string[] {
  return ["-chardev", `socket,id=gdb,path=${socket},server=on,wait=off`, "-gdb", "chardev:gdb"];
}

/** Where a name lies in an image for the chip. */
export function symbol(path: string, name: string): number {
  const bytes = readFileSync(path);
  const table = bytes.readUInt32LE(32);
  const size = bytes.readUInt16LE(46);
  const sections = Array.from({ length: bytes.readUInt16LE(48) }, (_, index) => {
    const word = (number: number) => bytes.readUInt32LE(table + index * size + number * 4);
    return { kind: word(1), offset: word(4), size: word(5), link: word(6) };
  });
  const symbols = sections.find(({ kind }) => kind === 2);
  const names = sections[symbols?.link ?? -1];
  if (!symbols || !names) throw new Error(`${path} has no symbols`);
  for (let at = symbols.offset; at < symbols.offset + symbols.size; at += 16) {
    const start = names.offset + bytes.readUInt32LE(at);
    if (bytes.toString("latin1", start, bytes.indexOf(0, start)) === name)
      return bytes.readUInt32LE(at + 4);
  }
  throw new Error(`${path} has no symbol ${name}`);
}

/** Stops the board behind this socket, lets `use` look at its memory and change it, and lets the board go on. */
export async function whileStopped(
  socket: string,
  use: (memory: {
    read(address: number, length: number): Promise<Buffer>;
    write(address: number, bytes: Uint8Array): Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const connection = createConnection({ path: socket });
  await once(connection, "connect");
  connection.setEncoding("latin1");
  let heard = "";
  const answers: string[] = [];
  const waiting: ((answer: string) => void)[] = [];
  connection.on("data", (text: string) => {
    heard += text;
    // `$answer#xx`, where xx is the sum of its characters; a + before it says that the command came.
    for (;;) {
      const found = /\$([^#]*)#[0-9a-f]{2}/.exec(heard);
      if (!found) return;
      heard = heard.slice(found.index + found[0].length);
      connection.write("+");
      // That it has stopped, it says unasked.
      if (/^[TS]/.test(found[1] ?? "")) continue;
      const take = waiting.shift();
      if (take) take(found[1] ?? "");
      else answers.push(found[1] ?? "");
    }
  });
  const ask = async (command: string): Promise<string> => {
    const sum = Buffer.from(command, "latin1").reduce((all, byte) => all + byte, 0) & 0xff;
    connection.write(`$${command}#${sum.toString(16).padStart(2, "0")}`);
    return answers.shift() ?? (await new Promise<string>((resolve) => waiting.push(resolve)));
  };
  try {
    await use({
      read: async (address, length) =>
        Buffer.from(await ask(`m${address.toString(16)},${length.toString(16)}`), "hex"),
      write: async (address, bytes) => {
        const place = `${address.toString(16)},${bytes.length.toString(16)}`;
        const said = await ask(`M${place}:${Buffer.from(bytes).toString("hex")}`);
        if (said !== "OK") throw new Error(`the debugger said ${said}`);
      },
    });
    // Detaching lets the board go on.
    await ask("D");
  } finally {
    connection.destroy();
  }
}
