"""Encrypts and stores a stream while it comes in: receiving, encrypting and storing overlap, each one step ahead.

While parts are stored, segments of the next one are encrypted, and a further one is received. Memory is bounded: a
segment in the clear being filled and one being encrypted, the encrypted segments of one part, and `STORED_AT_ONCE`
parts on their way to the store.

Invariants:

* A part is stored only after its segments' tags were claimed for its place (see ``Ledger.claim``): a nonce is never
  spent on other bytes than those first claimed, whoever writes, and whoever died before.
* Parts are noted in order, each once it and all before it are stored.
* The last segment is encrypted only when the SHA-256 of everything was found right.
"""

import asyncio
import hashlib
import mmap
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_PLAINTEXT_SIZE, TAG_SIZE, SegmentCipher
from zegel_server.documents.model import offset_mismatch
from zegel_server.documents.parts import PART_SEGMENTS, PART_SIZE, PART_TAGS, part_key, whole_parts_size
from zegel_server.documents.vault import Stream
from zegel_server.errors import AlreadyExists, InvalidArgument

KEPT: Final = 4 << 20
"""Bytes of a document kept in the clear until its end, to be looked into without being read back: most are smaller."""

STORED_AT_ONCE: Final = 4
"""Parts of one stream on their way to the store: a disk flushes four in hardly more time than one."""


class Ledger(Protocol):
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


class StreamWriter:
    """Takes the plaintext of a stream in, in pieces of any size.

    Args:
        stream: Where it goes.
        ledger: Where it is noted how far it has come.
        parts: How many whole parts are stored already.
        digest: SHA-256 of what they hold.
    """

    def __init__(
        self, stream: Stream, ledger: Ledger, *, parts: int = 0, digest: "hashlib._Hash | None" = None
    ) -> None:
        self._stream = stream
        self._ledger = ledger
        self._digest = digest or hashlib.sha256()
        self._index = parts * PART_SEGMENTS
        self._plain: bytearray | memoryview = bytearray()
        self._filled = 0
        self._kept: list[bytearray | memoryview] | None = None if parts else []
        self._sealing: tuple[bytearray | memoryview, Awaitable[None]] | None = None
        self._part = _Part(parts)
        self._storing: deque[asyncio.Task[None]] = deque()
        # Memory that was used, to be used again: taking a MiB anew costs more than encrypting it.
        self._spare_plain: list[bytearray] = []
        self._spare_parts: list[mmap.mmap] = []
        self._claiming = asyncio.Lock()
        self.size = whole_parts_size(parts)
        """Bytes taken in, with those that were stored before."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes bytes in; waits where storing does not keep up.

        Args:
            data: The bytes that follow; not to be changed later, for whole segments of them are not copied.

        Raises:
            ZegelError: What was taken in before could not be stored.
        """
        view = memoryview(data)
        self.size += len(view)
        if self._kept is not None and self.size > KEPT:
            self._kept = None
        while view:
            room = _full(self._index) - self._filled
            if not room:
                await self._seal()
                continue
            piece = view[:room]
            if len(piece) == _full(self._index):
                self._give_back(self._plain)
                self._plain = piece
            else:
                self._copy(piece)
            self._filled += len(piece)
            view = view[room:]

    def _copy(self, piece: memoryview) -> None:
        if not isinstance(self._plain, bytearray):
            self._plain = bytearray()
        end = self._filled + len(piece)
        if len(self._plain) < end:
            # Doubled: a whole segment's worth for a small document would be zeroed for nothing.
            self._plain += bytes(min(SEGMENT_PLAINTEXT_SIZE, max(end, 2 * len(self._plain))) - len(self._plain))
        with memoryview(self._plain) as plain:  # for a bytearray would copy what it is given once more
            plain[self._filled : end] = piece

    def _give_back(self, plain: bytearray | memoryview) -> None:
        """Keeps memory that was used, to be used again."""
        if isinstance(plain, bytearray) and plain:
            self._spare_plain.append(plain)

    def whole(self) -> bytes | None:
        """Everything that was taken in, where it is small enough to have been kept."""
        if self._kept is None:
            return None
        with memoryview(self._plain) as plain:
            return b"".join([*self._kept, plain[: self._filled]])

    async def end(self, check: Callable[[bytes], None]) -> "LastPart":
        """Hashes and encrypts what is left, and waits until every part but the last is stored.

        Args:
            check: Gets the SHA-256 of everything, and raises where it is not the right one.

        Returns:
            The last part, to be stored.

        Raises:
            InvalidArgument: The stored parts were followed by more bytes when they came, and now are not.
            ZegelError: A part could not be stored; or what ``check`` raises.
        """
        if self._index and not self._filled:
            # Each stored segment says in its nonce that it is not the last.
            raise InvalidArgument("finish.size", "more bytes were sent before", reason="SIZE_MISMATCH")
        await self._collect()
        plain = memoryview(self._plain)[: self._filled]
        vault = self._stream.vault
        await vault.compute(len(plain), self._digest.update, plain)
        digest = self._digest.digest()
        check(digest)
        part = self._part
        out = part.take(self._stream.cipher.header, len(plain))
        await vault.compute(len(plain), self._stream.cipher.encrypt_into, self._index, True, plain, out)
        part.tags += out[-TAG_SIZE:]
        await self.settle()
        await self._ledger.claim(part.number, bytes(part.tags), last=True)
        return LastPart(self._stream, part, digest)

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
        under_way: list[Awaitable[None]] = [*self._storing]
        if self._sealing is not None:
            under_way.append(self._sealing[1])
        await asyncio.gather(*under_way, return_exceptions=True)
        self._storing.clear()
        self._sealing = None

    async def _seal(self) -> None:
        """Has a full segment encrypted that is not the last."""
        await self._collect()
        plain, size = self._plain, self._filled
        self._plain, self._filled = self._spare_plain.pop() if self._spare_plain else bytearray(), 0
        if self._kept is not None:
            self._kept.append(plain)
        index, self._index = self._index, self._index + 1
        if not self._part.filled and self._spare_parts:
            self._part.memory = self._spare_parts.pop()
        cipher = self._stream.cipher
        out = self._part.take(cipher.header, size)
        work = self._stream.vault.start(size, _seal, self._digest, cipher, index, memoryview(plain)[:size], out)
        self._sealing = (plain, work)

    async def _collect(self) -> None:
        """Takes the segment that was being encrypted; has a part stored that it completes."""
        if self._sealing is None:
            return
        plain, work = self._sealing
        await asyncio.shield(work)
        self._sealing = None
        if self._kept is None:
            self._give_back(plain)
        part = self._part
        part.tags += part.last_tag()
        if len(part.tags) == PART_TAGS:
            self._part = _Part(part.number + 1)
            # Where many streams are busy, one part each keeps the store busy enough.
            await self.settle(leave=0 if self._stream.vault.crowded else STORED_AT_ONCE - 1)
            before = self._storing[-1] if self._storing else None
            self._storing.append(asyncio.create_task(self._store(part, before)))

    async def _store(self, part: "_Part", before: asyncio.Task[None] | None) -> None:
        async with self._claiming:  # one after the other, in the order of the parts
            await self._ledger.claim(part.number, bytes(part.tags), last=False)
        await part.store(self._stream)
        if not self._stream.vault.crowded and part.memory is not None:
            self._spare_parts.append(part.memory)
        if before is not None:
            await asyncio.shield(before)
        await self._ledger.note(part.number)


