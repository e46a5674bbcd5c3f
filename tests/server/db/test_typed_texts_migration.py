"""What people had typed before it was encrypted: afterwards it reads as before, and is nowhere in clear."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection, select, text

from zegel_server.crypto import KeyHierarchy, RootKeys, TenantKey, TextKey, open_root_keys
from zegel_server.db import Statement, migrate, open_database
from zegel_server.db.factory import sqlite_path
from zegel_server.db.migrate import current_revision, newest_revision, upgrade
from zegel_server.db.schema import metadata
from zegel_server.db.typed_texts import typed_texts_tables
from zegel_server.errors import FailedPrecondition, Unavailable
from zegel_server.keys.migrating import open_text_keys

BEFORE = "0023"
MARK = "canary in a coal mine"
FIELDS = [{"api_id": "a", "name": f"{MARK} 1"}]

ROWS = """
INSERT INTO documents (document_id, tenant_id, owner_id, signature_request_id, title, state, create_time, update_time,
 revision) VALUES ('doc_1', :tenant, '', '', :mark || ' 2', 'ACTIVE', 1, 1, 1),
 ('doc_2', :tenant, '', '', '', 'PURGED', 1, 1, 1);
INSERT INTO uploads (upload_id, tenant_id, owner_id, document_id, version, title, media_type, declared_size,
 declared_sha256, blob_prefix, header, persisted_parts, claim, key_version, commitment, state, create_time, expire_time)
 VALUES ('upl_1', :tenant, '', 'doc_3', 1, :mark || ' 3', '', 0, :bytes, :tenant, :bytes, 0, :bytes, 1, :bytes, 'OPEN',
 1, 1);
INSERT INTO signature_requests (signature_request_id, tenant_id, owner_id, audit_id, title, message, state, fields,
 create_time, sealed_document_id, revision)
 VALUES ('req_1', :tenant, '', :tenant, :mark || ' 4', :mark || ' 5', 'CANCELED', :fields, 1, '', 1);
INSERT INTO requested_documents (signature_request_id, position, document_id, version, title, sha256, page_count)
 VALUES ('req_1', 0, 'doc_1', 1, :mark || ' 6', :bytes, 1), ('req_1', 1, 'doc_2', 1, :mark || ' 7', :bytes, 1);
INSERT INTO api_keys (api_key_id, tenant_id, subject_id, name, token_hash, token_prefix, creator_id, create_time)
 VALUES ('key_1', :tenant, '', :mark || ' 8', :bytes, '', '', 1);
INSERT INTO teams (team_id, tenant_id, name, create_time, revision) VALUES ('tea_1', :tenant, :mark || ' 9', 1, 1);
INSERT INTO roles (tenant_id, role, description, revision) VALUES (:tenant, 'clerk', :mark || ' 10', 1);
INSERT INTO idempotency (tenant_id, principal_id, request_id, request_hash, response, create_time)
 VALUES (:tenant, 'mem_1', 'a/b', :bytes, :response, 1)
