"""Canonical JSON (RFC 8785) for what stands in the audit log: one value, one encoding.

Allowed are objects, arrays, strings, integers, booleans and null. Numbers with a fraction are refused, so that nobody
who ports this needs a printer for floating point.

Invariants:

* ``loads`` accepts exactly what ``dumps`` yields: no blank, no other order, no repeated key, no other escape.
* Integers lie within +-(2^53 - 1), where every JSON implementation counts exactly (RFC 7493, section 2.2).
* Keys are in the order of their UTF-16 code units, which is not Python's where a key leaves the basic plane.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | bool | None"
"""A value that has a canonical form here."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that an IEEE 754 double, and so every JSON implementation, tells from its neighbours."""
MAX_DEPTH: Final = 32
"""Nesting of arrays and objects; a leaf needs 3. A bound, so that no input exhausts the stack."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class CanonicalError(ValueError):
    """A value has no canonical form here, or bytes are not in it."""


def dumps(value: Json) -> bytes:
    """Encode a value in its one form, UTF-8.

    Raises:
        CanonicalError: It holds a float, too large an integer, a key that is no string, a lone surrogate, another
            type, or is nested deeper than ``MAX_DEPTH``.
    """
    try:
        return _encode(_ordered(value, MAX_DEPTH)).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a string holds half of a surrogate pair") from error


def dumps_ordered(value: Mapping[str, Json]) -> bytes:
    """Encode an object that is already in order and of allowed types, at the speed of the C encoder.

    For callers who build the object themselves. It checks nothing: ``loads`` of the result would.

    Raises:
        CanonicalError: A string holds half of a surrogate pair.
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a string holds half of a surrogate pair") from error


def loads(data: bytes) -> Json:
    """Decode a value, if the bytes are its one form.

    Raises:
        CanonicalError: They are not.
    """
    try:
        value: Json = json.loads(data.decode())
        # Repeated keys, blanks, escapes and order all show in this: what comes out is not what went in.
        same = dumps(value) == data
    except (ValueError, RecursionError) as error:
        raise CanonicalError("not canonical JSON") from error
    if not same:
        raise CanonicalError("JSON, but not in its canonical form")
    return value


def _ordered(value: Json, depth: int) -> Json:
    """Copy a value with its keys in order, and refuse what has no form here."""
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
    raise CanonicalError("a value of this type has no form")


def _sorted_keys(value: Mapping[str, Json]) -> list[str]:
    keys = sorted(value)
    # Of keys in ASCII, which ours are, code points and UTF-16 code units sort alike.
    if not all(map(str.isascii, keys)):
        # Big endian, so that bytes compare as code units do; lone surrogates are refused when the text is encoded.
        keys.sort(key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return keys
