"""The fonts of what Zegel draws itself, and text set in them.

All are under the SIL Open Font Licence and come from packages; each PDF embeds the glyphs it uses. A stack is a list
of fonts: a character is set in the first that has it.

* ``body``, ``bold``: Noto Sans (Latin, Greek, Cyrillic), then FiraGO (Arabic, Hebrew, Devanagari, Thai, Georgian),
  then Cascadia Mono (symbols), then Noto Sans CJK (Chinese, Japanese, Korean);
* ``mono``: Cascadia Mono, for identifiers and hashes;
* ``hand``: Caveat (Latin, Cyrillic), then the italics of the above, for typed signatures.

Invariants:

* No character is dropped: one that no font has is set as U+FFFD, which can be seen.
* Combining marks stay in the font of their base; scripts that join or reorder are shaped by HarfBuzz.
* Characters that are invisible and only steer (direction overrides and the like) are not set, so that a name cannot
  make the text after it read differently.
* What a reader does not show as plain glyphs (shaped or drawn text) says its characters all the same, for search,
  copying and screen readers.
"""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from itertools import groupby

import pymupdf_fonts  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, shapeStr
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts.outlines import draw_outlined, outlined_characters, outlined_width

PLAIN_FONT = "notos"
"""What a canvas begins with, so that no page names a font that is not embedded."""

_OUTLINED = "notocjk"
"""A CFF font, which reportlab cannot embed: its glyphs are drawn as shapes, with the text laid under them."""

_STACKS = {
    "body": ("notos", "figo", "cascadia", _OUTLINED),
    "bold": ("notosbo", "figbo", "cascadia", _OUTLINED),
    "mono": ("cascadia", "notos", "figo", _OUTLINED),
    "hand": ("caveat", "notosit", "figit", "cascadia", _OUTLINED),
}
_MISSING = "\ufffd"
_CACHED_WIDTHS = 65_536
"""Words and characters whose widths are kept: those of some hundred pages of text."""
_RIGHT_TO_LEFT = {"R", "AL"}
_SHAPED_BLOCKS = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Scripts whose letters join, stack or reorder: Hebrew to Arabic, the Indic ones, Thai and Lao, Burmese, Khmer."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text in one font and one direction.

    Args:
        font: Name of the font.
        text: The characters, in the order they are read.
        shaped: Whether HarfBuzz sets it.
    """

    font: str
    text: str
    shaped: bool

    def width(self, size: float) -> float:
        """Width in points at a font size in points."""
        if self.font == _OUTLINED:
            return outlined_width(self.text, size)
        if not self.shaped:
            return float(pdfmetrics.stringWidth(self.text, self.font, size))
        glyphs = shapeStr(self.text, self.font, size, force=True)
        return float(sum(glyph.x_advance for glyph in glyphs.__shapeData__)) * size / 1000

    def draw(self, canvas: Canvas, x: float, y: float, size: float) -> None:
        """Set it with its left end at a point."""
        if self.font == _OUTLINED:
            with _spoken(canvas, self.text):
                draw_outlined(canvas, x, y, self.text, size)
            return
        canvas.setFont(self.font, size)
        if not self.shaped:
            canvas.drawString(x, y, self.text)
            return
        with _spoken(canvas, self.text):
            canvas.drawString(x, y, shapeStr(self.text, self.font, size, force=True))


def preload() -> None:
    """Load all fonts."""
    for stack in _STACKS.values():
        for name in stack:
            _characters(name)


def set_text(text: str, stack: str) -> list[Run]:
    """Prepare one line of text for drawing, in lines that run from left to right.

    Args:
        text: Any text; line breaks and tabs count as spaces.
        stack: Name of a stack of fonts.

    Returns:
        Its runs from left to right.
    """
    if text.isascii() and text.isprintable():  # most of it, and each stack's first font has all of that
        return [Run(_STACKS[stack][0], text, shaped=False)]
    pieces = [(_font(cluster, stack), cluster) for cluster in _clusters(_visible(text))]
    last_resort = _font(_MISSING, stack) or _STACKS[stack][0]
    named = [(font or last_resort, cluster if font else _MISSING) for font, cluster in pieces]
    runs: list[Run] = []
    for right_to_left, part in groupby(_directed(named), key=lambda item: item[2]):
        fonts = [(font, "".join(item[1] for item in items)) for font, items in groupby(part, key=lambda item: item[0])]
        found = [Run(font, text, shaped=right_to_left or _needs_shaping(text)) for font, text in fonts]
        runs.extend(reversed(found) if right_to_left else found)
    return runs


def is_handwriting(text: str) -> bool:
    """Whether the ``hand`` stack sets all of a text in its handwriting font, whose tails are short."""
    return all(run.font == _STACKS["hand"][0] for run in set_text(text, "hand"))


def text_width(text: str, stack: str, size: float) -> float:
    """Width of one line of text in points."""
    return _unit_width(text, stack) * size


@lru_cache(maxsize=_CACHED_WIDTHS)
def _unit_width(text: str, stack: str) -> float:
    """Width at a font size of 1: a text is fitted by trying sizes, and widths grow with them evenly."""
    return sum(run.width(1.0) for run in set_text(text, stack))


def draw_text(  # noqa: PLR0917 - reads like the canvas's own calls
    canvas: Canvas, x: float, y: float, text: str, stack: str, size: float
) -> float:
    """Draw one line of text.

    Args:
        canvas: Where.
        x: Its left end, in points.
        y: Its base line.
        text: What.
        stack: Name of a stack of fonts.
        size: Font size in points.

    Returns:
        Its width in points.
    """
    start = x
    for run in set_text(text, stack):
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
        At least one line.
    """
    return [line for paragraph in text.split("\n") for line in _wrap_paragraph(paragraph, stack, size, width)]


