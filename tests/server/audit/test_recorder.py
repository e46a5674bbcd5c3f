"""What is recorded while a subject's key is not to be had, and what is not."""

import json

import pytest

from support.audit_world import AuditWorld
from zegel.event.v1.event_type_pb2 import EventType
from zegel_server.audit.model import EventFilter
from zegel_server.audit.recorder import TAKES_AWAY
from zegel_server.crypto import KeyDestroyed
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
    [row] = (await world.trail.list_events(caller, EventFilter(), first=0, limit=10)).events
    leaf = json.loads(row.leaf)
    assert (row.event_id, row.principal_id, row.resource_id) == (event_id, caller.principal_id, "ses_1")
    assert (leaf["personal"], leaf["personal_missing"], leaf["why"]) == (None, "key_away", "x")
    assert leaf["session"] == caller.session_id
    assert row.personal == {}


async def test_a_key_that_is_damaged_is_no_excuse(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(world, monkeypatch, DataLoss("A stored key is damaged."))
    with pytest.raises(DataLoss):
        await world.record(name="SESSION_REVOKED")
    take_away(world, monkeypatch, Unavailable("The database does not answer now.", dependency="database"))
    with pytest.raises(Unavailable):
        await world.record(name="SESSION_REVOKED")
