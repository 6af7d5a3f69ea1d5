"""One connection to an SQLite file: its pragmas, its functions, one statement at a time, and what its errors mean.

Which connection runs what, and in which thread, is decided in `sqlite.py`.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from engine.errors import (
    ForeignKeyViolated,
    QueryTooComplex,
    StatementTimedOut,
    StorageFault,
    Unavailable,
    UniqueViolated,
    ValueRefused,
)
from engine.io.storage import TOO_COMPLEX, Binds, Contended, Rows
from engine.operators import SQLITE_FUNCTIONS

CACHED_STATEMENTS = 512
LOOP_BUDGET_S = 0.003
STEPS_BETWEEN_LOOKS = 2_000
NEVER, ALREADY = math.inf, -math.inf

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
AWAY = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
UNIQUE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_COMPLEX = re.compile(
    "too complex|parser stack overflow|too many SQL variables|Expression tree is too large"
    "|too many terms in compound|at most 64 tables|too many columns"
)
_AFTER_COLON = re.compile(r": (?:index ')?([^']+)")


class Answer(NamedTuple):
    """What a statement gave: its rows, and how many it matched."""

    rows: Rows
    matched: int


class SqliteLink:
    """An open connection. It may be used from any thread, from one at a time.

    Attributes:
        deadline: When the running statement is stopped, on the clock of `time.perf_counter`.
    """

    __slots__ = ("_raw", "deadline")

    def __init__(self, path: Path, *, lock_wait_s: float) -> None:
        self._raw = sqlite3.connect(
            path,
            timeout=lock_wait_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        self.deadline = NEVER
        # Changing the journal's mode needs the file alone; it is kept in the file, so later openings find it done.
        self._raw.execute(f"PRAGMA busy_timeout = {max(int(lock_wait_s * 1000), 1000)}")
        self._raw.execute("PRAGMA journal_mode = WAL")
        for pragma in (
            f"busy_timeout = {int(lock_wait_s * 1000)}",
            "synchronous = NORMAL",
            "foreign_keys = ON",
            "case_sensitive_like = ON",
            "temp_store = MEMORY",
        ):
            self._raw.execute(f"PRAGMA {pragma}")
        make: Callable[..., None] = self._raw.create_function  # its stub wants each function's type of result
        for name, row in SQLITE_FUNCTIONS.items():
            make(name, row.arguments, row.call, deterministic=row.is_deterministic)
        self._raw.set_progress_handler(self._is_overdue, STEPS_BETWEEN_LOOKS)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.in_transaction

    def try_now(self, sql: str, binds: Binds) -> Answer | None:
        """Read in the calling thread within `LOOP_BUDGET_S`; None when that was too short, or the file is locked."""
        self.deadline = time.perf_counter() + LOOP_BUDGET_S
        try:
            return Answer(self._raw.execute(sql, binds).fetchall(), 0)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as fault:
            if isinstance(fault, sqlite3.OperationalError) and _code(fault) in BUSY | {sqlite3.SQLITE_INTERRUPT}:
                return None
            raise translate(fault, sql) from fault
        finally:
            self.deadline = NEVER

    def send(self, sql: str, binds: Binds, *, begins: bool = False) -> Answer:
        """Run a statement to its end, after taking the write lock where asked; raises sqlite3's errors."""
        if begins:
            self._raw.execute("BEGIN IMMEDIATE")
        cursor = self._raw.execute(sql, binds)
        return Answer(cursor.fetchall(), cursor.rowcount)

    def roll_back(self) -> None:
        """End the transaction without a trace."""
        self._raw.execute("ROLLBACK")

    def interrupt(self) -> None:
        """Stop the statement that runs in another thread."""
        self._raw.interrupt()

    def close(self) -> None:
        """Close."""
        self._raw.close()

    def _is_overdue(self) -> bool:
        return time.perf_counter() > self.deadline


def translate(fault: Exception, sql: str) -> Exception:
    """Our exception for an error of SQLite."""
    if not isinstance(fault, sqlite3.Error):
        # An integer beyond 64 bits, or a lone surrogate.
        return ValueRefused(None)
    code, message = getattr(fault, "sqlite_errorcode", 0), str(fault)
    found = _AFTER_COLON.search(message)
    name = found[1] if found else ""
    match code:
        case _ if code in UNIQUE:
            return UniqueViolated(name)
        # A key with ON DELETE RESTRICT refuses as a trigger does.
        case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY | sqlite3.SQLITE_CONSTRAINT_TRIGGER:
            return ForeignKeyViolated("", is_delete=sql.lstrip()[:6].upper() == "DELETE")
        case sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_MISMATCH:
            return ValueRefused(None)
        case sqlite3.SQLITE_INTERRUPT:
            return StatementTimedOut("interrupted")
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ValueRefused(name.rpartition(".")[2] or None)
    if primary in BUSY:
        return Contended(message)
    if primary in AWAY:
        return Unavailable()
    if _COMPLEX.search(message):
        return QueryTooComplex(TOO_COMPLEX)
    return StorageFault(message)


def _code(fault: sqlite3.Error) -> int:
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF
