"""Documents down: each chunk checked, the whole checked, and going on where a stream was cut off.

Invariants:

* A byte is written only after its chunk's crc32c was found right and its offset to be the next.
* A file at a path appears whole and checked, or not at all.
* A download that goes on reads the version with which it began.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, get_args

import google_crc32c

from zegel._internal.channel import PathLike
from zegel._internal.client_encryption import Decrypter
from zegel._internal.patience import Patience, cut_off
from zegel._internal.port import Port
from zegel.document.v1.document_service_pb2 import (
    Chunk,
    DocumentContent,
    DocumentVersion,
    DownloadDocumentRequest,
    DownloadDocumentResponse,
    DownloadStart,
)
from zegel.errors import DataLoss, ZegelError

Progress = Callable[[int, int], object]
"""Told how many bytes have come, and how many there will be."""
Content = Literal["", "original", "rendition"]
"""Which of a version's contents: as uploaded, as signers are shown it; empty for what the caller is meant to read."""


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Takes the next bytes.

        Args:
            data: The bytes.
        """
        ...


class NewFile:
    """A file that appears at its path only when it is whole.

    Args:
        path: Where it is to be; what is there is replaced. Only its owner may read it, as it is somebody's contract.

    Raises:
        OSError: The folder cannot be written to.
    """

    def __init__(self, path: PathLike) -> None:
        self._path: Final = Path(path)
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".part", dir=self._path.parent)
        self._part: Final = Path(name)
        self._file: Final = os.fdopen(handle, "wb")

    def write(self, data: bytes | memoryview) -> None:
        """Takes the next bytes.

        Args:
            data: The bytes.

        Raises:
            OSError: They cannot be written.
        """
        self._file.write(data)

    def keep(self) -> None:
        """Puts the file at its path, after its bytes are on the disk.

        Raises:
            OSError: It cannot be done.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        """Removes what was written, unless the file was kept."""
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


class Arrival:
    """What has come so far of one download.

    Args:
        request: What was asked for.
        sink: Where the bytes go.
        progress: Told after each chunk, or ``None``.
        decrypter: Decrypts the chunks, where they are to come client-encrypted.
    """

    def __init__(
        self,
        request: DownloadDocumentRequest,
        sink: Sink,
        progress: Progress | None,
        decrypter: Decrypter | None = None,
    ) -> None:
        self._request: Final = request
        self._sink: Final = sink
        self._progress: Final = progress
        self._decrypter: Final = decrypter
        self._start: DownloadStart | None = None
        self._hash: Final = hashlib.sha256()
        self.received = 0

    def take(self, message: DownloadDocumentResponse) -> None:
        """Takes one message.

        Args:
            message: The message.

        Raises:
            DataLoss: It is not what was announced, or not what was sent.
        """
        match message.WhichOneof("message"):
            case "start":
                self._begin(message.start)
            case "chunk":
                self._append(message.chunk)
            case _:
                pass  # of a newer server; what is needed is still counted and checked

    def next_request(self) -> DownloadDocumentRequest:
        """What to ask for: at first what the caller did, later the rest of it."""
        start = self._start
        if start is None:
            return self._request
        return DownloadDocumentRequest(
            document_id=start.document_id,
            version=start.version.version,
            read_offset=start.offset + self.received,
            read_limit=start.length - self.received,
            client_public_key=self._request.client_public_key,
            content=start.content,
        )

    @property
    def complete(self) -> bool:
        """Whether every byte announced has come."""
        return self._start is not None and self.received == self._start.length

    def checked(self) -> DocumentVersion:
        """The version that came, after the check of the whole.

        Raises:
            DataLoss: The SHA-256 of a whole document is another.
        """
        if self._start is None:
            raise DataLoss("The download never began.", reason="STREAM_ORDER")
        start = self._start
        whole = start.offset == 0 and start.length == start.size
        if whole and self._hash.digest() != start.sha256:
            raise DataLoss("The document's SHA-256 is another than announced.", reason="CHECKSUM_MISMATCH")
        return start.version

    def _begin(self, start: DownloadStart) -> None:
        if self._request.content not in {DocumentContent.DOCUMENT_CONTENT_UNSPECIFIED, start.content}:
            raise DataLoss("Another content of the document comes than was asked for.", reason="STREAM_ORDER")
        if self._decrypter is not None:
            self._decrypter.begin(start)
        begun = self._start
        if begun is None:
            self._start = start
            return
        rest = (begun.offset + self.received, begun.length - self.received)
        if _what(start) != _what(begun) or (start.offset, start.length) != rest:
            raise DataLoss("The download went on with other bytes than it began with.", reason="OFFSET_MISMATCH")

    def _append(self, chunk: Chunk) -> None:
        start = self._start
        if start is None:
            raise DataLoss("A chunk came before the start.", reason="STREAM_ORDER")
        wanted = range(start.offset + self.received, start.offset + start.length)
        data = self._decrypter.open(chunk, wanted) if self._decrypter else _checked(chunk, wanted)
        self._sink.write(data)
        self._hash.update(data)
        self.received += len(data)
        if self._progress:
            self._progress(self.received, start.length)


