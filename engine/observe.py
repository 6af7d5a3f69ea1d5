"""Observations: what happened, as values, and the bounded queue that they wait in.

`observe` only appends, so that a request pays a microsecond for its log line. How observations become log lines
and metrics is `io/sinks.py`'s business, in a thread of its own. When nobody takes them fast enough, new ones are
dropped and counted; a request never waits for a log.

An observation never holds a secret, a token, an operand or a row id. `LINES` says where its line goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

MAX_QUEUED = 20_000


class RequestServed(NamedTuple):
    """A request was answered.

    Attributes:
        at: Unix time of the reply, seconds.
        route: The route's template, never the path: it labels metrics.
        duration_s: From the first byte of the request to the last of the reply.
        account: Public id, or None.
        caller: ``anonymous``, ``user`` or ``key``.
        problem: The problem code of a refusal.
    """

    at: float
    method: str
    route: str
    status: int
    duration_s: float
    request_id: str
    account: str | None = None
    caller: str | None = None
    problem: str | None = None


class RequestFailed(NamedTuple):
    """A request met a fault of ours; the caller got 500 and this request id."""

    request_id: str
    route: str
    error: BaseException


class SlowStatement(NamedTuple):
    """A statement was slower than it may be. `statement` is its text with placeholders, never with values."""

    statement: str
    duration_s: float
    rows: int


class StatementRan(NamedTuple):
    """Any statement, where the level of ``engine.sql`` is debug."""

    statement: str
    duration_s: float
    rows: int


class TransactionRetried(NamedTuple):
    """A transaction lost a lock or its connection and was run again."""

    reason: str
    attempt: int


class DatabaseUnreachable(NamedTuple):
    """A connection could not be opened, or broke."""

    reason: str


class PoolExhausted(NamedTuple):
    """A request waited in vain for a connection."""

    size: int
    waited_s: float


class CacheUnreachable(NamedTuple):
    """Redis did not answer in time and is left alone for a while."""

    operation: str
    reason: str


class BlobsFailed(NamedTuple):
    """The file store could not do what was asked of it. `reason` may hold a path: it is for operators alone."""

    operation: str
    error: str
    reason: str


class OldRouteUsed(NamedTuple):
    """Somebody called a route of an old version, refused or not.

    Attributes:
        name: Of the route, one of a few: it labels metrics.
        route: Method and path, the type's name and ``{id}`` in it.
        caller: Public id of the user or key, or ``anonymous``.
        account: Public id, or None.
        call: The call that replaces this one, without what could be a secret.
        status: What was answered.
    """

    name: str
    version: str
    route: str
    caller: str
    account: str | None
    call: str
    status: int
    request_id: str


class HookFailed(NamedTuple):
    """A subscriber of changes, or a hook after a commit, raised; the write itself stands."""

    name: str
    error: BaseException


class ChangesDropped(NamedTuple):
    """Committed changes were not announced, because their subscriber is too slow."""

    name: str
    number: int


class Notice(NamedTuple):
    """Anything else worth a line: a start, a stop, what a start left out."""

    event: str
    level: str = "info"
    logger: str = "engine.main"
    details: tuple[tuple[str, str], ...] = ()


class ObservationsDropped(NamedTuple):
    """So many observations were lost because the queue was full."""

    number: int


Observation = (
    RequestServed
    | RequestFailed
    | SlowStatement
    | StatementRan
    | TransactionRetried
    | DatabaseUnreachable
    | PoolExhausted
    | CacheUnreachable
    | BlobsFailed
    | OldRouteUsed
    | HookFailed
    | ChangesDropped
    | ObservationsDropped
    | Notice
)

LINES: Mapping[type, tuple[str, str]] = {
    RequestServed: ("engine.http", "info"),
    RequestFailed: ("engine.http", "error"),
    SlowStatement: ("engine.sql", "warning"),
    StatementRan: ("engine.sql", "debug"),
    TransactionRetried: ("engine.io.database", "info"),
    DatabaseUnreachable: ("engine.io.database", "error"),
    PoolExhausted: ("engine.io.database", "warning"),
    CacheUnreachable: ("engine.io.cache", "warning"),
    BlobsFailed: ("engine.io.blobs", "error"),
    OldRouteUsed: ("legacy_shim", "warning"),
    HookFailed: ("engine.io.changes", "error"),
    ChangesDropped: ("engine.io.changes", "warning"),
    ObservationsDropped: ("engine.io.sinks", "error"),
}
"""The logger and the level of each observation's line. A `Notice` names its own."""


class _Queue:
    """The process's one queue, and how much it lost."""

    __slots__ = ("items", "lost")

    def __init__(self) -> None:
        self.items: deque[Observation] = deque()
        self.lost = 0


_queue = _Queue()


def observe(observation: Observation) -> None:
    """Hand an observation over. Never waits, never raises."""
    if len(_queue.items) < MAX_QUEUED:
        _queue.items.append(observation)
    else:
        _queue.lost += 1


def take_observations(limit: int = 1_000) -> list[Observation]:
    """Take the oldest observations out of the queue; safe from another thread."""
    taken: list[Observation] = []
    while _queue.items and len(taken) < limit:
        taken.append(_queue.items.popleft())
    return taken


def count_dropped() -> int:
    """How many observations were lost since the start."""
    return _queue.lost
