"""The seam between what the client does and how it reaches a server.

Each of the client's flows is written once, as a coroutine over a :class:`Port`. The asyncio client awaits it; the
synchronous client runs it to completion with a port that never suspends, and so needs no event loop.

Invariants:

* What a port raises is a :class:`~zegel.errors.ZegelError`, or comes from the caller's own files and callbacks.
* Closing a stream before its end cancels it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol, Self, TypeVar
from uuid import uuid4

from google.protobuf.message import Message

from zegel._internal.contract import STREAM_TIMEOUT_S, UNARY_TIMEOUT_S, Rpc, rpc_of
from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin

AnswerT = TypeVar("AnswerT", bound=Message)
ResultT = TypeVar("ResultT")


class Clock(Protocol):
    """The time, and how to wait."""

    async def sleep(self, seconds: float) -> None:
        """Waits.

        Args:
            seconds: How long.
        """
        ...

    def now(self) -> float:
        """The time in seconds, of a clock that is never set."""
        ...


class Port(Clock, Protocol):
    """How flows access a server, files and the clock."""

    async def unary(self, request: Message, _answer: type[AnswerT]) -> AnswerT:
        """Calls a unary method.

        Args:
            request: The request, whose type identifies the method. An empty ``request_id`` is filled in.
            _answer: The class of the response, only for the type checker.

        Raises:
            ZegelError: The call failed.
        """
        ...

    def receive(self, request: Message, _answer: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
        """Calls a method that streams its responses; close the generator to cancel.

        Args:
            request: The request.
            _answer: The class of the responses, only for the type checker.

        Raises:
            ZegelError: The call failed.
        """
        ...

    async def send(self, requests: Iterator[Message], kind: type[Message], _answer: type[AnswerT]) -> AnswerT:
        """Calls a method that takes a stream of requests.

        Args:
            requests: The requests, iterated over in another thread.
            kind: The class of the requests.
            _answer: The class of the response, only for the type checker.

        Raises:
            ZegelError: The call failed.
        """
        ...

    async def run(self, function: Callable[..., ResultT], *args: Any) -> ResultT:
        """Calls a function that may block, such as a file's ``write``.

        Args:
            function: The function.
            args: Its arguments.
        """
        ...

    def within(self, seconds: float) -> Self:
        """The same port, with calls and streams that take no longer than this.

        Args:
            seconds: How long, at most. A shorter timeout of the client's own stays.
        """
        ...


@dataclass(slots=True)
class Link:
    """A channel and its stubs, shared by a client and all clients derived from it.

    Attributes:
        open: Opens the channel. Called once, on the first call, since a ``grpc.aio`` channel belongs to an event loop.
    """

    open: Callable[[], Any]
    _channel: Any = None
    _stubs: dict[str, Any] = field(default_factory=dict)
    _closed: bool = False
    _lock: Lock = field(default_factory=Lock)

    def method(self, rpc: Rpc) -> Any:
        """The callable of a method.

        Raises:
            RuntimeError: The client was closed.
        """
        stub = self._stubs.get(rpc.service)
        if stub is None:
            with self._lock:
                if self._closed:
                    raise RuntimeError("the client is closed")
                if self._channel is None:
                    self._channel = self.open()
                self._stubs[rpc.service] = stub = rpc.stub(self._channel)
        return getattr(stub, rpc.name)

    def close(self) -> Any:
        """Marks the link as closed.

        Returns:
            The channel to close, or ``None`` if none was opened.
        """
        with self._lock:
            channel, self._channel, self._closed = self._channel, None, True
            self._stubs.clear()
        return channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What every call carries.

    Attributes:
        token: The bearer token, or ``None``.
        timeout: Seconds that a call may take; ``None`` means the defaults for unary calls and streams.
        asserted_origin: Where the signer is, for requests that take it and do not say it themselves.
    """

    token: str | None = field(default=None, repr=False)
    timeout: float | None = None
    asserted_origin: AssertedOrigin | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise ValueError("token: has a line break or another character that no token has")  # never shown: a secret

    def arguments(self, *, stream: bool) -> dict[str, Any]:
        """Keyword arguments for a stub's method.

        Args:
            stream: Whether either side streams.
        """
        default = STREAM_TIMEOUT_S if stream else UNARY_TIMEOUT_S
        metadata = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        return {"timeout": default if self.timeout is None else self.timeout, "metadata": metadata}


def shortened(call: Call, seconds: float) -> Call:
    """The same call, with a timeout of at most so many seconds.

    Args:
        call: The call.
        seconds: How long.
    """
    return replace(call, timeout=seconds if call.timeout is None else min(call.timeout, seconds))


def prepared(request: Message, call: Call) -> tuple[Rpc, Message]:
    """Finds a request's method, and fills in what it takes and does not have: a ``request_id``, and where a signer is.

    Args:
        request: The request.
        call: What every call carries.
    """
    rpc = rpc_of(request)
    if call.asserted_origin is not None and rpc.takes_asserted_origin and not request.HasField("asserted_origin"):
        getattr(request, "asserted_origin").CopyFrom(call.asserted_origin)  # noqa: B009 - any message that has one
    if rpc.takes_request_id and not getattr(request, "request_id"):  # noqa: B009 - any message that has one
        setattr(request, "request_id", str(uuid4()))  # noqa: B010 - the same
    return rpc, request


def drive(flow: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a flow over a port that never suspends, without an event loop.

    Args:
        flow: The coroutine.

    Returns:
        What it returns.
    """
    try:
        flow.send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    finally:
        flow.close()
    raise RuntimeError("a synchronous port suspended")


async def following(stream: AsyncIterator[ResultT]) -> ResultT:
    """The next item of an asynchronous iterator, as a coroutine that :func:`drive` can run.

    Raises:
        StopAsyncIteration: There are no more items.
    """
    return await anext(stream)
