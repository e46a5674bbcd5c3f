"""Two pictures of a page, and how much they differ to a human reader.

The same PDFium draws both, from what should be the same instructions, so most are equal bit for bit. The measures
tolerate what flattening can explain: an edge that moved by up to a pixel, a letter in a substitute font.

Invariants:

* If one picture has nothing where the other has something, the difference is gross, whatever its size, colour or
  background.
* Time is linear in the pixels, whatever they show.
"""

from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops, ImageFilter, ImageStat

NOTICEABLE = 24
"""Levels, of 255, by which a pixel must lie outside the range of its neighbours in the other picture to count as
different."""

WINDOW = 4
"""Half the side of the square, in pixels, over which gross differences are averaged: with 9 x 9 points it holds one
line of print, so that what is lost in one line is not outweighed by its neighbours. In coarser pictures the square has
fewer pixels, and covers the same area of the page."""

FAINT = 3
"""Levels of contrast, averaged over a window, that may be lost entirely: as at the end of a grey hairline."""

COLOUR = 40
"""Levels by which the mean colour of a window may differ: allows black print of usual weight that turned grey, but not
a word that turned red, a picture that is gone or a patch that covers one."""


_HUE = 0.35
"""How much the share of one of the three colours in a word's ink may change: black has all three, red only one."""

_OPEN_LOST = 0.5
"""Share of the content visible under an annotation that the reader's own drawing of it may cover."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How two pictures differ.

    Args:
        pixels: Number of pixels that differ noticeably.
        lost: By how many levels, at most, a window lost more than half of its contrast.
        gained: The same for contrast gained.
        colour: Greatest difference of a window's mean colour, in levels.
    """

    pixels: int = 0
    lost: int = 0
    gained: int = 0
    colour: int = 0

    @property
    def gross(self) -> bool:
        """Whether a human reader would say that they show different things."""
        return self.lost > FAINT or self.gained > FAINT or self.colour > COLOUR


def picture(data: bytes, width: int, height: int) -> Image.Image:
    """Make a picture from four bytes for each pixel, the last of which is ignored.

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
        top: First row that counts; rows above it only contribute to the contrast of those below.
        bottom: Row after the last that counts.
        window: Half the side of the square over which gross differences are averaged.
    """
    where = ImageChops.difference(one, other).getbbox()
    if where is None:
        return Difference()
    # Outside the reach of a window nothing can differ.
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
    """Tell whether content that was visible under annotations is gone.

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
    """Tell whether the ink in a part of two pictures differs in hue, whatever its shape and weight.

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
    """How far each pixel of one lies outside the range that the other shows at that pixel and its neighbours."""
    above = ImageChops.subtract(one, _spread(other))
    below = ImageChops.subtract(ImageChops.invert(one), _spread(ImageChops.invert(other)))
    return _either(above, below)


def _contrast(one: Image.Image) -> Image.Image:
    """The range of levels of each pixel and its neighbours."""
    return ImageChops.subtract(_spread(one), ImageChops.invert(_spread(ImageChops.invert(one))))


def _beyond_half(one: Image.Image, other: Image.Image) -> Image.Image:
    """By how much the other falls short of half of one."""
    return ImageChops.subtract(one.point(_HALF), _spread(other))


def _mean(one: Image.Image, window: int = WINDOW) -> Image.Image:
    return one.filter(ImageFilter.BoxBlur(window))


def _spread(one: Image.Image) -> Image.Image:
    """The lightest of each pixel and its eight neighbours; outside the picture everything counts as black."""
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
