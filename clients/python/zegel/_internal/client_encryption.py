"""Client encryption: encrypts uploads and decrypts downloads in this process; see ``zegel.client_encryption``.

Invariants:

* A segment that is sent again has the same bytes: its nonce must not be used for others.
* A byte is returned only after its segment has been authenticated for its position in this version of this document.
"""

import os
from typing import Final

from zegel._internal.source import Source
from zegel.client_encryption import ReceiverKey, UnwrapError, client_encryption_info, wrap_dek
from zegel.document.v1.document_service_pb2 import Chunk, DocumentContent, DownloadStart, FinishUpload, Upload
from zegel.errors import DataLoss, FailedPrecondition
from zegel.segments import (
    DEK_SIZE,
    HEADER_SIZE,
    MAX_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    SegmentCipher,
    SegmentError,
    ciphertext_size,
    document_aad,
    plaintext_range,
    plaintext_size,
    rendition_aad,
    segment_count,
)


class EncryptedSource:
    """Encrypts the bytes to send, under a key generated for this upload.

    Args:
        source: The bytes.
        upload: The upload, with the server's public key.

    Attributes:
        wrapped_dek: The key, wrapped to the upload's public key.

    Raises:
        FailedPrecondition: The server does not support client encryption.
    """

    def __init__(self, source: Source, upload: Upload) -> None:
        if not upload.HasField("client_encryption"):
            raise FailedPrecondition("The server does not support client encryption.")
        tenant_id = upload.client_encryption.tenant_id
        place = (tenant_id, upload.document_id, upload.version)
        dek = os.urandom(DEK_SIZE)
        self.wrapped_dek: Final = wrap_dek(upload.client_encryption.public_key, dek, client_encryption_info(*place))
        self.lock: Final = source.lock
        self.seekable: Final = source.seekable
        self.size: Final = source.size
        self._source: Final = source
        self._cipher: Final = SegmentCipher.create(dek, document_aad(*place))
        self._tags: Final[dict[int, bytes]] = {}
        self._ahead: bytes | None = None
        self._end = -1 if source.size is None else ciphertext_size(source.size)

    def read(self, offset: int) -> bytes:
        """The next chunk: one segment, the first one with the stream's header.

        Args:
            offset: Where it begins in the ciphertext.

        Returns:
            The chunk; empty at the end.

        Raises:
            OSError: The source cannot be read, cannot be read from there, or has changed.
        """
        if offset == self._end:
            self._source.read(self.told(offset))  # so that all of it is hashed
            return b""
        index = offset // SEGMENT_SIZE
        plain, last = self._segment(index)
        encrypted = self._cipher.encrypt(index, last, plain)
        if self._tags.setdefault(index, encrypted[-TAG_SIZE:]) != encrypted[-TAG_SIZE:]:
            raise OSError("the file was changed while it was sent")
        chunk = encrypted if index else self._cipher.header + encrypted
        if last:
            self._end = offset + len(chunk)
        return chunk

    def _segment(self, index: int) -> tuple[bytes, bool]:
        """The plaintext of a segment, and whether it is the last."""
        place = plaintext_range(index, MAX_PLAINTEXT_SIZE if self.size is None else self.size)
        if self.size is not None:
            plain = self._source.read(place.start) if place else b""
            if len(plain) != len(place):
                raise OSError("the file became shorter while it was sent")
            return plain, place.stop == self.size
        # Only what follows shows whether it is the last.
        plain = self._source.read(place.start) if self._ahead is None else self._ahead
        self._ahead = self._source.read(place.stop) if len(plain) == len(place) else b""
        return plain, not self._ahead

    def finish(self, size: int) -> FinishUpload:
        """The end mark in the last message. It describes the plaintext.

        Args:
            size: Size of the ciphertext in bytes.
        """
        return self._source.finish(self.told(size))

    def told(self, offset: int) -> int:
        """Number of plaintext bytes in the first bytes of ciphertext, for progress reports.

        Args:
            offset: Bytes of the ciphertext, in whole segments.
        """
        return plaintext_size(offset) if offset else 0

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the plaintext read so far."""
        return self._source.sha256


class Decrypter:
    """Decrypts the chunks of one download, with a key pair generated for it."""

    def __init__(self) -> None:
        self._key: Final = ReceiverKey.generate()
        self._cipher: SegmentCipher | None = None
        self._index = 0
        self._size = 0

    @property
    def public_key(self) -> bytes:
        """The public key to which the server wraps the document's key."""
        return self._key.public_bytes

    def begin(self, start: DownloadStart) -> None:
        """Takes the key.

        Args:
            start: The first message.

        Raises:
            DataLoss: The chunks are not encrypted, or their key cannot be unwrapped.
        """
        if not start.HasField("client_encrypted_stream"):
            raise DataLoss("The server sent the document unencrypted.", reason="STREAM_ORDER")
        stream = start.client_encrypted_stream
        place = (stream.tenant_id, start.document_id, start.version.version)
        rendition = start.content == DocumentContent.DOCUMENT_CONTENT_RENDITION
        aad = rendition_aad if rendition else document_aad
        try:
            dek = self._key.unwrap(stream.wrapped_dek, client_encryption_info(*place, rendition=rendition))
            self._cipher = SegmentCipher(dek, aad(*place), stream.header)
        except (UnwrapError, SegmentError, ValueError):
            raise DataLoss("The document's key is damaged.", reason="CHECKSUM_MISMATCH") from None
        self._index = stream.first_segment
        self._size = start.size

    def open(self, chunk: Chunk, wanted: range) -> memoryview:
        """Decrypts a chunk, and returns the wanted part of it.

        Args:
            chunk: The chunk.
            wanted: Offsets in the document that are still wanted. The chunk must contain the first of them.

        Raises:
            DataLoss: It is not the next chunk, or not what was stored.
        """
        index, self._index = self._index, self._index + 1
        if self._cipher is None or chunk.offset != index * SEGMENT_SIZE or not 0 <= index < segment_count(self._size):
            raise DataLoss("A chunk does not follow the previous one.", reason="OFFSET_MISMATCH")
        place = plaintext_range(index, self._size)
        if wanted.start not in place:
            raise DataLoss("The server sent a different part of the document than requested.", reason="OFFSET_MISMATCH")
        data = memoryview(chunk.data)[0 if index else HEADER_SIZE :]
        try:
            plain = self._cipher.decrypt(index, index == segment_count(self._size) - 1, data)
        except SegmentError:
            raise DataLoss(
                "A chunk was altered in transit, or is not what was stored.", reason="CHECKSUM_MISMATCH"
            ) from None
        return memoryview(plain)[wanted.start - place.start : min(wanted.stop, place.stop) - place.start]
