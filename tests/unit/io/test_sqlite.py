"""SQLite: short reads in the event loop, long ones in threads, writes one after another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest

from engine.errors import ForeignKeyViolated, StatementTimedOut, StorageFault, Unavailable
from engine.io.database import Database, Transaction
from engine.settings import SettingsError
from tests.support.databases import opened

ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
LONG = f"SELECT count(*) FROM ({ROWS} SELECT i FROM n)"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    async with opened(sqlite_url) as database:
        await database.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        await database.execute("INSERT INTO thing VALUES (1, 'one')")
        yield database


async def test_the_pragmas_are_ours(database: Database) -> None:
    for pragma, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1)):
        assert list(await database.fetch(f"SELECT {pragma} FROM pragma_{pragma}")) == [(value,)]
    assert list(await database.fetch("SELECT 'A' LIKE 'a', 'a' LIKE 'a'")) == [(0, 1)]


async def test_our_functions_are_known_to_every_connection(database: Database) -> None:
    assert list(await database.fetch("SELECT aether_fold('ÄB')", point=True)) == [("äb",)]
    assert list(await database.fetch("INSERT INTO thing VALUES (2, aether_fold('ÄB')) RETURNING name")) == [("äb",)]


async def test_a_long_read_does_not_hold_up_the_loop(database: Database) -> None:
    reading = asyncio.create_task(database.fetch(LONG.format(2_000_000)))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert list(reading.result()) == [(2_000_000,)]
    assert turns > 100


async def test_a_point_read_that_turns_out_long_is_answered_too(database: Database) -> None:
    assert list(await database.fetch(LONG.format(300_000), point=True)) == [(300_000,)]


async def test_a_read_beyond_its_time_is_stopped(sqlite_url: str) -> None:
    async with opened(sqlite_url, database_statement_time_s=0.1) as database:
        with pytest.raises(StatementTimedOut):
            await database.fetch(LONG.format(10**9))
        assert list(await database.fetch("SELECT 1")) == [(1,)]


async def test_a_cancelled_read_is_interrupted(database: Database) -> None:
    tasks = [asyncio.create_task(database.fetch(LONG.format(10**9))) for _ in range(8)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks, return_exceptions=True)
        assert list(await database.fetch(LONG.format(100_000))) == [(100_000,)]


async def test_more_long_reads_than_readers_wait_for_a_while(sqlite_url: str) -> None:
    async with opened(sqlite_url, database_pool_wait_s=0.05, database_statement_time_s=0.5) as database:
        answers = await asyncio.gather(*(database.fetch(LONG.format(10**9)) for _ in range(6)), return_exceptions=True)
        kinds = [type(answer) for answer in answers]
        assert (kinds.count(StatementTimedOut), kinds.count(Unavailable)) == (4, 2)


async def test_reads_see_what_was_committed_and_nothing_else(database: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("INSERT INTO thing VALUES (2, 'two')")
        assert len(await transaction.fetch("SELECT id FROM thing", point=True)) == 2
        assert len(await database.fetch("SELECT id FROM thing", point=True)) == 1
        assert len(await database.fetch("SELECT id FROM thing")) == 1

    await database.run(work)
    assert len(await database.fetch("SELECT id FROM thing", point=True)) == 2


async def test_another_process_that_writes_is_waited_for_then_503(sqlite_url: str) -> None:
    async with opened(sqlite_url, database_lock_wait_s=0) as database:
        await database.execute("CREATE TABLE thing (id INTEGER)")
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable):
                await database.execute("INSERT INTO thing VALUES (1)")

            async def work(transaction: Transaction) -> None:
                await transaction.execute("INSERT INTO thing VALUES (1)")

            with pytest.raises(Unavailable):
                await database.run(work)
            assert list(await database.fetch("SELECT id FROM thing", point=True)) == []
            other.execute("COMMIT")
            await database.run(work)
        finally:
            other.close()
        assert list(await database.fetch("SELECT id FROM thing")) == [(1,)]


async def test_a_transaction_that_waits_too_long_for_its_turn_is_503(sqlite_url: str) -> None:
    async with opened(sqlite_url, database_pool_wait_s=0.05) as database:
        await database.execute("CREATE TABLE thing (id INTEGER)")

        async def work(transaction: Transaction) -> None:
            await transaction.execute("INSERT INTO thing VALUES (1)")
            with pytest.raises(Unavailable):
                await database.execute("INSERT INTO thing VALUES (2)")

        await database.run(work)
        assert list(await database.fetch("SELECT id FROM thing")) == [(1,)]


async def test_a_commit_that_a_deferred_key_refuses_leaves_nothing(database: Database) -> None:
    await database.execute(
        "CREATE TABLE child (id INTEGER PRIMARY KEY,"
        " thing_id INTEGER REFERENCES thing (id) DEFERRABLE INITIALLY DEFERRED)"
    )

    async def work(transaction: Transaction) -> None:
        await transaction.execute("INSERT INTO child VALUES (1, 99)")

    with pytest.raises(ForeignKeyViolated):
        await database.run(work)
    assert list(await database.fetch("SELECT id FROM child")) == []
    await database.execute("INSERT INTO child VALUES (1, 1)")


async def test_text_that_is_no_unicode_does_not_break_the_connection(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(StorageFault):
            await database.fetch("SELECT CAST(x'ff' AS TEXT)", point=True)
    assert list(await database.fetch("SELECT name FROM thing", point=True)) == [("one",)]


def test_a_place_that_cannot_be_written_stops_the_start() -> None:
    async def open_it() -> None:
        async with opened("sqlite:////proc/nowhere/x.db"):
            pass

    with pytest.raises(SettingsError, match="AETHER_DATABASE_URL"):
        asyncio.run(open_it())


async def test_closing_ends_all_threads(sqlite_url: str) -> None:
    others = set(threading.enumerate())

    def own_threads() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("sqlite") and one not in others]

    async with opened(sqlite_url) as database:
        await database.execute("CREATE TABLE thing (id INTEGER)")
        await database.fetch(LONG.format(300_000))
        assert own_threads()
    assert not own_threads()
