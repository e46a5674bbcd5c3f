"""A transport without network and gRPC: requests go to the stages within the test's own process.

The two sides exchange bytes: messages, and errors as ``google.rpc.Status``. If the client does not read, the server
blocks after one message.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2

from zegel_server.edge.call import Call
from zegel_server.edge.endpoints import Endpoint
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.status import status_of, unknown_method
from zegel_server.errors import StatusCode, ZegelError

ADDRESS = "127.0.0.1"
USER_AGENT = "in-process-client"

Metadata = tuple[tuple[str, str], ...]
Item = TypeVar("Item")


class Refused(Exception):  # noqa: N818 - what a client sees of an error
    """A call ended with an error.

    Args:
        details: Its ``google.rpc.Status``; empty if the server ended the call without one.
    """

    def __init__(self, details: bytes) -> None:
        self.details = details
        self.status = StatusCode(status_pb2.Status.FromString(details).code) if details else StatusCode.CANCELLED
        super().__init__(self.status.name)


class InProcessCall(Call):
    """The server's side of a call.

    Args:
        endpoint: What is called.
        metadata: What the request carries.
        timeout_s: How long the client waits.
    """

    __slots__ = ("sent",)

    def __init__(self, endpoint: Endpoint, metadata: Metadata, timeout_s: float | None) -> None:
        self.sent: asyncio.Queue[bytes | Refused] = asyncio.Queue(maxsize=1)
        super().__init__(endpoint, (*metadata, ("user-agent", USER_AGENT)), ADDRESS, timeout_s=timeout_s)

    async def send(self, message: bytes) -> None:
        await self.sent.put(message)

    async def send_error(self, error: ZegelError) -> None:
        await self.sent.put(Refused(status_of(error).SerializeToString()))


class Answer:
    """The client's side of a call, as far as tests use gRPC's.

    Args:
        task: Serves it.
        sent: What the server sent.
        parse: Makes a message of its bytes.
    """

    def __init__(
        self, task: "asyncio.Task[None]", sent: "asyncio.Queue[bytes | Refused]", parse: Callable[[bytes], Any]
    ) -> None:
        self._task = task
        self._sent = sent
        self._parse = parse

    async def read(self) -> Any:
        """The next message; ``None`` at the end."""
        if self._sent.empty():
            message = asyncio.ensure_future(self._sent.get())
            await asyncio.wait([message, self._task], return_when=asyncio.FIRST_COMPLETED)
            if not message.done():
                message.cancel()
                if self._task.cancelled():
                    raise Refused(b"")
                return self._task.result()
            found = message.result()
        else:
            found = self._sent.get_nowait()
        if isinstance(found, Refused):
            raise found
        return self._parse(found)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.read().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is None:
            raise StopAsyncIteration
        return message

    async def code(self) -> StatusCode:
        """Waits for a good end."""
        assert await self.read() is None
        return StatusCode.OK

    def done(self) -> bool:
        """Whether the server has ended it."""
        return self._task.done()

    def cancel(self) -> None:
        """Cancels the call."""
        self._task.cancel()


class InProcess:
    """The adapter.

    Args:
        pipeline: The stages.
        endpoints: What is offered.
    """

    def __init__(self, pipeline: Pipeline, endpoints: Iterable[Endpoint]) -> None:
        self._pipeline = pipeline
        self._endpoints: Mapping[str, Endpoint] = {each.method.path: each for each in endpoints}
        self._tasks: set[asyncio.Task[None]] = set()

    def call(
        self,
        path: str,
        request: bytes | AsyncIterable[bytes],
        parse: Callable[[bytes], Any],
        metadata: Metadata,
        timeout_s: float | None,
    ) -> Answer:
        """Begins a call.

        Args:
            path: The method's.
            request: The message, or messages.
            parse: Makes a message of an answer's bytes.
            metadata: What the request carries.
            timeout_s: How long the client waits.
        """
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            refused = Refused(status_of(unknown_method()).SerializeToString())
            sent: asyncio.Queue[bytes | Refused] = asyncio.Queue()
            sent.put_nowait(refused)
            task = asyncio.create_task(asyncio.sleep(0))
        else:
            call = InProcessCall(endpoint, metadata, timeout_s)
            sent, task = call.sent, asyncio.create_task(self._serve(call, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Answer(task, sent, parse)

    async def _serve(self, call: InProcessCall, request: bytes | AsyncIterable[bytes]) -> None:
        if isinstance(request, bytes):
            if call.endpoint.server_streams:
                return await self._pipeline.server_stream(call, request)
            answer = await self._pipeline.unary(call, request)
        else:
            answer = await self._pipeline.client_stream(call, request)
        if answer is not None:
            await call.sent.put(answer)
        return None

    async def stop(self) -> None:
        """Ends every call."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Stub:
    """A service's methods, called as those of gRPC's stubs are.

    Args:
        transport: Where to.
        service: Its descriptor.
    """

    def __init__(self, transport: InProcess, service: ServiceDescriptor) -> None:
        self._transport = transport
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        method = self._service.methods_by_name[name]
        parse = GetMessageClass(method.output_type).FromString
        path = f"/{self._service.full_name}/{name}"

        def call(request: Any, *, metadata: Metadata = (), timeout: float | None = None) -> Answer:
            sent = messages(request) if method.client_streaming else request.SerializeToString()
            return self._transport.call(path, sent, parse, metadata, timeout)

        async def messages(given: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[bytes]:
            async for each in either(given):
                yield each.SerializeToString()

        return call


async def either(given: AsyncIterable[Item] | Iterator[Item] | Iterable[Item]) -> AsyncIterator[Item]:
    """Yields a client's messages, from either kind of iterator."""
    if isinstance(given, AsyncIterable):
        async for each in given:
            yield each
    else:
        for one in given:
            yield one
