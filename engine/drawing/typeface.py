"""The shipped fonts: which of them a text needs, and how wide it is.

Widths are those of HarfBuzz by way of fpdf2, so that a line is as wide in a measurement as in the PDF.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.fonts import TTFFont

FOLDER = Path(__file__).parent / "fonts"
# Looked through in this order; the first one that has a letter draws it.
FONTS = {
    "sans": "NotoSans-Regular.ttf",
    "arabic": "NotoSansArabic-Regular.ttf",
    "hebrew": "NotoSansHebrew-Regular.ttf",
    "thai": "NotoSansThai-Regular.ttf",
    "cjk": "DroidSansFallback.ttf",
}
MAIN = "sans"
# Of the main font, in parts of its size.
ASCENT = 1.069
LINE_HEIGHT = 1.25
# Making a subset takes a tenth of a second: names in Western European letters share one.
USUAL = "".join(map(chr, (*range(0x20, 0x7F), *range(0xC0, 0x100)))) + "‘’“”–…"
# What stands for a letter that no font has.
STAND_IN = "\ufffd"
MM_PER_PT = 25.4 / 72
_UNIT_PT = 100.0
# Marks of direction turn a text around unseen; surrogates, controls and what is no character cannot be written as XML.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NEVER = frozenset(("Cc", "Cs", "Cn"))
_UNSEEN = frozenset(("Cf", "Co"))


@lru_cache(maxsize=1)
def _coverage() -> dict[str, frozenset[int]]:
    """The characters of each font."""
    found = {}
    for name, file_name in FONTS.items():
        with TTFont(FOLDER / file_name, lazy=True) as font:
            found[name] = frozenset(font.getBestCmap())
    return found


@lru_cache(maxsize=20_000)
def _font_of(letter: str) -> str | None:
    return next((name for name, covered in _coverage().items() if ord(letter) in covered), None)


def clean(text: str) -> str:
    """A text as it can be drawn: one kind of line break, no controls, a stand-in for what no font has."""
    letters: list[str] = []
    for letter in unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")):
        if letter == "\n":
            letters.append(letter)
        elif letter.isspace():
            letters.append(" ")
        elif letter in _TURNING or unicodedata.category(letter) in _NEVER:
            continue
        elif _font_of(letter) is not None:
            letters.append(letter)
        elif unicodedata.category(letter) not in _UNSEEN:
            letters.append(STAND_IN)
    return "".join(letters)


def fonts_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The fonts that cleaned texts need, the main one first."""
    needed = {_font_of(letter) for letter in set().union(*texts)}
    return tuple(name for name in FONTS if name == MAIN or name in needed)


@contextmanager
def open_pdf(names: tuple[str, ...], width: float, height: float) -> Iterator[FPDF]:
    """An empty PDF page in millimetres that has these fonts, the first one chosen; it closes their files."""
    pdf = FPDF(orientation="portrait", unit="mm", format=(width, height))
    pdf.set_auto_page_break(False)
    pdf.set_margin(0)
    pdf.c_margin = 0
    pdf.add_page()
    for name in names:
        pdf.add_font(name, fname=FOLDER / FONTS[name])
    pdf.set_font(names[0])
    pdf.set_fallback_fonts(list(names[1:]), exact_match=False)
    pdf.set_text_shaping(True)
    try:
        yield pdf
    finally:
        for font in pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()


class Ruler:
    """Measures texts by the fonts that a page has."""

    def __init__(self, pdf: FPDF) -> None:
        self._pdf = pdf
        self._pdf.set_font_size(_UNIT_PT)
        self._known: dict[str, float] = {}

    def width(self, text: str) -> float:
        """How wide a cleaned text without line breaks is, in parts of its size."""
        if text not in self._known:
            self._known[text] = self._pdf.get_string_width(text) / (_UNIT_PT * MM_PER_PT) if text else 0.0
        return self._known[text]


def font_subset(name: str, texts: Iterable[str]) -> bytes:
    """A font with few more letters than these texts need, as WOFF; most texts share one."""
    letters = {letter for text in texts for letter in text if _font_of(letter) == name}
    usual = set(USUAL) if name == MAIN else set()
    return _subset(name, "".join(sorted(letters | usual)))


@lru_cache(maxsize=64)
def _subset(name: str, letters: str) -> bytes:
    options = subset.Options(flavor="woff", hinting=False, notdef_outline=True)
    font = subset.load_font(str(FOLDER / FONTS[name]), options)
    try:
        subsetter = subset.Subsetter(options)
        subsetter.populate(text=letters)
        subsetter.subset(font)
        buffer = io.BytesIO()
        subset.save_font(font, buffer, options)
        return buffer.getvalue()
    finally:
        font.close()
