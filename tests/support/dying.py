"""Simulates, for the code under test, a process that dies at its n-th step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any


class Killed(BaseException):
    """Stands for the end of the process: the code under test must not handle it."""


class Mortal:
    """Passes calls on, and dies before or after the n-th call, counted over all the objects that it wraps."""

    def __init__(self, inner: Any, death: "Death") -> None:
        self._inner = inner
        self._death = death

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def called(*args: Any, **values: Any) -> Any:
            return self._death.around(lambda: found(*args, **values))

        return called


class Death:
    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed

    def around(self, call: Callable[[], Any]) -> Any:
        made = call()
        if hasattr(made, "__aenter__"):
            return self._transaction(made)
        return self._awaited(made) if asyncio.iscoroutine(made) else made

    async def _awaited(self, made: Awaitable[Any]) -> Any:
        try:
            self.step()
        except Killed:
            made.close()  # type: ignore[attr-defined]
            raise
        done = await made
        self.step()
        return done

    @asynccontextmanager
    async def _transaction(self, made: Any) -> AsyncIterator[Any]:
        self.step()
        async with made as transaction:
            yield Mortal(transaction, self)
            self.step()
        self.step()
