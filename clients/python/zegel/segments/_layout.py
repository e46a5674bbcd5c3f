"""Sizes and offsets in a stream, and the associated data. Arithmetic only."""

import struct
from dataclasses import dataclass
from typing import Final

DEK_SIZE: Final = 32
"""Bytes of a data encryption key, and of the AES-256 key derived from it."""
SALT_SIZE: Final = 32
"""Bytes of salt in the header; Tink makes it as long as the derived key."""
NONCE_PREFIX_SIZE: Final = 7
"""Random bytes at the start of each nonce of a stream; the index (4) and the flag of the last segment (1) make it
12."""
HEADER_SIZE: Final = 1 + SALT_SIZE + NONCE_PREFIX_SIZE
"""Bytes of the header: 40, which is also the value of its first byte."""
TAG_SIZE: Final = 16
"""Bytes of GCM tag at the end of each segment."""
SEGMENT_SIZE: Final = 1 << 20
"""Bytes of ciphertext in a full segment, its tag included (for the first: the header too)."""
SEGMENT_PLAINTEXT_SIZE: Final = SEGMENT_SIZE - TAG_SIZE
"""Bytes of plaintext in a full segment other than the first."""
FIRST_SEGMENT_PLAINTEXT_SIZE: Final = SEGMENT_PLAINTEXT_SIZE - HEADER_SIZE
"""Bytes of plaintext in a full first segment."""
MAX_SEGMENTS: Final = 1 << 32
"""Segments a stream can have: the index is four bytes of the nonce."""
MAX_PLAINTEXT_SIZE: Final = MAX_SEGMENTS * SEGMENT_PLAINTEXT_SIZE - HEADER_SIZE
"""Bytes of plaintext a stream can hold: just under 4 PiB."""

_AAD_DOMAIN: Final = b"zegel/document/v1"
_RENDITION_DOMAIN: Final = b"zegel/rendition/v1"
_MAX_ID_BYTES: Final = 0xFFFF
_MAX_VERSION: Final = (1 << 64) - 1
_LENGTH: Final = struct.Struct(">H")
_VERSION: Final = struct.Struct(">Q")


