from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.pdf.model import PageFacts, PdfFacts, Stamp
from zegel_server.pdf.sandbox.wire import (
    MAX_HEADER_BYTES,
    PREFIX,
    WireError,
    dump,
    header_length,
    load,
    pack,
    parse_header,
)


@dataclass(frozen=True)
class Leaf:
    data: bytes
    number: float
    name: str


@dataclass(frozen=True)
class Tree:
    leaves: list[Leaf]
    pair: tuple[int, ...]
    perhaps: bytes | None
    words: dict[str, str]
    flag: bool
    time: datetime
    more: list[bytes] = field(default_factory=list)


leaves = st.builds(Leaf, st.binary(max_size=40), st.floats(-1e9, 1e9), st.text(max_size=20))
trees = st.builds(
    Tree,
    st.lists(leaves, max_size=4),
    st.lists(st.integers(-(2**40), 2**40), max_size=4).map(tuple),
    st.none() | st.binary(max_size=40),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    st.booleans(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.binary(max_size=8), max_size=3),
)


def parts(frame: list[bytes | memoryview]) -> tuple[str, object, list[bytes]]:
    head = bytes(frame[0])
    assert header_length(head[: PREFIX.size]) == len(head) - PREFIX.size
    kind, body, lengths = parse_header(head[PREFIX.size :], 10**9)
    blobs = [bytes(blob) for blob in frame[1:]]
    assert lengths == [len(blob) for blob in blobs]
    return kind, body, blobs


@given(trees)
def test_what_goes_in_comes_out(tree: Tree) -> None:
    kind, body, blobs = parts(pack("job", tree))
    assert kind == "job"
    assert load(Tree, body, blobs) == tree


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_an_error(raw: bytes) -> None:
    try:
        kind, _body, lengths = parse_header(raw, 1000)
    except WireError:
        return
    assert isinstance(kind, str)
    assert sum(lengths) <= 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(json_values | st.fixed_dictionaries({"width": json_values, "height": json_values}))
def test_any_value_is_of_the_type_or_an_error(value: object) -> None:
    try:
        facts = load(PageFacts, value, [])
    except WireError:
        return
    assert type(facts.width) is float
    assert abs(facts.width) < 1e15


@pytest.mark.parametrize(
    "change",
    [
        {"pages": "no"},
        {"pages": [{"width": float("nan"), "height": 1.0}]},
        {"pages": [{"width": float("inf"), "height": 1.0}]},
        {"pages": [{"width": 10**400, "height": 1.0}]},
        {"pages": [{"width": True, "height": 1.0}]},
        {"has_form": 1},
        {"pdf_version": None},
        {"another": 1},
    ],
)
def test_facts_of_another_shape_are_refused(change: dict[str, object]) -> None:
    good = dump(PdfFacts((PageFacts(1.0, 2.0),), pdf_version="1.7"), [])
    assert isinstance(good, dict)
    assert load(PdfFacts, good, []).pages == (PageFacts(1.0, 2.0),)
    with pytest.raises(WireError):
        load(PdfFacts, good | change, [])


@pytest.mark.parametrize("index", [-1, 1, 10**30, None, True, "0", 0.0])
def test_a_blob_that_is_not_there_is_refused(index: object) -> None:
    assert load(bytes, {"$blob": 0}, [b"x"]) == b"x"
    with pytest.raises(WireError):
        load(bytes, {"$blob": index}, [b"x"])


def test_an_unknown_word_is_refused() -> None:
    good = dump(Stamp(1, 0, 0, 1, 1, "text"), [])
    assert isinstance(good, dict)
    with pytest.raises(WireError):
        load(Stamp, good | {"kind": "script"}, [])


def test_bounds_hold_before_anything_is_read() -> None:
    with pytest.raises(WireError):
        header_length(PREFIX.pack(MAX_HEADER_BYTES + 1))
    head = bytes(pack("x", [b"12345", b"67890"])[0])[PREFIX.size :]
    assert parse_header(head, 10)[2] == [5, 5]
    with pytest.raises(WireError):
        parse_header(head, 9)
    with pytest.raises(WireError):
        parse_header(b'{"kind": "x", "body": null, "blobs": [-1, 1]}', 10)
    with pytest.raises(WireError):
        parse_header(b"[" * 100_000, 10)


def test_nothing_else_travels() -> None:
    with pytest.raises(TypeError):
        dump(object(), [])
