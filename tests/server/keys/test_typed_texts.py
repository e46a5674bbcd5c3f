"""Texts that people typed: rotated with the keys, erased with their documents, listed without a key for each row."""

from typing import Any

import pytest
from sqlalchemy import LargeBinary, Text, select, update

from support.documents_world import SPEC, World, pdf_of
from zegel_server.caller import Caller, Scope
from zegel_server.crypto import KeyDestroyed, KeyHierarchy
from zegel_server.db import Statement, bind
from zegel_server.db.schema import metadata, tenant_keys
from zegel_server.db.typed_texts import typed_texts_tables
from zegel_server.documents.model import DocumentState
from zegel_server.edge.paging import PageRequest
from zegel_server.keys import rotation
from zegel_server.keys.rotation import Rotation, stored_tenant_key
from zegel_server.keys.text_rotation import TextsRotation

TENANT_KEYS = Statement(select(tenant_keys).where(tenant_keys.c.tenant_id == bind("tenant_id")))
TABLES = {each.table.name: each for each in typed_texts_tables(metadata)}
FILL = Statement(
    update(metadata.tables["requested_documents"])
    .where(metadata.tables["requested_documents"].c.document_id == bind("which"))
    .values(texts=bind("texts"), texts_key_version=bind("version"))
)
ROWS = {name: Statement(select(each.table)) for name, each in TABLES.items()}

NOT_TYPED = {
    "a state, kind or constant of ours": {
        "permission",
        "scope",
        "state",
        "status",
        "kind",
        "media_type",
        "last_reason",
        "permissions",
        "sensitive",
        "time_zone",
        "email_trust",
    },
    "numbers, identifiers and findings of a file, as the server writes them": {
        "pages",
        "findings",
        "payload",
        "body",
        "blob_prefix",
        "rendition_prefix",
        "pseudonym",
        "token_prefix",
        "order_key",
        "held_key",
        "trail",
        "party",
        "witness",
    },
    "an identifier that grants, events and calls name it by": {"role", "parent"},
    "configuration of the installation": {"key_provider", "issuer", "audiences"},
    "the operator's name for a customer, which finds its tenant without the tenant's key": {"name"},
}
"""Columns of text that hold nothing that people type, beside identifiers (``..._id``); by why that is so."""


def rotation_of(world: World) -> Rotation:
    return Rotation(world.database, world.keys._root_keys, readers_s=0.01)


async def rename(world: World, caller: Caller, document_id: str, title: str) -> None:
    await world.documents.rename(caller, document_id, title, "")


async def title_of(world: World, caller: Caller, document_id: str) -> str:
    return (await world.documents.get(caller, document_id)).title


async def versions_of(world: World, table: str) -> set[int | None]:
    return {row.texts_key_version for row in await world.database.fetch(ROWS[table])}


async def test_texts_are_rotated_with_the_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "TEXTS_BATCH", 2)
    caller = world.member(Scope.ANY)
    documents = [await world.upload(caller, pdf_of(500 + number)) for number in range(5)]
    for number, document_id in enumerate(documents):
        await rename(world, caller, document_id, f"Lease {number}")
    upload = await world.uploads.start(caller, SPEC)
    before = {row.document_id: row.texts for row in await world.database.fetch(ROWS["documents"])}

    await rotation_of(world).rotate(world.tenant_id, erase=True)
    assert [row.key_version for row in await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)] == [2]
    assert await versions_of(world, "documents") == await versions_of(world, "uploads") - {None} == {2}
    after = {row.document_id: row.texts for row in await world.database.fetch(ROWS["documents"])}
    assert all(before[document_id] != after[document_id] for document_id in documents)
    assert [await title_of(world, caller, each) for each in documents] == [f"Lease {number}" for number in range(5)]
    data = pdf_of(700)
    document_id = await world.upload(caller, data, upload_id=upload.upload_id)
    assert await title_of(world, caller, document_id) == SPEC.title


