"""Endpoints as gRPC's handlers: each request becomes a ``Call`` and goes through the stages.

Messages stay bytes here: gRPC would send a caller the text of an exception in parsing or serialising.
"""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, cast

import grpc
from grpc.aio import InternalError, ServicerContext

from zegel_server.edge.call import Call, ClientGone, Metadata
from zegel_server.edge.endpoints import Endpoint
from zegel_server.edge.grpc_adapter.connections import Account, Connections
from zegel_server.edge.grpc_adapter.peer import address_of, certificate_of
from zegel_server.edge.grpc_adapter.status import rich_status
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.status import unknown_method
from zegel_server.errors import ZegelError

Context = ServicerContext[Any, Any]
Handler = Any
"""A ``grpc.RpcMethodHandler``: its published types do not cover asyncio."""


class GrpcCall(Call):
    """A request that came over gRPC, which itself cancels the call at the client's deadline.

    Args:
        endpoint: What is called.
        context: gRPC's context of the call.
        account: The account of its connection.
        certificates: Whether clients present certificates (mutual TLS).
    """

    __slots__ = ("_account", "_context")

    def __init__(self, endpoint: Endpoint, context: Context, account: Account, *, certificates: bool) -> None:
        self._context = context
        self._account = account
        account.begun()
        super().__init__(
            endpoint,
            cast("Metadata", context.invocation_metadata() or ()),
            address_of(context.peer()),
            certificate_of(context) if certificates else None,
        )

    async def send(self, message: bytes) -> None:
        """See ``Call``."""
        self.settle(sent=len(message))
        try:
            await self._context.write(message)
        except InternalError:
            # The connection is gone, and gRPC will cancel the call in a moment.
            raise ClientGone from None

    def settle(self, *, read: int = 0, sent: int = 0) -> None:
        """Counts a message in the account of the connection, and that a caller was admitted on it, if so.

        Args:
            read: Bytes of the one that came.
            sent: Bytes of the one that is sent.
        """
        if read:
            self._account.read(read)
        if sent:
            self._account.sent(sent)
        self._account.is_known = self._account.is_known or self.caller is not None

    def left_unread(self) -> None:
        """Counts in the account of the connection that the call ended before its messages did."""
        self.settle()
        self._account.left_unread()

    async def send_error(self, error: ZegelError) -> None:
        """See ``Call``; raises ``grpc.aio.AbortError`` once it is sent."""
        status, message, trailing = rich_status(error)
        await self._context.abort(status, message, trailing)


class _Counted:
    """A call's messages, counted as they come.

    Args:
        call: The call.
        messages: Its messages.

    Attributes:
        ended: Whether all of them have come.
    """

    __slots__ = ("_call", "_messages", "ended")

    def __init__(self, call: GrpcCall, messages: AsyncIterable[bytes]) -> None:
        self._call = call
        self._messages = messages
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for message in self._messages:
            self._call.settle(read=len(message))
            yield message
        self.ended = True


class Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic only in its stubs
    """The methods of Zegel's services.

    Args:
        pipeline: The stages.
        connections: The accounts of the connections.
        certificates: Whether clients present certificates (mutual TLS).
    """

    def __init__(self, pipeline: Pipeline, connections: Connections, *, certificates: bool = False) -> None:
        self._pipeline = pipeline
        self._connections = connections
        self._certificates = certificates
        self._handlers: dict[str, Handler] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Adds a method.

        Args:
            endpoint: The method.
        """
        make = self._unary
        if endpoint.client_streams:
            make = self._client_stream
        elif endpoint.server_streams:
            make = self._server_stream
        self._handlers[endpoint.method.path] = make(endpoint)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """See ``grpc.GenericRpcHandler``."""
        return self._handlers.get(handler_call_details.method)

    def _call(self, endpoint: Endpoint, context: Context) -> GrpcCall:
        account = self._connections.account(context.peer())
        return GrpcCall(endpoint, context, account, certificates=self._certificates)

    def _unary(self, endpoint: Endpoint) -> Handler:
        pipeline, make = self._pipeline, self._call

        async def run(request: bytes, context: Context) -> bytes | None:
            call = make(endpoint, context)
            call.settle(read=len(request))
            answer = await pipeline.unary(call, request)
            call.settle(sent=len(answer or b""))
            return answer

        return grpc.unary_unary_rpc_method_handler(cast("Any", run))

    def _client_stream(self, endpoint: Endpoint) -> Handler:
        async def run(requests: AsyncIterable[bytes], context: Context) -> bytes | None:
            call = self._call(endpoint, context)
            counted = _Counted(call, requests)
            try:
                return await self._pipeline.client_stream(call, counted)
            finally:
                if not counted.ended:
                    call.left_unread()

        return grpc.stream_unary_rpc_method_handler(cast("Any", run))

    def _server_stream(self, endpoint: Endpoint) -> Handler:
        async def run(request: bytes, context: Context) -> None:
            call = self._call(endpoint, context)
            call.settle(read=len(request))
            await self._pipeline.server_stream(call, request)

        return grpc.unary_stream_rpc_method_handler(cast("Any", run))


class UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic only in its stubs
    """Refuses every method that no other handler serves; it is asked last.

    Args:
        connections: The accounts of the connections.
    """

    def __init__(self, connections: Connections) -> None:
        async def run(_requests: Any, context: Context) -> None:
            connections.account(context.peer()).begun()
            status, message, trailing = rich_status(unknown_method())
            await context.abort(status, message, trailing)

        # This answers any kind of call: what the caller sends is left unread.
        self._handler: Final[Handler] = grpc.stream_stream_rpc_method_handler(cast("Any", run))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """See ``grpc.GenericRpcHandler``."""
        del handler_call_details
        return self._handler
