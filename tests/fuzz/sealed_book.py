"""A sealed file as the forger has it on the desk: raw objects by revision, which are put together into a file again.

Tables, trailers, identifiers and the ranges of signatures are made anew, so that a forgery is well formed and only its
meaning, or the spelling of what was changed, differs.
"""

import hashlib
import re
from dataclasses import dataclass, field

from zegel.evidence.sealed_file import revisions as form
from zegel.evidence.sealed_file.revisions import HEADER, read_revisions, write_object
from zegel.evidence.sealed_file.syntax import Value

_RANGE = re.compile(rb"/ByteRange \[0 [0-9]+ [0-9]+ [0-9]+\]")
_CONTENTS = re.compile(rb"/Contents <[0-9A-F]{2000,}>")


@dataclass
class Leaf:
    """One revision: raw objects, and which is the information dictionary."""

    objects: list[tuple[int, bytes]]
    info: int
    table: bytes | None = None
    tail: bytes = b""
    entries: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class Book:
    """A whole file."""

    leaves: list[Leaf]
    header: bytes = HEADER

    @classmethod
    def of(cls, pdf: bytes) -> "Book":
        leaves = []
        for each in read_revisions(pdf):
            raw = [(number, spelled(number, value)) for number, value in each.objects.items()]
            leaves.append(Leaf(raw, each.info))
        return cls(leaves)

    def copy(self) -> "Book":
        return Book([Leaf(list(leaf.objects), leaf.info) for leaf in self.leaves], self.header)

    def assemble(self) -> bytes:
        """The file."""
        data, previous, size, identifier = self.header, 0, 0, b""
        for index, leaf in enumerate(self.leaves):
            first = index == 0
            start = 0 if first else len(data)
            size = max(size, *(number + 1 for number, _ in leaf.objects)) if leaf.objects else size
            mark = hashlib.sha256(data).digest()[:16]
            ranged = leaf.objects
            whole = body = data
            for _ in range(4):
                body, numbers, places = data, [], []
                for number, raw in ranged:
                    numbers.append(number)
                    places.append(len(body))
                    body += raw
                if first:
                    identifier = mark = hashlib.sha256(body).digest()[:16]
                table = form._table(numbers, places, first=first) if leaf.table is None else leaf.table
                trailer = form._trailer(
                    len(body), size=size, info=leaf.info, previous=previous, marks=(identifier, mark)
                )
                for old, new in leaf.entries.items():
                    trailer = trailer.replace(old, new)
                whole = body + table + trailer + leaf.tail
                again = [(number, ranged_anew(raw, whole, start)) for number, raw in ranged]
                if again == ranged:
                    break
                ranged = again
            data, previous = whole, len(body)
        return data


def ranged_anew(raw: bytes, whole: bytes, start: int) -> bytes:
    """An object in which a signature's range is what it has to be in this file."""
    if b"/ByteRange" not in raw or (found := _CONTENTS.search(raw)) is None:
        return raw
    place = whole.index(raw, start)
    begin, end = place + found.start() + len(b"/Contents "), place + found.end()
    return _RANGE.sub(b"/ByteRange [0 %d %d %d]" % (begin, end, len(whole) - end), raw)


def spelled(number: int, value: Value) -> bytes:
    return b"".join(bytes(each) for each in write_object(number, value))
