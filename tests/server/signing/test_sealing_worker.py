"""The worker's own promises: who works on what, and what a failure or an end leaves behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.away import key_away
from support.signing_world import SQLITE_ONLY, World
from support.work import Sealer, sealing_worker, until, working
from zegel_server import clock
from zegel_server.documents.removal import DELETE_BLOBS
from zegel_server.errors import DataLoss, FailedPrecondition, InvalidArgument, Unavailable, ZegelError
from zegel_server.ids import new_id
from zegel_server.jobs import queue, worker
from zegel_server.jobs.model import RetryPolicy
from zegel_server.signing import sealing_job
from zegel_server.signing.sealing_job import FIRST_RETRY_S, LONGEST_RETRY_S, is_lasting
from zegel_server.signing.store import SEAL

POLICY = RetryPolicy(FIRST_RETRY_S, LONGEST_RETRY_S, is_lasting, gives_up=False)


async def order(world: World, kind: str = SEAL, due: int | None = None, tenant_id: str = "") -> str:
    resource = new_id("req")
    async with world.database.transaction() as transaction:
        await queue.enqueue(
            transaction, kind, tenant_id=tenant_id or world.tenant_id, resource_id=resource, due_time=due
        )
    return resource


def done_of(world: World) -> Callable[[], Awaitable[bool]]:
    async def nothing_left() -> bool:
        return not await world.jobs()

    return nothing_left


async def a_moment(_: str) -> None:
    await asyncio.sleep(0.05)


async def test_two_workers_share_the_work_and_never_a_request(world: World) -> None:
    orders = {await order(world) for _ in range(6)}
    sealer = Sealer(world, a_moment)

    async with working(*(sealing_worker(world, sealer) for _ in range(2))):
        await until(done_of(world))
    assert sorted(sealer.calls) == sorted(orders)
    assert sealer.most <= 2 * sealing_job.CONCURRENCY


@SQLITE_ONLY
async def test_one_worker_has_only_so_many_in_hand(world: World) -> None:
    for _ in range(5):
        await order(world)
    sealer = Sealer(world, a_moment)

    async with working(sealing_worker(world, sealer)):
        await until(done_of(world))
    assert sealer.most == sealing_job.TENANT_CONCURRENCY < sealing_job.CONCURRENCY


@SQLITE_ONLY
async def test_an_order_wakes_it_long_before_it_would_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 60.0)
    sealer = Sealer(world, a_moment)
    sleeping = sealing_worker(world, sealer)
    async with working(sleeping):
        await asyncio.sleep(0.05)
        resource = await order(world)

        async def done() -> bool:
            return sealer.calls == [resource]

        await until(done)


async def test_other_kinds_and_what_is_not_due_are_left_alone(world: World) -> None:
    await order(world, kind=DELETE_BLOBS)
    await order(world, due=clock.now() + clock.HOUR)
    sealer = Sealer(world, a_moment)
    async with working(sealing_worker(world, sealer)):
        await asyncio.sleep(0.2)
    assert sealer.calls == []
    assert [row.attempts for row in await world.jobs()] == [0, 0]


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("error", "reason", "least_s"),
    [
        (Unavailable("x", reason="TIMESTAMP_UNAVAILABLE"), "TIMESTAMP_UNAVAILABLE", 0.2),
        (FailedPrecondition("x", reason="DOCUMENT_TOO_COMPLEX"), "DOCUMENT_TOO_COMPLEX", 100),
        (DataLoss("x"), "STORED_DATA_DAMAGED", 100),
        (RuntimeError("a defect"), "INTERNAL", 0.2),
    ],
)
async def test_a_failure_is_kept_with_its_reason_and_put_off(
    world: World, error: Exception, reason: str, least_s: float
) -> None:
    await order(world)

    async def fail(_: str) -> None:
        raise error

    sealer, began = Sealer(world, fail), clock.now()

    async def failed() -> bool:
        (row,) = await world.jobs()
        return bool(row.last_reason)

    async with working(sealing_worker(world, sealer)):
        await until(failed)
    (row,) = await world.jobs()
    assert (row.last_reason, row.attempts) == (reason, 1)
    assert row.due_time - began >= least_s * clock.SECOND


async def test_a_tenant_whose_key_is_away_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 3600.0)
    away, other = new_id("ten"), new_id("ten")
    waiting = {await order(world, tenant_id=away, due=clock.now() - number) for number in range(40)}
    sound = [await order(world, tenant_id=other) for _ in range(3)]

    async def act(request_id: str) -> None:
        await asyncio.sleep(0.01)  # far less than a provider that hangs takes
        if request_id in waiting:
            raise key_away()

    sealer = Sealer(world, act)

    async def done() -> bool:
        return set(sound) <= set(sealer.calls) and not sealer.running

    async with working(sealing_worker(world, sealer)):
        await until(done, 60)
    assert len(waiting & set(sealer.calls)) <= 2 * sealing_job.CONCURRENCY
    left = await world.jobs()
    assert {row.resource_id for row in left} == waiting
    assert {row.last_reason for row in left} == {"DEPENDENCY_UNAVAILABLE"}
    assert min(row.due_time for row in left) > clock.now()


async def test_a_tenant_whose_key_is_back_is_sealed_by_itself(world: World) -> None:
    orders = {await order(world) for _ in range(5)}
    away = [key_away() for _ in range(3)]

    async def act(_: str) -> None:
        if away:
            raise away.pop()

    sealer = Sealer(world, act)
    async with working(sealing_worker(world, sealer)):
        await until(done_of(world), 60)
    assert set(sealer.calls) == orders


async def test_stopping_frees_what_is_in_hand_at_once(world: World) -> None:
    await order(world)
    sealer = Sealer(world, lambda _: asyncio.sleep(3600))

    async def begun() -> bool:
        return bool(sealer.running)

    async with working(sealing_worker(world, sealer)):
        await until(begun)
        (row,) = await world.jobs()
        assert row.due_time > clock.now()
    (row,) = await world.jobs()
    assert row.due_time <= clock.now()
    assert row.last_reason == ""


async def test_a_living_workers_request_is_its_own_however_long_it_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 1.5)
    await order(world)
    enough = asyncio.Event()

    async def work(_: str) -> None:
        await enough.wait()

    sealer = Sealer(world, work)
    leases: set[int] = set()

    async def kept_up() -> bool:
        leases.update(row.due_time for row in await world.jobs() if row.attempts)
        return len(leases) > 4

    async with working(*(sealing_worker(world, sealer) for _ in range(2))):
        await until(kept_up, 30)
        assert len(sealer.calls) == 1
        enough.set()
        await until(done_of(world))


async def test_a_killed_workers_request_is_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 0.3)
    await order(world)
    sealer = Sealer(world, a_moment)
    lease = int(worker.LEASE_S * clock.SECOND)
    assert len(await queue.claim(world.database, "seal", limit=10, lease=lease)) == 1  # and then its process is gone
    assert await queue.claim(world.database, "seal", limit=10, lease=lease) == []
    async with working(sealing_worker(world, sealer)):
        await until(done_of(world))
    assert len(sealer.calls) == 1


@SQLITE_ONLY
async def test_a_database_that_does_not_answer_ends_no_worker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.05)
    resource = await order(world)
    sealer, fetch, failures = Sealer(world, a_moment), world.database.fetch, [1, 2, 3]

    async def sometimes(*args: object, **values: object) -> list[object]:
        if failures:
            failures.pop()
            raise Unavailable("The database does not answer now.", dependency="database")
        return await fetch(*args, **values)  # type: ignore[arg-type]

    world.database.fetch = sometimes  # type: ignore[method-assign]

    async def done() -> bool:
        return sealer.calls == [resource]

    async with working(sealing_worker(world, sealer)):
        await until(done)
    assert not failures


ERRORS = st.sampled_from([None, Unavailable("x"), FailedPrecondition("x"), InvalidArgument("a", "x"), DataLoss("x")])


@given(attempts=st.integers(1, 10_000), error=ERRORS)
def test_a_wait_is_never_nothing_and_never_longer_than_the_longest(attempts: int, error: ZegelError | None) -> None:
    wait = POLICY.wait_s(attempts, error)
    assert 0.25 <= wait <= LONGEST_RETRY_S
    if isinstance(error, FailedPrecondition | InvalidArgument | DataLoss) or attempts > 20:
        assert wait >= LONGEST_RETRY_S / 2
    else:
        assert wait <= 0.5 * 2.0 ** min(attempts - 1, 20)


def test_waits_differ_so_that_not_all_come_back_at_once() -> None:
    assert len({POLICY.wait_s(30, None) for _ in range(50)}) > 10
