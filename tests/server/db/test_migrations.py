"""The migrations lead to the schema that the server's statements are written for."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from support.jobs import ROWS, add
from zegel_server import clock
from zegel_server.db import Statement, migrate, open_database
from zegel_server.db.factory import sqlite_path
from zegel_server.db.migrate import current_revision, newest_revision, upgrade
from zegel_server.db.schema import metadata, signature_requests, signatures
from zegel_server.errors import Unavailable
from zegel_server.jobs import queue
from zegel_server.signing.store import SEAL

BEFORE_WRAPPED_KEYS = "0012"


def to_revision(connection: Connection, revision: str) -> None:
    config = migrate._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


async def differences_at(url: str) -> list[object]:
    if url.startswith("sqlite"):
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return differences(connection)
        finally:
            engine.dispose()
    running = create_async_engine("postgresql+asyncpg://" + url.partition("://")[2])
    try:
        async with running.connect() as connected:
            return await connected.run_sync(differences)
    finally:
        await running.dispose()


async def test_they_lead_to_the_schema(database_url: str) -> None:
    assert await current_revision(database_url) is None
    await upgrade(database_url)
    assert await current_revision(database_url) == newest_revision()
    assert await differences_at(database_url) == []


async def test_doing_them_again_does_nothing(database_url: str) -> None:
    await upgrade(database_url)
    await upgrade(database_url)
    assert await current_revision(database_url) == newest_revision()


async def test_what_waited_in_the_outbox_waits_as_a_job(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_the_outbox(connection: Connection) -> None:
        configuration = migrate._config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0013")
        connection.execute(
            text(
                "INSERT INTO outbox (kind, tenant_id, resource_id, payload, due_time, attempts, last_reason, blocked,"
                " blocked_time) VALUES ('seal', 'ten_1', 'req_1', '', 5, 3, 'DOCUMENT_TOO_COMPLEX', 1, 4),"
                " ('delete_blobs', 'ten_2', 'a/b', '{\"prefix\"\\: \"a/b\"}', 7, 0, '', 0, NULL)"
            )
        )

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_upgrade", to_the_outbox)
        await upgrade(database_url)
    await upgrade(database_url)
    database = await open_database(database_url)
    try:
        seal, delete = await database.fetch(ROWS)
        assert (seal.kind, seal.tenant_id, seal.resource_id, seal.payload) == ("seal", "ten_1", "req_1", "{}")
        assert (seal.state, seal.due_time, seal.attempts, seal.last_reason) == ("WAITING", 5, 3, "DOCUMENT_TOO_COMPLEX")
        assert (seal.blocked, seal.blocked_time, seal.fence, seal.order_key) == (1, 4, None, None)
        assert (delete.resource_id, delete.payload, delete.attempts) == ("a/b", '{"prefix": "a/b"}', 0)
        [job] = await queue.claim(database, "delete_blobs", limit=9, lease=clock.HOUR)
        assert job.resource_id == "a/b"
        await add(database, SEAL, "req_2")
        assert [row.resource_id for row in await database.fetch(ROWS)] == ["req_1", "a/b", "req_2"]
    finally:
        await database.close()


REQUESTS_BEFORE_THE_END = """
INSERT INTO tenants (tenant_id, pseudonym, name, policy_version, create_time, revision)
 VALUES ('ten_1', 'p', 'A', 1, 1, 1);
INSERT INTO tenant_keys (tenant_id, key_version, root_key_id, wrapped_key, commitment, create_time)
 VALUES ('ten_1', 1, '', '', '', 1);
INSERT INTO subjects (subject_id, tenant_id, email_index, key_version, commitment, create_time)
 VALUES ('sub_1', 'ten_1', '', 1, '', 1);
INSERT INTO signature_requests (signature_request_id, tenant_id, owner_id, audit_id, title, message, state, fields,
 expire_time, create_time, seal_time, sealed_document_id, revision) VALUES
 ('r1', 'ten_1', '', 'a1', '', '', 'DOWNLOADABLE', '', 50, 1, 10, '', 1),
 ('r2', 'ten_1', '', 'a2', '', '', 'DECLINED', '', 50, 2, NULL, '', 1),
 ('r3', 'ten_1', '', 'a3', '', '', 'EXPIRED', '', 30, 3, NULL, '', 1),
 ('r4', 'ten_1', '', 'a4', '', '', 'CANCELED', '', 50, 4, NULL, '', 1),
 ('r5', 'ten_1', '', 'a5', '', '', 'ALL_SIGNED', '', 50, 5, NULL, '', 1),
 ('r6', 'ten_1', '', 'a6', '', '', 'AWAITING_SIGNATURES', '', 50, 6, NULL, '', 1);
