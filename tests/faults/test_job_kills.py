"""Workers that are killed or stopped at any moment: no job is lost, and none is done by two at once.

``ZEGEL_JOB_KILLS`` says how many workers are killed on each database (default 6), ``ZEGEL_JOB_KILL_SEED`` when
(default ``1``).
"""

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

import pytest

from support import job_worker
from support.job_worker import KIND, TOLD, Interval, intervals
from support.jobs import ROWS, add
from support.work import until
from zegel_server.db import Database, open_database
from zegel_server.db.migrate import upgrade

KILLS = int(os.environ.get("ZEGEL_JOB_KILLS", "6"))
SEED = os.environ.get("ZEGEL_JOB_KILL_SEED", "1")
WORKERS = 3
JOBS_A_KILL = 60
KEYS = 5
"""Ordering keys, which every second job has one of."""
LEASE_S = 4.0
"""Far longer than a busy machine keeps a living process from running: takeovers are of the killed alone."""

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240 + 30 * KILLS)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database."""
    made = f"sqlite:///{tmp_path / 'zegel.db'}"
    if request.param == "postgresql":
        made = str(request.getfixturevalue("postgres_url"))
    await upgrade(made)
    return made


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The same as the test has it."""
    opened = await open_database(url, pool_size=4)
    yield opened
    await opened.close()


async def rows_of(database: Database, kind: str) -> list[tuple[int, str]]:
    return [(row.job_id, row.resource_id) for row in await database.fetch(ROWS) if row.kind == kind]


async def all_done(database: Database, seconds: float) -> None:
    async def none_left() -> bool:
        return not await rows_of(database, KIND)

    await until(none_left, seconds)


def end(process: ForkServerProcess) -> int:
    """Kills a process, and says when it was certainly gone."""
    process.kill()
    process.join()
    return time.monotonic_ns()


def check_no_overlap(of_one: list[Interval], gone: dict[int, int], what: str) -> None:
    """No two pieces of work overlap; one whose process did not live to end it may have gone on until that was gone."""
    spans = sorted((each.began, gone[each.pid] if each.ended is None else each.ended) for each in of_one)
    for (_, ended), (began, _) in pairwise(spans):
        assert ended <= began, what


async def test_killed_at_any_moment_no_job_is_lost_and_none_is_done_by_two_at_once(
    database: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, log = Random(f"{SEED}-{url.partition(':')[0]}"), tmp_path / "log"  # noqa: S311 - repeatable, not secret
    log.touch()
    started = 0
    gone: dict[int, int] = {}

    def start() -> ForkServerProcess:
        nonlocal started
        started += 1
        return job_worker.start(url, log, f"{SEED}-{started}", LEASE_S)

    key_of: dict[str, str | None] = {}
    workers = [start() for _ in range(WORKERS)]
    try:
        for kill in range(KILLS):
            for number in range(JOBS_A_KILL):
                name = f"r{kill}-{number}"
                key_of[name] = f"key-{dice.randrange(KEYS)}" if number % 2 else None
                await add(database, KIND, name, order_key=key_of[name])
            await asyncio.sleep(dice.uniform(0.05, 0.8))
            victim = workers.pop(dice.randrange(WORKERS))
            assert victim.pid is not None
            gone[victim.pid] = end(victim)
            workers.append(start())
        await all_done(database, 200)
    finally:
        for process in workers:
            assert process.pid is not None
            gone[process.pid] = end(process)

    counted = Counter(name for _, name in await rows_of(database, TOLD))
    assert counted == dict.fromkeys(key_of, 1), "every job counted once, whatever was done twice"
    found = intervals(log)
    by_job: dict[int, list[Interval]] = defaultdict(list)
    for each in found:
        by_job[each.job_id].append(each)
    assert len(by_job) == len(key_of)
    for job_id, of_one in by_job.items():
        check_no_overlap(of_one, gone, f"job {job_id}")
    names = list(key_of)  # enqueued one after the other: their numbers are in the same order
    key_of_job = dict(zip(sorted(by_job), (key_of[name] for name in names), strict=True))
    for key in {key for key in key_of.values() if key}:
        of_key = [each for each in found if key_of_job[each.job_id] == key]
        check_no_overlap(of_key, gone, key)
        began = [each.job_id for each in sorted(of_key, key=lambda each: each.began)]
        assert began == sorted(began), f"{key}: in order, each until it was done"
    taken_over = sum(len({each.pid for each in of_one}) > 1 for of_one in by_job.values())
    with capsys.disabled():
        print(  # noqa: T201 - the figures of a campaign
            f"\n{url.partition(':')[0]}: {len(by_job)} jobs, {KILLS} kills, {len(found)} pieces of work, "
            f"{sum(each.ended is None for each in found)} cut off, {taken_over} jobs went to another process"
        )


async def test_a_worker_that_stalled_past_its_lease_changes_nothing(
    database: Database, url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()

    async def begun() -> bool:
        return bool(intervals(log))

    async def stopped() -> bool:
        """Whether the one that stalled found out that the job is another's."""
        return all(each.ended is not None for each in intervals(log))

    first = job_worker.start(url, log, "first", 1.0)
    second = None
    try:
        await add(database, KIND, "r1", payload={"long": True})
        await until(begun, 60)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        second = job_worker.start(url, log, "second", 1.0)
        await all_done(database, 60)
        before = await database.fetch(ROWS)
        os.kill(first.pid, signal.SIGCONT)
        await until(stopped, 60)
        await add(database, KIND, "r2")
        await all_done(database, 60)
        assert (await database.fetch(ROWS))[: len(before)] == before
        assert [name for _, name in await rows_of(database, TOLD)] == ["r1", "r2"]
    finally:
        for process in filter(None, (first, second)):
            end(process)
