"""The job queue: jobs of a trivial kind per second, against the minimum that a job costs in the database.

A round enqueues jobs, each in its own transaction, from 64 concurrent tasks, and then runs one worker until none is
left. The floor is the same number of rows inserted and deleted, each in its own transaction, from as many tasks: what
any durable queue must do. Rounds are interleaved, each on an empty database, and medians are reported.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sqlalchemy import delete

from bench import _run
from zegel_server.db import Database, Statement, bind, open_database
from zegel_server.db.migrate import upgrade
from zegel_server.db.schema import jobs
from zegel_server.jobs import kinds, queue, store
from zegel_server.jobs.model import Job, JobKind
from zegel_server.jobs.worker import Worker

AT_ONCE: Final = 64
"""Number of concurrent tasks that enqueue, and of jobs that run concurrently."""
TRIVIAL: Final = kinds.register("trivial")
"""A kind of job that does nothing."""
ROUNDS: Final = {"small": 3, "large": 9}
JOBS: Final = {"sqlite": {"small": 3_000, "large": 20_000}, "postgresql": {"small": 800, "large": 8_000}}
TARGET: Final = 1_000
"""Goal: jobs of a trivial kind per second on SQLite."""
_DELETE: Final = Statement(delete(jobs).where(jobs.c.kind == bind("kind"), jobs.c.resource_id == bind("resource")))


async def spread(work: Callable[[int], Awaitable[None]], number: int) -> float:
    """Runs something a number of times from ``AT_ONCE`` tasks.

    Args:
        work: What to run; gets the number of the run.
        number: Number of runs.

    Returns:
        Runs per second.
    """
    numbers = iter(range(number))

    async def task() -> None:
        for each in numbers:
            await work(each)

    began = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(AT_ONCE)))
    return number / (time.perf_counter() - began)


async def floor_round(database: Database, number: int) -> float:
    """Returns rows inserted and deleted per second, one operation after the other as in the queue."""

    async def insert(each: int) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(
                store.INSERT,
                kind="floor",
                tenant_id="ten_1",
                resource_id=f"r{each}",
                payload="{}",
                order_key=None,
                state="WAITING",
                scheduled_time=0,
                due_time=0,
            )

    async def remove(each: int) -> None:
        async with database.transaction() as transaction:
            await transaction.execute(_DELETE, kind="floor", resource=f"r{each}")

    inserted, removed = await spread(insert, number), await spread(remove, number)
    return 1 / (1 / inserted + 1 / removed)


async def queue_round(database: Database, number: int, *, keys: int = 0) -> tuple[float, float, float]:
    """Returns jobs enqueued per second, jobs done per second, and the rate of both one after the other."""
    done = asyncio.Event()
    left = number

    async def enqueue(each: int) -> None:
        async with database.transaction() as transaction:
            await queue.enqueue(
                transaction,
                TRIVIAL,
                tenant_id="ten_1",
                resource_id=f"r{each}",
                order_key=f"k{each % keys}" if keys else None,
            )

    async def work(_job: Job) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    enqueued = await spread(enqueue, number)
    began = time.perf_counter()
    worker = asyncio.create_task(Worker(database, [JobKind(TRIVIAL, work, concurrency=AT_ONCE)]).run())
    await done.wait()
    ran = number / (time.perf_counter() - began)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return enqueued, ran, 1 / (1 / enqueued + 1 / ran)


async def measure(url: str, size: str, kind: str) -> dict[str, float]:
    """Returns the medians of the rounds on one database."""
    await upgrade(url)
    database = await open_database(url)
    rounds: dict[str, list[float]] = {name: [] for name in ("floor", "enqueued", "done", "both", "ordered_done")}
    for _ in range(ROUNDS[size]):
        number = JOBS[kind][size]
        rounds["floor"].append(await floor_round(database, number))
        for name, value in zip(("enqueued", "done", "both"), await queue_round(database, number), strict=True):
            rounds[name].append(value)
        rounds["ordered_done"].append((await queue_round(database, number, keys=100))[1])
    await database.close()
    medians = {name: _run.median(values) for name, values in rounds.items()}
    figures = {f"{kind}_{name}_per_s": round(value) for name, value in medians.items()}
    return {**figures, f"{kind}_ratio": _run.rounded(medians["both"] / medians["floor"])}


def main() -> None:
    """Runs the benchmark."""
    options = _run.arguments(__doc__ or "")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        figures = asyncio.run(measure(f"sqlite:///{folder / 'zegel.db'}", options.size, "sqlite"))
        print(f"SQLite: {figures}", flush=True)
        if (url := stack.enter_context(_run.postgresql())) is not None:
            figures |= asyncio.run(measure(url, options.size, "postgresql"))
    _run.finish(
        bench="jobs",
        **figures,
        target_per_s=TARGET,
        reached=figures["sqlite_done_per_s"] >= TARGET,
        floor="insert+delete",
    )


if __name__ == "__main__":
    main()
