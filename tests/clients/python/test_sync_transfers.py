"""The synchronous client's documents against a played server: streams that break mid-way, on either side."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import google_crc32c
import grpc
import pytest

import zegel
from support.played_server import PATIENCE_S, PlayedServer, Taken, in_thread
from zegel._internal import contract, patience
from zegel._internal.ports import SyncPort
from zegel.document.v1 import document_service_pb2 as document

DATA = bytes(range(256)) * 40
CHUNK = 4_000
DOWNLOAD = "DocumentService.DownloadDocument"
UPLOAD = "DocumentService.UploadDocument"
BROKEN = [
    (grpc.StatusCode.UNAVAILABLE, ""),
    (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"),
    (grpc.StatusCode.INTERNAL, ""),
    (grpc.StatusCode.UNKNOWN, ""),
]
"""With what a stream is cut off, rather than refused."""
REFUSED = [
    (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    (grpc.StatusCode.INTERNAL, "INTERNAL"),
    (grpc.StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH"),
    (grpc.StatusCode.DEADLINE_EXCEEDED, ""),
]


@pytest.fixture
def server() -> PlayedServer:
    return PlayedServer()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The pauses between tries, in seconds; nobody waits for them."""
    waited: list[float] = []

    async def sleep(_port: SyncPort, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(SyncPort, "sleep", sleep)
    yield waited
    for number, each in enumerate(waited):
        assert 0 < each <= min(patience.LONGEST_PAUSE_S, patience.FIRST_PAUSE_S * 2**number)


# ---------------------------------------------------------------------------------------------------------- downloads


def start(offset: int = 0, data: bytes = DATA) -> document.DownloadDocumentResponse:
    return document.DownloadDocumentResponse(
        start=document.DownloadStart(
            document_id="doc_1",
            version=document.DocumentVersion(version=3),
            content=document.DocumentContent.DOCUMENT_CONTENT_ORIGINAL,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            offset=offset,
            length=len(data) - offset,
        )
    )


def chunk(offset: int, data: bytes = DATA) -> document.DownloadDocumentResponse:
    part = data[offset : offset + CHUNK]
    return document.DownloadDocumentResponse(
        chunk=document.Chunk(offset=offset, data=part, crc32c=google_crc32c.value(part))
    )


def send_from(call: Taken, offset: int) -> None:
    call.rpc.send_response(start(offset))
    for each in range(offset, len(DATA), CHUNK):
        call.rpc.send_response(chunk(each))
    call.end()


@pytest.mark.parametrize(("code", "reason"), BROKEN)
def test_a_download_that_breaks_goes_on_from_there_with_its_version(
    server: PlayedServer, pauses: list[float], code: grpc.StatusCode, reason: str
) -> None:
    came: Queue[int] = Queue()
    got = in_thread(lambda: server.client().documents.download("doc_1", progress=lambda done, _all: came.put(done)))
    call = server.take(DOWNLOAD)
    assert (call.request.version, call.request.read_offset) == (0, 0)
    call.rpc.send_response(start())
    call.rpc.send_response(chunk(0))
    assert came.get(timeout=PATIENCE_S) == CHUNK
    call.break_off(code, reason)
    call = server.take(DOWNLOAD)
    assert (call.request.document_id, call.request.version) == ("doc_1", 3)
    assert (call.request.read_offset, call.request.read_limit) == (CHUNK, len(DATA) - CHUNK)
    send_from(call, CHUNK)
    assert got.result(PATIENCE_S) == DATA
    assert len(pauses) == 1
    assert server.timeouts == [contract.STREAM_TIMEOUT_S] * 2


def test_a_download_that_ends_too_early_goes_on(server: PlayedServer) -> None:
    got = in_thread(lambda: server.client().documents.download("doc_1"))
    call = server.take(DOWNLOAD)
    call.rpc.send_response(start())
    call.end()
    send_from(server.take(DOWNLOAD), 0)
    assert got.result(PATIENCE_S) == DATA


@pytest.mark.parametrize(("code", "reason"), REFUSED)
def test_a_download_that_is_refused_mid_way_is_not_tried_again_and_leaves_no_file(
    server: PlayedServer, tmp_path: Path, pauses: list[float], code: grpc.StatusCode, reason: str
) -> None:
    came, path = Event(), tmp_path / "out.pdf"
    documents = server.client().documents
    failed = in_thread(lambda: documents.download("doc_1", to=path, progress=lambda _done, _all: came.set()))
    call = server.take(DOWNLOAD)
    call.rpc.send_response(start())
    call.rpc.send_response(chunk(0))
    assert came.wait(PATIENCE_S)
    call.break_off(code, reason)
    error = failed.exception(PATIENCE_S)
    assert isinstance(error, zegel.ZegelError)
    assert (error.code, error.reason) == (code, reason)
    assert (len(server.timeouts), pauses, list(tmp_path.iterdir())) == (1, [], [])


def test_a_download_that_moves_nothing_is_given_up_with_its_last_cause(
    server: PlayedServer, pauses: list[float]
) -> None:
    failed = in_thread(lambda: server.client().documents.download("doc_1"))
    for _try in range(patience.MAX_TRIES):
        server.take(DOWNLOAD).break_off(grpc.StatusCode.UNAVAILABLE)
    assert isinstance(failed.exception(PATIENCE_S), zegel.Unavailable)
    assert len(pauses) == patience.MAX_TRIES - 1


def altered_crc() -> document.DownloadDocumentResponse:
    message = chunk(0)
    message.chunk.crc32c ^= 1
    return message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (altered_crc(), "CHECKSUM_MISMATCH"),
        (chunk(CHUNK), "OFFSET_MISMATCH"),
        (start(data=DATA[:-1] + b"x"), "OFFSET_MISMATCH"),
    ],
)
def test_what_cannot_be_right_ends_the_download_and_cancels_the_stream(
    server: PlayedServer, message: Any, reason: str
) -> None:
    failed = in_thread(lambda: server.client().documents.download("doc_1"))
    call = server.take(DOWNLOAD)
    call.rpc.send_response(start())
    call.rpc.send_response(message)
    error = failed.exception(PATIENCE_S)
    assert isinstance(error, zegel.DataLoss)
    assert error.reason == reason
    call.rpc.cancelled()  # raises where it ended otherwise


