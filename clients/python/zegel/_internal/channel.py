"""Opens a channel to a server: TLS by default, keepalive, and the retries that the contract allows.

Invariants:

* Without ``insecure=True`` nothing is sent unencrypted: anyone on the network could use the token.
* Retries are gRPC's own, set in the service config; DNS records cannot change them.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from zegel import __version__
from zegel._internal.contract import service_config

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Largest message that a server accepts or sends."""

KEEPALIVE_MS: Final = 60_000
"""One ping per minute while a call is in progress: detects a dead connection without exceeding a server's limit."""

KEEPALIVE_TIMEOUT_MS: Final = 20_000
"""How long to wait for the reply to a ping."""

RECONNECT_MS: Final = (100, 3_000)
"""First and longest pause between connection attempts: no longer than the pause between retries."""

PEM_BEGINS: Final = "-----BEGIN "
"""How PEM begins, and no path of a file."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The address of a server, and how to connect to it.

    Attributes:
        address: ``host:port``, or any other target that gRPC resolves.
        root_certificates: PEM of the certificate authorities to trust; ``None`` means the system's.
        client_key: PEM of the client's private key, for mutual TLS.
        client_certificates: PEM of the client's certificate chain, for mutual TLS.
        insecure: Whether to connect without TLS.
        options: Further gRPC channel arguments, which override the client's own.
    """

    address: str
    root_certificates: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)
    client_certificates: bytes | None = None
    insecure: bool = False
    options: Sequence[tuple[str, Any]] = ()

    def __post_init__(self) -> None:
        if not self.address or re.match("https?://", self.address):
            raise ValueError("target: host:port, such as sign.example.com:443, without https://")
        given = (self.root_certificates, self.client_key, self.client_certificates)
        if self.insecure and any(each is not None for each in given):
            raise ValueError("insecure=True connects without TLS and takes no certificates")
        if (self.client_key is None) != (self.client_certificates is None):
            raise ValueError("mutual TLS needs both client_key and client_certificates")
        if self.root_certificates is not None and b"CERTIFICATE-----" not in self.root_certificates:
            raise ValueError(
                "root_certificates: PEM, or the path of a file with PEM, and there is no certificate in it"
            )

    def open(self, kind: Any) -> Any:
        """Opens a channel, which connects on the first call.

        Args:
            kind: ``grpc`` for a synchronous channel, ``grpc.aio`` for one of asyncio.
        """
        if self.insecure:
            return kind.insecure_channel(self.address, self._arguments())
        credentials = grpc.ssl_channel_credentials(self.root_certificates, self.client_key, self.client_certificates)
        return kind.secure_channel(self.address, credentials, self._arguments())

    def _arguments(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.service_config", service_config()),
            ("grpc.service_config_disable_resolution", 1),
            # gRPC does not retry a message larger than this buffer; the default is smaller than a drawn signature.
            ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS[0]),
            ("grpc.min_reconnect_backoff_ms", RECONNECT_MS[0]),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MS[1]),
            ("grpc.primary_user_agent", f"zegel-python/{__version__}"),
            *self.options,
        ]


def pem(source: bytes | PathLike | None) -> bytes | None:
    """Returns PEM that was given directly or as the path of a file.

    Args:
        source: The PEM as bytes or text, or a path.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, str) and source.lstrip().startswith(PEM_BEGINS):
        return source.encode()
    return Path(source).read_bytes() if isinstance(source, str | os.PathLike) else source
