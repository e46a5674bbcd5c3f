"""A sealing worker at work, with a sealer that does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.signing_world import World
from zegel_server.signing import store
from zegel_server.signing.worker import SealingWorker


@dataclass
class Sealer:
    """Does what a test says, and remembers who was worked on at the same time."""

    world: World
    act: Callable[[str], Awaitable[None]]
    running: set[str] = field(default_factory=set)
    most: int = 0
    calls: list[str] = field(default_factory=list)

    async def seal(self, tenant_id: str, signature_request_id: str) -> None:
        assert signature_request_id not in self.running
        self.running.add(signature_request_id)
        self.calls.append(signature_request_id)
        self.most = max(self.most, len(self.running))
        try:
            await self.act(signature_request_id)
            async with self.world.database.transaction() as transaction:
                await transaction.execute(store.DONE, signature_request_id=signature_request_id)
        finally:
            self.running.discard(signature_request_id)


@asynccontextmanager
async def working(*workers: SealingWorker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.01)
