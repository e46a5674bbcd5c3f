"""Text drawn as shapes, in a font that reportlab cannot embed: Noto Sans CJK, whose outlines are CFF.

Invariants:

* Under the shapes lies invisible text of the same place and width, without which readers would see no text there at
  all.
* The font's file is mapped and not copied: 16 MB that all workers share.
"""

import importlib.util
from functools import cache
from pathlib import Path

import uharfbuzz  # type: ignore[import-untyped]
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject

_PACKAGE, _FILE = "cvttf_NotoSansCJK_Regular", "NotoSansCJKtc-Regular.otf"
_UNDER_FONT = "notos"
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
    left = 0
    for glyph, advance in _glyphs(text):
        path = canvas.beginPath()
        font.draw_glyph(glyph, _pen(), (path, left))
        canvas.drawPath(path, stroke=0, fill=1)
        left += advance
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


_Target = tuple[PDFPathObject, int]


@cache
def _pen() -> uharfbuzz.DrawFuncs:
    pen = uharfbuzz.DrawFuncs()

    def move(x: float, y: float, target: _Target) -> None:
        target[0].moveTo(x + target[1], y)

    def line(x: float, y: float, target: _Target) -> None:
        target[0].lineTo(x + target[1], y)

    # HarfBuzz passes all of them by their places.
    def curve(x1: float, y1: float, x2: float, y2: float, x3: float, y3: float, target: _Target) -> None:  # noqa: PLR0917
        path, left = target
        path.curveTo(x1 + left, y1, x2 + left, y2, x3 + left, y3)

    def close(target: _Target) -> None:
        target[0].close()

    pen.set_move_to_func(move)
    pen.set_line_to_func(line)
    pen.set_cubic_to_func(curve)
    pen.set_close_path_func(close)
    return pen
