"""Who may see events sees them, all of them and once; whatever was altered is shown to nobody as good."""

import asyncio
import hashlib
import itertools
from typing import Any

import pytest

from support.audit_world import DOCUMENT, AuditWorld, names
from zegel.event.v1 import event_type_pb2
from zegel.evidence.commitments import SEALED, DocumentHash, SealedOpening, document_salt
from zegel.evidence.trail import check_detached, check_trail
from zegel.evidence.transparency import LogProof, open_checkpoint, verify_consistency
from zegel_server.audit import service, store
from zegel_server.audit.model import AuditEvent, EventDocument, EventFilter
from zegel_server.audit.recorder import commitments_to
from zegel_server.caller import Caller, PrincipalKind, Scope
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import DataLoss, NotFound, OutOfRange, PermissionDenied, Unavailable
from zegel_server.ids import new_id

EVERYTHING = EventFilter()


async def listed(
    world: AuditWorld, caller: Caller, wanted: EventFilter = EVERYTHING, page: int = 100
) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    asked: PageRequest | None = PageRequest(page)
    while asked is not None:
        found = await world.trail.list_events(caller, wanted, asked)
        events += found.items
        assert len(found.items) <= page
        asked = None if found.next is None else PageRequest(page, found.next)
    return events


def signer_of(world: AuditWorld, request: tuple[str, str]) -> Caller:
    return world.caller(
        Scope.PARTY, principal_id=new_id("sig"), kind=PrincipalKind.SIGNER, signature_request_id=request[0]
    )


async def test_an_event_tells_who_did_what_when_and_from_where(world: AuditWorld) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    [event_id] = await world.record(
        caller,
        "DOCUMENT_DOWNLOADED",
        request=request,
        resource_id="doc_1",
        documents=[DOCUMENT],
        refused=True,
        personal={"name": "Ann", "email": "ann@example.com"},
    )
    await world.trail.flush()
    [event] = await listed(world, caller)
    assert event.event_id == event_id
    assert event.log_index == 0
    assert names([event]) == ["DOCUMENT_DOWNLOADED"]
    assert (event.principal_id, event.session_id) == (caller.principal_id, caller.session_id)
    assert (event.signature_request_id, event.resource_id) == (request[0], "doc_1")
    (committed,) = commitments_to([DOCUMENT], await world.keys.own_key(world.tenant_id))
    assert event.documents == (EventDocument("doc_1", 1, "original", bytes.fromhex(committed.commitment), b""),)
    assert (event.policy_version, event.refused) == (3, True)
    assert event.personal == {
        "name": "Ann",
        "email": "ann@example.com",
        "address": "198.51.100.9",
        "user_agent": "browser/2.0",
    }
    assert b"Ann" not in event.leaf
    assert b"198.51" not in event.leaf


