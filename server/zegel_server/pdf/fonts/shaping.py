"""Shapes text into glyphs with HarfBuzz, and draws them.

TrueType fonts are embedded as subsets of the glyphs used. Glyphs of other fonts (in practice Noto Sans CJK, of 16 MB)
are drawn as filled outlines.

Invariants:

* Every part of a text is shaped in the direction, script and font that it was given; nothing is guessed.
* Where glyphs do not map one to one to characters, the text they show is attached to them (``ActualText``).
* Outlines have invisible text of the same position and width under them; without it, readers would find no text there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

import uharfbuzz  # type: ignore[import-untyped]
from reportlab.lib.rl_accel import fp_str
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts.glyph_fonts import GlyphFont, can_be_embedded, font_in
from zegel_server.pdf.fonts.registry import Face
from zegel_server.pdf.fonts.unicode_text import mirrored

_UNDER_FONT = "notos"
_KEPT_SHAPES = 4_096
"""Outlines that are cached: more glyphs than a newspaper uses, about 2 MB."""
_KEPT_TEXTS = 16_384
"""Shaped texts that are cached: clusters, words and short lines, about 10 MB."""
_INVISIBLE = 3
"""Text rendering mode: neither fill nor stroke."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A glyph and its position.

    Args:
        number: Its number in the font; 0 is the box shown for a missing glyph.
        advance: Distance to the next glyph, in the font's units.
        right: How far to the right of its position it is drawn, in the font's units.
        up: How far above its position it is drawn, in the font's units.
        first: Index of the first character that it represents, alone or together with its neighbours.
    """

    number: int
    advance: int
    right: int
    up: int
    first: int


@lru_cache(maxsize=_KEPT_TEXTS)
def shape(face: Face, text: str, script: str, *, right_to_left: bool) -> tuple[Glyph, ...]:
    """Choose and place the glyphs of a text.

    Args:
        face: The font.
        text: The characters, in the order they are read.
        script: Their script, as its four letters in ISO 15924.
        right_to_left: Their direction.

    Returns:
        The glyphs from left to right.
    """
    buffer = uharfbuzz.Buffer()
    buffer.add_str(text)
    buffer.direction = "rtl" if right_to_left else "ltr"
    buffer.script = script
    buffer.language = "und"
    buffer.cluster_level = uharfbuzz.BufferClusterLevel.MONOTONE_CHARACTERS  # each mark keeps its own character
    uharfbuzz.shape(face.font, buffer)
    infos, positions = buffer.glyph_infos, buffer.glyph_positions
    return tuple(
        Glyph(info.codepoint, place.x_advance, place.x_offset, place.y_offset, info.cluster)
        for info, place in zip(infos, positions, strict=True)
    )


def lacks_glyphs(glyphs: tuple[Glyph, ...]) -> bool:
    """Whether the font lacks a glyph for any part of a text.

    Args:
        glyphs: The text, shaped.
    """
    return any(glyph.number == 0 for glyph in glyphs)


def has_ink(face: Face, glyphs: tuple[Glyph, ...]) -> bool:
    """Whether any of these glyphs is visible.

    Args:
        face: Their font.
        glyphs: The glyphs.
    """
    return any(_shape(face, glyph.number) != "n" for glyph in glyphs)


def glyphs_width(face: Face, glyphs: tuple[Glyph, ...], size: float) -> float:
    """Width of glyphs in points.

    Args:
        face: Their font.
        glyphs: The glyphs.
        size: Font size in points.
    """
    return sum(glyph.advance for glyph in glyphs) * size / face.units


def ink_reach(face: Face, glyphs: tuple[Glyph, ...]) -> tuple[float, float]:
    """How far glyphs extend above and below the baseline.

    Args:
        face: Their font.
        glyphs: The glyphs.

    Returns:
        Both as fractions of the font size, at least 0.
    """
    up = down = 0.0
    for glyph in glyphs:
        extents = face.font.get_glyph_extents(glyph.number)
        if extents is not None and extents.height:
            top = glyph.up + extents.y_bearing
            up, down = max(up, top), max(down, -(top + extents.height))
    return up / face.units, down / face.units


def by_character(text: str, glyphs: tuple[Glyph, ...]) -> list[tuple[str, tuple[Glyph, ...]]]:
    """Divide glyphs into the smallest parts that each represent their own characters.

    Args:
        text: The text that was shaped.
        glyphs: The glyphs.

    Returns:
        Each part's characters and glyphs, from left to right.
    """
    starts = sorted({glyph.first for glyph in glyphs})
    ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
    groups = ((first, tuple(each)) for first, each in groupby(glyphs, key=lambda glyph: glyph.first))
    return [(text[first : ends[first]], each) for first, each in groups]


def draw_glyphs(  # noqa: PLR0917 - reads like the canvas's own calls
    canvas: Canvas,
    x: float,
    y: float,
    text: str,
    face: Face,
    glyphs: tuple[Glyph, ...],
    size: float,
    *,
    right_to_left: bool,
) -> None:
    """Draw glyphs so that readers can also search and copy their text.

    Args:
        canvas: The canvas to draw on.
        x: Their left end, in points.
        y: Their baseline, in points.
        text: The text that was shaped.
        face: Their font.
        glyphs: The glyphs.
        size: Font size in points.
        right_to_left: The direction of the text.
    """
    if can_be_embedded(face):
        _draw_in_font(canvas, x, y, text, face, glyphs, size, right_to_left=right_to_left)
        return
    with spoken(canvas, text):
        _draw_as_shapes(canvas, x, y, text, face, glyphs, size)


def _draw_in_font(  # noqa: PLR0917 - as above
    canvas: Canvas,
    x: float,
    y: float,
    text: str,
    face: Face,
    glyphs: tuple[Glyph, ...],
    size: float,
    *,
    right_to_left: bool,
) -> None:
    font, scale = font_in(canvas, face), size / face.units
    # Readers reorder right-to-left text themselves, glyph by glyph, and ignore ActualText inside it; in other runs the
    # glyphs may be in a different order than their characters.
    parts = by_character(text, glyphs) if right_to_left else [(text, glyphs)]
    for said, members in parts:
        code = [f"BT /{font.name} {fp_str(size)} Tf"]
        for glyph in members:
            at = fp_str(x + glyph.right * scale, y + glyph.up * scale)
            code.append(f"1 0 0 1 {at} Tm <{glyph.number:04X}> Tj")
            x += glyph.advance * scale
        drawn = "\n".join([*code, "ET"])
        if _says_itself(font, said, members, right_to_left=right_to_left):
            canvas._code.append(drawn)  # noqa: SLF001 - reportlab has no call for glyphs
        elif said.strip("\u200c\u200d"):
            with spoken(canvas, said):
                canvas._code.append(drawn)  # noqa: SLF001 - the same


def _says_itself(font: GlyphFont, text: str, glyphs: tuple[Glyph, ...], *, right_to_left: bool) -> bool:
    """Whether the font's ``/ToUnicode`` alone gives readers this text; enters glyphs that are not in it yet."""
    plain = right_to_left and len(glyphs) == 1
    for said, members in [(text, glyphs)] if right_to_left else by_character(text, glyphs):
        # Readers mirror brackets again when they restore the order.
        shown = mirrored(said) if right_to_left and len(said) == 1 else said
        for index, glyph in enumerate(members):
            plain = font.says(glyph.number, shown if index == 0 else "") and plain
    return plain


