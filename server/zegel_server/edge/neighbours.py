"""What the stages of a request ask of the domains; ``app`` hands in whoever does it."""

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
            certificate: The client's certificate in DER, where mutual TLS is on.

        Raises:
            Unauthenticated: The token is not good at this moment.
        """
        ...


class Exchange(Protocol):
    """Looks up what is to be exchanged for a session."""

    async def __call__(self, token: str, origin: Origin, certificate: bytes | None, message: Message) -> Caller:
        """Says who calls.

        Args:
            token: The bearer token.
            origin: Where the call came from.
            certificate: The client's certificate in DER, where mutual TLS is on.
            message: The request.

        Raises:
            Unauthenticated: The token is not good at this moment.
        """
        ...


async def no_exchange(token: str, origin: Origin, certificate: bytes | None, message: Message) -> Caller:
    """Refuses whatever is to be exchanged: see ``Exchange``."""
    del token, origin, certificate, message
    raise Unauthenticated("The token is malformed.", reason="SESSION_MALFORMED")


class Refusals(Protocol):
    """Hears of refused calls, to record them in the audit trail."""

    async def __call__(self, caller: Caller, method: Method, error: ZegelError) -> None:
        """Records that a call was refused.

        Args:
            caller: Who called.
            method: What was called.
            error: Why it was refused.
        """
        ...
