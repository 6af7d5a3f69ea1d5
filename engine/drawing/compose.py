"""A layout and what stands in its items, put together: texts set, codes made, pictures checked and placed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import segno

from engine.drawing.layout import Item, Layout
from engine.drawing.picture import UnfitPicture, read_picture
from engine.drawing.sheet import Area, Code, Filled, Image, Shape, Sheet
from engine.drawing.typeface import Ruler, clean, fonts_of, open_pdf
from engine.drawing.typeset import ELLIPSIS, Width, set_text
from engine.errors import ErrorItem, ValidationFailed

# What scanners need to be white around a code, in modules.
QUIET_ZONE = 4


def compose(layout: Layout, contents: Mapping[str, str], pictures: Mapping[str, bytes]) -> Sheet:
    """Put a sheet together.

    Args:
        layout: What stands where.
        contents: The text of each field that the layout names.
        pictures: The bytes of each picture, by the pointer of its item; an item without one stays empty.

    Raises:
        ValidationFailed: With every content that cannot be drawn: a picture that is none, a text too long for a code.
    """
    texts = {item.pointer: clean(_content(item, contents)) for item in layout.items if item.kind in ("text", "field")}
    shapes: list[Shape] = []
    faults: list[ErrorItem] = []
    with open_pdf(fonts_of([*texts.values(), ELLIPSIS]), layout.width, layout.height) as pdf:
        width = Ruler(pdf).width
        for item in layout.items:
            try:
                shapes.extend(_shapes_of(item, contents, texts, pictures, width))
            except UnfitPicture as unfit:
                faults.append(ErrorItem("type-mismatch", str(unfit), pointer=item.source))
            except segno.DataOverflowError:
                faults.append(ErrorItem("too-long", "The text is too long for a QR code.", pointer=item.source))
    if faults:
        raise ValidationFailed(errors=faults)
    return Sheet(layout.width, layout.height, tuple(shapes))


def _shapes_of(
    item: Item, contents: Mapping[str, str], texts: Mapping[str, str], pictures: Mapping[str, bytes], width: Width
) -> Iterable[Shape]:
    if item.kind == "rect":
        return (Filled(item.area, item.color),)
    if item.kind == "qr":
        return _code(item, _content(item, contents))
    if item.kind == "image":
        return _image(item, pictures.get(item.pointer))
    text, align = texts[item.pointer], item.align or "left"
    return set_text(text, item.area, size_pt=item.size_pt, align=align, color=item.color, width=width)


def _content(item: Item, contents: Mapping[str, str]) -> str:
    return contents.get(item.field, "") if item.field is not None else item.value or ""


def _code(item: Item, text: str) -> Iterable[Shape]:
    if not text:
        return
    made = segno.make(text, micro=False, error="m", boost_error=True)
    rows = tuple(tuple(bool(module) for module in row) for row in made.matrix_iter(border=QUIET_ZONE))
    yield Code(_within(item, 1, 1), rows, item.color)


def _image(item: Item, data: bytes | None) -> Iterable[Shape]:
    if data is None:
        return
    fresh, media_type, width, height = read_picture(data)
    yield Image(_within(item, width, height), fresh, media_type)


def _within(item: Item, width: float, height: float) -> Area:
    """The largest area of these proportions in an item's box; in its middle, unless `align` says otherwise."""
    box = item.area
    scale = min(box.width / width, box.height / height)
    fitted = replace(box, width=width * scale, height=height * scale)
    share = {"left": 0.0, "center": 0.5, "right": 1.0}[item.align or "center"]
    return replace(fitted, x=box.x + (box.width - fitted.width) * share, y=box.y + (box.height - fitted.height) / 2)
