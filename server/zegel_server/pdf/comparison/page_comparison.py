"""Comparing one page of an original with the rendition's (docs/adr/0018).

Invariants:

* Ink that is gone without replacement is never explained away, neither by an annotation over it nor by another font.
* What explains a difference is looked for only where there is a gross one.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from PIL import Image

from zegel_server.pdf.comparison.comparing import (
    WINDOW,
    changed,
    differences,
    has_ink,
    other_colour,
    picture,
    vanished,
)
from zegel_server.pdf.comparison.drawing import BAND_PIXELS, DrawnPage, Size, Word, closely, fit, missing_words
from zegel_server.pdf.comparison.reader_drawn import ReaderDrawn
from zegel_server.pdf.refusal import Refusal, RefusedError

_SIZE_PART, _SIZE_POINTS = 0.001, 0.5
"""How much two sizes of one page may differ: as much as rounding explains."""

_LINE = 4
"""Rows or columns of pixels that count as one line: fewer than any line of print has."""

_MOST_CLOSELY = 200
"""Missing words of one page that are looked at closely: an invisible layer of text that is gone has thousands."""

_OVERHANG = 2
"""Pixels by which letters of another font may reach beyond a word's own."""

_MARGIN = 2 * WINDOW + 2
"""Rows above and below a band that its measures also read."""


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

_Line = tuple[str, bool, int]
"""A word's text, whether its line runs across the page, and which line or column it is."""


@dataclass(slots=True)
class _Band:
    """Some rows of a page, drawn twice: the first one's number, how many, and four bytes a pixel of each."""

    top: int
    rows: int
    one: bytes
    other: bytes

    @property
    def equal(self) -> bool:
        return self.one == self.other


