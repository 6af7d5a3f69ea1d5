"""One connection to MariaDB: opened with its session settings asserted, and its prepared statements.

Which connection is used by whom is decided in `mariadb_pool.py`.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from asyncmy.connection import Connection
from asyncmy.constants import CLIENT
from asyncmy.errors import MySQLError

from engine.io.mariadb_faults import errno_of, is_usable_after
from engine.io.mariadb_values import DECODERS, interpolate, show_times, times_of, to_native
from engine.io.storage import Row

MAX_PREPARED = 200
MAX_PREPARED_TEXT = 20_000
MAX_SEEN = 4_000
SILENCE_S = 2

SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
COLLATION = "utf8mb4_nopad_bin"


class LinkRefused(Exception):
    """No connection was to be had; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a database is, and what its sessions are like."""

    host: str
    port: int
    user: str
    password: bytes
    database: str
    unix_socket: str | None
    is_encrypted: bool
    connect_timeout_s: float
    statement_time_s: float
    lock_wait_s: int
    prepares: bool

    def session(self) -> dict[str, object]:
        """The session variables that are set on every connection, and read back."""
        return {
            "time_zone": "+00:00",
            "sql_mode": SQL_MODE,
            "tx_isolation": "READ-COMMITTED",
            "autocommit": 1,
            "innodb_lock_wait_timeout": self.lock_wait_s,
            "max_statement_time": float(self.statement_time_s),
            "sql_select_limit": 18446744073709551615,
        }


def parse_target(
    url: str, *, connect_timeout_s: float, statement_time_s: float, lock_wait_s: int, prepares: bool
) -> Target:
    """Read a checked database URL. ``?unix_socket=/path`` and ``?ssl=true`` are understood."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return Target(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or "").encode(),
        database=unquote(parts.path.strip("/")),
        unix_socket=options.get("unix_socket"),
        is_encrypted=options.get("ssl", "").lower() in ("1", "true", "yes"),
        connect_timeout_s=connect_timeout_s,
        statement_time_s=statement_time_s,
        lock_wait_s=lock_wait_s,
        prepares=prepares,
    )


class _Prepared:
    """A statement that the server has parsed, and where its TIME columns are (None: not run yet)."""

    __slots__ = ("statement", "times")

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self.times: tuple[int, ...] | None = None


