"""Pages as a reader shows them: rotation, crop box and user unit (ISO 32000-1, 7.7.3.3, 8.3.2.3 and 14.11.2)."""

import math
from dataclasses import dataclass
from decimal import Decimal

import pikepdf

from zegel_server.pdf.limits import MAX_PAGE_SIDE, MAX_PAGE_TREE_DEPTH, MIN_PAGE_SIDE
from zegel_server.pdf.refusal import Refusal, RefusedError

_LETTER = (0.0, 0.0, 612.0, 792.0)
"""The page box that readers assume when a page has none."""

Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Shown:
    """How a page is shown.

    Args:
        left: Left edge of the visible box, in the page's own units (as for the next three).
        bottom: Its lower edge.
        right: Its right edge.
        top: Its upper edge.
        rotate: Clockwise rotation in degrees: 0, 90, 180 or 270.
        unit: The size of one of the page's units, in points.
    """

    left: float
    bottom: float
    right: float
    top: float
    rotate: int
    unit: float

    @property
    def width(self) -> float:
        """Width as shown, in points."""
        return (self.top - self.bottom if self.rotate % 180 else self.right - self.left) * self.unit

    @property
    def height(self) -> float:
        """Height as shown, in points."""
        return (self.right - self.left if self.rotate % 180 else self.top - self.bottom) * self.unit

    @property
    def matrix(self) -> Matrix:
        """The matrix from points on the page as shown (origin at its lower left) to the page's own units."""
        scale = 1 / self.unit
        return {
            0: (scale, 0.0, 0.0, scale, self.left, self.bottom),
            90: (0.0, scale, -scale, 0.0, self.right, self.bottom),
            180: (-scale, 0.0, 0.0, -scale, self.right, self.top),
            270: (0.0, -scale, scale, 0.0, self.left, self.top),
        }[self.rotate]


def shown(page: pikepdf.Page) -> Shown:
    """Work out how a page is shown.

    Raises:
        RefusedError: ``PAGE_SIZE``, if its size cannot be shown.
    """
    media = _box(page, "/MediaBox") or _LETTER
    box = _intersection(_box(page, "/CropBox") or media, media) or media
    unit = number(page.obj.get("/UserUnit")) or 1.0
    turn = number(inherited(page.obj, "/Rotate")) or 0.0
    result = Shown(*box, rotate=int(turn) % 360 if turn % 90 == 0 else 0, unit=unit if unit > 0 else 1.0)
    sides = (result.width, result.height)
    if not all(math.isfinite(side) and MIN_PAGE_SIDE <= side <= MAX_PAGE_SIDE for side in sides):
        raise RefusedError(Refusal.PAGE_SIZE)
    return result


def clear_lost_crop(page: pikepdf.Page) -> bool:
    """Remove a crop box that lies wholly outside the page: most readers ignore such a box, PDFium does not.

    Args:
        page: The page; changed in place.

    Returns:
        Whether it had one.
    """
    crop, media = _box(page, "/CropBox"), _box(page, "/MediaBox") or _LETTER
    lost = crop is not None and _intersection(crop, media) is None
    if lost:
        page.obj.CropBox = page.obj.MediaBox = pikepdf.Array(list(media))
    return lost


def inherited(item: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """Look up an attribute of a page or field, or else of its nearest ancestor that has it."""
    node: pikepdf.Object | None = item
    for _level in range(MAX_PAGE_TREE_DEPTH):
        if not isinstance(node, pikepdf.Dictionary):
            return None
        if key in node:
            return node[key]
        node = node.get("/Parent")
    return None


def _box(page: pikepdf.Page, key: str) -> tuple[float, float, float, float] | None:
    value = inherited(page.obj, key)
    if not isinstance(value, pikepdf.Array) or len(value) != 4:  # noqa: PLR2004 - a rectangle
        return None
    numbers = [found for item in value.as_list() if (found := number(item)) is not None]
    if len(numbers) != 4:  # noqa: PLR2004
        return None
    x1, y1, x2, y2 = numbers
    box = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return box if box[2] > box[0] and box[3] > box[1] else None


def _intersection(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[float, float, float, float] | None:
    box = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    return box if box[2] > box[0] and box[3] > box[1] else None


def number(value: object) -> float | None:
    """A number from a PDF, if it is finite; ``None`` for anything else."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        result = float(value)
        return result if math.isfinite(result) else None
    return None


def word(value: object) -> str:
    """A name from a PDF with its slash; empty for anything else. Bytes that are not text are escaped.

    Args:
        value: Any value from a PDF.
    """
    return value.unparse(resolved=True).decode("ascii", "replace") if isinstance(value, pikepdf.Name) else ""


def parts_of(value: object) -> list[pikepdf.Object]:
    """The elements of an array from a PDF; an empty list for anything else.

    Args:
        value: Any value from a PDF.
    """
    return list(value.as_list()) if isinstance(value, pikepdf.Array) else []
