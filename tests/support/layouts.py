"""Layouts for properties: such as the validator takes, and any JSON that looks a little like one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.drawing.layout import LARGEST_SHEET_MM, SMALLEST_ITEM_MM, SMALLEST_SHEET_MM

FIELDS = ("given_name", "family_name", "affiliation", "code", "printed_on", "id", "event.name", "event.capacity")
COLORS = st.sampled_from(["#000", "#1b2C3d", "white", "RebeccaPurple"])


def _mm(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False, exclude_max=True) | st.integers(int(least) + 1, int(most) - 1)


def _items(width: float, height: float) -> st.SearchStrategy[dict[str, Any]]:
    place = {
        "x_mm": _mm(0, width),
        "y_mm": _mm(0, height),
        "width_mm": _mm(SMALLEST_ITEM_MM, LARGEST_SHEET_MM),
        "height_mm": _mm(SMALLEST_ITEM_MM, LARGEST_SHEET_MM),
    }
    style = {
        "size_pt": st.none() | st.floats(3, 300),
        "align": st.sampled_from([None, "left", "center", "right"]),
        "color": st.none() | COLORS,
    }
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    field = st.sampled_from(FIELDS)
    contents: list[dict[str, st.SearchStrategy[Any]]] = [
        {"kind": st.just("text"), "value": text},
        {"kind": st.just("field"), "field": field},
        {"kind": st.just("qr"), "value": text},
        {"kind": st.just("qr"), "field": field},
        {"kind": st.just("rect")},
    ]
    return st.one_of([st.fixed_dictionaries({**one, **place}, optional=style) for one in contents])


@st.composite
def good_layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Layouts that can be drawn."""
    width, height = (draw(_mm(SMALLEST_SHEET_MM, 200)) for _ in range(2))
    items = draw(st.lists(_items(width, height), max_size=5))
    return {"size": {"width_mm": width, "height_mm": height}, "items": items}


_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_any = st.recursive(_leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@st.composite
def odd_layouts(draw: st.DrawFn) -> Any:
    """Anything, often a layout of which some member was replaced or taken away."""
    document: Any = draw(good_layouts())
    for _ in range(draw(st.integers(0, 3))):
        place, last = document, None
        while isinstance(place, (dict, list)) and place and (last is None or draw(st.booleans())):
            above, last = place, draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            place = above[last]
        if last is None or draw(st.integers(0, 9)) == 0:
            return draw(_any)
        if isinstance(above, dict) and draw(st.booleans()):
            del above[last]
        else:
            above[last] = draw(_any)
    return document
