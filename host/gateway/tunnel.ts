// CoAP to one of the gateway's nodes, over a WebSocket: each message is a datagram. For those who operate a node through the gateway with
// the verbs that exist. Nothing of it comes from the cache, requests wait their turn with all others, and each needs its right.
//
// What is protected end to end (OSCORE) goes along unread: all that is seen of it is a POST to the node.
import type { WebSocket } from "ws";
import type { Method, Option } from "../lib/coap/endpoint.ts";
import { allows, roleOf, type Principal } from "./access.ts";
import { Bad, CoapServer, type Asked, type Reply } from "./coap-server.ts";
import type { Core } from "./core.ts";
import type { ManagedNode } from "./nodes.ts";
import { hasRoom, keepAlive } from "./stream.ts";
import { Busy, failureStatus } from "./upstream.ts";

const methods: Record<string, Method> = {
  "0.01": "GET",
  "0.02": "POST",
  "0.03": "PUT",
  "0.04": "DELETE",
  "0.05": "FETCH",
  "0.06": "PATCH",
  "0.07": "iPATCH",
};
/** Nothing else is at the other end of a WebSocket. */
const far = { address: "", port: 0, family: "" };

export function serveTunnel(
  gateway: Core,
  node: ManagedNode,
  principal: Principal,
  socket: WebSocket,
): void {
  const server = new CoapServer({
    raw: true,
    // Who does not read loses datagrams, as anywhere; they do not pile up here.
    send: (bytes) => {
      if (hasRoom(socket)) socket.send(bytes);
    },
    serve: (asked) => serve(gateway, node, principal, asked),
  });
  keepAlive(socket);
  socket.on("message", (data, isBinary) => {
    if (isBinary && Buffer.isBuffer(data)) server.receive(data, far);
  });
  socket.on("error", () => {});
  socket.on("close", () => void server.close());
}

async function serve(
  gateway: Core,
  node: ManagedNode,
  principal: Principal,
  asked: Asked,
): Promise<Reply> {
  const method = methods[asked.code];
  if (method === undefined) throw new Bad("4.05");
  const { options, payload } = asked;
  const path = options
    .filter(({ name }) => name === "Uri-Path")
    .map(({ value }) => value.toString("utf8"))
    .join("/");
  const needed = roleOf(method, path);
  if (!allows(principal.role, needed))
    throw new Bad("4.03", `this needs the role ${needed}; ${principal.name} has ${principal.role}`);
  // A message is a request like any other: the limit of its token holds here too.
  if (gateway.access.limit(principal) !== undefined) throw new Bad("5.03", "too many requests");
  const reads = method === "GET" || method === "FETCH";
  const write = (result: string) =>
    gateway.audit({
      who: principal.name,
      what: `${method} /${path}`,
      target: node.name,
      result,
    });
  try {
    const response = await gateway.upstream.pass({
      authority: node.name,
      method,
      options,
      payload: payload.length > 0 ? payload : undefined,
      connect: async () => node.connection,
      heard: () => node.seen(),
    });
    const { status, options: own, payload: body } = response;
    // A package is one thing that is done, and not as many as it has blocks.
    if (!reads && status !== "2.31") write(status);
    const reply = {
      code: status,
      options: own.filter(({ name }) => name !== "Observe"),
      payload: body,
    };
    if (!asked.observes || !status.startsWith("2.")) return reply;
    return { ...reply, observe: (notify) => observe(gateway, node, options, reply, notify) };
  } catch (error) {
    const { status, text } =
      error instanceof Busy ? { status: 503, text: error.message } : failureStatus(error);
    if (!reads) write(text);
    return { code: { 503: "5.03", 504: "5.04" }[status] ?? "5.02", payload: text };
  }
}

/** Each state after the one that the registration was answered with; those who observe the same share what the node sends. */
function observe(
  gateway: Core,
  node: ManagedNode,
  options: readonly Option[],
  first: Reply,
  notify: (reply: Reply) => void,
): () => void {
  const wanted = options.filter(({ name }) => name !== "Block2" && name !== "252");
  let shown: Uint8Array = Buffer.from((first.payload ?? "") as Uint8Array);
  return gateway.shared.join(
    { authority: node.name, method: "GET", options: wanted },
    async () => node.connection,
    (response) => {
      // Begun anew, an observation tells first what is known.
      if (response !== undefined && Buffer.compare(shown, response.payload) === 0) return;
      shown = response?.payload ?? shown;
      notify(
        response === undefined
          ? { code: "5.03", payload: `${node.name} does not answer` }
          : {
              code: response.status,
              options: response.options.filter(({ name }) => !transfer.has(String(name))),
              payload: response.payload,
            },
      );
    },
  );
}

const transfer = new Set(["Observe", "Block2", "Size2"]);
