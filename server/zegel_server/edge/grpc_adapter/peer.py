"""The peer of a connection, as gRPC reports it."""

from ssl import PEM_cert_to_DER_cert
from typing import Any

from grpc.aio import ServicerContext


def address_of(peer: str) -> str:
    """The network address of a peer.

    Args:
        peer: gRPC's name for it, such as ``ipv4:127.0.0.1:5000``.

    Returns:
        The address; empty for a peer of another kind.
    """
    family, _, rest = peer.partition(":")
    if family in {"ipv4", "ipv6"}:
        return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return ""


def certificate_of(context: ServicerContext[Any, Any]) -> bytes | None:
    """The client's certificate, if mutual TLS is on.

    Args:
        context: The call.

    Returns:
        The certificate in DER, or ``None``.
    """
    pems = list(context.auth_context().get("x509_pem_cert") or ())
    return PEM_cert_to_DER_cert(pems[0].decode("ascii")) if pems else None
