# The three filters as a node's module would have them, each fed a sample at a time, and `run` that feeds them.
import math

window = [0] * 8
at = 0
count = 0
total = 0


def average(value):
    global at, count, total
    total += value - window[at]
    window[at] = value
    at = (at + 1) & 7
    if count < 8:
        count += 1
    return total / count


above = False
run_length = 0


def flood(value):
    global above, run_length
    beyond = value < 250 if above else value > 300
    run_length = run_length + 1 if beyond else 0
    if run_length == 3:
        above = not above
        run_length = 0
        return 1 if above else 0
    return -1


squares = 0
samples = 0


def vibration(value):
    global squares, samples
    squares += value * value
    samples += 1
    if samples < 64:
        return -1
    mean = squares / 64
    squares = 0
    samples = 0
    return math.sqrt(mean)


filters = [average, flood, vibration]


def run(which, n):
    f = filters[which]
    x = 1
    h = 7
    for _ in range(n):
        x = (x * 1103 + 12345) & 0xFFFF
        out = f(x % 1001 - 500)
        h = (h * 31 + math.floor(out * 8) + 4000) % 65521
    return h
