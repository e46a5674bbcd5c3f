"""Whatever somebody edits in the database is found by the check, and named."""

import re

import pytest

from support.audit_world import AuditWorld
from zegel_server import clock
from zegel_server.audit.check import AuditCheck, CheckReport


async def checked(world: AuditWorld) -> CheckReport:
    fresh = await world.another()
    report = await AuditCheck(fresh.database, fresh.keys, fresh.log).run()
    await fresh.close()
    return report


async def filled(world: AuditWorld) -> None:
    caller = world.caller()
    requests = [await world.add_request(caller.principal_id) for _ in range(3)]
    for turn in range(30):
        await world.record(caller, "FIELDS_FILLED", request=requests[turn % 3], count=7, personal={"name": "Ann"})
        await world.record(caller, count=4)
    await world.sequencer.flush()


async def test_a_whole_log_is_found_whole(world: AuditWorld) -> None:
    assert (await checked(world)).ok
    await filled(world)
    await world.record(count=2)
    report = await checked(world)
    assert report.findings == []
    assert (report.events, report.waiting, report.clock_steps) == (330, 2, [])


ALTERATIONS = [
    ("DELETE FROM audit_events WHERE leaf_index = 12", "event 12 is missing"),
    ("DELETE FROM audit_events WHERE leaf_index >= 300", "event 329 is missing"),
    (
        "UPDATE audit_events SET leaf = (SELECT leaf FROM audit_events WHERE leaf_index = 9) WHERE leaf_index = 270",
        "event 270 .*not the one that was signed",
    ),
    ("UPDATE audit_events SET principal_id = 'mem_x' WHERE leaf_index = 5", "event 5 .*contradicts its leaf"),
    ("UPDATE audit_events SET event_time = 1 WHERE leaf_index = 5", "event 5 .*contradicts its leaf"),
    ("UPDATE audit_events SET event_type = 9 WHERE leaf_index = 5", "event 5 .*contradicts its leaf"),
    ("UPDATE audit_events SET trail = '' WHERE leaf_index = 1", "event 1 .*contradicts its leaf"),
    ("UPDATE audit_events SET personal = NULL WHERE leaf_index = 2", "event 2 .*personal data is missing"),
    (
        "UPDATE audit_events SET personal = (SELECT personal FROM audit_events WHERE leaf_index=8) WHERE leaf_index=2",
        "event 2 .*personal data is not what was recorded",
    ),
    ("UPDATE audit_events SET body = 'x' WHERE leaf_index = 2", "event 2 .*it has both a draft and a leaf"),
    (
        "UPDATE audit_events SET signature_request_id = 'req_x' WHERE leaf_index = 2",
        "event 2 .*different signature requests",
    ),
    ("UPDATE audit_events SET leaf_index = 400 WHERE leaf_index = 329", "which no checkpoint covers"),
    ("DELETE FROM audit_tiles WHERE level = 0 AND tile_index = 1", "tile/0/001.p/74 is missing"),
    ("DELETE FROM audit_tiles WHERE level = 1", "tile/1/000.p/1 is missing"),
    (
        "UPDATE audit_tiles SET hashes = (SELECT hashes FROM audit_tiles WHERE tile_index = 1) WHERE tile_index = 0",
        "tile/0/000 is not the one that was signed",
    ),
    (
        "UPDATE audit_tiles SET hashes = (SELECT head FROM audit_trails LIMIT 1) WHERE level = 1",
        "tile/1/000.p/1 is not the one that was signed",
    ),
    (
        "INSERT INTO audit_tiles SELECT 2, 0, hashes FROM audit_tiles WHERE level = 1",
        "has more hashes than any checkpoint covers",
    ),
    ("UPDATE audit_log SET size = 329", "another size than its row says"),
    ("UPDATE audit_log SET checkpoint = (SELECT hashes FROM audit_tiles WHERE level = 1)", "not signed"),
    ("DELETE FROM audit_log", "newest checkpoint is missing"),
    ("UPDATE audit_trails SET length = 69", "trail aud_.*the number of its events"),
    ("DELETE FROM audit_trails", "trail aud_.*the number of its events"),
    ("DELETE FROM audit_events WHERE trail <> ''", "all events of trail aud_.* are missing"),
    ("UPDATE audit_events SET body = 'edited' WHERE leaf_index IS NULL", "is not in the log yet, is malformed"),
]


@pytest.mark.parametrize(("statement", "found"), ALTERATIONS)
async def test_an_alteration_is_found_and_named(world: AuditWorld, statement: str, found: str) -> None:
    await filled(world)
    await world.record()
    await world.tamper(statement)
    report = await checked(world)
    assert not report.ok
    assert any(re.search(found, finding) for finding in report.findings), report.findings


async def test_a_clock_that_went_back_is_told(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.record(count=3)
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: 1_700_000_000 * clock.SECOND)
        await world.record(count=2)
    await world.record()
    await world.sequencer.flush()
    report = await checked(world)
    assert report.ok
    assert report.clock_steps == [3]
