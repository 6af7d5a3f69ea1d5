"""Round trips to the database per request, counted by the database itself.

The counter is the server's `Questions`: statements that clients sent. It counts
everybody's, so the least of several batches is taken; on a busy server the
figure is an upper bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncmy

from bench.client import Client, open_client
from bench.data import DATABASE_URL, connect, fetch

REQUESTS_PER_BATCH = 10
BATCHES = 25


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
    batches = []
    with open_client(port) as client:
        async with connection.cursor() as cursor:
            _ask_all(client, requests)
            for _ in range(BATCHES):
                before = await _read_questions(cursor)
                _ask_all(client, requests)
                batches.append(await _read_questions(cursor) - before - 1)  # the second reading counts itself
    await connection.ensure_closed()
    return min(batches) / len(requests)


async def _read_questions(cursor: asyncmy.cursors.Cursor) -> int:
    return int(str((await fetch(cursor, "SHOW GLOBAL STATUS LIKE 'Questions'"))[0][1]))


def _ask_all(client: Client, requests: Sequence[bytes]) -> None:
    for request in requests:
        client.ask(request)
