"""One request's trail takes only so many events, and nobody's acts take the place of another's."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from support.audit_world import DOCUMENT, AuditWorld
from zegel.event.v1.event_type_pb2 import EventType
from zegel.evidence.trail import MAX_TRAIL_BYTES
from zegel_server.audit import service
from zegel_server.audit import trail_quota as allowance
from zegel_server.audit.check import AuditCheck
from zegel_server.audit.model import EventFilter
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope, Share
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import ResourceExhausted
from zegel_server.ids import new_id
from zegel_server.signing.new_request import MAX_SIGNERS

Request = tuple[str, str]


def signer_of(world: AuditWorld, request: Request) -> Caller:
    return world.caller(
        Scope.PARTY, principal_id=new_id("sig"), kind=PrincipalKind.SIGNER, signature_request_id=request[0]
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares that a test can spend."""
    for name in ("SIGNER", "SENDING", "READING"):
        monkeypatch.setattr(allowance, name, 4)


async def spent(world: AuditWorld, caller: Caller, request: Request, *names: str) -> int:
    """How many events were taken until one was refused."""
    taken = 0

    async def spend() -> None:
        nonlocal taken
        while taken < 100:
            await world.record(caller, names[taken % len(names)], request=request)
            taken += 1

    with pytest.raises(ResourceExhausted) as refused:
        await spend()
    assert (refused.value.reason, refused.value.metadata) == ("TRAIL_FULL", {"limit": "events_of_request"})
    assert refused.value.retry_after_s is None
    return taken


async def trail_of(world: AuditWorld, request: Request) -> Sequence[dict[str, Any]]:
    await world.trail.flush()
    return [json.loads(line) for line in (await world.trail.evidence(request[1])).audit_jsonl.splitlines()]


@pytest.mark.usefixtures("small")
async def test_a_signer_spends_its_own_share_alone(world: AuditWorld) -> None:
    request, other = await world.add_request("mem_1"), await world.add_request("mem_1")
    ann, ben = signer_of(world, request), signer_of(world, request)
    assert await spent(world, ann, request, "FIELDS_FILLED", "DOCUMENT_DOWNLOADED") == 4
    assert await spent(world, ben, request, "DOCUMENT_DOWNLOADED") == 4
    assert await spent(world, ann, other, "FIELDS_FILLED") == 4
    # What completes or ends a request is taken all the same, and so is what the sender does.
    for name in map(EventType.Name, allowance.ONCE):
        await world.record(ann, name.removeprefix("EVENT_TYPE_"), request=request)
    assert await spent(world, world.caller(), request, "SIGNER_SESSION_CREATED", "EXPIRY_EDITED") == 4
    assert await spent(world, world.caller(), request, "SIGNER_LINK_CREATED") == 0
    assert len(await trail_of(world, request)) == 12 + len(allowance.ONCE)


@pytest.mark.usefixtures("small")
async def test_the_sender_reads_on_and_leaves_its_events_beside_the_trail(world: AuditWorld) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    ids = [
        (await world.record(caller, "DOCUMENT_DOWNLOADED", request=request, extra={"offset": number}))[0]
        for number in range(7)
    ]
    assert [each["event_id"] for each in await trail_of(world, request)] == ids[:4]
    found = (await world.trail.list_events(caller, EventFilter(), PageRequest(10))).items
    assert [each.event_id for each in found] == ids
    beyond = [json.loads(each.leaf) for each in found[4:]]
    assert [(each["trail"], each["beyond_trail"], each["offset"]) for each in beyond] == [
        (None, request[1], number) for number in range(4, 7)
    ]
    assert [each.signature_request_id for each in found] == [request[0]] * 7
    assert (await AuditCheck(world.database, world.keys, world.log).run()).ok


@pytest.mark.usefixtures("small")
async def test_events_at_the_same_time_spend_no_more_than_the_share(world: AuditWorld) -> None:
    request = await world.add_request("mem_1")
    ann = signer_of(world, request)

    async def fill() -> bool:
        try:
            await world.record(ann, "FIELDS_FILLED", request=request)
        except ResourceExhausted:
            return False
        return True

    assert sum(await asyncio.gather(*(fill() for _ in range(12)))) == 4
    assert len(await trail_of(world, request)) == 4


async def test_all_shares_together_are_less_than_evidence_carries(world: AuditWorld) -> None:
    """With the largest leaves that counted events have: of a delegate's ranged download, named by long addresses."""
    caller = world.caller(acting=Share(new_id("mem"), new_id("dlg")))
    request = await world.add_request(caller.principal_id)
    most = 2**40
    await world.record(
        caller,
        "DOCUMENT_DOWNLOADED",
        request=request,
        resource_id=new_id("doc"),
        documents=[DOCUMENT],
        extra={"offset": most, "length": most},
    )
    await world.record(
        caller,
        "SIGNER_LINK_CREATED",
        request=request,
        resource_id=new_id("sig"),
        extra={"link": new_id("lnk"), "expire_time": "2026-11-26T12:00:00.000000Z", "opened_session": new_id("ses")},
    )
    asserting = Origin("203.0.113.7", "program", "203.0.113.8", "program", "UTC")
    signer = caller._replace(kind=PrincipalKind.SIGNER, acting=None, origin=asserting)
    await world.record(signer, "FIELDS_FILLED", request=request, resource_id=new_id("sig"))
    await world.trail.flush()
    largest = max(len(line) for line in (await world.trail.evidence(request[1])).audit_jsonl.splitlines()) + 50
    counted = MAX_SIGNERS * allowance.SIGNER + allowance.SENDING + allowance.READING
    assert counted * largest < MAX_TRAIL_BYTES * 0.9


async def test_a_trail_that_is_too_long_is_said_to_be_that(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    await world.record(caller, "FIELDS_FILLED", request=request, count=5)
    await world.trail.flush()
    monkeypatch.setattr(service, "MAX_TRAIL_BYTES", len((await world.trail.evidence(request[1])).audit_jsonl) - 1)
    for ask in (lambda: world.trail.evidence(request[1]), lambda: world.trail.transaction(caller, request[1])):
        with pytest.raises(ResourceExhausted) as refused:
            await ask()
        assert refused.value.reason == "TRAIL_FULL"
