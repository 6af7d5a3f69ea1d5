"""MariaDB that goes away, comes back, is full, is locked or is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from engine.errors import StatementTimedOut, Unavailable
from engine.io.database import Database, Transaction, check_capacity
from engine.settings import SettingsError
from tests.support.databases import make_settings, opened
from tests.support.proxy import Proxy, open_proxy
from tests.support.services import run_on_mariadb

pytestmark = pytest.mark.mariadb

TABLE = "CREATE TABLE thing (id INT PRIMARY KEY, value INT NOT NULL)"


@pytest.fixture
async def proxy(mariadb_url: str) -> AsyncIterator[Proxy]:
    parts = urlsplit(mariadb_url)
    async with open_proxy(parts.hostname or "127.0.0.1", parts.port or 3306) as proxy:
        yield proxy


@pytest.fixture
def proxied_url(mariadb_url: str, proxy: Proxy) -> str:
    parts = urlsplit(mariadb_url)
    user = parts.netloc.rpartition("@")[0]
    return f"{parts.scheme}://{user}@127.0.0.1:{proxy.port}{parts.path}"


async def thread_ids(database: Database, number: int) -> list[int]:
    """Connection numbers of so many connections, all in use at once."""
    rows = await asyncio.gather(*(database.fetch("SELECT CONNECTION_ID(), SLEEP(0.05)") for _ in range(number)))
    return [row[0][0] for row in rows]


async def until_running(url: str, text: str, *, runs: bool = True) -> None:
    """Ask the server until a statement that begins with `text` runs, or does no longer."""
    sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND ID != CONNECTION_ID()"
    async with opened(url, database_pool_size=1) as monitor, asyncio.timeout(5):
        while bool((await monitor.fetch(sql, (f"{text}%",)))[0][0]) != runs:
            pass


async def test_a_read_survives_a_restart_unseen(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        ids = await thread_ids(database, 4)
        assert len(set(ids)) == 4
        await asyncio.to_thread(run_on_mariadb, *(f"KILL {number}" for number in ids))
        answers = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(4)))
        assert [list(rows) for rows in answers] == [[(1,)]] * 4


async def test_a_write_on_a_connection_known_to_be_closed_runs_on_another(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        await database.execute(TABLE)
        (number,) = await thread_ids(database, 1)
        await asyncio.to_thread(run_on_mariadb, f"KILL {number}")
        await asyncio.sleep(0)
        assert await database.execute("INSERT INTO thing VALUES (1, 1)") == 1
        assert list(await database.fetch("SELECT COUNT(*) FROM thing")) == [(1,)]


async def test_a_write_that_may_have_run_is_never_repeated(proxied_url: str, proxy: Proxy) -> None:
    async with opened(proxied_url, database_pool_size=1) as database:
        await database.execute(TABLE)
        heard = asyncio.create_task(database.execute("INSERT INTO thing SELECT 1, SLEEP(0.3)"))
        await until_running(proxied_url, "INSERT INTO thing")
        proxy.cut()
        with pytest.raises(Unavailable):
            await heard


async def test_a_read_that_is_cut_is_repeated(proxied_url: str, proxy: Proxy) -> None:
    async with opened(proxied_url, database_pool_size=2) as database:
        await database.fetch("SELECT 1")
        reading = asyncio.create_task(database.fetch("SELECT SLEEP(0.2), 'cut'"))
        await until_running(proxied_url, "SELECT SLEEP(0.2), 'cut'")
        proxy.cut()
        assert list(await reading) == [(0, "cut")]


async def test_a_server_that_is_down_is_503_in_time_and_is_found_again(proxied_url: str, proxy: Proxy) -> None:
    async with opened(proxied_url) as database:
        await database.fetch("SELECT 1")
        await proxy.refuse()
        proxy.cut()
        began = time.monotonic()
        answers = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(30)), return_exceptions=True)
        assert time.monotonic() - began < 3
        assert {type(answer) for answer in answers} == {Unavailable}
        await proxy.listen()
        assert list(await database.fetch("SELECT 1")) == [(1,)]


async def test_a_server_that_does_not_answer_is_503_in_time_and_is_found_again(proxied_url: str, proxy: Proxy) -> None:
    async with opened(proxied_url, database_pool_size=2) as database:
        await thread_ids(database, 2)
        proxy.freeze()
        began = time.monotonic()
        answers = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(6)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert time.monotonic() - began < 3
        proxy.thaw()
        assert list(await database.fetch("SELECT 1")) == [(1,)]


async def test_a_server_that_was_never_there_is_503(mariadb_url: str) -> None:
    parts = urlsplit(mariadb_url)
    async with opened(f"mysql+asyncmy://root@127.0.0.1:1{parts.path}") as database:
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")


@pytest.mark.parametrize("part", ["user", "database"])
async def test_a_server_that_refuses_us_is_503(mariadb_url: str, part: str) -> None:
    parts = urlsplit(mariadb_url)
    wrong = {
        "user": f"mysql+asyncmy://nobody:wrong@{parts.hostname}:{parts.port or 3306}{parts.path}",
        "database": f"{mariadb_url}_nowhere",
    }
    async with opened(wrong[part]) as database:
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")


async def test_a_full_pool_is_503_after_the_wait_and_serves_again(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_pool_size=1, database_pool_wait_s=0.1) as database:
        busy = asyncio.create_task(database.fetch("SELECT SLEEP(0.4)"))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")
        await busy
        assert list(await database.fetch("SELECT 1")) == [(1,)]


async def test_the_pool_never_exceeds_its_size(proxied_url: str, proxy: Proxy) -> None:
    async with opened(proxied_url, database_pool_size=3) as database:
        await asyncio.gather(*(database.fetch("SELECT SLEEP(0.01)") for _ in range(60)))
        assert proxy.connections <= 3


async def test_a_statement_beyond_its_time_is_stopped(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_statement_time_s=0.1) as database:
        for _ in range(3):
            with pytest.raises(StatementTimedOut):
                await database.fetch("SELECT SUM(SQRT(seq)) FROM seq_1_to_1000000000")
        assert list(await database.fetch("SELECT 1")) == [(1,)]


async def test_a_cancelled_query_is_killed_and_its_connection_is_not_used_again(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_pool_size=1) as database:
        (before,) = await thread_ids(database, 1)
        task = asyncio.create_task(database.fetch("SELECT SLEEP(60), 'cancelled'"))
        await until_running(mariadb_url, "SELECT SLEEP(60), 'cancelled'")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (after,) = await thread_ids(database, 1)
        assert after != before
        await until_running(mariadb_url, "SELECT SLEEP(60), 'cancelled'", runs=False)


async def test_hundred_cancelled_waits_leak_no_connection(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_pool_size=2) as database:
        tasks = [asyncio.create_task(database.fetch("SELECT SLEEP(0.02)")) for _ in range(100)]
        await asyncio.sleep(0.03)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(20)))
        assert len(answers) == 20


async def test_a_deadlock_is_run_again(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        await database.execute(TABLE)
        await database.execute("INSERT INTO thing VALUES (1, 0), (2, 0)")
        both = asyncio.Barrier(2)
        attempts: list[int] = []

        async def work(transaction: Transaction, first: int, second: int) -> None:
            attempts.append(first)
            await transaction.execute("UPDATE thing SET value = value + 1 WHERE id = %s", (first,))
            if len(attempts) <= 2:
                await both.wait()
            await transaction.execute("UPDATE thing SET value = value + 1 WHERE id = %s", (second,))

        await asyncio.gather(
            database.run(lambda transaction: work(transaction, 1, 2)),
            database.run(lambda transaction: work(transaction, 2, 1)),
        )
        assert len(attempts) > 2
        assert list(await database.fetch("SELECT value FROM thing ORDER BY id")) == [(2,), (2,)]


async def test_a_deadlock_that_the_work_swallows_commits_nothing_half(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        await database.execute(TABLE)
        await database.execute("INSERT INTO thing VALUES (1, 0), (2, 0)")
        both = asyncio.Barrier(2)
        attempts: list[int] = []

        async def work(transaction: Transaction, first: int, second: int) -> None:
            attempts.append(first)
            await transaction.execute("UPDATE thing SET value = value + 1 WHERE id = %s", (first,))
            if len(attempts) <= 2:
                await both.wait()
            with suppress(Exception):
                await transaction.execute("UPDATE thing SET value = value + 1 WHERE id = %s", (second,))

        await asyncio.gather(
            database.run(lambda transaction: work(transaction, 1, 2)),
            database.run(lambda transaction: work(transaction, 2, 1)),
        )
        assert list(await database.fetch("SELECT value FROM thing ORDER BY id")) == [(2,), (2,)]


async def test_a_transaction_whose_connection_breaks_before_the_commit_runs_again(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        await database.execute(TABLE)
        attempts: list[int] = []

        async def work(transaction: Transaction) -> None:
            rows = await transaction.fetch("SELECT CONNECTION_ID()")
            attempts.append(rows[0][0])
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")
            if len(attempts) == 1:
                await asyncio.to_thread(run_on_mariadb, f"KILL {rows[0][0]}")
            await transaction.execute("INSERT INTO thing VALUES (2, 2)")

        await database.run(work)
        assert len(set(attempts)) == 2
        assert list(await database.fetch("SELECT id FROM thing ORDER BY id")) == [(1,), (2,)]


async def test_a_lock_that_is_not_to_be_had_is_503(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_lock_wait_s=0) as database:
        await database.execute(TABLE)
        await database.execute("INSERT INTO thing VALUES (1, 0)")

        async def holds(transaction: Transaction) -> None:
            await transaction.execute("UPDATE thing SET value = 1 WHERE id = 1")
            with pytest.raises(Unavailable):
                await database.execute("UPDATE thing SET value = 2 WHERE id = 1")

        await database.run(holds)
        assert list(await database.fetch("SELECT value FROM thing")) == [(1,)]


async def test_the_session_is_ours_on_every_connection(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_pool_size=3, database_statement_time_s=7) as database:
        await thread_ids(database, 3)
        rows = await asyncio.gather(
            *(
                database.fetch("SELECT @@time_zone, @@tx_isolation, @@sql_mode, @@max_statement_time, SLEEP(0.02)")
                for _ in range(3)
            )
        )
        mode = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
        assert {row[0] for row in rows} == {("+00:00", "READ-COMMITTED", mode, 7.0, 0)}


async def test_a_warm_statement_is_one_question_to_the_server(mariadb_url: str) -> None:
    async with opened(mariadb_url, database_pool_size=1) as database:
        status = "SHOW SESSION STATUS WHERE Variable_name IN ('Questions', 'Com_stmt_prepare', 'Bytes_sent')"
        # A statement that warns must not ask for its warnings.
        sql = "SELECT CAST(%s AS UNSIGNED)"
        for _ in range(4):
            await database.fetch(sql, ("5x",))
            await database.fetch(status)
        before: dict[str, str] = dict(await database.fetch(status))
        for _ in range(10):
            await database.fetch(sql, ("5x",))
        after: dict[str, str] = dict(await database.fetch(status))
        assert int(after["Questions"]) - int(before["Questions"]) == 11
        assert after["Com_stmt_prepare"] == before["Com_stmt_prepare"]


async def test_more_connections_than_the_server_has_stop_the_start(mariadb_url: str) -> None:
    settings = make_settings(mariadb_url, workers=60, database_pool_size=100)
    async with opened(mariadb_url) as database:
        with pytest.raises(SettingsError, match="AETHER_DATABASE_POOL_SIZE"):
            await check_capacity(database, settings)
        await check_capacity(database, make_settings(mariadb_url))


async def test_closing_waits_for_what_runs(mariadb_url: str) -> None:
    async with opened(mariadb_url) as database:
        running = asyncio.create_task(database.fetch("SELECT SLEEP(0.1), 'done'"))
        await database.fetch("SELECT 1")
        await database.close()
        assert list(await running) == [(0, "done")]
        with pytest.raises(Unavailable):
            await database.fetch("SELECT 1")
