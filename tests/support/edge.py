"""The server's edge alone: its real pipeline, around servicers whose behaviour a test sets.

``Edge`` serves with gRPC on a real port; ``InProcessEdge`` passes the same calls to the same stages without gRPC.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError
from prometheus_client import CollectorRegistry

from support import api
from support.api import Refusal
from support.in_process import USER_AGENT, InProcess, Refused, Stub, either
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1 import document_service_pb2_grpc as rpc
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.edge.endpoints import Endpoint, endpoints_of
from zegel_server.edge.grpc_adapter.server import Server
from zegel_server.edge.limits import Limits
from zegel_server.edge.methods import Method, read_contracts
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.proxies import Proxies
from zegel_server.edge.telemetry import Telemetry
from zegel_server.edge.tls import Tls
from zegel_server.edge.wrong_tokens import WrongTokens
from zegel_server.errors import ZegelError
from zegel_server.ids import SESSION_PREFIX, new_token

SERVICE = pb.DESCRIPTOR.services_by_name["DocumentService"]
PREFIX = f"/{SERVICE.full_name}/"
TOKEN = new_token(SESSION_PREFIX)
METADATA = (("authorization", f"Bearer {TOKEN}"),)


async def get_nothing(_request: pb.GetDocumentRequest, _context: Any) -> pb.GetDocumentResponse:
    return pb.GetDocumentResponse()


async def swallow(requests: AsyncIterator[pb.UploadDocumentRequest], _context: Any) -> pb.UploadDocumentResponse:
    async for _ in requests:
        pass
    return pb.UploadDocumentResponse()


async def send_nothing(_request: pb.DownloadDocumentRequest, _context: Any) -> AsyncIterator[Any]:
    return
    yield


class Servicer:
    """One method of each kind, each of which a test can replace."""

    def __init__(self) -> None:
        self.get: Callable[[Any, Any], Awaitable[Any]] = get_nothing
        self.upload: Callable[[Any, Any], Awaitable[Any]] = swallow
        self.download: Callable[[Any, Any], AsyncIterator[Any]] = send_nothing

    async def GetDocument(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        return await self.get(request, context)

    async def UploadDocument(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        return await self.upload(request_iterator, context)

    def __getattr__(self, name: str) -> Any:
        return get_nothing

    def DownloadDocument(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        return self.download(request, context)


class Edge:
    """The edge, served with gRPC.

    Attributes:
        user_agent: Part of the client's user agent.
        limits: The rate limits; none by default.
        wrong_tokens: The limits of wrong tokens per address; none by default.
        proxies: The trusted proxies; none by default.
        servicer: Its methods do what a test sets.
        scopes: The scopes that the caller has for every permission.
        denial: The error that the session stage raises, if any.
        seen: The calls that the session stage got.
        refused: The refusals that were reported to the audit log.
        happened: What happened, in order.
        registry: The metrics.
    """

    user_agent = "grpc-python"

    def __init__(self) -> None:
        self.servicer = Servicer()
        self.limits: Limits | None = None
        self.wrong_tokens: WrongTokens | None = None
        self.proxies: Proxies | None = None
        self.scopes = Scope.ANY
        self.denial: Exception | None = None
        self.seen: list[tuple[str, Origin]] = []
        self.refused: list[tuple[Caller, Method, ZegelError]] = []
        self.happened: list[str] = []
        self.registry = CollectorRegistry()
        self.methods = dict(read_contracts([SERVICE]))

    def cap(self, method: str, seconds: float) -> None:
        """Sets the time limit of a method; call it before the edge starts."""
        self.methods[PREFIX + method] = replace(self.methods[PREFIX + method], cap_s=seconds)

    def build(self, tls: Callable[[], Tls] | None = None) -> Server:
        """Builds the server without starting it.

        Args:
            tls: Reads its certificate; no TLS by default.
        """
        server = Server(self.pipeline(), tls)
        server.add(SERVICE.full_name, self.endpoints())
        return server

    def pipeline(self) -> Pipeline:
        """The stages."""
        return Pipeline(
            self._authenticate,
            Telemetry(self.registry),
            self._hear,
            limits=self.limits,
            wrong_tokens=self.wrong_tokens,
            proxies=self.proxies,
        )

    def endpoints(self) -> Iterable[Endpoint]:
        """The served endpoints: the servicer's methods that have a contract."""
        return endpoints_of(SERVICE, self.servicer, self.methods)

    async def start(self, *, reflect: bool = False) -> None:
        """Starts serving."""
        self.server = self.build()
        if reflect:
            self.server.reflect()
        self.target = f"127.0.0.1:{await self.server.start('127.0.0.1:0')}"
        self.channel = self.connect()
        self.stub: Any = rpc.DocumentServiceStub(self.channel)

    def connect(self, *options: tuple[str, int]) -> grpc.aio.Channel:
        """Opens another channel."""
        return grpc.aio.insecure_channel(self.target, options=options)

    async def idle(self) -> bool:
        """Returns whether no call is in progress, so that each has been counted and logged."""
        return self.registry.get_sample_value("zegel_requests_running") == 0

    def raw(self, kind: str, path: str) -> Any:
        """Returns a method by its path, with messages as bytes.

        Args:
            kind: The kind, such as ``unary_stream``.
            path: ``/package.Service/Method``.
        """
        return getattr(self.channel, kind)(path)

    async def stop(self) -> None:
        """Stops it."""
        await self.channel.close(None)
        await self.server.stop(0)

    async def _authenticate(self, token: str, origin: Origin, certificate: bytes | None) -> Caller:
        self.happened.append("session")
        self.seen.append((token, origin))
        if self.denial is not None:
            raise self.denial
        return Caller("ten_x", "mem_x", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, self._decide, origin=origin)

    def _decide(self, _permission: str) -> Scope:
        self.happened.append("access")
        return self.scopes

    async def _hear(self, caller: Caller, method: Method, error: ZegelError) -> None:
        self.refused.append((caller, method, error))


class InProcessEdge(Edge):
    """The edge, without gRPC."""

    user_agent = USER_AGENT

    async def start(self, *, reflect: bool = False) -> None:
        assert not reflect, "gRPC alone has reflection"
        self.transport = InProcess(self.pipeline(), self.endpoints())
        self.stub = Stub(self.transport, SERVICE)

    def raw(self, kind: str, path: str) -> Any:
        def call(request: Any, *, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
            sent = either(request) if kind == "stream_unary" else request
            return self.transport.call(path, sent, bytes, metadata, None)

        return call

    async def stop(self) -> None:
        await self.transport.stop()


ADAPTERS = (Edge, InProcessEdge)
"""The transports: a test of calls must pass with each of them."""

REFUSED = (AioRpcError, Refused)
"""What a client sees of a call that ended with an error."""


def refusal_of(error: BaseException) -> Refusal:
    """Reads an error from either transport.

    Args:
        error: What the call raised.
    """
    if isinstance(error, Refused):
        return api.read_refusal(error.details)
    assert isinstance(error, AioRpcError)
    return api.refusal_of(error)


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Awaits a call that must be refused.

    Args:
        call: The call.
    """
    with pytest.raises(REFUSED) as raised:
        await call
    return refusal_of(raised.value)
