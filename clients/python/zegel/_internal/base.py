"""What both clients share: the target, the token, and clients derived from other clients."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from zegel._internal.channel import PathLike, Target, pem
from zegel._internal.port import Call, Link
from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin


class ClientBase:
    """See :class:`zegel.Client` and :class:`zegel.aio.Client`."""

    _channels: ClassVar[Any]
    """The module that opens channels: ``grpc`` or ``grpc.aio``."""

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        root_certificates: bytes | PathLike | None = None,
        client_key: bytes | PathLike | None = None,
        client_certificates: bytes | PathLike | None = None,
        insecure: bool = False,
        timeout: float | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        server = Target(
            address=target,
            root_certificates=pem(root_certificates),
            client_key=pem(client_key),
            client_certificates=pem(client_certificates),
            insecure=insecure,
            options=options,
        )
        self.target = target
        self._owns_link = True
        self._link = Link(lambda: server.open(self._channels))
        self._call = Call(token=token, timeout=timeout)
        self._bind(self._link, self._call)

    def _bind(self, link: Link, call: Call) -> None:
        """Creates the services."""
        raise NotImplementedError

    def with_token(self, token: str | None) -> Self:
        """A client over the same connection that uses another token.

        Args:
            token: An API key or a session token.

        Returns:
            A client that works until this one is closed. Closing it has no effect.
        """
        return self._derived(Call(token=token, timeout=self._call.timeout))

    def with_timeout(self, timeout: float | None) -> Self:
        """A client over the same connection with another timeout.

        Args:
            timeout: Seconds, for calls and streams alike; ``None`` for the defaults.

        Returns:
            A client that works until this one is closed. Closing it has no effect.
        """
        return self._derived(replace(self._call, timeout=timeout))

    def with_asserted_origin(self, *, address: str = "", user_agent: str = "", time_zone: str = "") -> Self:
        """A client whose calls for a signer say where the signer is: for a server that calls in the signer's place.

        Zegel sees that server's address and program. It keeps what is said here apart, as asserted by the caller. A
        client that is made from it with another token says nothing.

        Args:
            address: The signer's network address, without a port.
            user_agent: The signer's program, such as the ``User-Agent`` of the request that you serve.
            time_zone: The IANA name of the time zone of the signer's device.

        Returns:
            A client over the same connection, with the same token. Closing it has no effect.
        """
        origin = AssertedOrigin(address=address, user_agent=user_agent, time_zone=time_zone)
        return self._derived(replace(self._call, asserted_origin=origin))

    def _derived(self, call: Call) -> Self:
        client = copy.copy(self)
        client._owns_link = False  # noqa: SLF001 - one of our own
        client._call = call  # noqa: SLF001 - the same
        client._bind(client._link, call)  # noqa: SLF001 - the same
        return client

    def _release(self) -> Any:
        """The channel to close, or ``None`` if another client owns it."""
        return self._link.close() if self._owns_link else None

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self.target!r})"
