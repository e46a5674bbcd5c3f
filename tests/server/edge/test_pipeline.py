"""The stages in their order, and what becomes of whatever is raised in them."""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2

from support.api import bearer
from support.edge import METADATA, PREFIX, REFUSED, TOKEN, Edge, refusal, swallow
from support.work import until
from zegel.document.v1 import document_service_pb2 as pb
from zegel_server import errors
from zegel_server.caller import Scope, current_caller, step_up
from zegel_server.errors import FailedPrecondition, Unauthenticated, ZegelError

Code = grpc.StatusCode
GET = pb.GetDocumentRequest(document_id="doc_1")
SECRET = "personal: ann@example.com"


@pytest.fixture
async def edge(adapter: type[Edge]) -> AsyncIterator[Edge]:
    """The edge, serving by each adapter in turn."""
    edge = adapter()
    await edge.start()
    yield edge
    await edge.stop()


def every_error(kind: type[ZegelError] = ZegelError) -> list[type[ZegelError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in every_error(sub))]


def raising(error: BaseException) -> Any:
    async def method(_request: Any, _context: Any) -> Any:
        raise error

    return method


async def test_a_request_goes_through_session_then_access_then_the_servicer(edge: Edge) -> None:
    async def get(request: Any, _context: Any) -> pb.GetDocumentResponse:
        edge.happened.append("servicer")
        assert current_caller().principal_id == "mem_x"
        return pb.GetDocumentResponse(document=pb.Document(document_id=request.document_id))

    edge.servicer.get = get
    answer = await edge.stub.GetDocument(GET, metadata=METADATA)
    assert answer.document.document_id == "doc_1"
    assert edge.happened == ["session", "access", "servicer"]
    [(token, origin)] = edge.seen
    assert token == TOKEN
    assert origin.address == "127.0.0.1"
    assert edge.user_agent in origin.user_agent


async def test_each_request_is_looked_up_anew(edge: Edge) -> None:
    for _ in range(3):
        await edge.stub.GetDocument(GET, metadata=METADATA)
    assert edge.happened == ["session", "access"] * 3
    edge.denial = Unauthenticated("Revoked.", reason="SESSION_REVOKED")
    assert (await refusal(edge.stub.GetDocument(GET, metadata=METADATA))).reason == "SESSION_REVOKED"


async def test_without_access_the_servicer_is_not_reached_and_the_audit_hears_of_it(edge: Edge) -> None:
    edge.scopes = Scope.NONE
    edge.servicer.get = raising(AssertionError("it was reached"))
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert refused.metadata == {"permission": "document.read"}
    [(caller, method, error)] = edge.refused
    assert (caller.principal_id, method.path, error.reason) == ("mem_x", PREFIX + "GetDocument", "PERMISSION_DENIED")


async def test_a_demand_to_authenticate_anew_is_recorded_and_sent(edge: Edge) -> None:
    edge.servicer.get = raising(step_up("document.purge", 300))
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.status, refused.reason) == (Code.UNAUTHENTICATED, "STEP_UP_REQUIRED")
    assert refused.metadata == {"permission": "document.purge", "max_age": "300"}
    [(caller, method, error)] = edge.refused
    assert (caller.principal_id, method.path, error.reason) == ("mem_x", PREFIX + "GetDocument", "STEP_UP_REQUIRED")


async def test_without_a_token_nothing_is_asked(edge: Edge) -> None:
    refused = await refusal(edge.stub.GetDocument(GET))
    assert refused.reason == "SESSION_MISSING"
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA + METADATA))
    assert refused.reason == "SESSION_MALFORMED"
    assert edge.happened == []


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
async def test_a_typed_error_becomes_its_status_with_one_error_info(edge: Edge, kind: type[ZegelError]) -> None:
    texts = {"message": "Wrong.", "field": "a_field", "kind": "document"}
    takes = [name for name in inspect.signature(kind).parameters if name in texts]
    edge.servicer.get = raising(kind(*(texts[name] for name in takes)))
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert refused.status.name == kind.status.name
    assert refused.reason == kind.default_reason


async def test_a_refusal_carries_its_metadata_and_when_to_retry(edge: Edge) -> None:
    error = FailedPrecondition("Später ☃.", reason="SIGNATURE_REQUEST_CLOSED", state="CANCELED")
    error.retry_after_s = 1.5  # type: ignore[attr-defined]
    edge.servicer.get = raising(error)
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.message, refused.metadata) == ("Später ☃.", {"state": "CANCELED"})
    status = status_pb2.Status.FromString(refused.details)
    retry = error_details_pb2.RetryInfo()
    assert [detail.Unpack(retry) for detail in status.details] == [False, True]
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


