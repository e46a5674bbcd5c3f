"""Downloads: checks each chunk and the whole document, and resumes interrupted streams.

Invariants:

* A byte is written only after its chunk's CRC-32C and offset have been checked.
* A file given by path appears complete and checked, or not at all.
* A resumed download reads the version with which it began.
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
"""Called with the number of bytes received, and the total."""
Content = Literal["", "original", "rendition"]
"""Which of a version's contents: as uploaded, or what signers are shown; empty for the server's default."""


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Takes the next bytes.

        Args:
            data: The bytes.
        """
        ...


class NewFile:
    """A file that appears at its path only once it is complete.

    Args:
        path: Its path; an existing file is replaced. Only its owner may read it, since it may be confidential.

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
        """Flushes the file to disk, then moves it to its path.

        Raises:
            OSError: That failed.
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
    """The state of one download.

    Args:
        request: The request.
        sink: Where the bytes go.
        progress: Called after each chunk, or ``None``.
        decrypter: Decrypts the chunks if client encryption was requested.
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
            DataLoss: It is not what was announced, or was altered in transit.
        """
        match message.WhichOneof("message"):
            case "start":
                self._begin(message.start)
            case "chunk":
                self._append(message.chunk)
            case _:
                pass  # from a newer server; the bytes are still counted and checked

    def next_request(self) -> DownloadDocumentRequest:
        """The request to send: at first the caller's, later one for the rest."""
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
        """Whether every byte announced has arrived."""
        return self._start is not None and self.received == self._start.length

    def checked(self) -> DocumentVersion:
        """Checks the whole document and returns its version.

        Raises:
            DataLoss: The SHA-256 of a whole document does not match.
        """
        if self._start is None:
            raise DataLoss("The download never began.", reason="STREAM_ORDER")
        start = self._start
        whole = start.offset == 0 and start.length == start.size
        if whole and self._hash.digest() != start.sha256:
            raise DataLoss("The document's SHA-256 is not the one announced.", reason="CHECKSUM_MISMATCH")
        return start.version

    def _begin(self, start: DownloadStart) -> None:
        if self._request.content not in {DocumentContent.DOCUMENT_CONTENT_UNSPECIFIED, start.content}:
            raise DataLoss("The server sent a different content of the document than requested.", reason="STREAM_ORDER")
        if self._decrypter is not None:
            self._decrypter.begin(start)
        begun = self._start
        if begun is None:
            self._start = start
            return
        rest = (begun.offset + self.received, begun.length - self.received)
        if _what(start) != _what(begun) or (start.offset, start.length) != rest:
            raise DataLoss(
                "The resumed download does not continue the one that was interrupted.", reason="OFFSET_MISMATCH"
            )

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
    """What a download is of: two with equal values send the same bytes."""
    return start.document_id, start.version.version, start.content, start.size, start.sha256


def _checked(chunk: Chunk, wanted: range) -> bytes:
    """The bytes of a chunk, which must begin with the first one still wanted."""
    data = chunk.data
    if chunk.offset != wanted.start:
        raise DataLoss("A chunk does not follow the previous one.", reason="OFFSET_MISMATCH")
    if len(data) > len(wanted):
        raise DataLoss("The server sent more than it announced.", reason="SIZE_MISMATCH")
    if google_crc32c.value(data) != chunk.crc32c:
        raise DataLoss("A chunk was altered in transit.", reason="CHECKSUM_MISMATCH")
    return data


async def download(
    port: Port,
    request: DownloadDocumentRequest,
    to: PathLike | BinaryIO | None,
    progress: Progress | None,
    *,
    client_encrypted: bool,
) -> bytes | DocumentVersion:
    """Downloads a document; see ``zegel.client.Documents.download``."""
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
    """Receives until the download is complete or makes no more progress."""
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
        pause = patience.pause(arrival.received, cause)
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
    """Builds the request of a download.

    Args:
        document_id: Identifier of the document.
        version: Number of the version; 0 for the newest.
        offset: Where to begin; a negative value counts from the end.
        length: Maximum number of bytes; ``None`` means all that follow.
        content: Which of the version's contents.

    Raises:
        ValueError: The length is less than 1 (0 would mean "all" in the contract), or the content is not one of these.
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