class LastPart:
    """The end of a stream, encrypted, claimed, and not yet stored.

    Attributes:
        digest: SHA-256 of the whole document.
        parts: How many parts the stream has, this one with them.
    """

    __slots__ = ("_part", "_stream", "digest", "parts")

    def __init__(self, stream: Stream, part: "_Part", digest: bytes) -> None:
        self._stream = stream
        self._part = part
        self.digest = digest
        self.parts = part.number + 1

    async def store(self) -> None:
        """Stores it, durably.

        Raises:
            ZegelError: It could not be stored.
        """
        await self._part.store(self._stream)


class _Part:
    """A part that is being filled with encrypted segments.

    Args:
        number: From 0.
    """

    __slots__ = ("filled", "memory", "number", "tags")

    def __init__(self, number: int) -> None:
        self.number = number
        self.memory: mmap.mmap | None = None
        self.filled = 0
        self.tags = bytearray()

    def take(self, header: bytes, size: int) -> memoryview:
        """Room for the next segment, after the stream's header where that comes first.

        Args:
            header: The stream's.
            size: Bytes of the segment in the clear.
        """
        if self.memory is None:
            # Pages of its own: they are taken as they are filled, and a disk can be given them without a copy.
            self.memory = mmap.mmap(-1, PART_SIZE)
        if not self.number and not self.filled:
            self.memory[: len(header)] = header
            self.filled = len(header)
        start = self.filled
        self.filled += size + TAG_SIZE
        return memoryview(self.memory)[start : self.filled]

    def last_tag(self) -> bytes:
        """The tag of the segment that was encrypted last."""
        return self.data[-TAG_SIZE:].tobytes()

    @property
    def data(self) -> memoryview:
        """What is in it."""
        return memoryview(self.memory or b"")[: self.filled]

    async def store(self, stream: Stream) -> None:
        """Stores it, durably.

        Args:
            stream: Whose part it is.

        Raises:
            ZegelError: It could not be stored.
        """
        try:
            await stream.vault.put(part_key(stream.prefix, self.number), self.data)
        except AlreadyExists:
            # Only what was claimed is ever stored here, so whoever wrote this is no writer of ours.
            raise offset_mismatch(whole_parts_size(self.number)) from None


def _seal(digest: "hashlib._Hash", cipher: SegmentCipher, index: int, plain: memoryview, out: memoryview) -> None:
    digest.update(plain)
    cipher.encrypt_into(index, False, plain, out)
    plain.release()
    out.release()


def _full(index: int) -> int:
    return SEGMENT_PLAINTEXT_SIZE if index else FIRST_SEGMENT_PLAINTEXT_SIZE
