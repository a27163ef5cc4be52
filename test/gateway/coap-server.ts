// A CoAP server that does as a test tells it: each request is handed to a function, whose answer goes back as it is.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { generate, parse, type ParsedPacket } from "coap-packet";

export interface Scripted {
  code: string;
  payload?: string | Buffer;
  options?: { name: string; value: Buffer }[];
}

export interface ScriptedServer extends AsyncDisposable {
  readonly port: number;
  readonly requests: ParsedPacket[];
}

export const option = ({ options }: ParsedPacket, name: string): Buffer | undefined =>
  options.find((one) => one.name === name)?.value;

export const pathOf = ({ options }: ParsedPacket): string =>
  options
    .filter(({ name }) => name === "Uri-Path")
    .map(({ value }) => value.toString())
    .join("/");

/** Starts one; a function that returns nothing stays silent. */
export async function scripted(
  answer: (request: ParsedPacket) => Scripted | undefined | Promise<Scripted | undefined>,
  /** Told how to notify whoever registers, for each registration. */
  observed?: (notify: (reply: Scripted) => void, request: ParsedPacket) => void,
): Promise<ScriptedServer> {
  const socket = createSocket("udp4");
  const requests: ParsedPacket[] = [];
  let noted = 0;
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("message", (bytes, from) => {
    const request = parse(bytes);
    if (request.code === "0.00") return;
    requests.push(request);
    if (option(request, "Observe")?.length === 0)
      observed?.(
        ({ code, payload = "", options = [] }) =>
          socket.send(
            generate({
              code,
              messageId: (noted = (noted + 1) & 0xffff),
              token: request.token,
              payload: Buffer.from(payload),
              options: options as never,
            }),
            from.port,
            from.address,
          ),
        request,
      );
    void Promise.resolve(answer(request)).then((reply) => {
      if (reply === undefined) return;
      const { code, payload = "", options = [] } = reply;
      const { messageId, token } = request;
      const bytes_ = generate({
        code,
        ack: true,
        messageId,
        token,
        payload: Buffer.from(payload),
        options: options as never,
      });
      socket.send(bytes_, from.port, from.address);
    });
  });
  return {
    port: socket.address().port,
    requests,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}