def test_an_error_of_the_progress_callback_comes_out_and_cancels_the_stream(server: PlayedServer) -> None:
    def progress(_done: int, _all: int) -> None:
        raise ZeroDivisionError

    failed = in_thread(lambda: server.client().documents.download("doc_1", progress=progress))
    call = server.take(DOWNLOAD)
    call.rpc.send_response(start())
    call.rpc.send_response(chunk(0))
    assert isinstance(failed.exception(PATIENCE_S), ZeroDivisionError)
    call.rpc.cancelled()


# ------------------------------------------------------------------------------------------------------------ uploads

LARGE = bytes(range(256)) * 12_000
"""Of three chunks."""
STORED = document.Document(
    document_id="doc_1",
    versions=[document.DocumentVersion(version=1, sha256=hashlib.sha256(LARGE).digest(), size=len(LARGE))],
)


def begin(server: PlayedServer) -> None:
    call = server.take("DocumentService.StartUpload")
    assert call.request.spec.size == len(LARGE)
    call.answer(document.StartUploadResponse(upload=document.Upload(upload_id="upl_1", document_id="doc_1", version=1)))


def stands_at(server: PlayedServer, size: int) -> None:
    call = server.take("DocumentService.GetUpload")
    assert call.request.upload_id == "upl_1"
    call.answer(
        document.GetUploadResponse(
            upload=document.Upload(upload_id="upl_1", document_id="doc_1", version=1, persisted_size=size)
        )
    )


def everything_from(call: Taken, offset: int) -> bytes:
    """The bytes of a stream to its end mark, each chunk checked."""
    first = call.received()
    assert first.upload_id == "upl_1"
    received = b""
    message = first
    while not message.HasField("finish"):
        assert message.chunk.offset == offset + len(received)
        assert message.chunk.crc32c == google_crc32c.value(message.chunk.data)
        received += message.chunk.data
        message = call.received()
    assert (message.finish.size, message.finish.sha256) == (len(LARGE), hashlib.sha256(LARGE).digest())
    return received


