"""Drawing a field's value onto the page: text, check marks, signatures.

The canvas has the size of the page as shown, so a field's position needs only its y axis flipped.

Invariants:

* A text is always shown in full: it shrinks until it fits its box.
* A drawn signature is decoded only after its size has been checked.
"""

from io import BytesIO

from PIL import Image, ImageChops, ImageStat
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts.typesetting import (
    draw_text,
    ink_reach,
    is_handwriting,
    text_width,
    unbreakable_words,
    wrap_text,
)
from zegel_server.pdf.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_STAMP_TEXT
from zegel_server.pdf.model import Stamp
from zegel_server.pdf.refusal import Refusal, RefusedError

MARKS = frozenset({"signature", "initials"})
"""Kinds of stamp whose text or picture is what a person signs with."""

INK = (0.07, 0.10, 0.24)
"""Blue-black, like ink from a pen, so that filled-in values can be told from printed text."""
_RULE = (0.45, 0.50, 0.60)
_SMALL = (0.32, 0.36, 0.44)

_LARGEST_TEXT = 11.0
_LARGEST_HAND = 36.0
_BREAK_WORDS_BELOW = 5.0
_SMALLEST_TEXT = 0.25
LEAST_DAY = 4.0
"""Points of the smallest print of a day that a request may be sent with: the fine print of paper contracts."""
LEADING = 1.22
_FIT_STEPS = 9
"""Steps of the binary search between the largest and the smallest size: precise to a fiftieth of a point."""
_CAP_HEIGHT = 0.71
"""Of the font size, for centring a line by its capitals."""


def draw_stamp(canvas: Canvas, stamp: Stamp, page_height: float) -> None:
    """Draw a stamp.

    Args:
        canvas: Its page is the page as shown.
        stamp: What and where.
        page_height: Height of the page as shown, in points.

    Raises:
        RefusedError: ``STAMP_PLACE`` for a box without size or a text too long, ``IMAGE`` for a picture that is no PNG
            or is too large.
    """
    bottom = _bottom(stamp, page_height)
    canvas.saveState()
    canvas.setFillColorRGB(*INK)
    canvas.setStrokeColorRGB(*INK)
    if stamp.kind == "checkbox":
        _draw_check(canvas, stamp, bottom)
    elif stamp.kind in MARKS:
        _draw_signature(canvas, stamp, bottom)
    elif stamp.text:
        _draw_paragraph(canvas, stamp, bottom)
    canvas.restoreState()


def draw_mark(canvas: Canvas, stamp: Stamp, page_height: float) -> None:
    """Draw what a person signs with, as :func:`draw_stamp` does, without the rule and the caption under it.

    Args:
        canvas: Its page is the page as shown.
        stamp: What and where, of a kind in :data:`MARKS`.
        page_height: Height of the page as shown, in points.

    Raises:
        RefusedError: As :func:`draw_stamp`.
    """
    bottom = _bottom(stamp, page_height)
    canvas.saveState()
    canvas.setFillColorRGB(*INK)
    _draw_ink(canvas, stamp, bottom)
    canvas.restoreState()


def _bottom(stamp: Stamp, page_height: float) -> float:
    """Height of a stamp's lower edge over that of the page."""
    if not (stamp.width > 0 and stamp.height > 0) or max(len(stamp.text), len(stamp.caption)) > MAX_STAMP_TEXT:
        raise RefusedError(Refusal.STAMP_PLACE)
    return page_height - stamp.y - stamp.height


def _fit_line(text: str, stack: str, width: float, height: float) -> float:
    """The largest font size at which a text fits into a box as one line."""
    return min(height / _leading(text, stack), width / max(text_width(text, stack, 1.0), 0.01))


def _leading(text: str, stack: str) -> float:
    """From one line to the next, as a share of the font size: more for scripts that stack their letters."""
    return max(LEADING, sum(ink_reach(text, stack)))


def fit_paragraph(
    text: str, stack: str, width: float, height: float, largest: float, *, break_below: float = _BREAK_WORDS_BELOW
) -> tuple[float, list[str]]:
    """Find the largest font size at which a text fits into a box, and its lines; only small print breaks words.

    Args:
        text: The text.
        stack: Name of a stack of fonts.
        width: Width of the box in points.
        height: Height of the box in points.
        largest: Font size to begin with, in points.
        break_below: Largest font size at which words may be broken, in points.
    """

    def lines_at(size: float) -> list[str] | None:
        lines = wrap_text(text, stack, size, width)
        whole = size <= break_below or all(text_width(word, stack, size) <= width for word in words)
        return lines if whole and len(lines) * size * leading <= height else None

    words, leading = unbreakable_words(text), _leading(text, stack)
    best = (_SMALLEST_TEXT, wrap_text(text, stack, _SMALLEST_TEXT, width))
    low, high = _SMALLEST_TEXT, largest
    if (found := lines_at(largest)) is not None:
        return largest, found
    for _step in range(_FIT_STEPS):
        middle = (low + high) / 2
        if (found := lines_at(middle)) is None:
            high = middle
        else:
            best, low = (middle, found), middle
    return best


def fits_day(stamp: Stamp) -> bool:
    """Whether a day is drawn large enough to read, its time zone's name in one piece.

    Args:
        stamp: What and where, of the kind ``date``.
    """
    return _fit(stamp)[0] > LEAST_DAY


def _inset(stamp: Stamp) -> float:
    return min(2.0, stamp.width * 0.04)


def _fit(stamp: Stamp) -> tuple[float, list[str]]:
    """The font size of a text in its box, and its lines."""
    return fit_paragraph(
        stamp.text,
        "body",
        stamp.width - 2 * _inset(stamp),
        stamp.height,
        min(_LARGEST_TEXT, stamp.height * 0.72),
        break_below=LEAST_DAY if stamp.kind == "date" else _BREAK_WORDS_BELOW,
    )


