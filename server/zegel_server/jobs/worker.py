"""The worker that runs the jobs that are due, in every server process.

A job is leased: its due time is moved ahead, and kept ahead while it is worked on. If a process is killed, its jobs
become due again ``LEASE_S`` later, for any process.

Invariants:

* A process runs at most ``concurrency`` jobs of a kind at a time. Only one of all processes runs a given job, as long
  as that process lives and reaches the database.
* Tenants take turns (see ``turns``), and none has more of a kind's jobs running in a process than its share.
* A worker that cannot keep its lease stops the work. After a stall it may notice late; the job's fencing token then
  makes its writes have no effect (see ``queue``).
* A failed job is postponed with its reason, for longer each time. One that was tried too often, or whose failure will
  not go away by waiting, is given up or blocked, as its kind's policy says; what its kind writes about that commits in
  the same transaction.
* If a failure affects all jobs of a tenant, they are postponed together: other tenants' jobs wait for one attempt,
  however many jobs the tenant has.
* A worker wakes up on a notification, or when the next job is due. Since notifications can be lost, it also looks from
  time to time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from zegel_server import clock
from zegel_server.caller import set_tenant
from zegel_server.db import Database, Row, Transaction
from zegel_server.errors import Unavailable, ZegelError
from zegel_server.jobs import queue, store
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.model import INTERNAL, WORKER_LOST, Job, JobKind, LeaseLost, Written, jittered
from zegel_server.jobs.turns import Turns

LEASE_S: Final = 10.0
"""How long a claimed job is left alone after its worker's last sign of life, in seconds. After a worker is killed, its
jobs wait for so long."""
POLL_S: Final = 1.0
"""How often a worker looks for jobs enqueued by processes whose notifications it does not receive, in seconds."""
HEARD_POLL_S: Final = 5.0
"""The same if it receives notifications, in case one was lost, in seconds."""
CUT_SHORT_S: Final = 0.02
"""How long a worker waits before it looks on where its last look was cut short, in seconds."""

_log = structlog.get_logger("zegel.jobs")


class _Held:
    """A job that this worker holds.

    Args:
        job: The job.
        kind: Its kind.
        until: When its lease ends, by the loop's clock.
    """

    def __init__(self, job: Job, kind: JobKind, until: float) -> None:
        self.job = job
        self.kind = kind
        self.is_lost = False
        self.is_ending = False
        self.task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.keep(until)

    def keep(self, until: float) -> None:
        """Schedules the work to be stopped when the lease ends; replaces the previous time.

        Args:
            until: When its lease ends, by the loop's clock.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(until, self.lose)

    def end(self) -> None:
        """Notes that the work is over."""
        if self._timer is not None:
            self._timer.cancel()

    def lose(self) -> None:
        """Stops the work, since another worker may have begun it.

        A job that is already ending goes on: its fencing token shows whether it still counts.
        """
        if self.is_ending or self.job.is_finished:
            return
        self.is_lost = True
        if self.task is not None:
            self.task.cancel()


