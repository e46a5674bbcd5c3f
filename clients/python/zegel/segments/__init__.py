"""The encrypted form in which a document is stored: Tink streaming AEAD ``AES256_GCM_HKDF_1MB`` with a RAW prefix.

Any Tink library can decrypt a stream written here, given the document's data encryption key (DEK) and associated data::

    stream  = header | segment 0 | segment 1 | ...
    header  = 0x28 | salt[32] | nonce prefix[7]
    key     = HKDF-SHA256(DEK, salt, info=associated data, 32 bytes)
    segment = AES-256-GCM(key, nonce prefix | be32(index) | last ? 1 : 0, plaintext)

A segment is 1,048,576 bytes of ciphertext, its 16-byte tag included; the first is 40 bytes shorter to make room for the
header, and the last may be shorter.

Invariants:

* No plaintext of a segment is returned before its tag is checked.
* Every segment but the last is full, so the segment of a plaintext offset can be computed without an index.
* The last segment is empty only if the whole document is, so each plaintext size has exactly one stream size.
* Cutting, reordering, splicing or relabelling a stream makes a segment's tag fail: index and end are in the nonce;
  tenant, document and version are in the key.

Encrypting is deterministic once the header is chosen. To continue an interrupted stream, encrypt on from the first
segment that is not stored. A segment that may have been stored must not be encrypted again from other bytes: that would
use a nonce twice.
"""

from zegel.segments._cipher import SegmentCipher
from zegel.segments._layout import (
    DEK_SIZE,
    FIRST_SEGMENT_PLAINTEXT_SIZE,
    HEADER_SIZE,
    MAX_PLAINTEXT_SIZE,
    MAX_SEGMENTS,
    SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    Position,
    SegmentError,
    ciphertext_range,
    ciphertext_size,
    document_aad,
    locate,
    plaintext_range,
    plaintext_size,
    rendition_aad,
    segment_count,
)
from zegel.segments._streams import StreamDecryptor, StreamEncryptor

__all__ = [
    "DEK_SIZE",
    "FIRST_SEGMENT_PLAINTEXT_SIZE",
    "HEADER_SIZE",
    "MAX_PLAINTEXT_SIZE",
    "MAX_SEGMENTS",
    "SEGMENT_PLAINTEXT_SIZE",
    "SEGMENT_SIZE",
    "TAG_SIZE",
    "Position",
    "SegmentCipher",
    "SegmentError",
    "StreamDecryptor",
    "StreamEncryptor",
    "ciphertext_range",
    "ciphertext_size",
    "document_aad",
    "locate",
    "plaintext_range",
    "plaintext_size",
    "rendition_aad",
    "segment_count",
]
