"""Frozen dataclasses that are as cheap to make as plain ones, for values of which a request makes dozens."""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import TypeVar

T = TypeVar("T")


def light(kind: type[T]) -> type[T]:
    """Make instances of a frozen dataclass for a sixth of the price.

    A frozen dataclass sets each of its fields through ``object.__setattr__``, which for a request's values adds up to
    several per cent of its time. That nobody changes them is the type checker's to see; when the program runs, nothing
    stands in the way any more.

    Args:
        kind: A dataclass, frozen, with slots, without ``__post_init__``.

    Returns:
        The same class.

    Raises:
        TypeError: It has a field that is no argument, or a frozen base that is not light.
    """
    is_frozen_below = any("__setattr__" in vars(base) for base in kind.__mro__[1:-1])
    if is_frozen_below or not all(one.init for one in fields(kind)):  # type: ignore[arg-type]
        raise TypeError(f"{kind.__qualname__} cannot be light")
    given = [
        (one.name, object, field(default=one.default, default_factory=one.default_factory, kw_only=one.kw_only))
        for one in fields(kind)  # type: ignore[arg-type]
    ]
    plain = make_dataclass(kind.__name__, given, eq=False, repr=False)
    make = vars(plain)["__init__"]
    make.__qualname__ = f"{kind.__qualname__}.__init__"
    type.__setattr__(kind, "__init__", make)
    del kind.__setattr__, kind.__delattr__
    return kind