class SegmentError(Exception):
    """The bytes are not what was encrypted under this key and associated data, or not all of it.

    Raised alike for damage, truncation, a wrong key and a wrong document, which cannot be told apart.
    """


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a plaintext byte.

    Attributes:
        index: Number of its segment, from 0.
        offset: Its distance in bytes from the beginning of that segment's plaintext.
    """

    index: int
    offset: int


def document_aad(tenant_id: str, document_id: str, version: int) -> bytes:
    """Build the associated data that binds a stream to one version of one document of one tenant.

    The form is ``"zegel/document/v1" | be16(len) | tenant id | be16(len) | document id | be64(version)``, identifiers
    in UTF-8. Each variable part carries its length, so two different triples never give the same bytes.

    Args:
        tenant_id: The tenant's identifier, 1 to 65,535 bytes.
        document_id: The document's identifier, 1 to 65,535 bytes.
        version: The version's number, 0 to 2^64 - 1.

    Raises:
        ValueError: A part is empty or out of its range.
    """
    return _aad(_AAD_DOMAIN, tenant_id, document_id, version)


def rendition_aad(tenant_id: str, document_id: str, version: int) -> bytes:
    """Build the associated data for a version's rendition, so that it is never taken for the original.

    The form is that of `document_aad`, with ``"zegel/rendition/v1"`` in place of ``"zegel/document/v1"``.

    Args:
        tenant_id: The tenant's identifier, 1 to 65,535 bytes.
        document_id: The document's identifier, 1 to 65,535 bytes.
        version: The version's number, 0 to 2^64 - 1.

    Raises:
        ValueError: A part is empty or out of its range.
    """
    return _aad(_RENDITION_DOMAIN, tenant_id, document_id, version)


def _aad(domain: bytes, tenant_id: str, document_id: str, version: int) -> bytes:
    if not 0 <= version <= _MAX_VERSION:
        msg = "a version is a number of 0 to 2^64 - 1"
        raise ValueError(msg)
    parts = [domain]
    for identifier in (tenant_id, document_id):
        encoded = identifier.encode()
        if not 1 <= len(encoded) <= _MAX_ID_BYTES:
            msg = f"an identifier is 1 to {_MAX_ID_BYTES} bytes"
            raise ValueError(msg)
        parts += (_LENGTH.pack(len(encoded)), encoded)
    parts.append(_VERSION.pack(version))
    return b"".join(parts)


def segment_count(plaintext_size: int) -> int:
    """Return how many segments a plaintext of a given size takes: at least one, since even an empty document has a tag.

    Raises:
        ValueError: The size is negative or above ``MAX_PLAINTEXT_SIZE``.
    """
    if not 0 <= plaintext_size <= MAX_PLAINTEXT_SIZE:
        msg = f"a document is 0 to {MAX_PLAINTEXT_SIZE} bytes"
        raise ValueError(msg)
    return max(1, -(-(plaintext_size + HEADER_SIZE) // SEGMENT_PLAINTEXT_SIZE))


def ciphertext_size(plaintext_size: int) -> int:
    """Return the size of the whole stream, header included, for a plaintext of a given size.

    Raises:
        ValueError: The size is negative or above ``MAX_PLAINTEXT_SIZE``.
    """
    return HEADER_SIZE + plaintext_size + segment_count(plaintext_size) * TAG_SIZE


def plaintext_size(ciphertext_size: int) -> int:
    """Return the plaintext size of a whole stream of a given size.

    Raises:
        SegmentError: No stream has this size, so it was cut or damaged.
    """
    segments = -(-ciphertext_size // SEGMENT_SIZE)
    size = ciphertext_size - HEADER_SIZE - segments * TAG_SIZE
    if size < 0 or segments > MAX_SEGMENTS or segment_count(size) != segments:
        msg = "no stream has this size"
        raise SegmentError(msg)
    return size


def locate(offset: int) -> Position:
    """Return the segment that holds the plaintext byte at an offset, and where in it.

    Raises:
        ValueError: The offset is negative or not below ``MAX_PLAINTEXT_SIZE``.
    """
    if not 0 <= offset < MAX_PLAINTEXT_SIZE:
        msg = f"an offset is 0 to {MAX_PLAINTEXT_SIZE - 1}"
        raise ValueError(msg)
    if offset < FIRST_SEGMENT_PLAINTEXT_SIZE:
        return Position(0, offset)
    return Position(*divmod(offset + HEADER_SIZE, SEGMENT_PLAINTEXT_SIZE))


def plaintext_range(index: int, plaintext_size: int) -> range:
    """Return the plaintext offsets that a segment holds, in a document of a given size.

    Raises:
        ValueError: The document has no such segment.
    """
    check_index(index, segment_count(plaintext_size))
    start = index * SEGMENT_PLAINTEXT_SIZE - HEADER_SIZE if index else 0
    return range(start, min(start + full_plaintext(index), plaintext_size))


def ciphertext_range(index: int, plaintext_size: int) -> range:
    """Return a segment's offsets in the stream (0 is the header's first byte), for a document of a given size.

    Raises:
        ValueError: The document has no such segment.
    """
    check_index(index, segment_count(plaintext_size))
    start = index * SEGMENT_SIZE if index else HEADER_SIZE
    return range(start, min((index + 1) * SEGMENT_SIZE, ciphertext_size(plaintext_size)))


def check_index(index: int, count: int = MAX_SEGMENTS) -> None:
    if not 0 <= index < count:
        msg = "the document has no such segment"
        raise ValueError(msg)


def full_plaintext(index: int) -> int:
    """Return how many bytes of plaintext a full segment with this number has."""
    return SEGMENT_PLAINTEXT_SIZE if index else FIRST_SEGMENT_PLAINTEXT_SIZE