def _what(start: DownloadStart) -> tuple[object, ...]:
    """Which bytes a download is of."""
    return start.document_id, start.version.version, start.content, start.size, start.sha256


def _checked(chunk: Chunk, wanted: range) -> bytes:
    """The bytes of a chunk that must be the first of those that are still wanted."""
    data = chunk.data
    if chunk.offset != wanted.start:
        raise DataLoss("A chunk does not follow the one before.", reason="OFFSET_MISMATCH")
    if len(data) > len(wanted):
        raise DataLoss("More came than was announced.", reason="SIZE_MISMATCH")
    if google_crc32c.value(data) != chunk.crc32c:
        raise DataLoss("A chunk was altered on its way.", reason="CHECKSUM_MISMATCH")
    return data


async def download(
    port: Port,
    request: DownloadDocumentRequest,
    to: PathLike | BinaryIO | None,
    progress: Progress | None,
    *,
    client_encrypted: bool,
) -> bytes | DocumentVersion:
    """Fetches a document; see ``zegel.client.Documents.download``."""
    decrypter = None
    if client_encrypted:
        decrypter = Decrypter()
        request.client_public_key = decrypter.public_key
    if to is None:
        memory = io.BytesIO()
        await _receive(port, Arrival(request, memory, progress, decrypter))
        return memory.getvalue()
    if not isinstance(to, str | os.PathLike):
        return await _receive(port, Arrival(request, to, progress, decrypter))
    file = await port.run(NewFile, to)
    try:
        version = await _receive(port, Arrival(request, file, progress, decrypter))
        await port.run(file.keep)
    finally:
        file.discard()
    return version


async def _receive(port: Port, arrival: Arrival) -> DocumentVersion:
    """Receives until all is there, or nothing moves any more."""
    patience = Patience()
    while True:
        cause = ZegelError("The server ended the download before its end.")
        try:
            async with aclosing(port.receive(arrival.next_request(), DownloadDocumentResponse)) as messages:
                async for message in messages:
                    await port.run(arrival.take, message)
        except ZegelError as error:
            if not cut_off(error):
                raise
            cause = error
        if arrival.complete:
            return await port.run(arrival.checked)
        pause = patience.pause(arrival.received)
        if pause is None:
            raise cause
        await port.sleep(pause)


def download_request(
    document_id: str,
    version: int,
    offset: int,
    length: int | None,
    content: Content = "",
) -> DownloadDocumentRequest:
    """The request of a download.

    Args:
        document_id: Identifier of the document.
        version: Number of the version; 0 for the newest.
        offset: Where to begin; from the end where negative.
        length: The most bytes to read; ``None`` for all that follow.
        content: Which of the version's contents.

    Raises:
        ValueError: The length is less than 1: the contract reads 0 as "all"; or the content is none of these.
    """
    if length is not None and length < 1:
        raise ValueError("length: at least 1 byte, or None for all that follow")
    if content not in get_args(Content):
        raise ValueError("content: original or rendition, or left out")
    return DownloadDocumentRequest(
        document_id=document_id,
        version=version,
        read_offset=offset,
        read_limit=length or 0,
        content=DocumentContent.Value(f"DOCUMENT_CONTENT_{content.upper() or 'UNSPECIFIED'}"),
    )
