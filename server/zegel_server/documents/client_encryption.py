"""Uploads whose chunks come as ciphertext, under a key that the sender makes and wraps to the upload's own key pair.

Nothing is decrypted while the stream comes in: parts are stored as they came. At the end the document is decrypted in
memory, hashed and looked into, and its key is wrapped under the tenant's.

Invariants:

* A document is there only once each of its segments opened under the key, and size and SHA-256 were right.
* What is stored is what was sent: the same claims, parts and resumes as of any upload.
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
        encrypted_store: Has the upload's key.
        content_id: Which version it is to become.
        stored: The upload's key, as its row has it.

    Raises:
        DataLoss: The key is not the one committed to.
        Unavailable: The key provider does not answer.
    """
    key = await encrypted_store.receiving_key(content_id, stored)
    return ClientEncryption(key.public_bytes, content_id.tenant_id)


async def open_wrapped(
    encrypted_store: EncryptedStore, content_id: ContentId, stored: StoredDek, wrapped: bytes
) -> bytes:
    """The document's key, as its sender wrapped it.

    Args:
        encrypted_store: Has the upload's key.
        content_id: Which version it is to become.
        stored: The upload's key, as its row has it.
        wrapped: What the sender sent.

    Raises:
        InvalidArgument: It does not open.
        DataLoss: The upload's key is not the one committed to.
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
    """Bytes of the document of which so much ciphertext came.

    Args:
        ciphertext: Bytes that came.

    Raises:
        InvalidArgument: No stream has so many (``SIZE_MISMATCH``).
    """
    try:
        return plaintext_size(ciphertext)
    except SegmentError:
        raise InvalidArgument("finish.size", "no whole stream was received", reason="SIZE_MISMATCH") from None


class CiphertextWriter:
    """Takes the ciphertext of a stream in, in pieces of any size.

    Args:
        stored: Where it goes.
        progress: Where it is noted how far it has come.
        parts: How many whole parts are stored already.
    """

    def __init__(self, stored: Ciphertext, progress: Progress, *, parts: int) -> None:
        self._stored = stored
        self._part_writer = PartWriter(stored.part_store, stored.prefix, progress, parts)

    async def write(self, data: memoryview) -> None:
        """Takes bytes in; waits where storing does not keep up.

        Args:
            data: The bytes that follow.

        Raises:
            ZegelError: What was taken in before could not be stored.
        """
        while data:
            if not self._part_writer.part.room:
                await self._part_writer.next()
            piece = data[: self._part_writer.part.room]
            self._part_writer.part.take(len(piece))[:] = piece
            data = data[len(piece) :]

    async def end(self, content_id: ContentId, dek: bytes, finish: Finish) -> tuple[LastPart, Stream]:
        """Decrypts and hashes everything, and has all but the last part stored.

        Args:
            content_id: Which version it is to become.
            dek: The document's key.
            finish: What it is to be, its size that of what came.

        Returns:
            The last part, to be stored, and the stream with it.

        Raises:
            InvalidArgument: A segment does not open, or the SHA-256 is another (``CHECKSUM_MISMATCH``); or the stored
                parts were followed by more bytes when they came, and now are not.
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
                raise  # lost here, not sent wrong
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
        """Leaves the stream as far as it has come: what is being stored is stored and noted still."""
        await self._part_writer.abandon()
