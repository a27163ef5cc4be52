// How datagrams reach a node: UDP, or a serial line.
import { normalAddress } from "./address.ts";
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";

/** A way to one node. */
export interface Link {
  /** The address it was opened with. */
  readonly address: string;
  /** Sends a datagram, or loses it. */
  send(datagram: Uint8Array): void;
  /** Called for each datagram that comes in. */
  onDatagram: (datagram: Buffer) => void;
  /** Called for each line of text that a serial line carries beside the datagrams. */
  onText: (text: string) => void;
  /** Called when the network says that nothing listens there (ICMP). */
  onUnreachable: (cause: Error) => void;
  /** Called once when the link is lost. */
  onLost: (cause: Error) => void;
  close(): Promise<void>;
}

/** Opens `coap://host[:port]` or `serial:/dev/ttyACM0[?baud=115200]`, or what is short for one of them. */
export async function openLink(given: string, signal?: AbortSignal): Promise<Link> {
  const address = normalAddress(given) ?? given;
  const opening = address.startsWith("serial:")
    ? import("./serial.ts").then(({ openSerial }) => openSerial(address))
    : import("./udp.ts").then(({ openUdp }) => openUdp(address));
  const givenUp = () =>
    new NodeError("aborted", `opening ${address} was given up`, { cause: signal?.reason });
  if (!signal) return opening;
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(givenUp());
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
  try {
    const link = await Promise.race([opening, aborted]);
    return link;
  } catch (error) {
    // What is opened too late, as a name that takes long to resolve, is closed again.
    void opening.then((link) => link.close()).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** An address that cannot be read. */
export function noAddress(address: string, cause?: unknown): NodeError {
  const examples = "write coap://192.168.1.20 or serial:/dev/ttyACM0";
  return new NodeError("address", `${oneLine(address)} is no address of a node: ${examples}`, {
    cause,
  });
}
