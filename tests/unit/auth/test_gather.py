"""Look-ups that come together are one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from engine.auth.gather import MAX_WIDTH, Gather
from engine.io.storage import Rows


class Table:
    """Answers with the keys themselves, and counts how often it was asked."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.fault = fault

    async def fetch(self, keys: Sequence[str]) -> Rows:
        self.asked.append(list(keys))
        if self.fault is not None:
            raise self.fault
        return [(key,) for key in keys]


async def test_what_is_asked_in_one_moment_is_asked_at_once_and_each_key_once() -> None:
    table = Table()
    gather = Gather(table.fetch)
    answers = await asyncio.gather(*(gather.rows_of((key, "shared")) for key in "abc"))
    assert table.asked == [["a", "shared", "b", "c"]]
    assert all(("shared",) in rows for rows in answers)
    assert await gather.rows_of(("d",)) == [("d",)]


async def test_more_than_fits_into_a_statement_is_asked_in_several() -> None:
    table = Table()
    gather = Gather(table.fetch)
    await asyncio.gather(*(gather.rows_of((f"k{number}",)) for number in range(MAX_WIDTH + 1)))
    assert [len(keys) for keys in table.asked] == [MAX_WIDTH, 1]
    await gather.rows_of([f"k{number}" for number in range(MAX_WIDTH + 5)])
    assert len(table.asked[-1]) == MAX_WIDTH + 5


async def test_a_fault_reaches_everybody_who_asked_and_nobody_after() -> None:
    table = Table(OSError("away"))
    gather = Gather(table.fetch)
    answers = await asyncio.gather(gather.rows_of(("a",)), gather.rows_of(("b",)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    table.fault = None
    assert await gather.rows_of(("a",)) == [("a",)]


async def test_who_has_gone_away_takes_nobody_with_him() -> None:
    table = Table()
    gather = Gather(table.fetch)
    gone = asyncio.create_task(gather.rows_of(("a",)))
    other = asyncio.create_task(gather.rows_of(("b",)))
    await asyncio.sleep(0)
    gone.cancel()
    assert ("b",) in await other
    with pytest.raises(asyncio.CancelledError):
        await gone
