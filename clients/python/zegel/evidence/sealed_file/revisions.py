"""The revisions of a file in the canonical form, down to every byte (ISO 32000-2, 7.5).

A file is a header and revisions. A revision consists of objects in the order of their numbers, a classical
cross-reference table, a trailer and the final lines, with nothing between them. The first revision has the objects 1 to
N, each later one those that it changes or adds. Object 1 is the catalogue.

Invariants:

* Reading goes from the first byte to the last and trusts no offset: objects are read where they are, and everything
  derived (spellings, lengths, table, trailer, identifiers) is written again and must be equal, byte for byte.
* So every byte belongs to an object, or is derived.
* A stream ends where its length says. Its data does not contain ``endstream``, so no reader can find another end.
* Reading takes time and memory in proportion to the file's length; what takes more than its length is bounded.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zegel.evidence.sealed_file.objects import Objects
from zegel.evidence.sealed_file.syntax import (
    MAX_VALUE_BYTES,
    BoundError,
    FormError,
    Ref,
    Stream,
    Value,
    read_value,
    write_value,
)

HEADER: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
"""The beginning of a file; the second line tells transfer programs that it is not text."""
MAX_OBJECTS: Final = 600_000
"""Maximum number of objects of a file: a rendition has up to 500,000, and later revisions add some hundreds."""
MAX_SPELLED: Final = 48 * 2**20
"""Maximum size in bytes of the first revision's objects without their streams' data: 90 for each of 500,000."""
MAX_VALUES: Final = 6_000_000
"""Maximum number of values in them, counted by the spaces and brackets around them: twelve for each of 500,000 objects.
Reading one takes some microseconds."""
_MORE: Final = 1.1
"""Factor by which all revisions together may exceed both: little is added to a rendition."""
MAX_REVISIONS: Final = 64
"""Maximum number of revisions of a file: three, and a renewal every few years."""
ID_BYTES: Final = 16
"""Bytes of a file's identifier."""
CATALOGUE: Final = 1
"""Number of the catalogue."""

_Span = tuple[int, int]
_END_WORD: Final = b"endstream"
_FREE: Final = b"0000000000 65535 f \n"
_HEAD = re.compile(rb"([1-9][0-9]{0,9}) 0 obj\n")
_TABLE: Final = b"xref\n"
_INFO = re.compile(rb"trailer\n<< /ID \[<[0-9A-F]{32}> <[0-9A-F]{32}>\] (?:/Info ([1-9][0-9]{0,9}) 0 R )?")
_END: Final = b"\nendobj\n"
_BEGIN_STREAM: Final = b"\nstream\n"
_END_STREAM: Final = b"\nendstream\nendobj\n"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision, as read.

    Args:
        start: Offset of its first byte in the file; for the first revision, the header's.
        end: Offset of the byte after its last one.
        table: Offset of its table.
        objects: Its objects by their numbers, in order.
        size: One more than the largest number of an object so far.
        info: Number of the information dictionary; 0 for none.
        identifier: The file's first identifier.
    """

    start: int
    end: int
    table: int
    objects: Objects
    size: int
    info: int
    identifier: bytes


@dataclass(frozen=True, slots=True)
class Base:
    """What a further revision builds upon.

    Args:
        length: Bytes of the file so far.
        digest: SHA-256 of them.
        identifier: The file's first identifier.
        table: Where the table of the last revision begins.
        size: One more than the largest number of an object.
        info: Number of the information dictionary; 0 for none.
    """

    length: int
    digest: bytes
    identifier: bytes
    table: int
    size: int
    info: int


@dataclass(frozen=True, slots=True)
class Written:
    """A revision, as written.

    Args:
        data: Its bytes.
        places: Offset of each of its objects in the whole file.
        table: Offset of its table in the whole file.
    """

    data: bytes
    places: Mapping[int, int]
    table: int


class _Spent:
    """Counts the work of reading a file's objects."""

    def __init__(self, share: float) -> None:
        self._bytes = int(MAX_SPELLED * share)
        self._values = int(MAX_VALUES * share)

    def add(self, text: bytes) -> None:
        """Count an object, as spelled in the file; raise ``BoundError`` if it is too much."""
        self._bytes -= len(text)
        self._values -= text.count(b" ") + text.count(b"[")
        if self._bytes < 0:
            raise BoundError(f"objects without their streams' data are larger than {MAX_SPELLED // 2**20} MiB")
        if self._values < 0:
            raise BoundError(f"there are more than {MAX_VALUES:,} values")


