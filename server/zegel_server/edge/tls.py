"""TLS settings of a server, for any transport."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's certificate, and whether clients need one.

    Attributes:
        certificate: Its chain, PEM.
        key: Its key, PEM.
        client_authority: Authority of client certificates, PEM; ``None`` if clients need none.
    """

    certificate: bytes
    key: bytes
    client_authority: bytes | None = None