@pytest.mark.parametrize(("code", "reason"), BROKEN)
def test_an_upload_that_breaks_goes_on_where_the_server_has_it(
    server: PlayedServer, pauses: list[float], code: grpc.StatusCode, reason: str
) -> None:
    done = in_thread(lambda: server.client().documents.upload(LARGE, title="Large"))
    begin(server)
    call = server.take(UPLOAD)
    size = len(call.received().chunk.data)
    call.break_off(code, reason)
    stands_at(server, size)
    call = server.take(UPLOAD)
    assert everything_from(call, size) == LARGE[size:]
    call.answer(document.UploadDocumentResponse(document=STORED))
    assert done.result(PATIENCE_S) == STORED
    assert len(pauses) == 1
    unary, stream = contract.UNARY_TIMEOUT_S, contract.STREAM_TIMEOUT_S
    assert server.timeouts == [unary, stream, unary, stream]


@pytest.mark.parametrize(("code", "reason"), REFUSED)
def test_an_upload_that_is_refused_mid_way_is_not_tried_again(
    server: PlayedServer, pauses: list[float], code: grpc.StatusCode, reason: str
) -> None:
    failed = in_thread(lambda: server.client().documents.upload(LARGE, title="Large"))
    begin(server)
    call = server.take(UPLOAD)
    call.received()
    call.break_off(code, reason)
    error = failed.exception(PATIENCE_S)
    assert isinstance(error, zegel.ZegelError)
    assert (error.code, error.reason, pauses) == (code, reason, [])


def test_a_pipe_cannot_be_sent_again(server: PlayedServer) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    failed = in_thread(lambda: server.client().documents.upload(Pipe(LARGE), title="Large"))
    server.take("DocumentService.StartUpload").answer(
        document.StartUploadResponse(upload=document.Upload(upload_id="upl_1", document_id="doc_1", version=1))
    )
    call = server.take(UPLOAD)
    call.received()
    call.break_off(grpc.StatusCode.UNAVAILABLE)
    assert isinstance(failed.exception(PATIENCE_S), zegel.Unavailable)


@pytest.mark.parametrize("forgotten", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION])
def test_an_answer_that_was_lost_is_found(server: PlayedServer, forgotten: grpc.StatusCode) -> None:
    done = in_thread(lambda: server.client().documents.upload(LARGE, title="Large"))
    begin(server)
    call = server.take(UPLOAD)
    assert everything_from(call, 0) == LARGE
    call.break_off(grpc.StatusCode.UNAVAILABLE)  # it is stored, and its answer is lost
    server.take("DocumentService.GetUpload").break_off(forgotten, "UPLOAD_CLOSED")
    server.take("DocumentService.GetDocument").answer(document.GetDocumentResponse(document=STORED))
    assert done.result(PATIENCE_S) == STORED


def test_another_s_version_is_not_taken_for_what_was_lost(server: PlayedServer) -> None:
    failed = in_thread(lambda: server.client().documents.upload(LARGE, title="Large"))
    begin(server)
    call = server.take(UPLOAD)
    everything_from(call, 0)
    call.break_off(grpc.StatusCode.UNAVAILABLE)
    server.take("DocumentService.GetUpload").break_off(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    other = document.Document(document_id="doc_1", versions=[document.DocumentVersion(version=1, sha256=b"x" * 32)])
    server.take("DocumentService.GetDocument").answer(document.GetDocumentResponse(document=other))
    assert isinstance(failed.exception(PATIENCE_S), zegel.NotFound)


def test_an_upload_that_moves_nothing_is_given_up_with_what_the_server_said(
    server: PlayedServer, pauses: list[float]
) -> None:
    failed = in_thread(lambda: server.client().documents.upload(LARGE, title="Large"))
    begin(server)
    server.take(UPLOAD).break_off(grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    for _try in range(patience.MAX_TRIES - 1):
        server.take("DocumentService.GetUpload").break_off(grpc.StatusCode.UNAVAILABLE)
    error = failed.exception(PATIENCE_S)
    assert isinstance(error, zegel.Unavailable)
    assert error.reason == "DEPENDENCY_UNAVAILABLE"
    assert len(pauses) == patience.MAX_TRIES - 1


def test_an_error_of_the_source_comes_out_as_it_is(server: PlayedServer) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError("the disk is gone")
            return super().read(size)

    failed = in_thread(lambda: server.client().documents.upload(Torn(LARGE), title="Large"))
    begin(server)
    call = server.take(UPLOAD)
    call.received()
    call.rpc.requests_closed()  # without an end mark
    call.answer(document.UploadDocumentResponse())
    with pytest.raises(OSError, match="the disk is gone"):
        failed.result(PATIENCE_S)
