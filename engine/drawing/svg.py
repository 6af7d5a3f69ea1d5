"""A sheet as SVG 1.1: texts are texts, in fonts that are embedded as far as they are used. No script, no link."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

from engine.drawing.sheet import Area, Code, Filled, Image, Line, Sheet, runs
from engine.drawing.typeface import font_subset, fonts_of

NAMESPACE = "http://www.w3.org/2000/svg"
FAMILY = "Badge"


def draw_svg(sheet: Sheet) -> bytes:
    """Draw a sheet; one unit is a millimetre."""
    root = ET.Element(
        "svg",
        {
            "xmlns": NAMESPACE,
            "version": "1.1",
            "width": f"{_number(sheet.width)}mm",
            "height": f"{_number(sheet.height)}mm",
            "viewBox": f"0 0 {_number(sheet.width)} {_number(sheet.height)}",
        },
    )
    texts = [shape.text for shape in sheet.shapes if isinstance(shape, Line)]
    names = fonts_of(texts) if texts else ()
    if names:
        ET.SubElement(root, "style").text = "".join(_face(name, texts) for name in names)
    families = ", ".join([*(f"'{FAMILY} {name}'" for name in names), "sans-serif"])
    ET.SubElement(root, "rect", {**_place(Area(0, 0, sheet.width, sheet.height)), "fill": "#ffffff"})
    for shape in sheet.shapes:
        match shape:
            case Filled(area, color):
                ET.SubElement(root, "rect", {**_place(area), "fill": color})
            case Line():
                attributes = {
                    "x": _number(shape.x),
                    "y": _number(shape.baseline),
                    "font-size": _number(shape.size),
                    "font-family": families,
                    "fill": shape.color,
                }
                ET.SubElement(root, "text", attributes).text = shape.text
            case Code():
                _draw_code(root, shape)
            case Image(area, data, media_type):
                link = f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
                # The old name of the link is the one that every reader knows.
                root.set("xmlns:xlink", "http://www.w3.org/1999/xlink")
                ET.SubElement(root, "image", {**_place(area), "preserveAspectRatio": "none", "xlink:href": link})
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _face(name: str, texts: list[str]) -> str:
    data = base64.b64encode(font_subset(name, texts)).decode("ascii")
    return f"@font-face{{font-family:'{FAMILY} {name}';src:url(data:font/woff;base64,{data}) format('woff')}}"


def _draw_code(root: ET.Element, code: Code) -> None:
    side = code.area.width / len(code.rows)
    path = "".join(
        f"M{start} {index}h{length}v1h-{length}z" for index, row in enumerate(code.rows) for start, length in runs(row)
    )
    ET.SubElement(root, "rect", {**_place(code.area), "fill": "#ffffff"})
    move = f"translate({_number(code.area.x)} {_number(code.area.y)}) scale({side:.6g})"
    ET.SubElement(root, "path", {"d": path, "transform": move, "fill": code.color, "shape-rendering": "crispEdges"})


def _place(area: Area) -> dict[str, str]:
    names = {"x": area.x, "y": area.y, "width": area.width, "height": area.height}
    return {name: _number(value) for name, value in names.items()}


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
