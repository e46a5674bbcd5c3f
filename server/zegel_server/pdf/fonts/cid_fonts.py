"""What a composite font that is not embedded shows, where that can be determined (ISO 32000-1, 9.7).

Two kinds can: those whose ``/ToUnicode`` says what each code is, and those that number the glyphs of a font of Windows
in the order that all of its core fonts share. What goes by a predefined CMap or a character collection is left.

Invariants:

* Codes are their CIDs (``Identity-H`` or ``-V``): nothing of the content or the widths changes.
* A code that is shown and has no text or no glyph leaves the whole font as it was.
"""

import re
from dataclasses import dataclass

import pikepdf
from fontTools import agl
from fontTools.ttLib.standardGlyphOrder import standardGlyphOrder

from zegel_server.pdf.fonts.fallbacks import Part, compose
from zegel_server.pdf.fonts.simple_fonts import BLANK, MAX_WIDTH, choose_face, integer, number, plain_name, word
from zegel_server.pdf.fonts.to_unicode import read_to_unicode
from zegel_server.pdf.fonts.used_codes import Scan

MAX_GLYPHS = 3_000
"""Glyphs of one font: the characters in common use in Japan; drawing so many takes a second."""

MAX_WIDTHS = 65_536
"""Elements of ``/W`` that are read."""

_DEFAULT_WIDTH = 1000
_CORE = re.compile(r"(arial|timesnewroman|couriernew)(mt|ps|psmt|bold|italic|bolditalic|regular)*$")
"""Fonts of Windows whose first glyphs stand in the order of the first TrueType fonts."""

_FIRST_GLYPH = 3
"""The glyphs before it are no characters."""


_CYRILLIC, _FIRST_CYRILLIC = range(0x410, 0x450), 570
"""The letters of Russian, and the glyph that the first one is."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite font, read.

    Args:
        face: The standard font whose face stands in.
        texts: The characters of each CID.
        parts: The outlines of each CID.
        widths: Advance of each CID that has outlines, in thousandths of the font size.
        stretch: Whether glyphs are made wider to fill their widths.
    """

    face: str
    texts: dict[int, str]
    parts: dict[int, tuple[Part, ...]]
    widths: dict[int, float]
    stretch: bool


def descendant(font: pikepdf.Object) -> pikepdf.Dictionary | None:
    """The CIDFont of a composite font."""
    fonts = font.get("/DescendantFonts")
    first = fonts[0] if isinstance(fonts, pikepdf.Array) and len(fonts) else None
    return first if isinstance(first, pikepdf.Dictionary) else None


def read_composite(font: pikepdf.Object, scan: Scan) -> Composite | None:
    """Find out what a composite font's codes show.

    Args:
        font: A font dictionary of the kind ``Type0`` whose CIDFont has no font file.
        scan: Tells which codes are shown.

    Returns:
        Its CIDs; ``None`` if they cannot be determined, or no face has one of its glyphs.
    """
    inner = descendant(font)
    if inner is None or word(font.get("/Encoding")) not in {"Identity-H", "Identity-V"}:
        return None
    name = plain_name(inner) or plain_name(font)
    face = choose_face(name, inner.get("/FontDescriptor"), even=False)
    if face is None:
        return None
    core = bool(_CORE.match(re.sub(r"[^a-z]", "", name.lower())))
    texts = _windows() if core and _is_numbered(inner) else {}
    texts |= {code: text for code, text in read_to_unicode(font.get("/ToUnicode")).items() if text}
    used = scan.codes(font) if texts else None
    if used is None or len(used) > MAX_GLYPHS:
        return None
    given = _given_widths(inner.get("/W"))
    default = number(inner.get("/DW"))
    parts: dict[int, tuple[Part, ...]] = {}
    widths: dict[int, float] = {}
    for cid in sorted(used):
        text = texts.get(cid, "")
        if (text or not given.get(cid, 1)) and BLANK.fullmatch(text):
            continue
        found = compose(face, text) if text else None
        if found is None:
            return None
        parts[cid] = found[0]
        widths[cid] = min(max(given.get(cid, _DEFAULT_WIDTH if default is None else default), 0), MAX_WIDTH)
    shown = {cid: texts[cid] for cid in sorted(used) if cid in texts}
    return Composite(face, shown, parts, widths, stretch=not core)


def _windows() -> dict[int, str]:
    """Texts by glyph, as far as the core fonts of Windows agree."""
    named = enumerate(standardGlyphOrder[_FIRST_GLYPH:], _FIRST_GLYPH)
    found = {glyph: agl.toUnicode(name) for glyph, name in named}
    found |= {glyph: chr(char) for glyph, char in enumerate(_CYRILLIC, _FIRST_CYRILLIC)}
    return {glyph: text for glyph, text in found.items() if text}


def _is_numbered(inner: pikepdf.Dictionary) -> bool:
    """Whether CIDs are glyphs of a TrueType font."""
    return word(inner.get("/Subtype")) == "CIDFontType2" and word(inner.get("/CIDToGIDMap")) in {"", "Identity"}


def _given_widths(array: pikepdf.Object | None) -> dict[int, float]:
    """Read ``/W`` (ISO 32000-1, 9.7.4.3)."""
    found: dict[int, float] = {}
    items = list(array)[:MAX_WIDTHS] if isinstance(array, pikepdf.Array) else []
    while len(items) > 1 and len(found) < MAX_WIDTHS:
        first = integer(items[0])
        if isinstance(items[1], pikepdf.Array):
            for cid, item in enumerate(list(items[1])[:MAX_WIDTHS], first):
                found[cid] = number(item) or 0
            del items[:2]
        else:
            width = number(items[2]) if len(items) > 2 else None  # noqa: PLR2004 - first, last, width
            last = min(integer(items[1]), first + MAX_WIDTHS)
            found.update(dict.fromkeys(range(first, last + 1), width or 0))
            del items[:3]
    return found