async def test_a_text_that_changes_while_it_is_rotated_stays_as_it_became(world: World) -> None:
    caller = world.member(Scope.ANY)
    document_id = await world.upload(caller, pdf_of(500))
    _, old = await world.keys.tenant_key(world.tenant_id)
    table = TextsRotation(TABLES["documents"])
    [row] = await world.database.fetch(table.waiting, tenant=world.tenant_id, old_version=1, limit=9)
    await rename(world, caller, document_id, "Sublease")
    change = table.change(row, old_version=1, old=old, version=2, new=old)
    async with world.database.transaction() as transaction:
        await transaction.execute_many(table.rewrap, [change])
    assert await versions_of(world, "documents") == {1}
    assert await title_of(world, caller, document_id) == "Sublease"


async def test_a_purged_document_leaves_its_title_nowhere(world: World) -> None:
    caller = world.member(Scope.ANY)
    upload = await world.uploads.start(caller, SPEC)
    document_id = await world.upload(caller, pdf_of(500), upload_id=upload.upload_id)
    await world.send(document_id, state="CANCELED")
    async with world.database.transaction() as transaction:
        await transaction.execute(FILL, which=document_id, texts=b"title", version=1)
    [old] = await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)

    await world.documents.delete(caller, document_id, "")
    purged = await world.documents.purge(caller, document_id, "")
    assert (purged.state, purged.title) == (DocumentState.PURGED, "")
    for table in ("documents", "uploads", "requested_documents"):
        rows = await world.database.fetch(ROWS[table])
        assert [(row.texts, row.texts_key_version) for row in rows] == [(None, None)], table

    # And what was copied before no longer opens, once the keys above it are destroyed.
    await rotation_of(world).rotate(world.tenant_id, erase=True)
    with pytest.raises(KeyDestroyed):
        await KeyHierarchy(world.keys._root_keys).unwrap_tenant_key(stored_tenant_key(old))


async def test_a_list_takes_no_query_and_no_key_for_each_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = world.member(Scope.ANY)
    asked: list[str] = []
    fetch = type(world.database).fetch

    async def counted(self: Any, statement: Statement, **values: Any) -> list[Any]:
        asked.append("query")
        return await fetch(self, statement, **values)

    open_dek = world.keys.open_dek

    async def opened(*named: Any) -> bytes:
        asked.append("DEK")
        return await open_dek(*named)

    await world.upload(caller, pdf_of(500))
    monkeypatch.setattr(type(world.database), "fetch", counted)
    monkeypatch.setattr(world.keys, "open_dek", opened)
    costs = []
    for more in (0, 9):
        for number in range(more):
            await world.upload(caller, pdf_of(600 + number))
        asked.clear()
        page = await world.documents.list(caller, PageRequest(50))
        assert [each.title for each in page.items] == [SPEC.title] * (1 + more)
        costs.append(list(asked))
    assert costs[0] == costs[1]
    assert "DEK" not in costs[0]


def test_every_column_of_text_is_known_to_hold_nothing_typed() -> None:
    known = {name for names in NOT_TYPED.values() for name in names}
    found = {
        column.name
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Text) and not column.name.endswith("_id")
    }
    assert found == known
    held = {name for name, table in metadata.tables.items() if "name" in table.columns}
    assert held == {"tenants"}


def test_every_encrypted_text_in_the_schema_is_declared() -> None:
    holding = {table.name for table in metadata.tables.values() if "texts_key_version" in table.columns}
    assert TABLES.keys() == holding
    for each in TABLES.values():
        assert {*each.row_key, *each.row_name, *each.columns} <= set(each.table.columns.keys())
        assert all(isinstance(each.table.c[name].type, LargeBinary) for name in each.columns)
        assert ["tenant_id", "texts_key_version"] in [
            [column.name for column in index.columns] for index in each.table.indexes
        ]
