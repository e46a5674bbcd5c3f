"""Reads the messages of one upload stream: checks their order, their pace and their bytes.

Invariants:

* A chunk is accepted only if its CRC-32C is right and it begins where the previous one ended.
* Bytes below the persisted size are compared with the stored ones and not stored again.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

import google_crc32c

from zegel_server.documents.model import (
    MAX_CHUNK,
    MAX_DOCUMENT,
    Chunk,
    Received,
    offset_mismatch,
    resent_bytes_differ,
)
from zegel_server.errors import Aborted, InvalidArgument, ResourceExhausted

PATIENCE_S: Final = 30.0
"""Seconds that a stream may stall: longer than a phone's handover between cells, shorter than a user would wait."""
LEAST_RATE: Final = 16 * 1024
"""Bytes per second below which the allowance shrinks: a tenth of what a poor mobile connection carries."""


def stream_order(field: str, message: str) -> InvalidArgument:
    """Makes the error for messages in an order that the method does not allow.

    Args:
        field: The field that is present, or missing, where it must not be.
        message: What is wrong.
    """
    return InvalidArgument(field, message, reason="STREAM_ORDER")


class Patience:
    """How much longer the server waits for a slow sender: a leaky bucket of seconds.

    Waiting drains it, each byte adds ``1 / rate`` seconds, and it never holds more than it did at first, so that a fast
    start does not pay for a long stall later. Time that the server itself spends is not counted.

    Args:
        seconds: The most it holds.
        rate: The lowest rate that does not drain it, in bytes per second.
    """

    __slots__ = ("_full", "_rate", "left")

    def __init__(self, seconds: float, rate: float) -> None:
        self._full = seconds
        self._rate = rate
        self.left = seconds

    def spend(self, waited: float, size: int) -> None:
        """Accounts for one message.

        Args:
            waited: Seconds spent waiting for it.
            size: Bytes in its chunk.
        """
        self.left = min(self._full, max(0.0, self.left - waited) + size / self._rate)


class Messages:
    """The messages of a stream, one at a time; a sender that falls below the minimum rate is cut off.

    Args:
        messages: The incoming messages.
    """

    def __init__(self, messages: AsyncIterator[Received]) -> None:
        self._messages = messages
        self._patience = Patience(PATIENCE_S, LEAST_RATE)
        self._clock = asyncio.get_running_loop().time

    async def next(self) -> Received | None:
        """The next message, or ``None`` at the end.

        Raises:
            Aborted: The sender is too slow (``STREAM_STALLED``).
        """
        began = self._clock()
        try:
            async with asyncio.timeout(self._patience.left):
                message = await anext(self._messages, None)
        except TimeoutError:
            raise Aborted("The stream moved too slowly for too long; resume it.", reason="STREAM_STALLED") from None
        size = len(message.chunk.data) if message is not None and message.chunk is not None else 0
        self._patience.spend(self._clock() - began, size)
        return message

    async def first(self) -> Received:
        """The first message, which names an upload or opens one.

        Raises:
            InvalidArgument: It does not, or there is none (``STREAM_ORDER``).
            Aborted: The sender is too slow.
        """
        message = await self.next()
        if message is None or (message.upload_id is None and message.spec is None):
            raise stream_order("upload_id", "the first message says which upload this is, or has a spec")
        return message

    async def later(self) -> Received | None:
        """A message after the first, or ``None`` at the end.

        Raises:
            InvalidArgument: It names an upload again, or is empty (``STREAM_ORDER``).
            Aborted: The sender is too slow.
        """
        message = await self.next()
        if message is not None:
            if message.upload_id is not None or message.spec is not None:
                field = "spec" if message.upload_id is None else "upload_id"
                raise stream_order(field, "stands in the first message only")
            if message.chunk is None and message.finish is None:
                raise stream_order("chunk", "every message after the first has a chunk or finish")
        return message

    async def end(self) -> None:
        """Makes sure that no message follows ``finish``.

        Raises:
            InvalidArgument: A message follows (``STREAM_ORDER``).
            Aborted: The sender does not end the stream.
        """
        if await self.next() is not None:
            raise stream_order("finish", "stands in the last message")