class OddError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class PanicError(BaseException):
    """Such as a library in Rust raises."""


def own_cause() -> Exception:
    error = ValueError(SECRET)
    error.__cause__ = error
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        TimeoutError(SECRET),
        OddError(),
        own_cause(),
        RecursionError(),
        StopAsyncIteration(SECRET),
        PanicError(SECRET),
        GeneratorExit(SECRET),
        asyncio.CancelledError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_anything_else_is_internal_and_tells_nothing(edge: Edge, error: BaseException) -> None:
    edge.servicer.get = raising(error)
    with structlog.testing.capture_logs() as lines:
        refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.status, refused.reason) == (Code.INTERNAL, "INTERNAL")
    assert list(refused.metadata) == ["request_id"]
    [request_id] = refused.metadata.values()
    assert SECRET.encode() not in refused.details
    assert SECRET not in refused.message
    # The operator finds it by the request id: where it was raised, and nothing of what it says.
    [defect] = [line for line in lines if line["event"] == "defect"]
    assert defect["request_id"] == request_id
    assert any("test_pipeline.py" in line for line in defect["trace"])
    assert SECRET not in str(lines)
    assert TOKEN not in str(lines)


async def test_a_defect_in_the_session_stage_denies(edge: Edge) -> None:
    edge.denial = ValueError(SECRET)
    edge.servicer.get = raising(AssertionError("it was reached"))
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert refused.status is Code.INTERNAL
    assert SECRET.encode() not in refused.details


async def test_a_servicer_is_handed_nothing_of_the_transport(edge: Edge) -> None:
    given: list[Any] = []

    async def get(_request: Any, context: Any) -> pb.GetDocumentResponse:
        given.append(context)
        return pb.GetDocumentResponse()

    async def upload(requests: Any, context: Any) -> pb.UploadDocumentResponse:
        given.append(context)
        return await swallow(requests, None)

    async def download(_request: Any, context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        given.append(context)
        yield pb.DownloadDocumentResponse()

    edge.servicer.get, edge.servicer.upload, edge.servicer.download = get, upload, download
    await edge.stub.GetDocument(GET, metadata=METADATA)
    await edge.stub.UploadDocument(iter([pb.UploadDocumentRequest()]), metadata=METADATA)
    await edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA).read()
    assert given == [None, None, None]


