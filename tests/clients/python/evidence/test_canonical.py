"""Canonical JSON against RFC 8785 and against a second way to write it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel.evidence.canonical import MAX_DEPTH, MAX_INTEGER, CanonicalError, dumps, dumps_ordered, loads

values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def rfc_8785(value: Any) -> str:
    """RFC 8785, section 3.2, written out: slow and plain."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: list(key.encode("utf-16-be")))
        return "{" + ",".join(f"{rfc_8785(key)}:{rfc_8785(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(rfc_8785(each) for each in value) + "]"
    if isinstance(value, str):
        short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
        return '"' + "".join(short.get(ord(c)) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if value is None:
        return "null"
    return str(value).lower()


@given(values)
def test_is_rfc_8785_and_is_read_back(value: Any) -> None:
    data = dumps(value)
    assert data == rfc_8785(value).encode()
    assert loads(data) == value


def test_the_example_of_rfc_8785_section_3_2_3_sorts_by_utf_16() -> None:
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(dumps(value))) == order
    # Python's own order is another: what the fast way must not be used for.
    assert sorted(value) != order


def test_the_string_of_rfc_8785_section_3_2_2() -> None:
    assert dumps("\u20ac$\u000f\nA'\u0042\u0022\u005c\\\"/") == b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), {1: 2}, {None: 1}, b"bytes", {1, 2}, "\ud800", {"\udfff": 1}, [object()]],
)
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(CanonicalError):
        dumps(value)
    if isinstance(value, str):
        with pytest.raises(CanonicalError):
            dumps_ordered({"a": value})


def test_nesting_has_a_limit() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert loads(dumps(value)) == value
    with pytest.raises(CanonicalError, match="deep"):
        dumps([value])
    with pytest.raises(CanonicalError):
        loads(b"[" * 60_000)
    with pytest.raises(CanonicalError):
        loads(b"[" * 60_000 + b"]" * 60_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1\n",
        b"1 2",
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,}',
        b"[1,]",
        b"-0",
        b"1.0",
        b"1e2",
        b"01",
        b"+1",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b"9" * 5000,
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b'"\\u001F"',
        b'"\\ud83d\\ude00"',
        b'"\\ud800"',
        b"'a'",
        b"\xef\xbb\xbf1",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"tru",
        b"True",
    ],
)
def test_what_is_not_the_one_form_is_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        loads(data)


@given(st.binary(max_size=60))
def test_bytes_are_refused_or_are_what_would_be_written(data: bytes) -> None:
    try:
        value = loads(data)
    except CanonicalError:
        return
    assert dumps(value) == data