"""

READ = {
    "documents": {"document/doc_1/texts": {"title": f"{MARK} 2"}},
    "uploads": {"document/doc_3/texts": {"title": f"{MARK} 3"}},
    "signature_requests": {
        "signature_request/req_1/texts": {"title": f"{MARK} 4", "message": f"{MARK} 5"},
        "signature_request/req_1/fields": FIELDS,
    },
    "requested_documents": {
        "requested_document/req_1/0/texts": {"title": f"{MARK} 6"},
        "requested_document/req_1/1/texts": {"title": f"{MARK} 7"},
    },
    "api_keys": {"api_key/key_1/texts": {"name": f"{MARK} 8"}},
    "teams": {"team/tea_1/texts": {"name": f"{MARK} 9"}},
    "roles": {"role/ten_1/clerk/texts": {"description": f"{MARK} 10"}},
    "idempotency": {"answer/ten_1/mem_1/a/b/response": f"{MARK} 11"},
}
"""What the rows of each table read as, by what it is bound to."""


@dataclass
class Old:
    """A database as it was before, with a tenant that has typed something everywhere."""

    url: str
    root_keys: RootKeys
    key: TenantKey

    async def open(self, rows: Sequence[Any]) -> Mapping[str, migrate.TextKey | None]:
        return await open_text_keys(self.root_keys, rows)


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    root_keys = open_root_keys(f"local:{tmp_path / 'keyring'}")
    await root_keys.ensure("ten_1")
    key, wrapped = await KeyHierarchy(root_keys).new_tenant_key("ten_1/1", "ten_1")

    def fill(connection: Connection) -> None:
        configuration = migrate._config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, BEFORE)
        connection.execute(
            text(
                "INSERT INTO tenants (tenant_id, pseudonym, name, policy_version, create_time, revision)"
                " VALUES ('ten_1', 'p', 'A', 1, 1, 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO tenant_keys (tenant_id, key_version, root_key_id, wrapped_key, commitment, create_time)"
                " VALUES ('ten_1', 1, :root, :wrapped, :commitment, 1)"
            ),
            {"root": wrapped.wrapped.root_key_id, "wrapped": wrapped.wrapped.blob, "commitment": wrapped.commitment},
        )
        values = {"tenant": "ten_1", "mark": MARK, "bytes": b"", "fields": json.dumps(FIELDS)}
        values["response"] = json.dumps(f"{MARK} 11").encode()
        for statement in ROWS.strip().split(";\n"):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), named)

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_upgrade", fill)
        await upgrade(database_url)
    return Old(database_url, root_keys, key)


async def texts_of(url: str, key: TenantKey) -> dict[str, dict[str, Any]]:
    """What the rows read as now, by table and what it is bound to."""
    opened, found = TextKey(1, key), dict[str, dict[str, Any]]()
    database = await open_database(url)
    try:
        for declared in typed_texts_tables(metadata):
            held = found[declared.table.name] = {}
            for row in await database.fetch(Statement(select(declared.table))):
                for column in declared.columns:
                    if (stored := getattr(row, column)) is not None:
                        assert row.texts_key_version == 1
                        context = declared.context_of(row, column)
                        held[context] = json.loads(opened.decrypt(stored, context))
    finally:
        await database.close()
    return found


async def stored_bytes(url: str) -> bytes:
    """The files that a database's rows are in."""
    if url.startswith("sqlite"):
        path = Path(sqlite_path(url))
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CHECKPOINT")  # removes the files of what was written anew
        folder = Path(await connection.fetchval("SHOW data_directory"))
        of_it = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    finally:
        await connection.close()
    files = await asyncio.to_thread(lambda: list((folder / "base" / str(of_it)).iterdir()))
    return b"".join(each.read_bytes() for each in files if each.is_file())


async def test_it_reads_as_before_and_is_nowhere_in_clear(old: Old) -> None:
    assert MARK.encode() in await stored_bytes(old.url)
    await upgrade(old.url, old.open)
    assert await texts_of(old.url, old.key) == READ
    assert MARK.encode() not in await stored_bytes(old.url)


async def test_every_table_that_holds_texts_is_tried() -> None:
    assert READ.keys() == {each.table.name for each in typed_texts_tables(metadata)}


async def test_without_the_keys_nothing_is_changed(old: Old) -> None:
    with pytest.raises(RuntimeError, match="no key of the tenant ten_1 was given"):
        await upgrade(old.url)
    assert await current_revision(old.url) == BEFORE
    await upgrade(old.url, old.open)
    assert await texts_of(old.url, old.key) == READ


async def test_a_provider_that_is_away_is_told_of_with_the_tenant(old: Old) -> None:
    class Away:
        async def unwrap(self, _wrapped: object) -> bytes:
            raise Unavailable("The key provider does not answer now.", dependency="key_provider")

    old.root_keys = Away()  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="ten_1: The key provider does not answer now"):
        await upgrade(old.url, old.open)
    assert await current_revision(old.url) == BEFORE


async def test_a_key_that_was_withdrawn_is_told_of_with_the_tenant(old: Old) -> None:
    class Withdrawn:
        async def unwrap(self, _wrapped: object) -> bytes:
            raise FailedPrecondition("It was withdrawn.", state="ROOT_KEY_GONE")

    old.root_keys = Withdrawn()  # type: ignore[assignment]
    with pytest.raises(FailedPrecondition, match="ten_1: It was withdrawn"):
        await upgrade(old.url, old.open)


async def test_what_a_tenant_typed_ends_with_its_root_key(old: Old) -> None:
    for each in await old.root_keys.list("ten_1"):
        await old.root_keys.destroy(each.root_key_id)
    await upgrade(old.url, old.open)
    assert await current_revision(old.url) == newest_revision()
    assert await texts_of(old.url, old.key) == {name: {} for name in READ}
    assert MARK.encode() not in await stored_bytes(old.url)


async def test_the_file_is_cleaned_even_if_the_migration_ended_before_that(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not old.url.startswith("sqlite"):
        return  # PostgreSQL writes the tables anew within the migration's transaction
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_vacuum", lambda _url: None)
        await upgrade(old.url, old.open)
    connection = sqlite3.connect(sqlite_path(old.url))
    assert connection.execute("PRAGMA user_version").fetchone() == (18,)
    connection.close()
    await upgrade(old.url, old.open)
    connection = sqlite3.connect(sqlite_path(old.url))
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()
    assert MARK.encode() not in await stored_bytes(old.url)
