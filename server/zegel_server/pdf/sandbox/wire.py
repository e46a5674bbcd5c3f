"""The job protocol between server and worker: length-prefixed frames of a JSON header and raw blobs.

A frame is ``be32(header length) | header | blobs``; the header is a JSON object whose ``blobs`` lists the lengths of
the blobs. Values are carried as JSON, with ``{"$blob": i}`` for bytes and ``{"$time": ...}`` for times.

Invariants:

* The receiver sets the limits: no header, and no blobs together, are read beyond them, so a worker that a hostile file
  has taken over cannot exhaust the server.
* Decoding creates only values of the requested type; nothing in a frame chooses a class (no pickle).
"""

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

_T = TypeVar("_T")

PREFIX = struct.Struct(">I")
MAX_HEADER_BYTES = 16 * 1024 * 1024
"""Maximum size in bytes of a frame's header: an audit page of 5,000 rows has some 2 MB, the facts of 2,000 pages some
100 KB."""
MAX_BLOBS = 4_096
"""Maximum number of blobs in a frame: originals, drawn signatures, attachments and certificates of one job."""
_MAX_DEPTH = 12
_MAX_NUMBER = 1e15
"""Beyond this, floats do not represent every integer exactly; all lengths and offsets are far smaller."""


class WireError(Exception):
    """A frame or a value does not follow the protocol."""


def dump(value: object, blobs: list[bytes | memoryview]) -> object:
    """Turn a value into JSON's types.

    Args:
        value: ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``datetime``, or a list, tuple, dict with
            ``str`` keys, or dataclass of them.
        blobs: Receives the bytes that the result refers to.

    Returns:
        What :func:`load` converts back, given the type.

    Raises:
        TypeError: For any other type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        blobs.append(bytes(value) if isinstance(value, bytearray) else value)
        return {"$blob": len(blobs) - 1}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, list | tuple):
        return [dump(item, blobs) for item in value]
    if isinstance(value, dict):
        return {str(key): dump(item, blobs) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: dump(getattr(value, item.name), blobs) for item in dataclasses.fields(value)}
    raise TypeError(f"the wire does not carry {type(value).__name__}")


def load(hint: type[_T], value: object, blobs: Sequence[bytes]) -> _T:
    """Turn JSON's types back into a value of a given type.

    Args:
        hint: The requested type, one that :func:`dump` accepts.
        value: The value from the header.
        blobs: The blobs of the same frame.

    Raises:
        WireError: If the value does not have that type.
    """
    return cast("_T", _load(hint, value, blobs, 0))


def _load(hint: Any, value: object, blobs: Sequence[bytes], depth: int) -> object:
    if depth > _MAX_DEPTH:
        raise WireError("nested too deep")
    origin = get_origin(hint)
    if origin is not None:
        return _load_generic(origin, get_args(hint), value, blobs, depth)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, _typed(dict, value), blobs, depth)
    return _load_plain(hint, value, blobs)


def _load_generic(origin: Any, args: tuple[Any, ...], value: object, blobs: Sequence[bytes], depth: int) -> object:
    if origin in {Union, types.UnionType}:
        if value is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _load(inner, value, blobs, depth + 1)
    if origin is Literal:
        return _require(value, value in args)
    if origin is dict:
        return {key: _load(args[1], item, blobs, depth + 1) for key, item in _typed(dict, value).items()}
    items = [_load(args[0], item, blobs, depth + 1) for item in _typed(list, value)]
    return items if origin is list else tuple(items)


def _load_plain(hint: Any, value: object, blobs: Sequence[bytes]) -> object:
    if hint is bytes:
        index = _typed(int, _typed(dict, value).get("$blob"))
        return _require(blobs[index : index + 1], 0 <= index < len(blobs))[0]
    if hint is datetime:
        return _time(_typed(str, _typed(dict, value).get("$time")))
    if hint is float:
        # Small integers are accepted as numbers; comparing excludes NaN, infinities, and integers that no float holds.
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        return float(_require(number, number is not None and abs(number) < _MAX_NUMBER))
    return _require(value, type(value) is hint)


def _dataclass(hint: Any, value: dict[str, object], blobs: Sequence[bytes], depth: int) -> object:
    hints = typing.get_type_hints(hint)
    names = {item.name for item in dataclasses.fields(hint)}
    if set(value) != names:
        raise WireError("fields missing or unknown")
    return hint(**{name: _load(hints[name], value[name], blobs, depth + 1) for name in names})


def _typed(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:
        raise WireError(f"expected {kind.__name__}")
    return value


def _require(value: Any, good: bool) -> Any:
    if not good:
        raise WireError("unexpected value")
    return value


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise WireError("not a time") from None


def pack(kind: str, body: object = None) -> list[bytes | memoryview]:
    """Make a frame.

    Args:
        kind: What the frame is, such as ``job`` or ``result``.
        body: Any value that :func:`dump` takes.

    Returns:
        The frame's parts, to be sent one after another without joining them.
    """
    blobs: list[bytes | memoryview] = []
    plain = dump(body, blobs)
    header = json.dumps({"kind": kind, "body": plain, "blobs": [len(blob) for blob in blobs]}).encode()
    return [PREFIX.pack(len(header)) + header, *blobs]


def header_length(prefix: bytes) -> int:
    """Read the length of a header, checked against its bound.

    Raises:
        WireError: If the header is longer than a frame's may be.
    """
    (length,) = PREFIX.unpack(prefix)
    if length > MAX_HEADER_BYTES:
        raise WireError("header too long")
    return int(length)


def parse_header(raw: bytes, max_bytes: int) -> tuple[str, object, list[int]]:
    """Read a header, checked against the bounds.

    Args:
        raw: The header's bytes.
        max_bytes: How many bytes the blobs may have together.

    Returns:
        The frame's kind, its body, and the lengths of its blobs.

    Raises:
        WireError: If it is not a header, or announces too much.
    """
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise WireError("header is not JSON") from None
    header = _typed(dict, header)
    lengths = [_typed(int, length) for length in _typed(list, header.get("blobs"))]
    if len(lengths) > MAX_BLOBS or any(length < 0 for length in lengths) or sum(lengths) > max_bytes:
        raise WireError("blobs too large")
    return _typed(str, header.get("kind")), header.get("body"), lengths
