// The wire vectors of test/vectors/coap.json, from a socket: what firmware/node/tests/wire.rs says of the node in memory
// holds over UDP.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { parse } from "coap-packet";
import { expect, test } from "vitest";
import { eachTarget } from "./harness/target.ts";

interface Vector {
  name: string;
  rfc: string;
  datagram: string;
  answer: "ack" | "non" | "rst" | null;
  code?: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("vectors/coap.json", import.meta.url), "utf8"),
) as Vector[];

eachTarget(
  "wire vectors",
  (start) => {
    test("every datagram is answered as its RFC says", async () => {
      const node = await start();
      const { hostname, port } = new URL(node.address);
      const wrong: string[] = [];
      for (const { name, rfc, datagram, answer, code } of vectors) {
        // A socket for each: the node tells clients apart by their address.
        const socket = createSocket("udp4");
        const answers: Buffer[] = [];
        socket.on("message", (bytes: Buffer) => answers.push(bytes));
        socket.send(Buffer.from(datagram, "hex"), Number(port), hostname);
        // A ping behind it shows when everything before has been dealt with.
        socket.send(Buffer.from("4000ffff", "hex"), Number(port), hostname);
        while (!answers.some((bytes) => bytes.toString("hex") === "7000ffff"))
          await once(socket, "message");
        socket.close();
        const first = answers.find((bytes) => bytes.toString("hex") !== "7000ffff");
        const packet = first && parse(first);
        const kind = !packet
          ? null
          : packet.ack
            ? "ack"
            : packet.reset
              ? "rst"
              : packet.confirmable
                ? "con"
                : "non";
        if (kind !== answer || (code !== undefined && packet?.code !== code))
          wrong.push(`${name} (${rfc}): ${kind} ${packet?.code ?? ""}`);
      }
      expect(wrong).toEqual([]);
    });
  },
  ["native"],
);
