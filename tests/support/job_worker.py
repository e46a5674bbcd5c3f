"""A process that runs jobs until it is killed, for tests of such kills.

It writes when each piece of work begins and ends, by a clock that all processes of the machine share. Processes are
forked from one that has only imported the modules.
"""

import asyncio
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

from zegel_server.db import open_database
from zegel_server.jobs import kinds, queue, worker
from zegel_server.jobs.model import Job, JobKind, RetryPolicy
from zegel_server.jobs.worker import Worker

KIND = kinds.register("trial")
TOLD = kinds.register("told")
"""The kind of a job that is enqueued when another ends and that no worker runs; it counts the committed ends."""
WORK_S = 0.3
"""Maximum seconds of a piece of work, except those that a test makes long."""
LONG_S = 3600.0


@dataclass(frozen=True)
class Interval:
    """A piece of work: when it began, and when it ended; ``None`` where its process did not live to say so."""

    job_id: int
    pid: int
    began: int
    ended: int | None


def intervals(log: Path) -> list[Interval]:
    """What the processes wrote."""
    open_ones: dict[tuple[int, int], int] = {}
    found = []
    for line in log.read_text(encoding="ascii").splitlines():
        word, job_id, pid, at = line.split()
        key = (int(job_id), int(pid))
        if word == "begin":
            assert key not in open_ones, "a process never begins a job that it has in hand"
            open_ones[key] = int(at)
        else:
            found.append(Interval(*key, open_ones.pop(key), int(at)))
    return found + [Interval(*key, began, None) for key, began in open_ones.items()]


async def _work(url: str, log: Path, seed: str) -> None:
    database = await open_database(url, pool_size=4)
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(word: str, job: Job) -> None:
        os.write(out, f"{word} {job.job_id} {os.getpid()} {time.monotonic_ns()}\n".encode())

    async def work(job: Job) -> None:
        say("begin", job)
        try:
            await asyncio.sleep(LONG_S if job.payload.get("long") and job.attempts == 1 else dice.uniform(0, WORK_S))
            if dice.random() < 0.1:
                raise ConnectionError
        finally:
            say("end", job)
        async with database.transaction() as transaction:
            await queue.enqueue(transaction, TOLD, tenant_id=job.tenant_id, resource_id=job.resource_id)
            await queue.finish(transaction, job)

    never = RetryPolicy(first_s=0.05, longest_s=0.5, is_lasting=lambda _attempts, _error: False)
    await Worker(database, [JobKind(KIND, work, concurrency=6, retry=never)]).run()


def _main(url: str, log: Path, seed: str, lease_s: float) -> None:
    worker.LEASE_S = lease_s  # type: ignore[misc]
    with open(os.devnull, "w", encoding="ascii") as null:  # noqa: PTH123 - a device
        os.dup2(null.fileno(), 1)
        os.dup2(null.fileno(), 2)
        with suppress(KeyboardInterrupt):
            asyncio.run(_work(url, log, seed))


def start(url: str, log: Path, seed: str, lease_s: float) -> ForkServerProcess:
    """Starts a worker's process.

    Args:
        url: The database.
        log: Where it writes what it does.
        seed: Decides how long each piece of work takes, and which fails.
        lease_s: Seconds for which a job that it leaves behind stays leased.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.job_worker"])
    process = context.Process(target=_main, args=(url, log, seed, lease_s), daemon=True)
    process.start()
    return process
