"""Which old routes are switched off, and when: the small grammar of `legacy.off` and `legacy.brownout`.

The words are read here once, for the checker and for whoever answers old calls. What V1 and V2 were, and what is
answered instead, is the business of the plug-in that serves them; a clock is always somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

T = TypeVar("T")

VERSIONS = ("v1", "v2")
VERBS = ("get", "list", "create", "update", "delete", "search")
# What the paths of the old versions begin with; V1 stood at the root as well.
DOORS = {"/": "v1", "/api": "v1", "/crud": "v2", "/v2/crud": "v2"}

OFF_EXAMPLE = 'v1, "v2:list" or "/api:get"'
BROWNOUT_EXAMPLE = '"*:55", "9-17:0-4" or "v1:list:*:30"'

_WHICH = re.compile(r"(?P<which>/[a-z0-9/]*|v[0-9])(?::(?P<verb>[a-z]+))?")
_WHEN = re.compile(
    r"(?:(?P<routes>.+):)?(?P<hours>\*|[0-9]{1,2}(?:-[0-9]{1,2})?):(?P<minutes>[0-9]{1,2}(?:-[0-9]{1,2})?)"
)

Closure = Literal["off", "brownout"]


class NoSwitch(ValueError):
    """A word that switches nothing; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class OldRoutes:
    """Some of the old routes: of a version or a door, and perhaps of one verb; both None is every one.

    Attributes:
        which: ``v1``, ``v2``, or a door (``/api``).
        verb: One of `VERBS`.
    """

    which: str | None = None
    verb: str | None = None

    def covers(self, door: str, verb: str) -> bool:
        """Whether a route is one of them."""
        return self.which in (None, door, DOORS.get(door)) and self.verb in (None, verb)


@dataclass(frozen=True, slots=True)
class Brownout:
    """A part of each day, in UTC, in which some old routes are gone for a while.

    Attributes:
        hours, minutes: First and last, both included.
    """

    routes: OldRoutes
    hours: tuple[int, int]
    minutes: tuple[int, int]

    def is_on(self, moment: datetime) -> bool:
        """Whether a moment, aware, falls into it."""
        at = moment.astimezone(UTC)
        return self.hours[0] <= at.hour <= self.hours[1] and self.minutes[0] <= at.minute <= self.minutes[1]


@dataclass(frozen=True, slots=True)
class LegacySwitches:
    """What is switched off, for good and for minutes."""

    off: tuple[OldRoutes, ...] = ()
    brownouts: tuple[Brownout, ...] = ()

    def closure_of(self, door: str, verb: str, moment: datetime) -> Closure | None:
        """Whether a route is closed at a moment, and in which way; None = it is open."""
        if any(routes.covers(door, verb) for routes in self.off):
            return "off"
        if any(one.routes.covers(door, verb) and one.is_on(moment) for one in self.brownouts):
            return "brownout"
        return None


NO_SWITCHES = LegacySwitches()


def read_off(word: str) -> OldRoutes:
    """Read a word of `off`: ``v1``, ``v2:list``, ``/api``, ``/api:get``.

    Raises:
        NoSwitch: It is none.
    """
    match = _WHICH.fullmatch(word)
    if match is None:
        raise NoSwitch("is neither a version nor the beginning of an old path")
    which, verb = match["which"], match["verb"]
    if which not in VERSIONS and which not in DOORS:
        raise NoSwitch(f"is no old route: those are {', '.join((*VERSIONS, *DOORS))}")
    if verb is not None and verb not in VERBS:
        raise NoSwitch(f"has no verb of old routes: those are {', '.join(VERBS)}")
    if verb == "search" and "v1" in (which, DOORS.get(which)):
        raise NoSwitch("means no route: V1 had no search")
    return OldRoutes(which, verb)


def read_brownout(word: str) -> Brownout:
    """Read a word of `brownout`: what `read_off` reads and a colon, or nothing, then ``hours:minutes`` in UTC.

    Hours are ``*``, a number or a range (``9-17``), minutes a number or a range.

    Raises:
        NoSwitch: It is none.
    """
    match = _WHEN.fullmatch(word)
    if match is None:
        raise NoSwitch("says no minute: it ends in hours:minutes")
    routes = OldRoutes() if match["routes"] is None else read_off(match["routes"])
    hours = (0, 23) if match["hours"] == "*" else _read_range(match["hours"], 23, "hours")
    return Brownout(routes, hours, _read_range(match["minutes"], 59, "minutes"))


def read_switches(off: Sequence[str], brownout: Sequence[str]) -> LegacySwitches:
    """Read all words that a registry says in one place. What switches nothing is left out: the checker refuses it."""
    return LegacySwitches(tuple(_read_all(read_off, off)), tuple(_read_all(read_brownout, brownout)))


def _read_all(read: Callable[[str], T], words: Sequence[str]) -> Iterator[T]:
    for word in words:
        with suppress(NoSwitch):
            yield read(word)


def _read_range(text: str, most: int, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    found = int(first), int(last) if dash else int(first)
    if not found[0] <= found[1] <= most:
        raise NoSwitch(f"has {what} {text}: they go from 0 to {most}, the smaller first")
    return found
