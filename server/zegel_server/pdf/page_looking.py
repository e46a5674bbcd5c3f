"""One page of an original, held against the rendition's (docs/adr/0018).

Invariants:

* Ink that nothing took the place of is never explained away: not by an annotation over it, not by another font.
* What explains a difference is looked for only where there is a gross one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from PIL import Image

from zegel_server.pdf.comparing import WINDOW, changed, differences, has_ink, picture, vanished
from zegel_server.pdf.drawing import BAND_PIXELS, DrawnPage, Size, Word, fit, missing_words
from zegel_server.pdf.furniture import Furniture
from zegel_server.pdf.refusal import Refusal, RefusedError

_SIZE_PART, _SIZE_POINTS = 0.001, 0.5
"""By how much two sizes of one page may differ: what rounding explains."""

_OVERHANG = 2
"""Pixels by which letters of another font may reach beyond a word's own."""

_MARGIN = 2 * WINDOW + 2
"""Rows above and below a band that its measures look at."""


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


class Look:
    """One page, held against another.

    Args:
        one: The original's.
        other: The rendition's.
        factor: What the usual resolution is multiplied with.
        furniture: Finds what the original's leaves to its reader; asked only where the pages differ grossly.
    """

    def __init__(
        self, one: DrawnPage, other: DrawnPage, factor: float, furniture: Callable[[Size], list[Furniture]]
    ) -> None:
        if not (_close(one.width, other.width) and _close(one.height, other.height)):
            raise RefusedError(Refusal.DIFFERS)
        self._one, self._other = one, other
        self._size = fit(one.width, one.height, factor)
        self._furniture = furniture
        self._lent_words: list[tuple[Word, bool]] | None = None

    def share(self) -> float:
        """How much of the page differs.

        Raises:
            RefusedError: Too much.
        """
        missing = missing_words(self._one.words(), self._other.words())
        places = self._places(missing) if missing else []
        differing = 0
        rows = max(BAND_PIXELS // self._size.width, 1)
        for top in range(0, self._size.height, rows):
            bottom = min(top + rows, self._size.height)
            band = self._band(top, bottom)
            if band.equal and not places:
                continue
            one, other = (picture(data, self._size.width, band.rows) for data in (band.one, band.other))
            if not band.equal:
                found = differences(one, other, top - band.top, bottom - band.top)
                if found.gross:
                    self._explain(one, other, top, bottom)
                differing += found.pixels
            for word in places:
                box = within(word.box, band.top, band.rows)
                differing += self._unread(box, one, other, band.top) if box else 0
        return min(differing / (self._size.width * self._size.height), 1.0)

    def _places(self, missing: set[str]) -> list[Word]:
        """Where words stood that cannot be copied any more, but for what nobody could be sure of.

        Without the font itself a reader guesses what some codes mean, and takes a letter over its like for one.
        """
        kept = {_once(word) for word in self._other.words()}
        return [
            word
            for word in self._one.placed_words(self._size)
            if word.text in missing and not word.guessed and not (word.lent and _once(word.text) in kept)
        ]

    def _explain(self, one: Image.Image, other: Image.Image, top: int, bottom: int) -> None:
        """Look again without what readers draw as they like: annotations left to them, text in their own fonts.

        Raises:
            RefusedError: That does not explain it.
        """
        above = max(top - _MARGIN, 0)
        rest = self._furnished(one, other, above)
        for word, before in self._lent():
            box = within(_wider(word.box, self._size), above, one.height)
            if box is None:
                continue
            if before and has_ink(one, box) and not has_ink(other, box):
                raise RefusedError(Refusal.DIFFERS)
            rest.paste(other.crop(box), box[:2])
        if differences(rest, other, top - above, bottom - above).gross:
            raise RefusedError(Refusal.DIFFERS)

    def _furnished(self, one: Image.Image, other: Image.Image, top: int) -> Image.Image:
        """The original's picture with the rendition's annotations, where they are left to readers.

        Raises:
            RefusedError: What was written there is gone, or what lay open under it.
        """
        bare = picture(self._one.band(self._size, top, top + one.height, bare=True), *one.size)
        rest = one.copy()
        for item in self._furniture(self._size):
            box = within((item.left, item.top, item.right, item.bottom), top, one.height)
            if box is None:
                continue
            writing = within(item.writing, top, one.height) if item.writing else None
            blank = writing is not None and has_ink(one, writing) and not has_ink(other, writing)
            if blank or vanished(bare, one, other, box):
                raise RefusedError(Refusal.DIFFERS)
            rest.paste(other.crop(box), box[:2])
        return rest

    def _unread(self, box: tuple[int, int, int, int], one: Image.Image, other: Image.Image, top: int) -> int:
        """The area of a word that can be seen as before, and no longer be copied.

        Raises:
            RefusedError: It can neither be copied nor seen as before.
        """
        if changed(one, other, box):
            if changed(self._furnished(one, other, top), other, box):
                raise RefusedError(Refusal.DIFFERS)
            return 0
        # What is hidden, outside of the page or drawn in no colour was not read by anybody before.
        return (box[2] - box[0]) * (box[3] - box[1]) if has_ink(one, box) else 0

    def _lent(self) -> list[tuple[Word, bool]]:
        """Words that are drawn in a reader's own font, and whether each is the original's; else it is their likeness.

        Such a font has other shapes than the one that stands in the rendition, and without widths in the file it sets
        them elsewhere.
        """
        if self._lent_words is None:
            words = [word for word in self._one.placed_words(self._size) if word.lent]
            texts = {_once(word.text) for word in words}
            later = list(self._other.placed_words(self._size)) if words else []
            self._lent_words = [(word, True) for word in words]
            self._lent_words += [(word, False) for word in later if _once(word.text) in texts]
        return self._lent_words

    def _band(self, top: int, bottom: int) -> _Band:
        above, below = max(top - _MARGIN, 0), min(bottom + _MARGIN, self._size.height)
        pictures = (page.band(self._size, above, below) for page in (self._one, self._other))
        return _Band(above, below - above, *pictures)


def _once(text: str) -> str:
    """A word without letters that follow their like."""
    return "".join(char for char, _run in groupby(text))


def _wider(box: tuple[int, int, int, int], size: Size) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return (
        max(left - _OVERHANG, 0),
        max(top - _OVERHANG, 0),
        min(right + _OVERHANG, size.width),
        min(bottom + _OVERHANG, size.height),
    )


def within(box: tuple[int, int, int, int], top: int, rows: int) -> tuple[int, int, int, int] | None:
    """The part of a box that lies in a band, in the band's own rows."""
    left, upper, right, lower = box[0], max(box[1] - top, 0), box[2], min(box[3] - top, rows)
    return (left, upper, right, lower) if left < right and upper < lower else None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= _SIZE_POINTS + _SIZE_PART * one
