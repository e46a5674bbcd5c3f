"""How a channel to a server is made: TLS unless told otherwise, keepalive, and the contract's retries.

Invariants:

* Without ``insecure=True`` no byte leaves unencrypted: a token in clear is everybody's token.
* Retries are gRPC's own, told through the service config; nothing a DNS record says changes them.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import grpc

from zegel._internal.contract import service_config

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""The largest message a server takes or sends."""

KEEPALIVE_MS: Final = 60_000
"""A ping a minute while a call is under way: a dead connection is noticed, a server's patience is not tried."""

KEEPALIVE_TIMEOUT_MS: Final = 20_000
"""How long the answer to a ping may take."""

RECONNECT_MS: Final = (100, 3_000)
"""The first and the longest pause between attempts to connect: not longer than a retry waits."""

PathLike = str | os.PathLike[str]


def sdk_version() -> str:
    """The version that is installed; ``0`` where the package is used without being installed."""
    try:
        return version("zegel")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a server is, and how to speak with it.

    Attributes:
        address: ``host:port``, or any other target that gRPC resolves.
        root_certificates: PEM of the authorities to trust; the system's where ``None``.
        client_key: PEM of the client's private key, for mutual TLS.
        client_certificates: PEM of the client's certificate chain, for mutual TLS.
        insecure: Whether to speak without TLS.
        options: Further gRPC channel arguments; they win over the client's own.
    """

    address: str
    root_certificates: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)
    client_certificates: bytes | None = None
    insecure: bool = False
    options: Sequence[tuple[str, Any]] = ()

    def __post_init__(self) -> None:
        given = (self.root_certificates, self.client_key, self.client_certificates)
        if self.insecure and any(each is not None for each in given):
            raise ValueError("insecure=True takes no certificates: it speaks without TLS")
        if (self.client_key is None) != (self.client_certificates is None):
            raise ValueError("mutual TLS takes both client_key and client_certificates")

    def open(self, kind: Any) -> Any:
        """Opens a channel; it connects with the first call.

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
            # What is larger than the retry buffer is never retried; gRPC's default is less than a drawn signature.
            ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS[0]),
            ("grpc.min_reconnect_backoff_ms", RECONNECT_MS[0]),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MS[1]),
            ("grpc.primary_user_agent", f"zegel-python/{sdk_version()}"),
            *self.options,
        ]


def pem(source: bytes | PathLike | None) -> bytes | None:
    """Reads PEM that was given as itself or as the path of a file.

    Args:
        source: The bytes, or a path.

    Raises:
        OSError: The file cannot be read.
    """
    return Path(source).read_bytes() if isinstance(source, str | os.PathLike) else source
