"""How a stored stream is split into blobs. Arithmetic only.

A version's stream (see ``zegel.segments``) is stored in numbered parts of ``PART_SEGMENTS`` segments each;
concatenated they are the stream, header included. A part is stored, acknowledged and resumed as a whole.
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
"""Segments of a part: about 4 MiB, small enough to hold several in memory for each stream, large enough that S3's fee
per request and a disk's flush matter little."""
PART_SIZE: Final = PART_SEGMENTS * SEGMENT_SIZE
"""Bytes of a full part, as stored."""
PART_TAGS: Final = PART_SEGMENTS * TAG_SIZE
"""Bytes of the tags of a full part's segments."""
_RANDOM: Final = 12
"""Random bytes in a prefix, so that two writers never use the same one."""


def new_prefix(tenant_id: str, document_id: str, version: int) -> str:
    """A new folder for a version's parts; every attempt at storing a version gets its own.

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
        ``None`` if it is not a part's key.
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
    """How many bytes of plaintext a number of whole parts holds, from the beginning.

    Args:
        parts: Their number.
    """
    return parts * PART_SEGMENTS * SEGMENT_PLAINTEXT_SIZE - HEADER_SIZE if parts else 0


def whole_parts_ciphertext(parts: int) -> int:
    """How many bytes of ciphertext a number of whole parts holds.

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
        Its part's number, and its range of bytes within that part.
    """
    part = segment // PART_SEGMENTS
    whole = ciphertext_range(segment, size)
    return part, range(whole.start - part * PART_SIZE, whole.stop - part * PART_SIZE)
