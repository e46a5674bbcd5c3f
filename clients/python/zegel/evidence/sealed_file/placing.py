"""Where a signature's bytes go: room is reserved for them, and the signature covers everything else.

Invariants:

* The two covered ranges are the whole file up to the revision's end except ``/Contents`` with its brackets (ISO
  32000-2, 12.8.1); they follow from the file, so there is nothing to choose.
* The reserved room is filled with the signature in upper-case hexadecimal, then zeros.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from zegel.evidence.sealed_file.revisions import Base, Revision, write_further
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Stream, Value, write_value

MAX_ROOM: Final = 256 * 2**10
"""Maximum size in bytes reserved for a signature: with a chain of certificates it takes some 10 KB, with post-quantum
ones some 100 KB. The limit keeps anybody from hiding data there or making a file long."""
_KEY: Final = b"/Contents <"
_TRIES: Final = 12
"""How often the ranges are recomputed because their own digits moved what follows; three times are enough."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A revision that is not signed yet.

    Args:
        base: What it builds upon.
        data: Its bytes, with zeros for the signature.
        gap: Where in the whole file the room for the signature begins and ends, brackets included.
        table: Offset of its table in the whole file.
        size: One more than the largest number of an object, after this revision.
        info: Number of the information dictionary.
    """

    base: Base
    data: bytes = field(repr=False)
    gap: tuple[int, int]
    table: int
    size: int
    info: int

    @property
    def covered(self) -> tuple[bytes, bytes]:
        """The two parts of this revision that the signature covers, in addition to all bytes before it."""
        start, end = (place - self.base.length for place in self.gap)
        return self.data[:start], self.data[end:]

    @property
    def room(self) -> int:
        """How many bytes a signature may have."""
        return (self.gap[1] - self.gap[0] - 2) // 2

    def signed(self, signature: bytes) -> bytes:
        """The revision with its signature.

        Args:
            signature: DER.

        Raises:
            FormError: It is too long.
        """
        if len(signature) > self.room:
            raise FormError("the signature is longer than the room that was kept for it")
        digits = signature.hex().upper().encode("ascii").ljust(self.room * 2, b"0")
        first, last = self.covered
        return b"".join([first, b"<", digits, b">", last])

    def after(self, *parts: bytes) -> Base:
        """Return what the next revision builds upon.

        Args:
            parts: The whole file up to this revision's end, signed, in pieces.
        """
        state = hashlib.sha256()
        for part in parts:
            state.update(part)
        return Base(sum(map(len, parts)), state.digest(), self.base.identifier, self.table, self.size, self.info)


def place_signature(
    base: Base, objects: Mapping[int, Value], number: int, room: int, *, size: int, info: int
) -> Unsigned:
    """Write a revision with room for a signature.

    Args:
        base: What it builds upon.
        objects: Its objects, in the order of their numbers.
        number: Number of the signature's dictionary, to which ``ByteRange`` and ``Contents`` are added.
        room: How many bytes the signature may have.
        size: One more than the largest number of an object, after this revision.
        info: Number of the information dictionary.

    Raises:
        FormError: An object cannot be spelled.
    """
    signature = objects[number]
    if not isinstance(signature, dict):
        raise FormError("a signature is not a dictionary")
    if room > MAX_ROOM:
        raise BoundError(f"a signature has more room than {MAX_ROOM:,} bytes")
    length = base.length
    ranges = (length, length + 2 * room + 2, length)
    for _ in range(_TRIES):
        filled: dict[str, Value] = {**signature, "ByteRange": [0, *ranges], "Contents": bytes(room)}
        written = write_further(base, {**objects, number: filled}.items(), size=size, info=info)
        gap = _gap(written.places[number], number, filled)
        found = (gap[0], gap[1], length + len(written.data) - gap[1])
        if found == ranges:
            return Unsigned(base, written.data, gap, written.table, size, info)
        ranges = found
    raise FormError("the ranges that a signature covers cannot be determined")


def demand_ranges(revision: Revision, number: int) -> tuple[int, int]:
    """Check that a signature covers all of the file up to its revision's end except its own room.

    Args:
        revision: The revision.
        number: Number of the signature's dictionary.

    Returns:
        Where its room begins and ends.

    Raises:
        FormError: It covers something else.
    """
    signature = revision.objects[number]
    contents = signature.get("Contents") if isinstance(signature, dict) else None
    if not isinstance(signature, dict) or not isinstance(contents, bytes):
        raise FormError(f"object {number} is not a signature")
    if len(contents) > MAX_ROOM:
        raise BoundError(f"the signature of object {number} has more room than {MAX_ROOM:,} bytes")
    gap = _gap(revision.objects.place_of(number), number, signature)
    if signature.get("ByteRange") != [0, gap[0], gap[1], revision.end - gap[1]]:
        raise FormError(f"the signature of object {number} does not cover everything around it")
    return gap


def _gap(place: int, number: int, signature: Mapping[str, Value]) -> tuple[int, int]:
    text = write_value(dict(signature))
    start = place + len(b"%d 0 obj\n" % number) + text.index(_KEY) + len(_KEY) - 1
    contents = signature["Contents"]
    if not isinstance(contents, bytes) or isinstance(signature, Stream):
        raise FormError("a signature has no contents")
    return start, start + 2 * len(contents) + 2
