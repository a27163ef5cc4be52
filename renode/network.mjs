// A network for the board in Renode, in a network namespace of its own: run as root of one (`unshare --net`, with `--user
// --map-root-user` for other users), it makes the TAP interface, serves one address by DHCP, starts the given program behind it, and
// lets the world outside in through a socket's path. It ends when that program ends.
//
//   node network.mjs PATH PROGRAM [WORDS...]
//
// A connection to PATH begins with a line. `tcp 1234` is joined to that port in here; `udp 10.0.2.15 5683` carries datagrams, each
// behind two bytes of its length, to and from a socket of its own in here.
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";

const [path, program, ...words] = process.argv.slice(2);
const tap = "wasmote0";
const server = [10, 0, 2, 2];
const client = [10, 0, 2, 15];

function ip(...what) {
  const { status, stderr, error } = spawnSync("ip", what, { encoding: "utf8" });
  if (status === 0) return;
  process.stderr.write(`ip ${what.join(" ")}: ${error?.message ?? stderr}`);
  process.exit(77);
}
ip("link", "set", "lo", "up");
ip("tuntap", "add", "dev", tap, "mode", "tap");
ip("address", "add", `${server.join(".")}/24`, "dev", tap);
ip("link", "set", tap, "up");
// DHCP answers are broadcast: the client has no address yet.
ip("route", "add", "255.255.255.255", "dev", tap);
ip("route", "add", "224.0.0.0/4", "dev", tap);

/** DHCP (RFC 2131): the one address for whoever asks. */
async function serveAddress() {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (asked) => {
    const answer = answerTo(asked);
    if (answer) socket.send(answer, 68, "255.255.255.255");
  });
  socket.on("error", (error) => process.stderr.write(`dhcp: ${error.message}\n`));
  socket.bind(67);
  await once(socket, "listening");
  socket.setBroadcast(true);
}

function answerTo(asked) {
  const magic = 0x63825363;
  if (asked.length < 244 || asked[0] !== 1 || asked.readUInt32BE(236) !== magic) return undefined;
  const kind = optionOf(asked, 53)?.[0];
  // DISCOVER is offered; REQUEST is granted, when it is for what there is.
  const wanted = optionOf(asked, 50) ?? asked.subarray(12, 16);
  const granted = Buffer.from(client).equals(wanted);
  const type = kind === 1 ? 2 : kind === 3 ? (granted ? 5 : 6) : undefined;
  if (type === undefined) return undefined;
  const answer = Buffer.alloc(300);
  asked.copy(answer, 0, 0, 44);
  answer[0] = 2;
  if (type !== 6) answer.set(client, 16);
  answer.set(server, 20);
  answer.writeUInt32BE(magic, 236);
  const lease = [51, 4, 0, 0, 2, 88, 1, 4, 255, 255, 255, 0, 3, 4, ...server];
  answer.set([53, 1, type, 54, 4, ...server, ...(type === 6 ? [] : lease), 255], 240);
  return answer;
}

function optionOf(message, wanted) {
  for (let at = 240; at < message.length && message[at] !== 255;) {
    if (message[at] === 0) {
      at += 1;
      continue;
    }
    const length = message[at + 1] ?? 0;
    if (message[at] === wanted) return message.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
  return undefined;
}

/** Joins a connection from outside to what its first line names. */
function join(outside) {
  let head = Buffer.alloc(0);
  const listen = (bytes) => {
    head = Buffer.concat([head, bytes]);
    const end = head.indexOf("\n");
    if (end < 0) return;
    outside.off("data", listen);
    outside.pause();
    const [kind, ...to] = head.subarray(0, end).toString().split(" ");
    const rest = head.subarray(end + 1);
    if (kind === "tcp") stream(outside, Number(to[0]), rest);
    else if (kind === "udp") datagrams(outside, to[0], Number(to[1]), rest);
    else outside.destroy();
  };
  outside.on("data", listen);
  outside.on("error", () => outside.destroy());
}

function stream(outside, port, rest) {
  const inside = connect({ host: "127.0.0.1", port });
  inside.on("connect", () => {
    // Says that it is there.
    outside.write("\n");
    inside.write(rest);
    inside.pipe(outside);
    outside.pipe(inside);
  });
  for (const [one, other] of [
    [inside, outside],
    [outside, inside],
  ]) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}

function datagrams(outside, address, port, rest) {
  const inside = createSocket("udp4");
  let held = rest;
  const forward = () => {
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
      const length = held.readUInt16BE(0);
      // The cable may be out: what cannot be sent is lost, as on any network.
      inside.send(held.subarray(2, 2 + length), port, address, () => {});
      held = held.subarray(2 + length);
    }
  };
  inside.on("message", (bytes) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    outside.write(Buffer.concat([length, bytes]));
  });
  inside.on("error", () => {});
  outside.on("data", (bytes) => {
    held = Buffer.concat([held, bytes]);
    forward();
  });
  outside.on("close", () => inside.close());
  forward();
  outside.resume();
}

await serveAddress();
const gate = createServer(join).listen(path);
await once(gate, "listening");
// It ends with this process, also when that is killed.
const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...words], {
  stdio: ["ignore", "inherit", "inherit"],
});
// This process ends too when its parent has gone, in whatever way.
process.stdin.on("end", () => process.exit(0)).resume();
child.on("error", (error) => {
  process.stderr.write(`${program}: ${error.message}\n`);
  process.exit(78);
});
child.on("close", (code) => process.exit(code ?? 1));