def _draw_as_shapes(  # noqa: PLR0917 - as above
    canvas: Canvas, x: float, y: float, text: str, face: Face, glyphs: tuple[Glyph, ...], size: float
) -> None:
    width = glyphs_width(face, glyphs, size)
    dots = "." * len(text)
    under = canvas.beginText(x, y)
    under.setFont(_UNDER_FONT, size)
    under.setTextRenderMode(_INVISIBLE)
    under.setHorizScale(max(1.0, 100 * width / stringWidth(dots, _UNDER_FONT, size)))
    under.textOut(dots)
    under.setHorizScale(100)
    under.setTextRenderMode(0)
    canvas.drawText(under)
    scale = size / face.units
    canvas.saveState()
    canvas.transform(scale, 0, 0, scale, x, y)
    # reportlab would build the path again for each glyph; its code is the same each time.
    code = canvas._code  # noqa: SLF001 - reportlab has no call for that
    for glyph in glyphs:
        if glyph.right or glyph.up:
            code.append(f"1 0 0 1 {glyph.right} {glyph.up} cm")
        code.append(_shape(face, glyph.number))
        code.append(f"1 0 0 1 {glyph.advance - glyph.right} {-glyph.up} cm")
    canvas.restoreState()


@contextmanager
def spoken(canvas: Canvas, text: str) -> Iterator[None]:
    """Attach a text to whatever is drawn inside (``ActualText``, ISO 32000-1, 14.9.4)."""
    # reportlab has no call for marked content.
    canvas._code.append(f"/Span <</ActualText <FEFF{text.encode('utf-16-be').hex().upper()}>>> BDC")  # noqa: SLF001
    yield
    canvas._code.append("EMC")  # noqa: SLF001


@lru_cache(maxsize=_KEPT_SHAPES)
def _shape(face: Face, glyph: int) -> str:
    """The content that fills a glyph, in the font's units."""
    code: list[str] = []
    face.font.draw_glyph(glyph, _pen(), code)
    return " ".join([*code, "f"] if code else ["n"])


@cache
def _pen() -> uharfbuzz.DrawFuncs:
    pen = uharfbuzz.DrawFuncs()

    def move(x: float, y: float, code: list[str]) -> None:
        code.append(f"{x:g} {y:g} m")

    def line(x: float, y: float, code: list[str]) -> None:
        code.append(f"{x:g} {y:g} l")

    # HarfBuzz passes all of them as positional arguments.
    def curve(x1: float, y1: float, x2: float, y2: float, x3: float, y3: float, code: list[str]) -> None:  # noqa: PLR0917
        code.append(f"{x1:g} {y1:g} {x2:g} {y2:g} {x3:g} {y3:g} c")

    def close(code: list[str]) -> None:
        code.append("h")

    pen.set_move_to_func(move)
    pen.set_line_to_func(line)
    pen.set_cubic_to_func(curve)
    pen.set_close_path_func(close)
    return pen
