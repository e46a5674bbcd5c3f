"""Encrypts and stores a stream while it comes in: receiving, encrypting and storing overlap, each one step ahead.

While part N is stored, segments of part N+1 are encrypted, and the next one is received. Memory is bounded: a segment
in the clear being filled and one being encrypted, the encrypted segments of one part, and one part being stored.

Invariants:

* A part is stored only after its segments' tags were claimed for its place (see ``Ledger.claim``): a nonce is never
  spent on other bytes than those first claimed, whoever writes, and whoever died before.
* Parts are stored in order, and each is noted before the next is stored.
* The last segment is encrypted only when the SHA-256 of everything was found right.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_PLAINTEXT_SIZE, TAG_SIZE, SegmentCipher
from zegel_server.documents.model import offset_mismatch
from zegel_server.documents.parts import PART_SEGMENTS, part_key, whole_parts_size
from zegel_server.documents.vault import Stream
from zegel_server.errors import AlreadyExists, InvalidArgument

KEPT: Final = 4 << 20
"""Bytes of a document kept in the clear until its end, to be looked into without being read back: most are smaller."""


class Ledger(Protocol):
    """Where it is noted how far a stream has come."""

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """Binds a part to its bytes before they are stored.

        Args:
            part: Number from 0.
            tags: The tags of its segments, which no other bytes have.
            last: Whether the stream ends with it.

        Raises:
            Aborted: Another writer has come further (``OFFSET_MISMATCH``).
            InvalidArgument: Other bytes were claimed for it before (``RESENT_BYTES_DIFFER``).
            FailedPrecondition: The upload is closed.
        """
        ...

    async def note(self, part: int, next_tags: bytes) -> None:
        """Notes that a part is stored.

        Args:
            part: Number from 0.
            next_tags: Where the part after it is ready: its tags, claimed at once.

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
        self._part = parts
        self._claimed = -1
        self._index = parts * PART_SEGMENTS
        self._plain = bytearray()
        self._kept: list[bytearray] | None = None if parts else []
        self._sealing: Awaitable[bytes] | None = None
        self._segments: list[bytes] = []
        self._upcoming = b""
        self._storing: asyncio.Task[None] | None = None
        self.size = whole_parts_size(parts)
        """Bytes taken in, with those that were stored before."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes bytes in; waits where storing does not keep up.

        Args:
            data: The bytes that follow.

        Raises:
            ZegelError: What was taken in before could not be stored.
        """
        view = memoryview(data)
        self.size += len(view)
        if self._kept is not None and self.size > KEPT:
            self._kept = None
        while view:
            room = _full(self._index) - len(self._plain)
            if not room:
                await self._seal()
                continue
            self._plain += view[:room]
            view = view[room:]

    def whole(self) -> bytes | None:
        """Everything that was taken in, where it is small enough to have been kept."""
        return None if self._kept is None else b"".join([*self._kept, self._plain])

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
        if self._index and not self._plain:
            # Each stored segment says in its nonce that it is not the last.
            raise InvalidArgument("finish.size", "more bytes were sent before", reason="SIZE_MISMATCH")
        await self._collect()
        vault = self._stream.vault
        await vault.compute(len(self._plain), self._digest.update, self._plain)
        digest = self._digest.digest()
        check(digest)
        sealed = await vault.compute(len(self._plain), self._stream.cipher.encrypt, self._index, True, self._plain)
        await self.settle()
        segments, self._segments = [*self._segments, sealed], []
        return LastPart(
            self._stream, self._ledger, self._part, segments, claimed=self._claimed == self._part, digest=digest
        )

    async def settle(self) -> None:
        """Waits for the part that is being stored.

        Raises:
            ZegelError: It could not be stored.
        """
        if self._storing is not None:
            # Shielded: a caller that is cancelled here does not take the part with it.
            await asyncio.shield(self._storing)
            self._storing = None

    async def abandon(self) -> None:
        """Leaves the stream as far as it has come: what is being stored is stored and noted still."""
        storing, self._storing = self._storing, None
        sealing, self._sealing = self._sealing, None
        with suppress(Exception):
            if sealing is not None:
                await sealing
        with suppress(Exception):
            if storing is not None:
                await storing

    async def _seal(self) -> None:
        """Has a full segment encrypted that is not the last."""
        plain, self._plain = self._plain, bytearray()
        if self._kept is not None:
            self._kept.append(plain)
        await self._collect()
        index, self._index = self._index, self._index + 1
        self._sealing = self._stream.vault.start(len(plain), _seal, self._digest, self._stream.cipher, index, plain)

    async def _collect(self) -> None:
        """Takes the segment that was being encrypted; has a part stored that it completes."""
        sealing, self._sealing = self._sealing, None
        if sealing is None:
            return
        self._segments.append(await sealing)
        if len(self._segments) == PART_SEGMENTS:
            segments, self._segments = self._segments, []
            part, self._part = self._part, self._part + 1
            self._upcoming = _tags(segments)
            await self.settle()
            self._upcoming = b""
            self._storing = asyncio.create_task(self._store(part, segments))

    async def _store(self, part: int, segments: list[bytes]) -> None:
        if self._claimed != part:
            await self._ledger.claim(part, _tags(segments), last=False)
        await _put(self._stream, part, segments)
        upcoming = self._upcoming
        await self._ledger.note(part, upcoming)
        if upcoming:
            self._claimed = part + 1


class LastPart:
    """The end of a stream, encrypted and not yet stored.

    Attributes:
        digest: SHA-256 of the whole document.
        parts: How many parts the stream has, this one with them.
    """

    __slots__ = ("_claimed", "_ledger", "_part", "_segments", "_stream", "digest", "parts")

    def __init__(
        self, stream: Stream, ledger: Ledger, part: int, segments: list[bytes], *, claimed: bool, digest: bytes
    ) -> None:
        self._stream = stream
        self._ledger = ledger
        self._part = part
        self._segments = segments
        self._claimed = claimed
        self.digest = digest
        self.parts = part + 1

    async def store(self) -> None:
        """Stores it, durably.

        Raises:
            ZegelError: It could not be stored.
        """
        if not self._claimed:
            await self._ledger.claim(self._part, _tags(self._segments), last=True)
        await _put(self._stream, self._part, self._segments)


async def _put(stream: Stream, part: int, segments: list[bytes]) -> None:
    pieces = segments if part else [stream.cipher.header, *segments]
    data = await stream.vault.compute(sum(map(len, pieces)), b"".join, pieces)
    segments.clear()
    try:
        await stream.vault.put(part_key(stream.prefix, part), data)
    except AlreadyExists:
        # Only what was claimed is ever stored here, so whoever wrote this is no writer of ours.
        raise offset_mismatch(whole_parts_size(part)) from None


def _seal(digest: "hashlib._Hash", cipher: SegmentCipher, index: int, plain: bytearray) -> bytes:
    digest.update(plain)
    return cipher.encrypt(index, False, plain)


def _tags(segments: list[bytes]) -> bytes:
    return b"".join(segment[-TAG_SIZE:] for segment in segments)


def _full(index: int) -> int:
    return SEGMENT_PLAINTEXT_SIZE if index else FIRST_SEGMENT_PLAINTEXT_SIZE
