"""A real ``grpc.aio`` server on a free port, in a thread with its own event loop, for tests of a client.

Its servicers derive from the generated ones, so a client is tested against the actual contract. A relay between client
and server can cut connections, as networks do.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from zegel._services import SERVICES

ResultT = TypeVar("ResultT")


def details(
    code: grpc.StatusCode,
    reason: str,
    metadata: dict[str, str] | None = None,
    *,
    domain: str = "zegel",
    retry_after_ms: int | None = None,
    text: str = "It was refused.",
) -> tuple[tuple[str, bytes], ...]:
    """Returns trailing metadata with a ``google.rpc.Status``, as a Zegel server sends it (AIP-193)."""
    messages: list[Any] = [error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata or {})]
    if retry_after_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_after_ms)
        messages.insert(0, error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for message in messages:
        packed.append(any_pb2.Any())
        packed[-1].Pack(message)
    status = status_pb2.Status(code=code.value[0], message=text, details=packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


async def refuse(
    context: Any, code: grpc.StatusCode, reason: str, metadata: dict[str, str] | None = None, **more: Any
) -> None:
    """Ends a call with a typed error."""
    await context.abort(code, more.get("text", "It was refused."), details(code, reason, metadata, **more))


def made(kind: Any, *arguments: Any) -> Any:
    """Returns an instance of a servicer that answers some methods.

    Its generated base answers UNIMPLEMENTED to the others. The generated types declare those abstract, so a type
    checker would not accept the instance.
    """
    return kind(*arguments)


@dataclass
class Running:
    """A running server.

    Attributes:
        target: The address on which it listens.
        loop: Its event loop.
    """

    target: str
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Runs a coroutine in the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@contextmanager
def loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def serving(*servicers: object, credentials: grpc.ServerCredentials | None = None) -> Iterator[Running]:
    """Serves until the end of the block.

    Args:
        servicers: Instances of classes that derive from the generated servicers.
        credentials: Credentials for TLS; without them, connections are not encrypted.
    """

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        for servicer in servicers:
            for service in SERVICES:
                if isinstance(servicer, service.servicer):
                    service.add_to_server(servicer, server)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        return server, port

    with loop_in_thread() as loop:
        running = Running("", loop)
        server, port = running.run(start())
        running.target = f"127.0.0.1:{port}"
        try:
            yield running
        finally:
            running.run(server.stop(0))
            running.run(_settle())


async def _settle() -> None:
    """Lets cancelled handlers finish before their event loop ends."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Relay:
    """Passes connections on, and cuts the first ones after set numbers of bytes.

    Attributes:
        target: The address to which clients connect.
        up: For each connection in turn, the number of bytes from the client after which it is cut.
        down: The same for bytes from the server.
        cuts: Number of connections that were cut.
    """

    target: str = ""
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    cuts: int = 0


@contextmanager
def relaying(running: Running, *, up: list[int] | None = None, down: list[int] | None = None) -> Iterator[Relay]:
    """Runs a relay between a client and a server.

    Args:
        running: The server.
        up: See `Relay`.
        down: See `Relay`.
    """
    relay = Relay(up=up or [], down=down or [])
    host, _, port = running.target.partition(":")

    async def pump(
        reader: asyncio.StreamReader, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter], budget: int | None
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if budget is not None and len(data) > budget:
                    relay.cuts += 1
                    for writer in writers:
                        writer.transport.abort()
                    return
                budget = None if budget is None else budget - len(data)
                writers[1].write(data)
                await writers[1].drain()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        upward, downward = (each.pop(0) if each else None for each in (relay.up, relay.down))
        try:
            await asyncio.gather(
                pump(reader, (writer, far_writer), upward), pump(far_reader, (far_writer, writer), downward)
            )
        finally:
            writer.close()
            far_writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(accept, "127.0.0.1", 0)

    server = running.run(start())
    relay.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        running.loop.call_soon_threadsafe(server.close)
