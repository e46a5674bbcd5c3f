"""The SDK in a program that traces its gRPC calls: what wraps a channel may return less than gRPC itself does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.integrations.grpc import GRPCIntegration

import zegel
import zegel.aio
from support.fake_documents import CONTENT, Documents, World
from support.fake_server import made, refuse, serving
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer

SETUP: dict[str, str] = {"opentelemetry": "traceparent", "sentry": "sentry-trace"}
"""The metadata by which a call tells that it is traced."""


class Traced(Documents):
    """Keeps the metadata of what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.metadata: dict[str, set[str]] = {}

    def _called(self, method: str, context: Any) -> None:
        self.metadata.setdefault(method, set()).update(key for key, _ in context.invocation_metadata())

    async def StartUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._called("unary", context)
        return await super().StartUpload(request, context)

    async def DownloadDocument(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self._called("stream", context)
        async for message in super().DownloadDocument(request, context):
            yield message


class Watched(AuditServiceServicer):
    """Streams one event and then nothing, and knows when nobody listens any more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        try:
            if request.types:
                await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "SESSION_REVOKED")
            yield audit.WatchEventsResponse(event=audit.Event(log_index=7))
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture(params=SETUP)
def tracer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Instruments gRPC as each tracer's documentation tells, until the test ends."""
    if request.param == "opentelemetry":
        trace.set_tracer_provider(TracerProvider())
        both = (GrpcInstrumentorClient(), GrpcAioInstrumentorClient())  # type: ignore[no-untyped-call]
        for instrumentor in both:
            instrumentor.instrument()
        yield request.param
        for instrumentor in both:
            instrumentor.uninstrument()
        return
    for module in (grpc, grpc.aio):  # Sentry's has no way back
        for name in ("insecure_channel", "secure_channel", "server", "intercept_channel"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))
    GRPCIntegration.setup_once()
    yield request.param


@pytest.fixture
def traced() -> Traced:
    served: Traced = made(Traced)
    return served


@pytest.fixture
def watched() -> Watched:
    served: Watched = made(Watched)
    return served


@pytest.fixture(params=["sync", "aio"])
def world(
    request: pytest.FixtureRequest, traced: Traced, watched: Watched, quick: None, tmp_path: Any
) -> Iterator[World]:
    with serving(traced, watched) as running:
        yield World(running, request.param, traced)


async def test_documents_travel_both_ways(world: World, traced: Traced, tracer: str) -> None:
    traced.cut_up, traced.cut_down = [2], [3]  # and each is resumed
    document = await world.upload(CONTENT, title="Lease")
    assert document.versions[0].size == len(CONTENT)
    assert world.received == CONTENT
    assert await world.download() == CONTENT
    assert SETUP[tracer] in traced.metadata["unary"] & traced.metadata["stream"]


async def test_a_refusal_keeps_its_type(world: World, tracer: str) -> None:
    with pytest.raises(zegel.NotFound) as raised:
        await world.download("doc_2")
    assert raised.value.resource == "document"


async def test_a_stream_that_is_left_ends_on_the_server(world: World, watched: Watched, tracer: str) -> None:
    target = world.running.target
    if world.kind == "sync":
        with zegel.Client(target, insecure=True) as client, client.audit.watch_events() as events:
            assert next(events).event.log_index == 7
            events.close()
            world.running.run(asyncio.wait_for(watched.ended.wait(), 5))
    else:
        async with zegel.aio.Client(target, insecure=True) as other:
            async with other.audit.watch_events() as stream:
                assert (await anext(stream)).event.log_index == 7
            world.running.run(asyncio.wait_for(watched.ended.wait(), 5))


async def first(world: World) -> object:
    """The first event of a stream that the server refuses."""
    target = world.running.target
    if world.kind == "sync":
        with zegel.Client(target, insecure=True) as client:
            return next(client.audit.watch_events(types=[zegel.EventType.TENANT_CREATED]))
    async with zegel.aio.Client(target, insecure=True) as other:
        return await anext(other.audit.watch_events(types=[zegel.EventType.TENANT_CREATED]))


async def test_a_stream_that_is_refused_keeps_its_type(world: World, tracer: str) -> None:
    with pytest.raises(zegel.SessionRevoked):
        await first(world)


class Bare(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg] # generic in the stubs alone
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
):
    """Returns and raises no more than an interceptor must: an iterator, a future and a bare ``grpc.RpcError``."""

    def __init__(self) -> None:
        self.closed = 0

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        answer = continuation(details, request)
        if answer.exception() is not None:
            raise grpc.RpcError
        return answer

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details, requests)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        try:
            yield from continuation(details, request)
        except grpc.RpcError:
            raise grpc.RpcError("seven") from None
        finally:
            self.closed += 1


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Bare:
    interceptor = Bare()
    opening: Callable[..., grpc.Channel] = grpc.insecure_channel
    monkeypatch.setattr(
        grpc, "insecure_channel", lambda *arguments: grpc.intercept_channel(opening(*arguments), interceptor)
    )
    return interceptor


@pytest.mark.parametrize("world", ["sync"], indirect=True)
async def test_an_iterator_is_enough(world: World, bare: Bare) -> None:
    assert await world.download() == CONTENT
    with zegel.Client(world.running.target, insecure=True) as client, client.audit.watch_events() as events:
        assert next(events).event.log_index == 7
        events.close()
    assert bare.closed == 2


@pytest.mark.parametrize("world", ["sync"], indirect=True)
async def test_an_error_that_tells_nothing_is_still_typed(world: World, bare: Bare) -> None:
    with zegel.Client(world.running.target, insecure=True) as client:
        with pytest.raises(zegel.ZegelError) as raised:
            client.identity.get_tenant()
        assert raised.value.code is grpc.StatusCode.UNKNOWN
        with pytest.raises(zegel.ZegelError):
            next(client.audit.watch_events(types=[zegel.EventType.TENANT_CREATED]))
