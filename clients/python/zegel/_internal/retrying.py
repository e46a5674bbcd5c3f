"""When a call that met a limit is made again: gRPC's own retries know nothing of ``RetryInfo``.

Invariants:

* Only what may be repeated is: what the contract declares so, and what has a ``request_id``.
* Only where the server says how long to wait: at least that, and a random time more that doubles with each attempt, so
  that callers who were refused together do not all come back together.
* The attempts together take no longer than the call may.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from random import SystemRandom
from typing import Any, Final, TypeVar

import grpc

from zegel._internal.contract import UNARY_TIMEOUT_S, Rpc
from zegel._internal.port import AnswerT, Clock
from zegel.errors import ResourceExhausted, ZegelError, from_call

StreamT = TypeVar("StreamT", bound=AsyncIterable[Any])

FIRST_SPREAD_S: Final = 0.1
"""The random time before the second attempt is up to this long."""

LONGEST_SPREAD_S: Final = 5.0
"""It doubles up to this length."""

_RANDOM: Final = SystemRandom()


class Retrying:
    """The attempts of one call.

    Args:
        clock: The time, and how to wait.
        rpc: The method.
        arguments: The call's keyword arguments, whose ``timeout`` becomes what is left for the next attempt. The
            opening of a stream is tried for no longer than a unary call.
    """

    def __init__(self, clock: Clock, rpc: Rpc, arguments: dict[str, Any]) -> None:
        self._clock = clock
        self._allowed = rpc.repeatable or rpc.takes_request_id
        self._arguments = arguments
        self._timeout: float = arguments["timeout"]
        self._began = clock.now()
        self._spread = FIRST_SPREAD_S

    async def answer(self, call: Callable[..., Awaitable[AnswerT]]) -> AnswerT:
        """Makes a unary call until it is answered, or may not be made again.

        Args:
            call: Makes it, with the call's keyword arguments.

        Raises:
            ZegelError: The last attempt failed.
        """
        while True:
            try:
                return await call(**self._arguments)
            except grpc.RpcError as error:
                failure = from_call(error)
                if not await self.again(failure):
                    raise failure from error

    async def messages(
        self, call: Callable[..., StreamT], leave: Callable[[StreamT], Awaitable[None]]
    ) -> AsyncGenerator[Any, None]:
        """Opens a stream until a first message comes, or it may not be opened again; yields its messages.

        Args:
            call: Opens it, with the call's keyword arguments.
            leave: Ends it, at its end too.

        Raises:
            ZegelError: The last attempt failed, or the stream broke after its first message.
        """
        begun = False
        while True:
            stream = call(**self._arguments)
            try:
                async for message in stream:
                    begun = True
                    yield message
            except grpc.RpcError as error:
                failure = from_call(error)
                if begun or not await self.again(failure):
                    raise failure from error
            else:
                return
            finally:
                await leave(stream)

    async def again(self, error: ZegelError) -> bool:
        """Waits where another attempt may succeed.

        Args:
            error: How the last one ended.

        Returns:
            Whether to make another one.
        """
        if not (self._allowed and isinstance(error, ResourceExhausted)) or error.retry_after is None:
            return False
        spare = self._left(min(self._timeout, UNARY_TIMEOUT_S)) - error.retry_after
        if spare <= 0:
            return False
        longest = max(self._spread, min(error.retry_after, LONGEST_SPREAD_S))
        await self._clock.sleep(error.retry_after + _RANDOM.uniform(0, min(longest, spare / 2)))
        self._spread = min(LONGEST_SPREAD_S, self._spread * 2)
        left = self._left(self._timeout)
        self._arguments["timeout"] = left
        return left > 0

    def _left(self, of: float) -> float:
        return of - (self._clock.now() - self._began)
