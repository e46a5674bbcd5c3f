"""Encryption and decryption of whole streams, in pieces of any size and with bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from zegel.segments._cipher import Buffer, SegmentCipher
from zegel.segments._layout import (
    DEK_SIZE,
    HEADER_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    SegmentError,
    check_index,
    full_plaintext,
)

Handle: TypeAlias = Callable[[int, bool, Buffer], bytes]
"""Processes a block: its index, whether it is the last, its bytes."""


@dataclass(slots=True)
class _Blocks:
    """Cuts a byte stream into blocks, and holds the newest back until it is known whether more follows.

    Attributes:
        size_of: The size of a full block, by its index.
        index: The number of the block that is being filled.
    """

    size_of: "Callable[[int], int]"
    index: int
    _buffer: bytearray = field(default_factory=lambda: bytearray(SEGMENT_SIZE))
    filled: int = 0

    def feed(self, data: Buffer, handle: Handle) -> list[bytes]:
        """Take in bytes, and return the result of ``handle`` for each block that is certainly not the last."""
        out: list[bytes] = []
        with memoryview(data) as given, given.cast("B") as view, memoryview(self._buffer) as buffer:
            at, end = 0, len(view)
            while at < end:
                full = self.size_of(self.index)
                if self.filled == full:
                    out.append(handle(self.index, False, buffer[:full]))
                elif not self.filled and end - at > full:
                    # The caller's buffer holds a whole block: use it without a copy.
                    out.append(handle(self.index, False, view[at : at + full]))
                    at += full
                else:
                    take = min(full - self.filled, end - at)
                    buffer[self.filled : self.filled + take] = view[at : at + take]
                    self.filled += take
                    at += take
                    continue
                self.filled = 0
                self.index += 1
        return out

    def flush(self, last: bool, handle: Handle) -> bytes:
        """Return the result of ``handle`` for the block held back, and release the buffer."""
        with memoryview(self._buffer) as buffer:
            result = handle(self.index, last, buffer[: self.filled])
        self._buffer, self.filled = bytearray(), 0
        self.index += 1
        return result


class StreamEncryptor:
    """Turns plaintext that comes in pieces of any size into segments. Holds at most one segment.

    A full segment is held back until more bytes or the end follow, since its nonce says whether it is the last.

    Args:
        cipher: The stream's cipher; the caller must write its ``header`` before the first segment.
        next_index: The first segment to make: 0, or when continuing a stream, the number of segments already stored.
            `plaintext_range` gives the offset at which the plaintext continues.
    """

    __slots__ = ("_blocks", "_cipher", "_finished")

    def __init__(self, cipher: SegmentCipher, next_index: int = 0) -> None:
        check_index(next_index)
        self._cipher = cipher
        self._blocks = _Blocks(full_plaintext, next_index)
        self._finished = False

    @property
    def next_index(self) -> int:
        """Number of the next segment, which is how many there are before it."""
        return self._blocks.index

    @property
    def pending(self) -> int:
        """Bytes of plaintext taken in that are not in a returned segment yet."""
        return self._blocks.filled

    def update(self, data: Buffer) -> list[bytes]:
        """Take in plaintext, and return the segments it completes, in order; often none.

        Raises:
            ValueError: The stream is finished, or has no room for another segment.
        """
        _refuse_finished(self._finished)
        return self._blocks.feed(data, self._cipher.encrypt)

    def finish(self) -> bytes:
        """End the stream and return its last segment.

        Raises:
            ValueError: It was finished before, or it was continued and there is nothing left for a last segment.
        """
        _refuse_finished(self._finished)
        self._finished = True
        return self._blocks.flush(True, self._cipher.encrypt)


class StreamDecryptor:
    """Turns a stream that comes in pieces of any size back into plaintext. Holds at most one segment.

    Args:
        dek: The document version's data encryption key, 32 bytes.
        aad: The associated data, as from `document_aad`.
        header: The stream's header, if already read; otherwise it is taken from the first bytes given to `update`.
        next_index: The first segment of the bytes given; above 0 only with a ``header``.

    Raises:
        ValueError: The key is not 32 bytes, or the header is missing although the stream begins in the middle.
        SegmentError: The header is not one of this format.
    """

    __slots__ = ("_aad", "_blocks", "_cipher", "_dek", "_failed", "_finished", "_header")

    def __init__(self, dek: bytes, aad: bytes, *, header: bytes | None = None, next_index: int = 0) -> None:
        check_index(next_index)
        if len(dek) != DEK_SIZE:
            msg = f"a data encryption key is {DEK_SIZE} bytes"
            raise ValueError(msg)
        if header is None and next_index:
            msg = "a stream that begins in its middle needs its header"
            raise ValueError(msg)
        self._dek, self._aad = dek, aad
        self._header = bytearray()
        self._cipher = SegmentCipher(dek, aad, header) if header is not None else None
        self._blocks = _Blocks(lambda index: full_plaintext(index) + TAG_SIZE, next_index)
        self._finished = False
        self._failed = False

    def update(self, data: Buffer) -> list[bytes]:
        """Take in ciphertext, and return the plaintext of the segments it completes, each checked; often none.

        Raises:
            ValueError: The stream is finished.
            SegmentError: A segment does not authenticate. The decryptor cannot be used any more, and what it returned
                before is incomplete.
        """
        _refuse_finished(self._finished)
        with memoryview(data) as given, given.cast("B") as view, view[self._take_header(view) :] as rest:
            return self._blocks.feed(rest, self._decrypt) if self._cipher else []

    def finish(self, *, end_of_stream: bool = True) -> bytes:
        """Return the plaintext of the segment held back.

        Args:
            end_of_stream: Whether the stream must end here. False if only a range of full segments was asked for.

        Raises:
            ValueError: It was finished before.
            SegmentError: The stream does not end here, or its last segment does not authenticate: discard all of it.
        """
        _refuse_finished(self._finished)
        self._finished = True
        return self._blocks.flush(end_of_stream, self._decrypt)

    def _take_header(self, view: memoryview) -> int:
        """Return how many of these bytes belong to the header."""
        if self._cipher:
            return 0
        missing = HEADER_SIZE - len(self._header)
        self._header += view[:missing]
        if len(self._header) == HEADER_SIZE:
            self._cipher = SegmentCipher(self._dek, self._aad, bytes(self._header))
        return min(missing, len(view))

    def _decrypt(self, index: int, last: bool, ciphertext: Buffer) -> bytes:
        if self._failed or self._cipher is None:
            msg = "the stream is damaged or has no header"
            raise SegmentError(msg)
        # Set first, so that a caller who carries on after an error gets nothing more.
        self._failed = True
        plaintext = self._cipher.decrypt(index, last, ciphertext)
        self._failed = False
        return plaintext


def _refuse_finished(finished: bool) -> None:
    if finished:
        msg = "the stream is finished"
        raise ValueError(msg)
