"""A request that is all signed and cannot be sealed: who hears of it, and how it is mended."""

from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry, Gauge

from support.signing_world import SQLITE_ONLY, World, said
from support.work import Sealer, sealing_worker, until, working
from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable, ZegelError
from zegel_server.ids import new_id
from zegel_server.jobs import worker
from zegel_server.signing import sealing_job
from zegel_server.signing.messages import REQUEST_FIELDS, ceremony_message, request_message
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.sealing_queue import SealingQueue, sealing_facts

TOO_COMPLEX = FailedPrecondition("x", reason="DOCUMENT_TOO_COMPLEX")


async def all_signed(world: World) -> SignatureRequest:
    sender = world.member()
    request = await world.send(sender, await world.draft(sender, orders=(0,)))
    return await world.sign(world.signer(request))


async def told(world: World) -> list[str]:
    """Why the trail says that the request cannot be sealed, each time."""
    rows = [row for row in await world.event_rows() if row.event_type == events.EVENT_TYPE_SIGNATURE_REQUEST_INVALID]
    return [str(said(row).extra["reason"]) for row in rows]


def tried(world: World, attempts: int) -> Callable[[], Awaitable[bool]]:
    """Whether a request was tried so often, and nobody is at it."""

    async def condition() -> bool:
        (row,) = await world.jobs()
        return bool(row.attempts >= attempts and row.due_time > clock.now() + worker.LEASE_S * clock.SECOND)

    return condition


async def test_what_does_not_pass_by_waiting_is_told_everybody_and_once_in_the_trail(world: World) -> None:
    request = await all_signed(world)

    async def fail(_: str) -> None:
        raise TOO_COMPLEX

    queue = SealingQueue(world.database)
    async with working(sealing_worker(world, Sealer(world, fail))):
        for attempts in (1, 2, 3):
            await until(tried(world, attempts))
            await queue.retry(request.signature_request_id)
        await until(tried(world, 4))
    assert await told(world) == ["DOCUMENT_TOO_COMPLEX"]
    owner = world.member()._replace(principal_id=request.owner_id)
    found = await world.signing.get(owner, request.signature_request_id)
    message = request_message(found)
    assert (message.sealing.blocked, message.sealing.last_reason) == (True, "DOCUMENT_TOO_COMPLEX")
    page = (await world.signing.list_page(owner, PageRequest(5), state="", fields=REQUEST_FIELDS)).items
    assert [request_message(each).sealing.blocked for each in page] == [True]
    assert ceremony_message(await world.ceremony.get(world.signer(request))).blocked
    (row,) = await world.jobs()
    assert row.due_time > clock.now(), "it is tried again from time to time all the same"


async def test_once_it_is_mended_it_is_sealed(world: World) -> None:
    request = await all_signed(world)
    broken = [TOO_COMPLEX]

    async def fail_once(_: str) -> None:
        if broken:
            raise broken.pop()

    async def sealed() -> bool:
        return not await world.jobs()

    async with working(sealing_worker(world, Sealer(world, fail_once))):
        await until(tried(world, 1))
        await SealingQueue(world.database).retry(request.signature_request_id)
        await until(sealed)
    assert await told(world) == ["DOCUMENT_TOO_COMPLEX"]


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("error", "blocked"),
    [
        (Unavailable("x", reason="TIMESTAMP_UNAVAILABLE"), False),
        (RuntimeError("a defect"), False),
        (Unavailable("x", dependency="storage"), False),
        (ResourceExhausted("x", reason="TRAIL_FULL", limit="events_of_request"), True),
    ],
)
async def test_what_passes_by_waiting_is_no_reason_to_alarm_anybody(
    world: World, error: Exception, blocked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 3600.0)
    await all_signed(world)

    async def fail(_: str) -> None:
        raise error

    async with working(sealing_worker(world, Sealer(world, fail))):
        await until(tried(world, 1))
    assert bool(await told(world)) is blocked
    assert [each.blocked for each in await SealingQueue(world.database).waiting()] == [blocked]


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("a defect"), "INTERNAL"),
        (ZegelError("a defect"), "INTERNAL"),
        (Unavailable("The PDF worker stopped."), "DEPENDENCY_UNAVAILABLE"),
    ],
)
async def test_a_defect_that_stays_counts_as_lasting(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 0.0)
    await all_signed(world)

    async def fail(_: str) -> None:
        raise error

    async def stuck() -> bool:
        return bool(await told(world))

    async with working(sealing_worker(world, Sealer(world, fail))):
        await until(stuck, 60)  # each defect is logged with all that it saw
    assert await told(world) == [reason]
    (row,) = await world.jobs()
    assert row.attempts >= sealing_job.DEFECT_TRIES


@SQLITE_ONLY
async def test_another_reason_that_passes_takes_the_alarm_back(world: World) -> None:
    request = await all_signed(world)
    failures: list[Exception] = [Unavailable("x", reason="TIMESTAMP_UNAVAILABLE"), TOO_COMPLEX]

    async def fail(_: str) -> None:
        raise failures.pop()

    queue = SealingQueue(world.database)

    async def away() -> bool:
        (row,) = await world.jobs()
        return bool(row.last_reason == "TIMESTAMP_UNAVAILABLE")

    async with working(sealing_worker(world, Sealer(world, fail))):
        await until(tried(world, 1))
        failures.insert(0, Unavailable("x", reason="TIMESTAMP_UNAVAILABLE"))
        await queue.retry(request.signature_request_id)
        await until(away)
    (waiting,) = await queue.waiting()
    assert not waiting.blocked
    assert waiting.blocked_time is not None, "when it was first so is kept: the trail tells it once"


@SQLITE_ONLY
async def test_an_operator_sees_what_waits_and_what_is_stuck_first(world: World) -> None:
    stuck, sound = await all_signed(world), await all_signed(world)

    async def fail(request_id: str) -> None:
        raise TOO_COMPLEX if request_id == stuck.signature_request_id else Unavailable("x")

    async def both() -> bool:
        return all(row.last_reason for row in await world.jobs())

    gauge = Gauge("zegel_sealing_blocked", "Of this test.", registry=CollectorRegistry())
    queue = SealingQueue(world.database, gauge)
    async with working(sealing_worker(world, Sealer(world, fail))):
        await until(both)
    waiting = await queue.waiting()
    assert [(each.resource_id, each.blocked) for each in waiting] == [
        (stuck.signature_request_id, True),
        (sound.signature_request_id, False),
    ]
    assert sealing_facts(waiting[0])["last_reason"] == "DOCUMENT_TOO_COMPLEX"
    assert str(sealing_facts(waiting[0])["next_attempt_time"]).endswith("Z")
    assert sealing_facts(waiting[1])["blocked_time"] is None
    await queue.count()
    assert gauge._value.get() == 1
    with pytest.raises(NotFound):
        await queue.retry(new_id("req"))
