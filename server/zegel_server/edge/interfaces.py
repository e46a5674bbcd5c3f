"""What the stages of a request need from the domains; ``app`` supplies the implementations."""

from typing import Protocol

from google.protobuf.message import Message

from zegel_server.caller import Caller, Origin
from zegel_server.edge.methods import Method
from zegel_server.errors import Unauthenticated, ZegelError


class Authenticator(Protocol):
    """Looks a token up."""

    async def __call__(self, token: str, origin: Origin, certificate: bytes | None) -> Caller:
        """Says who calls.

        Args:
            token: The bearer token.
            origin: Where the call came from.
            certificate: The client's certificate in DER, if mutual TLS is on.

        Raises:
            Unauthenticated: The token is not valid at this moment.
        """
        ...


class Exchange(Protocol):
    """Looks up a credential that is to be exchanged for a session."""

    async def __call__(self, token: str, origin: Origin, certificate: bytes | None, message: Message) -> Caller:
        """Says who calls.

        Args:
            token: The bearer token.
            origin: Where the call came from.
            certificate: The client's certificate in DER, if mutual TLS is on.
            message: The request.

        Raises:
            Unauthenticated: The token is not valid at this moment.
        """
        ...


async def no_exchange(token: str, origin: Origin, certificate: bytes | None, message: Message) -> Caller:
    """Refuses every exchange; see ``Exchange``."""
    del token, origin, certificate, message
    raise Unauthenticated("The token is malformed.", reason="SESSION_MALFORMED")


class Refusals(Protocol):
    """Is called for refused calls, to record them in the audit trail."""

    async def __call__(self, caller: Caller, method: Method, error: ZegelError) -> None:
        """Records that a call was refused.

        Args:
            caller: Who called.
            method: What was called.
            error: Why it was refused.
        """
        ...
