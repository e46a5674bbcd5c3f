"""The first revision: a rendition, which is what every signer was shown.

Its objects are 1 the catalogue, 2 the page tree, from 3 on the pages in order; then everything these refer to, in the
order in which it is first reached from the pages and then from the catalogue.

Invariants:

* A page has its own resources, one content stream, and no annotations but links. So later additions to a page affect
  only that page, and nothing on it is active.
* The catalogue has no form, no action, no attachment and no layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from zegel.evidence.sealed_file.graph import demand_order, is_number, rectangle
from zegel.evidence.sealed_file.revisions import CATALOGUE, Written, write_first
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value, same

PAGE_TREE: Final = 2
"""Number of the page tree."""
FIRST_PAGE: Final = 3
"""Number of the first page."""

MAX_LENGTH: Final = 100_000_000
"""Largest side of a page, in points or units, and largest scale: a hundred times what any reader shows."""

_CATALOGUE_KEYS: Final = frozenset({"Type", "Pages", "Lang", "Outlines", "PageLabels"})
_PAGE_KEYS: Final = frozenset(
    {"Type", "Parent", "MediaBox", "Contents", "Resources", "Rotate", "UserUnit", "Group", "Annots"}
)
_LINK_KEYS: Final = frozenset(
    {"Type", "Subtype", "Rect", "Border", "BS", "C", "QuadPoints", "H", "F", "A", "Dest", "Contents"}
)
_TURNS: Final = (0, 90, 180, 270)
_FINE: Final = Decimal("0.000001")
_FINER: Final = Decimal("0.000000000001")
"""The smallest step of a scale, which multiplies up to a million points."""


@dataclass(frozen=True, slots=True)
class PageShape:
    """A page's size as shown, and how it maps to the page's own units.

    Args:
        width: Width as shown, in points.
        height: Height as shown, in points.
        matrix: Maps a position on the page as shown (in points, from its lower left) to the page's own units.
    """

    width: Decimal
    height: Decimal
    matrix: tuple[Decimal, Decimal, Decimal, Decimal, Decimal, Decimal]


def write_rendition(objects: Sequence[Value]) -> Written:
    """Write a rendition.

    Args:
        objects: Its objects from 1 on.

    Raises:
        FormError: They are not a rendition's.
    """
    check_rendition(dict(enumerate(objects, 1)))
    return write_first(objects)


def check_rendition(objects: Mapping[int, Value]) -> int:
    """Check that objects are those of a rendition.

    Args:
        objects: The objects, by their numbers from 1 on.

    Returns:
        How many pages it has.

    Raises:
        FormError: They are not.
    """
    catalogue, tree = entries_of(objects, CATALOGUE), entries_of(objects, PAGE_TREE)
    if catalogue.get("Type") != Name("Catalog") or catalogue.get("Pages") != Ref(PAGE_TREE):
        raise FormError("the first object is not a catalogue")
    if not catalogue.keys() <= _CATALOGUE_KEYS:
        raise FormError("the rendition's catalogue has more than it may")
    kids = tree.get("Kids")
    count = len(kids) if isinstance(kids, list) else 0
    if count == 0 or not same(tree, page_tree(count)):
        raise FormError("the rendition's page tree is not flat and in order")
    pages = range(FIRST_PAGE, FIRST_PAGE + count)
    for number in pages:
        _check_page(objects, number, pages)
    demand_order(objects, [*pages, CATALOGUE, PAGE_TREE], pages.stop, range(0))
    return count


def page_tree(count: int, more: Sequence[Ref] = ()) -> dict[str, Value]:
    """The page tree.

    Args:
        count: How many pages the rendition has.
        more: Pages that are added after them.
    """
    kids: list[Value] = [*(Ref(number) for number in range(FIRST_PAGE, FIRST_PAGE + count)), *more]
    return {"Type": Name("Pages"), "Count": len(kids), "Kids": kids}


def entries_of(objects: Mapping[int, Value], number: int) -> dict[str, Value]:
    """An object that must be a dictionary.

    Args:
        objects: The objects.
        number: Which.

    Raises:
        FormError: It is missing, or not a dictionary.
    """
    value = objects.get(number)
    if not isinstance(value, dict):
        raise FormError(f"object {number} is not a dictionary")
    return value


def shape_of(page: Mapping[str, Value]) -> PageShape:
    """How a page is shown.

    Args:
        page: The page.

    Raises:
        FormError: It has no shape that can be shown.
    """
    left, bottom, right, top = rectangle(page.get("MediaBox"))
    turn, told = page.get("Rotate", 0), page.get("UserUnit", 1)
    if turn not in _TURNS or isinstance(turn, bool) or not is_number(told) or Decimal(str(told)) <= 0:
        raise FormError("a page is rotated or scaled in a way that cannot be shown")
    unit = Decimal(str(told))
    scale, none = _fine(1 / unit, _FINER), Decimal(0)
    across, upright = _fine((right - left) * unit), _fine((top - bottom) * unit)
    if turn == 0:
        return PageShape(across, upright, (scale, none, none, scale, left, bottom))
    if turn == 90:  # noqa: PLR2004 - degrees
        return PageShape(upright, across, (none, scale, -scale, none, right, bottom))
    if turn == 180:  # noqa: PLR2004 - degrees
        return PageShape(across, upright, (-scale, none, none, -scale, right, top))
    return PageShape(upright, across, (none, -scale, scale, none, left, top))


def _fine(number: Decimal, to: Decimal = _FINE) -> Decimal:
    if abs(number) > MAX_LENGTH:
        raise BoundError(f"a page is larger than {MAX_LENGTH:,} points, or is scaled so")
    return number.quantize(to, ROUND_HALF_EVEN)


def _check_page(objects: Mapping[int, Value], number: int, pages: range) -> None:
    page = entries_of(objects, number)
    content = page.get("Contents")
    resources = page.get("Resources")
    if (
        page.get("Type") != Name("Page")
        or page.get("Parent") != Ref(PAGE_TREE)
        or not page.keys() <= _PAGE_KEYS
        or not isinstance(content, Ref)
        or not isinstance(objects.get(content.number), Stream)
        or not isinstance(resources, dict)
        or not isinstance(resources.get("XObject", {}), dict)
    ):
        raise FormError(f"object {number} is not a page of a rendition")
    shape_of(page)
    links = page.get("Annots", [])
    if not isinstance(links, list):
        raise FormError(f"object {number}: its links are not a list")
    for link in links:
        if not isinstance(link, Ref):
            raise FormError(f"object {number}: a link is not a separate object")
        _check_link(entries_of(objects, link.number), pages)


def _check_link(link: Mapping[str, Value], pages: range) -> None:
    action, target = link.get("A"), link.get("Dest")
    leads_out = isinstance(action, dict) and action.keys() == {"S", "URI"} and action["S"] == Name("URI")
    leads_in = isinstance(target, list) and bool(target) and isinstance(target[0], Ref) and target[0].number in pages
    if (
        link.get("Subtype") != Name("Link")
        or not link.keys() <= _LINK_KEYS
        or (action is not None and not leads_out)
        or (target is not None and not leads_in)
    ):
        raise FormError("an annotation is not a link that a rendition may have")
