"""How a stored stream is cut into blobs. Arithmetic only.

A version's stream (see ``zegel.segments``) lies in numbered parts of ``PART_SEGMENTS`` segments each; put one after
another they are the stream, header included. A part is what is stored, acknowledged and resumed as a whole.
"""

import secrets
from typing import Final

from zegel.segments import (
    HEADER_SIZE,
    SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    ciphertext_range,
    segment_count,
)

PART_SEGMENTS: Final = 4
"""Segments of a part: about 4 MiB, small enough to hold some in memory for each stream, large enough that S3's fee for
a request and a disk's flush are little of it."""
PART_SIZE: Final = PART_SEGMENTS * SEGMENT_SIZE
"""Bytes of a full part, as stored."""
PART_TAGS: Final = PART_SEGMENTS * TAG_SIZE
"""Bytes of the tags of a full part's segments."""
_RANDOM: Final = 12
"""Random bytes in a prefix: two writers never meet under one."""


def new_prefix(tenant_id: str, document_id: str, version: int) -> str:
    """The folder of a version's parts: no other attempt at the same version has the same.

    Args:
        tenant_id: Whose.
        document_id: Of which document.
        version: Of which version.
    """
    return f"documents/{tenant_id}/{document_id}/{version}-{secrets.token_hex(_RANDOM)}"


def part_key(prefix: str, part: int) -> str:
    """A part's key in the blob store.

    Args:
        prefix: The version's folder.
        part: Number from 0.
    """
    return f"{prefix}/{part:06d}"


def prefix_of(key: str) -> tuple[str, int] | None:
    """The folder and number of a part, from its key.

    Args:
        key: A key in the blob store.

    Returns:
        ``None`` where it is no part's key.
    """
    prefix, _, number = key.rpartition("/")
    return (prefix, int(number)) if prefix and number.isascii() and number.isdigit() else None


def part_count(size: int) -> int:
    """How many parts a version has.

    Args:
        size: Bytes of the document.
    """
    return -(-segment_count(size) // PART_SEGMENTS)


def whole_parts_size(parts: int) -> int:
    """How many bytes of the document so many whole parts hold, from its beginning.

    Args:
        parts: Their number.
    """
    return parts * PART_SEGMENTS * SEGMENT_PLAINTEXT_SIZE - HEADER_SIZE if parts else 0


def whole_parts_ciphertext(parts: int) -> int:
    """How many bytes of the stream so many whole parts hold.

    Args:
        parts: Their number.
    """
    return parts * PART_SIZE


def stored_range(segment: int, size: int) -> tuple[int, range]:
    """Where a segment is stored.

    Args:
        segment: Number from 0.
        size: Bytes of the document.

    Returns:
        Its part, and its bytes within it.
    """
    part = segment // PART_SEGMENTS
    whole = ciphertext_range(segment, size)
    return part, range(whole.start - part * PART_SIZE, whole.stop - part * PART_SIZE)