class Stored(Protocol):
    """Reads back the stored bytes of an upload."""

    async def around(self, offset: int) -> tuple[int, bytes]:
        """Reads the stored piece that contains an offset.

        Args:
            offset: Offset of a byte in the piece.

        Returns:
            The offset at which it begins, and its bytes.

        Raises:
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store does not answer.
        """
        ...


class Writer(Protocol):
    """Stores the bytes that follow those already stored."""

    async def write(self, data: memoryview) -> None:
        """Accepts bytes; waits while storage is behind.

        Args:
            data: The bytes.

        Raises:
            ZegelError: Bytes accepted earlier could not be stored.
        """
        ...


class ChunkReceiver:
    """Checks the chunks of one stream and passes on the new bytes.

    Args:
        stored: Reads the upload's stored bytes: plaintext, or ciphertext if the client encrypts.
        persisted: How many bytes are stored.
        declared: Size announced by the sender, in bytes; 0 if unknown.
        writer: Stores new bytes; ``None`` if the upload is already complete.
        most: The largest size allowed, in bytes.
    """

    def __init__(
        self, stored: Stored, persisted: int, declared: int, writer: Writer | None, *, most: int = MAX_DOCUMENT
    ) -> None:
        self._stored = stored
        self._most = most
        self._persisted = persisted
        self._declared = declared
        self._writer = writer
        self._next: int | None = None
        self._compared: tuple[int, bytes] = (0, b"")

    @property
    def size(self) -> int:
        """Bytes received so far, including those stored before."""
        return max(self._persisted, self._next or 0)

    async def take(self, chunk: Chunk) -> None:
        """Accepts a chunk; waits while storage is behind.

        Args:
            chunk: The chunk.

        Raises:
            InvalidArgument: It is wrong (``CHUNK_SIZE``, ``CHECKSUM_MISMATCH``, ``SIZE_MISMATCH``,
                ``RESENT_BYTES_DIFFER``).
            Aborted: It has the wrong offset (``OFFSET_MISMATCH``), or another writer was faster.
            ResourceExhausted: The document grows too large, or the store is full.
            ZegelError: Bytes accepted earlier could not be stored.
        """
        size = len(chunk.data)
        if not 1 <= size <= MAX_CHUNK:
            raise InvalidArgument("chunk.data", f"must have 1 to {MAX_CHUNK} bytes", reason="CHUNK_SIZE")
        if google_crc32c.value(chunk.data) != chunk.crc32c:
            raise InvalidArgument("chunk.crc32c", "is not that of the bytes received", reason="CHECKSUM_MISMATCH")
        self._check_offset(chunk.offset, size)
        old = min(size, max(0, self._persisted - chunk.offset))
        if old:
            await self._compare(chunk.offset, chunk.data[:old])
        if old < size:
            if self._writer is None:
                raise InvalidArgument("chunk.data", "the finished document ends before", reason="SIZE_MISMATCH")
            await self._writer.write(memoryview(chunk.data)[old:])
        self._next = chunk.offset + size

    def _check_offset(self, offset: int, size: int) -> None:
        if self._next is None:
            if not 0 <= offset <= self._persisted:
                raise offset_mismatch(self._persisted)
        elif offset != self._next:
            raise offset_mismatch(self._next)
        if self._declared and offset + size > self._declared:
            raise InvalidArgument("chunk.data", "goes past the size announced", reason="SIZE_MISMATCH")
        if offset + size > self._most:
            raise ResourceExhausted(f"A document has at most {MAX_DOCUMENT} bytes.", limit="document_bytes")

    async def _compare(self, offset: int, data: bytes) -> None:
        """Compares resent bytes with the stored ones."""
        at = 0
        while at < len(data):
            start, known = self._compared
            if not start <= offset + at < start + len(known):
                start, known = self._compared = await self._stored.around(offset + at)
            begin = offset + at - start
            stored = known[begin : begin + len(data) - at]
            if stored != data[at : at + len(stored)]:
                raise resent_bytes_differ()
            at += len(stored)
