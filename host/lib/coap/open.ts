// How datagrams reach a node: UDP, or a serial line.
import { normalAddress } from "./address.ts";
import type { Link } from "./link.ts";
import { NodeError } from "../errors.ts";

/** Opens `coap://host[:port]`, `serial:/dev/ttyACM0[?baud=115200]` or `gateway+http://host:port/node`, or what is short for one of them. */
export async function openLink(given: string, signal?: AbortSignal): Promise<Link> {
  const address = normalAddress(given) ?? given;
  const opening = address.startsWith("serial:")
    ? import("./serial.ts").then(({ openSerial }) => openSerial(address))
    : /^gateway\+https?:\/\//.test(address)
      ? import("./through.ts").then(({ openThrough }) => openThrough(address))
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
