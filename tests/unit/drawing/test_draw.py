"""What is drawn: the same in three formats, within its boxes, whatever the texts are."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree as ET

import pypdfium2
import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pixels

from engine.drawing import picture
from engine.drawing.compose import compose
from engine.drawing.draw import draw
from engine.drawing.layout import read_layout
from engine.drawing.sheet import Area, Code, Image, Line, Sheet
from engine.drawing.typeface import LINE_HEIGHT, STAND_IN, clean, font_subset, fonts_of
from engine.drawing.typeset import set_text
from engine.errors import ValidationFailed
from tests.support.layouts import FIELDS, good_layouts

SVG = "{http://www.w3.org/2000/svg}"
BOX = Area(10, 20, 40, 12)


def monospaced(text: str) -> float:
    """Each letter is half as wide as high."""
    return len(text) * 0.5


def lines_of(text: str, area: Area = BOX, size_pt: float = 12, align: str = "left") -> tuple[Line, ...]:
    """A text set in a font in which every letter has one width."""
    return set_text(text, area, size_pt=size_pt, align=align, color="#000000", width=monospaced)


def sheet_of(*items: dict[str, Any], contents: dict[str, str] | None = None, **pictures: bytes) -> Sheet:
    """Items on 90 × 55 mm."""
    layout = read_layout({"size": {"width_mm": 90, "height_mm": 55}, "items": list(items)})
    return compose(layout, contents or {}, {f"/items/{name[1:]}": data for name, data in pictures.items()})


def encoded(format: str = "PNG", size: tuple[int, int] = (40, 20), mode: str = "RGB", **more: Any) -> bytes:
    """A picture."""
    out = io.BytesIO()
    Pixels.new(mode, size).save(out, format, **more)
    return out.getvalue()


@settings(max_examples=15)
@given(good_layouts(), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_each_layout_that_is_read_is_drawn_in_each_format(document: dict[str, Any], text: str) -> None:
    layout = read_layout(document)
    contents = dict.fromkeys(FIELDS, text)
    root = ET.fromstring(draw(layout, contents, {}, format="svg"))
    assert root.tag == f"{SVG}svg"
    pdf = pypdfium2.PdfDocument(draw(layout, contents, {}, format="pdf"))
    size = [side / 72 * 25.4 for side in pdf[0].get_size()]
    pdf.close()
    assert size == pytest.approx([layout.width, layout.height], abs=0.05)
    with Pixels.open(io.BytesIO(draw(layout, contents, {}, format="png"))) as image:
        assert image.size == pytest.approx([side / 25.4 * 300 for side in size], abs=1.5)


def test_a_short_text_stands_in_one_line_where_it_is_wanted() -> None:
    for align, x in (("left", 10.0), ("center", 30 - 12 * 25.4 / 72 / 2), ("right", 50 - 12 * 25.4 / 72)):
        (line,) = lines_of("ab", align=align)
        assert line.x == pytest.approx(x)
        assert line.size == pytest.approx(12 * 25.4 / 72)


def test_a_long_text_breaks_between_words_before_it_shrinks() -> None:
    lines = lines_of("one two three four five", size_pt=12)
    assert [line.text for line in lines] == ["one two three four", "five"]
    assert {line.size for line in lines} == {12 * 25.4 / 72}


def test_a_word_that_is_too_wide_shrinks_before_it_breaks() -> None:
    (line,) = lines_of("a" * 24, size_pt=20)
    assert line.text == "a" * 24
    assert 4 * 25.4 / 72 < line.size < 20 * 25.4 / 72


def test_what_finds_no_room_at_the_smallest_size_ends_with_an_ellipsis() -> None:
    lines = lines_of("x" * 299, Area(0, 0, 10, 3))
    assert lines[-1].text.endswith("…")
    assert len(lines) == 1


@given(st.text("ab 日\n", max_size=400), st.floats(0.1, 80), st.floats(0.1, 80), st.floats(3, 60))
def test_lines_stay_within_their_box_as_far_as_letters_can(text: str, width: float, height: float, size: float) -> None:
    area = Area(5, 5, width, height)
    lines = lines_of(text, area, size)
    assert bool(lines) == bool(text.strip())
    for line in lines:
        assert line.width <= width + 1e-6 or len(line.text) <= 2
        assert line.size <= size * 25.4 / 72 + 1e-9
    if len(lines) > 1:
        assert len(lines) * lines[0].size * LINE_HEIGHT <= height + 1e-6


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a\x00b\x07", "ab"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\t\u00a0b", "a  b"),
        ("\u202egpj.exe", "gpj.exe"),
        ("e\u0301", "é"),
        ("\U0001f469", STAND_IN),
        ("\ufffe\ud800", ""),
    ],
)
def test_texts_are_made_such_that_they_can_be_drawn(text: str, drawn: str) -> None:
    assert clean(text) == drawn


def test_only_the_fonts_that_a_text_needs_are_taken() -> None:
    assert fonts_of(["Łódź Ελλάδα Москва"]) == ("sans",)
    assert fonts_of(["山", "علي"]) == ("sans", "arabic", "cjk")
    small, large = font_subset("cjk", ["山田"]), font_subset("cjk", ["山田太郎日本語大学東京"])
    assert len(small) < len(large) < 20_000


def test_codes_are_those_of_segno_with_a_margin_and_can_be_read() -> None:
    item = {
        "kind": "qr",
        "x_mm": 10,
        "y_mm": 5,
        "width_mm": 40,
        "height_mm": 30,
        "value": "héllo https://example.org/?a=1",
    }
    sheet = sheet_of(item)
    (code,) = sheet.shapes
    assert isinstance(code, Code)
    assert code.area == Area(15, 5, 30, 30)
    made = segno.make(item["value"], micro=False, error="m")
    assert [list(row) for row in code.rows] == [[bool(one) for one in row] for row in made.matrix_iter(border=4)]
    layout = read_layout({"size": {"width_mm": 90, "height_mm": 55}, "items": [item]})
    with Pixels.open(io.BytesIO(draw(layout, {}, {}, format="png"))) as image:
        assert [one.text for one in zxingcpp.read_barcodes(image)] == [item["value"]]


def test_a_text_that_no_code_can_hold_is_said_at_its_field() -> None:
    item = {"kind": "qr", "x_mm": 1, "y_mm": 1, "width_mm": 9, "height_mm": 9, "field": "code"}
    with pytest.raises(ValidationFailed) as refused:
        sheet_of(item, contents={"code": "x" * 5_000})
    assert [(error.code, error.pointer) for error in refused.value.errors] == [("too-long", "/items/0/field")]
    assert sheet_of(item, contents={"code": ""}).shapes == ()


def test_a_picture_keeps_its_proportions_and_nothing_but_its_pixels() -> None:
    item = {"kind": "image", "x_mm": 10, "y_mm": 10, "width_mm": 20, "height_mm": 20, "value": "abcdefghijkl"}
    comment = b"<script>alert(1)</script>"
    data = encoded("JPEG", comment=comment)
    assert comment in data
    (shape,) = sheet_of(item, _0=data).shapes
    assert isinstance(shape, Image)
    assert (shape.media_type, shape.area) == ("image/jpeg", Area(10, 15, 20, 10))
    assert comment not in shape.data
    (left,) = sheet_of({**item, "height_mm": 5, "align": "left"}, _0=data).shapes
    assert isinstance(left, Image)
    assert left.area == Area(10, 10, 10, 5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pngs_of_every_kind_are_taken(mode: str) -> None:
    fresh, media_type, width, height = picture.read_picture(encoded(mode=mode))
    assert (media_type, width, height) == ("image/png", 40, 20)
    with Pixels.open(io.BytesIO(fresh)) as image:
        assert image.mode in ("RGB", "RGBA")


def test_large_pictures_become_smaller_and_too_large_ones_are_refused() -> None:
    _, _, width, height = picture.read_picture(encoded("JPEG", (4_000, 2_000)))
    assert (width, height) == (1_600, 800)
    for data in (
        encoded("GIF"),
        encoded("PNG")[:-30],
        b"",
        b"x" * (picture.MAX_BYTES + 1),
        encoded("PNG", (6_000, 6_000)),
    ):
        with pytest.raises(picture.UnfitPicture):
            picture.read_picture(data)


def test_nothing_but_shapes_and_texts_stands_in_an_svg() -> None:
    hostile = "]]></style><script>x</script>&amp;<image href='http://127.0.0.1/'/>"
    layout = read_layout(
        {
            "size": {"width_mm": 90, "height_mm": 55},
            "items": [{"kind": "text", "x_mm": 1, "y_mm": 1, "width_mm": 80, "height_mm": 40, "value": hostile}],
        }
    )
    body = draw(layout, {}, {}, format="svg")
    root = ET.fromstring(body)
    assert {one.tag for one in root.iter()} <= {f"{SVG}{name}" for name in ("svg", "style", "rect", "text")}
    said = "".join(str(one.text) for one in root.iter(f"{SVG}text"))
    assert said.replace(" ", "") == hostile.replace(" ", "")
    assert b"http" not in body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"http://127.0.0.1/", b"", 1)
