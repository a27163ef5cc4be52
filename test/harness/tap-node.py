# What the Ethernet of an emulated board does, for a renode without an emulator: opens the TAP interface, asks for an address by DHCP,
# answers ARP, and carries what comes for the CoAP port to a native node and back. What became of it is printed.
#
#   python3 tap-node.py INTERFACE NATIVE: a line `out` on its input pulls the cable, `in` plugs it in. Ends with its input.
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys

interface, native = sys.argv[1:3]
MAC = bytes([2, 0, 0, 0, 0, 15])
ALL = b"\xff" * 6

tap = os.open("/dev/net/tun", os.O_RDWR)
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))

# The node ends with this process.
ends = lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)
node = subprocess.Popen(
    [native, "--udp", "127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=ends
)
port = None
while port is None:
    line = node.stdout.readline()
    if line.startswith(b"{") and json.loads(line).get("event") == "ready":
        port = int(json.loads(line)["udp"].split(":")[1])


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, destination, from_port, to_port, payload):
    """An IPv4 packet (RFC 791, RFC 768; a checksum of 0 is none)."""
    body = struct.pack(">HHHH", from_port, to_port, 8 + len(payload), 0) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0) + source + destination
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def send(to, kind, payload):
    os.write(tap, (to + MAC + struct.pack(">H", kind) + payload).ljust(60, b"\0"))


print(f"children {os.getpid()} {node.pid}", flush=True)
address = server = None
here = bytes(4)


def dhcp(kind, more=b""):
    message = struct.pack(">BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + MAC.ljust(208, b"\0")
    message += b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + more + b"\xff"
    send(ALL, 0x0800, udp(here, b"\xff" * 4, 68, 67, message))


peers = {}
plugged = True
dhcp(1)
while True:
    sockets = {s: who for who, (s, _) in peers.items()}
    ready, _, _ = select.select([tap, sys.stdin, node.stdout, *sockets], [], [], 2)
    if not ready and address is None:
        dhcp(1)
    for one in ready:
        if one is sys.stdin:
            line = sys.stdin.readline()
            if not line:
                sys.exit(0)
            plugged = line.strip() == "in"
        elif one is node.stdout:
            if not node.stdout.readline():
                sys.exit(1)
        elif one in sockets:
            payload = one.recv(2048)
            host, from_port = sockets[one]
            if plugged:
                send(peers[sockets[one]][1], 0x0800, udp(address, host, 5683, from_port, payload))
        else:
            frame = os.read(tap, 2048)
            kind, packet = struct.unpack(">H", frame[12:14])[0], frame[14:]
            if not plugged:
                continue
            if kind == 0x0806 and packet[6:8] == b"\0\1" and packet[24:28] == address:
                reply = packet[:6] + b"\0\2" + MAC + address + packet[8:18]
                send(packet[8:14], 0x0806, reply)
            elif kind == 0x0800 and packet[9] == 17:
                head = (packet[0] & 15) * 4
                source, from_port = packet[12:16], struct.unpack(">H", packet[head : head + 2])[0]
                to_port, length = struct.unpack(">HH", packet[head + 2 : head + 6])
                payload = packet[head + 8 : head + length]
                if to_port == 68:
                    offered, what = payload[16:20], payload[242]
                    if what == 2:
                        server = packet[12:16]
                        dhcp(3, b"\x32\x04" + offered + b"\x36\x04" + server)
                    elif what == 5:
                        address = offered
                        print(f"dhcp {socket.inet_ntoa(address)} by {socket.inet_ntoa(server)}", flush=True)
                elif to_port == 5683 and address is not None and packet[16:20] == address:
                    who = (source, from_port)
                    if who not in peers:
                        peers[who] = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM), frame[6:12])
                        peers[who][0].connect(("127.0.0.1", port))
                    peers[who][0].send(payload)
