"""One request on its way through the stages, independent of its transport.

An adapter derives a class from ``Call`` that sends messages and errors, and makes one for each request. Everything else
that a transport knows about a request is plain data here.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import Message

from zegel_server.caller import Caller, Origin, Scope
from zegel_server.edge.endpoints import Endpoint
from zegel_server.edge.limits import Admission
from zegel_server.edge.status import Deadline
from zegel_server.errors import Unauthenticated, ZegelError

MAX_USER_AGENT: Final = 256
"""How many characters of a user agent are kept."""

Metadata = Iterable[tuple[str, str | bytes]]
"""A request's metadata: keys in lower case, each with a value; a key may occur more than once."""


class ClientGone(asyncio.CancelledError):
    """The client is gone, which ends the call as its transport's cancelling it does."""


class Call(ABC):
    """One request on its way through the stages.

    Args:
        endpoint: What is called.
        metadata: The request's metadata.
        address: The network address of the peer, without a port; empty if it has none.
        certificate: The client's certificate in DER, if mutual TLS is on.
        timeout_s: The client's timeout in seconds; ``None`` if it set none, or if the transport itself cancels the call
            when it passes.
    """

    __slots__ = (
        "address",
        "admission",
        "began",
        "caller",
        "certificate",
        "code",
        "due",
        "endpoint",
        "message",
        "metadata",
        "origin",
        "reason",
        "request_id",
        "scopes",
        "session_id",
        "shared",
        "stopped",
        "task",
        "timeout_s",
        "token",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        metadata: Metadata,
        address: str,
        certificate: bytes | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.metadata = metadata
        self.address = address
        self.certificate = certificate
        self.timeout_s = timeout_s
        # Set by the stages from here on.
        self.request_id = ""
        self.began = 0.0
        self.due = 0.0
        self.task: asyncio.Task[object] | None = None
        self.stopped: BaseException | None = None
        self.code = "OK"
        self.reason = ""
        self.admission: Admission | None = None
        self.token = ""
        self.origin = NOWHERE
        self.message: Callable[[], Message] | None = None
        self.caller: Caller | None = None
        self.session_id = ""
        self.scopes = Scope.NONE
        self.shared: tuple[str, ...] = ()

    @abstractmethod
    async def send(self, message: bytes) -> None:
        """Sends one message of a streamed answer; returns once the transport accepts the next.

        Args:
            message: The message.

        Raises:
            ClientGone: The client is gone.
        """

    @abstractmethod
    async def send_error(self, error: ZegelError) -> None:
        """Sends the error that ends the call. It may raise what the transport's library requires to be raised then.

        Args:
            error: The error.
        """

    def begin(self, request_id: str, began: float) -> None:
        """Begins the call, in the task that serves it.

        Args:
            request_id: Identifies its log line.
            began: When it began, by the telemetry's clock.
        """
        self.request_id = request_id
        self.began = began
        self.task = asyncio.current_task()
        longest = self.endpoint.method.cap_s
        if self.timeout_s is not None and self.timeout_s < longest:
            longest = self.timeout_s
        self.due = asyncio.get_running_loop().time() + longest

    def stop(self, why: BaseException | None = None) -> None:
        """Ends the call from outside its own task.

        Args:
            why: The error that its caller is sent; by default, that it took too long.
        """
        if self.stopped is None and self.task is not None:
            self.stopped = why or Deadline("The call took longer than it may.")
            self.task.cancel()

    def check(self) -> None:
        """Refuses to answer a call that was stopped, whatever its servicer did about that.

        Raises:
            BaseException: What it was stopped with.
        """
        if self.stopped is not None:
            raise self.stopped


NOWHERE: Final = Origin()
"""The origin of a call whose metadata was not read."""


def read_metadata(metadata: Metadata) -> tuple[str, str]:
    """The bearer token of a request, and its user agent.

    Args:
        metadata: The request's metadata.

    Raises:
        Unauthenticated: It carries no token, or more than one.
    """
    token, user_agent = "", ""
    for key, value in metadata:
        if key == "authorization":
            if token:
                raise Unauthenticated("The call carries two tokens.", reason="SESSION_MALFORMED")
            token = str(value)
        elif key == "user-agent":
            user_agent = str(value)
    scheme, _, token = token.partition(" ")
    if not token or scheme.lower() != "bearer":
        raise Unauthenticated("The call carries no authorization: Bearer metadata.")
    return token, user_agent[:MAX_USER_AGENT]