def _draw_paragraph(canvas: Canvas, stamp: Stamp, bottom: float) -> None:
    inset = _inset(stamp)
    size, lines = _fit(stamp)
    leading = _leading(stamp.text, "body")
    block = (len(lines) - 1) * size * leading + size * _CAP_HEIGHT
    base = bottom + (stamp.height + block) / 2 - size * _CAP_HEIGHT
    for line in lines:
        draw_text(canvas, stamp.x + inset, base, line, "body", size)
        base -= size * leading


def _draw_check(canvas: Canvas, stamp: Stamp, bottom: float) -> None:
    side = min(stamp.width, stamp.height)
    left, low = stamp.x + (stamp.width - side) / 2, bottom + (stamp.height - side) / 2
    frame = side * 0.05
    canvas.setLineWidth(frame)
    canvas.setStrokeColorRGB(*_RULE)
    canvas.roundRect(left + frame, low + frame, side - 2 * frame, side - 2 * frame, side * 0.1)
    if not stamp.text:
        return
    canvas.setStrokeColorRGB(*INK)
    canvas.setLineWidth(side * 0.12)
    canvas.setLineCap(1)
    canvas.setLineJoin(1)
    mark = canvas.beginPath()
    mark.moveTo(left + side * 0.24, low + side * 0.50)
    mark.lineTo(left + side * 0.42, low + side * 0.30)
    mark.lineTo(left + side * 0.77, low + side * 0.72)
    canvas.drawPath(mark)


def _draw_signature(canvas: Canvas, stamp: Stamp, bottom: float) -> None:
    captions = _captions(stamp)
    small = _caption_size(stamp)
    sizes = [_fit_line(line, "body", stamp.width, small * LEADING) for line in captions]
    rule, gap = _draw_ink(canvas, stamp, bottom)
    canvas.setStrokeColorRGB(*_RULE)
    canvas.setLineWidth(gap / 2)
    canvas.line(stamp.x, rule, stamp.x + stamp.width, rule)
    canvas.setFillColorRGB(*_SMALL)
    base = rule - small * 0.45
    for line, size in zip(captions, sizes, strict=True):
        base -= small * (1.0 if line is captions[0] else LEADING)
        draw_text(canvas, stamp.x, base, line, "body", size)


def _captions(stamp: Stamp) -> list[str]:
    return stamp.caption.split("\n") if stamp.caption else []


def _caption_size(stamp: Stamp) -> float:
    return min(6.5, stamp.height * 0.13)


def _draw_ink(canvas: Canvas, stamp: Stamp, bottom: float) -> tuple[float, float]:
    """Draw the mark itself; returns where the rule under it goes, and the gap between them."""
    captions, small = _captions(stamp), _caption_size(stamp)
    foot = len(captions) * small * LEADING + (small * 0.55 if captions else 0.0)
    rule = bottom + foot
    gap = min(1.0, stamp.height * 0.05)
    ink_height = stamp.height - foot - gap
    if stamp.image is None:
        # Handwriting is drawn large: its small letters reach half the height of its capitals, and its tails hang below.
        size = min(_LARGEST_HAND, _fit_line(stamp.text, "hand", stamp.width * 0.96, ink_height))
        base = rule + size * (0.27 if is_handwriting(stamp.text) else max(0.36, ink_reach(stamp.text, "hand")[1]))
        draw_text(canvas, stamp.x + stamp.width * 0.02, base, stamp.text, "hand", size)
    else:
        _draw_picture(canvas, stamp.image, (stamp.x, rule + gap, stamp.width, ink_height))
    return rule, gap


def _draw_picture(canvas: Canvas, data: bytes, box: tuple[float, float, float, float]) -> None:
    picture = _decode(data)
    x, y, width, height = box
    scale = min(width / picture.width, height / picture.height)
    canvas.drawImage(
        ImageReader(picture), x, y, picture.width * scale, picture.height * scale, mask="auto", preserveAspectRatio=True
    )


def _decode(data: bytes) -> Image.Image:
    """Decode a PNG and cut off its empty margin."""
    if len(data) > MAX_IMAGE_BYTES:
        raise RefusedError(Refusal.IMAGE)
    try:
        picture = Image.open(BytesIO(data), formats=["PNG"])
        if picture.width * picture.height > MAX_IMAGE_PIXELS:
            raise RefusedError(Refusal.IMAGE)
        colours = _colours(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise RefusedError(Refusal.IMAGE) from None
    cover = colours.getchannel("A")
    ink = cover.getbbox()
    if ink is None:
        return colours
    # Transparent pixels have a colour too, which shows at the edges of the ink: so give them the ink's colour.
    plain = Image.new("RGB", colours.size, tuple(round(value) for value in ImageStat.Stat(colours, cover).mean[:3]))
    plain.paste(colours.convert("RGB"), mask=cover.point(lambda value: 255 if value else 0))
    plain.putalpha(cover)
    return plain.crop(ink)


def _colours(picture: Image.Image) -> Image.Image:
    """A picture's colours and how far they cover, in eight bits each."""
    if not picture.mode.startswith("I"):
        return picture.convert("RGBA")
    # Greys of 16 bits: Pillow would take all but the darkest for white.
    little_endian = picture.convert("I;16").tobytes()
    high, low = (Image.frombytes("L", picture.size, little_endian[part::2]) for part in (1, 0))
    clear = picture.info.get("transparency")
    if clear is None:
        return high.convert("RGBA")
    same = [
        part.point([0 if value == wanted else 255 for value in range(256)])
        for part, wanted in ((high, clear >> 8), (low, clear & 255))
    ]
    return Image.merge("RGBA", (high, high, high, ImageChops.lighter(*same)))
