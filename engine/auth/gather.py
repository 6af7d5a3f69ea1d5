"""Look-ups that come together are one statement: whoever asks in the same moment is answered by the same rows.

A caller alone pays one turn of the event loop. It matters where many are looked at again at once: the people behind
live connections, every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engine.io.storage import Rows

MAX_WIDTH = 64


class Gather:
    """Look-ups by one key.

    Args:
        fetch: The rows of some keys, at most `MAX_WIDTH`.
    """

    __slots__ = ("_fetch", "_tasks", "_waiting")

    def __init__(self, fetch: Callable[[Sequence[str]], Awaitable[Rows]]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Rows]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def rows_of(self, keys: Sequence[str]) -> Rows:
        """The rows of some keys, among others: whoever asks picks his own."""
        if len(keys) > MAX_WIDTH:
            return await self._fetch(keys)
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if len(self._waiting) == 1:
            task = asyncio.create_task(self._ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _ask(self) -> None:
        waiting, self._waiting = self._waiting, []
        while waiting:
            asked: dict[str, None] = {}
            answers: list[asyncio.Future[Rows]] = []
            while waiting and len(asked) + len(waiting[0][0]) <= MAX_WIDTH:
                keys, answer = waiting.pop(0)
                asked.update(dict.fromkeys(keys))
                answers.append(answer)
            try:
                rows = await self._fetch(list(asked))
            except Exception as fault:
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(fault)
            else:
                for answer in answers:
                    if not answer.done():
                        answer.set_result(rows)
