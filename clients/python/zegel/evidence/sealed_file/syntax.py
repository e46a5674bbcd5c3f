"""PDF objects in the canonical spelling of a sealed file (a subset of ISO 32000-2, 7.3).

Invariants:

* ``write(parse(text)) == text`` for every text that :func:`read_value` accepts and the caller compares. What has
  several spellings in PDF has one here, so a file cannot mean different things to different readers.
* There is no reference but ``n 0 R``, no literal string, no comment, and no white space but single spaces.
* Reading does not recurse, and hostile input takes no more than time and memory in proportion to its length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and dictionaries: libraries write some eight levels."""
MAX_DIGITS: Final = 31
"""Maximum number of digits of a number, before its point or after it: more than any reader keeps."""
MAX_VALUE_BYTES: Final = 2 * 2**20
"""Maximum size in bytes of an object as it is spelled, without a stream's data. Widths of 65,536 glyphs take some 400
KB, and a signature of 256 KiB twice as many digits. In memory a value takes twenty times as much as its text."""


class FormError(ValueError):
    """The bytes are not in the canonical form; the message tells a person where and what is wrong."""


class BoundError(FormError):
    """Something is larger than the canonical form allows; the message says which bound."""


class DepthError(BoundError):
    """Arrays and dictionaries are nested too deeply."""


class Name(str):
    """A name without its slash; each character represents a byte."""

    __slots__ = ()

    def __repr__(self) -> str:
        """A representation that differs from that of text."""
        return f"/{self}"


class Ref(NamedTuple):
    """A reference to an object; its generation is always 0."""

    number: int


@dataclass(slots=True)
class Stream:
    """A stream: its dictionary, to which ``Length`` is added when it is written, and its bytes, still encoded."""

    entries: "dict[str, Value]"
    data: bytes | memoryview = field(repr=False)


Value: TypeAlias = "bool | int | Decimal | Name | bytes | Ref | list[Value] | dict[str, Value] | Stream | None"

_TOKEN = re.compile(
    rb" ?(?:(?P<ref>[1-9][0-9]{0,9} 0 R)|(?P<name>/[!-$&-'*-.0-;=?-Z\\^-z|~]*)|(?P<integer>-?[0-9]{1,31}(?![0-9.]))"
    rb"|(?P<real>-?[0-9]{1,31}\.[0-9]{1,31})|(?P<text><[0-9A-F]*>)|(?P<open>\[)|(?P<close>\])|(?P<begin><<)"
    rb"|(?P<end> ?>>)|(?P<word>true|false|null))"
)
_TOO_LARGE: Final = 10**MAX_DIGITS
_PLAIN_NAME = re.compile(r"[!-$&-'*-.0-;=?-Z\\^-z|~]*")
_ESCAPE = re.compile(rb"#([0-9A-F]{2})")
_SPECIAL = re.compile(r"[^!-$&-'*-.0-;=?-Z\\^-z|~]|#")
_WORDS: Final = {b"true": True, b"false": False, b"null": None}


def write_name(name: str) -> bytes:
    """Spell a name: each byte that is not a regular character as ``#XX`` (ISO 32000-2, 7.3.5).

    Args:
        name: The name, one character for each byte.
    """
    if "#" not in name and _PLAIN_NAME.fullmatch(name):
        return b"/" + name.encode("ascii")
    return b"/" + _SPECIAL.sub(lambda found: f"#{ord(found[0]):02X}", name).encode("ascii")


def write_number(number: Decimal) -> bytes:
    """Spell a number: no exponent, no sign before zero, no zeros at the end.

    Args:
        number: The number, finite.

    Raises:
        BoundError: It has too many digits.
    """
    if not number:
        return b"0"
    if not number.is_finite() or abs(number.adjusted()) > MAX_DIGITS:
        raise BoundError("a number is too large or too small")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if max(map(len, text.lstrip("-").split("."))) > MAX_DIGITS:
        raise BoundError("a number has too many digits")
    return text.encode("ascii")


