"""The drawing model: what stands where on a sheet, before it is SVG, PDF or PNG.

Lengths are millimetres from the upper left corner. Everything is decided here: line breaks, sizes, colours as
``#rrggbb``; who draws a sheet decides nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A rectangle in one colour."""

    area: Area
    color: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text.

    Attributes:
        x: Of its left end.
        baseline: Where its letters stand.
        width: How wide it is drawn.
        size: Of its font.
    """

    text: str
    x: float
    baseline: float
    width: float
    size: float
    color: str


@dataclass(frozen=True, slots=True)
class Code:
    """A two-dimensional code on white; `rows` of modules, dark ones true, the quiet zone included."""

    area: Area
    rows: tuple[tuple[bool, ...], ...]
    color: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that fills its area. `data` are the bytes of a checked PNG or JPEG."""

    area: Area
    data: bytes
    media_type: str


Shape = Filled | Line | Code | Image


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of paper with shapes on it, the later ones above the earlier."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def runs(row: tuple[bool, ...]) -> list[tuple[int, int]]:
    """The dark stretches of a row of modules: where each begins, and how long it is."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for place, is_dark in enumerate((*row, False)):
        if is_dark and start is None:
            start = place
        elif not is_dark and start is not None:
            found.append((start, place - start))
            start = None
    return found
