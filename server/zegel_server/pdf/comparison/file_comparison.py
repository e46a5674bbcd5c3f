"""Comparing original and rendition, and rendition and sealed file (docs/adr/0018).

Invariants:

* No page is skipped: if time is short, the resolution falls, never the number of pages.
* What differs beyond :class:`~zegel_server.pdf.comparison.comparing.Difference`'s measures is refused. A page that went
  blank differs grossly at every resolution.
* No content of a file leaves this module, only page numbers and shares of their areas.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from io import BytesIO

import pikepdf

from zegel_server.pdf.comparison.drawing import BAND_PIXELS, SCALE, Drawn, DrawnPage, UnreadableError, fit
from zegel_server.pdf.comparison.page_comparison import PageComparison
from zegel_server.pdf.comparison.reader_drawn import ReaderDrawnItems
from zegel_server.pdf.geometry import number
from zegel_server.pdf.model import Box, PageDifference
from zegel_server.pdf.refusal import Refusal, RefusedError

LOOK_SECONDS = 20.0
"""Processor time for looking at a whole file: a third of what a job has. 2,000 pages of print take some 12 s."""

HEAD_START = 5.0
"""Seconds that may be spent before the resolution falls, so that it does so for no file of usual length."""

MIN_FACTOR = 0.35
"""The lowest factor for the resolution: 25 dpi, at which a line of print is still a grey bar."""

_STEP = 0.7

SEAL_SCALE = 50 / 72
"""Pixels for each point when rendition and sealed file are compared: they must be equal bit for bit, and any ink greys
a pixel at any resolution."""


def compare_rendition(original: bytes, rendition: bytes) -> tuple[PageDifference, ...]:
    """Compare each page of an original with its rendition, as a viewer shows them.

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
    # PDFium repairs less than qpdf does. So compare the file as qpdf reads it: the rendition is still checked, and no
    # file is refused only because one reader cannot open it.
    try:
        return _compare(_rewritten(original), rendition)
    except (UnreadableError, pikepdf.PdfError):
        raise RefusedError(Refusal.DIFFERS) from None


def compare_sealed(rendition: bytes, sealed: bytes, boxes: Sequence[Box]) -> None:
    """Compare the stamped pages of a rendition and the finished file: outside the boxes they must be equal.

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
        differing = _differing(rendition, sealed, by_page, units, settled=False)
        # Drawing the page alone shows whether the page itself differs, or only what was drawn before it.
        if any(_differing(rendition, sealed, {page: by_page[page]}, units, settled=True) for page in differing):
            raise RefusedError(Refusal.SEAL)
    except UnreadableError:
        raise RefusedError(Refusal.SEAL) from None


# ------------------------------------------------------------------------------------------- original and rendition


def _compare(original: bytes, rendition: bytes) -> tuple[PageDifference, ...]:
    found = []
    left_to_readers = ReaderDrawnItems(original)
    with closing(Drawn(original)) as before, closing(Drawn(rendition)) as after, closing(left_to_readers):
        pages = len(before)
        if pages != len(after):
            raise RefusedError(Refusal.DIFFERS)
        pace = _Pace(pages)
        for index in range(pages):
            with before.page(index) as one, after.page(index) as other:
                share = PageComparison(one, other, pace.factor, partial(left_to_readers.on, index)).share()
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


def _rewritten(data: bytes) -> bytes:
    """A file as qpdf reads it, otherwise unchanged."""
    written = BytesIO()
    with warnings.catch_warnings(), pikepdf.open(BytesIO(data), suppress_warnings=True) as pdf:
        warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)
        pdf.save(written, encryption=False)
    return written.getvalue()


# --------------------------------------------------------------------------------------- rendition and finished file


def _differing(
    rendition: bytes, sealed: bytes, by_page: dict[int, list[Box]], units: dict[int, float], *, settled: bool
) -> list[int]:
    """The pages that are not the same outside of their boxes."""
    found = []
    with (
        closing(Drawn(rendition, forms=False, settled=settled)) as before,
        closing(Drawn(sealed, forms=False, settled=settled)) as after,
    ):
        if by_page and not 1 <= min(by_page) <= max(by_page) <= min(len(before), len(after)):
            raise RefusedError(Refusal.SEAL)
        for page, parts in sorted(by_page.items()):
            with before.page(page - 1) as one, after.page(page - 1) as other:
                if not _same_outside(one, other, parts, units.get(page, 1.0)):
                    found.append(page)
    return found


def _same_outside(one: DrawnPage, other: DrawnPage, boxes: list[Box], unit: float) -> bool:
    if (one.width, one.height) != (other.width, other.height):
        return False
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
            return False
    return True


def _pixels(box: Box, across: float, upright: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all pixels that a box touches, and of those next to them.

    PDFium rounds the edges of a form outward: ink at its very edge greys a pixel beyond.
    """
    values = (box.x, box.y, box.x + box.width, box.y + box.height)
    if not all(map(math.isfinite, values)):
        raise RefusedError(Refusal.SEAL)
    left, top, right, bottom = values
    return (
        math.floor(left * across) - 1,
        math.floor(top * upright) - 1,
        math.ceil(right * across) + 1,
        math.ceil(bottom * upright) + 1,
    )


def _user_units(rendition: bytes, pages: list[int]) -> dict[int, float]:
    """The pages whose units are not points, and how many points theirs are: PDFium does not tell."""
    if b"/UserUnit" not in rendition:  # a rendition's dictionaries stand in the clear
        return {}
    with pikepdf.open(BytesIO(rendition), suppress_warnings=True) as pdf:
        count = len(pdf.pages)
        units = {page: number(pdf.pages[page - 1].obj.get("/UserUnit")) for page in pages if 1 <= page <= count}
    return {page: unit for page, unit in units.items() if unit and unit > 0}
