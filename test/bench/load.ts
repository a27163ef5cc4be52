// Many CoAP clients at once, each with a socket of its own: sends a confirmable GET, waits for the answer, sends the next.
// The retransmission of RFC 7252 §4.2 is left out on purpose: an answer that does not come within the limit is lost.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { generate, parse } from "coap-packet";

export interface Load {
  host: string;
  port: number;
  path: string;
  clients: number;
  /** Requests of each client. */
  repeats: number;
  /** Milliseconds between an answer and the client's next request; none when left out. */
  pause?: number;
  /** Milliseconds after which an answer counts as lost. */
  limit?: number;
  /** What every whole answer must satisfy. */
  expect: (payload: string) => boolean;
}

export interface LoadResult {
  /** Milliseconds, sorted. */
  times: number[];
  lost: number;
  wrong: number;
  /** Answers a second over the whole run. */
  rate: number;
}

export async function load({
  host,
  port,
  path,
  clients,
  repeats,
  pause = 0,
  limit = 3000,
  expect,
}: Load): Promise<LoadResult> {
  const times: number[] = [];
  let lost = 0;
  let wrong = 0;
  const options = path
    .split("/")
    .map((segment) => ({ name: "Uri-Path" as const, value: Buffer.from(segment) }));
  const began = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const socket = createSocket("udp4");
      socket.connect(port, host);
      await once(socket, "connect");
      let answered: (() => void) | undefined;
      let waiting = -1;
      socket.on("error", () => {});
      socket.on("message", (datagram) => {
        const message = parse(datagram);
        if (message.messageId !== waiting) return;
        if (message.code !== "2.05" || !expect(message.payload.toString())) wrong += 1;
        answered?.();
      });
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        waiting = (client * 1021 + repeat) & 0xffff;
        const request = generate({
          code: "0.01",
          confirmable: true,
          messageId: waiting,
          token: Buffer.from([client, repeat & 255]),
          options,
        });
        const sent = performance.now();
        const inTime = await new Promise<boolean>((resolve) => {
          const timer = setTimeout(() => resolve(false), limit);
          answered = () => {
            clearTimeout(timer);
            resolve(true);
          };
          socket.send(request);
        });
        if (inTime) times.push(performance.now() - sent);
        else lost += 1;
        if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      }
      socket.close();
    }),
  );
  times.sort((a, b) => a - b);
  return { times, lost, wrong, rate: (times.length / (performance.now() - began)) * 1000 };
}

/** The value below which this share of the sorted times lies. */
export function quantile(times: number[], share: number): number {
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? NaN;
}

export function mean(times: number[]): number {
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}
