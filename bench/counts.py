"""Round trips to the database per request, counted by the database itself.

The counter is the server's `Questions`: statements that clients sent. It counts
everybody's, so the least of several batches is taken; on a busy server the
figure is an upper bound.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import asyncmy

from bench.data import DATABASE_URL, connect, fetch

REQUESTS_PER_BATCH = 50
BATCHES = 5


def count_statements(port: int, requests: Sequence[bytes], database_url: str = DATABASE_URL) -> float:
    """Statements per request, with everything warm.

    Args:
        port: Of the server.
        requests: Whole requests; `REQUESTS_PER_BATCH` of them make a batch.
        database_url: A user who may read the status.
    """
    return asyncio.run(_count(port, requests[:REQUESTS_PER_BATCH], database_url))


async def _count(port: int, requests: Sequence[bytes], database_url: str) -> float:
    connection = await connect(database_url)
    with socket.create_connection(("127.0.0.1", port)) as client:
        async with connection.cursor() as cursor:
            _ask_in_turn(client, requests)
            batches = []
            for _ in range(BATCHES):
                before = await _read_questions(cursor)
                _ask_in_turn(client, requests)
                batches.append(await _read_questions(cursor) - before - 1)  # the second reading counts itself
    await connection.ensure_closed()
    return min(batches) / len(requests)


async def _read_questions(cursor: asyncmy.cursors.Cursor) -> int:
    return int(str((await fetch(cursor, "SHOW GLOBAL STATUS LIKE 'Questions'"))[0][1]))


def _ask_in_turn(client: socket.socket, requests: Sequence[bytes]) -> None:
    reader = client.makefile("rb")
    for request in requests:
        client.sendall(request)
        length = 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        reader.read(length)
