"""The gRPC server: its limits, its certificate, health, reflection, and graceful shutdown."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from zegel_server.edge.endpoints import Endpoint
from zegel_server.edge.grpc_adapter import reflection
from zegel_server.edge.grpc_adapter.connections import Connections
from zegel_server.edge.grpc_adapter.handlers import Handlers, UnknownMethods
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.tls import Tls
from zegel_server.edge.wire import MAX_MESSAGE

MAX_METADATA: Final = 8 * 2**10
"""Maximum size in bytes of a call's metadata: a token and a few headers."""
MAX_STREAMS: Final = 100
"""Maximum number of calls at a time on one connection."""
HANDSHAKE_MS: Final = 5_000
"""How long a connection's handshake may take."""
KEEPALIVE_MS: Final = 60_000
"""After how long without traffic the peer is asked whether it is still there."""
KEEPALIVE_TIMEOUT_MS: Final = 20_000
"""How long it has to answer."""
LEAST_PING_MS: Final = 10_000
"""How often a client may ask the same."""
GRACE_S: Final = 20.0
"""How long running calls may take to end once the server stops, in seconds."""
QUIET_S: Final = 2.0
"""For how many seconds there must be no running call before it stops without waiting for connections; the last answer
is sent in that time."""

OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_metadata_size", MAX_METADATA),
    ("grpc.absolute_max_metadata_size", MAX_METADATA),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MS),
    ("grpc.keepalive_permit_without_calls", 1),
)


def credentials(read: Callable[[], Tls]) -> grpc.ServerCredentials:
    """Credentials that follow the files: a renewed certificate is used for the next connection.

    Args:
        read: Reads the files; called at the start and at each handshake. If it raises, the last good certificate is
            kept.
    """
    first = read()
    last = [first]

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        try:
            now = read()
        except (OSError, ValueError):
            return None
        if now == last[0]:
            return None
        last[0] = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(first),
        fetch,  # type: ignore[arg-type]  # None keeps the last configuration
        require_client_authentication=first.client_authority is not None,
    )


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], tls.client_authority)


class Server:
    """The server with its services. Health and reflection need no session, since they reveal no resources.

    Args:
        pipeline: The stages that every other request passes through.
        tls: Reads the certificate; ``None`` for a server without TLS, behind a proxy that has it.
        certificates: Whether clients present certificates (mutual TLS).
        reuse_port: Whether several workers listen on the same port.
        spares: Whether connections from an address may send as much as they like, such as a trusted proxy's.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tls: Callable[[], Tls] | None,
        *,
        certificates: bool = False,
        reuse_port: bool = False,
        spares: Callable[[str], bool] | None = None,
    ) -> None:
        options = [*OPTIONS, ("grpc.so_reuseport", int(reuse_port))]
        self._server = grpc.aio.server(options=options)
        self._pipeline = pipeline
        self._tls = tls
        self._connections = Connections(spares)
        self._watching: asyncio.Task[None] | None = None
        self._handlers = Handlers(pipeline, self._connections, certificates=certificates)
        self._server.add_generic_rpc_handlers((self._handlers,))  # first, since nearly every call is for one of these
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names: list[str] = [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]

    def add(self, name: str, endpoints: Iterable[Endpoint]) -> None:
        """Adds a service.

        Args:
            name: Its full name.
            endpoints: Its methods.
        """
        for endpoint in endpoints:
            self._handlers.add(endpoint)
        self._names.append(name)

    def reflect(self) -> None:
        """Serves reflection for every service added so far."""
        reflection.serve(self._server, self._names)

    async def start(self, address: str) -> int:
        """Begins to serve.

        Args:
            address: ``host:port``; port 0 picks a free one.

        Returns:
            The port.

        Raises:
            OSError: It cannot listen on the address.
        """
        try:
            if self._tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials(self._tls))
        except RuntimeError as error:
            message = f"cannot listen on {address}"
            raise OSError(message) from error
        self._server.add_generic_rpc_handlers((UnknownMethods(self._connections),))
        await self._server.start()
        self._watching = asyncio.create_task(self._connections.watch(port), name="connections")
        await self._say(health_pb2.HealthCheckResponse.SERVING, ["", *self._names])
        return port

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Stops gracefully: health says ``NOT_SERVING``, no new call is accepted, running ones may end.

        It does not wait for connections without a running call, such as those that only watch the health.

        Args:
            grace_s: How long they may take, in seconds.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(grace_s))
        # gRPC waits for connections too, even for idle ones.
        while await self._busy(stopping):
            pass
        await self._server.stop(0)
        await stopping
        if self._watching is not None:
            self._watching.cancel()

    async def _busy(self, stopping: "asyncio.Future[None]") -> bool:
        """Waits for a while, and returns whether a call was running then."""
        busy = False
        until = asyncio.get_running_loop().time() + QUIET_S
        while not stopping.done() and asyncio.get_running_loop().time() < until:
            busy = busy or bool(self._pipeline.under_way)
            await asyncio.wait([stopping], timeout=QUIET_S / 20)
        return busy and not stopping.done()

    async def _say(self, status: int, names: Iterable[str]) -> None:
        await asyncio.gather(*(self._health.set(name, status) for name in names))
