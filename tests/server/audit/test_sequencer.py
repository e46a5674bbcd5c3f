"""Events come into the log whole, in order and once, whoever else works on it and wherever a process dies."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from support.audit_world import AuditWorld, open_world, prepare, run_sql
from support.stopwatch import Stopwatch
from zegel.evidence.transparency import leaf_hash, merkle_root, open_checkpoint
from zegel_server.audit import leaf, sequencer, store
from zegel_server.audit.sequencer import BATCH
from zegel_server.db import Statement, sqlite
from zegel_server.db.schema import audit_events
from zegel_server.errors import DataLoss, Unavailable

_ROWS = Statement(select(audit_events).order_by(audit_events.c.event_number))


async def rows_of(world: AuditWorld) -> list[Any]:
    return await world.database.fetch(_ROWS)


async def check_whole(world: AuditWorld, count: int) -> None:
    """Each event has its one place, and the signed root is that of all the leaves."""
    rows = sorted(await rows_of(world), key=lambda row: int(row.leaf_index))
    assert [row.leaf_index for row in rows] == list(range(count))
    head = await world.log.head()
    assert open_checkpoint(head.checkpoint, [world.log.key.verifier]).root == head.root
    assert head.size == count
    assert merkle_root([leaf_hash(row.leaf) for row in rows]) == head.root
    ends: dict[str, tuple[int, str]] = {}
    for row in rows:
        said = leaf.parse(row.leaf)
        assert (said.event_id, said.trail or "", row.body) == (row.event_id, row.trail, "")
        if said.trail:
            length, end = ends.get(said.trail, (0, None))
            assert (said.seq, said.prev) == (length + 1, end)
            ends[said.trail] = (length + 1, leaf_hash(row.leaf).hex())


async def test_what_is_recorded_comes_into_the_log_in_its_order(world: AuditWorld) -> None:
    request = await world.add_request("mem_1")
    first = await world.record(request=request)
    others = await world.record(count=3)
    last = await world.record(request=request, count=2)
    assert await world.sequencer.integrate() == 6
    assert [row.event_id for row in await rows_of(world)] == [*first, *others, *last]
    await check_whole(world, 6)
    assert await world.sequencer.integrate() == 0


async def test_a_large_backlog_comes_in_by_batches(world: AuditWorld) -> None:
    request = await world.add_request("mem_1")
    await world.record(request=request, count=BATCH + 7)
    await world.record(count=300)
    await world.sequencer.flush()
    await check_whole(world, BATCH + 307)


async def test_an_event_is_under_a_checkpoint_in_a_moment(world: AuditWorld) -> None:
    await world.sequencer.start()
    slowest = 0.0
    for size in range(1, 9):
        await world.record()
        async with Stopwatch() as watch:
            while world.log.size < size:
                await world.sequencer.wait(size - 1, 5.0)
            slowest = max(slowest, await watch.seconds())
        await asyncio.sleep(0.05)
    # 250 ms is the promise; what a busy disk takes is not the sequencer's.
    assert slowest < 1.0
    await check_whole(world, 8)


async def test_events_of_another_process_are_found_without_a_nudge(world: AuditWorld) -> None:
    await world.sequencer.start()
    other = await world.another()
    await other.record(count=2)
    for _ in range(100):
        if world.log.size == 2:
            break
        await world.sequencer.wait(world.log.size, 0.1)
    await check_whole(world, 2)
    await other.close()


async def test_two_sequencers_make_one_log(world: AuditWorld) -> None:
    other = await world.another()
    request = await world.add_request("mem_1")
    await world.sequencer.start()
    await other.sequencer.start()

    async def work(mine: AuditWorld) -> None:
        for _ in range(30):
            await mine.record(request=request, count=2)
            await mine.sequencer.integrate()

    await asyncio.gather(work(world), work(other), work(world), work(other))
    await asyncio.gather(world.sequencer.flush(), other.sequencer.flush())
    await check_whole(world, 240)
    await check_whole(other, 240)
    await other.close()


@pytest.mark.parametrize("died_at", range(1, 6))
async def test_whoever_dies_in_the_middle_leaves_the_log_as_it_was(
    world: AuditWorld, monkeypatch: pytest.MonkeyPatch, died_at: int
) -> None:
    """The process ends at the n-th statement of the transaction: nothing of it is there, and the next one goes on."""
    request = await world.add_request("mem_1")
    await world.record(request=request, count=3)
    await world.sequencer.flush()
    before = await world.log.head()
    await world.record(request=request, count=3)
    signed: list[bytes] = []
    transaction = type(await _open_transaction(world))
    count = 0

    def dying(name: str) -> Any:
        original = getattr(transaction, name)

        async def run(self: Any, *given: Any, **values: Any) -> Any:
            nonlocal count
            count += 1
            if name == "execute" and "new_checkpoint" in values:
                signed.append(values["new_checkpoint"])
            if count == died_at:
                raise asyncio.CancelledError
            return await original(self, *given, **values)

        return run

    with monkeypatch.context() as patched:
        for name in ("fetch", "fetch_one", "execute", "execute_many"):
            patched.setattr(transaction, name, dying(name))
        with pytest.raises(asyncio.CancelledError):
            await world.sequencer.integrate()
    assert await world.log.head() == before
    other = await world.another()
    await other.sequencer.flush()
    await check_whole(other, 6)
    await other.close()
    # What was signed and not committed was never seen; had it been, it would have been the very same tree.
    assert all(open_checkpoint(each, [world.log.key.verifier]).size == 6 for each in signed)


async def _open_transaction(world: AuditWorld) -> Any:
    async with world.database.transaction() as transaction:
        return transaction


async def test_a_failing_database_is_asked_again(world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "FIRST_PAUSE_S", 0.01)
    await world.sequencer.start()
    original, failures = world.sequencer._integrate, 3

    async def failing() -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable("The database does not answer now.", dependency="database")
        return await original()

    monkeypatch.setattr(world.sequencer, "_integrate", failing)
    await world.record()
    await world.sequencer.wait(0, 10.0)
    await check_whole(world, 1)


async def test_a_checkpoint_of_another_key_is_refused(world: AuditWorld, tmp_path: Path) -> None:
    await world.record(count=2)
    await world.sequencer.flush()
    (tmp_path / "log.key").rename(tmp_path / "log.key.before")
    other = await world.another()
    with pytest.raises(DataLoss, match="not signed by the log's key") as refused:
        await other.sequencer.start()
    assert refused.value.reason == "LOG_DAMAGED"
    await other.close()


async def test_an_altered_tile_stops_the_signing(world: AuditWorld) -> None:
    await world.record(count=5)
    await world.sequencer.flush()
    head = await world.log.head()
    await world.tamper("UPDATE audit_tiles SET hashes = :hashes WHERE level = 0", hashes=bytes(160))
    other = await world.another()
    await other.record()
    with pytest.raises(DataLoss, match="do not yield the signed root"):
        await other.sequencer.flush()
    with pytest.raises(DataLoss):
        await other.sequencer.start()
    [row] = await world.database.fetch(store.HEAD)
    assert row.checkpoint == head.checkpoint
    await other.close()


async def test_a_removed_tile_stops_the_signing(world: AuditWorld) -> None:
    await world.record(count=5)
    await world.sequencer.flush()
    await world.tamper("DELETE FROM audit_tiles")
    other = await world.another()
    await other.record()
    with pytest.raises(DataLoss, match="missing or too short"):
        await other.sequencer.flush()
    await other.close()


async def test_a_malformed_event_in_the_queue_stops_the_signing(world: AuditWorld) -> None:
    await world.record()
    await world.tamper("UPDATE audit_events SET body = 'edited'")
    with pytest.raises(DataLoss, match="malformed"):
        await world.sequencer.flush()


async def test_a_fork_is_not_continued(world: AuditWorld) -> None:
    """The row is replaced by a properly signed tree of the same size: the same key must never sign both."""
    await world.record(count=4)
    await world.sequencer.flush()
    forked = world.log.key.checkpoint(4, bytes(32))
    await world.tamper("UPDATE audit_log SET checkpoint = :forked", forked=forked)
    await world.record()
    with pytest.raises(DataLoss, match="two different trees of 4 events"):
        await world.sequencer.flush()


async def test_a_log_that_was_set_back_while_running_is_refused(world: AuditWorld) -> None:
    await world.record(count=3)
    await world.sequencer.flush()
    early = await world.log.head()
    await world.record(count=3)
    await world.sequencer.flush()
    await world.tamper("UPDATE audit_log SET size = 3, checkpoint = :early", early=early.checkpoint)
    with pytest.raises(DataLoss, match="3 events, but 6 had been signed"):
        await world.log.head()


async def test_a_restored_backup_is_found_at_the_start(tmp_path: Path) -> None:
    """The database's file is copied back: the published checkpoint remembers what was signed since."""
    path = tmp_path / "zegel.sqlite"
    url = f"sqlite:///{path}"
    await prepare(url)
    world = await open_world(url, tmp_path, published=True)
    await world.sequencer.start()
    await world.record(count=3)
    await world.close()
    shutil.copy(path, tmp_path / "backup")
    world = await world.another(published=True)
    await world.sequencer.start()
    await world.record(count=2)
    await world.close()
    for name in ("zegel.sqlite-wal", "zegel.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", path)
    restored = await world.another(published=True)
    with pytest.raises(DataLoss, match="3 events, but 5 had been signed") as refused:
        await restored.sequencer.start()
    assert refused.value.reason == "LOG_DAMAGED"
    # Nor does it go on once other events have made it as long again.
    restored.sequencer._publisher = None
    await restored.record(count=2)
    with pytest.raises(DataLoss):
        await restored.sequencer.flush()
    await restored.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_events WHERE leaf_index = 1",
        "UPDATE audit_events SET principal_id = 'mem_other' WHERE leaf_index = 1",
        "UPDATE audit_events SET leaf = NULL, leaf_index = NULL WHERE leaf_index = 1",
        "UPDATE audit_events SET leaf_index = 77 WHERE leaf_index = 1",
        "UPDATE audit_events SET event_time = 0 WHERE leaf_index IS NULL",
        "UPDATE audit_events SET leaf_index = 9, leaf = event_id WHERE 1 = 0 OR leaf_index = 2",
        "DELETE FROM audit_log",
        "UPDATE audit_log SET size = 1",
        "DELETE FROM audit_tiles",
        "UPDATE audit_tiles SET level = 7",
        "DELETE FROM audit_trails",
        "UPDATE audit_trails SET length = 1",
    ],
)
async def test_the_database_itself_refuses_edits(world: AuditWorld, statement: str) -> None:
    request = await world.add_request("mem_1")
    await world.record(request=request, count=4)
    await world.sequencer.flush()
    await world.record()
    if world.database.dialect == "postgresql":
        statement = statement.replace("leaf = event_id", "leaf = event_id::bytea")
    with pytest.raises(Exception, match="only added to"):
        await run_sql(world.url, statement)
    await world.sequencer.flush()
    await check_whole(world, 5)


async def test_replacing_an_event_is_refused_too(tmp_path: Path) -> None:
    """By default SQLite's ``REPLACE`` deletes without asking; on the server's connections it does not."""
    path = tmp_path / "zegel.sqlite"
    await prepare(f"sqlite:///{path}")
    world = await open_world(f"sqlite:///{path}", tmp_path)
    await world.log.create()
    await world.record(count=2)
    await world.sequencer.flush()
    connection = sqlite.connect(str(path))
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute("REPLACE INTO audit_events SELECT * FROM audit_events")
    connection.close()
    await check_whole(world, 2)
    await world.close()
