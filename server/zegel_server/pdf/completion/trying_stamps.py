"""Stamps drawn as a trial when they are filled in: whether they can be drawn, and whether anybody would see them.

A mark is drawn by the code that will stamp it, and the result is inspected: a mark that is white, transparent or of
invisible characters does not count, whatever its file says.
"""

import math
from dataclasses import replace
from io import BytesIO

from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.comparison.drawing import MAX_SIDE, Drawn, Size
from zegel_server.pdf.completion.stamping import MARKS, draw_mark, draw_stamp, fits_day
from zegel_server.pdf.fonts.typesetting import PLAIN_FONT, leaves_ink, unshown
from zegel_server.pdf.limits import MAX_STAMP_TEXT
from zegel_server.pdf.model import Stamp, Trial
from zegel_server.pdf.refusal import Refusal, RefusedError

_DARK = 200
"""The lightest grey, of 255, that counts as ink: a contrast of 1.7 to 1 with white paper, like pale pencil."""

_LEAST_PIXELS = 12
"""Pixels of ink that a mark has at least, at a printer's 300 dpi: a full stop in small print."""

_SCALE = 300 / 72
_LEAST_LONGER, _LEAST_SHORTER = 600, 100
"""Pixels of the sides: a mark in a tiny box is drawn larger, as a viewer would zoom in to see it."""

_MOST_PIXELS = 4_000_000
"""Pixels that are drawn: 16 MB."""


def try_stamp(stamp: Stamp) -> Trial:
    """Draw a stamp as completing will, look at it, and forget it.

    Args:
        stamp: The stamp.

    Returns:
        Whether it shows, and why not. A day must also be large enough to read: its length is known when the request is
        sent. Any other text is drawn as small as it must be.
    """
    try:
        if len(stamp.text) <= MAX_STAMP_TEXT and (missing := unshown(stamp.text)):
            return Trial(Refusal.TEXT.value, missing)
        if stamp.kind in MARKS:
            shows = _mark_shows(stamp)
        else:
            _draw(stamp, whole=True)
            if stamp.kind == "date" and not fits_day(stamp):
                return Trial(Refusal.SMALL.value, "")
            shows = stamp.kind == "checkbox" or not stamp.text or leaves_ink(stamp.text, "body")
    except RefusedError as error:
        return Trial(error.refusal.value, "")
    return Trial("" if shows else Refusal.BLANK.value, "")


def _draw(stamp: Stamp, *, whole: bool) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, (stamp.width, stamp.height), pageCompression=0, invariant=1, initialFontName=PLAIN_FONT)
    (draw_stamp if whole else draw_mark)(canvas, replace(stamp, x=0.0, y=0.0), stamp.height)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _mark_shows(stamp: Stamp) -> bool:
    """Whether a mark without what Zegel puts around it leaves ink on white paper."""
    sides = sorted((stamp.width, stamp.height))
    closest = min(math.sqrt(_MOST_PIXELS / (sides[0] * sides[1])), MAX_SIDE / sides[1])
    scale = min(max(_SCALE, _LEAST_LONGER / sides[1], _LEAST_SHORTER / sides[0]), closest)
    width, height = (max(1, round(side * scale)) for side in (stamp.width, stamp.height))
    drawn = Drawn(_draw(stamp, whole=False))
    try:
        with drawn.page(0) as page:
            pixels = page.band(Size(width, height), 0, height)
    finally:
        drawn.close()
    greys = Image.frombuffer("RGB", (width, height), pixels, "raw", "BGRX", 0, 1).convert("L")
    return sum(greys.histogram()[: _DARK + 1]) >= _LEAST_PIXELS