async def test_pages_and_filters_find_each_event_once(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WINDOW", 7)
    monkeypatch.setattr(service, "WINDOWS", 2)
    ann, ben = world.caller(), world.caller()
    request = await world.add_request(ann.principal_id)
    for turn in range(12):
        await world.record(ann, "SIGNED_IN", count=2)
        await world.record(ben, "DOCUMENT_UPLOADED")
        if turn % 4 == 0:
            await world.record(ben, "FIELDS_FILLED", request=request)
    await world.trail.flush()
    everything = await listed(world, ann)
    assert [event.log_index for event in everything] == list(range(39))
    for page in (1, 5, 39):
        assert await listed(world, ann, page=page) == everything
    by_ben = await listed(world, ann, EventFilter(principal_id=ben.principal_id), page=4)
    assert by_ben == [event for event in everything if event.principal_id == ben.principal_id]
    wanted = frozenset({event_type_pb2.EVENT_TYPE_DOCUMENT_UPLOADED, event_type_pb2.EVENT_TYPE_FIELDS_FILLED})
    assert await listed(world, ann, EventFilter(types=wanted), page=3) == by_ben
    # 6 is a type too: no digit of another number may pass for it.
    assert await listed(world, ann, EventFilter(types=frozenset({6, 4}))) == []
    of_request = await listed(world, ann, EventFilter(signature_request_id=request[0]), page=2)
    assert names(of_request) == ["FIELDS_FILLED"] * 3
    middle = everything[20].event_time
    assert await listed(world, ann, EventFilter(start_time=middle)) == [e for e in everything if e.event_time >= middle]
    assert await listed(world, ann, EventFilter(end_time=middle)) == [e for e in everything if e.event_time < middle]


async def test_scopes_cut_the_list(world: AuditWorld) -> None:
    owner, stranger = world.caller(Scope.OWN), world.caller(Scope.OWN)
    request, other = await world.add_request(owner.principal_id), await world.add_request(stranger.principal_id)
    signer = signer_of(world, request)
    await world.record(owner, "SIGNED_IN")
    await world.record(stranger, "SIGNED_IN")
    await world.record(signer, "DISCLOSURE_ACCEPTED", request=request)
    await world.record(stranger, "SIGNATURE_REQUEST_SENT", request=other)
    await world.trail.flush()
    assert [e.log_index for e in await listed(world, world.caller(Scope.ANY))] == [0, 1, 2, 3]
    assert [e.log_index for e in await listed(world, owner)] == [0, 2]
    assert [e.log_index for e in await listed(world, stranger)] == [1, 3]
    assert [e.log_index for e in await listed(world, signer)] == [2]
    with pytest.raises(PermissionDenied):
        await listed(world, world.caller(Scope.NONE))
    for caller, unseen in ((owner, other), (signer, other), (stranger, request)):
        with pytest.raises(NotFound):
            await listed(world, caller, EventFilter(signature_request_id=unseen[0]))
        with pytest.raises(NotFound):
            await world.trail.transaction(caller, unseen[1])
    for unknown in (new_id("req"), "req_", "anything"):
        with pytest.raises(NotFound):
            await listed(world, owner, EventFilter(signature_request_id=unknown))
    assert names((await world.trail.transaction(signer, request[1])).events) == ["DISCLOSURE_ACCEPTED"]


async def test_no_tenant_sees_anything_of_another(world: AuditWorld) -> None:
    tenant_id, subject_id = await world.add_tenant()
    theirs = world.caller(tenant_id=tenant_id, subject_id=subject_id)
    request = await world.add_request(theirs.principal_id, tenant_id)
    [event_id] = await world.record(theirs, request=request)
    await world.record()
    await world.trail.flush()
    mine = world.caller()
    assert [event.log_index for event in await listed(world, mine)] == [1]
    assert [event.log_index for event in await listed(world, theirs)] == [0]
    with pytest.raises(NotFound):
        await world.trail.inclusion_proof(mine, event_id)
    with pytest.raises(NotFound):
        await world.trail.transaction(mine, request[1])
    with pytest.raises(NotFound):
        await listed(world, mine, EventFilter(signature_request_id=request[0]))
    assert await world.trail.inclusion_proof(theirs, event_id)


async def test_who_reaches_an_event_gets_its_proof_and_nobody_else(world: AuditWorld) -> None:
    owner, stranger = world.caller(Scope.OWN), world.caller(Scope.OWN)
    request = await world.add_request(owner.principal_id)
    signer = signer_of(world, request)
    [own] = await world.record(owner)
    [shared] = await world.record(signer, "SIGNATURE_REQUEST_SIGNED", request=request)
    await world.trail.flush()
    for caller, reached in ((owner, {own, shared}), (signer, {shared}), (stranger, set())):
        for event_id in (own, shared):
            if event_id in reached:
                proof = LogProof.parse(await world.trail.inclusion_proof(caller, event_id))
                proof.verify(proof.extra, [world.log.key.verifier])
            else:
                with pytest.raises(NotFound):
                    await world.trail.inclusion_proof(caller, event_id)
    for unknown in (new_id("evt"), "evt_x"):
        with pytest.raises(NotFound):
            await world.trail.inclusion_proof(owner, unknown)


async def test_an_event_is_shown_only_under_a_checkpoint(world: AuditWorld) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    [event_id] = await world.record(caller, request=request)
    assert await listed(world, caller) == []
    with pytest.raises(Unavailable) as refused:
        await world.trail.inclusion_proof(caller, event_id)
    assert refused.value.reason == "NOT_INTEGRATED_YET"
    with pytest.raises(Unavailable):
        await world.trail.evidence(request[1])
    await world.trail.flush()
    assert len(await listed(world, caller)) == 1
    await world.trail.evidence(request[1])
    await world.record(caller, request=request)
    with pytest.raises(Unavailable):
        await world.trail.evidence(request[1])
    with pytest.raises(Unavailable):
        await world.trail.evidence(new_id("aud"))
    # Who asks for the whole finds what was done a moment ago.
    assert len((await world.trail.transaction(caller, request[1])).events) == 2


async def test_a_request_has_its_evidence_and_the_proof_of_its_sealed_file(world: AuditWorld) -> None:
    caller = world.caller()
    request, other = await world.add_request(caller.principal_id), await world.add_request(caller.principal_id)
    file = b"the sealed file"
    sealed = hashlib.sha256(file)
    for name in ("SENT", "VIEWED", "SIGNED", "ALL_SIGNED"):
        await world.record(caller, f"SIGNATURE_REQUEST_{name}", request=request)
        await world.record(caller, "FIELDS_FILLED", request=other, count=3)
    before = await world.trail.transaction(caller, request[1])
    assert before.sealed_proof == b""
    await world.record(
        caller,
        "SIGNATURE_REQUEST_DOWNLOADABLE",
        request=request,
        documents=[DocumentHash("doc_9", 1, sealed.hexdigest(), len(file), SEALED)],
    )
    await world.record(caller, "DOCUMENT_DOWNLOADED", request=request)
    record = await world.trail.transaction(caller, request[1])
    assert record.signature_request_id == request[0]
    assert [event.leaf for event in record.events] == record.evidence.audit_jsonl.splitlines()
    assert names(record.events)[-2:] == ["SIGNATURE_REQUEST_DOWNLOADABLE", "DOCUMENT_DOWNLOADED"]
    keys = [world.log.key.verifier]
    report = check_trail(record.evidence.audit_jsonl, record.evidence.proof, keys)
    assert report.ok
    assert report.trail == request[1]
    assert check_trail(before.evidence.audit_jsonl, before.evidence.proof, keys).ok
    salt = document_salt(await world.keys.own_key(world.tenant_id), SEALED, "doc_9", 1)
    opening = SealedOpening("doc_9", 1, salt)
    proof = record.sealed_proof
    assert check_detached(sealed.digest(), len(file), proof, keys, opening=opening, trail=request[1]).ok
    assert record.openings == b""
    assert await world.trail.evidence(request[1]) == record.evidence


async def test_a_forgotten_person_is_gone_and_every_proof_still_holds(world: AuditWorld) -> None:
    caller = world.caller()
    subject = await world.keys.subject(world.tenant_id, "ann@example.com")
    request = await world.add_request(caller.principal_id)
    ann = world.caller(subject_id=subject.subject_id)
    [event_id] = await world.record(ann, "SIGNATURE_REQUEST_SIGNED", request=request, personal={"name": "Ann"})
    before = await world.trail.transaction(caller, request[1])
    assert before.events[0].personal["name"] == "Ann"
    async with world.database.transaction() as transaction:
        await world.keys.destroy_subject(transaction, subject.subject_id)
    after = await world.trail.transaction(caller, request[1])
    assert after.events[0].personal == {}
    assert after.evidence.audit_jsonl == before.evidence.audit_jsonl
    proof = LogProof.parse(await world.trail.inclusion_proof(caller, event_id))
    proof.verify(before.events[0].leaf, [world.log.key.verifier])


@pytest.mark.parametrize("readers", [1, 3])
async def test_a_watch_has_no_gap_and_nothing_twice_under_load(world: AuditWorld, readers: int) -> None:
    await world.sequencer.start()
    other = await world.another()
    await other.sequencer.start()
    caller = world.caller()
    total = 400

    async def watch(source: AuditWorld, first: int) -> list[int]:
        seen: list[int] = []
        stream = source.trail.watch(caller, EVERYTHING, first=first)
        async for event in stream:
            seen.append(event.log_index)
            if event.log_index == total - 1:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return seen

    async def write(target: AuditWorld) -> None:
        for _ in range(total // 4):
            await target.record(caller, count=2)
            await asyncio.sleep(0)

    sources = [(world, 0), (other, 0), (world, 150)][:readers]
    watches = [asyncio.create_task(watch(source, first)) for source, first in sources]
    await asyncio.gather(write(world), write(other))
    async with asyncio.timeout(60):
        for (_, first), watching in zip(sources, watches, strict=True):
            assert await watching == list(range(first, total))
    await other.close()


async def test_a_watch_sends_only_what_is_wanted_and_seen(world: AuditWorld) -> None:
    owner = world.caller(Scope.OWN)
    request = await world.add_request(owner.principal_id)
    await world.sequencer.start()
    wanted = EventFilter(signature_request_id=request[0], types=frozenset({event_type_pb2.EVENT_TYPE_FIELDS_FILLED}))
    stream = world.trail.watch(owner, wanted, first=0)
    await world.record(world.caller(), "FIELDS_FILLED")
    await world.record(owner, "DISCLOSURE_ACCEPTED", request=request)
    [event_id] = await world.record(signer_of(world, request), "FIELDS_FILLED", request=request)
    async with asyncio.timeout(30):
        assert (await anext(stream)).event_id == event_id
    await stream.aclose()  # type: ignore[attr-defined]


async def test_every_proof_that_is_served_verifies(world: AuditWorld) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    ids: list[str] = []
    roots: dict[int, bytes] = {}
    for count in (1, 1, 5, 60, 190, 256, 1):
        ids += await world.record(caller, request=request, count=count)
        await world.trail.flush()
        head = await world.trail.checkpoint()
        roots[head.size] = open_checkpoint(head.checkpoint, [world.log.key.verifier]).root
    for index in (0, 1, 6, 255, 256, 511, 512, 513):
        proof = LogProof.parse(await world.trail.inclusion_proof(caller, ids[index]))
        assert proof.index == index
        assert proof.verify(proof.extra, [world.log.key.verifier]).size == len(ids)
    newest = max(roots)
    for (first, old_root), (second, new_root) in itertools.product(roots.items(), repeat=2):
        if first > second:
            with pytest.raises(OutOfRange):
                await world.trail.consistency_proof(first, second)
            continue
        found = await world.trail.consistency_proof(first, second)
        verify_consistency(first, second, old_root, new_root, found.hashes)
        assert bool(found.checkpoint) == (second == newest)
    assert (await world.trail.consistency_proof(1, 0)).second_size == newest
    for first, second in ((0, 5), (-1, 5), (1, newest + 1), (newest + 1, 0), (1, -4)):
        with pytest.raises(OutOfRange):
            await world.trail.consistency_proof(first, second)


ALTERATIONS = {
    "the leaf": "UPDATE audit_events SET leaf = (SELECT leaf FROM audit_events WHERE leaf_index = 2)"
    " WHERE leaf_index = 1",
    "its owner": "UPDATE audit_events SET principal_id = 'mem_other' WHERE leaf_index = 1",
    "its type": "UPDATE audit_events SET event_type = 9 WHERE leaf_index = 1",
    "its time": "UPDATE audit_events SET event_time = event_time - 1 WHERE leaf_index = 1",
    "its identifier": "UPDATE audit_events SET event_id = 'evt_other' WHERE leaf_index = 1",
    "its person": "UPDATE audit_events SET personal = (SELECT personal FROM audit_events WHERE leaf_index = 4)"
    " WHERE leaf_index = 1",
    "the checkpoint": "UPDATE audit_log SET checkpoint = (SELECT hashes FROM audit_tiles WHERE level = 0)",
    "a tile": "UPDATE audit_tiles SET hashes = (SELECT head FROM audit_trails LIMIT 1)",
    "a tile is gone": "DELETE FROM audit_tiles",
    "the log is gone": "DELETE FROM audit_log",
}


@pytest.mark.parametrize(("what", "statement"), ALTERATIONS.items())
async def test_what_was_altered_is_served_to_nobody(world: AuditWorld, what: str, statement: str) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    await world.record(caller, request=request, count=4, personal={"name": "Ann"})
    await world.record(caller, count=3, personal={"name": "Ben"})
    await world.trail.flush()
    await world.tamper(statement)
    # A server that has it all in memory, and one that has just been started.
    other = await world.another()
    for reader in (other, world) if "tile" not in what else (other,):
        with pytest.raises(DataLoss) as refused:
            await listed(reader, caller)
        assert refused.value.reason == "LOG_DAMAGED"
        with pytest.raises(DataLoss):
            await reader.trail.transaction(caller, request[1])
        with pytest.raises(DataLoss):
            await anext(reader.trail.watch(caller, EventFilter(signature_request_id=request[0]), first=1))
    await other.close()


@pytest.mark.parametrize("index", [0, 1, 3])
async def test_an_event_missing_from_a_trail_is_found(world: AuditWorld, index: int) -> None:
    caller = world.caller()
    request = await world.add_request(caller.principal_id)
    await world.record(caller, request=request, count=4)
    await world.trail.flush()
    await world.tamper("DELETE FROM audit_events WHERE leaf_index = :index", index=index)
    with pytest.raises(DataLoss):
        await world.trail.evidence(request[1])
    with pytest.raises(DataLoss):
        await world.trail.transaction(caller, request[1])


async def test_an_event_moved_to_another_tenant_is_shown_to_neither(world: AuditWorld) -> None:
    tenant_id, subject_id = await world.add_tenant()
    await world.record()
    await world.trail.flush()
    await world.tamper("UPDATE audit_events SET tenant_id = :tenant_id", tenant_id=tenant_id)
    with pytest.raises(DataLoss):
        await listed(world, world.caller(tenant_id=tenant_id, subject_id=subject_id))


async def test_what_is_mended_is_served_again(world: AuditWorld) -> None:
    caller = world.caller()
    await world.record(caller, count=300)
    await world.trail.flush()
    good = [(row["level"], row["tile_index"], row["hashes"]) for row in await _tiles(world)]
    await world.tamper("UPDATE audit_tiles SET hashes = :none WHERE tile_index = 0 AND level = 0", none=bytes(8192))
    other = await world.another()
    with pytest.raises(DataLoss):
        await listed(other, caller)
    for level, tile_index, hashes in good:
        await world.tamper(
            "UPDATE audit_tiles SET hashes = :hashes WHERE level = :level AND tile_index = :tile_index",
            level=level,
            tile_index=tile_index,
            hashes=hashes,
        )
    assert len(await listed(other, caller, page=1000)) == 300
    await other.close()


async def _tiles(world: AuditWorld) -> list[dict[str, Any]]:
    rows = await world.database.fetch(store.TILES, level=-1, tile_index=-1, limit=100)
    return [row._asdict() for row in rows]
