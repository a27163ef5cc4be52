# A serial line at whose other end there is nobody who speaks Wasmote: a pseudo-terminal whose name is printed.
#
#   python3 line.py WHAT: `dead` reads nothing, so that what is written fills the line; `mute` reads and says nothing; `echo` is a loop
#   of wire; `login` is a console that asks for a name; `cut` hangs up at the first byte. Ends with its input.
import os
import select
import sys
import tty

what = sys.argv[1]
master, slave = os.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
while True:
    ready, _, _ = select.select([sys.stdin] + ([] if what == "dead" else [master]), [], [])
    if sys.stdin in ready:
        break
    try:
        data = os.read(master, 4096)
        if what == "echo":
            os.write(master, data)
        elif what == "login":
            os.write(master, b"\r\nDebian GNU/Linux 12\r\n\r\nlogin: ")
        elif what == "cut":
            # The slave stays open, so that no other terminal gets its number: whoever tries this line again would write to that one.
            os.close(master)
            sys.stdin.read()
            break
    except OSError:
        continue
