"""Documents of any size in constant memory: repeating bytes, cut into pieces as a stored document is."""

import hashlib
import io
import os
import random
from typing import Final

import google_crc32c

from zegel.segments import HEADER_SIZE, SEGMENT_PLAINTEXT_SIZE

MIB: Final = 1 << 20
SEGMENTS: Final = 16
"""Number of segments before the bytes repeat: larger than any processor cache."""


class Content:
    """The bytes of the documents, and the pieces in which a server sends them.

    The first segment begins as a PDF does. Each segment has the same bytes as the one `SEGMENTS` before it.
    """

    def __init__(self) -> None:
        block = bytearray(random.Random(3).randbytes(SEGMENTS * SEGMENT_PLAINTEXT_SIZE))  # noqa: S311 - no secret
        block[HEADER_SIZE : HEADER_SIZE + 9] = b"%PDF-1.7\n"
        self.block: Final = bytes(block)
        self._crcs: Final[dict[tuple[int, int], tuple[bytes, int]]] = {}

    def at(self, offset: int, size: int) -> bytes:
        """Returns a range of the bytes.

        Args:
            offset: Offset of the first byte.
            size: Maximum number of bytes; fewer are returned at the end of the block.
        """
        start = (offset + HEADER_SIZE) % len(self.block)
        return self.block[start : start + size]

    def piece(self, offset: int, size: int) -> tuple[bytes, int]:
        """Returns a range with its crc32c, from a cache of both, so that a floor computes nothing.

        Args:
            offset: Offset of the first byte.
            size: Number of bytes.
        """
        key = ((offset + HEADER_SIZE) % len(self.block), size)
        found = self._crcs.get(key)
        if found is None:
            data = self.at(offset, size)
            found = self._crcs[key] = (data, google_crc32c.value(data))
        return found

    def sha256(self, size: int) -> bytes:
        """Returns the SHA-256 of a document of the given size.

        Args:
            size: Size in bytes.
        """
        digest = hashlib.sha256()
        at = 0
        while at < size:
            data = self.at(at, min(len(self.block), size - at))
            digest.update(data)
            at += len(data)
        return digest.digest()


class Reader(io.RawIOBase):
    """A document as a file.

    Args:
        content: The bytes.
        size: Number of bytes.
    """

    def __init__(self, content: Content, size: int) -> None:
        self._content = content
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Returns the position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes."""
        left = self._size - self._at
        data = self._content.at(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data


class Discard:
    """Discards what is written to it, and counts the bytes."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Counts bytes."""
        self.size += len(data)
