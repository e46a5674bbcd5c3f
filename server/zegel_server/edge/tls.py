"""What a server shows of itself when a connection is made, whatever it then speaks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows of itself, and asks of clients.

    Attributes:
        certificate: Chain, PEM.
        key: Its key, PEM.
        client_authority: Authority of client certificates, PEM; ``None`` where clients need none.
    """

    certificate: bytes
    key: bytes
    client_authority: bytes | None = None
