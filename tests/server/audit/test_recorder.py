"""What is recorded while a subject's key is not to be had, and what is not."""

import json
from collections.abc import Sequence

import pytest

from support.audit_world import DOCUMENT, AuditWorld
from zegel.event.v1.event_type_pb2 import EventType
from zegel.evidence.commitments import commit_document, document_salt
from zegel.evidence.leaves import DocumentCommitment, parse_leaf
from zegel_server.audit.model import AuditEvent, EventFilter
from zegel_server.audit.recorder import TAKES_AWAY, commitments_to
from zegel_server.caller import Caller
from zegel_server.crypto import KeyDestroyed
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import DataLoss, Unavailable, ZegelError
from zegel_server.keys.providers import RootKeyGone

AWAY = [Unavailable("Away.", dependency="key_provider"), RootKeyGone(), KeyDestroyed()]
NAMES = [name.removeprefix("EVENT_TYPE_") for name, number in EventType.items() if number]


def take_away(world: AuditWorld, monkeypatch: pytest.MonkeyPatch, error: ZegelError) -> None:
    async def away(_: str) -> bytes:
        raise error

    monkeypatch.setattr(world.keys, "subject_key", away)


@pytest.mark.parametrize("error", AWAY, ids=["away", "gone", "destroyed"])
async def test_without_the_key_only_what_takes_access_away_is_recorded(
    world: AuditWorld, monkeypatch: pytest.MonkeyPatch, error: ZegelError
) -> None:
    take_away(world, monkeypatch, error)
    for name in NAMES:
        if EventType.Value(f"EVENT_TYPE_{name}") in TAKES_AWAY:
            await world.record(name=name)
            continue
        with pytest.raises(type(error)) as refused:
            await world.record(name=name)
        assert refused.value is error


async def test_such_an_event_names_who_and_says_what_is_missing(
    world: AuditWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = world.caller()
    await world.sequencer.start()
    with monkeypatch.context() as patch:
        take_away(world, patch, AWAY[0])
        [event_id] = await world.record(caller, "SESSION_REVOKED", resource_id="ses_1", extra={"why": "x"})
    await world.sequencer.flush()
    [row] = (await world.trail.list_events(caller, EventFilter(), PageRequest(10))).items
    leaf = json.loads(row.leaf)
    assert (row.event_id, row.principal_id, row.resource_id) == (event_id, caller.principal_id, "ses_1")
    assert (leaf["personal"], leaf["personal_missing"], leaf["why"]) == (None, "key_away", "x")
    assert leaf["session"] == caller.session_id
    assert row.personal == {}


async def test_such_an_event_names_no_documents_and_says_so(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = world.caller()
    with monkeypatch.context() as patch:
        take_away(world, patch, AWAY[0])
        await world.record(caller, "ACCESS_DENIED", documents=[DOCUMENT])
        with pytest.raises(Unavailable):
            await world.recorder.draft_own(world.tenant_id, EventType.EVENT_TYPE_DOCUMENT_PURGED, documents=[DOCUMENT])
        # Nothing to commit to, nothing to ask for.
        await world.recorder.draft_own(world.tenant_id, EventType.EVENT_TYPE_SIGNATURE_REQUEST_EXPIRED)
    await world.sequencer.flush()
    [row] = (await world.trail.list_events(caller, EventFilter(), PageRequest(10))).items
    leaf = json.loads(row.leaf)
    assert (leaf["documents"], leaf["documents_missing"]) == ([], "key_away")
    assert DOCUMENT.sha256 not in row.leaf.decode()


async def test_documents_are_committed_to_under_salts_of_the_tenant_s_own_key(world: AuditWorld) -> None:
    caller = world.caller()
    other, _ = await world.add_tenant()
    await world.record(caller, "DOCUMENT_DOWNLOADED", documents=[DOCUMENT])
    draft = await world.recorder.draft(caller, EventType.EVENT_TYPE_DOCUMENT_DELETED, documents=None)
    async with world.database.transaction() as transaction:
        await world.recorder.record(transaction, draft.about(documents=(DOCUMENT,)))
    await world.sequencer.flush()
    leaves = [parse_leaf(row.leaf) for row in await everything(world, caller)]
    key = await world.keys.own_key(world.tenant_id)
    salt = document_salt(key, "original", "doc_1", 1)
    wanted = (DocumentCommitment("doc_1", 1, commit_document(salt, DOCUMENT), "original"),)
    assert [leaf.documents for leaf in leaves] == [wanted, wanted]
    assert commitments_to([DOCUMENT], await world.keys.own_key(other)) != wanted
    assert all(DOCUMENT.sha256 not in row.leaf.decode() for row in await everything(world, caller))


async def test_documents_are_not_told_by_an_event_that_was_drafted_without_a_key(world: AuditWorld) -> None:
    draft = await world.recorder.draft(world.caller(), EventType.EVENT_TYPE_DOCUMENT_DELETED)
    with pytest.raises(ValueError, match="without a key"):
        async with world.database.transaction() as transaction:
            await world.recorder.record(transaction, draft.about(documents=(DOCUMENT,)))
    named = await world.recorder.draft(world.caller(), EventType.EVENT_TYPE_DOCUMENT_DELETED, documents=[DOCUMENT])
    assert repr(await world.keys.own_key(world.tenant_id)) not in repr(named)


async def everything(world: AuditWorld, caller: Caller) -> Sequence[AuditEvent]:
    return (await world.trail.list_events(caller, EventFilter(), PageRequest(10))).items


async def test_a_key_that_is_damaged_is_no_excuse(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(world, monkeypatch, DataLoss("A stored key is damaged."))
    with pytest.raises(DataLoss):
        await world.record(name="SESSION_REVOKED")
    take_away(world, monkeypatch, Unavailable("The database does not answer now.", dependency="database"))
    with pytest.raises(Unavailable):
        await world.record(name="SESSION_REVOKED")
