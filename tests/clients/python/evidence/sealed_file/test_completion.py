from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_files import (
    EVIDENCE,
    TEXTS,
    completion_objects,
    make_completed,
    make_rendition,
    make_small,
    with_seal,
)
from zegel.evidence.sealed_file.completion import Completion, Numbers
from zegel.evidence.sealed_file.completion_reading import read_completion
from zegel.evidence.sealed_file.overlays import Box
from zegel.evidence.sealed_file.revisions import read_revisions
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value

BOXES = {1: [Box(1, 100_500, 200_000, 50_000, 20_000), Box(1, 0, 0, 1, 1)], 3: [Box(3, 10_000, 700_000, 9_999, 1)]}


def read(pdf: bytes) -> Completion:
    first, second = read_revisions(pdf)[:2]
    return read_completion(first, second)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.dictionaries(
        st.integers(1, 4),
        st.lists(st.tuples(*[st.integers(0, 10**6)] * 2, *[st.integers(1, 10**6)] * 2), min_size=1, max_size=3),
        max_size=3,
    ),
    st.binary(max_size=60) | st.just(b"endstream\n\0"),
)
def test_what_is_added_is_read_back(
    title: str, places: dict[int, list[tuple[int, int, int, int]]], trail: bytes
) -> None:
    boxes = {page: [Box(page, *place) for place in each] for page, each in sorted(places.items())}
    files = {**EVIDENCE, "audit.jsonl": trail}
    texts = replace(TEXTS, title=title)
    found = read(make_completed(make_rendition(4), boxes, texts, files))
    assert found.texts == texts
    assert found.files == files
    assert list(found.boxes) == [box for each in boxes.values() for box in each]


@pytest.mark.parametrize("changes", [{"Rotate": 90}, {"UserUnit": 3}, {"MediaBox": [-7, 5, 300, 400]}])
def test_boxes_are_told_on_the_page_as_it_is_shown(changes: dict[str, Value]) -> None:
    boxes = {1: [Box(1, 12_345, 6_789, 1_000, 2_000)]}
    assert list(read(make_completed(make_rendition(**changes), boxes)).boxes) == boxes[1]


def test_a_name_that_the_page_has_already_is_not_taken() -> None:
    named: Value = {"XObject": {"ZegelStamps": Ref(4), "ZegelStamps_": Ref(4)}}
    pdf = make_completed(make_rendition(Resources=named), {1: BOXES[1]})
    assert b"/ZegelStamps__ " in pdf
    assert len(read(pdf).boxes) == 2


Change = Callable[[dict[int, Value], Numbers], None]


def put(number: Callable[[Numbers], int], **changes: Value) -> Change:
    def change(objects: dict[int, Value], numbers: Numbers) -> None:
        value = objects[number(numbers)]
        if isinstance(value, Stream):
            objects[number(numbers)] = Stream({**value.entries, **changes}, value.data)
        else:
            assert isinstance(value, dict)
            objects[number(numbers)] = {**value, **changes}

    return change


def data(number: Callable[[Numbers], int], text: bytes) -> Change:
    def change(objects: dict[int, Value], numbers: Numbers) -> None:
        value = objects[number(numbers)]
        assert isinstance(value, Stream)
        objects[number(numbers)] = Stream(value.entries, text)

    return change


def drop(number: Callable[[Numbers], int]) -> Change:
    def change(objects: dict[int, Value], numbers: Numbers) -> None:
        del objects[number(numbers)]

    return change


SCRIPT: Value = {"S": Name("JavaScript"), "JS": b"1"}


