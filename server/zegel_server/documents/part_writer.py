"""Stores the parts of an incoming stream: several at a time, claimed and recorded in order.

Invariants:

* A part is stored only after its segments' tags were claimed for its number (see ``Progress.claim``), so that a nonce
  is never used for other bytes than those first claimed, even after a crash or with several writers.
* Parts are recorded in order, each once it and all before it are stored.
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
"""Parts of one stream stored at a time: a disk flushes two in hardly more time than one."""


class Progress(Protocol):
    """Records which parts of a stream are claimed and stored."""

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """Binds a part's number to its bytes before they are stored.

        Args:
            part: Number from 0.
            tags: The tags of its segments, which identify its bytes; `parts.PART_TAGS` bytes, fewer for the last part.
            last: Whether it is the stream's last part.

        Raises:
            Aborted: Another writer has come further (``OFFSET_MISMATCH``).
            InvalidArgument: Other bytes were claimed for it before (``RESENT_BYTES_DIFFER``).
            FailedPrecondition: The upload is closed.
        """
        ...

    async def note(self, part: int) -> None:
        """Records that a part is stored.

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
        filled: How many bytes it holds.
    """

    __slots__ = ("filled", "memory", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.memory: mmap.mmap | None = None
        self.filled = 0

    @property
    def room(self) -> int:
        """How many more bytes fit."""
        return PART_SIZE - self.filled

    def take(self, size: int) -> memoryview:
        """Reserves space for the next bytes.

        Args:
            size: How many.
        """
        if self.memory is None:
            # Memory pages of its own: allocated only as they are filled, and written to disk without a copy.
            self.memory = mmap.mmap(-1, PART_SIZE)
            if self.number and hasattr(mmap, "MADV_HUGEPAGE"):
                # Huge pages: two instead of a thousand. Not for the first part, which most documents never fill.
                with suppress(OSError):  # the kernel has none
                    self.memory.madvise(mmap.MADV_HUGEPAGE)
        start = self.filled
        self.filled += size
        return memoryview(self.memory)[start : self.filled]

    @property
    def data(self) -> memoryview:
        """The bytes that it holds."""
        return memoryview(self.memory or b"")[: self.filled]

    @property
    def tags(self) -> bytes:
        """The tags of its segments; the last segment's is at the part's end."""
        data = self.data
        ends = [*range(SEGMENT_SIZE, self.filled, SEGMENT_SIZE), self.filled]
        return b"".join(data[end - TAG_SIZE : end] for end in ends)


class PartWriter:
    """Stores parts as they fill up.

    Args:
        part_store: Stores them.
        prefix: Their folder.
        progress: Records which parts are stored.
        parts: How many whole parts are already stored.

    Attributes:
        part: The part being filled.
    """

    def __init__(self, part_store: PartStore, prefix: str, progress: Progress, parts: int) -> None:
        self.part: Part = Part(parts)
        self._part_store = part_store
        self._prefix = prefix
        self._progress = progress
        self._storing: deque[asyncio.Task[None]] = deque()
        self._claiming = asyncio.Lock()
        # Buffers to reuse: allocating one costs more than encrypting its contents.
        self._spare: list[mmap.mmap] = []

    async def next(self, filled: Callable[[], Awaitable[None]] | None = None) -> None:
        """Starts to store the full part, and begins the next one; waits while storage is behind.

        Args:
            filled: Waits until all reserved space is filled; omitted if it is already.

        Raises:
            ZegelError: A part could not be stored.
        """
        part, self.part = self.part, Part(self.part.number + 1)
        # With many streams, one part of each keeps the store busy enough.
        await self.settle(leave=0 if self._part_store.crowded else STORED_AT_ONCE - 1)
        if self._spare:
            self.part.memory = self._spare.pop()
        before = self._storing[-1] if self._storing else None
        self._storing.append(asyncio.create_task(self._store(part, before, filled)))

    async def _store(
        self, part: Part, before: asyncio.Task[None] | None, filled: Callable[[], Awaitable[None]] | None
    ) -> None:
        async with self._claiming:  # one at a time, in the order of the parts
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
        """Claims the stream's last part once all parts before it are stored.

        Raises:
            ZegelError: One could not be stored, or it cannot be claimed.
        """
        await self.settle()
        await self._progress.claim(self.part.number, self.part.tags, last=True)

    async def store_last(self) -> None:
        """Stores the last part durably.

        Raises:
            ZegelError: It could not be stored.
        """
        await self._put(self.part)

    async def settle(self, *, leave: int = 0) -> None:
        """Waits for the parts that are being stored.

        Args:
            leave: How many of the newest parts not to wait for.

        Raises:
            ZegelError: One could not be stored.
        """
        while len(self._storing) > leave:
            # Shielded: if the caller is cancelled here, the part is still stored.
            await asyncio.shield(self._storing[0])
            self._storing.popleft()

    async def abandon(self) -> None:
        """Stops writing. Parts already on their way are still stored and recorded, so the upload can be resumed."""
        await asyncio.gather(*self._storing, return_exceptions=True)
        self._storing.clear()

    async def _put(self, part: Part) -> None:
        try:
            await self._part_store.put(part_key(self._prefix, part.number), part.data)
        except AlreadyExists:
            # Only claimed bytes are ever stored here, so these were not written by this server.
            raise offset_mismatch(whole_parts_size(part.number)) from None


class LastPart:
    """The last part of a stream, claimed but not yet stored.

    Args:
        part_writer: Stores it.
        digest: SHA-256 of the whole document.

    Attributes:
        digest: SHA-256 of the whole document.
        parts: How many parts the stream has, including this one.
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
