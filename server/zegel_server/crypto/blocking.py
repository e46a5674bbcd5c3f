"""The base of providers over a blocking library: each runs its calls in its own threads, for a bounded time.

Invariants:

* A provider that hangs blocks only its own threads, neither another provider's nor the server's.
* The library's exceptions reach a caller as `errors.Unavailable`, without the library's text.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from zegel_server.crypto.root_keys import (
    DEFAULT_PURPOSE,
    RootKeyInfo,
    WrappedKey,
    check_purpose,
    provider_unavailable,
)
from zegel_server.crypto.wrapping import check_key_size

__all__ = ["CALL_TIMEOUT", "BlockingRootKeys"]

T = TypeVar("T")

CALL_TIMEOUT: Final = 10.0
"""Seconds after which a call is abandoned: a token answers in milliseconds, a networked provider within a second."""


class BlockingRootKeys(ABC):
    """A `RootKeys` provider whose work is done by the blocking methods of a subclass.

    Args:
        name: Prefix of its threads' names.
        failures: The exceptions of the library for a provider that cannot be reached or refuses.
        threads: How many calls may run at once.
        call_timeout: Seconds after which a call is abandoned.
    """

    def __init__(
        self, name: str, failures: tuple[type[Exception], ...], *, threads: int, call_timeout: float = CALL_TIMEOUT
    ) -> None:
        self._failures = failures
        self._timeout = call_timeout
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def create(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.create`."""
        return await self._run(self._create, check_purpose(purpose))

    async def ensure(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.ensure`."""
        return await self._run(self._ensure, check_purpose(purpose))

    async def primary(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.primary`."""
        return await self._run(self._primary, purpose)

    async def wrap(self, key: bytes, purpose: str = DEFAULT_PURPOSE) -> WrappedKey:
        """See `RootKeys.wrap`."""
        return await self._run(self._wrap, check_key_size(key), purpose)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """See `RootKeys.unwrap`."""
        return await self._run(self._unwrap, wrapped)

    async def destroy(self, root_key_id: str) -> None:
        """See `RootKeys.destroy`."""
        await self._run(self._destroy, root_key_id)

    async def list(self, purpose: str | None = None) -> list[RootKeyInfo]:
        """See `RootKeys.list`."""
        return [each for each in await self._run(self._list) if purpose is None or each.purpose == purpose]

    async def close(self) -> None:
        """See `RootKeys.close`."""
        try:
            await self._run(self._close)
        finally:
            self._pool.shutdown(wait=False)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        def guarded() -> T:
            try:
                return call(*args)
            except self._failures as error:
                raise provider_unavailable() from error

        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.get_running_loop().run_in_executor(self._pool, guarded)
        except TimeoutError:
            raise provider_unavailable() from None

    @abstractmethod
    def _create(self, purpose: str) -> str: ...

    @abstractmethod
    def _ensure(self, purpose: str) -> str: ...

    @abstractmethod
    def _primary(self, purpose: str) -> str: ...

    @abstractmethod
    def _wrap(self, key: bytes, purpose: str) -> WrappedKey: ...

    @abstractmethod
    def _unwrap(self, wrapped: WrappedKey) -> bytes: ...

    @abstractmethod
    def _destroy(self, root_key_id: str) -> None: ...

    @abstractmethod
    def _list(self) -> Sequence[RootKeyInfo]: ...

    @abstractmethod
    def _close(self) -> None: ...
