"""A sheet as PNG: its PDF, drawn by PDFium. Not safe for several threads at once, as PDFium is not."""

from __future__ import annotations

import io

import pypdfium2

from engine.drawing.pdf import draw_pdf
from engine.drawing.sheet import Sheet

DPI = 300


def draw_png(sheet: Sheet) -> bytes:
    """Draw a sheet at 300 dots per inch, on white."""
    document = pypdfium2.PdfDocument(draw_pdf(sheet))
    try:
        bitmap = document[0].render(scale=DPI / 72)
        out = io.BytesIO()
        bitmap.to_pil().save(out, "PNG", dpi=(DPI, DPI))
        return out.getvalue()
    finally:
        document.close()
