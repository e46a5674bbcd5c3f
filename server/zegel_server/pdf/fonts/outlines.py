"""Text drawn as shapes, in a font that reportlab cannot embed: Noto Sans CJK, whose outlines are CFF.

Invariants:

* Under the shapes lies invisible text of the same place and width, without which readers would see no text there at
  all.
* The font's file is mapped and not copied: 16 MB that all workers share.
"""

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import uharfbuzz  # type: ignore[import-untyped]
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

_PACKAGE, _FILE = "cvttf_NotoSansCJK_Regular", "NotoSansCJKtc-Regular.otf"
_UNDER_FONT = "notos"
_KEPT_SHAPES = 4_096
"""Glyphs whose shapes are kept: more than a newspaper uses, some 2 MB."""
_INVISIBLE = 3
"""Text rendering mode: neither fill nor stroke."""


def outlined_characters() -> frozenset[int]:
    """The characters the font has."""
    return frozenset(cjk_font().face.unicodes)


def outlined_width(text: str, size: float) -> float:
    """Width of a text in points at a font size in points."""
    return float(sum(advance for _glyph, advance in _glyphs(text)) * size / cjk_font().face.upem)


def draw_outlined(canvas: Canvas, x: float, y: float, text: str, size: float) -> None:
    """Draw a text with its left end at a point."""
    font = cjk_font()
    scale = size / font.face.upem
    under = canvas.beginText(x, y)
    under.setFont(_UNDER_FONT, size)
    under.setTextRenderMode(_INVISIBLE)
    dots = "." * len(text)
    under.setHorizScale(100 * outlined_width(text, size) / stringWidth(dots, _UNDER_FONT, size))
    under.textOut(dots)
    under.setHorizScale(100)
    under.setTextRenderMode(0)
    canvas.drawText(under)
    canvas.saveState()
    canvas.transform(scale, 0, 0, scale, x, y)
    for glyph, advance in _glyphs(text):
        # reportlab builds a path point by point for each glyph; a glyph's own code is the same each time.
        canvas._code.append(_shape(glyph))  # noqa: SLF001 - it has no call for that
        canvas._code.append(f"1 0 0 1 {advance} 0 cm")  # noqa: SLF001 - the same
    canvas.restoreState()


def _glyphs(text: str) -> list[tuple[int, int]]:
    """Glyph and advance of each character; these scripts need no shaping."""
    font = cjk_font()
    glyphs = [font.get_nominal_glyph(ord(char)) or 0 for char in text]
    return [(glyph, font.get_glyph_h_advance(glyph)) for glyph in glyphs]


@cache
def cjk_font() -> uharfbuzz.Font:
    """The font, mapped once for the process."""
    specification = importlib.util.find_spec(_PACKAGE)
    if specification is None or specification.origin is None:
        raise ModuleNotFoundError(_PACKAGE)
    path = Path(specification.origin).parent / _FILE
    return uharfbuzz.Font(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path))))


@lru_cache(maxsize=_KEPT_SHAPES)
def _shape(glyph: int) -> str:
    """The content that fills a glyph, in the font's units."""
    code: list[str] = []
    cjk_font().draw_glyph(glyph, _pen(), code)
    return " ".join([*code, "f"] if code else ["n"])


@cache
def _pen() -> uharfbuzz.DrawFuncs:
    pen = uharfbuzz.DrawFuncs()

    def move(x: float, y: float, code: list[str]) -> None:
        code.append(f"{x:g} {y:g} m")

    def line(x: float, y: float, code: list[str]) -> None:
        code.append(f"{x:g} {y:g} l")

    # HarfBuzz passes all of them by their places.
    def curve(x1: float, y1: float, x2: float, y2: float, x3: float, y3: float, code: list[str]) -> None:  # noqa: PLR0917
        code.append(f"{x1:g} {y1:g} {x2:g} {y2:g} {x3:g} {y3:g} c")

    def close(code: list[str]) -> None:
        code.append("h")

    pen.set_move_to_func(move)
    pen.set_line_to_func(line)
    pen.set_cubic_to_func(curve)
    pen.set_close_path_func(close)
    return pen
