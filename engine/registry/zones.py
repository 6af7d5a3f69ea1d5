"""Columns that keep the clocks of a time zone: what a stored wall clock means as an instant, and the other way round.

A wall clock says less than an instant: at the end of summer time an hour comes twice, and at its beginning one
is left out. The rule, the same wherever such a column is read, compared or written:

- A clock that was shown twice means the first time.
- A clock that was never shown means the moment at which the clocks were put forward.
- An instant is written as what the clocks show then; one of the second time reads as the first time afterwards.

So what is read never goes backward while the stored clocks go forward: a database may sort, and search by an index,
the stored clocks themselves. Instants and clocks are naive datetimes, instants in UTC. Offsets come from Python's
own database of zones, those before 1900 and after 2100 being those at the edge.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1900, 2100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_ZONE = frozenset({"UTC", "Etc/UTC"})

FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - naive, as all of this file
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
_DAY_S = 86_400
_TICK = timedelta(microseconds=1)


@lru_cache(maxsize=256)
def is_zone(name: str) -> bool:
    """Whether a name is a zone of the IANA database."""
    if name in ("localtime", "Factory"):
        return False
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=256)
def zone_steps(zone: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The offsets of a zone: instants (seconds from 1970, UTC) at which it changes, and one offset more (seconds)."""
    info = ZoneInfo(zone)
    fromtimestamp = datetime.fromtimestamp

    def offset_at(second: int) -> int:
        offset = fromtimestamp(second, info).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    first = int((datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())
    last = int((datetime(LAST_YEAR, 1, 1, tzinfo=UTC) - EPOCH).total_seconds())
    starts: list[int] = []
    offsets = [offset_at(first)]
    # Nothing changes and changes back within three days.
    for day in range(first, last, 3 * _DAY_S):
        low, high = day, day + 3 * _DAY_S
        while offset_at(high) != offsets[-1]:
            low_bound, high_bound = low, high
            while high_bound - low_bound > 1:
                middle = (low_bound + high_bound) // 2
                if offset_at(middle) == offsets[-1]:
                    low_bound = middle
                else:
                    high_bound = middle
            starts.append(high_bound)
            offsets.append(offset_at(high_bound))
            low = high_bound
    return tuple(starts), tuple(offsets)


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored clocks from one on that are read alike, up to the next piece's.

    Attributes:
        start: The first of them.
        instant: What it means.
        offset: What a clock is ahead of its instant; None where all of them mean the same instant.
    """

    start: datetime
    instant: datetime
    offset: timedelta | None


class Clock:
    """The clocks of a zone, over the years that a datetime has.

    Attributes:
        changes: Instants at which the offset changes.
        pieces: The stored clocks, in order.
    """

    def __init__(self, zone: str) -> None:
        starts, offsets = zone_steps(zone)
        self.changes = [_NAIVE_EPOCH + timedelta(seconds=second) for second in starts]
        self._offsets = [timedelta(seconds=offset) for offset in offsets]
        self.pieces = _pieces(self.changes, self._offsets)
        self._starts = [piece.start for piece in self.pieces]
        self._instants = [piece.instant for piece in self.pieces]

    def offset(self, instant: datetime) -> timedelta:
        """What the clocks are ahead of an instant."""
        return self._offsets[bisect_right(self.changes, instant)]

    def show(self, instant: datetime) -> datetime:
        """What the clocks show at an instant.

        Raises:
            OverflowError: A day before the year 1, or after 9999.
        """
        return instant + self._offsets[bisect_right(self.changes, instant)]

    def read(self, clock: datetime) -> datetime:
        """The instant that a stored clock means; it never goes backward while the clock goes forward."""
        piece = self.pieces[bisect_right(self._starts, clock) - 1]
        return piece.instant if piece.offset is None else clock - piece.offset

    def first(self, instant: datetime) -> datetime:
        """The first clock that means an instant or a later one; the last there is where none does."""
        index = bisect_left(self._instants, instant) - 1
        if index < 0:
            return self._starts[0]
        piece = self.pieces[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else None
        if piece.offset is None:
            return LAST if end is None else end
        try:
            clock = instant + piece.offset
        except OverflowError:
            clock = LAST
        return clock if end is None else min(clock, end)

    def bounds(self, instant: datetime) -> tuple[datetime, datetime]:
        """The first clock that means an instant, and the first one that means a later one; equal where none does."""
        after = self.first(instant + _TICK) if instant < LAST else LAST
        return self.first(instant), after


@lru_cache(maxsize=64)
def clock_of(zone: str) -> Clock:
    """The clocks of a checked zone."""
    return Clock(zone)


def is_tick(low: datetime, high: datetime) -> bool:
    """Whether nothing lies between two clocks, so that the first is all that there is."""
    return high - low == _TICK


def _pieces(changes: Sequence[datetime], offsets: Sequence[timedelta]) -> list[Piece]:
    pieces = _edge(offsets[0])
    for change, before, after in zip(changes, offsets, offsets[1:], strict=False):
        if after > before:
            # Put forward: the clocks between were never shown.
            pieces.append(Piece(change + before, change, None))
            pieces.append(Piece(change + after, change, after))
        else:
            pieces.append(Piece(change + before, change + (before - after), after))
    last = offsets[-1]
    if last < timedelta(0):
        end = LAST + last
        pieces.append(Piece(end + _TICK, LAST, None))
    return pieces


def _edge(offset: timedelta) -> list[Piece]:
    """The first years: clocks whose instant would be before the year 1 mean its beginning."""
    if offset <= timedelta(0):
        return [Piece(FIRST, FIRST - offset, offset)]
    return [Piece(FIRST, FIRST, None), Piece(FIRST + offset, FIRST, offset)]
