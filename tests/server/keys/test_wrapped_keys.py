"""No key is lost to a list: rotation finds each declared table, and the database keeps what nobody declared."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Table, Text, TextClause, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from support.documents_world import World, pdf_of
from zegel_server.caller import Scope
from zegel_server.db import Statement, StillReferenced, bind, insert_into
from zegel_server.db.schema import metadata, tenant_keys
from zegel_server.db.wrapped_keys import wrapped_key, wrapped_key_tables
from zegel_server.errors import FailedPrecondition
from zegel_server.keys import rotation
from zegel_server.keys.rotation import Rotation
from zegel_server.keys.service import StoredDek

TENANT_KEYS = Statement(select(tenant_keys.c.key_version).where(tenant_keys.c.tenant_id == bind("tenant_id")))
DELETE_KEY = Statement(tenant_keys.delete().where(tenant_keys.c.tenant_id == bind("tenant_id")))


def rotation_of(world: World) -> Rotation:
    return Rotation(world.database, world.keys._root_keys, readers_s=0.01)


async def tenant_keys_of(world: World) -> list[int]:
    rows = await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)
    return sorted(row.key_version for row in rows)


async def run(world: World, *statements: ExecutableDDLElement | TextClause) -> None:
    dialect = sqlite.dialect() if world.database.dialect == "sqlite" else postgresql.dialect()
    async with world.database.transaction() as transaction:
        for each in statements:
            await transaction.fetch(Statement(text(str(each.compile(dialect=dialect)))))


@pytest.fixture
def letters() -> Iterator[Table]:
    """A table of tomorrow, declared in the schema and named nowhere else."""
    table = Table(
        "letters",
        metadata,
        Column("tenant_id", Text, primary_key=True),
        Column("letter", Text, primary_key=True),
        Column("page", Text, nullable=False),
        *wrapped_key("letter", "page"),
    )
    yield table
    metadata.remove(table)


async def test_a_table_that_is_added_is_rotated_without_another_word(
    world: World, letters: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    await run(world, CreateTable(letters), *map(CreateIndex, letters.indexes))
    deks = {}
    async with world.database.transaction() as transaction:
        for number in range(5):
            key, stored = await world.keys.new_dek(world.tenant_id, f"letter {number}/1")
            deks[f"letter {number}"] = key
            row = {"key_version": 1, "wrapped_key": stored.wrapped_key, "commitment": stored.commitment}
            await transaction.execute(
                insert_into(letters), tenant_id=world.tenant_id, letter=f"letter {number}", page="1", **row
            )
        destroyed = {"key_version": 1, "wrapped_key": None, "commitment": bytes(32)}
        await transaction.execute(insert_into(letters), tenant_id=world.tenant_id, letter="gone", page="1", **destroyed)

    assert (await rotation_of(world).rotate(world.tenant_id)).rewrapped == 6 + 1  # and the tenant as a subject
    assert await tenant_keys_of(world) == [2]
    rows = {row.letter: row for row in await world.database.fetch(Statement(select(letters)))}
    assert {row.key_version for row in rows.values()} == {2}
    assert rows.pop("gone").wrapped_key is None
    for letter, row in rows.items():
        stored = StoredDek(2, row.wrapped_key, row.commitment)
        assert await world.keys.open_dek(world.tenant_id, f"{letter}/1", stored) == deks.pop(letter)
    assert not deks


async def test_a_table_that_rotation_does_not_know_keeps_the_key_that_it_needs(world: World) -> None:
    caller = world.member(Scope.ANY)
    document_id = await world.upload(caller, data := pdf_of(1000))
    key, stored = await world.keys.new_dek(world.tenant_id, "secret")
    await run(
        world,
        text(
            "CREATE TABLE secrets (tenant_id TEXT, key_version BIGINT,"
            " FOREIGN KEY (tenant_id, key_version) REFERENCES tenant_keys (tenant_id, key_version))"
        ),
        text("INSERT INTO secrets SELECT tenant_id, key_version FROM tenant_keys"),
    )
    for again in (2, 3):
        with pytest.raises(FailedPrecondition):
            await rotation_of(world).rotate(world.tenant_id, erase=True)
        assert await tenant_keys_of(world) == list(range(1, again + 1))
    assert not any(each.destroyed for each in await world.keys._root_keys.list())
    assert await world.keys.open_dek(world.tenant_id, "secret", stored) == key
    assert await world.download(caller, document_id) == data

    await run(world, text("DROP TABLE secrets"))
    await rotation_of(world).rotate(world.tenant_id, erase=True)
    assert await tenant_keys_of(world) == [4]
    assert await world.download(caller, document_id) == data


async def test_no_statement_deletes_a_tenant_key_that_a_row_names(world: World) -> None:
    with pytest.raises(StillReferenced):
        async with world.database.transaction() as transaction:
            await transaction.execute(DELETE_KEY, tenant_id=world.tenant_id)
    assert await tenant_keys_of(world) == [1]


def test_every_wrapped_key_in_the_schema_is_declared() -> None:
    holding = {table.name for table in metadata.tables.values() if "wrapped_key" in table.columns}
    # Tenant keys are wrapped by root keys, which are no rows.
    assert {each.table.name for each in wrapped_key_tables(metadata)} == holding - {"tenant_keys"}
    for each in wrapped_key_tables(metadata):
        assert {*each.row_key, *each.key_id} <= set(each.table.columns.keys())
        assert ["tenant_id", "key_version"] in [
            [column.name for column in index.columns] for index in each.table.indexes
        ]
