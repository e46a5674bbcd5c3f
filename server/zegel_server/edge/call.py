"""One request on its way through the stages, whatever transport carries it.

An adapter derives its own kind of ``Call``, which says how a message and an error are sent, and makes one for each
request. Everything else that a transport knows of a request is plain data here.
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
"""Characters kept of a client's name for itself."""

Metadata = Iterable[tuple[str, str | bytes]]
"""What a request carries beside its messages: keys in lower case, each with a value; a key may stand twice."""


class ClientGone(asyncio.CancelledError):
    """The client is gone, which ends the call as its transport's cancelling it does."""


class Call(ABC):
    """One request on its way.

    Args:
        endpoint: What is called.
        metadata: What the request carries beside its messages.
        address: The network address of the peer, without a port; empty where it has none.
        certificate: The client's certificate in DER, where mutual TLS is on.
        timeout_s: How long the client waits for its answer, in seconds; ``None`` where it did not say, or where the
            transport itself cancels the call then.
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
        # From here on, what the stages find out.
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
        """Sends one message of a streamed answer; returns once the transport takes another.

        Args:
            message: The message.

        Raises:
            ClientGone: The client is gone.
        """

    @abstractmethod
    async def send_error(self, error: ZegelError) -> None:
        """Sends the error that ends the call. It may raise what the transport's library wants raised then.

        Args:
            error: The error.
        """

    def begin(self, request_id: str, began: float) -> None:
        """Begins the call, in the task that serves it.

        Args:
            request_id: By which the operator finds its log line.
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
        """Ends the call from outside of its own task.

        Args:
            why: The error that its caller is sent; that it took too long, where left out.
        """
        if self.stopped is None and self.task is not None:
            self.stopped = why or Deadline("The call took longer than it may.")
            self.task.cancel()

    def check(self) -> None:
        """Refuses to answer a call that was stopped, however its servicer took that.

        Raises:
            BaseException: What it was stopped with.
        """
        if self.stopped is not None:
            raise self.stopped


NOWHERE: Final = Origin()
"""Where a call comes from whose metadata was not read."""


def read_metadata(metadata: Metadata) -> tuple[str, str]:
    """The bearer token of a request, and its client's name for itself.

    Args:
        metadata: The request's.

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
