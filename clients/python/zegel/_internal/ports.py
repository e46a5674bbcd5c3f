"""The two ports: over a synchronous channel, and over one of ``grpc.aio``."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from zegel._internal.contract import rpc_of
from zegel._internal.port import AnswerT, Call, Link, ResultT, prepared, shortened
from zegel._internal.retrying import Retrying
from zegel.errors import Unavailable, ZegelError, from_call

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True, slots=True)
class SyncPort:
    """Blocks, and never suspends: see :class:`zegel._internal.port.Port`."""

    link: Link
    call: Call

    async def unary(self, request: Message, _answer: type[AnswerT]) -> AnswerT:
        """See the protocol."""
        rpc, request = prepared(request, self.call)

        async def call(**arguments: Any) -> Any:
            return self.link.method(rpc)(request, **arguments)

        return await Retrying(self, rpc, self.call.arguments(stream=False)).answer(call)

    def receive(self, request: Message, _answer: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
        """See the protocol."""
        rpc, request = prepared(request, self.call)
        retrying = Retrying(self, rpc, self.call.arguments(stream=True))
        return retrying.messages(
            lambda **arguments: _Blocking(self.link.method(rpc)(request, **arguments)), _Blocking.leave
        )

    async def send(self, requests: Iterator[Message], kind: type[Message], _answer: type[AnswerT]) -> AnswerT:
        """See the protocol."""
        method = self.link.method(rpc_of(kind))
        pending = method.future(requests, **self.call.arguments(stream=True))
        try:
            result: AnswerT = pending.result()
        except grpc.RpcError as error:
            raise from_call(error) from error
        finally:
            _leave(pending)  # after a KeyboardInterrupt the stream is still open; otherwise this does nothing
        return result

    async def run(self, function: Callable[..., ResultT], *args: Any) -> ResultT:
        """See the protocol."""
        return function(*args)

    async def sleep(self, seconds: float) -> None:
        """See the protocol."""
        time.sleep(seconds)  # noqa: ASYNC251 - this port is driven without a loop

    def now(self) -> float:
        """See the protocol."""
        return time.monotonic()

    def within(self, seconds: float) -> Self:
        """See the protocol."""
        return replace(self, call=shortened(self.call, seconds))


@dataclass(frozen=True, slots=True)
class AioPort:
    """Over ``grpc.aio``: see :class:`zegel._internal.port.Port`."""

    link: Link
    call: Call

    async def unary(self, request: Message, _answer: type[AnswerT]) -> AnswerT:
        """See the protocol."""
        rpc, request = prepared(request, self.call)
        retrying = Retrying(self, rpc, self.call.arguments(stream=False))
        return await retrying.answer(lambda **arguments: self.link.method(rpc)(request, **arguments))

    def receive(self, request: Message, _answer: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
        """See the protocol."""
        rpc, request = prepared(request, self.call)
        retrying = Retrying(self, rpc, self.call.arguments(stream=True))
        return retrying.messages(lambda **arguments: self.link.method(rpc)(request, **arguments), _leave_stream)

    async def send(self, requests: Iterator[Message], kind: type[Message], _answer: type[AnswerT]) -> AnswerT:
        """See the protocol."""
        method = self.link.method(rpc_of(kind))
        try:
            result: AnswerT = await method(_in_thread(requests), **self.call.arguments(stream=True))
        except grpc.RpcError as error:
            raise _of_stream(from_call(error)) from error
        return result

    async def run(self, function: Callable[..., ResultT], *args: Any) -> ResultT:
        """See the protocol."""
        return await asyncio.to_thread(function, *args)

    async def sleep(self, seconds: float) -> None:
        """See the protocol."""
        await asyncio.sleep(seconds)

    def now(self) -> float:
        """See the protocol."""
        return time.monotonic()

    def within(self, seconds: float) -> Self:
        """See the protocol."""
        return replace(self, call=shortened(self.call, seconds))


class _Blocking:
    """A stream that blocks, as :meth:`Retrying.messages` reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._messages = iter(stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        for message in self._messages:
            return message
        raise StopAsyncIteration

    async def leave(self) -> None:
        """Ends it."""
        _leave(self._stream)


async def _leave_stream(stream: Any) -> None:
    """Ends a stream of ``grpc.aio``, which may be wrapped: see :func:`_leave`."""
    if hasattr(stream, "cancel"):
        stream.cancel()
    elif hasattr(stream, "aclose"):
        await stream.aclose()


def _leave(call: Any) -> None:
    """Ends a call that may still be in progress.

    A tracer or another interceptor of the caller's may have wrapped it, in a generator for example, which is closed
    instead. An iterator that can do neither ends its call when nothing refers to it any more.
    """
    end = getattr(call, "cancel", None) or getattr(call, "close", None)
    if end is not None:
        end()


def _of_stream(error: ZegelError) -> ZegelError:
    """Says what is known of a stream that the server ended while a request was being written.

    ``grpc.aio`` now and then puts INTERNAL, and a text about its own parts, in the place of the server's status.
    """
    if error.code is grpc.StatusCode.INTERNAL and not error.reason:
        return Unavailable("The server ended the stream while it was written to; why was lost on the way.")
    return error


async def _in_thread(requests: Iterator[MessageT]) -> AsyncIterator[MessageT]:
    """Takes each request in a thread: reading and hashing a file must not hold the loop up."""
    while (request := await asyncio.to_thread(next, requests, None)) is not None:
        yield request