def _wrap_paragraph(text: str, stack: str, size: float, width: float) -> list[str]:
    lines: list[str] = []
    line, used, space = "", 0.0, text_width(" ", stack, size)
    for word in text.split():
        wide = text_width(word, stack, size)
        if line and used + space + wide <= width:
            line, used = f"{line} {word}", used + space + wide
            continue
        if line:
            lines.append(line)
        *whole, line = _break_word(word, stack, size, width) if wide > width else [word]
        lines.extend(whole)
        used = wide if not whole else text_width(line, stack, size)
    return [*lines, line] if line or not lines else lines


def _break_word(word: str, stack: str, size: float, width: float) -> list[str]:
    parts, part, used = [], "", 0.0
    for cluster in _clusters(word):
        wide = text_width(cluster, stack, size)
        if part and used + wide > width:
            parts.append(part)
            part, used = "", 0.0
        part, used = part + cluster, used + wide
    return [*parts, part]


@contextmanager
def _spoken(canvas: Canvas, text: str) -> Iterator[None]:
    """Mark what is drawn as saying a text (``ActualText``, ISO 32000-1, 14.9.4)."""
    # reportlab has no call for marked content.
    canvas._code.append(f"/Span <</ActualText <FEFF{text.encode('utf-16-be').hex().upper()}>>> BDC")  # noqa: SLF001
    yield
    canvas._code.append("EMC")  # noqa: SLF001


@cache
def _characters(name: str) -> frozenset[int]:
    """Load and register a font; the characters it has."""
    if name == _OUTLINED:
        return outlined_characters()
    if name == "caveat":
        data = (resources.files("fontpkg_caveat") / "files" / "Caveat[wght].ttf").read_bytes()
    else:
        data = pymupdf_fonts.myfont(name)
    font = TTFont(name, BytesIO(data), asciiReadable=False)
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)


def _font(cluster: str, stack: str) -> str | None:
    return next((name for name in _STACKS[stack] if all(ord(char) in _characters(name) for char in cluster)), None)


def _visible(text: str) -> str:
    """The text in its composed form, without what only steers, and with plain spaces."""
    composed = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if char.isspace() else char for char in composed)
    return "".join(char for char in spaced if unicodedata.category(char) not in {"Cc", "Cf"})


def _clusters(text: str) -> Iterator[str]:
    cluster = ""
    for char in text:
        if cluster and not unicodedata.category(char).startswith("M"):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


def _strong(cluster: str) -> str | None:
    direction = unicodedata.bidirectional(cluster[0])
    return direction if direction in {"L", "R", "AL"} else None


def _directed(pieces: list[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    """Give each cluster its direction; what has none of its own takes it from both sides, if they agree."""
    strong = [_strong(cluster) for _font_name, cluster in pieces]
    before: list[str | None] = []
    last: str | None = None
    for direction in strong:
        last = direction or last
        before.append(last)
    after: list[str | None] = []
    last = None
    for direction in reversed(strong):
        last = direction or last
        after.append(last)
    both = zip(before, reversed(after), strict=True)
    flags = [left in _RIGHT_TO_LEFT and right in _RIGHT_TO_LEFT for left, right in both]
    return [(font, cluster, flag) for (font, cluster), flag in zip(pieces, flags, strict=True)]


def _needs_shaping(text: str) -> bool:
    return any(low <= ord(char) <= high for char in text for low, high in _SHAPED_BLOCKS) or any(
        unicodedata.combining(char) for char in text
    )
