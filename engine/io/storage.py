"""What a database is to the rest of the engine, whichever it is: the protocol, and what both dialects share.

The dialects are `mariadb.py` and `sqlite.py`; `database.py` picks one. SQL is made elsewhere; here it is text with
placeholders (``%s`` with percent signs doubled on MariaDB, ``?`` on SQLite) and never holds a caller's value.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from engine.errors import StorageFault, Unavailable

T = TypeVar("T")
Row = tuple[Any, ...]
Rows = Sequence[Row]
Binds = Sequence[object]
Dialect = Literal["mariadb", "sqlite"]
StatementListener = Callable[[str, float, int], None]
"""Told each statement's text, its duration in seconds and its number of rows."""

TOO_COMPLEX = "The search has more parts than the database can take in one statement. Split it."
RETRIES = 3
FIRST_PAUSE_S = 0.01


class Contended(StorageFault):
    """A deadlock or a lock that was not to be had; running the whole transaction again may succeed."""


class ConnectionBroken(StorageFault):
    """The connection is gone, and nobody knows whether the statement ran."""


class Transaction(Protocol):
    """One transaction; it ends when the work given to `Database.run` ends."""

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run a statement inside the transaction and return its rows."""

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run a statement inside the transaction and return how many rows it matched."""


class Database(Protocol):
    """A database.

    Attributes:
        on_statement: Told every statement; None = nobody listens. For tests, `bench/` and `explain`.
    """

    on_statement: StatementListener | None

    @property
    def dialect(self) -> Dialect:
        """Which dialect's SQL it takes."""

    async def fetch(self, sql: str, binds: Binds = (), *, point: bool = False) -> Rows:
        """Run one statement in autocommit and return its rows.

        Args:
            sql: A SELECT, or an INSERT or DELETE with RETURNING.
            binds: One value for each placeholder.
            point: The statement reads a row or two by an index.

        Raises:
            StorageFault: The database refused; see `engine.errors`.
            Unavailable: It cannot be reached, or a lock was not to be had.
        """

    async def execute(self, sql: str, binds: Binds = ()) -> int:
        """Run one statement in autocommit and return how many rows it matched (not: changed)."""

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction and commit it.

        `work` runs again, at most `RETRIES` times, when the transaction loses a lock or its connection before the
        commit: it must have no effect but its statements. Any exception of `work` rolls back.

        Raises:
            Unavailable: It did not succeed in all those attempts, or the outcome of the commit is unknown.
        """

    async def ping(self) -> float:
        """Ask the database for an answer and return how long it took, in seconds."""

    async def close(self) -> None:
        """Let running statements finish, for a while, and close everything."""


async def retry_contended(attempt: Callable[[int], Awaitable[T]]) -> T:
    """Run `attempt` until it is not contended, at most `RETRIES` times again, with growing random pauses.

    Raises:
        Unavailable: It was contended each time.
    """
    for number in range(RETRIES + 1):
        try:
            return await attempt(number)
        except Contended as fault:
            if number == RETRIES:
                raise Unavailable("The data is in use by other writes. Try again shortly.") from fault
        await asyncio.sleep(random.uniform(0.2, 1.0) * FIRST_PAUSE_S * 2**number)
    raise AssertionError("unreachable")
