"""A running sealing worker, with a sealer that does what a test sets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.signing_world import World
from zegel_server.jobs import queue
from zegel_server.jobs.model import Job
from zegel_server.jobs.worker import Worker
from zegel_server.signing.sealing_job import Seals, sealing_kind


@dataclass
class Sealer:
    """Does what a test sets, and records which requests were worked on concurrently."""

    world: World
    act: Callable[[str], Awaitable[None]]
    running: set[str] = field(default_factory=set)
    most: int = 0
    calls: list[str] = field(default_factory=list)

    async def seal(self, job: Job) -> None:
        assert job.resource_id not in self.running
        self.running.add(job.resource_id)
        self.calls.append(job.resource_id)
        self.most = max(self.most, len(self.running))
        try:
            await self.act(job.resource_id)
            async with self.world.database.transaction() as transaction:
                await queue.finish(transaction, job)
        finally:
            self.running.discard(job.resource_id)


def sealing_worker(world: World, sealer: Seals) -> Worker:
    return Worker(world.database, [sealing_kind(world.database, sealer, world.recorder)])


@asynccontextmanager
async def working(*workers: Worker) -> AsyncIterator[None]:
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
