"""The faces that substitute for fonts that a PDF does not embed, and their glyphs.

* The 14 standard fonts: PDFium's own substitutes for them (BSD), which pdf.js uses too. They are read from the library,
  so no font files have to be shipped for them.
* Characters that those lack: Noto Sans, Noto's mathematics and symbols, and Noto Sans CJK (SIL Open Font Licence), from
  the packages that also serve :mod:`zegel_server.pdf.fonts.typesetting`.

Invariants:

* Fonts installed on the machine are never used: PDFium is given no system fonts, for the whole process.
* Nothing is read from disk after :func:`preload`.
"""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import pymupdf_fonts  # type: ignore[import-untyped]
import pypdfium2  # type: ignore[import-untyped]
from fontTools import agl
from fontTools.cffLib import CFFFontSet
from fontTools.pens.recordingPen import DecomposingRecordingPen, RecordingPen
from fontTools.ttLib import TTFont
from reportlab.pdfbase import _fontdata

from zegel_server.pdf.comparison import drawing
from zegel_server.pdf.fonts.registry import cjk_font

STANDARD = (
    *("Helvetica", "Helvetica-Bold", "Helvetica-Oblique", "Helvetica-BoldOblique"),
    *("Times-Roman", "Times-Bold", "Times-Italic", "Times-BoldItalic"),
    *("Courier", "Courier-Bold", "Courier-Oblique", "Courier-BoldOblique"),
    *("Symbol", "ZapfDingbats"),
)
"""The fonts that every reader has (ISO 32000-1, 9.6.2.2)."""

CJK = "cjk"
_FURTHER = {"plain": "notos", "bold": "notosbo", "italic": "notosit", "bolditalic": "notosbi"}
_SYMBOLS = ("math", "symbol2", "symbol1")

_SAME = {
    "\xa0": " ",
    "\xad": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u2206": "\u0394",
    "\u2126": "\u03a9",
    "\xb5": "\u03bc",
    "\uf6be": "\u0237",  # private-use code of the dotless j before Unicode had one
}
"""Characters that look alike: where a face lacks the first, the second is shown."""

Move = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The shape of a glyph. Each is created once, so that two are equal only if they are the same object.

    Args:
        advance: Its width, in thousandths of the font size.
        moves: The calls to a fontTools pen that draw it, in the same unit.
    """

    advance: float
    moves: tuple[Move, ...]


class Face:
    """One font that glyphs are taken from.

    Args:
        glyphs: fontTools' glyph set.
        names: The glyph names that a PDF may use.
        characters: Glyph names by code point.
        units: Units per em.
    """

    def __init__(
        self, glyphs: Mapping[str, Any], names: Iterable[str], characters: Mapping[int, str], units: float
    ) -> None:
        self._glyphs = glyphs
        self._names = frozenset(names)
        self._characters = characters
        self._scale = 1000 / units
        self._drawn: dict[str, Outline] = {}

    def named(self, name: str) -> Outline | None:
        """The glyph with a name; ``None`` if there is none."""
        return self._draw(name) if name in self._names else None

    def of(self, char: str) -> Outline | None:
        """The glyph of a character; ``None`` if there is none."""
        glyph = self._characters.get(ord(char)) or self._characters.get(ord(_SAME.get(char, char)))
        return self._draw(glyph) if glyph else None

    def _draw(self, glyph: str) -> Outline:
        found = self._drawn.get(glyph)
        if found is None:
            source = self._glyphs[glyph]
            pen = DecomposingRecordingPen(self._glyphs)
            source.draw(pen)
            found = self._drawn[glyph] = _scaled(source.width, pen.value, self._scale)
        return found


class _Mapped(Face):
    """The font for East Asia, 16 MB, which HarfBuzz has mapped already for what the server draws itself."""

    def __init__(self) -> None:
        super().__init__({}, (), {}, cjk_font().face.upem)

    def of(self, char: str) -> Outline | None:
        glyph = cjk_font().get_nominal_glyph(ord(char))
        if not glyph:
            return None
        found = self._drawn.get(char)
        if found is None:
            pen = RecordingPen()
            cjk_font().draw_glyph_with_pen(glyph, pen)
            found = self._drawn[char] = _scaled(cjk_font().get_glyph_h_advance(glyph), pen.value, self._scale)
        return found


def _scaled(width: float, moves: Iterable[Move], scale: float) -> Outline:
    # A closed quadratic curve without an on-curve point ends in None.
    return Outline(
        width * scale,
        tuple(
            (move, tuple(point and (point[0] * scale, point[1] * scale) for point in points)) for move, points in moves
        ),
    )


def standard_widths(name: str) -> Mapping[str, int]:
    """Widths of a standard font by glyph name, as its Adobe Font Metrics give them."""
    return _fontdata.widthsByFontGlyph[name]  # type: ignore[no-any-return]


def standard_height(name: str) -> tuple[int, int]:
    """Ascent and descent of a standard font."""
    ascent, descent = _fontdata.ascent_descent[name]
    return (ascent, descent) if ascent else (800, -200)


def base_encoding(name: str) -> tuple[str | None, ...]:
    """Glyph names of the codes 0 to 255 in an encoding such as ``WinAnsiEncoding`` (ISO 32000-1, Annex D)."""
    return tuple(_fontdata.encodings[name])


@cache
def face(name: str) -> Face:
    """A face by the name of its standard font, or by a name that :func:`chain` returns.

    Args:
        name: Such as ``Times-Bold``.
    """
    if name in STANDARD:
        fonts = CFFFontSet()
        fonts.decompile(BytesIO(_standard_program(name)), None)
        glyphs = fonts[0].CharStrings
        names = [glyph for glyph in glyphs.keys() if glyph != ".notdef"]  # noqa: SIM118 - it is no mapping
        for glyph in names:  # a charstring knows its width only once it has been drawn
            glyphs[glyph].width = standard_widths(name).get(glyph, 0)
        characters: dict[int, str] = {}
        for glyph in names:
            text = agl.toUnicode(glyph, isZapfDingbats=name == "ZapfDingbats")
            if len(text) == 1:
                characters.setdefault(ord(text), glyph)
        return Face(glyphs, names, characters, 1000)
    if name == CJK:
        return _Mapped()
    font = TTFont(BytesIO(pymupdf_fonts.myfont(name)), lazy=True)
    return Face(font.getGlyphSet(), (), font.getBestCmap(), font["head"].unitsPerEm)


def chain(name: str) -> tuple[str, ...]:
    """Names of the faces to search for a character, best first.

    Args:
        name: Name of the standard font to start from.
    """
    style = ("bold" if "Bold" in name else "") + ("italic" if "Italic" in name or "Oblique" in name else "")
    return (name, _FURTHER[style or "plain"], *_SYMBOLS, "Symbol", "ZapfDingbats", CJK)


@cache
def _standard_program(name: str) -> bytes:
    """The font program that PDFium uses for a standard font: a bare CFF table."""
    raw = pypdfium2.raw
    drawing.preload()
    document = raw.FPDF_CreateNewDocument()
    try:
        font = raw.FPDFText_LoadStandardFont(document, name.encode())
        size = ctypes.c_size_t()
        raw.FPDFFont_GetFontData(font, None, 0, size)
        data = (ctypes.c_uint8 * size.value)()
        raw.FPDFFont_GetFontData(font, data, size.value, size)
        raw.FPDFFont_Close(font)
    finally:
        raw.FPDF_CloseDocument(document)
    return bytes(data)


def preload() -> None:
    """Load all faces."""
    for name in STANDARD:
        face(name)
    for name in {further for font in STANDARD for further in chain(font)}:
        face(name)
