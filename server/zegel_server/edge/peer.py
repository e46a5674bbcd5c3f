"""Who is at the other end of a connection, as gRPC tells it."""

from typing import Any, Final

from grpc.aio import ServicerContext

from zegel_server.errors import Unauthenticated

MAX_USER_AGENT: Final = 256
"""Characters kept of a client's name for itself."""


def address_of(peer: str) -> str:
    """The network address of a peer.

    Args:
        peer: gRPC's name of it, such as ``ipv4:127.0.0.1:5000``.

    Returns:
        The address; empty for a peer of another kind.
    """
    family, _, rest = peer.partition(":")
    if family in {"ipv4", "ipv6"}:
        return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return ""


def certificate_of(context: ServicerContext[Any, Any]) -> bytes | None:
    """The client's certificate, where mutual TLS is on.

    Args:
        context: The call.

    Returns:
        The certificate in DER, or ``None``.
    """
    pems = list(context.auth_context().get("x509_pem_cert") or ())
    if not pems:
        return None
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - as below
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - only where mutual TLS is on

    return load_pem_x509_certificate(pems[0]).public_bytes(Encoding.DER)


def token_of(context: ServicerContext[Any, Any]) -> tuple[str, str]:
    """The bearer token of a call, and its client's name for itself.

    Args:
        context: The call.

    Raises:
        Unauthenticated: It carries none, or more than one.
    """
    token, user_agent = "", ""
    for key, value in context.invocation_metadata() or ():
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
