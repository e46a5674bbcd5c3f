"""The server's limits, its health, reflection, its certificate and its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.api import refusal, refusal_of
from support.certificates import self_signed
from support.edge import METADATA, SERVICE, Edge
from support.work import until
from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.edge.grpc_adapter import server
from zegel_server.edge.grpc_adapter.server import MAX_METADATA, MAX_STREAMS
from zegel_server.edge.tls import Tls
from zegel_server.edge.wire import MAX_MESSAGE

Code = grpc.StatusCode
GET = pb.GetDocumentRequest(document_id="doc_1")


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def test_a_message_that_is_too_large_is_refused(edge: Edge) -> None:
    fits = pb.GetDocumentRequest(document_id="x" * (MAX_MESSAGE - 64))
    await edge.stub.GetDocument(fits, metadata=METADATA)
    large = pb.GetDocumentRequest(document_id="x" * MAX_MESSAGE)
    assert await code_of(edge.stub.GetDocument(large, metadata=METADATA)) is Code.RESOURCE_EXHAUSTED
    await edge.stub.GetDocument(GET, metadata=METADATA)


async def test_an_answer_that_is_too_large_says_why_it_does_not_come(edge: Edge) -> None:
    async def get(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        return pb.GetDocumentResponse(document=pb.Document(title="x" * size))

    edge.servicer.get = get
    size = MAX_MESSAGE - 64
    assert len((await edge.stub.GetDocument(GET, metadata=METADATA)).document.title) == size
    size = MAX_MESSAGE
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await edge.stub.GetDocument(GET, metadata=METADATA)
    told = refusal_of(refused.value)
    assert (told.status, told.reason, told.metadata) == (
        Code.RESOURCE_EXHAUSTED,
        "LIMIT_REACHED",
        {"limit": "message_bytes"},
    )


async def test_metadata_that_is_too_large_is_refused(edge: Edge) -> None:
    fits = (*METADATA, ("x-large", "x" * (MAX_METADATA // 2)))
    await edge.stub.GetDocument(GET, metadata=fits)
    large = (*METADATA, ("x-large", "x" * 2 * MAX_METADATA))
    assert await code_of(edge.stub.GetDocument(GET, metadata=large)) is Code.RESOURCE_EXHAUSTED
    assert len(edge.seen) == 1
    await edge.stub.GetDocument(GET, metadata=METADATA)


async def test_a_connection_has_so_many_calls_at_a_time(edge: Edge) -> None:
    going, most, gate = 0, 0, asyncio.Event()

    async def get(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await gate.wait()
        going -= 1
        return pb.GetDocumentResponse()

    edge.servicer.get = get
    calls = [edge.stub.GetDocument(GET, metadata=METADATA) for _ in range(MAX_STREAMS + 20)]

    async def full() -> bool:
        return going >= MAX_STREAMS

    await until(full, 60)
    await asyncio.sleep(0.5)  # time for one more to begin
    assert going == MAX_STREAMS
    gate.set()
    # The others waited in the client, or were refused unseen, so that they may be sent again.
    await asyncio.gather(*calls, return_exceptions=True)
    assert most == MAX_STREAMS


async def test_who_never_finishes_the_handshake_holds_nobody_up(edge: Edge) -> None:
    port = int(edge.target.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
    await edge.stub.GetDocument(GET, metadata=METADATA)
    for reader, writer in idle:
        assert not reader.at_eof()  # it was not their end that let the call through
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_health_is_told_to_anybody(edge: Edge) -> None:
    health = health_pb2_grpc.HealthStub(edge.channel)
    for name in ("", SERVICE.full_name, "grpc.health.v1.Health"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert await code_of(health.Check(health_pb2.HealthCheckRequest(service="x"))) is Code.NOT_FOUND
    assert edge.seen == []


async def test_at_its_end_it_says_so_first_and_lets_calls_end() -> None:
    edge = Edge()
    await edge.start()
    began, gate = asyncio.Event(), asyncio.Event()

    async def get(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        began.set()
        await gate.wait()
        return pb.GetDocumentResponse()

    edge.servicer.get = get
    health = health_pb2_grpc.HealthStub(edge.channel)
    watching = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE.full_name))
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
    call = edge.stub.GetDocument(GET, metadata=METADATA)
    await began.wait()
    stopping = asyncio.create_task(edge.server.stop(120))
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watching.cancel()
    async with edge.connect() as late:
        late_stub = health_pb2_grpc.HealthStub(late)
        assert await code_of(late_stub.Check(health_pb2.HealthCheckRequest(), timeout=2)) in {
            Code.UNAVAILABLE,
            Code.DEADLINE_EXCEEDED,
            Code.CANCELLED,  # of a connection that the server closed as it was made
        }
    assert not stopping.done()
    gate.set()
    await call
    await asyncio.wait_for(stopping, 60)
    await edge.channel.close(None)


async def test_a_call_that_does_not_end_is_ended() -> None:
    edge = Edge()
    await edge.start()
    began, ended = asyncio.Event(), asyncio.Event()

    async def get(_request: Any, _context: Any) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    edge.servicer.get = get
    call = edge.stub.GetDocument(GET, metadata=METADATA)
    await began.wait()
    await asyncio.wait_for(edge.server.stop(0.2), 60)
    assert await code_of(call) in {Code.UNAVAILABLE, Code.CANCELLED}
    assert ended.is_set()
    await edge.channel.close(None)


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])])
async def test_a_connection_without_a_call_does_not_hold_the_end_up(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Whether it never spoke, or does not hear that it should go; nor does a watcher of the health."""
    monkeypatch.setattr(server, "QUIET_S", 0.3)
    edge = Edge()
    await edge.start()
    health = health_pb2_grpc.HealthStub(edge.channel).Watch(health_pb2.HealthCheckRequest())
    await health.read()
    began, gate = asyncio.Event(), asyncio.Event()

    async def get(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        began.set()
        await gate.wait()
        return pb.GetDocumentResponse()

    edge.servicer.get = get
    host, _, port = edge.target.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    await writer.drain()
    call = edge.stub.GetDocument(GET, metadata=METADATA)
    await began.wait()
    stopping = asyncio.create_task(edge.server.stop(120))
    await asyncio.sleep(3 * server.QUIET_S)
    assert not stopping.done(), "a call is under way"
    gate.set()
    await call
    await asyncio.wait_for(stopping, 60)
    writer.close()
    await edge.channel.close(None)


async def listed(edge: Edge) -> list[str]:
    reflection = reflection_pb2_grpc.ServerReflectionStub(edge.channel)
    call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await call.read()
    return sorted(service.name for service in answer.list_services_response.service)


async def test_reflection_is_served_only_where_it_is_on(edge: Edge) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await listed(edge)
    assert refused.value.code() is Code.UNIMPLEMENTED
    open_edge = Edge()
    await open_edge.start(reflect=True)
    assert await listed(open_edge) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE.full_name,
    ]
    reflection = reflection_pb2_grpc.ServerReflectionStub(open_edge.channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name)
    answer = await reflection.ServerReflectionInfo(iter([asked])).read()
    [file, *_] = answer.file_descriptor_response.file_descriptor_proto
    assert descriptor_pb2.FileDescriptorProto.FromString(file).package == "zegel.document.v1"
    await open_edge.stop()


