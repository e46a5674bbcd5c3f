"""A bounded number of places for work in this process, which tenants take by turns.

Example::

    places = Places(2)
    async with places.place(tenant_id, small=size < 1_000_000):
        ...

Invariants:

* At most ``most`` have a place, and one more that is small and whose tenant has no place: so a tenant's large work that
  has all of them does not hold up another's small work.
* A free place goes to a tenant with the fewest places, of these to the one that was served longest ago; a tenant's own
  work waits in the order in which it came.
* Whoever stops waiting, or ends in any way, leaves no place taken.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True, eq=False)
class _Waiting:
    granted: "asyncio.Future[bool]"
    """Done when there is a place: whether it is an ordinary one."""
    is_small: bool


class Places:
    """The places.

    Args:
        most: How many there are, apart from the one for small work.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._is_reserve_free = True
        self._taken: Final[Counter[str]] = Counter()
        self._waiting: Final[OrderedDict[str, deque[_Waiting]]] = OrderedDict()

    def waiting(self, tenant_id: str) -> int:
        """How many of a tenant's wait for a place.

        Args:
            tenant_id: The tenant.
        """
        return len(self._waiting.get(tenant_id, ()))

    @asynccontextmanager
    async def place(self, tenant_id: str, *, small: bool = False) -> AsyncIterator[None]:
        """Waits for a place, and has it until the end of the block.

        Args:
            tenant_id: Whose work it is; empty for the installation's own.
            small: Whether it is certainly small.
        """
        mine = _Waiting(asyncio.get_running_loop().create_future(), small)
        self._waiting.setdefault(tenant_id, deque()).append(mine)
        self._grant()
        try:
            await mine.granted
        except asyncio.CancelledError:
            if mine.granted.done() and not mine.granted.cancelled():
                self._leave(tenant_id, is_ordinary=mine.granted.result())
            else:
                self._forget(tenant_id, mine)
            raise
        try:
            yield
        finally:
            self._leave(tenant_id, is_ordinary=mine.granted.result())

    def _grant(self) -> None:
        """Gives free places to those whose turn it is."""
        while (tenant_id := self._next()) is not None:
            mine = self._waiting[tenant_id][0]
            is_ordinary = self._free > 0
            if is_ordinary:
                self._free -= 1
            else:
                self._is_reserve_free = False
            self._taken[tenant_id] += 1
            self._forget(tenant_id, mine)
            if tenant_id in self._waiting:
                self._waiting.move_to_end(tenant_id)
            mine.granted.set_result(is_ordinary)

    def _next(self) -> str | None:
        """Whose turn it is; ``None`` if nobody can have a place."""
        if self._free:
            return min(self._waiting, key=self._taken.__getitem__, default=None)  # the first of those with the fewest
        if self._is_reserve_free:
            return next(
                (each for each, own in self._waiting.items() if own[0].is_small and not self._taken[each]), None
            )
        return None

    def _forget(self, tenant_id: str, mine: _Waiting) -> None:
        own = self._waiting[tenant_id]
        own.remove(mine)
        if not own:
            del self._waiting[tenant_id]

    def _leave(self, tenant_id: str, *, is_ordinary: bool) -> None:
        self._taken[tenant_id] -= 1
        if not self._taken[tenant_id]:
            del self._taken[tenant_id]
        if is_ordinary:
            self._free += 1
        else:
            self._is_reserve_free = True
        if tenant_id in self._waiting:
            self._waiting.move_to_end(tenant_id)
        self._grant()
