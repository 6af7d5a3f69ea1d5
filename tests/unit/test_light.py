"""A light dataclass is what it was, but cheap to make."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field, replace

import pytest

from engine.light import light


@light
@dataclass(frozen=True, slots=True)
class Point:
    """Two numbers and what was said of them."""

    x: int
    y: int = 2
    notes: list[str] = field(default_factory=list, compare=False)


@light
@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Given by name alone."""

    name: str
    number: int = 1


def test_arguments_defaults_and_factories_are_as_they_were() -> None:
    assert (Point(1).x, Point(1).y, Point(1, 3).y) == (1, 2, 3)
    assert Point(1).notes == []
    assert Point(1).notes is not Point(1).notes
    assert Named(name="a") == Named(name="a", number=1)
    for wrong in (Point, lambda: Point(1, z=3), lambda: Named("a")):  # type: ignore[call-arg, misc]
        with pytest.raises(TypeError):
            wrong()


def test_it_is_compared_hashed_copied_and_shown_as_before() -> None:
    assert Point(1) == Point(1, 2, ["said"])
    assert hash(Point(1)) == hash(Point(1, 2, ["said"]))
    assert replace(Point(1), y=5) == Point(1, 5)
    assert copy.deepcopy(Point(1)) == pickle.loads(pickle.dumps(Point(1))) == Point(1)
    assert repr(Point(1)) == "Point(x=1, y=2, notes=[])"
    assert Point.__init__.__qualname__ == "Point.__init__"


def test_what_cannot_be_light_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="cannot be light"):

        @light
        @dataclass(frozen=True, slots=True)
        class _Counted:
            number: int = field(init=False, default=0)

    @dataclass(frozen=True, slots=True)
    class Base:
        number: int

    with pytest.raises(TypeError, match="cannot be light"):

        @light
        @dataclass(frozen=True, slots=True)
        class _Heavy(Base):
            other: int