class Link:
    """An open connection.

    Attributes:
        expires_at: When it is to be replaced, on the monotonic clock, seconds; set by the pool.
        busy_since: When the running statement began, on the same clock, or 0.0.
        is_used: Whether it has served before: only then may it have gone stale unseen.
        is_given_up: Whether we closed it ourselves, because the server was silent.
    """

    __slots__ = ("_prepared", "_raw", "_seen", "_target", "busy_since", "expires_at", "is_given_up", "is_used")

    def __init__(self, raw: Any, target: Target, seen: dict[str, bool]) -> None:
        self._raw = raw
        self._target = target
        self._seen = seen
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self.expires_at = math.inf
        self.busy_since = 0.0
        self.is_used = False
        self.is_given_up = False

    @property
    def thread_id(self) -> int:
        """The server's number of this connection, for KILL."""
        number: int = self._raw.thread_id()
        return number

    @property
    def is_alive(self) -> bool:
        """Whether nothing is known against it. Costs no round trip."""
        return bool(self._raw._connected) and not self._raw._proto.eof

    async def send(self, sql: str, binds: Sequence[object]) -> tuple[tuple[Row, ...], int]:
        """Run a statement: prepared where the text has come before, else as text.

        A statement's first sight costs one round trip, its second two, every later one again one, with a third to
        a half of the CPU time on both sides.

        Returns:
            Its rows, and how many rows it matched.
        """
        prepared = self._prepared.get(sql)
        if prepared is None:
            prepared = await self._prepare(sql)
            if prepared is None:
                return await self.send_text(interpolate(sql, binds, self._raw.literal))
        elif len(self._prepared) > MAX_PREPARED // 2:
            self._prepared.move_to_end(sql)
        result = await prepared.statement.execute(binds)
        rows: tuple[Row, ...] | None = result.rows
        if rows is None:
            return (), result.affected_rows
        if prepared.times is None:
            prepared.times = times_of(result.description)
        if prepared.times:
            rows = show_times(rows, prepared.times)
        return rows, result.affected_rows

    async def begin(self, sql: str, binds: Sequence[object]) -> tuple[tuple[Row, ...], int]:
        """Begin a transaction with its first statement, in one round trip."""
        await self._raw.query("BEGIN;" + interpolate(sql, binds, self._raw.literal))
        return await self._next_result()

    async def send_text(self, text: str) -> tuple[tuple[Row, ...], int]:
        """Run a statement that holds its values."""
        # Not through a cursor: that asks for warnings behind our back, in a round trip of its own.
        await self._raw.query(text)
        result = self._raw._result
        return result.rows or (), result.affected_rows

    async def close(self) -> None:
        """Say goodbye and close, where that is still possible."""
        try:
            async with asyncio.timeout(1):
                await self._raw.ensure_closed()
        except (MySQLError, OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Close at once. A statement waiting on it fails with a broken connection."""
        transport = self._raw._transport
        if transport is not None:
            transport.abort()
        self._raw.close()

    async def _next_result(self) -> tuple[tuple[Row, ...], int]:
        await self._raw.next_result()
        result = self._raw._result
        return result.rows or (), result.affected_rows

    async def _prepare(self, sql: str) -> _Prepared | None:
        if not self._target.prepares or len(sql) > MAX_PREPARED_TEXT:
            return None
        is_preparable = self._seen.get(sql)
        if is_preparable is None:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen[sql] = True
        if not is_preparable:
            return None
        try:
            prepared = _Prepared(await self._raw.prepare(to_native(sql)))
        except MySQLError as fault:
            if not is_usable_after(fault):
                raise
            # Not every statement takes placeholders (SHOW … LIKE ?); one that is wrong says so as text.
            self._seen[sql] = False
            return None
        self._prepared[sql] = prepared
        if len(self._prepared) > MAX_PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            await oldest.statement.close()
        return prepared


async def open_link(target: Target, seen: dict[str, bool]) -> Link:
    """Open a connection, set its session and read the settings back.

    Raises:
        LinkRefused: The server cannot be reached in time, refuses us, or does not keep the session's settings
            (a proxy between that swallows SET, say).
    """
    connect: Callable[..., Any] = Connection  # its stub has no types
    raw = connect(
        host=target.host,
        port=target.port,
        unix_socket=target.unix_socket,
        user=target.user,
        password=target.password,
        database=target.database or None,
        ssl=True if target.is_encrypted else None,
        connect_timeout=target.connect_timeout_s,
        charset="utf8mb4",
        client_flag=CLIENT.FOUND_ROWS,
        conv=DECODERS,
        autocommit=None,
        program_name="aether",
    )
    try:
        async with asyncio.timeout(target.connect_timeout_s):
            await raw.connect()
            _bound_silence(raw)
            link = Link(raw, target, seen)
            await _set_session(link, target)
    except (MySQLError, OSError, TimeoutError) as fault:
        raw.close()
        reason = f"errno {errno_of(fault)}" if isinstance(fault, MySQLError) else type(fault).__name__
        raise LinkRefused(f"{target.host}:{target.port}/{target.database}: {reason}") from fault
    except BaseException:
        raw.close()
        raise
    return link


async def _set_session(link: Link, target: Target) -> None:
    session = target.session()
    assignments = ", ".join(f"{name}={value!r}" for name, value in session.items())
    names = ", ".join(f"@@{name}" for name in ("collation_connection", "character_set_client", *session))
    await link.send_text(f"SET NAMES utf8mb4 COLLATE {COLLATION}, {assignments};SELECT {names}")
    rows, _ = await link._next_result()
    expected = (COLLATION, "utf8mb4", *session.values())
    kept = rows[0] if rows else ()
    if kept != expected:
        wrong = [
            f"{name}={found!r}"
            for name, found, wanted in zip(("collation", "charset", *session), kept, expected, strict=False)
            if found != wanted
        ]
        raise LinkRefused(f"the server does not keep the session's settings: {', '.join(wrong)}")


def _bound_silence(raw: Any) -> None:
    """Have the kernel give up on a host that no longer acknowledges, where it can (Linux)."""
    wire = raw._transport.get_extra_info("socket")
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for option, value in (
        ("TCP_KEEPIDLE", 1),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", SILENCE_S),
        ("TCP_USER_TIMEOUT", SILENCE_S * 1000),
    ):
        number = getattr(socket, option, None)
        if number is not None:
            wire.setsockopt(socket.IPPROTO_TCP, number, value)
