"""SQLite: reads in the event loop while they are short, else in threads; writes one after another on one connection.

A hop to a thread costs more than most reads, so each read starts in the event loop under a deadline of a few
milliseconds. One that passes it is interrupted and run again in a thread, and its text is remembered as slow. Writes
wait for locks and for the disk: they always run in a thread. How connections are set up is in `sqlite_link.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from engine.errors import Unavailable
from engine.io.sqlite_link import ALREADY, NEVER, Answer, SqliteLink, translate
from engine.io.storage import (
    Binds,
    Contended,
    Dialect,
    Rows,
    StatementListener,
    Transaction,
    retry_contended,
)
from engine.observe import PoolExhausted, SlowStatement, TransactionRetried, observe

T = TypeVar("T")
READERS = 4
MAX_SLOW = 1_000
READS = ("SELECT", "WITH ", "EXPLAI", "VALUES")
GRACE_S = 2.0


def parse_path(url: str) -> Path:
    """The file of a checked database URL: ``sqlite:///relative`` or ``sqlite:////absolute``."""
    return Path(unquote(urlsplit(url).path).removeprefix("/"))


class SqliteDatabase:
    """An SQLite file; see `storage.Database` for what its methods promise."""

    dialect: Dialect = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        wait_s: float,
        statement_time_s: float,
        lock_wait_s: float,
        slow_s: float,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._wait_s = wait_s
        self._statement_time_s = statement_time_s
        self._slow_s = slow_s
        self._writer = SqliteLink(path, lock_wait_s=lock_wait_s)
        self._direct = SqliteLink(path, lock_wait_s=0)
        self._readers = [SqliteLink(path, lock_wait_s=lock_wait_s) for _ in range(READERS)]
        self._idle: asyncio.LifoQueue[SqliteLink] = asyncio.LifoQueue()
        for reader in self._readers:
            self._idle.put_nowait(reader)
        self._writing = asyncio.Lock()
        self._threads = ThreadPoolExecutor(READERS + 1, thread_name_prefix="sqlite")
        self._slow: set[str] = set()
        self.on_statement: StatementListener | None = None

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run one statement in autocommit and return its rows; `point` reads are never taken for slow."""
        if not is_read(sql):
            return (await self._write(sql, binds)).rows
        if point or sql not in self._slow:
            began = time.perf_counter()
            answer = self._direct.try_now(sql, binds)
            if answer is not None:
                self.note(sql, time.perf_counter() - began, len(answer.rows))
                return answer.rows
            if not point and len(self._slow) < MAX_SLOW:
                self._slow.add(sql)
        return await retry_contended(lambda _: self._read(sql, binds))

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run one statement in autocommit and return how many rows it matched."""
        return (await self._write(sql, binds)).matched

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction and commit it. Transactions run one after another."""
        return await retry_contended(lambda attempt: self._run_once(work, attempt))

    async def ping(self) -> float:
        """Ask for an answer that has to come out of the file."""
        began = time.perf_counter()
        await self.fetch("SELECT count(*) FROM sqlite_master", point=True)
        return time.perf_counter() - began

    async def close(self) -> None:
        """Let running statements finish, for a while, and close everything."""
        links = [self._writer, self._direct, *self._readers]

        def stop() -> None:
            for link in links:
                link.interrupt()

        timer = asyncio.get_running_loop().call_later(GRACE_S, stop)
        await asyncio.to_thread(self._threads.shutdown)
        timer.cancel()
        for link in links:
            link.close()

    async def in_thread(self, link: SqliteLink, step: Callable[[], Answer]) -> Answer:
        """Run a step on a connection in a thread: interrupted when it takes too long or nobody waits for it any more.

        Returns only when the thread has left the connection.
        """
        link.deadline = time.perf_counter() + self._statement_time_s
        running = asyncio.get_running_loop().run_in_executor(self._threads, step)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # The deadline stops a statement that has yet to start, too, which `interrupt` does not see.
            link.deadline = ALREADY
            link.interrupt()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()
            raise
        finally:
            link.deadline = NEVER

    def note(self, sql: str, duration_s: float, rows: int) -> None:
        """Tell whoever listens, and log what was slow."""
        if duration_s > self._slow_s:
            observe(SlowStatement(sql, duration_s, rows))
        if self.on_statement is not None:
            self.on_statement(sql, duration_s, rows)

    async def _read(self, sql: str, binds: Binds) -> Rows:
        try:
            async with asyncio.timeout(self._wait_s):
                link = await self._idle.get()
        except TimeoutError as fault:
            observe(PoolExhausted(READERS, self._wait_s))
            raise Unavailable("The database is busy. Try again shortly.") from fault
        try:
            return (await self.send(link, sql, binds)).rows
        finally:
            self._idle.put_nowait(link)

    async def send(self, link: SqliteLink, sql: str, binds: Binds, *, begins: bool = False) -> Answer:
        """Run a statement on a connection in a thread, with BEGIN before it where asked."""
        began = time.perf_counter()
        try:
            answer = await self.in_thread(link, lambda: link.send(sql, binds, begins=begins))
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as fault:
            raise translate(fault, sql) from fault
        self.note(sql, time.perf_counter() - began, len(answer.rows))
        return answer

    async def _write(self, sql: str, binds: Binds) -> Answer:
        return await retry_contended(lambda _: self._write_once(sql, binds))

    async def _write_once(self, sql: str, binds: Binds) -> Answer:
        await self._take_turn()
        try:
            return await self.send(self._writer, sql, binds)
        finally:
            self._writing.release()

    async def _take_turn(self) -> None:
        if self._writing.locked():
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._writing.acquire()
            except TimeoutError as fault:
                observe(PoolExhausted(1, self._wait_s))
                raise Unavailable("The database is busy. Try again shortly.") from fault
        else:
            await self._writing.acquire()

    async def _run_once(self, work: Callable[[Transaction], Awaitable[T]], attempt: int) -> T:
        await self._take_turn()
        link = self._writer
        transaction = SqliteTransaction(self, link)
        try:
            try:
                result = await work(transaction)
                if link.in_transaction:
                    await self.send(link, "COMMIT", ())
                elif transaction.has_begun:
                    raise Contended("the database rolled back")
            except BaseException as fault:
                if link.in_transaction:
                    # Not to be cut short: the next writer must find the connection free.
                    link.roll_back()
                if isinstance(fault, Contended):
                    observe(TransactionRetried("contention", attempt))
                raise
            return result
        finally:
            self._writing.release()


class SqliteTransaction:
    """A transaction on the writing connection. It takes the lock (BEGIN IMMEDIATE) with its first statement."""

    __slots__ = ("_database", "_link", "has_begun")

    def __init__(self, database: SqliteDatabase, link: SqliteLink) -> None:
        self._database = database
        self._link = link
        self.has_begun = False

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run a statement and return its rows."""
        if self.has_begun and point and is_read(sql):
            # The lock is ours, so that an indexed read has nothing to wait for.
            answer = self._link.try_now(sql, binds)
            if answer is not None:
                self._database.note(sql, 0.0, len(answer.rows))
                return answer.rows
        return (await self._send(sql, binds)).rows

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run a statement and return how many rows it matched."""
        return (await self._send(sql, binds)).matched

    async def _send(self, sql: str, binds: Binds) -> Answer:
        answer = await self._database.send(self._link, sql, binds, begins=not self.has_begun)
        self.has_begun = True
        return answer


def is_read(sql: str) -> bool:
    """Whether a statement only reads; our own texts begin with their verb."""
    return sql[:6] in READS or sql.lstrip(" (\n\t")[:6].upper().startswith(READS)
