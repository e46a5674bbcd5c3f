"""Stores the parts of a stream that comes in: some at once, claimed and noted in their order.

Invariants:

* A part is stored only after its segments' tags were claimed for its place (see ``Progress.claim``): a nonce is never
  spent on other bytes than those first claimed, whoever writes, and whoever died before.
* Parts are noted in order, each once it and all before it are stored.
"""

import asyncio
import mmap
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from zegel.segments import SEGMENT_SIZE, TAG_SIZE
from zegel_server.documents.model import offset_mismatch
from zegel_server.documents.part_store import PartStore
from zegel_server.documents.parts import PART_SIZE, part_key, whole_parts_size
from zegel_server.errors import AlreadyExists

STORED_AT_ONCE: Final = 2
"""Parts of one stream on their way to the store: a disk flushes two in hardly more time than one."""


class Progress(Protocol):
    """Where it is noted how far a stream has come."""

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """Binds a part to its bytes before they are stored.

        Args:
            part: Number from 0.
            tags: The tags of its segments, which no other bytes have; `parts.PART_TAGS` bytes but for the last part.
            last: Whether the stream ends with it.

        Raises:
            Aborted: Another writer has come further (``OFFSET_MISMATCH``).
            InvalidArgument: Other bytes were claimed for it before (``RESENT_BYTES_DIFFER``).
            FailedPrecondition: The upload is closed.
        """
        ...

    async def note(self, part: int) -> None:
        """Notes that a part is stored.

        Args:
            part: Number from 0.

        Raises:
            Aborted: Another writer has come further.
            FailedPrecondition: The upload is closed.
        """
        ...


class Part:
    """A part that is being filled with encrypted segments.

    Args:
        number: From 0.

    Attributes:
        filled: Bytes that are in it.
    """

    __slots__ = ("filled", "memory", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.memory: mmap.mmap | None = None
        self.filled = 0

    @property
    def room(self) -> int:
        """Bytes that it still takes."""
        return PART_SIZE - self.filled

    def take(self, size: int) -> memoryview:
        """Room for bytes that come next.

        Args:
            size: How many.
        """
        if self.memory is None:
            # Pages of its own: they are taken as they are filled, and a disk can be given them without a copy.
            self.memory = mmap.mmap(-1, PART_SIZE)
            if self.number and hasattr(mmap, "MADV_HUGEPAGE"):
                # A disk is given two pages instead of a thousand; not the first part, that most documents never fill.
                with suppress(OSError):  # a kernel without them
                    self.memory.madvise(mmap.MADV_HUGEPAGE)
        start = self.filled
        self.filled += size
        return memoryview(self.memory)[start : self.filled]

    @property
    def data(self) -> memoryview:
        """What is in it."""
        return memoryview(self.memory or b"")[: self.filled]

    @property
    def tags(self) -> bytes:
        """The tags of its segments, the last one's at its end."""
        data = self.data
        ends = [*range(SEGMENT_SIZE, self.filled, SEGMENT_SIZE), self.filled]
        return b"".join(data[end - TAG_SIZE : end] for end in ends)


class PartWriter:
    """Stores parts, one after the other as they are full.

    Args:
        part_store: Stores them.
        prefix: Their folder.
        progress: Where it is noted how far the stream has come.
        parts: How many whole parts are stored already.

    Attributes:
        part: The one that is being filled.
    """

    def __init__(self, part_store: PartStore, prefix: str, progress: Progress, parts: int) -> None:
        self.part: Part = Part(parts)
        self._part_store = part_store
        self._prefix = prefix
        self._progress = progress
        self._storing: deque[asyncio.Task[None]] = deque()
        self._claiming = asyncio.Lock()
        # Memory that was used, to be used again: taking it anew costs more than encrypting it.
        self._spare: list[mmap.mmap] = []

    async def next(self, filled: Callable[[], Awaitable[None]] | None = None) -> None:
        """Has the part stored that is full, and begins the next one; waits where storing does not keep up.

        Args:
            filled: Waits until the bytes are there for which room was taken; left out where they are.

        Raises:
            ZegelError: A part could not be stored.
        """
        part, self.part = self.part, Part(self.part.number + 1)
        # Where many streams are busy, one part each keeps the store busy enough.
        await self.settle(leave=0 if self._part_store.crowded else STORED_AT_ONCE - 1)
        if self._spare:
            self.part.memory = self._spare.pop()
        before = self._storing[-1] if self._storing else None
        self._storing.append(asyncio.create_task(self._store(part, before, filled)))

    async def _store(
        self, part: Part, before: asyncio.Task[None] | None, filled: Callable[[], Awaitable[None]] | None
    ) -> None:
        async with self._claiming:  # one after the other, in the order of the parts
            if filled is not None:
                await filled()
            await self._progress.claim(part.number, part.tags, last=False)
        await self._put(part)
        if not self._part_store.crowded and part.memory is not None:
            self._spare.append(part.memory)
        if before is not None:
            await asyncio.shield(before)
        await self._progress.note(part.number)

    async def claim_last(self) -> None:
        """Claims the part with which the stream ends, once all before it are stored.

        Raises:
            ZegelError: One could not be stored, or it cannot be claimed.
        """
        await self.settle()
        await self._progress.claim(self.part.number, self.part.tags, last=True)

    async def store_last(self) -> None:
        """Stores that part, durably.

        Raises:
            ZegelError: It could not be stored.
        """
        await self._put(self.part)

    async def settle(self, *, leave: int = 0) -> None:
        """Waits for the parts that are being stored.

        Args:
            leave: How many of the newest need not be waited for.

        Raises:
            ZegelError: One could not be stored.
        """
        while len(self._storing) > leave:
            # Shielded: a caller that is cancelled here does not take the part with it.
            await asyncio.shield(self._storing[0])
            self._storing.popleft()

    async def abandon(self) -> None:
        """Leaves the stream as far as it has come: what is being stored is stored and noted still."""
        await asyncio.gather(*self._storing, return_exceptions=True)
        self._storing.clear()

    async def _put(self, part: Part) -> None:
        try:
            await self._part_store.put(part_key(self._prefix, part.number), part.data)
        except AlreadyExists:
            # Only what was claimed is ever stored here, so whoever wrote this is no writer of ours.
            raise offset_mismatch(whole_parts_size(part.number)) from None


class LastPart:
    """The end of a stream, claimed, and not yet stored.

    Args:
        part_writer: Stores it.
        digest: SHA-256 of the whole document.

    Attributes:
        digest: SHA-256 of the whole document.
        parts: How many parts the stream has, this one with them.
    """

    __slots__ = ("_part_writer", "digest", "parts")

    def __init__(self, part_writer: PartWriter, digest: bytes) -> None:
        self._part_writer = part_writer
        self.digest = digest
        self.parts = part_writer.part.number + 1

    async def store(self) -> None:
        """Stores it, durably.

        Raises:
            ZegelError: It could not be stored.
        """
        await self._part_writer.store_last()
