"""Looking at what was made: original and rendition, rendition and sealed file (docs/adr/0018).

Invariants:

* No page is passed over: where time is short the resolution falls, never the number of pages.
* What differs beyond :class:`~zegel_server.pdf.comparing.Difference`'s measures is refused. A page that went blank
  differs grossly at every resolution.
* Nothing that a file says leaves this module, only numbers of pages and shares of their areas.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import groupby

import pikepdf
from PIL import Image

from zegel_server.pdf.comparing import WINDOW, changed, differences, has_ink, picture, vanished
from zegel_server.pdf.drawing import (
    BAND_PIXELS,
    SCALE,
    Drawn,
    DrawnPage,
    Size,
    UnreadableError,
    Word,
    fit,
    missing_words,
)
from zegel_server.pdf.furniture import Furniture, furniture
from zegel_server.pdf.geometry import number
from zegel_server.pdf.model import Box, PageDifference
from zegel_server.pdf.refusal import Refusal, RefusedError

LOOK_SECONDS = 20.0
"""Processor time for looking at a whole file: a third of what a job has. 2,000 pages of print take some 12 s."""

HEAD_START = 5.0
"""Seconds that may be spent before the resolution falls, so that it does so for no file of usual length."""

MIN_FACTOR = 0.35
"""What the resolution falls to at most: 25 dpi, where a line of print is still a grey bar."""

_STEP = 0.7

SEAL_SCALE = 50 / 72
"""Pixels a point when rendition and sealed file are held together: they are equal bit for bit or not, and whatever
ink there is greys a pixel at any resolution."""

_SIZE_PART, _SIZE_POINTS = 0.001, 0.5
"""By how much two sizes of one page may differ: what rounding explains."""

_OVERHANG = 2
"""Pixels by which letters of another font may reach beyond a word's own."""

_MARGIN = 2 * WINDOW + 2
"""Rows above and below a band that its measures look at."""


def compare_rendition(original: bytes, rendition: bytes) -> tuple[PageDifference, ...]:
    """Hold each page of an original and its rendition together, as a viewer shows them.

    Most pages are equal pixel for pixel. Where they are not, three measures decide: the loss or gain of contrast in a
    window of 9 x 9 points, the difference of such a window's mean colour, and words that could be copied before, cannot
    now, and stand where the pictures differ at all. Their thresholds lie between what flattening explains and what
    tampering does: ``docs/adr/0018-pages-are-looked-at.md`` has the measurements.

    Args:
        original: The PDF as uploaded.
        rendition: What was made of it.

    Returns:
        The pages that differ noticeably and less than that, in order.

    Raises:
        RefusedError: ``DIFFERS``, if a page differs by more, or cannot be drawn.
    """
    try:
        return _compare(original, rendition)
    except UnreadableError:
        pass
    # PDFium repairs less than qpdf does. What qpdf reads is then what is compared: what was made of it is looked at all
    # the same, and nobody is refused for the taste of one reader.
    try:
        return _compare(_rewritten(original), rendition)
    except (UnreadableError, pikepdf.PdfError):
        raise RefusedError(Refusal.DIFFERS) from None


def compare_sealed(rendition: bytes, sealed: bytes, boxes: Sequence[Box]) -> None:
    """Hold the stamped pages of a rendition and the finished file together: outside the boxes they must be equal.

    Args:
        rendition: What the signers were shown.
        sealed: The finished file.
        boxes: Where stamps were put, in any order.

    Raises:
        RefusedError: ``SEAL``, if a pixel that no box touches differs on a page that has one.
    """
    by_page: dict[int, list[Box]] = {}
    for box in boxes:
        by_page.setdefault(box.page, []).append(box)
    units = _user_units(rendition, sorted(by_page))
    try:
        with _open(rendition, forms=False) as before, _open(sealed, forms=False) as after:
            if by_page and not 1 <= min(by_page) <= max(by_page) <= min(len(before), len(after)):
                raise RefusedError(Refusal.SEAL)
            for page, parts in sorted(by_page.items()):
                with before.page(page - 1) as one, after.page(page - 1) as other:
                    _same_outside(one, other, parts, units.get(page, 1.0))
    except UnreadableError:
        raise RefusedError(Refusal.SEAL) from None


# ------------------------------------------------------------------------------------------- original and rendition


def _compare(original: bytes, rendition: bytes) -> tuple[PageDifference, ...]:
    found = []
    with _open(original) as before, _open(rendition) as after:
        pages = len(before)
        if pages != len(after):
            raise RefusedError(Refusal.DIFFERS)
        pace = _Pace(pages)
        for index in range(pages):
            with before.page(index) as one, after.page(index) as other:
                look = partial(furniture, original, index)
                share = _Look(one, other, pace.factor, look).share()
            if share > 0:
                found.append(PageDifference(index + 1, share))
            pace.done(index + 1)
    return tuple(found)


