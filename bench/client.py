"""A keep-alive client for one request after the other, where latency or a count matters and not the load."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

TIMEOUT_S = 30


class Client:
    """One connection to a server on the loopback."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request, read the whole reply; answer status and body."""
        self._connection.sendall(request)
        status = int(self._reader.readline().split(b" ", 2)[1])
        length = 0
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, self._reader.read(length)


@contextmanager
def open_client(port: int) -> Iterator[Client]:
    """Connect, and close at the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Client(connection)
