"""Layouts are read with every fault at its place, and nothing else happens, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from engine.drawing.layout import MAX_FAULTS, read_layout
from engine.drawing.sheet import Area
from engine.errors import ErrorItem, ValidationFailed
from tests.support.layouts import good_layouts, odd_layouts

PLACE = {"x_mm": 1, "y_mm": 2.5, "width_mm": 30, "height_mm": 10}


def layout(*items: dict[str, Any]) -> dict[str, Any]:
    """A layout of 90 × 55 mm."""
    return {"size": {"width_mm": 90, "height_mm": 55}, "items": list(items)}


def faults_of(document: object, **more: Any) -> dict[str, str]:
    """Code by pointer."""
    with pytest.raises(ValidationFailed) as refused:
        read_layout(document, **more)
    return {str(error.pointer): error.code for error in refused.value.errors}


@given(good_layouts())
def test_what_can_be_drawn_is_read(document: dict[str, Any]) -> None:
    read = read_layout(document)
    assert [item.kind for item in read.items] == [item["kind"] for item in document["items"]]


@given(odd_layouts())
def test_anything_else_is_refused_with_places_in_it(document: Any) -> None:
    errors: tuple[ErrorItem, ...] = ()
    try:
        read_layout(document, pointer="/layout")
    except ValidationFailed as refused:
        errors = refused.errors or (ErrorItem("", ""),)
    assert len(errors) <= MAX_FAULTS
    assert all(str(error.pointer).startswith("/layout") for error in errors)


def test_an_item_is_read_with_its_defaults() -> None:
    (item,) = read_layout(layout({"kind": "text", **PLACE, "value": "Hi", "align": None})).items
    assert item.area == Area(1, 2.5, 30, 10)
    assert (item.value, item.field, item.size_pt, item.align, item.color) == ("Hi", None, 12, None, "#000000")


@pytest.mark.parametrize(
    ("color", "read"), [("#AbC", "#aabbcc"), ("#aBcDeF", "#abcdef"), ("Red", "#ff0000"), ("rebeccapurple", "#663399")]
)
def test_colours_become_one_form(color: str, read: str) -> None:
    assert read_layout(layout({"kind": "rect", **PLACE, "color": color})).items[0].color == read


@pytest.mark.parametrize("color", ["#12", "#1234", "rgb(1,2,3)", "url(#x)", "red;", 7, True, "x" * 1_000])
def test_what_is_no_colour_is_refused(color: object) -> None:
    assert faults_of(layout({"kind": "rect", **PLACE, "color": color})) == {"/items/0/color": "pattern"}


@pytest.mark.parametrize("number", [-1, 0, True, "5", None, 10**30, float("inf"), float("nan"), 301])
def test_sizes_are_numbers_within_bounds(number: object) -> None:
    (pointer,) = faults_of(layout({"kind": "rect", **PLACE, "width_mm": number}))
    assert pointer == "/items/0/width_mm"


def test_a_field_is_judged_by_whoever_knows_the_fields() -> None:
    document = layout({"kind": "field", **PLACE, "field": "nmae"}, {"kind": "qr", **PLACE, "field": "name"})
    assert read_layout(document).items[0].field == "nmae"
    with pytest.raises(ValidationFailed) as refused:
        read_layout(document, check_field=lambda path: None if path == "name" else ("No.", ("name",)))
    (error,) = refused.value.errors
    assert (error.code, error.pointer, error.suggestions) == ("unknown-field", "/items/0/field", ("name",))


def test_all_faults_are_said_at_once_with_what_may_have_been_meant() -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_layout({"sizes": {}, "items": [{"kind": "txt", "a/b~": 1}, {**PLACE, "kind": "qr", "value": "x" * 1_001}]})
    said = {(error.pointer, error.code, error.suggestions) for error in refused.value.errors}
    assert ("/sizes", "unknown-field", ("size",)) in said
    assert ("/size", "required", ()) in said
    assert ("/items/0/kind", "not-in-enum", ("text",)) in said
    assert ("/items/0/a~1b~0", "unknown-field", ()) in said
    assert ("/items/0/x_mm", "required", ()) in said
    assert ("/items/1/value", "too-long", ()) in said


def test_an_item_that_needs_one_source_takes_no_two() -> None:
    both = {"kind": "qr", **PLACE, "value": "x", "field": "y"}
    assert faults_of(layout(both)) == {"/items/0/value": "parent-mismatch"}
    assert faults_of(layout({"kind": "text", **PLACE, "field": "y"})) == {
        "/items/0/field": "unknown-field",
        "/items/0/value": "required",
    }
