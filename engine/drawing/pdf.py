"""A sheet as PDF, by fpdf2: texts can be selected, its fonts are embedded as far as they are used."""

from __future__ import annotations

import io

from fpdf import FPDF

from engine.drawing.sheet import Code, Filled, Image, Line, Sheet, runs
from engine.drawing.typeface import MM_PER_PT, fonts_of, open_pdf


def draw_pdf(sheet: Sheet) -> bytes:
    """Draw a sheet on one page of its size."""
    names = fonts_of(shape.text for shape in sheet.shapes if isinstance(shape, Line))
    with open_pdf(names, sheet.width, sheet.height) as pdf:
        for shape in sheet.shapes:
            match shape:
                case Filled(area, color):
                    _fill(pdf, area.x, area.y, area.width, area.height, color)
                case Line():
                    _write(pdf, shape)
                case Code():
                    _draw_code(pdf, shape)
                case Image(area, data):
                    pdf.image(io.BytesIO(data), area.x, area.y, area.width, area.height)
        return bytes(pdf.output())


def _fill(pdf: FPDF, x: float, y: float, width: float, height: float, color: str) -> None:
    pdf.set_fill_color(color)
    pdf.rect(x, y, width, height, style="F")


def _write(pdf: FPDF, line: Line) -> None:
    pdf.set_text_color(line.color)
    pdf.set_font_size(line.size / MM_PER_PT)
    # A cell as high as its text sets the baseline where `_baseline` of fpdf2 has it: 0.3 of the size below the middle.
    pdf.set_xy(line.x, line.baseline - line.size * (0.5 + 0.3))
    pdf.cell(w=max(line.width, 0.01), h=line.size, text=line.text, align="L")


def _draw_code(pdf: FPDF, code: Code) -> None:
    area = code.area
    _fill(pdf, area.x, area.y, area.width, area.height, "#ffffff")
    pdf.set_fill_color(code.color)
    side = area.width / len(code.rows)
    for index, row in enumerate(code.rows):
        for start, length in runs(row):
            pdf.rect(area.x + start * side, area.y + index * side, length * side, side, style="F")
