"""Takes requests that wait to be sealed, and tries until they are.

The order to seal is an outbox row that committed with the last signature. A worker leases it by moving its due time
ahead, and keeps moving it while it works: whoever is killed leaves a row that is due again ``LEASE_S`` later, for any
process.

Invariants:

* At most ``CONCURRENCY`` requests are sealed at a time in a process, and in all processes each by one, as long as its
  worker lives. That two never complete the same is not the lease's promise but the transaction's (see ``sealing``).
* A failed try is put off with its reason, and never given up. Where the reason does not pass by waiting, the request is
  *blocked*: it says so, and the first time its trail does.
* A tenant whose own key provider is away is put off as a whole, longer each time: it takes the places of others for as
  long as one try takes, however much of its waits.
"""

import asyncio
import secrets
from contextlib import suppress
from typing import Final, Protocol

import structlog

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.db import Database, Row, Statement
from zegel_server.errors import DataLoss, FailedPrecondition, InvalidArgument, Unavailable, ZegelError
from zegel_server.keys.providers import is_key_away
from zegel_server.signing import store

CONCURRENCY: Final = 2
"""Requests sealed at a time: each takes a sandbox of its own and its originals in memory."""
LEASE_S: Final = 10.0
"""How long a claimed row is left alone after its worker's last sign of life: how late a killed one's work goes on."""
POLL_S: Final = 1.0
"""How often a worker looks for rows that other processes put there: a nudge reaches only its own."""
FIRST_RETRY_S: Final = 0.5
"""How long the first failure is waited out, before jitter."""
DEFECT_TRIES: Final = 10
"""Tries, over some minutes, after which a defect of ours counts as lasting, such as a sandbox that stops at this file:
some come of what else the machine does, and what a trail once says stays there."""
LONGEST_RETRY_S: Final = 300.0
"""The longest that a failure is waited out: an authority that is back for five minutes is noticed."""

_log = structlog.get_logger("zegel.signing")


class Seals(Protocol):
    """Tries to seal a request."""

    async def seal(self, tenant_id: str, signature_request_id: str) -> None:
        """One try.

        Args:
            tenant_id: Whose request it is.
            signature_request_id: The request.
        """
        ...


def retry_s(attempts: int, error: ZegelError | None) -> float:
    """How long to wait after a failed try, in seconds: twice as long each time, and less by up to half at random.

    Args:
        attempts: How often it was tried.
        error: Why it failed; ``None`` for a defect.
    """
    whole = LONGEST_RETRY_S
    if error is None or not is_lasting(attempts, error):
        whole = min(whole, FIRST_RETRY_S * 2.0 ** min(attempts - 1, 32))
    return whole * (0.5 + secrets.randbelow(1_000) / 2_000)


def is_lasting(attempts: int, error: ZegelError | None) -> bool:
    """Whether a failure does not pass by waiting.

    Args:
        attempts: How often it was tried.
        error: Why it failed; ``None`` for a defect.
    """
    if error is None or _is_ours(error):
        return attempts >= DEFECT_TRIES
    return isinstance(error, FailedPrecondition | InvalidArgument | DataLoss) or error.reason == "TRAIL_FULL"


def _is_ours(error: ZegelError) -> bool:
    """Whether a failure is neither the request's nor a neighbour's: a defect, a sandbox that stopped or did wrong."""
    return error.reason == "INTERNAL" or (
        error.reason == Unavailable.default_reason and "dependency" not in error.metadata
    )


class _Lease:
    """A claimed row, and until when."""

    def __init__(self, row: Row, until: int) -> None:
        self.row = row
        self.until = until


