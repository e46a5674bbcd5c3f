"""Sets text in the fonts that Zegel draws with.

A stack names the fonts for Latin, Greek and Cyrillic; every other script has its own fonts, the same in all stacks
(:mod:`zegel_server.pdf.fonts.registry`).

* ``body``, ``bold``: Noto Sans;
* ``mono``: Cascadia Mono, for identifiers and hashes;
* ``hand``: Caveat, then the italics of Noto Sans, for typed signatures.

Invariants:

* No character is dropped: one that no font has is shown as its number, such as ``[U+12000]``. What people fill in is
  refused if it has such a character (:func:`unshown`), so this is for text from elsewhere.
* Invisible control characters (direction overrides and the like) are left out, so that a name cannot change how the
  text after it reads.
* Text that is not plain glyphs (shaped or drawn text) still carries its characters, for search, copying and screen
  readers.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts import registry, shaping
from zegel_server.pdf.fonts.itemizing import Stretch, itemize, plain_fonts, prepare, stacks
from zegel_server.pdf.fonts.shaping import Glyph, draw_glyphs, glyphs_width, has_ink, shape
from zegel_server.pdf.fonts.unicode_text import (
    COMMON,
    LEFT_TO_RIGHT_MARK,
    RIGHT_TO_LEFT_MARK,
    clusters,
    reads_right_to_left,
    unbreakable_parts,
)

PLAIN_FONT = "notos"
"""The initial font of a canvas, so that no page refers to a font that is not embedded."""

_CACHED_WIDTHS = 65_536
"""Words and characters whose widths are cached: those of about a hundred pages of text."""

ELLIPSIS = "\u2026"


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text in one font and one direction.

    Args:
        font: Name of the font.
        stretch: The characters.
    """

    font: str
    stretch: Stretch

    @property
    def text(self) -> str:
        """The characters, in the order they are read."""
        return self.stretch.text

    def width(self, size: float) -> float:
        """Width in points at a font size in points."""
        if self.stretch.plain or self.stretch.face is None:
            return float(pdfmetrics.stringWidth(self.text, self.font, size))
        return glyphs_width(self.stretch.face, _glyphs(self.stretch), size)

    def draw(self, canvas: Canvas, x: float, y: float, size: float) -> None:
        """Draw it with its left end at a point."""
        face = self.stretch.face
        if self.stretch.plain or face is None:
            canvas.setFont(self.font, size)
            canvas.drawString(x, y, self.text)
            return
        draw_glyphs(
            canvas, x, y, self.text, face, _glyphs(self.stretch), size, right_to_left=self.stretch.right_to_left
        )


def preload() -> None:
    """Load the fonts of the stacks, and memory-map all others."""
    registry.preload()
    for stack in stacks():
        for name in plain_fonts(stack):
            _register(name)
        set_text("Ana \u5e7e", stack)


def set_text(text: str, stack: str) -> list[Run]:
    """Prepare one line of text for drawing.

    Args:
        text: Any text; line breaks and tabs count as spaces.
        stack: Name of a stack of fonts.

    Returns:
        Its runs from left to right.
    """
    first = plain_fonts(stack)[0]
    _register(first)
    if text.isascii() and text.isprintable():  # most text; the first font of each stack has all of it
        return [Run(first, Stretch(text, COMMON, False, None, plain=True))]
    return [_run(stretch, stack) for stretch in itemize(prepare(text), stack)]


def unshown(text: str) -> str:
    """The first part of a text that cannot be shown.

    Args:
        text: Any text.

    Returns:
        The first cluster that no font has; empty if all of it can be shown.
    """
    if text.isascii():
        return ""
    for stretch in itemize(prepare(text), "body"):
        if stretch.face is None:
            return clusters(stretch.text)[0]
    return ""


def leaves_ink(text: str, stack: str) -> bool:
    """Whether any part of a text is visible.

    Args:
        text: Any text.
        stack: Name of a stack of fonts.
    """
    return any(
        stretch.face is None or has_ink(stretch.face, _glyphs(stretch)) for stretch in itemize(prepare(text), stack)
    )


@lru_cache(maxsize=_CACHED_WIDTHS)
def ink_reach(text: str, stack: str) -> tuple[float, float]:
    """How far a line extends above and below its baseline, if it has scripts with tall or deep letters.

    Args:
        text: The line.
        stack: Name of a stack of fonts.

    Returns:
        Both as fractions of the font size; 0 if all letters are Latin, Greek or Cyrillic.
    """
    stretches = [run.stretch for run in set_text(text, stack) if not run.stretch.plain]
    reaches = [shaping.ink_reach(each.face, _glyphs(each)) for each in stretches if each.face is not None]
    return max((up for up, _down in reaches), default=0.0), max((down for _up, down in reaches), default=0.0)


def is_handwriting(text: str) -> bool:
    """Whether the ``hand`` stack sets a whole text in its handwriting font, which has short descenders."""
    return all(run.font == plain_fonts("hand")[0] for run in set_text(text, "hand"))


