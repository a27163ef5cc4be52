"""Leaves out single instructions of a node, one in each run, and sees whether that gets anybody what he should not have.

    skip.py IMAGE FUNCTIONS EVERY < trials

IMAGE is test/machine/src/skip.rs for the Cortex-M4. FUNCTIONS is a regular expression for the mangled names of the functions in
which instructions are left out. EVERY is 1 for all of them, 10 for each tenth. A trial is a line of JSON: what, key, package (in
hexadecimal). For each an answer of a line: {"points", "refused", "got", "crashed", "hung", "missed", "where"}; missed are those where
the emulator did not stop.

Unicorn runs to `skip_begin` with nothing left out. From there each instruction of the chosen functions that is executed is found by
its address, up to `skip_judge`; the first and the last time that it is executed are tried. A copy of the process, and of
the machine with it, goes on to `skip_end` with a no-op for the instruction, this once.
"""

import json
import os
import re
import struct
import sys
import time

from unicorn import Uc, UcError, UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_MCLASS, UC_MODE_THUMB
from unicorn.arm_const import (
    UC_ARM_REG_C1_C0_2,
    UC_ARM_REG_FPEXC,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M4,
)

FLASH, FLASH_SIZE = 0, 4 << 20
RAM, RAM_SIZE = 0x2000_0000, 4 << 20
SYSTEM, SYSTEM_SIZE = 0xE000_0000, 1 << 20
# A run that takes so many times as long as the undisturbed one, in seconds, goes on for ever; a real node has a watchdog.
PATIENCE = 20
# NOP, and NOP.W.
NOPS = {2: b"\x00\xbf", 4: b"\xaf\xf3\x00\x80"}


def elf(path):
    """Segments that are loaded, and symbols: name to (address, size)."""
    with open(path, "rb") as file:
        data = file.read()
    program, sections = struct.unpack_from("<II", data, 28)
    size, count, section_size, section_count = struct.unpack_from("<HHHH", data, 42)
    segments = []
    for at in range(program, program + size * count, size):
        kind, offset, _, physical, length = struct.unpack_from("<IIIII", data, at)
        if kind == 1 and length:
            segments.append((physical, data[offset : offset + length]))
    headers = [
        struct.unpack_from("<IIIIIIIIII", data, sections + section_size * n)
        for n in range(section_count)
    ]
    symbols = {}
    for header in headers:
        if header[1] != 2:
            continue
        offset, length, names = header[4], header[5], headers[header[6]][4]
        for at in range(offset, offset + length, 16):
            name, value, extent, info = struct.unpack_from("<IIIB", data, at)
            end = data.index(b"\0", names + name)
            # Functions have a size here, and what else there is none.
            is_function = info & 15 == 2
            symbols[data[names + name : end].decode()] = (value & ~1, extent if is_function else 0)
    return segments, symbols


class Machine:
    def __init__(self, image, trial, functions):
        segments, self.symbols = elf(image)
        self.longest = 600.0
        self.uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
        for start, size in ((FLASH, FLASH_SIZE), (RAM, RAM_SIZE), (SYSTEM, SYSTEM_SIZE)):
            self.uc.mem_map(start, size)
        for start, content in segments:
            self.uc.mem_write(start, content)
        package = bytes.fromhex(trial["package"])
        content = struct.pack("<I", trial["what"]) + bytes.fromhex(trial["key"])
        content += struct.pack("<I", len(package)) + package
        self.uc.mem_write(self.symbols["SKIP_TRIAL"][0], content)
        # The floating-point unit is on, as the image's start has it.
        self.uc.reg_write(UC_ARM_REG_C1_C0_2, 0xF << 20)
        self.uc.reg_write(UC_ARM_REG_FPEXC, 0x4000_0000)
        stack, reset = struct.unpack("<II", self.uc.mem_read(0, 8))
        self.uc.reg_write(UC_ARM_REG_SP, stack)
        self.begin = self.symbols["skip_begin"][0]
        self.judge = self.symbols["skip_judge"][0]
        self.end = self.symbols["skip_end"][0]
        self.watch = Watch(self, functions)
        self.uc.emu_start(reset | 1, self.begin)
        if self.pc() != self.begin:
            raise SystemExit("the image does not come to skip_begin")

    def pc(self):
        return self.uc.reg_read(UC_ARM_REG_PC) & ~1

    def width(self, address):
        (half,) = struct.unpack("<H", self.uc.mem_read(address, 2))
        return 4 if half >> 11 in (0b11101, 0b11110, 0b11111) else 2

    def block(self, address):
        """How many instructions an IT instruction makes conditional; 0 where there is another."""
        (half,) = struct.unpack("<H", self.uc.mem_read(address, 2))
        mask = half & 15
        return 0 if half >> 8 != 0xBF or mask == 0 else 4 - ((mask & -mask).bit_length() - 1)

    def leave_out(self, stop, address):
        """Runs on from `stop` with a no-op at `address`, this once: in an IT block its condition counts for the no-op."""
        width = self.width(address)
        there = bytes(self.uc.mem_read(address, width))
        count = 1 + self.block(stop)
        self.patch(address, NOPS[width])
        try:
            self.uc.emu_start(stop | 1, self.end, count=count)
        except UcError:
            return "crashed"
        finally:
            self.patch(address, there)
        return self.finish(self.pc())

    def patch(self, address, content):
        self.uc.mem_write(address, content)
        self.uc.ctl_remove_cache(address, address + len(content))

    def finish(self, start):
        """Runs to the end: what was got, or how it ended else."""
        try:
            self.uc.emu_start(start | 1, self.end, timeout=int(self.longest * 1e6))
        except UcError:
            return "crashed"
        if self.pc() != self.end:
            return "hung"
        return "got" if self.uc.reg_read(UC_ARM_REG_R0) else "refused"


