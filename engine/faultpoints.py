"""Fault points: named places where a test makes a process die, or a call fail, as power cuts and full disks do.

They cost one look at a dict that is empty. Only a process in whose environment ``AETHER_TEST_FAULT`` stands arms
them, and never one that serves in production mode: `arm` is called by the composition root, which knows the mode.

``AETHER_TEST_FAULT`` is a list ``name:what[@number]``, separated by commas: ``bytes-stored:kill``,
``blob-write:ENOSPC@3`` (the third time that place is passed, and from then on).
"""

from __future__ import annotations

import errno
import os
import signal
from itertools import count

VARIABLE = "AETHER_TEST_FAULT"
KILL = "kill"
POINTS = ("blob-write", "blob-fsync", "bytes-stored", "row-inserted", "committed", "answered")
"""Every name: before a block of bytes is written; before an fsync; when a blob lies under its hash; when a row was
inserted and before the commit; after the commit; after the answer was sent."""


class _Armed:
    """One armed fault point."""

    __slots__ = ("first", "passed", "what")

    def __init__(self, what: str, first: int) -> None:
        self.what = what
        self.first = first
        self.passed = count(1)


_armed: dict[str, _Armed] = {}


def fault_point(name: str) -> None:
    """A place where a fault may be injected.

    Raises:
        OSError: A test has armed it so.
    """
    if _armed and name in _armed:
        _strike(_armed[name])


def arm(text: str) -> None:
    """Arm fault points; an empty text disarms all.

    Args:
        text: As the module's docstring says.

    Raises:
        ValueError: It names a point or an error that there is not.
    """
    _armed.clear()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, rest = part.partition(":")
        what, _, number = rest.partition("@")
        if name not in POINTS or (what != KILL and not hasattr(errno, what)):
            raise ValueError(f"{part!r} is no fault point of {', '.join(POINTS)} with {KILL!r} or the name of an errno")
        _armed[name] = _Armed(what, int(number or 1))


def _strike(armed: _Armed) -> None:
    if next(armed.passed) < armed.first:
        return
    if armed.what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    number = getattr(errno, armed.what)
    raise OSError(number, os.strerror(number))
