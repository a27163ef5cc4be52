// What stands between a client and a node in a test: a proxy that loses, repeats and delays datagrams, from a seed.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** Numbers below `limit` in a reproducible order (the generator of Numerical Recipes). */
export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * limit;
  };
}

export interface Chaos {
  seed: number;
  /** Shares of datagrams, from 0 to 1: never arrive, arrive twice, arrive late and so behind others. */
  loss: number;
  repeat: number;
  late: number;
  /** The longest delay of those that are late, in milliseconds. */
  delay: number;
}

export interface Proxy extends AsyncDisposable {
  readonly address: string;
  /** What was done to datagrams so far. */
  readonly counts: { passed: number; bytes: number; lost: number; repeated: number; late: number };
  /** Lets nothing through from now on, or everything. */
  cut(off: boolean): void;
  /** Called with each datagram of the client's before its fate is known. */
  spy: (datagram: Buffer) => void;
}

/** A proxy in front of a node at a `coap:` address. */
export async function chaoticProxy(address: string, chaos: Chaos): Promise<Proxy> {
  const draw = random(chaos.seed);
  const counts = { passed: 0, bytes: 0, lost: 0, repeated: 0, late: 0 };
  const target = Number(new URL(address).port);
  const front = createSocket("udp4").bind(0, "127.0.0.1");
  const back = createSocket("udp4").bind(0, "127.0.0.1");
  await Promise.all([once(front, "listening"), once(back, "listening")]);
  const timers = new Set<NodeJS.Timeout>();
  let client = 0;
  let off = false;
  const pass = (socket: Socket, datagram: Buffer, port: number) => {
    const fate = draw(1);
    const send = () => socket.send(datagram, port, "127.0.0.1", () => {});
    if (off || fate < chaos.loss) {
      counts.lost++;
      return;
    }
    counts.passed++;
    counts.bytes += datagram.length;
    if (fate < chaos.loss + chaos.repeat) {
      counts.repeated++;
      send();
    }
    if (fate > 1 - chaos.late) {
      counts.late++;
      const timer = setTimeout(() => {
        timers.delete(timer);
        send();
      }, draw(chaos.delay));
      timers.add(timer);
    } else send();
  };
  front.on("message", (datagram, { port }) => {
    client = port;
    proxy.spy(datagram);
    pass(back, datagram, target);
  });
  back.on("message", (datagram) => pass(front, datagram, client));
  for (const socket of [front, back]) socket.on("error", () => {});
  const proxy: Proxy = {
    address: `coap://127.0.0.1:${front.address().port}`,
    counts,
    cut: (value) => (off = value),
    spy: () => {},
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearTimeout(timer);
      front.close();
      back.close();
    },
  };
  return proxy;
}

/** A way that does nothing to datagrams until it is cut. */
export const calm: Chaos = { seed: 1, loss: 0, repeat: 0, late: 0, delay: 0 };
