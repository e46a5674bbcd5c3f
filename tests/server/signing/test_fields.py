import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.signing_world import make_field
from zegel_server.documents.model import Page
from zegel_server.errors import InvalidArgument
from zegel_server.signing.field_types import MAX_PNG_BYTES, FieldType
from zegel_server.signing.fields import Field, check_box, check_field, check_value, missing
from zegel_server.signing.values import Value, digest_of

A4 = [Page(595.0, 842.0), Page(842.0, 595.0)]
T = FieldType


def png(width: int = 3, height: int = 2, rest: bytes = b"") -> bytes:
    header = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    body = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + body + struct.pack(">I", zlib.crc32(body)) + rest


NUMBERS = st.floats(0, 10_000, allow_nan=False)
FIELDS = st.builds(
    Field,
    api_id=st.text(min_size=1, max_size=64),
    type=st.sampled_from(FieldType),
    document_index=st.integers(0, 19),
    page=st.integers(1, 2_000),
    x=NUMBERS,
    y=NUMBERS,
    width=NUMBERS,
    height=NUMBERS,
    required=st.booleans(),
    signer_index=st.integers(0, 49),
    name=st.text(max_size=200),
)
VALUES = st.one_of(
    st.builds(Value, st.sampled_from(["text", "typed"]), st.text(max_size=50)),
    st.builds(Value, st.just("checked"), st.booleans()),
    st.builds(Value, st.just("drawn"), st.binary(max_size=50)),
)


@given(FIELDS)
def test_a_field_comes_back_from_json_as_it_was(field: Field) -> None:
    assert Field.from_json(json.loads(json.dumps(field.to_json()))) == field


@given(VALUES)
def test_a_value_comes_back_from_json_as_it_was(value: Value) -> None:
    assert Value.from_json(json.loads(json.dumps(value.to_json()))) == value


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=4), st.randoms())
def test_a_digest_tells_values_apart_and_not_their_order(values: dict[str, Value], random: object) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest_of(dict(shuffled)) == digest_of(values)
    assert digest_of({**values, "another": Value("text", "x")}) != digest_of(values)


@given(FIELDS)
def test_a_field_is_accepted_exactly_where_its_box_is_on_the_page(field: Field) -> None:
    inside = (
        field.page <= len(A4)
        and field.x + field.width <= A4[field.page - 1].width + 0.01
        and field.y + field.height <= A4[field.page - 1].height + 0.01
    )
    try:
        check_box(field, "fields[0]", A4)
    except InvalidArgument:
        assert not inside
    else:
        assert inside


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"page": 0}, "page"),
        ({"page": -1}, "page"),
        ({"x": float("nan")}, "x"),
        ({"y": float("inf")}, "y"),
        ({"width": float("-inf")}, "width"),
        ({"x": -0.1}, "x"),
        ({"width": 0.0}, "width"),
        ({"width": 5e-324}, "width"),
        ({"height": 3.9}, "height"),
        ({"height": -3.0}, "height"),
        ({"document_index": 1}, "document_index"),
        ({"document_index": -1}, "document_index"),
        ({"signer_index": 2}, "signer_index"),
        ({"signer_index": -1}, "signer_index"),
        ({"api_id": ""}, "api_id"),
        ({"api_id": "a" * 65}, "api_id"),
        ({"api_id": "a\nb"}, "api_id"),
        ({"name": "n" * 201}, "name"),
    ],
)
def test_a_wrong_field_is_refused_by_the_name_of_what_is_wrong(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_field(make_field("a", T.TEXT, **changes), "fields[3]", documents=1, signers=2)
    assert caught.value.metadata["field"] == f"fields[3].{named}"


@pytest.mark.parametrize(("page", "named"), [({"page": 3}, "page"), ({"x": 400.0}, "width"), ({"y": 790.0}, "height")])
def test_a_box_off_the_page_is_refused(page: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_box(make_field("a", T.TEXT, **page), "fields[0]", A4)
    assert caught.value.metadata["field"] == f"fields[0].{named}"


@pytest.mark.parametrize("kind", FieldType)
def test_a_mark_is_always_required(kind: FieldType) -> None:
    field = check_field(make_field("a", kind, required=False), "fields[0]", documents=1, signers=1)
    assert field.required is (kind in {T.SIGNATURE, T.INITIALS})
    assert field.needs_value is (kind in {T.SIGNATURE, T.INITIALS})


def test_what_is_required_has_to_say_something() -> None:
    fields = [
        make_field("sign", T.SIGNATURE),
        make_field("text", T.TEXT, required=True),
        make_field("box", T.CHECKBOX, required=True),
        make_field("date", T.DATE_SIGNED, required=True),
        make_field("note", T.TEXT),
    ]
    empty = {"text": Value("text", ""), "box": Value("checked", content=False)}
    assert missing(fields, empty) == ["sign", "text", "box"]
    filled = {"sign": Value("typed", "Ann"), "text": Value("text", "x"), "box": Value("checked", content=True)}
    assert missing(fields, filled) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.SIGNATURE, Value("text", "Ann")),
        (T.INITIALS, Value("checked", content=True)),
        (T.TEXT, Value("typed", "Ann")),
        (T.TEXT, Value("drawn", png())),
        (T.CHECKBOX, Value("text", "yes")),
        (T.DATE_SIGNED, Value("text", "2026-11-24")),
        (T.TEXT, Value("text", "x" * 2_001)),
        (T.TEXT, Value("text", "bell\x07")),
        (T.SIGNATURE, Value("typed", "")),
        (T.SIGNATURE, Value("typed", "x" * 201)),
        (T.SIGNATURE, Value("drawn", b"")),
        (T.SIGNATURE, Value("drawn", b"GIF89a")),
        (T.SIGNATURE, Value("drawn", png()[:20])),
        (T.SIGNATURE, Value("drawn", png(0, 5))),
        (T.SIGNATURE, Value("drawn", png(2_001, 5))),
        (T.SIGNATURE, Value("drawn", png(5, 2**31))),
        (T.SIGNATURE, Value("drawn", png(rest=bytes(MAX_PNG_BYTES)))),
    ],
)
def test_a_value_of_another_type_or_beyond_its_limits_is_refused(kind: FieldType, value: Value) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_value(make_field("a", kind), value, "values[2]")
    assert caught.value.metadata["field"].startswith("values[2].")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.SIGNATURE, Value("typed", "Ann")),
        (T.INITIALS, Value("drawn", png(2_000, 2_000))),
        (T.TEXT, Value("text", "two\nlines")),
        (T.TEXT, Value("text", "")),
        (T.CHECKBOX, Value("checked", content=False)),
    ],
)
def test_a_value_of_the_fields_type_is_kept_as_it_is(kind: FieldType, value: Value) -> None:
    assert check_value(make_field("a", kind), value, "values[0]") == value