def write_object(number: int, value: Value) -> list[bytes | memoryview]:
    """Spell an object, in pieces.

    Args:
        number: Its number.
        value: Its value.

    Raises:
        FormError: A stream's data contains ``endstream``.
    """
    spelled = write_value(value)
    if len(spelled) > MAX_VALUE_BYTES:
        raise BoundError(f"object {number} is larger than {MAX_VALUE_BYTES:,} bytes")
    head = b"%d 0 obj\n" % number + spelled
    if not isinstance(value, Stream):
        return [head + b"\nendobj\n"]
    if bytes(value.data).find(_END_WORD) >= 0:
        raise FormError(f"object {number}: its data contains the word endstream")
    return [head + b"\nstream\n", value.data, b"\nendstream\nendobj\n"]


def write_first(objects: Sequence[Value]) -> Written:
    """Write the first revision of a file.

    Args:
        objects: The objects from 1 on, the catalogue first.

    Raises:
        FormError: An object cannot be spelled.
    """
    pieces, places, position = _body(enumerate(objects, 1), [HEADER], spent=_Spent(1))
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
    mark = state.digest()[:ID_BYTES]
    pieces.append(_table(list(places), list(places.values()), first=True))
    pieces.append(_trailer(position, size=len(objects) + 1, info=0, previous=0, marks=(mark, mark)))
    return Written(b"".join(pieces), places, position)


def write_further(base: Base, objects: Iterable[tuple[int, Value]], *, size: int, info: int) -> Written:
    """Write a further revision.

    Args:
        base: What it builds upon.
        objects: Number and value of each object, in the order of their numbers.
        size: One more than the largest number of an object, after this revision.
        info: Number of the information dictionary; 0 for none.

    Raises:
        FormError: An object cannot be spelled.
    """
    pieces, places, position = _body(objects, [], base.length)
    marks = (base.identifier, base.digest[:ID_BYTES])
    pieces.append(_table(list(places), list(places.values()), first=False))
    pieces.append(_trailer(position, size=size, info=info, previous=base.table, marks=marks))
    return Written(b"".join(pieces), places, position)


def _body(
    objects: Iterable[tuple[int, Value]],
    pieces: list[bytes | memoryview],
    start: int = 0,
    spent: "_Spent | None" = None,
) -> tuple[list[bytes | memoryview], dict[int, int], int]:
    position = start + sum(map(len, pieces))
    places: dict[int, int] = {}
    for number, value in objects:
        places[number] = position
        written = write_object(number, value)
        if spent:
            spent.add(bytes(written[0]))
        for piece in written:
            pieces.append(piece)
            position += len(piece)
    return pieces, places, position


def _table(numbers: Sequence[int], places: Sequence[int], *, first: bool) -> bytes:
    """The cross-reference table of a revision's objects, in runs of numbers that follow one another."""
    lines = [_TABLE]
    begin = 0
    while begin < len(numbers):
        end = begin + 1
        while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
            end += 1
        # The first revision's table begins with the head of the list of free objects.
        lines.append(b"0 %d\n%s" % (end + 1, _FREE) if first else b"%d %d\n" % (numbers[begin], end - begin))
        lines.extend(b"%010d 00000 n \n" % place for place in places[begin:end])
        begin = end
    return b"".join(lines)


def _trailer(table: int, *, size: int, info: int, previous: int, marks: tuple[bytes, bytes]) -> bytes:
    """What follows a table that begins at ``table``; ``previous`` and ``info`` are 0 for none."""
    entries: dict[str, Value] = {"ID": list(marks), "Root": Ref(CATALOGUE), "Size": size}
    if previous:
        entries["Prev"] = previous
    if info:
        entries["Info"] = Ref(info)
    return b"trailer\n" + write_value(entries) + b"\nstartxref\n%d\n%%%%EOF\n" % table


