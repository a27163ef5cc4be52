// EDHOC between our ends, and with ends written by others: lakers as the initiator of firmware/edhoc, aiocoap as the responder of the library.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { generate, parse } from "coap-packet";
import { beforeAll, describe, expect, test } from "vitest";
import { targetFolder } from "../../host/setup.mjs";
import {
  errorText,
  identifier,
  Initiator,
  makeCredential,
  makeSecret,
  type Credential,
} from "../../host/lib/coap/edhoc.ts";
import { exchange } from "../../host/lib/coap/exchange.ts";
import { Endpoint } from "../../host/lib/coap/endpoint.ts";
import { openLink } from "../../host/lib/coap/open.ts";
import { Context } from "../../host/lib/coap/oscore.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const python = join(root, ".cache/python/bin/python");
const peers = join(root, "test/peers");
const loads = spawnSync(python, ["-c", "import aiocoap.edhoc"]).status === 0;
const skipped = loads ? "" : " (skipped: aiocoap with OSCORE is not here)";
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Buffer.from(text, "hex");

/** A program that answers each line with a line. */
function talker(program: string, words: string[]) {
  const child = spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(line: string): Promise<string> {
      child.stdin.write(`${line}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} has ended`);
      return value;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.kill()) await once(child, "exit");
    },
  };
}

/** Somebody with a key of his own. */
function somebody(kid: string, subject?: string) {
  const secret = makeSecret();
  return { secret, credential: makeCredential(secret, bytes(kid), subject) };
}

const responder = join(targetFolder(), "debug/examples/responder");

/** The node's end as a program. */
function nodeEnd(
  own: ReturnType<typeof somebody>,
  connection: string,
  known: readonly Credential[],
) {
  const all = [own.secret, own.credential.ccs, bytes(connection), ...known.map(({ ccs }) => ccs)];
  const peer = talker(responder, all.map(hex));
  return {
    ...peer,
    /** What it says to a message, as it comes on CoAP. */
    async take(prefix: Uint8Array, message: Uint8Array): Promise<string[]> {
      return (await peer.ask(hex(Buffer.concat([prefix, message])))).split(" ");
    },
  };
}

const first = Buffer.from([0xf5]);

beforeAll(() => {
  const words = "build --quiet --locked -p wasmote-edhoc --example responder --manifest-path";
  const manifest = join(root, "firmware/Cargo.toml");
  const built = spawnSync("cargo", [...words.split(" "), manifest], { stdio: "inherit" });
  expect(built.status).toBe(0);
}, 600_000);

describe("the library as the initiator of the node's end", () => {
  // Identifiers of all lengths, those that are integers on the wire and those that are not.
  test.each([
    ["37", "27", "2b", "32"],
    ["80", "81", "18", "38"],
    ["", "01", "17", "00"],
    ["00", "", "", "ffffffffffffff"],
    ["01020304050607", "07060504030201", "0102", "20"],
  ])("agrees with it as %j and %j, with keys %j and %j", async (c_i, c_r, kidI, kidR) => {
    const [host, node] = [somebody(kidI, "host"), somebody(kidR)];
    const stranger = somebody("7f");
    await using end = nodeEnd(node, c_r, [stranger.credential, host.credential]);
    // Twice: the second handshake has other keys.
    const secrets = new Set<string>();
    for (const _ of [1, 2]) {
      const initiator = new Initiator({ own: host, connection: bytes(c_i) });
      const [what, message2 = ""] = await end.take(first, initiator.message1);
      expect(what).toBe("message");
      const known = [host.credential, node.credential];
      const answered = initiator.answer(bytes(message2), known);
      expect(answered.peer).toBe(node.credential);
      expect(hex(answered.connection)).toBe(c_r);
      const front = identifier(answered.connection);
      const [done, peer, secret = "", salt = "", sender = "", recipient = "", message4 = ""] =
        await end.take(front, answered.message3);
      expect([done, peer]).toEqual(["session", "1"]);
      const material = answered.finish(bytes(message4));
      expect([hex(material.secret), hex(material.salt!)]).toEqual([secret, salt]);
      // Each sends with what the other chose.
      expect(`0x${hex(material.recipient)}`).toBe(sender);
      expect(`0x${hex(material.sender)}`).toBe(recipient);
      expect([hex(material.sender), hex(material.recipient)]).toEqual([c_r, c_i]);
      secrets.add(secret);
      // message_3 again, and one that belongs to nothing.
      const again = await end.take(front, answered.message3);
      expect(again).toEqual(["error", hex(Buffer.from("\x01\x69malformed", "latin1"))]);
    }
    expect(secrets.size).toBe(2);
  });

  test("gets to know why it is refused", async () => {
    const [host, node, other] = [somebody("01"), somebody("02"), somebody("01")];
    const refusal = async (known: Credential[], preferred: number[] = []) => {
      await using end = nodeEnd(node, "80", known);
      const initiator = new Initiator({ own: host, connection: bytes("00"), preferred });
      let [what, message = ""] = await end.take(first, initiator.message1);
      if (what === "message") {
        const { message3 } = initiator.answer(bytes(message), [node.credential]);
        [what, message = ""] = await end.take(identifier(bytes("80")), message3);
      }
      expect(what).toBe("error");
      return errorText(bytes(message));
    };
    expect(await refusal([])).toBe("it does not know our credential");
    expect(await refusal([node.credential])).toBe("it does not know our credential");
    expect(await refusal([other.credential])).toBe("verification failed");
    expect(await refusal([host.credential], [2])).toBe("it has none of our cipher suites");
  });
});