class _Pace:
    """Lowers the resolution where the pages so far took more than their share of the time, and raises it again.

    Args:
        pages: How many there are.
        clock: Processor time in seconds.
    """

    def __init__(self, pages: int, clock: Callable[[], float] = time.process_time) -> None:
        self._pages = pages
        self._clock = clock
        self._start = clock()
        self.factor = 1.0

    def done(self, pages: int) -> None:
        """Note that so many pages have been looked at."""
        spent = self._clock() - self._start
        due = HEAD_START + (LOOK_SECONDS - HEAD_START) * pages / self._pages
        if spent > due:
            self.factor = max(self.factor * _STEP, MIN_FACTOR)
        elif spent < due - HEAD_START / 2:
            self.factor = min(self.factor / _STEP, 1.0)


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


class _Look:
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
                differing += _unread(word, one, other, band.top)
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
        bare = picture(self._one.band(self._size, above, above + one.height, bare=True), *one.size)
        rest = one.copy()
        for item in self._furniture(self._size):
            box = _within((item.left, item.top, item.right, item.bottom), above, one.height)
            if box is None:
                continue
            writing = _within(item.writing, above, one.height) if item.writing else None
            blank = writing is not None and has_ink(one, writing) and not has_ink(other, writing)
            if blank or vanished(bare, one, other, box):
                raise RefusedError(Refusal.DIFFERS)
            rest.paste(other.crop(box), box[:2])
        for word, before in self._lent():
            box = _within(_wider(word.box, self._size), above, one.height)
            if box is None:
                continue
            if before and has_ink(one, box) and not has_ink(other, box):
                raise RefusedError(Refusal.DIFFERS)
            rest.paste(other.crop(box), box[:2])
        if differences(rest, other, top - above, bottom - above).gross:
            raise RefusedError(Refusal.DIFFERS)

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


def _unread(word: Word, one: Image.Image, other: Image.Image, top: int) -> int:
    """The area of a word that can be seen as before, and no longer be copied.

    Raises:
        RefusedError: It can neither be copied nor seen as before.
    """
    box = _within(word.box, top, one.height)
    if box is None:
        return 0
    if changed(one, other, box):
        raise RefusedError(Refusal.DIFFERS)
    # What is hidden, outside of the page or drawn in no colour was not read by anybody before.
    return (box[2] - box[0]) * (box[3] - box[1]) if has_ink(one, box) else 0


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


def _within(box: tuple[int, int, int, int], top: int, rows: int) -> tuple[int, int, int, int] | None:
    """The part of a box that lies in a band, in the band's own rows."""
    left, upper, right, lower = box[0], max(box[1] - top, 0), box[2], min(box[3] - top, rows)
    return (left, upper, right, lower) if left < right and upper < lower else None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= _SIZE_POINTS + _SIZE_PART * one


def _rewritten(data: bytes) -> bytes:
    """A file as qpdf reads it, otherwise unchanged."""
    written = BytesIO()
    with warnings.catch_warnings(), pikepdf.open(BytesIO(data), suppress_warnings=True) as pdf:
        warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)
        pdf.save(written, encryption=False)
    return written.getvalue()


@contextmanager
def _open(data: bytes, *, forms: bool = True) -> Iterator[Drawn]:
    drawn = Drawn(data, forms=forms)
    try:
        yield drawn
    finally:
        drawn.close()


# --------------------------------------------------------------------------------------- rendition and finished file


def _same_outside(one: DrawnPage, other: DrawnPage, boxes: list[Box], unit: float) -> None:
    if (one.width, one.height) != (other.width, other.height):
        raise RefusedError(Refusal.SEAL)
    size = fit(one.width, one.height, SEAL_SCALE / SCALE)
    rows = max(BAND_PIXELS // size.width, 1)
    across, upright = size.width / one.width / unit, size.height / one.height / unit
    parts = [_pixels(box, across, upright) for box in boxes]
    for top in range(0, size.height, rows):
        bottom = min(top + rows, size.height)
        before, after = (bytearray(page.band(size, top, bottom)) for page in (one, other))
        if before == after:
            continue
        for left, upper, right, lower in parts:
            first, last = max(left, 0) * 4, min(right, size.width) * 4
            for row in range(max(upper, top), min(lower, bottom)) if first < last else ():
                start = (row - top) * size.width * 4
                before[start + first : start + last] = after[start + first : start + last]
        if before != after:
            raise RefusedError(Refusal.SEAL)


def _pixels(box: Box, across: float, upright: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all pixels that a box touches."""
    values = (box.x, box.y, box.x + box.width, box.y + box.height)
    if not all(map(math.isfinite, values)):
        raise RefusedError(Refusal.SEAL)
    left, top, right, bottom = values
    return (
        math.floor(left * across),
        math.floor(top * upright),
        math.ceil(right * across),
        math.ceil(bottom * upright),
    )


def _user_units(rendition: bytes, pages: list[int]) -> dict[int, float]:
    """The pages whose units are not points, and how many points theirs are: PDFium does not tell."""
    if b"/UserUnit" not in rendition:  # a rendition's dictionaries stand in the clear
        return {}
    with pikepdf.open(BytesIO(rendition), suppress_warnings=True) as pdf:
        count = len(pdf.pages)
        units = {page: number(pdf.pages[page - 1].obj.get("/UserUnit")) for page in pages if 1 <= page <= count}
    return {page: unit for page, unit in units.items() if unit and unit > 0}
