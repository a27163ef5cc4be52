// How the address of a node is written: in full, or as short as it is still clear.
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";

/** `serial:PATH[?baud=N]` or a URL `coap://HOST[:PORT]`; undefined where it is neither, nor short for one of them. */
export function normalAddress(given: string): string | undefined {
  const text = given.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):(?!\d+$)/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === "serial") return `serial:${text.slice("serial:".length)}`;
  if (scheme === "coap") return `coap${text.slice(4)}`;
  // An unknown scheme is kept, so that opening it gives the error.
  if (text.includes("://")) return text;
  if (/^\/dev\/|^COM\d+$/i.test(text)) return `serial:${text}`;
  if (/^\d{1,3}(\.\d{1,3}){3}(:\d+)?$/.test(text)) return `coap://${text}`;
  if (/^\[[0-9a-f:.%\w]+\](:\d+)?$/i.test(text)) return `coap://${text}`;
  if (/^[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*(%\w+)?$/i.test(text)) return `coap://[${text}]`;
  // A name with a dot or a port is a host's; a bare word is a name in wasmote.toml.
  if (/^localhost$|^[\w-]+(\.[\w-]+)+$|^[\w.-]+:\d+$/i.test(text)) return `coap://${text}`;
  return undefined;
}

/** An address that cannot be read. */
export function noAddress(address: string, cause?: unknown): NodeError {
  const examples = "write coap://192.168.1.20 or serial:/dev/ttyACM0";
  return new NodeError("address", `${oneLine(address)} is not an address of a node: ${examples}`, {
    cause,
  });
}
