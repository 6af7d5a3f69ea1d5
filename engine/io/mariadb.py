"""MariaDB: statements in autocommit on held connections, and transactions, both with bounded retries.

A read is repeated once, unseen, when it met a connection that had gone stale (the server was restarted). A write is
not, since it may have run: then the caller gets 503. Connections are `mariadb_pool.py`'s business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from asyncmy.errors import MySQLError

from engine.errors import StorageFault, Unavailable, ValueRefused
from engine.io.mariadb_faults import is_usable_after, translate
from engine.io.mariadb_link import Link, Target
from engine.io.mariadb_pool import Pool
from engine.io.storage import (
    Binds,
    ConnectionBroken,
    Contended,
    Dialect,
    Row,
    Rows,
    StatementListener,
    Transaction,
    retry_contended,
)
from engine.observe import SlowStatement, TransactionRetried, observe

T = TypeVar("T")
READS = ("SELECT", "(SELEC", "WITH ", "EXPLAI", "SHOW ")


class MariaDatabase:
    """A MariaDB server; see `storage.Database` for what its methods promise."""

    dialect: Dialect = "mariadb"

    def __init__(self, target: Target, *, size: int, wait_s: float, recycle_s: float, slow_s: float) -> None:
        self._pool = Pool(target, size=size, wait_s=wait_s, recycle_s=recycle_s)
        self._slow_s = slow_s
        self.on_statement: StatementListener | None = None

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run one statement in autocommit and return its rows; every read is the same here, `point` or not."""
        try:
            return (await self._send(sql, binds))[0]
        except (Contended, ConnectionBroken) as fault:
            return (await self._send_again(sql, binds, fault))[0]

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run one statement in autocommit and return how many rows it matched."""
        try:
            return (await self._send(sql, binds))[1]
        except (Contended, ConnectionBroken) as fault:
            return (await self._send_again(sql, binds, fault))[1]

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction and commit it."""
        return await retry_contended(lambda attempt: self._run_once(work, attempt))

    async def ping(self) -> float:
        """Ask for an answer."""
        began = time.perf_counter()
        await self.fetch("SELECT 1")
        return time.perf_counter() - began

    async def close(self) -> None:
        """Let running statements finish, for a while, and close everything."""
        await self._pool.close()

    async def _send(self, sql: str, binds: Binds) -> tuple[tuple[Row, ...], int]:
        pool = self._pool
        link = pool.take_idle()
        if link is None:
            link = await pool.take()
        began = time.monotonic()
        link.busy_since = began
        try:
            answer = await link.send(sql, binds)
        except BaseException as fault:
            self._part_with(link, fault)
            _raise_ours(fault, is_stale=link.is_used and not link.is_given_up)
        pool.give(link)
        self.note(sql, time.monotonic() - began, len(answer[0]))
        return answer

    async def _send_again(self, sql: str, binds: Binds, fault: StorageFault) -> tuple[tuple[Row, ...], int]:
        """Repeat what may be repeated: what lost a lock, and reads on a connection that was stale."""
        if isinstance(fault, Contended):
            return await retry_contended(lambda _: self._send(sql, binds))
        if sql.lstrip()[:6].upper().startswith(READS):
            try:
                return await self._send(sql, binds)
            except ConnectionBroken as again:
                fault = again
        raise Unavailable() from fault

    async def _run_once(self, work: Callable[[Transaction], Awaitable[T]], attempt: int) -> T:
        link = self._pool.take_idle() or await self._pool.take()
        transaction = MariaTransaction(self, link)
        try:
            result = await work(transaction)
        except BaseException as fault:
            await self._roll_back(link, transaction, fault)
            if isinstance(fault, ConnectionBroken):
                # Nothing was committed, so it may run again.
                observe(TransactionRetried("connection", attempt))
                raise Contended(str(fault)) from fault
            if isinstance(fault, Contended):
                observe(TransactionRetried("contention", attempt))
            raise
        if transaction.lost is not None:
            # `work` swallowed the fault, but the server has rolled back: there is nothing to commit.
            await self._roll_back(link, transaction, transaction.lost)
            raise transaction.lost
        await self._commit(link, transaction)
        return result

    async def _commit(self, link: Link, transaction: MariaTransaction) -> None:
        if transaction.has_begun:
            link.busy_since = time.monotonic()
            try:
                await link.send_text("COMMIT")
            except BaseException as fault:
                self._part_with(link, fault)
                if isinstance(fault, MySQLError):
                    # Whether it was committed is not known, so it is neither repeated nor called done.
                    raise Unavailable() from fault
                raise
        self._pool.give(link)

    async def _roll_back(self, link: Link, transaction: MariaTransaction, fault: BaseException) -> None:
        if not transaction.is_usable or isinstance(fault, asyncio.CancelledError):
            self._pool.discard(link, kill=isinstance(fault, asyncio.CancelledError))
            return
        if transaction.has_begun:
            try:
                await link.send_text("ROLLBACK")
            except BaseException as second:
                self._part_with(link, second)
                if not isinstance(second, MySQLError):
                    raise
                return
        self._pool.give(link)

    def _part_with(self, link: Link, fault: BaseException) -> None:
        """Give a connection back after a fault, or throw it away."""
        if is_usable_after(fault):
            self._pool.give(link)
            return
        self._pool.discard(link, kill=isinstance(fault, asyncio.CancelledError))
        if isinstance(fault, MySQLError):
            self._pool.report(str(translate(fault)))

    def note(self, sql: str, duration_s: float, rows: int) -> None:
        """Tell whoever listens, and log what was slow."""
        if duration_s > self._slow_s:
            observe(SlowStatement(sql, duration_s, rows))
        if self.on_statement is not None:
            self.on_statement(sql, duration_s, rows)


class MariaTransaction:
    """A transaction on one connection. It begins with its first statement, so that BEGIN costs nothing."""

    __slots__ = ("_database", "_link", "has_begun", "is_usable", "lost")

    def __init__(self, database: MariaDatabase, link: Link) -> None:
        self._database = database
        self._link = link
        self.has_begun = False
        self.is_usable = True
        self.lost: Contended | None = None

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run a statement and return its rows."""
        return (await self._send(sql, binds))[0]

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run a statement and return how many rows it matched."""
        return (await self._send(sql, binds))[1]

    async def _send(self, sql: str, binds: Binds) -> tuple[tuple[Row, ...], int]:
        link = self._link
        began = time.monotonic()
        link.busy_since = began
        try:
            if self.has_begun:
                answer = await link.send(sql, binds)
            else:
                self.has_begun = True
                answer = await link.begin(sql, binds)
        except BaseException as fault:
            self.is_usable = is_usable_after(fault)
            try:
                _raise_ours(fault, is_stale=not link.is_given_up)
            except Contended as lost:
                self.lost = lost
                raise
        finally:
            link.busy_since = 0.0
        self._database.note(sql, time.monotonic() - began, len(answer[0]))
        return answer


def _raise_ours(fault: BaseException, *, is_stale: bool) -> NoReturn:
    if isinstance(fault, MySQLError):
        ours = translate(fault)
        if isinstance(ours, ConnectionBroken) and not is_stale:
            raise Unavailable() from fault
        raise ours from fault
    if isinstance(fault, ValueError):
        # A lone surrogate, or an integer beyond 64 bits: the driver found it before it wrote anything.
        raise ValueRefused(None) from fault
    raise fault