class Worker:
    """Runs the jobs that are due.

    Args:
        database: Where the jobs are.
        kinds: The kinds that it runs.
        metrics: The metrics to set; ``None`` for none.
    """

    def __init__(self, database: Database, kinds: Sequence[JobKind], metrics: JobMetrics | None = None) -> None:
        self._database = database
        self._kinds = kinds
        self._metrics = metrics
        self._earliest = store.earliest([kind.name for kind in kinds])
        self._nudged = asyncio.Event()
        self._held: dict[asyncio.Task[None], _Held] = {}
        self._running = {kind.name: 0 for kind in kinds}
        self._tenant_failures: dict[tuple[str, str], int] = {}  # consecutive ones, by kind and tenant
        self._turns = {kind.name: Turns(kind.share) for kind in kinds}
        self._done = 0

    async def run(self) -> None:
        """Runs until it is cancelled; jobs that it then holds are released at once."""
        stop_listening = self._database.listen(queue.TOPIC, self._nudged.set)
        keeping = asyncio.create_task(self._keep(), name="leases")
        try:
            while True:
                self._nudged.clear()
                await self._wait(await self._look())
        finally:
            stop_listening()
            keeping.cancel()
            for task in self._held:
                task.cancel()
            await asyncio.gather(keeping, *self._held, return_exceptions=True)

    async def drain(self) -> int:
        """Runs the jobs that are due now, and waits until they are done.

        Returns:
            How many jobs were done.

        Raises:
            Unavailable: The database does not answer.
        """
        before = self._done
        keeping = asyncio.create_task(self._keep(), name="leases")
        try:
            while await self._begin_due() or self._held or self._is_cut_short:
                if self._held:
                    await asyncio.wait(done := list(self._held), return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        if task.done():
                            task.result()
        finally:
            keeping.cancel()
        return self._done - before

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()

    async def _look(self) -> float:
        """Begins jobs that are due, as many as there is capacity for; returns how many seconds to wait then."""
        poll_s = HEARD_POLL_S if self._database.hears_others else POLL_S
        try:
            if await self._begin_due():
                return 0.0
            if self._is_cut_short:
                return CUT_SHORT_S
            return min(poll_s, await self._until_next())
        except ZegelError as error:
            _log.warning("jobs_unavailable", reason=error.reason)
        except Exception as error:  # noqa: BLE001 - a defect here must not end all later work
            _log.error("jobs_defect", exc_info=error)
        return poll_s

    @property
    def _is_cut_short(self) -> bool:
        """Whether the last look at a kind that has capacity ended before it had visited every tenant."""
        return any(self._turns[kind.name].is_cut_short and self._room(kind) > 0 for kind in self._kinds)

    def _room(self, kind: JobKind) -> int:
        return kind.concurrency - self._running[kind.name]

    async def _begin_due(self) -> int:
        """Begins jobs that are due, as many as there is capacity for; returns how many."""
        if not any(self._room(kind) > 0 for kind in self._kinds):
            return 0  # a job that ends wakes the worker
        times, now = await self._times(), clock.now()
        begun = 0
        for number, kind in enumerate(self._kinds):
            room, turns = self._room(kind), self._turns[kind.name]
            turns.is_cut_short = False
            if room > 0 and any(time is not None and time <= now for time in times[2 * number : 2 * number + 2]):
                until = asyncio.get_running_loop().time() + LEASE_S
                lease = int(LEASE_S * clock.SECOND)
                jobs = await queue.claim(self._database, kind.name, limit=room, lease=lease, turns=turns)
                if asyncio.get_running_loop().time() >= until:
                    continue  # claiming took so long that another worker has it, or soon will
                for job in jobs:
                    self._begin(_Held(job, kind, until))
                    begun += 1
        return begun

    async def _times(self) -> Row:
        """The earliest due time of waiting and of running jobs, for each kind in turn."""
        [row] = await self._database.fetch(self._earliest)
        return row

    async def _until_next(self) -> float:
        """In how many seconds the next job becomes due that there is capacity for."""
        times, now = await self._times(), clock.now()
        ahead = [
            (time - now) / clock.SECOND
            for number, kind in enumerate(self._kinds)
            if self._room(kind) > 0
            for time in times[2 * number : 2 * number + 2]
            if time is not None and time > now
        ]
        return max(0.01, min(ahead, default=HEARD_POLL_S))

    def _begin(self, held: _Held) -> None:
        task = held.task = asyncio.create_task(self._work(held), name=f"{held.kind.name} {held.job.job_id}")
        self._held[task] = held
        self._running[held.kind.name] += 1
        self._turns[held.kind.name].begun(held.job.tenant_id)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        held = self._held.pop(task)
        held.end()
        self._running[held.kind.name] -= 1
        self._turns[held.kind.name].ended(held.job.tenant_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("job_defect", kind=held.kind.name, job=held.job.job_id, exc_info=error)  # its lease runs out
        self._nudged.set()

    async def _work(self, held: _Held) -> None:
        job, kind = held.job, held.kind
        set_tenant(job.tenant_id)
        try:
            if job.is_taken_over and kind.retry.gives_up and kind.retry.is_lasting(job.attempts - 1, None):
                await self._stuck(held, WORKER_LOST)  # it brings its worker down each time
                return
            await kind.work(job)
            held.is_ending = True
            if not job.is_finished:
                async with self._database.transaction() as transaction:
                    await queue.finish(transaction, job)
        except asyncio.CancelledError as error:
            if await self._was_stopped(held, error):
                raise
        except LeaseLost:
            _log.warning("job_lease_lost", kind=kind.name, job=job.job_id)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the job waits and is tried again
            held.is_ending = True
            await self._failed(held, error)
        else:
            self._done += 1
            self._tenant_failures.pop((kind.name, job.tenant_id), None)
            if self._metrics is not None:
                self._metrics.done.labels(kind.name).inc()

    async def _was_stopped(self, held: _Held, error: asyncio.CancelledError) -> bool:
        """Whether a task was cancelled because this worker is ending; its job is released then."""
        task, job = held.task, held.job
        if held.is_lost:
            _log.warning("job_lease_lost", kind=held.kind.name, job=job.job_id)
            return False
        held.is_ending = True
        if task is not None and not task.cancelling():
            # The worker did not stop it: something inside was cancelled, and would be at every attempt.
            await self._failed(held, error)
            return False
        with suppress(ZegelError):  # its lease runs out by itself
            await queue.give_back(self._database, job)
        return True

    async def _failed(self, held: _Held, error: BaseException) -> None:
        with suppress(ZegelError, LeaseLost):  # its lease runs out by itself, or has already
            await self._note_failure(held, error)

    async def _note_failure(self, held: _Held, error: BaseException) -> None:
        job, kind = held.job, held.kind
        known = error if isinstance(error, ZegelError) else None
        reason = known.reason if known else INTERNAL
        facts = {"kind": kind.name, "job": job.job_id, "resource": job.resource_id}
        if known is None:
            _log.error("job_defect", **facts, exc_info=error)
        _log.warning("job_put_off", **facts, reason=reason, attempts=job.attempts)
        if self._metrics is not None:
            self._metrics.failures.labels(kind.name).inc()
        if known is not None and kind.is_tenant_wide(known):
            await self._put_off_tenant(held, known)
            return
        if kind.retry.is_lasting(job.attempts, known):
            await self._stuck(held, reason)
        else:
            until = clock.now() + int(kind.retry.wait_s(job.attempts, known) * clock.SECOND)
            await queue.put_off(self._database, job, until, reason)

    async def _put_off_tenant(self, held: _Held, error: ZegelError) -> None:
        """Postpones all of a tenant's due jobs: each would take as long to fail the same way."""
        job, key = held.job, (held.kind.name, held.job.tenant_id)
        tries = self._tenant_failures[key] = self._tenant_failures.get(key, 0) + 1
        until = clock.now() + int(held.kind.retry.wait_s(tries, error) * clock.SECOND)
        await queue.put_off(self._database, job, until, error.reason)
        await queue.put_off_tenant(self._database, job, until, error.reason)

    async def _stuck(self, held: _Held, reason: str) -> None:
        """Gives up or blocks a job that will not succeed by waiting."""
        job, kind = held.job, held.kind
        until = clock.now() + int(jittered(kind.retry.longest_s) * clock.SECOND)
        _log.error("job_stuck", kind=kind.name, job=job.job_id, resource=job.resource_id, reason=reason)
        written: Written | None = _nothing
        if not kind.retry.gives_up and job.blocked_time is not None:
            written = None
        elif kind.on_stuck is not None:
            try:
                written = await kind.on_stuck(job, reason)
            except Exception as error:  # noqa: BLE001 - another attempt tells
                written = None
                if not isinstance(error, ZegelError):
                    _log.error("job_defect", kind=kind.name, job=job.job_id, exc_info=error)
        held.is_ending = True
        try:
            if not kind.retry.gives_up:
                await queue.block(self._database, job, until, reason, written)
            elif written is None:
                await queue.put_off(self._database, job, until, reason)
            else:
                await queue.give_up(self._database, job, reason, written)
        except (LeaseLost, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - what was to commit with it cannot be written: another attempt tells
            _log.error("job_defect", kind=kind.name, job=job.job_id, exc_info=error)
            await queue.put_off(self._database, job, until, reason)

    async def _keep(self) -> None:
        """Extends the leases of this worker's jobs, and stops those whose lease was lost."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LEASE_S / 3)
            held = [each for each in self._held.values() if not each.is_ending]
            if not held:
                continue
            until = loop.time() + LEASE_S
            try:
                async with asyncio.timeout(LEASE_S / 3):
                    jobs = [each.job for each in held]
                    lost = await queue.extend(self._database, jobs, lease=int(LEASE_S * clock.SECOND))
            except (ZegelError, TimeoutError):
                continue  # the database may answer again before the leases run out
            except Exception as error:  # noqa: BLE001 - without this task nothing that takes longer would ever end
                _log.error("jobs_defect", exc_info=error)
                continue
            gone = {job.job_id for job in lost}
            for each in held:
                if each.job.job_id in gone:
                    each.lose()
                elif each.task in self._held:
                    each.keep(until)


async def _nothing(_transaction: Transaction) -> None:
    """Writes nothing."""