class PageComparison:
    """One page, compared with another.

    Args:
        one: The original's.
        other: The rendition's.
        factor: What the usual resolution is multiplied with.
        reader_drawn: Finds what the original's leaves to its reader; asked only where the pages differ grossly.
    """

    def __init__(
        self, one: DrawnPage, other: DrawnPage, factor: float, reader_drawn: Callable[[Size], list[ReaderDrawn]]
    ) -> None:
        if not (_close(one.width, other.width) and _close(one.height, other.height)):
            raise RefusedError(Refusal.DIFFERS)
        self._one, self._other = one, other
        self._size = fit(one.width, one.height, factor)
        self._reader_drawn = reader_drawn
        self._window = max(round(WINDOW * min(self._size.width / one.width, 1.0)), 1)

    def share(self) -> float:
        """The share of the page that differs, from 0 to 1.

        Raises:
            RefusedError: It differs too much.
        """
        missing = self._missing()
        differing = 0
        rows = max(BAND_PIXELS // self._size.width, 1)
        for top in range(0, self._size.height, rows):
            bottom = min(top + rows, self._size.height)
            band = self._band(top, bottom)
            if band.equal and not missing:
                continue
            one, other = (picture(data, self._size.width, band.rows) for data in (band.one, band.other))
            if not band.equal:
                found = differences(one, other, top - band.top, bottom - band.top, window=self._window)
                if found.gross:
                    self._explain(one, other, top, bottom)
                differing += found.pixels
            for word in missing:
                box = within(word.box, band.top, band.rows)
                differing += self._unread(word, box, one, other) if box else 0
        self._look_closely(missing)
        return min(differing / (self._size.width * self._size.height), 1.0)

    # --------------------------------------------------------------------------------------------------------- pictures

    def _explain(self, one: Image.Image, other: Image.Image, top: int, bottom: int) -> None:
        """Compare again without what readers draw as they like: annotations left to them, text in their own fonts.

        Raises:
            RefusedError: That does not explain it.
        """
        above = max(top - _MARGIN, 0)
        rest = one.copy()
        bare = picture(self._one.band(self._size, above, above + one.height, bare=True), *one.size)
        for item in self._left:
            box = within((item.left, item.top, item.right, item.bottom), above, one.height)
            if box is None:
                continue
            writing = within(item.writing, above, one.height) if item.writing else None
            blank = writing is not None and has_ink(one, writing) and not has_ink(other, writing)
            if blank or vanished(bare, one, other, box):
                raise RefusedError(Refusal.DIFFERS)
            rest.paste(other.crop(box), box[:2])
        for box in self._lent_places(rest.copy(), other, above):
            rest.paste(other.crop(box), box[:2])
        if differences(rest, other, top - above, bottom - above, window=self._window).gross:
            raise RefusedError(Refusal.DIFFERS)

    @cached_property
    def _left(self) -> list[ReaderDrawn]:
        return self._reader_drawn(self._size)

    def _lent_places(self, one: Image.Image, other: Image.Image, top: int) -> Iterator[Box]:
        """Where the words are that a reader draws in a font of its own, in the original and in the rendition.

        Such a font has other shapes than the one in the rendition, and if the file gives no widths, its words stand
        elsewhere in their line.

        Raises:
            RefusedError: Nothing is where one was, or what is there has another colour, or it is not in that line.
        """
        words, later = self._lent
        for word in words:
            box = within(_wider(word.box, self._size), top, one.height)
            if box is None or not has_ink(one, box):
                continue  # hidden, or elsewhere
            likenesses = later.get(_line(word), ())
            if not has_ink(other, box) or other_colour(one, other, box) or not (likenesses or word.guessed):
                raise RefusedError(Refusal.DIFFERS)
            yield box
            for each in likenesses:
                found = within(_wider(each.box, self._size), top, one.height)
                if found is not None:
                    yield found

    @cached_property
    def _lent(self) -> tuple[list[Word], dict[_Line, list[Word]]]:
        """The original's words in a reader's own font, and those of the rendition by the lines that they touch."""
        words = [word for word in self._one.placed_words(self._size) if word.lent]
        later: dict[_Line, list[Word]] = {}
        for word in self._other.placed_words(self._size) if words else ():
            text = _once(word.text)
            for row in range(word.top // _LINE, word.bottom // _LINE + 1):
                later.setdefault((text, True, row), []).append(word)
            for column in range(word.left // _LINE, word.right // _LINE + 1):
                later.setdefault((text, False, column), []).append(word)
        return words, later

    # ------------------------------------------------------------------------------------------------------------ words

    def _missing(self) -> list[Word]:
        """The words that can no longer be copied, except those that could not be read reliably before.

        Without the font a reader guesses what some codes mean, and takes a letter drawn over the same letter for one.
        """
        before, after = self._one.words(), self._other.words()
        missing = missing_words(before, after)
        if not missing:
            return []
        fewer = Counter(map(_once, before)) - Counter(map(_once, after))
        return [
            word
            for word in self._one.placed_words(self._size)
            if word.text in missing and not word.guessed and not (word.lent and _once(word.text) not in fewer)
        ]

    def _unread(self, word: Word, box: Box, one: Image.Image, other: Image.Image) -> int:
        """The area of a word that can be seen as before, and no longer be copied.

        Raises:
            RefusedError: It can neither be copied nor seen as before.
        """
        if changed(one, other, box):
            if not self._is_covered(word):
                raise RefusedError(Refusal.DIFFERS)
            return 0
        # What is hidden, outside of the page or drawn in no colour was not read by anybody before.
        return (box[2] - box[0]) * (box[3] - box[1]) if has_ink(one, box) else 0

    def _look_closely(self, missing: list[Word]) -> None:
        """Check missing words again where the page is drawn too small to tell one digit from another.

        Raises:
            RefusedError: One cannot be seen as before.
        """
        size = closely(self._one.width, self._one.height)
        if not missing or size.width <= self._size.width or len(missing) > _MOST_CLOSELY:
            return
        across, upright = size.width / self._size.width, size.height / self._size.height
        for word in missing:
            box = (
                *(math.floor(word.left * across), math.floor(word.top * upright)),
                *(math.ceil(word.right * across), math.ceil(word.bottom * upright)),
            )
            width, height = box[2] - box[0], box[3] - box[1]
            if width * height <= BAND_PIXELS and not self._is_covered(word):
                one, other = (picture(page.part(size, box), width, height) for page in (self._one, self._other))
                if changed(one, other, (0, 0, width, height)):
                    raise RefusedError(Refusal.DIFFERS)

    def _is_covered(self, word: Word) -> bool:
        """Whether something that readers draw as they like lies over a word."""
        return any(
            item.left < word.right and word.left < item.right and item.top < word.bottom and word.top < item.bottom
            for item in self._left
        )

    def _band(self, top: int, bottom: int) -> _Band:
        above, below = max(top - _MARGIN, 0), min(bottom + _MARGIN, self._size.height)
        return _Band(above, below - above, *(page.band(self._size, above, below) for page in (self._one, self._other)))


def _once(text: str) -> str:
    """A word with each run of the same letter reduced to one."""
    return "".join(char for char, _run in groupby(text))


def _line(word: Word) -> _Line:
    """The text and line by which a word is recognized again when it is set wider or closer."""
    middle = (word.top + word.bottom) // 2 if word.across else (word.left + word.right) // 2
    return _once(word.text), word.across, middle // _LINE


def _wider(box: Box, size: Size) -> Box:
    left, top, right, bottom = box
    return (
        max(left - _OVERHANG, 0),
        max(top - _OVERHANG, 0),
        min(right + _OVERHANG, size.width),
        min(bottom + _OVERHANG, size.height),
    )


def within(box: Box, top: int, rows: int) -> Box | None:
    """The part of a box that lies in a band, in the band's own rows."""
    left, upper, right, lower = box[0], max(box[1] - top, 0), box[2], min(box[3] - top, rows)
    return (left, upper, right, lower) if left < right and upper < lower else None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= _SIZE_POINTS + _SIZE_PART * one
