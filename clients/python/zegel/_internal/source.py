"""The content of an upload: bytes, a file or a stream, read and hashed chunk by chunk.

Invariant: each byte is hashed once, however often it is read.
"""

import hashlib
import io
import os
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Self, cast

from zegel._internal.channel import PathLike
from zegel._internal.printable import printable
from zegel.document.v1.document_service_pb2 import FinishUpload
from zegel.segments import MAX_PLAINTEXT_SIZE, locate, plaintext_range

CHUNK_BYTES: Final = 1024 * 1024
"""Bytes read at a time: the largest chunk that a server accepts."""

Content = bytes | bytearray | memoryview | PathLike | BinaryIO
"""What can be sent: bytes, the path of a file, or a file object open for reading bytes."""


class Source:
    """The bytes to send.

    Args:
        content: What to send. A file object is read from its current position, and left open.

    Attributes:
        size: Number of bytes; ``None`` if unknown.
        seekable: Whether bytes can be read again.
        wrapped_dek: Empty: no client encryption.
        name: The file's name; empty if it has none.

    Raises:
        OSError: The file cannot be opened.
        TypeError: The file object reads text.
    """

    wrapped_dek: Final = b""

    def __init__(self, content: Content) -> None:
        self.name = ""
        self._owned = True
        if isinstance(content, bytes | bytearray | memoryview):
            self._file: BinaryIO = io.BytesIO(content)
        elif isinstance(content, str | os.PathLike):
            self._file = Path(content).open("rb")  # noqa: SIM115 - closed with the source
            self.name = printable(Path(content).name)
        else:
            if isinstance(cast("object", content), io.TextIOBase):  # whatever its type says
                raise TypeError("the file object reads text; open it with mode 'rb'")
            self._file, self._owned = content, False
            name = getattr(content, "name", "")
            self.name = printable(Path(name).name) if isinstance(name, str) else ""
        self.lock: Final = Lock()
        self.seekable = self._file.seekable()
        self._start = self._file.tell() if self.seekable else 0
        self.size = self._file.seek(0, os.SEEK_END) - self._start if self.seekable else None
        self._at = -1 if self.seekable else 0  # current position, relative to the start; -1 if unknown
        self._hash = hashlib.sha256()
        self._hashed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            with self.lock:
                self._file.close()

    def read(self, offset: int) -> bytes:
        """The next chunk.

        Args:
            offset: Where it begins. If the source cannot seek, this must be where the previous one ended.

        Returns:
            A whole chunk, or what is left; empty at the end.

        Raises:
            OSError: The file cannot be read, or cannot be read from there.
        """
        if offset > self._hashed:
            self._skip_to(offset)
        self._seek(offset)
        # To the end of a segment, which a server can then encrypt in place.
        data = self._read(plaintext_range(locate(offset).index, MAX_PLAINTEXT_SIZE).stop - offset)
        fresh = offset + len(data) - self._hashed
        if fresh > 0:
            self._hash.update(memoryview(data)[len(data) - fresh :])
            self._hashed += fresh
        return data

    def finish(self, size: int) -> FinishUpload:
        """The end mark in the last message.

        Args:
            size: Number of bytes sent.
        """
        return FinishUpload(size=size, sha256=self._hash.digest())

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the bytes read so far."""
        return self._hash.digest()

    def told(self, offset: int) -> int:
        """Number of bytes to report as progress.

        Args:
            offset: Number of bytes sent.
        """
        return offset

    def _skip_to(self, offset: int) -> None:
        """Hashes bytes that a server has from an earlier attempt."""
        self._seek(self._hashed)
        while self._hashed < offset:
            data = self._read(min(CHUNK_BYTES, offset - self._hashed))
            if not data:
                raise OSError("the file is shorter than what was sent of it before")
            self._hash.update(data)
            self._hashed += len(data)

    def _seek(self, offset: int) -> None:
        if offset == self._at:
            return
        if not self.seekable:
            raise OSError("the source cannot be read again")
        self._file.seek(self._start + offset)
        self._at = offset

    def _read(self, size: int) -> bytes:
        """Reads until it has enough or reaches the end: a raw file may return less than requested."""
        parts, missing = [], size
        while missing and (data := self._file.read(missing)):
            parts.append(data)
            missing -= len(data)
            self._at += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)
