"""The server's side of a synchronous client's calls, controlled by a test over ``grpc_testing``'s channel.

No server, no socket, no clock: the client runs in a thread, and its calls are taken and answered one by one. What
travels are the messages themselves, so this is for what the client does with calls, not for how they are encoded.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import grpc
import grpc_testing
from google.protobuf.descriptor import MethodDescriptor

import zegel
from support.fake_server import details
from zegel import _services

ResultT = TypeVar("ResultT")

SERVICES: Final = {service.descriptor.name: service.descriptor for service in _services.SERVICES}
PATIENCE_S: Final = 30.0
"""Seconds to wait for an expected call, so that a test fails instead of hanging."""


def in_thread(function: Callable[[], ResultT]) -> "Future[ResultT]":
    """Runs a function in a thread that nothing waits for at the end.

    Args:
        function: What to run.

    Returns:
        What becomes of it.
    """
    outcome: Future[ResultT] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def soon(function: Callable[[], ResultT]) -> ResultT:
    """The result of a function that blocks until the client acts.

    Raises:
        TimeoutError: The client did not.
    """
    return in_thread(function).result(PATIENCE_S)


class Method:
    """A method of the channel that keeps the deadline of each call, which ``grpc_testing`` drops."""

    def __init__(self, method: Any, timeouts: list[float | None]) -> None:
        self._method = method
        self._timeouts = timeouts

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        self._timeouts.append(timeout)
        return self._method(request, timeout=timeout, metadata=metadata)

    def future(self, requests: Any, timeout: float | None = None, metadata: Any = None) -> Any:
        self._timeouts.append(timeout)
        return self._method.future(requests, timeout=timeout, metadata=metadata)


class Taken:
    """A call that the client made.

    Attributes:
        authorization: What came with it under this name; ``None`` where nothing did.
        request: Its request; ``None`` for a stream of requests.
        rpc: The server's side of it, as ``grpc_testing`` has it.
    """

    def __init__(self, metadata: Any, request: Any, rpc: Any) -> None:
        self.authorization = dict(metadata or ()).get("authorization")  # the channel adds metadata of its own
        self.request = request
        self.rpc = rpc

    def answer(self, message: Any) -> None:
        """Ends a call of one answer well."""
        self.rpc.terminate(message, (), grpc.StatusCode.OK, "")

    def end(self) -> None:
        """Ends a stream of answers well."""
        self.rpc.terminate((), grpc.StatusCode.OK, "")

    def break_off(self, code: grpc.StatusCode, reason: str = "", **more: Any) -> None:
        """Ends the call with an error. What was sent and the client has not read yet is lost, as may happen with gRPC.

        Args:
            code: The status code.
            reason: Name of an error reason; by default none is sent, as when a connection breaks.
            more: Further parts of the error, see :func:`support.fake_server.details`.
        """
        trailing = details(code, reason, **more) if reason else ()
        if hasattr(self.rpc, "send_response"):
            self.rpc.terminate(trailing, code, "It was refused.")
        else:
            self.rpc.terminate(None, trailing, code, "It was refused.")

    def received(self) -> Any:
        """The next message of a stream of requests."""
        return soon(self.rpc.take_request)


class PlayedServer:
    """What clients that are made in a test call.

    Attributes:
        opened: The arguments of each channel that was opened.
        timeouts: The deadline of each call in seconds, in the order in which they were made.
    """

    def __init__(self) -> None:
        self._channel = grpc_testing.channel(SERVICES.values(), grpc_testing.strict_real_time())
        self.opened: list[dict[str, Any]] = []
        self.timeouts: list[float | None] = []
        self.closed = 0

    def insecure_channel(self, _address: str, arguments: list[tuple[str, Any]]) -> "PlayedServer":
        """In the place of ``grpc.insecure_channel``."""
        self.opened.append(dict(arguments))
        return self

    def unary_unary(self, *arguments: Any, **named: Any) -> Method:
        return Method(self._channel.unary_unary(*arguments, **named), self.timeouts)

    def unary_stream(self, *arguments: Any, **named: Any) -> Method:
        return Method(self._channel.unary_stream(*arguments, **named), self.timeouts)

    def stream_unary(self, *arguments: Any, **named: Any) -> Method:
        return Method(self._channel.stream_unary(*arguments, **named), self.timeouts)

    def close(self) -> None:
        self.closed += 1

    def client(self, **arguments: Any) -> zegel.Client:
        """A synchronous client over this channel."""
        made = type("Client", (zegel.Client,), {"_channels": self})
        client: zegel.Client = made("played", **{"token": "zk_secret", "insecure": True, **arguments})
        return client

    def take(self, name: str) -> Taken:
        """The next call of a method.

        Args:
            name: Service and method, such as ``AuditService.WatchEvents``.

        Raises:
            TimeoutError: The client does not make it.
        """
        service, _, method_name = name.partition(".")
        method: MethodDescriptor = SERVICES[service].methods_by_name[method_name]
        if method.client_streaming:
            metadata, rpc = soon(lambda: self._channel.take_stream_unary(method))
            return Taken(metadata, None, rpc)
        taking = self._channel.take_unary_stream if method.server_streaming else self._channel.take_unary_unary
        return Taken(*soon(lambda: taking(method)))
