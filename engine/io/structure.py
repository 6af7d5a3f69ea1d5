"""A connection for reading and changing a database's structure: one at a time, without the time limits of requests.

Requests use `database.py`. What is read is decided in `reflect.py`, what is changed in `migrate.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from asyncmy.errors import MySQLError

from engine.errors import Unavailable
from engine.io.mariadb_link import Link, LinkRefused, open_link, parse_target
from engine.io.sqlite import parse_path
from engine.io.storage import Dialect, Rows
from engine.settings import dialect_of

CONNECT_TIMEOUT_S = 5
LOCK_WAIT_S = 30
NO_LIMIT_S = 0


class StructureFault(Exception):
    """The database refused a statement of ours.

    Attributes:
        statement: Its text.
        reason: What the database said.
        number: MariaDB's error number, or None.
    """

    def __init__(self, statement: str, reason: str, number: int | None = None) -> None:
        super().__init__(f"{reason}\n  in: {statement[:500]}")
        self.statement = statement
        self.reason = reason
        self.number = number


class Structure(Protocol):
    """A connection to a database's structure.

    Attributes:
        dialect: Which database it is.
        name: The database's name, or the file's.
    """

    dialect: Dialect
    name: str

    async def fetch(self, sql: str, binds: Sequence[object] = ()) -> Rows:
        """Run a statement and return its rows.

        Args:
            sql: With the dialect's placeholders. Without binds the text goes to the server as it stands.
            binds: One for each placeholder.

        Raises:
            StructureFault: The database refused it.
        """

    async def execute(self, sql: str, binds: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it matched."""


@asynccontextmanager
async def open_structure(url: str) -> AsyncIterator[Structure]:
    """Connect to the database of a checked URL.

    Raises:
        Unavailable: It cannot be reached.
        StructureFault: The SQLite file cannot be opened.
    """
    if dialect_of(url) == "sqlite":
        file = _SqliteStructure(url)
        try:
            yield file
        finally:
            file.close()
        return
    target = parse_target(
        url,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        statement_time_s=NO_LIMIT_S,
        lock_wait_s=LOCK_WAIT_S,
        prepares=False,
    )
    try:
        link = await open_link(target, {})
    except LinkRefused as fault:
        raise Unavailable(f"The database {target.host}:{target.port}/{target.database} {_why(fault)}.") from fault
    try:
        server = _MariadbStructure(link, target.database)
        # DDL waits for the table's readers; by default for a day.
        await server.execute(f"SET lock_wait_timeout={LOCK_WAIT_S}")
        yield server
    finally:
        await link.close()


def _why(fault: LinkRefused) -> str:
    """Why there is no connection, in the server's words where it has some."""
    said = fault.__cause__.args[1:] if isinstance(fault.__cause__, MySQLError) else ()
    return f"cannot be used: {str(said[0]).rstrip('.')}" if said else "does not answer"


class _MariadbStructure:
    dialect: Dialect = "mariadb"

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self.name = name

    async def fetch(self, sql: str, binds: Sequence[object] = ()) -> Rows:
        return (await self._send(sql, binds))[0]

    async def execute(self, sql: str, binds: Sequence[object] = ()) -> int:
        return (await self._send(sql, binds))[1]

    async def _send(self, sql: str, binds: Sequence[object]) -> tuple[Rows, int]:
        try:
            return await (self._link.send(sql, binds) if binds else self._link.send_text(sql))
        except MySQLError as fault:
            number, reason = (*fault.args, "")[:2] if fault.args else (None, str(fault))
            raise StructureFault(sql, str(reason), number if isinstance(number, int) else None) from fault


class _SqliteStructure:
    """Runs in the event loop's thread: nothing else is served while structure changes."""

    dialect: Dialect = "sqlite"

    def __init__(self, url: str) -> None:
        path = parse_path(url)
        self.name = str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._raw = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            self._raw.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as fault:
            raise StructureFault(f"open {path}", str(fault)) from fault

    async def fetch(self, sql: str, binds: Sequence[object] = ()) -> Rows:
        return self._send(sql, binds).fetchall()

    async def execute(self, sql: str, binds: Sequence[object] = ()) -> int:
        return self._send(sql, binds).rowcount

    def close(self) -> None:
        self._raw.close()

    def _send(self, sql: str, binds: Sequence[object]) -> sqlite3.Cursor:
        try:
            return self._raw.execute(sql, binds)
        except sqlite3.Error as fault:
            raise StructureFault(sql, str(fault)) from fault