def text_width(text: str, stack: str, size: float) -> float:
    """Width of one line of text in points."""
    return _unit_width(text, stack) * size


@lru_cache(maxsize=_CACHED_WIDTHS)
def _unit_width(text: str, stack: str) -> float:
    """Width at a font size of 1: fitting tries several sizes, and the width is proportional to the size."""
    return sum(run.width(1.0) for run in set_text(text, stack))


def draw_text(  # noqa: PLR0917 - reads like the canvas's own calls
    canvas: Canvas, x: float, y: float, text: str, stack: str, size: float
) -> float:
    """Draw one line of text.

    Args:
        canvas: The canvas to draw on.
        x: Its left end, in points.
        y: Its baseline, in points.
        text: The line.
        stack: Name of a stack of fonts.
        size: Font size in points.

    Returns:
        Its width in points.
    """
    start = x
    runs = set_text(text, stack)
    for run in runs:
        run.draw(canvas, x, y, size)
        x += run.width(size)
    return x - start


def wrap_text(text: str, stack: str, size: float, width: float) -> list[str]:
    """Break a text into lines, at spaces where possible.

    Args:
        text: The text; its own line breaks are kept.
        stack: Name of a stack of fonts.
        size: Font size in points.
        width: Longest line in points.

    Returns:
        At least one line. A line that would read in another direction than its paragraph starts with a direction mark.
    """
    found = []
    for paragraph in text.split("\n"):
        back = reads_right_to_left(paragraph)
        lines = _wrap_paragraph(paragraph, stack, size, width)
        mark = RIGHT_TO_LEFT_MARK if back else LEFT_TO_RIGHT_MARK
        found += [line if reads_right_to_left(line) is back else mark + line for line in lines]
    return found


def unbreakable_words(text: str) -> list[str]:
    """The parts of a text that should not be broken across lines.

    Args:
        text: The text.
    """
    return [part for word in text.split() for part in _parts(word)]


def cut_text(text: str, stack: str, size: float, width: float) -> str:
    """Cut a line that is too long, and show that it was cut.

    Args:
        text: The line.
        stack: Name of a stack of fonts.
        size: Font size in points.
        width: Longest line in points.

    Returns:
        The line, or as much of it as fits with an ellipsis after it.
    """
    if text_width(text, stack, size) <= width:
        return text
    return shortened(text, stack, size, width)


def shortened(text: str, stack: str, size: float, width: float) -> str:
    """A line that ends in an ellipsis because text after it is left out.

    Args:
        text: The line.
        stack: Name of a stack of fonts.
        size: Font size in points.
        width: Longest line in points.
    """
    parts = clusters(text)
    while parts and text_width(f"{''.join(parts).rstrip()} {ELLIPSIS}", stack, size) > width:
        parts.pop()
    return f"{''.join(parts).rstrip()} {ELLIPSIS}"


def _wrap_paragraph(text: str, stack: str, size: float, width: float) -> list[str]:
    lines: list[str] = []
    line, used, space = "", 0.0, text_width(" ", stack, size)
    for word in text.split():
        for index, part in enumerate(_parts(word)):
            gap, between = (space, " ") if line and index == 0 else (0.0, "")
            wide = text_width(part, stack, size)
            if line and used + gap + wide <= width:
                line, used = f"{line}{between}{part}", used + gap + wide
                continue
            if line:
                lines.append(line)
            *whole, line = _break_word(part, stack, size, width) if wide > width else [part]
            lines.extend(whole)
            used = wide if not whole else text_width(line, stack, size)
    return [*lines, line] if line or not lines else lines


def _parts(word: str) -> list[str]:
    """The unbreakable parts of a word: the whole word in scripts that put spaces between words."""
    if all(ord(char) < 0x0E00 for char in word):  # noqa: PLR2004 - Thai is the first script without spaces
        return [word]
    return unbreakable_parts(word)


def _break_word(word: str, stack: str, size: float, width: float) -> list[str]:
    parts, part, used = [], "", 0.0
    for cluster in clusters(word):
        wide = text_width(cluster, stack, size)
        if part and used + wide > width:
            parts.append(part)
            part, used = "", 0.0
        part, used = part + cluster, used + wide
    return [*parts, part]


def _run(stretch: Stretch, stack: str) -> Run:
    if stretch.face is None:
        numbers = "".join(f"[U+{ord(char):04X}]" for char in stretch.text)
        return Run(plain_fonts(stack)[0], Stretch(numbers, COMMON, False, None, plain=True))
    if stretch.plain:
        _register(stretch.face.name)
    return Run(stretch.face.name, stretch)


def _glyphs(stretch: Stretch) -> tuple[Glyph, ...]:
    return shape(stretch.face, stretch.text, stretch.script, right_to_left=stretch.right_to_left)


@cache
def _register(name: str) -> None:
    """Register a font with reportlab."""
    pdfmetrics.registerFont(TTFont(name, BytesIO(registry.font_data(name)), asciiReadable=False))