def write_value(value: Value, depth: int = 0) -> bytes:  # noqa: C901, PLR0911, PLR0912 - a case a kind
    """Spell a value; of a stream only its dictionary.

    Args:
        value: The value.
        depth: How many arrays and dictionaries it is nested in.

    Raises:
        FormError: It is nested too deeply, or a number is too long.
    """
    if depth >= MAX_DEPTH and isinstance(value, list | dict):
        raise DepthError("arrays and dictionaries are nested too deeply")
    match value:
        case Name():
            return write_name(value)
        case Ref(number):
            return b"%d 0 R" % number
        case bool():
            return b"true" if value else b"false"
        case int():
            if abs(value) >= _TOO_LARGE:
                raise BoundError("a number has too many digits")
            return b"%d" % value
        case Decimal():
            return write_number(value)
        case bytes():
            return b"<" + value.hex().upper().encode("ascii") + b">"
        case list():
            return b"[" + b" ".join([write_value(item, depth + 1) for item in value]) + b"]"
        case dict():
            if not value:
                return b"<< >>"
            parts = [
                write_name(key) + b" " + write_value(value[key], depth + 1)
                for key in sorted(value, key=lambda key: key.encode("latin-1"))
            ]
            return b"<< " + b" ".join(parts) + b" >>"
        case Stream():
            return write_value({**value.entries, "Length": len(value.data)}, depth)
        case _:
            return b"null"


def same(one: Value, other: Value) -> bool:
    """Whether two values are spelled alike; for Python's ``==``, ``True`` equals 1.

    Args:
        one: A value.
        other: Another one.
    """
    if isinstance(one, Stream) and isinstance(other, Stream) and one.data != other.data:
        return False
    return isinstance(one, Stream) == isinstance(other, Stream) and write_value(one) == write_value(other)


def read_value(data: bytes, position: int) -> tuple[Value, int]:
    """Read a value that is not a stream.

    Spaces are not checked strictly: the caller compares with what :func:`write_value` writes. A value has at most
    ``MAX_VALUE_BYTES``.

    Args:
        data: The file.
        position: Where the value begins.

    Returns:
        The value, and where it ends.

    Raises:
        FormError: There is none, or it is not spelled canonically.
    """
    stack: list[list[Value]] = []
    opened: list[bool] = []  # for each one that is open: is it a dictionary?
    match_token = _TOKEN.match
    limit = position + MAX_VALUE_BYTES
    while True:
        found = match_token(data, position, limit)
        if found is None:
            if limit < len(data) and data.find(b"\nendobj", position, limit) < 0:
                raise BoundError(f"byte {position}: an object is larger than {MAX_VALUE_BYTES:,} bytes")
            raise FormError(f"byte {position}: no value in canonical spelling begins here")
        position = found.end()
        kind = found.lastgroup
        value: Value
        if kind == "integer":
            value = int(found[0])
        elif kind in {"open", "begin"}:
            if len(stack) >= MAX_DEPTH:
                raise DepthError(f"byte {position}: arrays and dictionaries are nested too deeply")
            stack.append([])
            opened.append(kind == "begin")
            continue
        elif kind in {"close", "end"}:
            if not stack or opened.pop() != (kind == "end"):
                raise FormError(f"byte {position}: an array or dictionary ends that has not begun")
            items = stack.pop()
            value = _dictionary(items, position) if kind == "end" else items
        else:
            value = _scalar(found)
        if not stack:
            return value, position
        stack[-1].append(value)


def _scalar(found: re.Match[bytes]) -> Value:
    kind, text = found.lastgroup, found[found.lastgroup or 0]
    if kind == "ref":
        return Ref(int(text[:-4]))
    if kind == "name":
        plain = text[1:]
        if b"#" in plain:
            plain = _ESCAPE.sub(lambda escaped: bytes([int(escaped[1], 16)]), plain)
        return Name(plain.decode("latin-1"))
    if kind == "real":
        return Decimal(text.decode("ascii"))
    if kind == "text":
        if len(text) % 2:
            raise FormError("a string has half a byte")
        return bytes.fromhex(text[1:-1].decode("ascii"))
    return _WORDS[text]


def _dictionary(items: Sequence[Value], position: int) -> dict[str, Value]:
    keys, values = items[::2], items[1::2]
    if len(keys) != len(values) or not all(isinstance(key, Name) for key in keys):
        raise FormError(f"byte {position}: a dictionary has something other than keys and values")
    result: dict[str, Value] = {str(key): value for key, value in zip(keys, values, strict=True)}
    if len(result) != len(keys):
        raise FormError(f"byte {position}: a dictionary has a key twice")
    return result
