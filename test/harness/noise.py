"""A serial line that is not clean: a pseudo-terminal in front of another, which flips, loses and adds bytes, from a seed.

noise.py PATH SEED EVERY: prints the path of its own end, then passes bytes on, of which about one in EVERY is damaged; ends with its input.
"""

import os
import random
import select
import sys
import tty

path, seed, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
node = os.open(path, os.O_RDWR | os.O_NOCTTY)
tty.setraw(node)
master, slave = os.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
damaged = 0
others = {node: master, master: node}
while True:
    ready, _, _ = select.select([node, master, sys.stdin], [], [])
    if sys.stdin in ready:
        # The test ends: it is told what was done.
        print(damaged, flush=True)
        sys.exit(0)
    for line in ready:
        out = bytearray()
        for byte in os.read(line, 1024):
            fate = draw.randrange(every * 3)
            damaged += fate < 3
            if fate == 0:
                out.append(byte ^ 1 << draw.randrange(8))
            elif fate == 1:
                out += bytes([byte, draw.randrange(256)])
            elif fate > 2:
                out.append(byte)
        os.write(others[line], bytes(out))
