from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from support.small_files import make_rendition, page, rendition_objects
from zegel.evidence.sealed_file.rendition import check_rendition, shape_of, write_rendition
from zegel.evidence.sealed_file.revisions import read_revisions
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value

LINK: dict[str, Value] = {"Type": Name("Annot"), "Subtype": Name("Link"), "Rect": [0, 0, 9, 9]}


def with_link(**changes: Value) -> list[Value]:
    objects = rendition_objects(2, Annots=[Ref(6)])
    # Breadth first: the first page names its link before its content, as keys are sorted.
    first: Value = {**page(6), "Annots": [Ref(5)]}
    return [*objects[:2], first, page(7), {**LINK, **changes}, *objects[4:]]


def test_a_rendition_is_read_back() -> None:
    for pages in (1, 2, 40):
        (read,) = read_revisions(make_rendition(pages))
        assert check_rendition(read.objects) == pages


@pytest.mark.parametrize(
    "link",
    [
        {"A": {"S": Name("URI"), "URI": b"https://example.org"}},
        {"Dest": [Ref(3), Name("Fit")]},
        {"Dest": [Ref(4), Name("XYZ"), 0, 0, 0], "Border": [0, 0, 0]},
        {},
    ],
)
def test_links_to_the_web_and_within_stay(link: dict[str, Value]) -> None:
    write_rendition(with_link(**link))


@pytest.mark.parametrize(
    "link",
    [
        {"A": {"S": Name("JavaScript"), "JS": b"1"}},
        {"A": {"S": Name("URI"), "URI": b"x", "Next": {"S": Name("JavaScript")}}},
        {"A": {"S": Name("Launch"), "F": b"x"}},
        {"A": Ref(6)},
        {"Dest": [Ref(1), Name("Fit")]},
        {"Dest": b"named"},
        {"Dest": []},
        {"AA": {}},
        {"AP": {}},
        {"Subtype": Name("Widget")},
        {"OC": {}},
    ],
)
def test_what_acts_or_shows_is_no_link(link: dict[str, Value]) -> None:
    with pytest.raises(FormError, match="not a link"):
        write_rendition(with_link(**link))


@pytest.mark.parametrize(
    "changes",
    [
        {"Type": Name("Pages")},
        {"Parent": Ref(1)},
        {"Contents": [Ref(4)]},
        {"Contents": None},
        {"Resources": Ref(4)},
        {"Resources": {"XObject": Ref(4)}},
        {"CropBox": [0, 0, 1, 1]},
        {"AA": {}},
        {"B": []},
        {"MediaBox": [0, 0, 0, 9]},
        {"MediaBox": [600, 800, 0, 0]},
        {"MediaBox": [0, 0, 9]},
        {"MediaBox": [0, 0, True, 9]},
        {"Rotate": 45},
        {"Rotate": -90},
        {"Rotate": True},
        {"UserUnit": 0},
        {"UserUnit": Name("X")},
        {"Annots": Ref(4)},
        {"Annots": [{}]},
    ],
)
def test_a_page_of_another_shape_is_refused(changes: dict[str, Value]) -> None:
    with pytest.raises(FormError):
        make_rendition(**changes)


@pytest.mark.parametrize(
    "changes", [{"MediaBox": [0, 0, 10**9, 1]}, {"UserUnit": 10**9}, {"UserUnit": Decimal("1E-20")}]
)
def test_a_page_beyond_all_measure_is_refused_by_its_bound(changes: dict[str, Value]) -> None:
    with pytest.raises(BoundError, match="100,000,000"):
        make_rendition(**changes)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, {"Type": Name("Catalog"), "Pages": Ref(2), "OpenAction": {}}),
        (0, {"Type": Name("Catalog"), "Pages": Ref(3)}),
        (0, {"Type": Name("Catalogue"), "Pages": Ref(2)}),
        (0, {"Type": Name("Catalog"), "Pages": Ref(2), "AcroForm": {}}),
        (0, []),
        (1, {"Type": Name("Pages"), "Kids": [Ref(3)], "Count": 2}),
        (1, {"Type": Name("Pages"), "Kids": [], "Count": 0}),
        (1, {"Type": Name("Pages"), "Kids": [Ref(3)], "Count": 1, "MediaBox": [0, 0, 1, 1]}),
        (1, {"Type": Name("Pages"), "Kids": [Ref(3)], "Count": True}),
        (1, {"Type": Name("Pages"), "Kids": [Ref(2)], "Count": 1}),
    ],
)
def test_another_catalogue_or_tree_is_refused(place: int, value: Value) -> None:
    objects = rendition_objects()
    objects[place] = value
    with pytest.raises(FormError):
        write_rendition(objects)


def test_nothing_is_there_that_nothing_leads_to_and_all_is_in_its_place() -> None:
    objects = rendition_objects()
    with pytest.raises(FormError, match="nothing refers to"):
        write_rendition([*objects, Stream({}, b"hidden")])
    two = rendition_objects(2)
    two[2], two[3] = page(6), page(5)
    with pytest.raises(FormError, match="out of order"):
        write_rendition(two)
    with pytest.raises(FormError, match="not a page"):
        write_rendition(objects[:-1])


@given(
    st.tuples(st.integers(-100, 100), st.integers(-100, 100), st.integers(1, 5000), st.integers(1, 5000)),
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from([1, 2, Decimal("0.5"), 4]),
)
def test_a_pages_corners_as_shown_are_its_corners(
    box: tuple[int, int, int, int], turn: int, unit: int | Decimal
) -> None:
    left, bottom, width, height = box
    shape = shape_of({"MediaBox": [left, bottom, left + width, bottom + height], "Rotate": turn, "UserUnit": unit})
    sides = [shape.width, shape.height]
    assert sorted(sides) == sorted([width * Decimal(unit), height * Decimal(unit)])
    a, b, c, d, e, f = shape.matrix
    shown = [(x, y) for x in (Decimal(0), shape.width) for y in (Decimal(0), shape.height)]
    found = {(a * x + c * y + e, b * x + d * y + f) for x, y in shown}
    assert found == {(Decimal(x), Decimal(y)) for x in (left, left + width) for y in (bottom, bottom + height)}


def test_what_checking_costs_grows_with_the_pages() -> None:
    def cost(pages: int) -> float:
        (read,) = read_revisions(make_rendition(pages))
        spent = []
        for _ in range(3):
            with Effort() as effort:
                check_rendition(read.objects)
            spent.append(effort.seconds)
        return min(spent)

    assert cost(2_000) < 60 * max(cost(100), 0.002)
