"""The stream of changes: what writers put in and followers take out, with names for positions in it.

This file says what a stream is, and is the one of a process that is alone. Between processes it is
`redis_streams.py`. What a change means to a subscription is `execute/live.py`'s business.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.io.changes import Changes
from engine.io.live_entries import ROWS_PER_ENTRY, Entry, RowChange, size_of

LINGER_S = 120.0
"""How long changes go on being kept for somebody who was following and is gone: he may be back."""

MAX_KEPT = 10_000
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_REPLAY = 1_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a stream gives.

    Attributes:
        place: Of the entry; a token can be made of it.
        entry: None where something was lost, so that everybody must look again.
    """

    place: str
    entry: Entry | None


class Stream(Protocol):
    """A stream of changes."""

    @property
    def place(self) -> str:
        """Of what was given last; what comes after it has not been given yet."""

    def publish(self, rows: Sequence[RowChange]) -> None:
        """Put one commit in. Never waits, never fails."""

    async def take(self) -> Arrival:
        """The next arrival; waits for it."""

    async def watch(self, types: Collection[str]) -> None:
        """Have the changes of some types put in, by every writer there is, before this returns."""

    def unwatch(self, types: Collection[str]) -> None:
        """End what `watch` began, as often as that was called."""

    async def replay(self, since: str, upto: str, types: Collection[str]) -> list[Arrival] | None:
        """What came from one place to another, both included; None where it is not known any more.

        Args:
            since: A place.
            upto: Another; of what was given last, or before.
            types: Whose changes matter: they must have been watched all the while.
        """

    def start(self) -> None:
        """Begin."""

    async def close(self) -> None:
        """End."""


def split_rows(rows: Sequence[RowChange]) -> list[tuple[RowChange, ...]]:
    """One commit as so many entries, none of them too large."""
    return [tuple(rows[start : start + ROWS_PER_ENTRY]) for start in range(0, len(rows), ROWS_PER_ENTRY)]


class Watched:
    """Which types are watched in this process, how often, and for how long after the last."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def add(self, types: Collection[str]) -> None:
        """Count a follower."""
        for name in types:
            self._counts[name] = self._counts.get(name, 0) + 1
            self._until.pop(name, None)

    def drop(self, types: Collection[str]) -> None:
        """Count one less."""
        for name in types:
            left = self._counts.get(name, 0) - 1
            if left > 0:
                self._counts[name] = left
            else:
                self._counts.pop(name, None)
                self._until[name] = time.monotonic() + LINGER_S

    @property
    def followed(self) -> frozenset[str]:
        """Those that somebody follows now."""
        return frozenset(self._counts)

    def present(self) -> frozenset[str]:
        """Those, and the ones that somebody has followed until lately."""
        now = time.monotonic()
        self._until = {name: until for name, until in self._until.items() if until > now}
        return frozenset((*self._counts, *self._until))


class LocalStream:
    """The stream of a process that is alone: a ring.

    Args:
        changes: Of the process; told what to take images of.
        digest: The registry's.
    """

    def __init__(self, changes: Changes, digest: str) -> None:
        self._changes = changes
        self._digest = digest
        self._epoch = secrets.token_urlsafe(6)
        self._kept: deque[Arrival] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._number = 0
        self._given = 0
        self._since: dict[str, int] = {}
        self._watched = Watched()
        self._has_come = asyncio.Event()

    @property
    def place(self) -> str:
        """Of what was given last."""
        return f"{self._epoch}-{self._given}"

    def start(self) -> None:
        """Nothing runs by itself."""
        self._changes.row_sink = self.publish

    async def close(self) -> None:
        """Nothing is to be ended."""
        self._changes.row_sink = None
        self._changes.watched = frozenset()

    def publish(self, rows: Sequence[RowChange]) -> None:
        """Put one commit in; the oldest make room."""
        for part in split_rows(rows):
            self._number += 1
            self._kept.append(
                Arrival(f"{self._epoch}-{self._number}", Entry(self._epoch, self._number, self._digest, part))
            )
            self._sizes.append(sum(map(size_of, part)))
            self._bytes += self._sizes[-1]
        while len(self._kept) > MAX_KEPT or (self._bytes > MAX_KEPT_BYTES and len(self._kept) > 1):
            self._kept.popleft()
            self._bytes -= self._sizes.popleft()
        self._has_come.set()
        self._settle()

    async def take(self) -> Arrival:
        """The next arrival."""
        while self._given >= self._number:
            self._has_come.clear()
            await self._has_come.wait()
        oldest = self._number - len(self._kept) + 1
        if self._given + 1 < oldest:
            self._given = oldest - 1
            return Arrival(self.place, None)
        self._given += 1
        return self._kept[self._given - oldest]

    async def watch(self, types: Collection[str]) -> None:
        """Have the changes of some types put in."""
        self._watched.add(types)
        self._settle()

    def unwatch(self, types: Collection[str]) -> None:
        """End what `watch` began."""
        self._watched.drop(types)

    async def replay(self, since: str, upto: str, types: Collection[str]) -> list[Arrival] | None:
        """What came from one place to another."""
        first, last = self._number_of(since), self._number_of(upto)
        oldest = self._number - len(self._kept) + 1
        if first is None or last is None or not 0 <= last - first <= MAX_REPLAY:
            return None
        if first < oldest - 1 or any(self._since.get(name, self._number + 1) > first for name in types):
            return None
        begin = [] if first >= oldest else [Arrival(since, Entry("", first, self._digest, ()))]
        return begin + [self._kept[index - oldest] for index in range(max(first, oldest), last + 1)]

    def _number_of(self, place: str) -> int | None:
        epoch, _, text = place.rpartition("-")
        return int(text) if epoch == self._epoch and text.isascii() and text.isdigit() else None

    def _settle(self) -> None:
        """Tell writers what to look at; a type that begins to be looked at was not before."""
        present = self._watched.present()
        if present != self._changes.watched:
            for name in present - self._changes.watched:
                self._since[name] = self._number
            for name in self._changes.watched - present:
                self._since.pop(name, None)
            self._changes.watched = present
