"""Running streams follow a revocation within a second, whatever they are doing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support.edge import METADATA, PREFIX, REFUSED, Edge, refusal_of
from support.stopwatch import Stopwatch
from support.work import until
from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.caller import Check, Scope, keep_checking
from zegel_server.edge import pipeline
from zegel_server.errors import FailedPrecondition, Unauthenticated

Code = grpc.StatusCode
REVOKED = Unauthenticated("The session was revoked.", reason="SESSION_REVOKED")
CHUNK = pb.DownloadDocumentResponse(chunk=pb.Chunk(data=b"x" * 65_536))


class Worker:
    """What a servicer's method does, and whether it has ended."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.sent = 0

    async def send(self, _request: Any, _context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        try:
            while True:
                yield CHUNK
                self.sent += 1
                await asyncio.sleep(0)
        finally:
            self.ended.set()

    async def idle(self, _request: Any, _context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        try:
            yield CHUNK
            await asyncio.sleep(3600)
        finally:
            self.ended.set()

    async def receive(self, requests: Any, _context: Any) -> pb.UploadDocumentResponse:
        try:
            async for _ in requests:
                self.began.set()
        finally:
            self.ended.set()
        return pb.UploadDocumentResponse()


async def all_of(call: Any) -> Exception:
    """Reads a stream to its bad end."""
    try:
        while await call.read():  # its end counts as false
            pass
    except REFUSED as error:
        return error
    raise AssertionError("it ended well")


@pytest.fixture
async def edge(adapter: type[Edge]) -> AsyncIterator[Edge]:
    """The edge, serving by each adapter in turn."""
    edge = adapter()
    await edge.start()
    yield edge
    await edge.stop()


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_a_stream_that_sends_is_cut_off(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.send
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    async with Stopwatch() as watch:
        edge.denial = REVOKED
        error = await asyncio.wait_for(all_of(call), 15)
        assert await watch.seconds() < 1.0
    assert refusal_of(error).reason == "SESSION_REVOKED"
    assert worker.ended.is_set()


async def test_a_stream_that_idles_is_cut_off(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.idle
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    async with Stopwatch() as watch:
        edge.denial = REVOKED
        error = await asyncio.wait_for(all_of(call), 15)
        assert await watch.seconds() < 1.0
    assert refusal_of(error).reason == "SESSION_REVOKED"


async def test_who_reads_slowly_gets_no_more_than_was_under_way(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.send
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    sent = -1
    while worker.sent > sent:  # until the server waits for the client to read
        sent = worker.sent
        await asyncio.sleep(0.5)
    async with Stopwatch() as watch:
        edge.denial, sent = REVOKED, worker.sent
        await asyncio.wait_for(worker.ended.wait(), 60)
        assert await watch.seconds() < 1.0
    assert worker.sent <= sent + 1
    error = await asyncio.wait_for(all_of(call), 60)
    assert refusal_of(error).reason == "SESSION_REVOKED"


@pytest.mark.parametrize("pause", [0.01, 60.0], ids=["sending", "idle"])
async def test_an_upload_is_cut_off(edge: Edge, worker: Worker, pause: float) -> None:
    edge.servicer.upload = worker.receive

    async def requests() -> AsyncIterator[pb.UploadDocumentRequest]:
        while True:
            yield pb.UploadDocumentRequest(chunk=pb.Chunk(data=b"x" * 1_000))
            await asyncio.sleep(pause)

    call = edge.stub.UploadDocument(requests(), metadata=METADATA)
    async with asyncio.timeout(15), Stopwatch() as watch:
        await worker.began.wait()
        began = await watch.seconds()
        edge.denial = REVOKED
        with pytest.raises(REFUSED) as refused:
            await call
        assert await watch.seconds() - began < 1.0
    error = refused.value
    # A client that writes while the stream ends is now and then told INTERNAL by its own side of grpc.aio: what the
    # server answered stands in its metrics.
    if not (isinstance(error, grpc.aio.AioRpcError) and error.code() is Code.INTERNAL):
        assert refusal_of(error).reason == "SESSION_REVOKED"
    await until(edge.idle)
    counted = {"method": PREFIX + "UploadDocument", "code": "UNAUTHENTICATED"}
    assert edge.registry.get_sample_value("zegel_requests_total", counted) == 1
    assert worker.ended.is_set()


async def test_a_permission_that_is_taken_ends_the_stream(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.idle
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    edge.scopes = Scope.NONE
    refused = refusal_of(await asyncio.wait_for(all_of(call), 1.5))
    assert (refused.status, refused.metadata) == (Code.PERMISSION_DENIED, {"permission": "document.download"})
    assert len(edge.refused) == 1


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (Scope.ANY, Scope.OWN, True),
        (Scope.OWN | Scope.PARTY, Scope.OWN, True),
        (Scope.OWN, Scope.ANY, False),
        (Scope.OWN, Scope.OWN | Scope.PARTY, False),
    ],
)
async def test_what_was_allowed_in_a_wider_scope_begins_again(
    edge: Edge, worker: Worker, before: Scope, after: Scope, *, ends: bool
) -> None:
    edge.scopes = before
    edge.servicer.download = worker.idle
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    edge.scopes = after
    if ends:
        refused = refusal_of(await asyncio.wait_for(all_of(call), 1.5))
        assert (refused.status, refused.metadata) == (Code.UNAVAILABLE, {"dependency": "policy"})
    else:
        await asyncio.sleep(1.2)
        assert not call.done()
        call.cancel()


async def test_whatever_the_check_raises_ends_the_stream(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.idle
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    edge.denial = ValueError("the database is gone")
    refused = refusal_of(await asyncio.wait_for(all_of(call), 1.5))
    assert (refused.status, refused.reason) == (Code.INTERNAL, "INTERNAL")


def watched(worker: Worker, check: Check) -> Any:
    """A download that idles for as long as a check holds."""

    async def download(request: Any, context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        keep_checking(check)
        async for each in worker.idle(request, context):
            yield each

    return download


async def test_what_a_servicer_has_watched_ends_its_stream(edge: Edge, worker: Worker) -> None:
    gone = False

    async def check() -> None:
        if gone:
            raise FailedPrecondition("The document was deleted.", reason="DOCUMENT_DESTROYED")

    edge.servicer.download = watched(worker, check)
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    await asyncio.sleep(0.7)
    assert not call.done()
    gone = True
    refused = refusal_of(await asyncio.wait_for(all_of(call), 30))
    assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "DOCUMENT_DESTROYED")
    assert worker.ended.is_set()


async def test_a_check_that_hangs_keeps_no_revocation_from_a_stream(edge: Edge, worker: Worker) -> None:
    hanging, let_go = asyncio.Event(), asyncio.Event()

    async def check() -> None:
        hanging.set()
        try:
            await asyncio.sleep(3600)
        finally:
            let_go.set()

    edge.servicer.download = watched(worker, check)
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    await asyncio.wait_for(hanging.wait(), 30)
    edge.denial = REVOKED
    assert refusal_of(await asyncio.wait_for(all_of(call), 30)).reason == "SESSION_REVOKED"
    await asyncio.wait_for(let_go.wait(), 30)


async def test_a_stream_of_one_that_is_good_goes_on_to_its_end(edge: Edge) -> None:
    async def download(_request: Any, _context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        for _ in range(3):
            yield CHUNK
            await asyncio.sleep(0.4)

    edge.servicer.download = download
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    assert len([answer async for answer in call]) == 3
    assert (await call.code()).name == "OK"
    assert len(edge.seen) >= 3  # at its start, and again and again


async def test_a_client_that_goes_away_leaves_nobody_watching(edge: Edge, worker: Worker) -> None:
    edge.servicer.download = worker.idle
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    call.cancel()
    await asyncio.wait_for(worker.ended.wait(), 60)
    asked = len(edge.seen)
    await asyncio.sleep(0.7)
    assert len(edge.seen) == asked
    await until(edge.idle)


async def test_who_reads_nothing_keeps_no_call_for_ever(
    edge: Edge, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "ERROR_TIMEOUT_S", 0.2)
    edge.servicer.download = worker.send
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    await call.read()
    await asyncio.sleep(0.2)
    edge.denial = REVOKED
    await asyncio.wait_for(worker.ended.wait(), 1.5)
    await until(edge.idle, 3.0)  # sooner than an error is usually given up
    call.cancel()
