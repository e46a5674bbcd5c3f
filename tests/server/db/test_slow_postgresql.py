"""A PostgreSQL that takes connections and says nothing, or a byte a second: nobody waits for it without end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from support.dripping import Dripping, dripping
from support.rows import ALL, INSERT, make_tables
from zegel_server.db import Database, open_database, postgresql
from zegel_server.errors import Unavailable
from zegel_server.neighbours import calls

pytestmark = [pytest.mark.postgresql, pytest.mark.faults]

POOL = 3


@pytest.fixture
async def way(postgres_url: str) -> AsyncIterator[Dripping]:
    await make_tables(postgres_url)
    parts = urlsplit(postgres_url)
    with dripping(f"{parts.hostname}:{parts.port}") as relay:
        yield relay


@pytest.fixture
async def database(postgres_url: str, way: Dripping, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    for name, value in (("COMMAND_TIMEOUT_S", 0.4), ("QUICK_S", 0.1), ("RELEASE_S", 0.2), ("CONNECT_TIMEOUT_S", 0.4)):
        monkeypatch.setattr(postgresql, name, value)
    monkeypatch.setattr(postgresql, "LONGEST_REST_S", 0.3)
    database = await open_database(
        postgres_url.replace(urlsplit(postgres_url).netloc.rpartition("@")[2], way.address), pool_size=POOL
    )
    async with asyncio.timeout(60):
        yield database
        way.mode = "well"
    await database.close()


async def put(database: Database, thing_id: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id=thing_id, amount=1)


async def put_when_left_in_the_midst(database: Database, way: Dripping, mode: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(INSERT, thing_id="lost", amount=1)
        way.mode = mode
        await transaction.execute(INSERT, thing_id="lost too", amount=1)


async def settled(database: Database) -> None:
    """Waits until the database is used again."""
    while True:
        with contextlib.suppress(Unavailable):
            await database.fetch(ALL)
            return
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ["silent", "dripping"])
async def test_whoever_waits_for_it_is_told_and_nothing_is_half_done(
    database: Database, way: Dripping, mode: str
) -> None:
    await put(database, "a")
    with pytest.raises(Unavailable) as refused:
        await put_when_left_in_the_midst(database, way, mode)
    assert refused.value.metadata == {"dependency": "database"}
    for _ in range(2 * POOL):  # more than there are connections
        for work in (database.fetch(ALL), database.fetch_one(ALL), put(database, "b")):
            with pytest.raises(Unavailable):
                await work
    way.mode = "well"
    await settled(database)
    await asyncio.gather(*(put(database, f"c{number}") for number in range(2 * POOL)))
    names = {row.thing_id for row in await database.fetch(ALL)}
    assert {"a", *(f"c{number}" for number in range(2 * POOL))} == names


async def test_while_it_keeps_callers_waiting_others_are_refused_at_once(database: Database, way: Dripping) -> None:
    way.mode = "silent"
    for _ in range(calls.FAILURES):
        with pytest.raises(Unavailable):
            await database.fetch(ALL)
    assert database._breaker.state is calls.State.RESTING  # type: ignore[attr-defined]
    asked = way.asked
    for _ in range(100):
        with pytest.raises(Unavailable):
            await database.fetch(ALL)
        if database._breaker.state is not calls.State.RESTING:  # type: ignore[attr-defined]
            break
    assert way.asked <= asked + 1


async def test_connections_that_are_all_taken_are_not_waited_for_without_end(database: Database) -> None:
    ready, over = asyncio.Barrier(POOL + 1), asyncio.Event()

    async def hold() -> None:
        async with database.transaction():
            await ready.wait()
            await over.wait()

    holding = [asyncio.create_task(hold()) for _ in range(POOL)]
    await ready.wait()
    for work in (database.fetch(ALL), put(database, "x")):
        with pytest.raises(Unavailable):
            await work
    over.set()
    await asyncio.gather(*holding)
    await put(database, "y")
