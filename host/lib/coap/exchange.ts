// A key exchange over CoAP (RFC 9528 §A.2): EDHOC (edhoc.ts) in two requests to the responder, and the OSCORE context that comes of it.
import { NodeError } from "../errors.ts";
import { errorText, identifier, type Credential, type Initiator } from "./edhoc.ts";
import { answerOf, type Endpoint } from "./endpoint.ts";
import type { Material } from "./oscore.ts";

/** Where a server takes EDHOC (RFC 9528 §10.7). */
const path = ".well-known/edhoc";
/** application/cid-edhoc+cbor-seq (RFC 9528 §10.9). */
const contentFormat = { name: "Content-Format", value: Buffer.from([65]) };
/** `true`, which is in front of message_1. */
const begins = Buffer.from([0xf5]);

/** What came of an exchange. */
export interface Exchanged {
  /** What OSCORE's keys are derived from. */
  material: Material;
  /** Who it is with. */
  peer: Credential;
}

/**
 * Agrees on an OSCORE context with one of those who are known, at the other end of an endpoint without one. The server shows by message_4 that it
 * has the same keys. Whatever goes wrong is a NodeError: `insecure` where somebody is not who he should be, `answer` where the server refuses, with what
 * it says of it.
 */
export async function exchange(
  endpoint: Pick<Endpoint, "request">,
  initiator: Initiator,
  known: readonly Credential[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Exchanged> {
  const say = async (prefix: Uint8Array, message: Uint8Array): Promise<Buffer> => {
    const payload = Buffer.concat([prefix, message]);
    try {
      return (await endpoint.request("POST", path, { payload, options: [contentFormat], signal }))
        .payload;
    } catch (error) {
      const answer = answerOf(error);
      if (answer === undefined) throw error;
      const why = errorText(answer.payload);
      if (why === undefined) throw error;
      throw new NodeError("answer", `the server ends the key exchange: ${why}`, {
        status: answer.status,
        diagnostic: why,
        cause: error,
      });
    }
  };
  const message2 = await say(begins, initiator.message1);
  const { message3, peer, connection, finish } = initiator.answer(message2, known);
  return { material: finish(await say(identifier(connection), message3)), peer };
}
