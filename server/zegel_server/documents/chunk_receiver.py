"""The messages of one upload stream: their order, their pace, and the bytes they bring.

Invariants:

* A chunk counts only if its crc32c is right and it begins where the last one ended.
* Bytes below the persisted size are compared with what is stored, and stored no second time.
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
"""Seconds that a stream may stand still: longer than a phone between two cells, shorter than anybody watches."""
LEAST_RATE: Final = 16 * 1024
"""Bytes a second below which a stream runs out of patience: a tenth of a poor mobile line."""


def stream_order(field: str, message: str) -> InvalidArgument:
    """The refusal of messages in an order that the method does not allow.

    Args:
        field: The field that stands, or is missing, where it must not.
        message: What is wrong.
    """
    return InvalidArgument(field, message, reason="STREAM_ORDER")


class Patience:
    """How much longer a slow sender is waited for: a leaky bucket of seconds.

    Waiting drains it, bytes fill it at ``1 / rate`` seconds each, and it never holds more than at the beginning: a fast
    start buys no long stall. Time that the server itself takes costs a sender nothing.

    Args:
        seconds: What it holds at most.
        rate: The least bytes a second.
    """

    __slots__ = ("_full", "_rate", "left")

    def __init__(self, seconds: float, rate: float) -> None:
        self._full = seconds
        self._rate = rate
        self.left = seconds

    def spend(self, waited: float, size: int) -> None:
        """Takes account of one message.

        Args:
            waited: Seconds that were waited for it.
            size: Bytes that it brought.
        """
        self.left = min(self._full, max(0.0, self.left - waited) + size / self._rate)


class Messages:
    """The messages of a stream, one at a time, from a sender that keeps a least rate.

    Args:
        messages: As they come in.
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
            InvalidArgument: It names an upload again, or brings nothing (``STREAM_ORDER``).
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
            InvalidArgument: One does (``STREAM_ORDER``).
            Aborted: The sender does not end the stream.
        """
        if await self.next() is not None:
            raise stream_order("finish", "stands in the last message")


class Stored(Protocol):
    """What is stored of an upload."""

    async def around(self, offset: int) -> tuple[int, bytes]:
        """A piece of it.

        Args:
            offset: Of a byte in it.

        Returns:
            The offset at which it begins, and its bytes.

        Raises:
            DataLoss: What is stored is not what was written.
            Unavailable: The blob store does not answer.
        """
        ...


class Writer(Protocol):
    """What stores the bytes that follow."""

    async def write(self, data: memoryview) -> None:
        """Takes bytes in; waits where storing does not keep up.

        Args:
            data: The bytes.

        Raises:
            ZegelError: What was taken in before could not be stored.
        """
        ...


class ChunkReceiver:
    """Takes the chunks of one stream.

    Args:
        stored: What is stored of the upload: the document, or its ciphertext where that is what comes.
        persisted: Bytes of it that are stored.
        declared: Bytes that it is to have; 0 for unknown.
        writer: Takes the bytes that follow; left out where it is whole already.
        most: Bytes that it may have.
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
        """Bytes that there are by now."""
        return max(self._persisted, self._next or 0)

    async def take(self, chunk: Chunk) -> None:
        """Takes a chunk; waits where storing does not keep up.

        Args:
            chunk: The chunk.

        Raises:
            InvalidArgument: It is wrong (``CHUNK_SIZE``, ``CHECKSUM_MISMATCH``, ``SIZE_MISMATCH``,
                ``RESENT_BYTES_DIFFER``).
            Aborted: It is out of place (``OFFSET_MISMATCH``), or another writer was faster.
            ResourceExhausted: The document grows too large, or the store is full.
            ZegelError: What came before could not be stored.
        """
        size = len(chunk.data)
        if not 1 <= size <= MAX_CHUNK:
            raise InvalidArgument("chunk.data", f"must have 1 to {MAX_CHUNK} bytes", reason="CHUNK_SIZE")
        if google_crc32c.value(chunk.data) != chunk.crc32c:
            raise InvalidArgument("chunk.crc32c", "is not that of the bytes received", reason="CHECKSUM_MISMATCH")
        self._check_place(chunk.offset, size)
        old = min(size, max(0, self._persisted - chunk.offset))
        if old:
            await self._compare(chunk.offset, chunk.data[:old])
        if old < size:
            if self._writer is None:
                raise InvalidArgument("chunk.data", "the finished document ends before", reason="SIZE_MISMATCH")
            await self._writer.write(memoryview(chunk.data)[old:])
        self._next = chunk.offset + size

    def _check_place(self, offset: int, size: int) -> None:
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
        """Holds bytes that were stored before against what is stored."""
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
