"""Two pictures of a page, and how much they differ to somebody who reads it.

Both are drawn by the same PDFium from what should be the same instructions, so most are equal bit for bit. What the
measures let pass is what flattening explains: an edge that lies up to a pixel elsewhere, a letter in a substitute font.

Invariants:

* A picture that has nothing where the other has something is gross, whatever its size, colour or background.
* Time is linear in the pixels, whatever they show.
"""

from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops, ImageFilter, ImageStat

NOTICEABLE = 24
"""Levels, of 255, by which a pixel must lie outside of all that its neighbours show to count as different."""

WINDOW = 4
"""Half the side of the square, in pixels, over which gross differences are averaged: with 9 x 9 points it holds one
line of print, so that what is lost in one line is not outweighed by its neighbours. Coarser pictures have a smaller
one, of the same size on the page."""

FAINT = 3
"""Levels of contrast, averaged over a window, that may be lost altogether: a grey hairline at its end."""

COLOUR = 40
"""Levels by which the mean colour of a window may differ: black print of usual weight that turned grey; not a word
that turned red, a picture that is gone or a patch that covers one."""


_HUE = 0.35
"""By how much the part of one of three colours in a word's ink may change: black has all of each, red has one."""

_OPEN_LOST = 0.5
"""Part of what lay open under an annotation that may be covered by what a reader draws for it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How two pictures differ.

    Args:
        pixels: How many differ noticeably.
        lost: Greatest loss of contrast in a window beyond a half, in levels.
        gained: The same the other way.
        colour: Greatest difference of a window's mean colour, in levels.
    """

    pixels: int = 0
    lost: int = 0
    gained: int = 0
    colour: int = 0

    @property
    def gross(self) -> bool:
        """Whether somebody who reads both would say that they show different things."""
        return self.lost > FAINT or self.gained > FAINT or self.colour > COLOUR


def picture(data: bytes, width: int, height: int) -> Image.Image:
    """A picture out of four bytes a pixel, of which the last does not count.

    Args:
        data: The bytes.
        width: Columns.
        height: Rows.
    """
    return Image.frombytes("RGB", (width, height), data, "raw", "RGBX")


def differences(one: Image.Image, other: Image.Image, top: int, bottom: int, *, window: int = WINDOW) -> Difference:
    """Measure how two pictures of one size differ.

    Args:
        one: What was.
        other: What is.
        top: First row that counts; those above only lend their contrast.
        bottom: Row after the last that counts.
        window: Half the side of the square over which gross differences are averaged.
    """
    where = ImageChops.difference(one, other).getbbox()
    if where is None:
        return Difference()
    # Beyond what a window reaches, nothing can differ.
    reach = 2 * window + 2
    left, upper = max(where[0] - reach, 0), max(where[1] - reach, 0)
    part = (left, upper, min(where[2] + reach, one.width), min(where[3] + reach, one.height))
    one, other = one.crop(part), other.crop(part)
    rows = (0, max(top - upper, 0), one.width, min(bottom - upper, one.height))
    if rows[1] >= rows[3]:
        return Difference()
    outside = _either(_outside(one, other), _outside(other, one)).crop(rows)
    pixels = sum(_strongest(outside).histogram()[NOTICEABLE:])
    contrasts = _mean(_contrast(one), window), _mean(_contrast(other), window)
    return Difference(
        pixels,
        _most(_beyond_half(*contrasts).crop(rows)),
        _most(_beyond_half(*reversed(contrasts)).crop(rows)),
        _most(ImageChops.difference(_mean(one, window), _mean(other, window)).crop(rows)),
    )


def changed(one: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """Tell whether a part of two pictures differs at all.

    Args:
        one: What was.
        other: What is.
        box: Left, top, right, bottom.
    """
    return _most(ImageChops.difference(one.crop(box), other.crop(box))) >= NOTICEABLE


def vanished(bare: Image.Image, one: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """Tell whether content is gone that lay open under annotations.

    Args:
        bare: The page without its annotations.
        one: The same with them.
        other: What is.
        box: Left, top, right, bottom of what counts.
    """
    open_before = ImageChops.darker(_mean(_contrast(bare)), _mean(_contrast(one))).crop(box)
    now = _spread(_mean(_contrast(other))).crop(box)
    gone = _strongest(ImageChops.subtract(open_before.point(_HALF), now))
    return sum(gone.histogram()[FAINT + 1 :]) > _OPEN_LOST * sum(_strongest(open_before).histogram()[2 * FAINT :])


def has_ink(one: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """Tell whether a part of a picture shows anything.

    Args:
        one: The picture.
        box: Left, top, right, bottom.
    """
    return any(low + NOTICEABLE <= high for low, high in map(_extremes, one.crop(box).split()))


def other_colour(one: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """Tell whether the ink of a part of two pictures has another hue, whatever its shape and weight.

    Args:
        one: What was.
        other: What is.
        box: Left, top, right, bottom.
    """
    hues = []
    for picture_of in (one, other):
        ink = [255.0 - level for level in ImageStat.Stat(picture_of.crop(box)).mean]
        strongest = max(ink)
        hues.append([level / strongest if strongest else 1.0 for level in ink])
    return any(abs(before - after) > _HUE for before, after in zip(*hues, strict=True))


def _outside(one: Image.Image, other: Image.Image) -> Image.Image:
    """How far each pixel of one lies outside of what the other shows there and a pixel around."""
    above = ImageChops.subtract(one, _spread(other))
    below = ImageChops.subtract(ImageChops.invert(one), _spread(ImageChops.invert(other)))
    return _either(above, below)


def _contrast(one: Image.Image) -> Image.Image:
    """The range of what each pixel and those around it show."""
    return ImageChops.subtract(_spread(one), ImageChops.invert(_spread(ImageChops.invert(one))))


def _beyond_half(one: Image.Image, other: Image.Image) -> Image.Image:
    """How much less of one there is in the other than half."""
    return ImageChops.subtract(one.point(_HALF), _spread(other))


def _mean(one: Image.Image, window: int = WINDOW) -> Image.Image:
    return one.filter(ImageFilter.BoxBlur(window))


def _spread(one: Image.Image) -> Image.Image:
    """The lightest of each pixel and the eight around it; what lies beyond the edge is black."""
    width, height = one.size
    wide = one
    for step in (-1, 1):
        wide = ImageChops.lighter(wide, one.crop((step, 0, width + step, height)))
    high = wide
    for step in (-1, 1):
        high = ImageChops.lighter(high, wide.crop((0, step, width, height + step)))
    return high


def _either(one: Image.Image, other: Image.Image) -> Image.Image:
    return ImageChops.lighter(one, other)


def _strongest(one: Image.Image) -> Image.Image:
    red, green, blue = one.split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _most(one: Image.Image) -> int:
    """The highest level in any colour."""
    return max(_extremes(band)[1] for band in one.split())


def _extremes(band: Image.Image) -> tuple[int, int]:
    low, high = band.getextrema()
    return int(cast("float", low)), int(cast("float", high))


_HALF = [level // 2 for level in range(256)] * 3
