"""Encrypts an incoming stream; receiving, encrypting and storing overlap.

While parts are stored, segments of the next one are encrypted, and a further one is received. Memory is bounded: one
plaintext segment being filled, `AHEAD` waiting and one being encrypted, the encrypted segments of one part, and
`part_writer.STORED_AT_ONCE` parts being stored.

Invariants:

* Those of ``part_writer`` about parts.
* The last segment is encrypted only once the SHA-256 of the whole document was found right.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_PLAINTEXT_SIZE, TAG_SIZE, SegmentCipher
from zegel_server.documents.part_writer import LastPart, PartWriter, Progress
from zegel_server.documents.parts import PART_SEGMENTS, whole_parts_size
from zegel_server.documents.streams import Stream
from zegel_server.errors import InvalidArgument

KEPT: Final = 4 << 20
"""Bytes of plaintext kept in memory to the end, so that most documents can be inspected without being read back."""


AHEAD: Final = 1
"""Full segments that may wait while one is encrypted, so that the loop can go on receiving."""


class StreamWriter:
    """Accepts the plaintext of a stream in pieces of any size, and encrypts it.

    Args:
        stream: Where it goes.
        progress: Records which parts are stored.
        parts: How many whole parts are already stored.
        digest: SHA-256 of what they hold.
    """

    def __init__(
        self, stream: Stream, progress: Progress, *, parts: int = 0, digest: "hashlib._Hash | None" = None
    ) -> None:
        self._stream = stream
        self._digest = digest or hashlib.sha256()
        self._index = parts * PART_SEGMENTS
        self._plain: bytearray | memoryview = bytearray()
        self._filled = 0
        self._kept: list[memoryview] | None = None if parts else []
        self._line = stream.part_store.line()
        self._part_writer = PartWriter(stream.part_store, stream.prefix, progress, parts)
        # Buffers to reuse: allocating a MiB costs more than encrypting it.
        self._spare_plain: list[bytearray] = []
        self._lent: deque[tuple[int, bytearray]] = deque()
        self.size = whole_parts_size(parts)
        """Bytes received, including those stored before."""

    async def write(self, data: bytes | memoryview) -> None:
        """Accepts bytes; waits while storage is behind.

        Args:
            data: The bytes that follow; the caller must not change them later, since whole segments are not copied.

        Raises:
            ZegelError: Bytes accepted earlier could not be stored.
        """
        view = memoryview(data)
        self.size += len(view)
        if self._kept is not None and self.size > KEPT:
            self._kept = None
        while view:
            room = _full(self._index) - self._filled
            if not room:
                await self._encrypt()
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
            # Doubled, since zeroing a whole segment would be wasted on a small document.
            self._plain += bytes(min(SEGMENT_PLAINTEXT_SIZE, max(end, 2 * len(self._plain))) - len(self._plain))
        with memoryview(self._plain) as plain:  # assigning to the bytearray itself would copy once more
            plain[self._filled : end] = piece

    def _give_back(self, plain: bytearray | memoryview) -> None:
        """Keeps a buffer for reuse."""
        if isinstance(plain, bytearray) and plain:
            self._spare_plain.append(plain)

    def whole(self) -> bytes | None:
        """The whole document if it was small enough to be kept in memory."""
        if self._kept is None:
            return None
        with memoryview(self._plain) as plain:
            return b"".join([*self._kept, plain[: self._filled]])

    async def end(self, check: Callable[[bytes], None]) -> "LastPart":
        """Hashes and encrypts what is left, and waits until every part but the last is stored.

        Args:
            check: Called with the SHA-256 of the whole document; raises if it is wrong.

        Returns:
            The last part, to be stored.

        Raises:
            InvalidArgument: This stream ends at a part boundary past which an earlier stream had sent more.
            ZegelError: A part could not be stored; or what ``check`` raises.
        """
        if self._index and not self._filled:
            # The nonce of each stored segment says that it is not the last.
            raise InvalidArgument("finish.size", "more bytes were sent before", reason="SIZE_MISMATCH")
        await self._line.reach(self._line.given)
        plain = memoryview(self._plain)[: self._filled]
        part_store = self._stream.part_store
        await part_store.compute(len(plain), self._digest.update, plain)
        digest = self._digest.digest()
        check(digest)
        out = self._room(len(plain))
        await part_store.compute(len(plain), self._stream.cipher.encrypt_into, self._index, True, plain, out)
        await self._part_writer.claim_last()
        return LastPart(self._part_writer, digest)

    async def settle(self) -> None:
        """Waits for the parts that are being stored.

        Raises:
            ZegelError: One could not be stored.
        """
        await self._part_writer.settle()

    async def abandon(self) -> None:
        """Stops writing. Parts already on their way are still stored and recorded, so the upload can be resumed."""
        with suppress(Exception):  # ``write`` has raised it already
            await self._line.reach(self._line.given)
        await self._part_writer.abandon()

    def _room(self, size: int) -> memoryview:
        """Reserves space for the next encrypted segment, after the stream's header if it is the first."""
        part = self._part_writer.part
        if not part.number and not part.filled:
            header = self._stream.cipher.header
            part.take(len(header))[:] = header
        return part.take(size + TAG_SIZE)

    async def _encrypt(self) -> None:
        """Encrypts a full segment that is not the last, and stores the part if that completes it."""
        line, part_writer = self._line, self._part_writer
        await line.reach(line.given - AHEAD)
        while self._lent and self._lent[0][0] <= line.done:
            self._give_back(self._lent.popleft()[1])
        plain, size = self._plain, self._filled
        self._plain, self._filled = self._spare_plain.pop() if self._spare_plain else bytearray(), 0
        index, self._index = self._index, self._index + 1
        out = self._room(size)
        line.put(partial(_encrypt, self._digest, self._stream.cipher, index, memoryview(plain)[:size], out))
        if self._kept is not None:
            self._kept.append(memoryview(plain)[:size])
        elif isinstance(plain, bytearray):
            self._lent.append((line.given, plain))
        if not part_writer.part.room:
            await part_writer.next(partial(line.reach, line.given))


class _NoProgress:
    """For a stream that a single call writes: it is never resumed."""

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """See ``part_writer.Progress``."""

    async def note(self, part: int) -> None:
        """See ``part_writer.Progress``."""


async def write_whole(stream: Stream, data: bytes) -> bytes:
    """Writes a stream whole, durably.

    Args:
        stream: A new stream, with no segment encrypted yet.
        data: All of it.

    Returns:
        Its SHA-256.

    Raises:
        ResourceExhausted: The blob store is full.
        Unavailable: It does not answer.
    """
    writer = StreamWriter(stream, _NoProgress())
    try:
        await writer.write(data)
        last = await writer.end(lambda _digest: None)
        await last.store()
    finally:
        await writer.abandon()
    return last.digest


def _encrypt(digest: "hashlib._Hash", cipher: SegmentCipher, index: int, plain: memoryview, out: memoryview) -> None:
    digest.update(plain)
    cipher.encrypt_into(index, False, plain, out)
    plain.release()
    out.release()


def _full(index: int) -> int:
    return SEGMENT_PLAINTEXT_SIZE if index else FIRST_SEGMENT_PLAINTEXT_SIZE
