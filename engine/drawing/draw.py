"""A layout drawn in one of three formats. It computes for a tenth of a second or longer: run it in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from engine.drawing.compose import compose
from engine.drawing.layout import Layout
from engine.drawing.pdf import draw_pdf
from engine.drawing.png import draw_png
from engine.drawing.svg import draw_svg

Format = Literal["svg", "pdf", "png"]
_DRAW = {"svg": draw_svg, "pdf": draw_pdf, "png": draw_png}


def draw(layout: Layout, contents: Mapping[str, str], pictures: Mapping[str, bytes], *, format: Format) -> bytes:
    """Draw a layout.

    Args:
        layout: What stands where.
        contents: The text of each field that the layout names.
        pictures: The bytes of each picture, by the pointer of its item.
        format: What is made of it. A PNG has 300 dots per inch.

    Raises:
        ValidationFailed: Some content cannot be drawn; each fault at the place that names it.
    """
    return _DRAW[format](compose(layout, contents, pictures))
