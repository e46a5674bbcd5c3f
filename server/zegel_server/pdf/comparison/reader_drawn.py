"""Annotations and form fields that a file leaves to its reader to draw, and where they stand on a drawn page.

Readers differ about them: the icon of a note, the arrow of a list, the frame of a field, a polygon that only has its
corners. So a difference there is reported to the sender and is no reason to refuse, as long as nothing written there is
gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pikepdf

from zegel_server.pdf.comparison.drawing import Size
from zegel_server.pdf.geometry import inherited, number, shown

_HIDDEN, _NO_VIEW = 1 << 1, 1 << 5
_COMBO, _PASSWORD = 1 << 17, 1 << 13
_ICONS = {"/Text", "/FileAttachment", "/Sound", "/Movie", "/Screen", "/Popup", "/Link", "/3D", "/RichMedia"}
"""Annotations that show only an icon or a frame if they have no appearance of their own."""

_ICON = 40
"""Points around an icon's rectangle that it may cover: readers align it to one corner, whatever size the rectangle
has."""

_ARROW = 10
"""Half the width of an arrowhead, as a multiple of the line's width."""

_AROUND = 4
"""Pixels around a rectangle that count as part of it: lines at its edge, and arrowheads."""

_FRAME = 4
"""Pixels inside a rectangle that its frame takes up."""

_MAX_ITEMS = 2_000
"""Annotations of one page that are looked at: forms have hundreds; the others are compared like content."""

_MAX_POINTS = 20_000
"""Coordinates of one annotation that are read, for each list of them."""


@dataclass(frozen=True, slots=True)
class ReaderDrawn:
    """An area of a page that each reader draws in its own way.

    Args:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
        writing: Left, top, right, bottom of the part in which something may be written; nothing for an icon.
    """

    left: int
    top: int
    right: int
    bottom: int
    writing: tuple[int, int, int, int] | None


class ReaderDrawnItems:
    """The annotations and fields that a file leaves to its reader to draw; the file is read when first needed.

    Args:
        original: The file.
    """

    def __init__(self, original: bytes) -> None:
        self._original = original
        self._pdf: pikepdf.Pdf | None = None
        self._redo = True

    def close(self) -> None:
        """Free what was read."""
        if self._pdf is not None:
            self._pdf.close()

    def on(self, index: int, size: Size) -> list[ReaderDrawn]:
        """Find what a page leaves to its reader to draw.

        Args:
            index: The page, from 0.
            size: Size of the drawn page.
        """
        try:
            pdf = self._open()
            page = pdf.pages[index]
        except (pikepdf.PdfError, IndexError):
            return []
        found = []
        for item in _items(page.obj.get("/Annots")):
            if _left_to_reader(item, redo=self._redo):
                box = _box(page, _points(item), size)
                if box is not None:
                    found.append(ReaderDrawn(*box, writing=_writing(item, box)))
        return found

    def _open(self) -> pikepdf.Pdf:
        if self._pdf is None:
            self._pdf = pikepdf.open(BytesIO(self._original), suppress_warnings=True)
            form = self._pdf.Root.get("/AcroForm")
            if isinstance(form, pikepdf.Dictionary) and isinstance(form.get("/Fields"), pikepdf.Array):
                # PDFium ignores layers when it draws form fields.
                self._redo = bool(form.get("/NeedAppearances", False)) or "/OCProperties" in self._pdf.Root
        return self._pdf


def _items(annotations: object) -> Iterator[pikepdf.Dictionary]:
    if isinstance(annotations, pikepdf.Array):
        for position in range(min(len(annotations), _MAX_ITEMS)):
            item = annotations[position]
            if isinstance(item, pikepdf.Dictionary):
                yield item


def _left_to_reader(item: pikepdf.Dictionary, *, redo: bool) -> bool:
    if int(number(item.get("/F")) or 0) & (_HIDDEN | _NO_VIEW) or "/OC" in item:
        return False
    appearances = item.get("/AP")
    look = appearances.get("/N") if isinstance(appearances, pikepdf.Dictionary) else None
    if isinstance(look, pikepdf.Dictionary):
        state = item.get("/AS")
        look = look.get(str(state)) if isinstance(state, pikepdf.Name) else None
    return not isinstance(look, pikepdf.Stream) or (redo and item.get("/Subtype") == "/Widget")


def _points(item: pikepdf.Dictionary) -> list[float]:
    """The coordinates that say where an annotation is: its rectangle and its points."""
    lists: list[object] = [item.get(key) for key in ("/Rect", "/L", "/Vertices", "/QuadPoints")]
    ink = item.get("/InkList")
    if isinstance(ink, pikepdf.Array):
        lists += [ink[position] for position in range(min(len(ink), _MAX_ITEMS))]
    found: list[float] = []
    for numbers in lists:
        if isinstance(numbers, pikepdf.Array):
            values = [number(numbers[index]) for index in range(min(len(numbers), _MAX_POINTS) // 2 * 2)]
            if None not in values:
                found += [value for value in values if value is not None]
    if found and str(item.get("/Subtype")) in _ICONS:
        found += [min(found[::2]) - _ICON, min(found[1::2]) - _ICON, max(found[::2]) + _ICON, max(found[1::2]) + _ICON]
    elif found and "/LE" in item:
        reach = _ARROW * _line_width(item)
        found += [min(found[::2]) - reach, min(found[1::2]) - reach, max(found[::2]) + reach, max(found[1::2]) + reach]
    return found


def _line_width(item: pikepdf.Dictionary) -> float:
    style, border = item.get("/BS"), item.get("/Border")
    width = number(style.get("/W")) if isinstance(style, pikepdf.Dictionary) else None
    if width is None and isinstance(border, pikepdf.Array) and len(border) > 2:  # noqa: PLR2004 - its third number
        width = number(border[2])
    return 1.0 if width is None else min(max(width, 0.0), _ICON)


def _box(page: pikepdf.Page, points: list[float], size: Size) -> tuple[int, int, int, int] | None:
    if not points:
        return None
    seen = shown(page)
    corners = []
    for x, y in zip(points[::2], points[1::2], strict=True):
        right, up = {
            0: (x - seen.left, y - seen.bottom),
            90: (y - seen.bottom, seen.right - x),
            180: (seen.right - x, seen.top - y),
            270: (seen.top - y, x - seen.left),
        }[seen.rotate]
        corners.append((right * seen.unit / seen.width * size.width, (1 - up * seen.unit / seen.height) * size.height))
    across, upright = zip(*corners, strict=True)
    left, top = max(min(across) - _AROUND, 0), max(min(upright) - _AROUND, 0)
    right, bottom = min(max(across) + _AROUND, size.width), min(max(upright) + _AROUND, size.height)
    return (int(left), int(top), int(right) + 1, int(bottom) + 1) if left < right and top < bottom else None


def _writing(item: pikepdf.Dictionary, box: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    if str(item.get("/Subtype")) in _ICONS:
        return None
    flags = int(number(inherited(item, "/Ff")) or 0)
    if flags & _PASSWORD and inherited(item, "/FT") == "/Tx":
        return None  # readers draw asterisks, if anything; the value is never shown
    inset = _AROUND + _FRAME
    left, top, right, bottom = box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset
    if flags & _COMBO and inherited(item, "/FT") == "/Ch":
        right -= box[3] - box[1]  # its arrow
    return (left, top, right, bottom) if left < right and top < bottom else None
