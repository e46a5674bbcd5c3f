"""Uploads that the client encrypts, under a key that it generates and wraps to the upload's own key pair.

Nothing is decrypted while chunks arrive: parts are stored as received. At the end the document is decrypted in memory,
hashed and inspected, and its key is wrapped under the tenant's key.

Invariants:

* A document exists only once every segment has decrypted under the key, and its size and SHA-256 were right.
* The stored bytes are the bytes sent; claiming, storing and resuming parts work as in any other upload.
"""

import hashlib

from zegel.client_encryption import UnwrapError
from zegel.segments import (
    HEADER_SIZE,
    SegmentCipher,
    SegmentError,
    ciphertext_range,
    plaintext_size,
    segment_count,
)
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.model import ClientEncryption, Finish
from zegel_server.documents.part_writer import LastPart, PartWriter, Progress
from zegel_server.documents.parts import PART_SEGMENTS, PART_SIZE
from zegel_server.documents.streams import Ciphertext, ContentId, Stream
from zegel_server.errors import DataLoss, InvalidArgument
from zegel_server.keys.service import StoredDek


async def client_encryption_of(
    encrypted_store: EncryptedStore, content_id: ContentId, stored: StoredDek
) -> ClientEncryption:
    """What the client needs to encrypt an upload.

    Args:
        encrypted_store: Opens the upload's key.
        content_id: The version that the upload will become.
        stored: The upload's key, as stored in its row.

    Raises:
        DataLoss: The key does not match its commitment.
        Unavailable: The key provider does not answer.
    """
    key = await encrypted_store.receiving_key(content_id, stored)
    return ClientEncryption(key.public_bytes, content_id.tenant_id)


async def open_wrapped(
    encrypted_store: EncryptedStore, content_id: ContentId, stored: StoredDek, wrapped: bytes
) -> bytes:
    """Unwraps the document's key that the sender wrapped.

    Args:
        encrypted_store: Opens the upload's key.
        content_id: The version that the upload will become.
        stored: The upload's key, as stored in its row.
        wrapped: The wrapped key that the sender sent.

    Raises:
        InvalidArgument: The wrapped key is missing or cannot be unwrapped.
        DataLoss: The upload's key does not match its commitment.
        Unavailable: The key provider does not answer.
    """
    if not wrapped:
        raise InvalidArgument(
            "wrapped_dek", "the chunks of this upload are encrypted by the client", reason="MISSING_FIELD"
        )
    key = await encrypted_store.receiving_key(content_id, stored)
    try:
        return key.unwrap(wrapped, content_id.client_encryption_info)
    except UnwrapError:
        raise InvalidArgument("wrapped_dek", "was not wrapped to this upload's public key") from None


def received_size(ciphertext: int) -> int:
    """The size of the plaintext for a given size of ciphertext.

    Args:
        ciphertext: Bytes of ciphertext received.

    Raises:
        InvalidArgument: No complete stream has this size (``SIZE_MISMATCH``).
    """
    try:
        return plaintext_size(ciphertext)
    except SegmentError:
        raise InvalidArgument("finish.size", "no whole stream was received", reason="SIZE_MISMATCH") from None


class CiphertextWriter:
    """Accepts the ciphertext of a stream in pieces of any size.

    Args:
        stored: Where it goes.
        progress: Records which parts are stored.
        parts: How many whole parts are already stored.
    """

    def __init__(self, stored: Ciphertext, progress: Progress, *, parts: int) -> None:
        self._stored = stored
        self._part_writer = PartWriter(stored.part_store, stored.prefix, progress, parts)

    async def write(self, data: memoryview) -> None:
        """Accepts bytes; waits while storage is behind.

        Args:
            data: The bytes that follow.

        Raises:
            ZegelError: Bytes accepted earlier could not be stored.
        """
        while data:
            if not self._part_writer.part.room:
                await self._part_writer.next()
            piece = data[: self._part_writer.part.room]
            self._part_writer.part.take(len(piece))[:] = piece
            data = data[len(piece) :]

    async def end(self, content_id: ContentId, dek: bytes, finish: Finish) -> tuple[LastPart, Stream]:
        """Decrypts and hashes everything, and waits until all parts but the last are stored.

        Args:
            content_id: The version that the upload will become.
            dek: The document's key.
            finish: The announced size and SHA-256; the size is known to match.

        Returns:
            The last part, to be stored, and the stream with it.

        Raises:
            InvalidArgument: A segment does not open, or the SHA-256 is another (``CHECKSUM_MISMATCH``); or this
            stream ends at a part boundary past which an earlier stream had sent more.
            ZegelError: A part could not be stored.
        """
        await self._part_writer.settle()
        last = self._part_writer.part
        if not last.filled:
            raise InvalidArgument("finish.size", "more bytes were sent before", reason="SIZE_MISMATCH")
        header = bytes(last.data[:HEADER_SIZE]) if not last.number else (await self._stored.segment(0))[:HEADER_SIZE]
        part_store = self._stored.part_store
        try:
            stream = Stream(
                part_store, self._stored.prefix, SegmentCipher(dek, content_id.aad, header), finish.size, dek=dek
            )
            digest = await self._digest(stream)
        except (SegmentError, DataLoss) as error:
            if isinstance(error, DataLoss) and not isinstance(error.__cause__, SegmentError):
                raise  # lost in our storage, not the sender's fault
            raise InvalidArgument(
                "chunk.data", "does not open with the key that was sent", reason="CHECKSUM_MISMATCH"
            ) from None
        if digest != finish.sha256:
            raise InvalidArgument("finish.sha256", "is not that of the bytes received", reason="CHECKSUM_MISMATCH")
        await self._part_writer.claim_last()
        return LastPart(self._part_writer, digest), stream

    async def _digest(self, stream: Stream) -> bytes:
        digest = hashlib.sha256()
        compute = stream.part_store.compute
        last = self._part_writer.part
        first, count = last.number * PART_SEGMENTS, segment_count(stream.size)
        async for segment in stream.segments(range(first)):
            await compute(len(segment), digest.update, segment)
        for index in range(first, count):
            encrypted = ciphertext_range(index, stream.size)
            start = last.number * PART_SIZE
            data = last.data[encrypted.start - start : encrypted.stop - start]
            plain = await compute(len(data), stream.cipher.decrypt, index, index == count - 1, data)
            await compute(len(plain), digest.update, plain)
        return digest.digest()

    async def settle(self) -> None:
        """Waits for the parts that are being stored.

        Raises:
            ZegelError: One could not be stored.
        """
        await self._part_writer.settle()

    async def abandon(self) -> None:
        """Stops writing. Parts already on their way are still stored and recorded, so the upload can be resumed."""
        await self._part_writer.abandon()