@pytest.mark.parametrize(
    "change",
    [
        put(lambda _: 1, OpenAction=SCRIPT),
        put(lambda _: 1, Names={}),
        put(lambda _: 2, Count=3),
        put(lambda _: 3, Rotate=90),
        put(lambda _: 3, Contents=Ref(4)),
        put(lambda _: 3, MediaBox=[0, 0, 10, 10]),
        put(lambda _: 3, Annots=[]),
        put(lambda n: n.form, XFA=b"x"),
        put(lambda n: n.field, Rect=[0, 0, 9, 9]),
        put(lambda n: n.field, AA=SCRIPT),
        put(lambda n: n.seal, Name=b"x"),
        put(lambda n: n.seal, Reference=[]),
        put(lambda n: n.info, Author=b"x"),
        put(lambda n: n.info, Title=b"\xff"),
        put(lambda n: n.info, Title=b"\xfe\xff\0A"),
        put(lambda n: n.info, ModDate=b"D:20300102030406Z"),
        put(lambda n: n.info, CreationDate=b"D:20301302030405Z"),
        put(lambda n: n.file(0), Desc=b"x"),
        put(lambda n: n.file(0) + 1, Params={}),
        put(lambda n: n.file(0) + 1, Filter=Name("ASCIIHexDecode")),
        data(lambda n: n.file(0) + 1, b"other"),
        data(lambda n: n.overlay(0), b"0 0 900 900 re f q 1 0 0 1 0 0 cm /ZegelStamps Do Q\n"),
        put(lambda n: n.overlay(0) + 1, Matrix=[2, 0, 0, 2, 0, 0]),
        data(lambda n: n.overlay(0) + 1, b"0 0 900 900 re f\n"),
        data(lambda n: n.overlay(0) + 1, b""),
        put(lambda n: n.first_drawn, BBox=[-9, 0, 900, 900]),
        put(lambda n: n.first_drawn, Matrix=[9, 0, 0, 9, 0, 0]),
        put(lambda n: n.first_drawn, OC={}),
        put(lambda n: n.first_drawn, Subtype=Name("PS")),
        put(lambda n: n.first_drawn, Resources={"XObject": {"A": Ref(4)}}),
        put(lambda n: n.first_drawn, Resources={"Properties": {}}),
        put(lambda n: n.first_drawn, Resources={"Font": {"F": {"Type": Name("Font"), "CharProcs": {}}}}),
        put(lambda n: n.first_audit_page, AA=SCRIPT),
        put(lambda n: n.first_audit_page, Annots=[Ref(4)]),
        put(lambda n: n.first_audit_page, Contents=Ref(4)),
        put(lambda n: n.first_audit_page, Rotate=90),
        put(lambda n: n.first_audit_page, Resources={"XObject": {"A": {"OPI": {}}}}),
        drop(lambda n: n.widgets),
        drop(lambda n: n.overlay(0)),
        drop(lambda n: n.first_drawn),
        drop(lambda _: 1),
        lambda objects, _: objects.update({4: Stream({}, b"other")}),
        lambda objects, _: objects.update({max(objects) + 1: b"hidden"}),
    ],
)
def test_anything_else_is_refused(change: Change) -> None:
    rendition = make_rendition(3)
    numbers, objects = completion_objects(read_revisions(rendition)[0], BOXES)
    read(with_seal(rendition, numbers, objects))
    size = max(objects) + 1
    change(objects, numbers)
    with pytest.raises(FormError):
        read(with_seal(rendition, numbers, dict(sorted(objects.items())), max(size, *(each + 1 for each in objects))))


def test_a_larger_stamp_has_a_larger_box_which_the_request_must_have_named() -> None:
    rendition = make_rendition()
    numbers, objects = completion_objects(read_revisions(rendition)[0], {1: [Box(1, 0, 0, 5_000, 5_000)]})
    put(lambda n: n.first_drawn, BBox=[0, 0, 900, 900])(objects, numbers)
    assert read(with_seal(rendition, numbers, objects)).boxes == (Box(1, 0, -895_000, 900_000, 900_000),)


def test_a_stamp_has_a_box_of_some_size_on_a_page_that_exists() -> None:
    with pytest.raises(FormError, match="is not clipped to its box"):
        read(make_completed(make_rendition(), {1: [Box(1, 0, 0, 0, 5)]}))
    with pytest.raises(FormError, match="does not exist"):
        make_completed(make_rendition(), {2: [Box(2, 0, 0, 5, 5)]})


def test_evidence_has_a_bound_for_reader_and_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    large = {**EVIDENCE, "audit.jsonl": bytes(2_000)}
    pdf = make_completed(make_rendition(), {}, files=large)
    for module in ("completion", "completion_reading"):
        with monkeypatch.context() as patch:
            patch.setattr(f"zegel.evidence.sealed_file.{module}.MAX_EVIDENCE_BYTES", 1_000)
            with pytest.raises(BoundError, match="attached files"):
                read(pdf)
            if module == "completion":
                with pytest.raises(BoundError, match="attached files"):
                    make_completed(make_rendition(), {}, files=large)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 9, 2**20, 2**20 + 1])
def test_evidence_in_digits_is_read_back(size: int) -> None:
    files = {**EVIDENCE, "audit.jsonl": b"endstream" + b"\n" * size}
    pdf = make_completed(make_rendition(), {}, files=files)
    assert read(pdf).files == files
    assert files["audit.jsonl"].hex().upper().encode() + b">\nendstream" in pdf


def test_the_seal_covers_all_but_its_own_place() -> None:
    pdf = make_small(2, {1: BOXES[1]})
    (seal_start, seal_end), contents = read(pdf).gap, read(pdf).contents
    assert pdf[seal_start:seal_end] == b"<" + contents.hex().upper().encode() + b">"
    second = read_revisions(pdf)[1]
    ranges = b"/ByteRange [0 %d %d %d]" % (seal_start, seal_end, second.end - seal_end)
    assert pdf.count(ranges) == 1
    with pytest.raises(FormError):
        read(pdf.replace(ranges, ranges.replace(b"[0", b"[1")))
