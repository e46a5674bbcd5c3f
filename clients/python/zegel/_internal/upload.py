"""Uploads: chunks of up to 1 MiB with their CRC-32C, a SHA-256 of the whole, and resuming interrupted streams.

Invariants:

* One attempt at a time reads the source: gRPC iterates over requests in its own thread, and may still do so for a
  stream that was abandoned.
* Each byte is hashed once, however often it is sent.
* An upload is done only once the server has returned the document.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import google_crc32c

from zegel._internal.client_encryption import EncryptedSource
from zegel._internal.patience import Patience, cut_off
from zegel._internal.port import Port
from zegel._internal.source import Content, Source
from zegel.document.v1.document_service_pb2 import (
    Document,
    GetDocumentRequest,
    GetDocumentResponse,
    GetUploadRequest,
    GetUploadResponse,
    StartUploadRequest,
    StartUploadResponse,
    Upload,
    UploadDocumentRequest,
    UploadDocumentResponse,
    UploadSpec,
)
from zegel.errors import FailedPrecondition, NotFound, ZegelError

Progress = Callable[[int, int | None], object]
"""Called with the number of bytes sent and the total, or ``None`` if the total is unknown."""


class Attempt(Iterator[UploadDocumentRequest]):
    """The messages of one stream, from an offset to the end.

    Args:
        source: The bytes.
        upload: The upload, with its persisted size.
        progress: Called after each chunk, or ``None``.

    Attributes:
        error: What the source or the callback raised, which gRPC would swallow.
        finished: Whether the end mark was sent.
    """

    def __init__(self, source: Source | EncryptedSource, upload: Upload, progress: Progress | None) -> None:
        self.error: Exception | None = None
        self.finished = False
        self._source = source
        self._target = upload.upload_id
        self._offset = upload.persisted_size
        self._progress = progress
        self._stopped = False

    def __next__(self) -> UploadDocumentRequest:
        with self._source.lock:
            if self._stopped or self.finished:
                raise StopIteration
            try:
                return self._following()
            except Exception as error:  # noqa: BLE001 - kept for the caller; the stream then ends without `finish`
                self.error, self._stopped = error, True
        raise StopIteration

    def stop(self) -> None:
        """Ends the messages: afterwards, this attempt no longer reads the source."""
        with self._source.lock:
            self._stopped = True

    def _following(self) -> UploadDocumentRequest:
        data = self._source.read(self._offset)
        message = UploadDocumentRequest()
        if self._target:
            message.upload_id, self._target = self._target, ""
            message.wrapped_dek = self._source.wrapped_dek
        if data:
            # Field by field: assigning a whole message would copy it.
            message.chunk.offset, message.chunk.data = self._offset, data
            message.chunk.crc32c = google_crc32c.value(data)
            self._offset += len(data)
            if self._progress:
                self._progress(self._source.told(self._offset), self._source.size)
        else:
            message.finish.CopyFrom(self._source.finish(self._offset))
            self.finished = True
        return message


async def upload(port: Port, content: Content, spec: UploadSpec, progress: Progress | None) -> Document:
    """Uploads a document; see ``zegel.client.Documents.upload``."""
    source = await port.run(Source, content)
    with source:
        spec.title = spec.title or ("" if spec.document_id else source.name)
        if not spec.title and not spec.document_id:
            raise ValueError("title: needed for bytes and for a file object that has no name")
        spec.size = source.size or 0
        started = await port.unary(StartUploadRequest(spec=spec), StartUploadResponse)
        sent = EncryptedSource(source, started.upload) if spec.client_encrypted else source
        return await _send(port, sent, started.upload, progress)


async def _send(port: Port, source: Source | EncryptedSource, upload: Upload, progress: Progress | None) -> Document:
    """Sends until the document exists or the upload makes no more progress."""
    tries, finished = _Tries(source), False
    while True:
        attempt = Attempt(source, upload, progress)
        cause = await _stream(port, attempt)
        if isinstance(cause, Document):
            return cause
        finished = finished or attempt.finished
        if finished and isinstance(cause, FailedPrecondition):
            return await _stored(port, source, upload, cause)
        try:
            upload = await _stands(port, upload, tries, cause)
        except (FailedPrecondition, NotFound) as error:
            if not finished:
                raise
            return await _stored(port, source, upload, error)


class _Tries:
    """How long to continue an upload, and which error to raise on giving up.

    Args:
        source: The bytes. If it cannot seek, there is only one attempt.
    """

    def __init__(self, source: Source | EncryptedSource) -> None:
        self._seekable = source.seekable
        self._patience = Patience()
        self._told: ZegelError | None = None

    async def wait(self, port: Port, position: int, cause: ZegelError) -> None:
        """Waits before the next attempt.

        Args:
            port: How to wait.
            position: How far the upload has come, in bytes.
            cause: Why the last attempt failed.

        Raises:
            ZegelError: There is no next attempt.
        """
        broken = cut_off(cause)
        if self._told is None or cause.reason or not broken:
            self._told = cause  # a server's own error says more than a broken connection
        pause = self._patience.pause(position, cause) if broken and self._seekable else None
        if pause is None:
            raise self._told
        await port.sleep(pause)


async def _stands(port: Port, upload: Upload, tries: _Tries, cause: ZegelError) -> Upload:
    """Gets the upload's progress from the server, retrying while the server is unavailable.

    Raises:
        ZegelError: The server does not answer, or the upload cannot be continued.
    """
    while True:
        await tries.wait(port, upload.persisted_size, cause)
        try:
            return (await port.unary(GetUploadRequest(upload_id=upload.upload_id), GetUploadResponse)).upload
        except (FailedPrecondition, NotFound):
            raise
        except ZegelError as error:
            cause = error


async def _stream(port: Port, attempt: Attempt) -> Document | ZegelError:
    """Sends one stream.

    Returns:
        The document, or the error that prevented it.

    Raises:
        Exception: Raised by the source or the callback.
    """
    try:
        answer = await port.send(attempt, UploadDocumentRequest, UploadDocumentResponse)
    except ZegelError as error:
        outcome: Document | ZegelError = error
    else:
        cut_short = ZegelError("The server ended the upload before its end.")
        outcome = answer.document if answer.HasField("document") else cut_short
    finally:
        attempt.stop()
    if attempt.error is not None:
        raise attempt.error
    return outcome


async def _stored(port: Port, source: Source | EncryptedSource, upload: Upload, cause: ZegelError) -> Document:
    """Finds the document of a closed upload, whose last response may have been lost.

    Raises:
        ZegelError: The cause, if there is no such version with these bytes.
    """
    with suppress(ZegelError):
        answer = await port.unary(GetDocumentRequest(document_id=upload.document_id), GetDocumentResponse)
        for version in answer.document.versions:
            if version.version == upload.version and version.sha256 == source.sha256:
                return answer.document
    raise cause
