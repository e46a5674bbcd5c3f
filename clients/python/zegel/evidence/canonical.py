"""Canonical JSON (RFC 8785) for the audit log: each value has exactly one encoding.

Allowed are objects, arrays, strings, integers, booleans and null. Numbers with a fraction are refused, so that a port
need not format floating point.

Invariants:

* ``loads`` accepts exactly what ``dumps`` returns: no blank, no other order, no repeated key, no other escape.
* Integers are within +-(2^53 - 1), which every JSON implementation represents exactly (RFC 7493, section 2.2).
* Keys are in the order of their UTF-16 code units, which differs from Python's order if a key has a character beyond
  the basic plane.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | bool | None"
"""A value with a canonical form."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that an IEEE 754 double, and so every JSON implementation, represents unambiguously."""
MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects; a leaf needs 3. It keeps input from exhausting the stack."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class CanonicalError(ValueError):
    """A value has no canonical form, or bytes are not in canonical form."""


def dumps(value: Json) -> bytes:
    """Encode a value in canonical form, UTF-8.

    Raises:
        CanonicalError: It holds a float, too large an integer, a key that is not a string, a lone surrogate or another
            type, or is nested deeper than ``MAX_DEPTH``.
    """
    try:
        return _encode(_ordered(value, MAX_DEPTH)).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a string holds half of a surrogate pair") from error


def dumps_ordered(value: Mapping[str, Json]) -> bytes:
    """Encode an object whose keys are in order and whose types are allowed, at the speed of the C encoder.

    For callers who build the object themselves. It checks nothing; ``loads`` of the result would.

    Raises:
        CanonicalError: A string holds half of a surrogate pair.
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a string holds half of a surrogate pair") from error


def loads(data: bytes) -> Json:
    """Decode a value, if the bytes are its canonical form.

    Raises:
        CanonicalError: They are not.
    """
    try:
        value: Json = json.loads(data.decode())
        # This finds repeated keys, blanks, escapes and wrong order: what comes out is not what went in.
        same = dumps(value) == data
    except (ValueError, RecursionError) as error:
        raise CanonicalError("not canonical JSON") from error
    if not same:
        raise CanonicalError("JSON, but not in its canonical form")
    return value


def _ordered(value: Json, depth: int) -> Json:
    """Copy a value with its keys in order, and refuse what has no canonical form."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonicalError("an integer is too large")
        return value
    if depth == 0:
        raise CanonicalError("nested too deeply")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise CanonicalError("a key is no string")
        return {key: _ordered(value[key], depth - 1) for key in _sorted_keys(value)}
    if isinstance(value, (list, tuple)):
        return [_ordered(each, depth - 1) for each in value]
    raise CanonicalError("a value of this type has no canonical form")


def _sorted_keys(value: Mapping[str, Json]) -> list[str]:
    keys = sorted(value)
    # For ASCII keys, such as ours, code points and UTF-16 code units sort alike.
    if not all(map(str.isascii, keys)):
        # Big endian, so that bytes compare as code units do; lone surrogates are refused when the text is encoded.
        keys.sort(key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return keys
