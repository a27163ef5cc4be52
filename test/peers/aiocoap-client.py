"""aiocoap, a CoAP implementation by other people, as the client of a node: each case prints one JSON object.

    aiocoap-client.py udp HOST PORT      against the plugtest resources
    aiocoap-client.py serial PATH        the same over a slipmux line: aiocoap has no slipmux of its own, so that its
                                         datagrams go through a bridge between UDP and the line that is in this file
    aiocoap-client.py readers HOST PORT  eight read /node of a node in blocks of 64, ten times each, while one observes its level and
                                         others read it in a block or set its clock
    aiocoap-client.py group HOST PORT    discovery through the group 224.0.1.187, by loopback
"""

import asyncio
import json
import os
import re
import socket
import sys
import termios
import time
import tty
import warnings

import aiocoap
from aiocoap import Code, Message
from aiocoap.numbers import ContentFormat, Type

# The message layer is aiocoap's to manage, and here it is not used.
warnings.filterwarnings("ignore", category=DeprecationWarning)

GROUP = ("224.0.1.187", 5683)


def say(case, **fields):
    print(json.dumps({"case": case, **fields}), flush=True)


class Cases:
    def __init__(self, base):
        self.base = base

    async def ask(self, code, path, context=None, **options):
        message = Message(code=code, uri=self.base + path, **options)
        return await (context or self.context).request(message).response

    async def get(self):
        response = await self.ask(Code.GET, "/test")
        return {"code": str(response.code), "payload": response.payload.decode()}

    async def non(self):
        response = await self.ask(
            Code.GET, "/test", transport_tuning=aiocoap.Unreliable
        )
        return {"code": str(response.code), "type": str(response.mtype)}

    async def missing(self):
        response = await self.ask(Code.GET, "/nothing")
        return {"code": str(response.code)}

    async def put(self):
        put = await self.ask(Code.PUT, "/validate", payload=b"from aiocoap")
        get = await self.ask(Code.GET, "/validate")
        again = await self.ask(Code.GET, "/validate", etags=[get.opt.etag])
        return {
            "codes": [str(put.code), str(get.code), str(again.code)],
            "payload": get.payload.decode(),
        }

    async def separate(self):
        response = await self.ask(Code.GET, "/separate")
        return {"code": str(response.code), "payload": response.payload.decode()}

    async def formats(self):
        answers = []
        for accept in (ContentFormat.TEXT, ContentFormat(41), ContentFormat.JSON):
            response = await self.ask(Code.GET, "/multi-format", accept=accept)
            answers.append(f"{response.code} {response.payload.decode()[:5]}".strip())
        return {"answers": answers}

    async def discovery(self):
        response = await self.ask(Code.GET, "/.well-known/core")
        links = re.findall(r"<(/[^>]*)>", response.payload.decode())
        some = await self.ask(Code.GET, "/.well-known/core?rt=Type2")
        return {
            "links": len(links),
            "filtered": re.findall(r"<(/[^>]*)>", some.payload.decode()),
        }

    async def download(self):
        response = await self.ask(Code.GET, "/large")
        text = response.payload.decode()
        return {
            "length": len(text),
            "numbers": [line[:4] for line in text.splitlines()],
        }

    async def upload(self):
        body = os.urandom(5000)
        put = await self.ask(Code.PUT, "/large-update", payload=body)
        get = await self.ask(Code.GET, "/large-update")
        return {"codes": [str(put.code), str(get.code)], "same": get.payload == body}

    async def create(self):
        body = b"created " * 300
        post = await self.ask(Code.POST, "/large-create", payload=body)
        get = await self.ask(Code.GET, "/" + "/".join(post.opt.location_path))
        return {"codes": [str(post.code), str(get.code)], "same": get.payload == body}

    async def both_ways(self):
        body = b"both ways " * 200
        post = await self.ask(Code.POST, "/large-post", payload=body)
        return {"code": str(post.code), "same": post.payload == body.upper()}

    async def too_large(self):
        post = await self.ask(Code.PUT, "/large-update", payload=bytes(9000))
        return {"code": str(post.code)}

    async def at_once(self):
        """Eight clients, each with an endpoint of its own, upload and download at once."""

        async def one(number):
            context = await aiocoap.Context.create_client_context()
            body = bytes([number]) * 3000
            put = await self.ask(
                Code.PUT, f"/large-update?n={number}", context, payload=body
            )
            get = await self.ask(Code.GET, "/large", context)
            await context.shutdown()
            return str(put.code), len(get.payload)

        return {"answers": await asyncio.gather(*(one(n) for n in range(8)))}

    async def observe(self):
        request = self.context.request(
            Message(code=Code.GET, uri=self.base + "/obs", observe=0)
        )
        first = await request.response
        values = [first.payload.decode()]
        told = request.observation.__aiter__()
        for number in range(3):
            await self.ask(Code.PUT, "/obs", payload=f"state {number}".encode())
            values.append((await told.__anext__()).payload.decode())
        request.observation.cancel()
        return {"values": values[1:]}

    async def observe_large(self):
        request = self.context.request(
            Message(code=Code.GET, uri=self.base + "/obs-large", observe=0)
        )
        await request.response
        notification = await request.observation.__aiter__().__anext__()
        request.observation.cancel()
        return {"length": len(notification.payload)}

    async def run(self, names):
        self.context = await aiocoap.Context.create_client_context()
        for name in names:
            try:
                say(name, **await asyncio.wait_for(getattr(self, name)(), 40))
            except Exception as error:
                say(name, error=f"{type(error).__name__}: {error}")
        await self.context.shutdown()


