"""What a layout may say: its size and its items, read from JSON with every fault at its place.

A layout is ``{"size": {"width_mm", "height_mm"}, "items": [{"kind", "x_mm", "y_mm", "width_mm", "height_mm", …}]}``.
What its fields are, and what stands in them, is known to whoever has it read.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from PIL import ImageColor

from engine.drawing.sheet import Area
from engine.errors import ErrorItem, ValidationFailed

Kind = Literal["text", "field", "qr", "image", "rect"]
Align = Literal["left", "center", "right"]
# Which of `value` and `field` an item of a kind takes: one of them exactly.
SOURCES: dict[Kind, tuple[str, ...]] = {
    "text": ("value",),
    "field": ("field",),
    "qr": ("value", "field"),
    "image": ("value", "field"),
    "rect": (),
}
ALIGNS: tuple[Align, ...] = ("left", "center", "right")
SMALLEST_SHEET_MM, LARGEST_SHEET_MM = 10.0, 300.0
SMALLEST_ITEM_MM = 0.1
SMALLEST_PT, LARGEST_PT = 3.0, 300.0
DEFAULT_PT = 12.0
MAX_ITEMS = 100
MAX_TEXT = 300
MAX_CODE = 1_000
MAX_FAULTS = 100

_PUBLIC_ID = re.compile(r"[A-Za-z0-9_-]{11,64}")
_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
_PLACE = ("x_mm", "y_mm", "width_mm", "height_mm")
_KEYS = ("kind", *_PLACE, "value", "field", "size_pt", "align", "color")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on a sheet.

    Attributes:
        pointer: Where it stands in the document.
        value: A text, what a code says, or the public id of a picture.
        field: The field that gives it instead.
        align: None = as is usual for the kind.
        color: ``#rrggbb``.
    """

    pointer: str
    kind: Kind
    area: Area
    value: str | None
    field: str | None
    size_pt: float
    align: Align | None
    color: str

    @property
    def source(self) -> str:
        """Where its content is named."""
        return f"{self.pointer}/{'field' if self.field is not None else 'value'}"


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout without faults, sizes in millimetres."""

    width: float
    height: float
    items: tuple[Item, ...]


# What is wrong with the name of a field: a sentence, and what may have been meant; None = nothing.
CheckField = Callable[[str], tuple[str, tuple[str, ...]] | None]


def read_layout(document: object, *, pointer: str = "", check_field: CheckField = lambda path: None) -> Layout:
    """Read a layout.

    Args:
        document: As JSON gave it.
        pointer: Where it stands; before the place of each fault.
        check_field: Judges the name of a field.

    Raises:
        ValidationFailed: With every fault, `MAX_FAULTS` at most.
    """
    reader = _Reader(check_field)
    layout = reader.read(document, pointer)
    if layout is None or reader.faults:
        raise ValidationFailed(errors=reader.faults[:MAX_FAULTS])
    return layout


class _Reader:
    """Reads one document and keeps what is wrong with it."""

    def __init__(self, check_field: CheckField) -> None:
        self.faults: list[ErrorItem] = []
        self.check_field = check_field

    def fault(self, code: str, pointer: str, detail: str, suggestions: tuple[str, ...] = ()) -> None:
        self.faults.append(ErrorItem(code, detail, pointer=pointer, suggestions=suggestions))

    def read(self, document: object, pointer: str) -> Layout | None:
        whole = self.members(document, pointer, ("size", "items"))
        if whole is None:
            return None
        width = height = None
        size = self.required(whole, "size", pointer)
        if size is not None and (sides := self.members(size, f"{pointer}/size", ("width_mm", "height_mm"))) is not None:
            width, height = (
                self.number(sides, name, f"{pointer}/size", SMALLEST_SHEET_MM, LARGEST_SHEET_MM)
                for name in ("width_mm", "height_mm")
            )
        items: list[Item] = []
        listed = self.required(whole, "items", pointer)
        if listed is not None and not isinstance(listed, list):
            self.fault("type-mismatch", f"{pointer}/items", f"Items are a list, not {_name(listed)}.")
        elif isinstance(listed, list):
            if len(listed) > MAX_ITEMS:
                detail = f"{len(listed)} items are too many: a layout has {MAX_ITEMS} at most."
                self.fault("too-long", f"{pointer}/items", detail)
            for index, one in enumerate(listed[:MAX_ITEMS]):
                item = self.item(one, f"{pointer}/items/{index}", width, height)
                if item is not None:
                    items.append(item)
        if width is None or height is None:
            return None
        return Layout(width, height, tuple(items))

    def item(self, document: object, pointer: str, width: float | None, height: float | None) -> Item | None:
        given = self.members(document, pointer, _KEYS)
        if given is None:
            return None
        kind = self.kind(given, pointer)
        x, y = (
            self.number(given, name, pointer, 0, LARGEST_SHEET_MM if most is None else most, is_open=most is not None)
            for name, most in (("x_mm", width), ("y_mm", height))
        )
        sides = [self.number(given, name, pointer, SMALLEST_ITEM_MM, LARGEST_SHEET_MM) for name in _PLACE[2:]]
        size_pt = DEFAULT_PT
        if given.get("size_pt") is not None:
            size_pt = self.number(given, "size_pt", pointer, SMALLEST_PT, LARGEST_PT) or DEFAULT_PT
        align = given.get("align")
        if align is not None and align not in ALIGNS:
            self.fault("not-in-enum", f"{pointer}/align", f"{_show(align)} is none of {', '.join(ALIGNS)}.")
        color = self.color(given, pointer)
        value, path = (None, None) if kind is None else self.content(given, kind, pointer)
        if kind is None or x is None or y is None or sides[0] is None or sides[1] is None:
            return None
        area = Area(x, y, sides[0], sides[1])
        return Item(pointer, kind, area, value, path, size_pt, cast(Align | None, align), color)

    def kind(self, given: Mapping[str, object], pointer: str) -> Kind | None:
        kind = self.required(given, "kind", pointer)
        if kind is None:
            return None
        if not isinstance(kind, str) or kind not in SOURCES:
            close = difflib.get_close_matches(kind, SOURCES, n=1) if isinstance(kind, str) else []
            detail = f"{_show(kind)} is no kind of item: there are {', '.join(SOURCES)}."
            self.fault("not-in-enum", f"{pointer}/kind", detail, tuple(close))
            return None
        return kind

    def content(self, given: Mapping[str, object], kind: Kind, pointer: str) -> tuple[str | None, str | None]:
        """Its `value` and `field`, one of which is there."""
        taken = SOURCES[kind]
        for name in ("value", "field"):
            if name not in taken and given.get(name) is not None:
                self.fault("unknown-field", f"{pointer}/{name}", f"An item of the kind {kind} takes no {name}.")
        there = [name for name in taken if given.get(name) is not None]
        if taken and len(there) != 1:
            wanted = " or ".join(taken)
            code, much = ("required", "needs") if not there else ("parent-mismatch", "takes one alone:")
            self.fault(code, f"{pointer}/{taken[0]}", f"An item of the kind {kind} {much} {wanted}.")
            return None, None
        value = self.value(given["value"], kind, f"{pointer}/value") if "value" in there else None
        path = self.path(given["field"], f"{pointer}/field") if "field" in there else None
        return value, path

    def value(self, value: object, kind: Kind, pointer: str) -> str | None:
        if kind == "image" and not (isinstance(value, str) and _PUBLIC_ID.fullmatch(value)):
            code = "pattern" if isinstance(value, str) else "type-mismatch"
            detail = f"{_show(value)} is not the id of a file: an id is text of 11 to 64 letters, digits, _ or -."
            self.fault(code, pointer, detail)
            return None
        if not isinstance(value, str):
            self.fault("type-mismatch", pointer, f"A value is text, not {_name(value)}.")
            return None
        most = MAX_CODE if kind == "qr" else MAX_TEXT
        if len(value) > most:
            self.fault("too-long", pointer, f"The value has {len(value)} characters; {most} are possible.")
            return None
        return value

    def path(self, path: object, pointer: str) -> str | None:
        if not isinstance(path, str):
            detail = f"A field is said by its name, as text; this is {_name(path)}."
            self.fault("type-mismatch", pointer, detail)
            return None
        wrong = (
            self.check_field(path)
            if len(path) <= MAX_TEXT and _PATH.fullmatch(path)
            else (f"{_show(path)} is no name of a field.", ())
        )
        if wrong is not None:
            self.fault("unknown-field", pointer, *wrong)
            return None
        return path

    def color(self, given: Mapping[str, object], pointer: str) -> str:
        color = given.get("color")
        if color is None:
            return "#000000"
        if isinstance(color, str):
            if _HEX.fullmatch(color):
                digits = color[1:].lower()
                return f"#{digits if len(digits) == 6 else ''.join(digit * 2 for digit in digits)}"
            named = ImageColor.colormap.get(color.lower()) if len(color) < 40 else None
            if isinstance(named, str):
                return named.lower()
        detail = f"{_show(color)} is no colour: write #rrggbb, #rgb or a colour's name in CSS."
        self.fault("pattern", f"{pointer}/color", detail)
        return "#000000"

    def members(self, document: object, pointer: str, keys: tuple[str, ...]) -> Mapping[str, Any] | None:
        if not isinstance(document, dict):
            self.fault("type-mismatch", pointer, f"This is an object with {', '.join(keys)}, not {_name(document)}.")
            return None
        for key in document:
            if key not in keys:
                close = tuple(difflib.get_close_matches(str(key)[:MAX_TEXT], keys, n=1))
                detail = f"{_show(key)} is not known here: there are {', '.join(keys)}."
                self.fault("unknown-field", f"{pointer}/{_escape(str(key))}", detail, close)
        return document

    def required(self, given: Mapping[str, object], name: str, pointer: str) -> object:
        value = given.get(name)
        if value is None:
            self.fault("required", f"{pointer}/{name}", f"{name} is missing.")
        return value

    def number(
        self, given: Mapping[str, object], name: str, pointer: str, least: float, most: float, *, is_open: bool = False
    ) -> float | None:
        value = self.required(given, name, pointer)
        if value is None:
            return None
        place = f"{pointer}/{name}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault("type-mismatch", place, f"{name} is a number, not {_name(value)}.")
            return None
        if not _fits(value) or not least <= value <= most or (is_open and value == most):
            beyond = f"from {least:g} to less than {most:g}" if is_open else f"from {least:g} to {most:g}"
            self.fault("out-of-range", place, f"{name} is {beyond}, not {_show(value)}.")
            return None
        return float(value)


def _fits(value: float) -> bool:
    return (abs(value) < 1e9) if isinstance(value, int) else math.isfinite(value)


def _show(value: object) -> str:
    """A value of the document, short enough for a sentence."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else "so large a number"
    if isinstance(value, str):
        return f"{value[:40]!r}{'…' if len(value) > 40 else ''}"
    return str(value) if isinstance(value, float) else _name(value)


def _name(value: object) -> str:
    names: Iterator[tuple[type, str]] = iter(
        ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "text"), (list, "a list"))
    )
    return next((name for kind, name in names if isinstance(value, kind)), "null" if value is None else "an object")


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