class Watch:
    """Sees each instruction of the chosen functions before it is executed. It stays for good: what is translated without it does not know it."""

    def __init__(self, machine, functions):
        self.use = lambda address: None
        # One function may have two names.
        ranges = {
            (start, start + size)
            for name, (start, size) in machine.symbols.items()
            if size and start < RAM and functions.search(name)
        }
        for low, high in ranges:
            machine.uc.hook_add(
                UC_HOOK_CODE, lambda _, address, __, ___: self.use(address), begin=low, end=high - 1
            )

    def points(self, machine):
        """How it goes with nothing left out, and what is executed from here to the end, in that order: (where to stop, which time,
        address, which time). An IT block is not stopped in: what is translated from its middle would not know the condition."""
        counts, order = {}, []
        block, left = 0, 0

        def seen(address):
            nonlocal block, left
            counts[address] = counts.get(address, 0) + 1
            if left == 0:
                block, left = address, machine.block(address)
            else:
                left -= 1
            order.append((block, counts[block], address, counts[address]))

        self.use = seen
        began = time.monotonic()
        machine.uc.emu_start(machine.begin | 1, machine.judge)
        self.use = lambda address: None
        result = machine.finish(machine.judge)
        longest = 0.1 + PATIENCE * (time.monotonic() - began)
        return result, longest, [one for one in order if one[3] == 1 or one[3] == counts[one[2]]]


def elsewhere(work):
    """What a copy of this process makes of it; here the machine stays as it is."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    # What ends the emulator ends no run of a node.
    return json.loads(text) if text else "crashed"


class Walk:
    """A machine that goes from one point to the next."""

    def __init__(self, machine):
        self.machine, self.counts, self.at = machine, {}, machine.begin

    def reaches(self, stop, which):
        """Runs on to an instruction that is executed for this time; whether it came there."""
        arrived = False

        def arrive(here):
            nonlocal arrived
            if arrived:
                return
            self.counts[here] = self.counts.get(here, 0) + 1
            if (here, self.counts[here]) == (stop, which):
                arrived = True
                self.machine.uc.emu_stop()

        self.machine.watch.use = arrive
        self.machine.uc.emu_start(self.at | 1, self.machine.end)
        self.machine.watch.use = lambda address: None
        self.at = self.machine.pc()
        # It is counted again when the run goes on from here.
        self.counts[self.at] = self.counts.get(self.at, 0) - 1
        return self.at == stop


def attempt(make, every):
    walk = Walk(make())
    watch = walk.machine.watch
    undisturbed, longest, all_points = elsewhere(lambda: watch.points(walk.machine))
    walk.machine.longest = longest
    chosen = all_points[::every]
    outcome = {"points": len(chosen), "undisturbed": undisturbed, "where": []}
    outcome.update(dict.fromkeys(("refused", "got", "crashed", "hung", "missed"), 0))
    for stop, which, address, again in chosen:
        if not walk.reaches(stop, which):
            # Now and then Unicorn stops an instruction late, and goes on elsewhere: from the beginning, then.
            walk = Walk(make())
            walk.machine.longest = longest
            if not walk.reaches(stop, which):
                outcome["missed"] += 1
                walk = Walk(make())
                walk.machine.longest = longest
                continue
        result = elsewhere(lambda: walk.machine.leave_out(stop, address))
        outcome[result] += 1
        if result == "got":
            symbols = walk.machine.symbols.items()
            name = next(n for n, (low, size) in symbols if size and low <= address < low + size)
            outcome["where"].append(f"{address:#x} in {name}, time {again}")
    return outcome


def main():
    image, functions, every = sys.argv[1], re.compile(sys.argv[2]), int(sys.argv[3])
    for line in sys.stdin:
        trial = json.loads(line)
        print(json.dumps(attempt(lambda: Machine(image, trial, functions), every)), flush=True)


main()