INSERT INTO signatures (signature_id, signature_request_id, tenant_id, position, signing_order, subject_id, profile,
 status, decline_time) VALUES ('s1', 'r2', 'ten_1', 0, 0, 'sub_1', '', 'EXPIRED', NULL),
 ('s2', 'r2', 'ten_1', 1, 0, 'sub_1', '', 'DECLINED', 20);
INSERT INTO audit_events (event_id, tenant_id, signature_request_id, trail, event_type, event_time, principal_id,
 subject_id, body) VALUES ('e1', 'ten_1', 'r4', 'a4', 67, 40, '', '', ''),
 ('e2', 'ten_1', 'r4', 'a4', 60, 45, '', '', '');
"""


async def test_what_had_ended_before_says_when(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(connection: Connection) -> None:
        configuration = migrate._config()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0015")
        for statement in REQUESTS_BEFORE_THE_END.strip().split(";\n"):
            connection.execute(text(statement.rstrip(";")))

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_upgrade", before)
        await upgrade(database_url)
    await upgrade(database_url)
    database = await open_database(database_url)
    try:
        requests = await database.fetch(Statement(select(signature_requests).order_by("signature_request_id")))
        assert [row.end_time for row in requests] == [10, 20, 30, 40, None, None]
    finally:
        await database.close()


async def test_who_had_accepted_the_disclosure_had_accepted_its_first_version(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(connection: Connection) -> None:
        to_revision(connection, "0015")
        for statement in REQUESTS_BEFORE_THE_END.strip().split(";\n"):
            connection.execute(text(statement.rstrip(";")))
        connection.execute(text("UPDATE signatures SET disclosure_time = 5 WHERE signature_id = 's2'"))

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_upgrade", before)
        await upgrade(database_url)
    await upgrade(database_url)
    database = await open_database(database_url)
    try:
        rows = await database.fetch(Statement(select(signatures)))
        assert {(row.disclosure_time, row.disclosure_version) for row in rows} == {(None, 0), (5, 1)}
    finally:
        await database.close()


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(asyncio.run, upgrade(database_url)) for _ in range(4)))
    assert await current_revision(database_url) == newest_revision()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = migrate._upgrade

    def fail(connection: Connection) -> None:
        original(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "_upgrade", fail)
    with pytest.raises(ZeroDivisionError):
        await upgrade(database_url)
    assert await current_revision(database_url) is None


async def test_a_database_that_is_locked_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel_server.db.sqlite.BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    await upgrade(url)
    other = sqlite3.connect(sqlite_path(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await upgrade(url)
    other.close()
    await upgrade(url)


async def test_a_server_that_is_not_there_does_not_answer() -> None:
    with pytest.raises(Unavailable):
        await upgrade("postgresql://zegel:x@127.0.0.1:1/zegel")


async def test_a_postgresql_url_may_say_how_to_connect(postgres_url: str) -> None:
    await upgrade(postgres_url + "?sslmode=disable")
    assert await current_revision(postgres_url + "?sslmode=disable") == newest_revision()


async def test_rows_from_before_are_held_to_the_keys_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, whose tables a constraint is written into: with rows there, and with one whose key is lost already."""
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_upgrade", lambda connection: to_revision(connection, BEFORE_WRAPPED_KEYS))
        await upgrade(url)
    rows = sqlite3.connect(sqlite_path(url), isolation_level=None)
    rows.execute("INSERT INTO tenants VALUES ('ten_1', 'p', 'n', 1, 1, 1, '')")
    rows.execute("INSERT INTO tenant_keys VALUES ('ten_1', 1, 'root', x'00', x'00', 1)")
    rows.execute("INSERT INTO subjects VALUES ('sub_1', 'ten_1', x'', 1, x'00', x'00', 1)")
    rows.execute("INSERT INTO subjects VALUES ('sub_2', 'ten_1', x'01', 2, x'00', x'00', 1)")
    with pytest.raises(RuntimeError, match="rows of subjects refer to a tenant key that does not exist"):
        await upgrade(url)
    assert await current_revision(url) == BEFORE_WRAPPED_KEYS
    rows.execute("DELETE FROM subjects WHERE subject_id = 'sub_2'")
    await upgrade(url)

    rows.execute("PRAGMA foreign_keys = ON")
    for statement in (
        "DELETE FROM tenant_keys",
        "UPDATE subjects SET key_version = 2",
        "INSERT INTO subjects VALUES ('sub_3', 'ten_1', x'02', 2, x'00', x'00', 1)",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            rows.execute(statement)
    assert rows.execute("SELECT subject_id, key_version FROM subjects").fetchall() == [("sub_1", 1)]
    assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows.close()
