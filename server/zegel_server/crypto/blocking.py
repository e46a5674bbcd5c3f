"""The base of providers over a blocking library: each runs its calls in its own threads, for a bounded time.

Invariants:

* A provider that hangs blocks only its own threads, neither another provider's nor the server's.
* The library's exceptions reach a caller as `errors.Unavailable`, without the library's text.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, cast

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

MAX_STUCK: Final = 16
"""Threads of calls that were given up and still run, as with a provider that sends a byte now and then: from this many
on the provider is not asked until one of them ends."""


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
        self._prefix_of_threads = name
        self._most_threads = threads
        self._pool = self._new_pool()
        self._stuck: set[Future[object]] = set()

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

        self._stuck = {each for each in self._stuck if not each.done()}
        if len(self._stuck) >= MAX_STUCK:
            raise provider_unavailable()
        running: Future[object] = self._pool.submit(guarded)
        try:
            async with asyncio.timeout(self._timeout):
                return cast("T", await asyncio.shield(asyncio.wrap_future(running)))
        except TimeoutError:
            # Its thread is lost until the library gives up. One thread alone means that the library allows no more.
            if not running.cancel() and not running.done() and self._most_threads > 1:
                self._stuck.add(running)
                self._pool.shutdown(wait=False)
                self._pool = self._new_pool()
            raise provider_unavailable() from None
        except asyncio.CancelledError:
            running.cancel()
            raise

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._most_threads, thread_name_prefix=self._prefix_of_threads)

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
