"""Glyphs: what HarfBuzz makes of a text in a font, and those glyphs drawn.

TrueType fonts are embedded, as far as their glyphs are used; of others, which is Noto Sans CJK with its 16 MB, glyphs
are drawn as shapes.

Invariants:

* Every part of a text is shaped in the direction, script and font that it has been given; nothing is guessed.
* Glyphs that are not each for characters of their own are said to be their text (``ActualText``).
* Under shapes lies invisible text of the same place and width, without which readers would see no text there at all.
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
"""Glyphs whose shapes are kept: more than a newspaper uses, some 2 MB."""
_KEPT_TEXTS = 16_384
"""Shaped texts that are kept: clusters, words and short lines, some 10 MB."""
_INVISIBLE = 3
"""Text rendering mode: neither fill nor stroke."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A glyph in its place.

    Args:
        number: Its number in the font; 0 is the box that stands for what the font does not have.
        advance: How far the next one is from it, in the font's units.
        right: How far to the right of its place it is drawn.
        up: How far above its place it is drawn.
        first: The index of the first character that it stands for, alone or with the glyphs beside it.
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
    buffer.cluster_level = uharfbuzz.BufferClusterLevel.MONOTONE_CHARACTERS  # each mark says itself
    uharfbuzz.shape(face.font, buffer)
    infos, positions = buffer.glyph_infos, buffer.glyph_positions
    return tuple(
        Glyph(info.codepoint, place.x_advance, place.x_offset, place.y_offset, info.cluster)
        for info, place in zip(infos, positions, strict=True)
    )


def lacks_glyphs(glyphs: tuple[Glyph, ...]) -> bool:
    """Whether the font does not have all of a text.

    Args:
        glyphs: What was made of it.
    """
    return any(glyph.number == 0 for glyph in glyphs)


def has_ink(face: Face, glyphs: tuple[Glyph, ...]) -> bool:
    """Whether anything of glyphs can be seen.

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
    """How far the ink of glyphs reaches above and below the base line.

    Args:
        face: Their font.
        glyphs: The glyphs.

    Returns:
        Both as shares of the font size, at least 0.
    """
    up = down = 0.0
    for glyph in glyphs:
        extents = face.font.get_glyph_extents(glyph.number)
        if extents is not None and extents.height:
            top = glyph.up + extents.y_bearing
            up, down = max(up, top), max(down, -(top + extents.height))
    return up / face.units, down / face.units


def by_character(text: str, glyphs: tuple[Glyph, ...]) -> list[tuple[str, tuple[Glyph, ...]]]:
    """Divide glyphs into the smallest parts that each stand for characters of their own.

    Args:
        text: What the glyphs are made of.
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
    """Draw glyphs, with invisible text under them.

    Args:
        canvas: Where.
        x: Their left end, in points.
        y: Their base line.
        text: What they are made of.
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
    # What runs from right to left readers put into order themselves, by what each glyph says, and do not look into
    # what is said of it; in other runs glyphs may stand in another order than their characters.
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
    """Whether readers take glyphs for a text by what the font says of them; it says so if nothing else is said."""
    plain = right_to_left and len(glyphs) == 1
    for said, members in [(text, glyphs)] if right_to_left else by_character(text, glyphs):
        # Readers turn brackets back together with the order.
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
    # reportlab builds a path point by point for each glyph; a glyph's own code is the same each time.
    code = canvas._code  # noqa: SLF001 - it has no call for that
    for glyph in glyphs:
        if glyph.right or glyph.up:
            code.append(f"1 0 0 1 {glyph.right} {glyph.up} cm")
        code.append(_shape(face, glyph.number))
        code.append(f"1 0 0 1 {glyph.advance - glyph.right} {-glyph.up} cm")
    canvas.restoreState()


@contextmanager
def spoken(canvas: Canvas, text: str) -> Iterator[None]:
    """Mark what is drawn as saying a text (``ActualText``, ISO 32000-1, 14.9.4)."""
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