async def test_a_port_that_is_taken_is_told(edge: Edge) -> None:
    with pytest.raises(OSError, match="cannot listen"):
        await Edge().build().start(edge.target)


@pytest.fixture
async def secure() -> AsyncIterator[tuple[str, list[Tls]]]:
    shown = [Tls(*self_signed())]
    server = Edge().build(lambda: shown[0])
    port = await server.start("127.0.0.1:0")
    yield f"127.0.0.1:{port}", shown
    await server.stop(0)


async def test_a_certificate_that_was_renewed_is_shown_to_the_next_connection(
    secure: tuple[str, list[Tls]],
) -> None:
    target, shown = secure

    async def reached(authority: bytes) -> bool:
        async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authority)) as channel:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
                return True
        return False

    old = shown[0].certificate
    assert await reached(old)
    shown[0] = Tls(*self_signed())
    new = shown[0].certificate
    assert await reached(new)
    assert not await reached(old)
    # Half of a renewal, as a file that is being written, or a key of another certificate: the last good one is kept.
    for broken in (Tls(b"not a certificate", b"nor a key"), Tls(new, self_signed()[1]), Tls(self_signed()[0], b"")):
        shown[0] = broken
        assert await reached(new)


async def test_without_tls_the_secure_port_tells_nothing(secure: tuple[str, list[Tls]]) -> None:
    target, _ = secure
    async with grpc.aio.insecure_channel(target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert await code_of(health.Check(health_pb2.HealthCheckRequest(), timeout=5)) is Code.UNAVAILABLE


async def test_whatever_is_listed_takes_a_session_but_health_and_reflection() -> None:
    edge = Edge()
    await edge.start(reflect=True)
    reflection = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    rest = set(await listed(edge)) - reflection - {"grpc.health.v1.Health"}
    assert rest == {SERVICE.full_name}
    for method in SERVICE.methods:
        kind = "stream_unary" if method.client_streaming else "unary_unary"
        request = iter([b""]) if method.client_streaming else b""
        refused = await refusal(edge.raw(kind, f"/{SERVICE.full_name}/{method.name}")(request))
        assert refused.reason == "SESSION_MISSING", method.name
    assert edge.seen == []
    await edge.stop()


async def test_a_path_that_only_looks_open_is_not(edge: Edge) -> None:
    for path in ("/grpc.health.v1.HealthX/Check", "/grpc.reflectionx/y"):
        assert (await refusal(edge.raw("unary_unary", path)(b""))).reason == "UNKNOWN_METHOD"
