"""A way into a network namespace: `python port_relay.py SOCKET PORT COMMAND...`, run inside.

Becomes the command. A child of it listens at a Unix socket, which is reached from outside, and
hands every connection on to the port on the loopback inside. Needs the standard library alone.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress

_PIECE = 65_536  # bytes


def relay(listener: socket.socket, port: int) -> None:
    """Hand connections on, for ever."""
    while True:
        outside, _ = listener.accept()
        threading.Thread(target=_connect, args=(outside, port), daemon=True).start()


def _connect(outside: socket.socket, port: int) -> None:
    with outside:
        try:
            inside = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return  # nobody listens yet: the one outside sees the connection end
        with inside:
            back = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
            back.start()
            _copy(outside, inside)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main(arguments: list[str]) -> None:
    path, port, *command = arguments
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    if os.fork():
        listener.close()
        os.execvp(command[0], command)  # noqa: S606 - there is no shell in it
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # the log ends with the command
        os.dup2(nothing, number)
    relay(listener, int(port))


if __name__ == "__main__":
    main(sys.argv[1:])