ALL = (
    "get non missing put formats discovery download upload create both_ways too_large at_once "
    "observe observe_large separate"
).split()


def fcs16(data):
    """RFC 1662 appendix C.2."""
    fcs = 0xFFFF
    for byte in data:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
    return (fcs ^ 0xFFFF).to_bytes(2, "little")


class Bridge(asyncio.DatagramProtocol):
    """UDP on one side, a slipmux line on the other (draft-bormann-t2trg-slipmux)."""

    def __init__(self, path):
        self.line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.line, termios.TCSANOW)
        self.peer = None
        self.buffer = bytearray()
        asyncio.get_running_loop().add_reader(self.line, self.read)

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.peer = peer
        frame = b"\xa9" + data
        frame += fcs16(frame)
        frame = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        os.write(self.line, b"\xc0" + frame + b"\xc0")

    def read(self):
        self.buffer += os.read(self.line, 4096)
        *frames, rest = self.buffer.split(b"\xc0")
        self.buffer = bytearray(rest)
        for frame in frames:
            frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            if frame[:1] == b"\xa9" and fcs16(frame[:-2]) == frame[-2:] and self.peer:
                self.transport.sendto(frame[1:-2], self.peer)


async def serial(path):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Bridge(path), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    names = "get put discovery download upload both_ways observe".split()
    await Cases(f"coap://127.0.0.1:{port}").run(names)


async def readers(base):
    """RFC 7959 §2.4: all blocks of a body are of one state, which aiocoap holds to by their ETag."""
    cases = Cases(base)
    contexts = [await aiocoap.Context.create_client_context() for _ in range(10)]
    watching = contexts[9].request(
        Message(code=Code.GET, uri=base + "/sensors/level", observe=0)
    )
    await watching.response
    told = 0

    async def watch():
        nonlocal told
        async for _ in watching.observation:
            told += 1

    watcher = asyncio.create_task(watch())
    reading = True

    async def disturb():
        while reading:
            await cases.ask(Code.PUT, "/time", contexts[8], payload=b"1700000000")
            await cases.ask(Code.GET, "/node", contexts[8])
            await asyncio.sleep(0.6)

    disturber = asyncio.create_task(disturb())
    failed = []

    async def one(context):
        good = 0
        for _ in range(10):
            message = Message(
                code=Code.GET, uri=base + "/node", accept=ContentFormat.JSON
            )
            message.opt.block2 = (0, False, 2)
            try:
                response = await context.request(message).response
                json.loads(response.payload)
                good += len(response.payload) > 512
            except Exception as error:
                failed.append(f"{type(error).__name__}: {error}")
        return good

    answers = await asyncio.gather(*(one(context) for context in contexts[:8]))
    reading = False
    await disturber
    watcher.cancel()
    watching.observation.cancel()
    for context in contexts:
        await context.shutdown()
    say("readers", answers=answers, failed=failed, told=told > 3)


def group(port):
    """Discovery through the group: aiocoap's messages, on a socket whose multicasts stay on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        loopback = socket.inet_aton("127.0.0.1")
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        s.settimeout(0.2)
        answers = {}
        for mid, query in ((1, "rt=test"), (2, "rt=none")):
            m = Message(code=Code.GET, mtype=Type.NON, mid=mid, token=bytes([mid]))
            m.opt.uri_path = (".well-known", "core")
            m.opt.uri_query = (query,)
            s.sendto(m.encode(), GROUP)
        # RFC 7252 §8.2: an answer may take the whole leisure, and so may one that must not come.
        begun = time.monotonic()
        while time.monotonic() < begun + (6 if answers else 15):
            try:
                data, peer = s.recvfrom(2048)
            except TimeoutError:
                continue
            m = Message.decode(data)
            if peer[1] == port:
                answers[m.token.hex()] = f"{m.code} {m.payload.decode()}"
        say("group", answers=answers)


what, *rest = sys.argv[1:]
if what == "udp":
    asyncio.run(Cases(f"coap://{rest[0]}:{rest[1]}").run(ALL))
elif what == "serial":
    asyncio.run(serial(rest[0]))
elif what == "readers":
    asyncio.run(readers(f"coap://{rest[0]}:{rest[1]}"))
else:
    group(int(rest[1]))
