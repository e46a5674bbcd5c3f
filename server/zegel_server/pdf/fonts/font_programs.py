"""Font programs made of single glyphs: CFF tables, as a PDF embeds them (ISO 32000-1, 9.9; Adobe TN 5176).

Invariants:

* The same glyphs make the same bytes.
* A simple font's program maps each code to its glyph by its own encoding and by glyph name, so that it makes no
  difference whether a reader uses the program's encoding or the PDF's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from types import SimpleNamespace

from fontTools.cffLib import (
    CFFFontSet,
    CharStrings,
    FDArrayIndex,
    FDSelect,
    FontDict,
    GlobalSubrsIndex,
    PrivateDict,
    TopDict,
    TopDictIndex,
)
from fontTools.misc.psCharStrings import T2CharString
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen

from zegel_server.pdf.fonts.fallbacks import Part

MAX_STRETCH = 1.3
"""Largest factor by which a glyph is widened: Verdana is 1.16 times as wide as Helvetica; more is letterspacing."""

_NOTDEF = ".notdef"
_VERSION = SimpleNamespace(recalcBBoxes=False, isLoaded=lambda _tag: False)
"""Stands for the font around a table, which fontTools asks for; there is none."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A glyph that is ready to be written.

    Args:
        charstring: Its Type 2 charstring.
        box: Left, bottom, right and top of its points; ``None`` for a blank glyph.
    """

    charstring: bytes
    box: tuple[float, float, float, float] | None


@lru_cache(maxsize=16_384)
def glyph(parts: tuple[Part, ...], advance: float, *, stretch: bool) -> Glyph:
    """Draw a glyph to fit an advance.

    A glyph that is wider is narrowed, as all readers do with substitute fonts.

    Args:
        parts: Its outlines.
        advance: The advance, in thousandths of the font size.
        stretch: Whether it may also be widened, and centred in the space that is left.
    """
    own = max((part.left + part.outline.advance for part in parts), default=0)
    scale = min(advance / own, MAX_STRETCH if stretch else 1.0) if advance > 0 and own > 0 else 1.0
    shift = (advance - own * scale) / 2 if stretch and advance > own * scale else 0.0
    pen = T2CharStringPen(round(advance), None)
    xs: list[float] = []
    ys: list[float] = []
    for part in parts:
        matrix = (scale, 0, 0, 1, shift + part.left * scale, 0)
        target = TransformPen(pen, matrix) if scale != 1 or matrix[4] else pen
        for move, points in part.outline.moves:
            getattr(target, move)(*points)
            xs.extend(shift + (part.left + point[0]) * scale for point in points if point)
            ys.extend(point[1] for point in points if point)
    charstring = pen.getCharString()
    charstring.compile()
    return Glyph(bytes(charstring.bytecode), (min(xs), min(ys), max(xs), max(ys)) if xs else None)


def font_box(glyphs: Sequence[Glyph]) -> tuple[int, int, int, int]:
    """The bounding box of all glyphs."""
    boxes = [item.box for item in glyphs if item.box] or [(0.0, 0.0, 0.0, 0.0)]
    left, bottom, right, top = zip(*boxes, strict=True)
    return int(min(left)) - 1, int(min(bottom)) - 1, int(max(right)) + 1, int(max(top)) + 1


def simple_program(name: str, codes: Mapping[int, tuple[str, Glyph]]) -> bytes:
    """The program of a simple font.

    Args:
        name: Its name.
        codes: Name and glyph of each code; names are unique.
    """
    encoding = [codes[code][0] if code in codes else _NOTDEF for code in range(256)]
    table, top = _table(name, dict(codes.values()))
    top.Encoding = encoding
    top.Private = PrivateDict()
    top.CharStrings.private = top.Private
    for charstring in top.CharStrings.charStrings.values():
        charstring.private = top.Private
    return _compiled(table)


def cid_program(name: str, cids: Mapping[int, Glyph]) -> bytes:
    """The program of a CID-keyed font.

    Args:
        name: Its name.
        cids: The glyph of each CID.
    """
    table, top = _table(name, {f"cid{cid:05}": cids[cid] for cid in sorted(cids) if cid})
    top.ROS = ("Adobe", "Identity", 0)
    top.CIDCount = max(cids, default=0) + 1
    part = FontDict()
    part.FontName = name
    part.Private = PrivateDict()
    top.FDArray = FDArrayIndex()
    top.FDArray.append(part)
    top.FDSelect = FDSelect()
    top.FDSelect.format = 3
    top.FDSelect.gidArray = [0] * len(top.charset)
    top.CharStrings.fdArray = top.FDArray
    top.CharStrings.fdSelect = top.FDSelect
    for charstring in top.CharStrings.charStrings.values():
        charstring.private = part.Private
        charstring.fdSelectIndex = 0
    return _compiled(table)


def _table(name: str, glyphs: Mapping[str, Glyph]) -> tuple[CFFFontSet, TopDict]:
    table = CFFFontSet()
    table.major, table.minor = 1, 0
    table.otFont = _VERSION
    table.fontNames = [name]
    table.GlobalSubrs = GlobalSubrsIndex()
    table.topDictIndex = TopDictIndex()
    top = TopDict()
    table.topDictIndex.append(top)
    top.charset = [_NOTDEF, *glyphs]
    top.GlobalSubrs = table.GlobalSubrs
    top.FontBBox = list(font_box(list(glyphs.values())))
    drawn = {key: T2CharString(bytecode=item.charstring, globalSubrs=table.GlobalSubrs) for key, item in glyphs.items()}
    empty = T2CharString(program=[0, "endchar"], globalSubrs=table.GlobalSubrs)
    empty.compile()
    top.CharStrings = CharStrings(None, top.charset, table.GlobalSubrs, None, None, None)
    top.CharStrings.charStrings = {_NOTDEF: empty, **drawn}
    return table, top


def _compiled(table: CFFFontSet) -> bytes:
    out = BytesIO()
    table.compile(out, _VERSION)
    return out.getvalue()
