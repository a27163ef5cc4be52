// Values to viewers: Server-Sent Events and WebSockets with the same envelope. A viewer that comes back names the last number it has
// and gets what it missed; if that is gone, a `resync` is sent, then the newest values.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebSocket } from "ws";
import type { Access, Principal } from "./access.ts";
import { matches, type Envelope, type Filter } from "./envelope.ts";
import { Refused } from "./http.ts";
import { steady } from "./steady.ts";
import type { Hub, Sink, Viewer } from "./hub.ts";

/** Bytes that may wait for a viewer before only newest values are kept for it. */
const mostBuffered = 256 * 1024;
const heartbeat = 20_000;
/** A viewer whose channel takes nothing for this long is gone. */
const longestStall = 60_000;

interface Channel {
  /** Sends a named message; what it is to say besides values. */
  say: (event: string, data: unknown) => void;
  sink: Sink;
}

/** Sends what was missed, or the newest values, and then what comes. */
function begin(hub: Hub, filter: Filter, last: number | undefined, { say, sink }: Channel): Viewer {
  const viewer = hub.view(filter, sink);
  const replay = last === undefined ? undefined : hub.since(last, filter);
  if (replay?.whole) for (const envelope of replay.envelopes) sink.send(envelope);
  else {
    if (replay !== undefined)
      say("resync", { seq: hub.seq, reason: "what was missed is no longer kept" });
    for (const envelope of [...hub.all()].toSorted((a, b) => a.seq - b.seq))
      if (matches(filter, envelope)) sink.send(envelope);
  }
  return viewer;
}

const seqOf = (text: unknown): number | undefined => {
  const value = typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
};

/**
 * The last number a viewer has, from `Last-Event-ID` or the query. The header is a browser's, which sends what it was given last, by whomever;
 * what somebody writes in the query and is no number is refused.
 */
export function lastSeq(request: IncomingMessage, query: URLSearchParams): number | undefined {
  const asked = query.get("last");
  const last = seqOf(asked);
  if (asked !== null && last === undefined)
    throw new Refused(400, "last is the number of an envelope: its seq");
  return seqOf(request.headers["last-event-id"]) ?? last;
}

/** A token that is revoked ends the streams that were opened with it. */
export function holdEvents(access: Access, principal: Principal, response: ServerResponse): void {
  response.on(
    "close",
    access.hold(principal, () => response.destroy()),
  );
}

/** Server-Sent Events (HTML, "server-sent events"): `id:` is the envelope's number. */
export function serveEvents(
  hub: Hub,
  filter: Filter,
  last: number | undefined,
  response: ServerResponse,
): void {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
  });
  // Spread, so that a gateway that comes back is not met by all at once.
  response.write(`retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`);
  const write = (text: string): boolean => {
    response.write(text);
    return response.writableLength < mostBuffered;
  };
  const viewer = begin(hub, filter, last, {
    say: (event, data) => void write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    sink: {
      send: (envelope) => write(`id: ${envelope.seq}\ndata: ${JSON.stringify(envelope)}\n\n`),
    },
  });
  let moved = steady();
  const timer = setInterval(() => {
    if (response.writableLength >= mostBuffered && steady() > moved + longestStall)
      response.destroy();
    else if (response.writableLength < mostBuffered) response.write(": \n\n");
  }, heartbeat);
  response.on("drain", () => {
    moved = steady();
    viewer.drained();
  });
  response.on("close", () => {
    clearInterval(timer);
    viewer.close();
  });
  response.on("error", () => {});
}

/** Ends a WebSocket whose other end is not heard of any more: a connection that broke without a word would stay for ever. */
export function keepAlive(socket: WebSocket): { heard: () => void } {
  let alive = true;
  const heard = () => void (alive = true);
  const timer = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, heartbeat);
  socket.on("pong", heard);
  socket.on("close", () => clearInterval(timer));
  return { heard };
}

/** Whether there is room for more behind what waits for the other end. */
export const hasRoom = (socket: WebSocket): boolean => socket.bufferedAmount < mostBuffered;

/** A WebSocket: envelopes as text messages; `{"event":"resync",…}` beside them. What the viewer says is not listened to. */
export function serveSocket(
  hub: Hub,
  filter: Filter,
  last: number | undefined,
  socket: WebSocket,
): void {
  let full = false;
  const { heard } = keepAlive(socket);
  const taken = (): void => {
    if (!full || socket.bufferedAmount > mostBuffered / 4) return;
    full = false;
    heard();
    viewer.drained();
  };
  const write = (value: unknown): boolean => {
    socket.send(JSON.stringify(value), taken);
    full = !hasRoom(socket);
    return !full;
  };
  const viewer = begin(hub, filter, last, {
    say: (event, data) => void write({ event, ...(data as object) }),
    sink: { send: (envelope: Envelope) => write(envelope) },
  });
  socket.on("error", () => {});
  socket.on("close", () => viewer.close());
}
