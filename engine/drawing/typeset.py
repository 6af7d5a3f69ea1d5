"""Texts into boxes: where lines break, and how small a text becomes so that it fits.

A text is made smaller before a word is broken, and broken before anything is left out; what is left out at the smallest
size is said by an ellipsis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.drawing.sheet import Area, Line
from engine.drawing.typeface import ASCENT, LINE_HEIGHT, MM_PER_PT

MAX_CHARACTERS = 300
SMALLEST_PT = 4.0
STEP = 0.94
ELLIPSIS = "…"
# Between these letters a line may break anywhere; elsewhere at spaces alone.
_WIDE = "\u2e80-\u303f\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_PIECE = re.compile(f"[{_WIDE}]|[^{_WIDE} ]+")

Width = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What does not break, and whether a space stands before it."""

    text: str
    is_spaced: bool


def set_text(text: str, area: Area, *, size_pt: float, align: str, color: str, width: Width) -> tuple[Line, ...]:
    """Set a cleaned text into a box, from its upper edge downwards.

    Args:
        text: May have line breaks.
        area: The box.
        size_pt: Of the font, as it is wanted.
        align: ``left``, ``center`` or ``right``.
        color: ``#rrggbb``.
        width: How wide a text without line breaks is, in parts of its size.

    Returns:
        The lines; one at least where there is text at all.
    """
    cut = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + ELLIPSIS
    paragraphs = [list(_pieces(line)) for line in cut.strip().split("\n")]
    if not any(paragraphs):
        return ()
    size = size_pt * MM_PER_PT
    smallest = min(size, SMALLEST_PT * MM_PER_PT)
    while True:
        lines = _break(paragraphs, area.width / size, width)
        if lines is not None and len(lines) * size * LINE_HEIGHT <= area.height + 1e-6:
            break
        if size <= smallest:
            lines = _force(paragraphs, area.width / size, max(int(area.height / (size * LINE_HEIGHT)), 1), width)
            break
        size = max(size * STEP, smallest)
    placed = []
    for index, line in enumerate(lines):
        taken = width(line) * size
        x = area.x + {"left": 0.0, "center": 0.5, "right": 1.0}[align] * (area.width - taken)
        baseline = area.y + index * size * LINE_HEIGHT + size * (ASCENT + (LINE_HEIGHT - 1) / 2 - 0.14)
        placed.append(Line(line, x, baseline, taken, size, color))
    return tuple(line for line in placed if line.text)


def _pieces(line: str) -> Iterator[_Piece]:
    for match in _PIECE.finditer(line):
        yield _Piece(match[0], match.start() > 0 and line[match.start() - 1] == " ")


def _break(paragraphs: list[list[_Piece]], room: float, width: Width) -> list[str] | None:
    """Lines of whole pieces that are no wider than `room`; None where one piece is."""
    lines: list[str] = []
    space = width(" ")
    for pieces in paragraphs:
        current, taken = "", 0.0
        for piece in pieces:
            needed = width(piece.text)
            gap = space if piece.is_spaced and current else 0.0
            if needed > room:
                return None
            if taken + gap + needed <= room:
                current += f"{' ' if gap else ''}{piece.text}"
                taken += gap + needed
            else:
                lines.append(current)
                current, taken = piece.text, needed
        lines.append(current)
    return lines


def _force(paragraphs: list[list[_Piece]], room: float, most: int, width: Width) -> list[str]:
    """At most so many lines; pieces that are too wide are broken, and what finds no room is left out."""
    broken = [[part for piece in pieces for part in _split(piece, room, width)] for pieces in paragraphs]
    # A box that is narrower than a letter takes a letter a line.
    lines = _break(broken, max(room, *(width(part.text) for parts in broken for part in parts)), width) or []
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and sum(width(letter) for letter in last + ELLIPSIS) > room:
        last = last[:-1]
    return [*lines[: most - 1], last.rstrip() + ELLIPSIS]


def _split(piece: _Piece, room: float, width: Width) -> Iterator[_Piece]:
    if width(piece.text) <= room:
        yield piece
        return
    current, taken, is_spaced = "", 0.0, piece.is_spaced
    for letter in piece.text:
        needed = width(letter)
        if current and taken + needed > room:
            yield _Piece(current, is_spaced)
            current, taken, is_spaced = "", 0.0, False
        current += letter
        taken += needed
    yield _Piece(current, is_spaced)
