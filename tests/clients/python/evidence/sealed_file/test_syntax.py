import re
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from zegel.evidence.sealed_file.syntax import (
    MAX_DEPTH,
    MAX_VALUE_BYTES,
    BoundError,
    DepthError,
    FormError,
    Name,
    Ref,
    Stream,
    Value,
    read_value,
    same,
    write_name,
    write_number,
    write_value,
)

names = st.text(st.characters(max_codepoint=255), max_size=20)
numbers = st.integers(-(10**31) + 1, 10**31 - 1) | st.decimals(
    min_value=-(10**9), max_value=10**9, places=12, allow_nan=False
).map(lambda each: each.normalize() if each % 1 else Decimal(int(each)))
scalars = (
    st.none() | st.booleans() | numbers | st.binary(max_size=30) | names.map(Name) | st.integers(1, 10**9).map(Ref)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=5),
    max_leaves=30,
)


@given(values)
def test_what_is_written_is_read_back_and_spelled_the_same(value: Value) -> None:
    text = write_value(value)
    read, end = read_value(text, 0)
    assert end == len(text)
    assert same(read, value)
    assert write_value(read) == text


@given(values, st.data())
def test_a_changed_byte_is_another_value_or_refused(value: Value, data: st.DataObject) -> None:
    text = write_value(value)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.binary(max_size=3)) + text[at + data.draw(st.integers(0, 2)) :]
    try:
        read, end = read_value(changed, 0)
    except FormError:
        return
    if write_value(read) == changed[:end] == changed:
        assert same(read, value) == (changed == text)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_raise_anything_else(data: bytes) -> None:
    try:
        value, end = read_value(data, 0)
    except FormError:
        return
    assert 0 < end <= len(data)
    write_value(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        (True, b"true"),
        (0, b"0"),
        (-17, b"-17"),
        (Decimal("0.50"), b"0.5"),
        (Decimal("-0.0"), b"0"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("1E-7"), b"0.0000001"),
        (b"", b"<>"),
        (b"a(\\)", b"<61285C29>"),
        (Name("Type"), b"/Type"),
        (Name("application/json"), b"/application#2Fjson"),
        (Name("a b#\xe9\0"), b"/a#20b#23#E9#00"),
        (Name(""), b"/"),
        (Ref(12), b"12 0 R"),
        ([], b"[]"),
        ([1, Ref(2), Name("N")], b"[1 2 0 R /N]"),
        ({}, b"<< >>"),
        ({"b": 1, "a": [], "B": {}}, b"<< /B << >> /a [] /b 1 >>"),
        (Stream({"Filter": Name("X")}, b"12345"), b"<< /Filter /X /Length 5 >>"),
    ],
)
def test_each_value_has_this_spelling(value: Value, text: bytes) -> None:
    assert write_value(value) == text


@pytest.mark.parametrize(
    "text",
    [
        *(b"+1", b"01", b"1.", b".5", b"1.0", b"1.50", b"-0", b"-0.0", b"1e3", b"0x1", b"--1"),
        *(b"(a)", b"<6>", b"<61 62>", b"<6a>", b"<61", b"61>"),
        *(b"/#41", b"/a#2fb", b"/a#4", b"/#", b"/ a"),
        *(b"[ ]", b"[1  2]", b"[1\n2]", b"[1 2 ]", b"[1", b"]", b"[1>>", b"<< ]"),
        *(b"<<>>", b"<</A 1>>", b"<< /A  1 >>", b"<< /B 1 /A 2 >>", b"<< /A 1 /A 1 >>", b"<< /A >>", b"<< 1 2 >>"),
        *(b"1 1 R", b"0 0 R", b"01 0 R", b"1  0 R", b"1 0 r", b"1 00 R"),
        *(b"", b" ", b"%c\n1", b"True", b"NULL", b"nul", b"R", b"stream"),
    ],
)
def test_another_spelling_is_refused(text: bytes) -> None:
    try:
        value, end = read_value(text, 0)
    except FormError:
        return
    assert text[:end] != text or write_value(value) != text


def test_true_is_not_one() -> None:
    assert not same(True, 1)
    assert not same([False], [0])
    assert not same(Name("A"), b"A")
    assert not same({}, Stream({}, b""))
    assert not same(Stream({}, b"1"), Stream({}, b"2"))


# -------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"K": value}])
def test_writer_and_reader_have_the_same_depth(wrap: object) -> None:
    value: Value = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)  # type: ignore[operator]
    text = write_value(value)
    assert read_value(text, 0)[1] == len(text)
    with pytest.raises(DepthError):
        write_value(wrap(value))  # type: ignore[operator]
    opening, closing = (b"[", b"]") if text[:1] == b"[" else (b"<< /K ", b" >>")
    with pytest.raises(DepthError):
        read_value(opening + text + closing, 0)


@pytest.mark.parametrize(
    "number",
    [10**31, -(10**31), Decimal(10) ** 31, Decimal("1E-32"), Decimal("1E+999999"), Decimal("NaN"), Decimal("Inf")],
)
def test_a_number_that_could_not_be_read_back_is_not_written(number: int | Decimal) -> None:
    with pytest.raises(BoundError):
        write_value(number)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_number_that_is_written_is_read_back(number: Decimal) -> None:
    try:
        text = write_number(number)
    except BoundError:
        return
    assert read_value(text, 0) == (number, len(text))
    assert re.fullmatch(rb"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", text)


@given(names)
def test_every_name_is_spelled_in_regular_characters(name: str) -> None:
    assert re.fullmatch(rb"/([!\"$&'*-.0-;=?-Z\\^-z|~]|#[0-9A-F]{2})*", write_name(name))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 3_000_000,
        b"<< /K " * 900_000,
        b"[" + b"1 " * 3_000_000,
        b"<" + b"41" * 3_000_000,
        b"<" + b"41" * 3_000_000 + b">",
        b"/" + b"A" * 5_000_000,
        b"1" * 5_000_000,
        b" " * 5_000_000,
    ],
)
def test_a_long_value_is_refused_soon(text: bytes) -> None:
    end = 0
    with Effort() as effort, suppress(FormError):
        _, end = read_value(text + b"\nendobj\n", 0)
    assert effort.seconds < 10
    assert end <= MAX_VALUE_BYTES < len(text)
