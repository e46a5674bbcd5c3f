"""Budgets as the stages hold calls to them, by each way in which a call can come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from ipaddress import ip_network
from typing import Any, Protocol

import grpc
import pytest

from support.api import Refusal
from support.edge import METADATA, REFUSED, Edge, refusal, refusal_of
from support.work import until
from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.edge.limits import Budget, Limits
from zegel_server.edge.proxies import Proxies
from zegel_server.edge.wrong_tokens import WrongTokens
from zegel_server.errors import Unauthenticated

Code = grpc.StatusCode
GET = pb.GetDocumentRequest(document_id="doc_1")


class Start(Protocol):
    """Starts the edge."""

    def __call__(
        self, limits: Limits, wrong_tokens: WrongTokens | None = None, proxies: Proxies | None = None
    ) -> Awaitable[Edge]: ...


@pytest.fixture
async def start(adapter: type[Edge]) -> AsyncIterator[Start]:
    """Starts the edge with some budgets."""
    started: list[Edge] = []

    async def start(limits: Limits, wrong_tokens: WrongTokens | None = None, proxies: Proxies | None = None) -> Edge:
        edge = adapter()
        edge.limits, edge.wrong_tokens, edge.proxies = limits, wrong_tokens, proxies
        await edge.start()
        started.append(edge)
        return edge

    yield start
    for each in started:
        await each.stop()


@pytest.mark.parametrize("sort", ["session", "tenant"])
async def test_who_calls_is_held_to_a_budget_before_policy_decides(start: Start, sort: str) -> None:
    once = Budget(calls_per_s=0.1)
    edge = await start(Limits(session=once) if sort == "session" else Limits(tenant=once))
    await edge.stub.GetDocument(GET, metadata=METADATA)
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.status, refused.metadata) == (Code.RESOURCE_EXHAUSTED, {"limit": f"{sort}_calls"})
    assert edge.happened == ["session", "access", "session"]


async def test_a_place_is_given_back_however_a_call_ends(start: Start) -> None:
    edge = await start(Limits(session=Budget(calls_at_a_time=1)))
    began, gate = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> pb.GetDocumentResponse:
        began.set()
        await gate.wait()
        raise ValueError

    edge.servicer.get = wait
    first = asyncio.ensure_future(refusal(edge.stub.GetDocument(GET, metadata=METADATA)))
    await asyncio.wait_for(began.wait(), 30)
    refused = await refusal(edge.stub.GetDocument(GET, metadata=METADATA))
    assert (refused.status, refused.metadata) == (Code.RESOURCE_EXHAUSTED, {"limit": "session_calls_at_a_time"})
    gate.set()
    assert (await first).reason == "INTERNAL"

    async def given_back() -> bool:
        call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
        with suppress(*REFUSED):
            return [each async for each in call] == []
        return False

    await until(given_back)  # soon after the client has its error


async def test_unknown_tokens_are_refused_beyond_the_budget_and_known_ones_never(start: Start) -> None:
    edge = await start(Limits(), WrongTokens(0.01))  # three, and the next in a hundred seconds
    edge.denial = Unauthenticated("Nobody has it.", reason="SESSION_UNKNOWN")
    reasons = [(await refusal(edge.stub.GetDocument(GET, metadata=METADATA))).reason for _ in range(6)]
    assert reasons == ["SESSION_UNKNOWN"] * 4 + ["LIMIT_REACHED"] * 2
    edge.denial = None
    await edge.stub.GetDocument(GET, metadata=METADATA)


async def test_a_proxy_that_is_believed_says_where_a_call_comes_from(start: Start) -> None:
    edge = await start(Limits(), proxies=Proxies([ip_network("127.0.0.0/8")]))
    forwarded = ("x-forwarded-for", "198.51.100.9, 192.0.2.7")
    await edge.stub.GetDocument(GET, metadata=[*METADATA, forwarded])
    assert edge.seen[-1][1].address == "192.0.2.7"


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_streams_bytes_are_counted(start: Start, way: str) -> None:
    edge = await start(Limits(session=Budget(bytes_per_s=1_000)))  # 10,000 at once
    large = pb.Chunk(data=b"x" * 12_000)
    gate = asyncio.Event()

    async def download(_request: Any, _context: Any) -> AsyncIterator[pb.DownloadDocumentResponse]:
        yield pb.DownloadDocumentResponse(chunk=large)

    async def upload() -> AsyncIterator[pb.UploadDocumentRequest]:
        yield pb.UploadDocumentRequest(chunk=large)
        await gate.wait()

    edge.servicer.download = download
    if way == "up":
        stream = asyncio.ensure_future(until_done(edge.stub.UploadDocument(upload(), metadata=METADATA)))
    else:
        call = edge.stub.DownloadDocument(pb.DownloadDocumentRequest(), metadata=METADATA)
        stream = asyncio.ensure_future(until_done(call.read()))
    refusals: list[Refusal] = []

    async def counted() -> bool:
        try:
            await edge.stub.GetDocument(GET, metadata=METADATA)
        except REFUSED as error:
            refusals.append(refusal_of(error))
        return bool(refusals)

    await until(counted)
    [refused] = refusals
    assert (refused.status, refused.metadata) == (Code.RESOURCE_EXHAUSTED, {"limit": "session_bytes"})
    gate.set()
    await stream


async def until_done(call: Awaitable[Any]) -> Any:
    """A call, to run as a task."""
    return await call
