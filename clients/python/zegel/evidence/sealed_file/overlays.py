"""How stamps are drawn over a page of a rendition: an added content stream draws a form, which draws the stamps.

Invariants:

* What is added follows from the page and the boxes, except what each stamp draws; and that is clipped to its box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from zegel.evidence.sealed_file.rendition import PageShape
from zegel.evidence.sealed_file.syntax import FormError, Name, Ref, Stream, Value, write_name, write_number

_OVERLAY: Final = "ZegelStamps"
_THOUSAND: Final = Decimal(1000)


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A box on a page of the rendition, in thousandths of a point from the top left of the page as shown.

    Args:
        page: The page, from 1.
        x: Its left edge.
        y: Its upper edge.
        width: Its width.
        height: Its height.
    """

    page: int
    x: int
    y: int
    width: int
    height: int


def overlay_name(page: Mapping[str, Value]) -> str:
    """The resource name under which a page draws its stamps: one that the page does not use yet.

    Args:
        page: The page in the rendition.
    """
    resources = page["Resources"]
    taken = resources.get("XObject", {}) if isinstance(resources, dict) else {}
    name = _OVERLAY
    while isinstance(taken, dict) and name in taken:
        name += "_"
    return name


def stamped_page(page: Mapping[str, Value], overlay: int) -> dict[str, Value]:
    """A page with an additional content stream, and the form that it draws.

    Args:
        page: The page in the rendition.
        overlay: Number of the content stream; the form has the next number.
    """
    resources = page["Resources"]
    known = resources if isinstance(resources, dict) else {}
    named = known.get("XObject", {})
    drawn: dict[str, Value] = {**(named if isinstance(named, dict) else {}), overlay_name(page): Ref(overlay + 1)}
    return {**page, "Contents": [page["Contents"], Ref(overlay)], "Resources": {**known, "XObject": drawn}}


def overlay_content(shape: PageShape, name: str) -> bytes:
    """The content that is added to a page: it draws a form, in the coordinates of the page as shown.

    Args:
        shape: How the page is shown.
        name: The form's name.
    """
    return b"q %s cm %s Do Q\n" % (b" ".join(map(write_number, shape.matrix)), write_name(name))


def overlay_form(shape: PageShape, boxes: Sequence[Box], first: int) -> Stream:
    """The form that draws a page's stamps, each in its box.

    Args:
        shape: How the page is shown.
        boxes: The boxes.
        first: Number of the first stamp; the others follow.

    Raises:
        FormError: There are too many.
    """
    if len(boxes) > 99_999:  # noqa: PLR2004 - five digits
        raise FormError("a page has too many stamps")
    lines = []
    named: dict[str, Value] = {}
    for index, box in enumerate(boxes):
        name = f"S{index:05d}"
        named[name] = Ref(first + index)
        left, bottom = Decimal(box.x) / _THOUSAND, shape.height - Decimal(box.y + box.height) / _THOUSAND
        lines.append(b"q 1 0 0 1 %s %s cm /%s Do Q\n" % (write_number(left), write_number(bottom), name.encode()))
    return Stream(
        {
            "Type": Name("XObject"),
            "Subtype": Name("Form"),
            "BBox": [Decimal(0), Decimal(0), shape.width, shape.height],
            "Resources": {"XObject": named},
        },
        b"".join(lines),
    )


def stamp_extent(box: Box) -> list[Value]:
    """The ``BBox`` of a stamp: from 0, 0 to its box's width and height.

    Args:
        box: The box.
    """
    return [0, 0, Decimal(box.width) / _THOUSAND, Decimal(box.height) / _THOUSAND]