def read_revisions(data: bytes) -> list[Revision]:
    """Read a whole file.

    Args:
        data: Its bytes.

    Returns:
        Its revisions, at least one.

    Raises:
        FormError: A byte is not where, or not what, the canonical form requires.
    """
    if data[: len(HEADER)] != HEADER:
        raise FormError("the file does not begin as a sealed file does")
    found: list[Revision] = []
    state, spent = hashlib.sha256(), _Spent(_MORE)
    with memoryview(data) as view:
        while not found or found[-1].end < len(data):
            if len(found) == MAX_REVISIONS:
                raise FormError("the file has too many revisions")
            revision = _read_one(data, found, state.digest()[:ID_BYTES], spent)
            found.append(revision)
            state.update(view[revision.start : revision.end])
    return found


def read_base(data: bytes, last: Revision) -> Base:
    """Determine what a further revision of a file builds upon.

    Args:
        data: The file, or one that begins with it.
        last: Its last revision.
    """
    with memoryview(data) as view:
        digest = hashlib.sha256(view[: last.end]).digest()
    return Base(last.end, digest, last.identifier, last.table, last.size, last.info)


def _read_one(data: bytes, before: Sequence[Revision], mark: bytes, spent: _Spent) -> Revision:
    """Read the next revision; ``mark`` is the beginning of the hash of all bytes before it."""
    start = before[-1].end if before else 0
    position = start if before else len(HEADER)
    objects = Objects(data)
    last = 0
    while (head := _HEAD.match(data, position)) is not None:
        number = int(head[1])
        if number <= last or number > MAX_OBJECTS or not (before or number == last + 1):
            raise FormError(f"byte {position}: object {number} does not follow object {last}")
        value, spans, end = _read_object(data, number, head.end())
        objects.add(number, position, spans[0], value, spans[1])
        position, last = end, number
        spent.add(data[head.start() : spans[0][1]])
    table = _table(list(objects), objects.places, first=not before)
    place = position + len(table)
    if not objects or data[position:place] != table:
        raise FormError(f"byte {position}: the table is not that of the objects before it")
    named = _INFO.match(data, place)
    if before:
        identifier, previous, size = before[0].identifier, before[-1].table, max(before[-1].size, last + 1)
        marks = (identifier, mark)
    else:
        identifier, previous, size = hashlib.sha256(memoryview(data)[:position]).digest()[:ID_BYTES], 0, last + 1
        marks = (identifier, identifier)
    info = int(named[1] or 0) if named else 0
    trailer = _trailer(position, size=size, info=info, previous=previous, marks=marks)
    end = place + len(trailer)
    if info >= size or data[place:end] != trailer:
        raise FormError(f"byte {place}: the trailer is not that of the revision before it")
    return Revision(start, end, position, objects, size, info, identifier)


def _read_object(data: bytes, number: int, start: int) -> tuple[Value, tuple[_Span, _Span], int]:
    """Read an object: its value, where that and its stream's data begin and end, and where the next object begins.

    ``start`` is the offset after its first line.
    """
    value, end = read_value(data, start)
    if data[start:end] != write_value(value):
        raise FormError(f"byte {start}: object {number} is not spelled canonically")
    span = (start, end)
    if data.startswith(_END, end):
        return value, (span, (0, 0)), end + len(_END)
    if not data.startswith(_BEGIN_STREAM, end) or not isinstance(value, dict):
        raise FormError(f"byte {end}: object {number} does not end")
    begin = end + len(_BEGIN_STREAM)
    length = value.get("Length")
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= len(data) - begin:
        raise FormError(f"byte {begin}: a stream has no length")
    end = begin + length
    if not data.startswith(_END_STREAM, end) or data.find(_END_WORD, begin, end) >= 0:
        raise FormError(f"byte {begin}: the stream of object {number} does not end where its length says")
    return value, (span, (begin, end)), end + len(_END_STREAM)