class SealingWorker:
    """Seals what waits to be sealed.

    Args:
        database: Where the orders are.
        sealer: Seals one request.
        recorder: Records that a request cannot be sealed.
    """

    def __init__(self, database: Database, sealer: Seals, recorder: Recorder) -> None:
        self._database = database
        self._sealer = sealer
        self._recorder = recorder
        self._nudged = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._away: dict[str, int] = {}  # tries in a row, by tenants whose keys were not to be had

    def nudge(self) -> None:
        """Says that there is work; to be called once it is durable."""
        self._nudged.set()

    async def run(self) -> None:
        """Works until it is cancelled; rows that it then holds are free again at once."""
        try:
            while True:
                self._nudged.clear()
                await self._wait(await self._look())
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()

    async def _look(self) -> float:
        """Begins what is due as far as there is room, and tells how long to wait for more."""
        room = CONCURRENCY - len(self._working)
        if room <= 0:
            return POLL_S  # who ends, nudges
        try:
            for row in await self._database.fetch(store.DUE, now=clock.now(), limit=room):
                lease = await self._claim(row)
                if lease is not None:
                    self._begin(lease)
            following = await self._database.fetch_one(store.NEXT_DUE)
        except ZegelError as error:
            _log.warning("sealing_queue_unavailable", reason=error.reason)
            return POLL_S
        if following is None:
            return POLL_S
        ahead = float(following.due_time - clock.now()) / clock.SECOND
        return min(POLL_S, max(ahead, 0.01))

    def _begin(self, lease: _Lease) -> None:
        task = asyncio.create_task(self._work(lease))
        self._working.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sealing_defect", exc_info=error)  # its lease runs out by itself
        self.nudge()

    async def _claim(self, row: Row) -> _Lease | None:
        until = clock.now() + int(LEASE_S * clock.SECOND)
        async with self._database.transaction() as transaction:
            taken = await transaction.execute(store.CLAIM, id=row.outbox_id, read_due_time=row.due_time, lease=until)
        return _Lease(row, until) if taken else None

    async def _work(self, lease: _Lease) -> None:
        row, done = lease.row, asyncio.Event()
        keeping = asyncio.create_task(self._keep(lease, done))
        try:
            await self._sealer.seal(row.tenant_id, row.resource_id)
        except asyncio.CancelledError:
            done.set()
            await keeping
            await self._put_off(lease, clock.now(), row.last_reason, blocked=bool(row.blocked))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the request waits and is tried again
            done.set()
            await keeping
            await self._failed(lease, error)
        else:
            self._away.pop(row.tenant_id, None)
            _log.info("sealed", signature_request=row.resource_id, attempts=row.attempts + 1)
        finally:
            done.set()
            await keeping

    async def _failed(self, lease: _Lease, error: Exception) -> None:
        known = error if isinstance(error, ZegelError) else None
        attempts, reason = lease.row.attempts + 1, known.reason if known else "INTERNAL"
        if known is None:
            _log.error("sealing_defect", signature_request=lease.row.resource_id, exc_info=error)
        _log.warning("sealing_put_off", signature_request=lease.row.resource_id, reason=reason, attempts=attempts)
        if known is not None and is_key_away(known):
            await self._put_off_tenant(lease, known)
            return
        until = clock.now() + int(retry_s(attempts, known) * clock.SECOND)
        if is_lasting(attempts, known):
            await self._block(lease, until, reason)
        else:
            await self._put_off(lease, until, reason)

    async def _block(self, lease: _Lease, until: int, reason: str) -> None:
        """Puts off what cannot be sealed as it is; the first time, that stands in the request's trail."""
        row = lease.row
        _log.error("sealing_blocked", signature_request=row.resource_id, reason=reason)
        if row.blocked_time is None and await self._tell_blocked(lease, until, reason):
            return
        await self._put_off(lease, until, reason, blocked=True)

    async def _tell_blocked(self, lease: _Lease, until: int, reason: str) -> bool:
        """Whether it is done; where it is not, another try tells."""
        row = lease.row
        try:
            request = await self._database.fetch_one(store.TRAIL_OF, signature_request_id=row.resource_id)
            if request is None:
                return False
            draft = await self._recorder.draft_own(
                row.tenant_id,
                events.EVENT_TYPE_SIGNATURE_REQUEST_INVALID,
                resource_id=row.resource_id,
                signature_request_id=row.resource_id,
                trail=request.audit_id,
                extra={"reason": reason},
            )
            async with self._database.transaction() as transaction:
                held = await transaction.execute(
                    store.PUT_OFF,
                    id=row.outbox_id,
                    read_due_time=lease.until,
                    lease=until,
                    reason=reason,
                    is_blocked=1,
                )
                if held and await transaction.execute(store.FIRST_BLOCKED, id=row.outbox_id, now=clock.now()):
                    await self._recorder.record(transaction, draft)
        except ZegelError:
            return False
        lease.until = until
        return True

    async def _put_off_tenant(self, lease: _Lease, error: ZegelError) -> None:
        """Puts off all that waits of a tenant whose key is not to be had: each would take as long to find that out."""
        tenant_id = lease.row.tenant_id
        tries = self._away[tenant_id] = self._away.get(tenant_id, 0) + 1
        until = clock.now() + int(retry_s(tries, error) * clock.SECOND)
        await self._put_off(lease, until, error.reason)
        with suppress(ZegelError):  # the others find it out by themselves
            async with self._database.transaction() as transaction:
                await transaction.execute(
                    store.PUT_OFF_TENANT, whose=tenant_id, now=clock.now(), until=until, reason=error.reason
                )

    async def _keep(self, lease: _Lease, done: asyncio.Event) -> None:
        """Keeps a row from becoming due while it is worked on."""
        while not done.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LEASE_S / 3):
                    await done.wait()
                    return
            until = clock.now() + int(LEASE_S * clock.SECOND)
            with suppress(ZegelError):  # a database that does not answer now may do so before the lease runs out
                if not await self._move(store.EXTEND, lease, until):
                    return  # done, or in another worker's hands after a long stall

    async def _put_off(self, lease: _Lease, until: int, reason: str, *, blocked: bool = False) -> None:
        with suppress(ZegelError):  # the lease runs out by itself
            await self._move(store.PUT_OFF, lease, until, reason=reason, is_blocked=int(blocked))

    async def _move(self, statement: Statement, lease: _Lease, until: int, **values: str | int) -> bool:
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                statement, id=lease.row.outbox_id, read_due_time=lease.until, lease=until, **values
            )
        lease.until = until
        return bool(changed)
