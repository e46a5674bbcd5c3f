"""Reading a whole sealed file.

Invariants:

* Every byte of what is returned was accounted for; whether its signatures are valid is not checked here.
* Time and memory grow with the file's length and nothing else.
"""

from dataclasses import dataclass
from typing import Final

from zegel.evidence.sealed_file.completion import Completion
from zegel.evidence.sealed_file.completion_reading import read_completion
from zegel.evidence.sealed_file.rendition import check_rendition, entries_of
from zegel.evidence.sealed_file.revisions import CATALOGUE, read_revisions
from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.sealed_file.timestamps import State, Timestamp, first_state, read_timestamp

MAX_FILE_BYTES: Final = 256 * 2**20
"""Maximum size in bytes of a sealed file: a rendition has at most 160 MiB, and its evidence at most 64 MiB."""
_LEAST_REVISIONS: Final = 3


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A sealed file.

    Args:
        data: Its bytes.
        rendition_length: How many of them are the rendition.
        pages: How many pages the rendition has.
        completion: What the second revision adds.
        timestamps: The timestamps, oldest first; at least one.
        ends: Where each revision ends, starting with the rendition.
        state: What a renewal would change.
    """

    data: bytes
    rendition_length: int
    pages: int
    completion: Completion
    timestamps: tuple[Timestamp, ...]
    ends: tuple[int, ...]
    state: State

    @property
    def rendition(self) -> memoryview:
        """The rendition's bytes."""
        return memoryview(self.data)[: self.rendition_length]


def read_sealed_file(data: bytes) -> SealedFile:
    """Read a sealed file.

    Args:
        data: Its bytes.

    Raises:
        FormError: It is not in the canonical form; the message says where and how.
    """
    if len(data) > MAX_FILE_BYTES:
        raise FormError(f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB, and no sealed file is")
    revisions = read_revisions(data)
    if len(revisions) < _LEAST_REVISIONS:
        raise FormError("the file has fewer revisions than a sealed file")
    rendition, second, *further = revisions
    pages = check_rendition(rendition.objects)
    completion = read_completion(rendition, second)
    state = first_state(entries_of(second.objects, CATALOGUE), completion.numbers)
    timestamps = []
    before = second
    for revision in further:
        stamp, state = read_timestamp(before, revision, state)
        timestamps.append(stamp)
        before = revision
    return SealedFile(
        data=data,
        rendition_length=rendition.end,
        pages=pages,
        completion=completion,
        timestamps=tuple(timestamps),
        ends=tuple(revision.end for revision in revisions),
        state=state,
    )