async def test_what_is_raised_while_streaming_is_told_after_what_was_sent(edge: Edge) -> None:
    async def download(_request: Any, _context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        yield pb.DownloadDocumentResponse()
        raise errors.DataLoss("Damaged.")

    edge.servicer.download = download
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    assert await call.read() == pb.DownloadDocumentResponse()
    assert (await refusal(call.read())).reason == "STORED_DATA_DAMAGED"


async def test_a_message_that_is_none_is_the_callers_fault(edge: Edge) -> None:
    get = edge.raw("unary_unary", PREFIX + "GetDocument")
    download = edge.raw("unary_stream", PREFIX + "DownloadDocument")
    upload = edge.raw("stream_unary", PREFIX + "UploadDocument")
    for call in (
        get(b"\xff\xff\xff", metadata=METADATA),
        download(b"\x0a\xff", metadata=METADATA).read(),
        upload(iter([b"\x0a\xff"]), metadata=METADATA),
    ):
        refused = await refusal(call)
        assert (refused.status, refused.reason, refused.metadata) == (
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            {"field": ""},
        )


async def test_an_answer_of_the_wrong_kind_is_a_defect_that_tells_nothing(edge: Edge) -> None:
    async def get(_request: Any, _context: Any) -> Any:
        return None

    async def download(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield SECRET

    edge.servicer.get, edge.servicer.download = get, download
    call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
    for refused in (await refusal(edge.stub.GetDocument(GET, metadata=METADATA)), await refusal(call.read())):
        assert (refused.status, refused.reason) == (Code.INTERNAL, "INTERNAL")


@pytest.mark.parametrize("path", [PREFIX + "FlyDocument", "/zegel.document.v2.DocumentService/GetDocument", "/x/y"])
async def test_an_unknown_method_is_told_as_one(edge: Edge, path: str) -> None:
    for call in (
        edge.raw("unary_unary", path)(b"", metadata=METADATA),
        edge.raw("unary_unary", path)(b""),
        edge.raw("unary_stream", path)(b"").read(),
        edge.raw("stream_unary", path)(iter([])),  # grpc.aio calls a write that meets the refusal INTERNAL
    ):
        refused = await refusal(call)
        assert (refused.status, refused.reason) == (Code.UNIMPLEMENTED, "UNKNOWN_METHOD")


async def test_a_method_without_a_contract_is_not_served(adapter: type[Edge]) -> None:
    edge = adapter()
    del edge.methods[PREFIX + "GetDocument"]
    await edge.start()
    assert (await refusal(edge.stub.GetDocument(GET, metadata=METADATA))).reason == "UNKNOWN_METHOD"
    await edge.stop()


async def test_a_call_ends_at_its_methods_cap(adapter: type[Edge]) -> None:
    edge = adapter()
    for method in ("GetDocument", "DownloadDocument", "UploadDocument"):
        edge.cap(method, 0.1)
    await edge.start()
    ended: list[str] = []

    async def wait(_request: Any, _context: Any) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        await wait(None, None)
        yield

    edge.servicer.get, edge.servicer.upload, edge.servicer.download = wait, wait, stream
    async with asyncio.timeout(60):
        for call in (
            edge.stub.GetDocument(GET, metadata=METADATA),
            edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA).read(),
            edge.stub.UploadDocument(iter(()), metadata=METADATA),
        ):
            refused = await refusal(call)
            assert (refused.status, refused.reason) == (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert ended == ["cancelled"] * 3
    await edge.stop()


async def test_a_call_that_swallows_its_end_is_refused_all_the_same(adapter: type[Edge]) -> None:
    edge = adapter()
    edge.cap("GetDocument", 0.05)
    await edge.start()

    async def stubborn(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        return pb.GetDocumentResponse()

    edge.servicer.get = stubborn
    assert (await refusal(edge.stub.GetDocument(GET, metadata=METADATA))).status is Code.DEADLINE_EXCEEDED
    await edge.stop()


async def test_the_clients_deadline_ends_the_work(edge: Edge) -> None:
    ended = asyncio.Event()

    async def wait(_request: Any, _context: Any) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    edge.servicer.get = wait
    with pytest.raises(REFUSED, match="DEADLINE_EXCEEDED"):
        await edge.stub.GetDocument(GET, metadata=METADATA, timeout=0.1)
    await asyncio.wait_for(ended.wait(), 60)


async def test_a_client_that_goes_away_ends_the_work(edge: Edge) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    edge.servicer.get = wait
    call = edge.stub.GetDocument(GET, metadata=METADATA)
    await asyncio.wait_for(began.wait(), 60)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 60)


async def test_a_line_a_request_without_payload_or_secret(edge: Edge) -> None:
    private = secrets.token_hex(8)

    async def get(request: Any, _context: Any) -> pb.GetDocumentResponse:
        if request.document_id == "bad":
            raise errors.NotFound("document")
        return pb.GetDocumentResponse(document=pb.Document(title=private))

    edge.servicer.get = get
    with structlog.testing.capture_logs() as lines:
        await edge.stub.GetDocument(pb.GetDocumentRequest(document_id=private), metadata=METADATA)
        await refusal(edge.stub.GetDocument(pb.GetDocumentRequest(document_id="bad"), metadata=METADATA))
        await refusal(edge.stub.GetDocument(GET, metadata=bearer("zs_made-up")[:0]))
        await until(edge.idle)  # the line follows what the client is sent
    told = [(line["method"], line["code"], line["reason"], line["session"]) for line in lines]
    path = PREFIX + "GetDocument"
    assert told == [
        (path, "OK", "", "ses_x"),
        (path, "NOT_FOUND", "RESOURCE_NOT_FOUND", "ses_x"),
        (path, "UNAUTHENTICATED", "SESSION_MISSING", ""),
    ]
    assert len({line["request_id"] for line in lines}) == 3
    for hidden in (private, TOKEN, "127.0.0.1", edge.user_agent):
        assert hidden not in str(lines)


async def test_requests_are_counted_by_method_and_status(edge: Edge) -> None:
    await edge.stub.GetDocument(GET, metadata=METADATA)
    await refusal(edge.stub.GetDocument(GET))
    await until(edge.idle)
    path = PREFIX + "GetDocument"
    value = edge.registry.get_sample_value
    assert value("zegel_requests_total", {"method": path, "code": "OK"}) == 1
    assert value("zegel_requests_total", {"method": path, "code": "UNAUTHENTICATED"}) == 1
    assert value("zegel_request_seconds_count", {"method": path}) == 2
    assert value("zegel_requests_running") == 0
