# Runs a program in a pseudo-terminal of its own, as the leader of a session with job control, and carries bytes both ways.
#
#   python3 in-terminal.py COLUMNS PROGRAM [WORDS...]
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

columns, words = int(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(words[0], words)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
# Whoever started this has gone: so does what runs in the terminal.
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGHUP))
sources = [terminal, 0]
while True:
    ready, _, _ = select.select(sources, [], [])
    if terminal in ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if data:
            os.write(terminal, data)
        else:
            # The terminal is closed: the shell and its jobs are told by SIGHUP.
            sources.remove(0)
            os.kill(child, signal.SIGHUP)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