/** The node's end behind CoAP: it wants to see first that the address is the client's (RFC 9175 §2.3). */
async function served(end: ReturnType<typeof nodeEnd>) {
  const cookie = randomBytes(8);
  const socket = createSocket("udp4");
  const seen: string[] = [];
  // What comes again on a slow machine is no other message (RFC 7252 §4.5): its answer is on the way, or is sent again.
  const answers = new Map<number, Buffer | undefined>();
  socket.on("message", (datagram, { port, address }) => {
    const { messageId, token, code, options, payload } = parse(datagram);
    if (answers.has(messageId)) {
      const again = answers.get(messageId);
      if (again) socket.send(again, port, address);
      return;
    }
    answers.set(messageId, undefined);
    const value = (name: string) =>
      options.find((option) => option.name === name)?.value as Buffer | undefined;
    const path = options.filter(({ name }) => name === "Uri-Path").map(({ value: part }) => part);
    seen.push(`${code} /${path.map(String).join("/")} ${value("Content-Format")?.readUInt8()}`);
    const answer = (
      status: string,
      content: Buffer,
      more: { name: string; value: Buffer }[] = [],
    ) => {
      const message = generate({
        ack: true,
        messageId,
        token,
        code: status,
        options: more as never,
        payload: content,
      });
      answers.set(messageId, message);
      socket.send(message, port, address);
    };
    if (value("252")?.equals(cookie) !== true)
      return answer("4.01", Buffer.alloc(0), [{ name: "252", value: cookie }]);
    void end.ask(hex(payload)).then((line) => {
      const words = line.split(" ");
      answer(words[0] === "error" ? "4.00" : "2.04", bytes(words.at(-1)!), [
        { name: "Content-Format", value: Buffer.from([64]) },
      ]);
    });
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    seen,
    endpoint: async () => new Endpoint(await openLink(`coap://127.0.0.1:${socket.address().port}`)),
    [Symbol.dispose]: () => void socket.close(),
  };
}

describe("an exchange over CoAP", () => {
  test("is two requests, of which the server asks to see the address first", async () => {
    const [host, node] = [somebody("01"), somebody("02")];
    await using end = nodeEnd(node, "80", [host.credential]);
    using server = await served(end);
    const endpoint = await server.endpoint();
    try {
      const initiator = new Initiator({ own: host, connection: bytes("00") });
      const { material, peer } = await exchange(endpoint, initiator, [node.credential]);
      expect(peer).toBe(node.credential);
      expect([hex(material.sender), hex(material.recipient)]).toEqual(["80", "00"]);
      const request = "0.02 /.well-known/edhoc 65";
      expect(new Set(server.seen)).toEqual(new Set([request]));
      // Each of the two is asked for its address: what was echoed is not sent again by an endpoint without a context.
      expect(server.seen.length).toBeGreaterThanOrEqual(3);
    } finally {
      await endpoint.close();
    }
  });

  test("ends with what the server says of it", async () => {
    const [host, node] = [somebody("01"), somebody("02")];
    await using end = nodeEnd(node, "80", []);
    using server = await served(end);
    const endpoint = await server.endpoint();
    try {
      const initiator = new Initiator({ own: host, connection: bytes("00") });
      const ended = exchange(endpoint, initiator, [node.credential]);
      await expect(ended).rejects.toMatchObject({ code: "answer", status: "4.00" });
      await expect(ended).rejects.toThrow(/ends the key exchange: it does not know our credential/);
      const again = new Initiator({ own: host, connection: bytes("00") });
      await expect(exchange(endpoint, again, [])).rejects.toMatchObject({ code: "insecure" });
    } finally {
      await endpoint.close();
    }
  });
});

describe.skipIf(!loads)(`lakers as the initiator of the node's end${skipped}`, () => {
  interface Answer {
    message?: string;
    connection?: string;
    id?: string;
    secret?: string;
    salt?: string;
    error?: string;
  }
  const lakers = () => {
    const peer = talker(python, [join(peers, "lakers-initiator.py")]);
    return {
      ...peer,
      tell: async (request: object) =>
        JSON.parse(await peer.ask(JSON.stringify(request))) as Answer,
    };
  };

  test("agrees with it, with and without message_4, and is told of one that is forged", async () => {
    const [host, node] = [somebody("2b", "42-50"), somebody("32", "example.edu")];
    await using initiator = lakers();
    await using end = nodeEnd(node, "27", [host.credential]);
    const start = async () => {
      const own = { own: hex(host.credential.ccs), secret: hex(host.secret) };
      const begin = { start: "0e", ...own, peer: hex(node.credential.ccs), ead: [15] };
      const message1 = (await initiator.tell(begin)).message!;
      const [what, message2] = await end.take(first, bytes(message1));
      expect(what).toBe("message");
      const message3 = await initiator.tell({ message_2: message2 });
      expect(message3).toMatchObject({ connection: "27", id: "a1044132" });
      return end.take(Buffer.from([0x27]), bytes(message3.message!));
    };
    for (const ends of ["message_4", "without"]) {
      const [done, peer, secret, salt, sender, recipient, message4] = await start();
      expect([done, peer, sender, recipient]).toEqual(["session", "0", "0x0e", "0x27"]);
      expect(await initiator.tell({ [ends]: message4 })).toEqual({ secret, salt });
    }
    const message4 = bytes((await start()).at(-1)!);
    message4[1]! ^= 1;
    expect(await initiator.tell({ message_4: hex(message4) })).toHaveProperty("error");
  });

  test("does not believe in a responder with another key", async () => {
    const [host, node, other] = [somebody("2b"), somebody("32"), somebody("32")];
    await using initiator = lakers();
    await using end = nodeEnd(other, "27", [host.credential]);
    const own = { own: hex(host.credential.ccs), secret: hex(host.secret) };
    const begin = { start: "0e", ...own, peer: hex(node.credential.ccs) };
    const { message } = await initiator.tell(begin);
    const [, message2] = await end.take(first, bytes(message!));
    expect(await initiator.tell({ message_2: message2 })).toHaveProperty("error");
  });
});

describe.skipIf(!loads)(`aiocoap as the responder of the library${skipped}`, () => {
  test("agrees with it, and answers under the context that came of it", async () => {
    const [host, node, stranger] = [somebody("07", "host"), somebody("32", "node"), somebody("07")];
    const words = [node.secret, node.credential.ccs, host.credential.ccs].map(hex);
    const server = spawn(python, [join(peers, "aiocoap-edhoc-server.py"), ...words], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [port] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
      const address = `coap://127.0.0.1:${port}`;
      /** A handshake as this one, with somebody who has this credential. */
      const agree = async (own: ReturnType<typeof somebody>, known: Credential) => {
        const initiator = new Initiator({ own, connection: bytes("0e") });
        const endpoint = new Endpoint(await openLink(address), { patience: 20_000 });
        try {
          return await exchange(endpoint, initiator, [known]);
        } finally {
          await endpoint.close();
        }
      };
      const { material, peer } = await agree(host, node.credential);
      expect(peer).toBe(node.credential);
      let number = randomBytes(1)[0]!;
      const context = new Context(material, { take: () => number++ });
      const endpoint = new Endpoint(await openLink(address), { context, patience: 20_000 });
      try {
        const { payload } = await endpoint.request("GET", "whoami");
        expect(Buffer.from(payload).toString()).toBe(":host");
      } finally {
        await endpoint.close();
      }
      await expect(agree(stranger, node.credential)).rejects.toMatchObject({
        name: "NodeError",
      });
      await expect(agree(host, stranger.credential)).rejects.toMatchObject({ code: "insecure" });
    } finally {
      if (server.exitCode === null && server.kill()) await once(server, "exit");
    }
  });
});
