"""A tenant whose events go into a real log, on either database, with the triggers that protect it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from support.rows_of import row_of
from zegel.event.v1 import event_type_pb2
from zegel.evidence.commitments import ORIGINAL, DocumentHash
from zegel_server import clock
from zegel_server.audit.log import Log
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.publisher import Publisher
from zegel_server.audit.recorder import Recorder
from zegel_server.audit.sequencer import Sequencer
from zegel_server.audit.service import AuditTrail
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.crypto import open_root_keys
from zegel_server.db import Database, insert_into, open_database
from zegel_server.db.schema import metadata, signature_requests, tenants
from zegel_server.db.triggers import drop_triggers, immutability_triggers
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys

DOCUMENT = DocumentHash("doc_1", 1, hashlib.sha256(b"document").hexdigest(), 8, ORIGINAL)
ORIGIN = Origin("198.51.100.9", "browser/2.0")

_TENANT = insert_into(tenants)
_REQUEST = insert_into(signature_requests)


def _engine_url(url: str) -> str:
    return "postgresql+asyncpg://" + url.partition("://")[2]


async def run_sql(url: str, *statements: str, **values: Any) -> None:
    """Runs statements directly on the database, as its owner can."""
    if url.startswith("sqlite"):
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement), values)
        finally:
            engine.dispose()
        return
    asynchronous = create_async_engine(_engine_url(url))
    try:
        async with asynchronous.begin() as running:
            for statement in statements:
                await running.execute(text(statement), values)
    finally:
        await asynchronous.dispose()


async def prepare(url: str) -> None:
    """Makes the tables and their triggers."""
    if url.startswith("sqlite"):
        engine = create_engine(url)
        metadata.create_all(engine)
        engine.dispose()
        await run_sql(url, *immutability_triggers("sqlite"))
        return
    asynchronous = create_async_engine(_engine_url(url))
    async with asynchronous.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await asynchronous.dispose()
    await run_sql(url, *immutability_triggers("postgresql"))


@dataclass
class AuditWorld:
    """A tenant, its log, and the components that work on it."""

    url: str
    folder: Path
    database: Database
    keys: Keys
    recorder: Recorder
    log: Log
    sequencer: Sequencer
    trail: AuditTrail
    publisher: Publisher | None
    tenant_id: str = ""
    subject_id: str = ""
    opened: list[Database] = field(default_factory=list)

    @property
    def files(self) -> Path:
        return self.folder / "log"

    async def tamper(self, *statements: str, **values: Any) -> None:
        """Removes the triggers and edits rows, as the owner of a database could."""
        dialect = self.database.dialect
        await run_sql(self.url, *drop_triggers(dialect))
        await run_sql(self.url, *statements, **values)

    async def add_tenant(self) -> tuple[str, str]:
        """Makes a tenant; returns its identifier and its subject."""
        tenant_id = new_id("ten")
        founded = await self.keys.found_tenant(tenant_id)
        async with self.database.transaction() as transaction:
            await transaction.execute(
                _TENANT,
                tenant_id=tenant_id,
                pseudonym=f"t-{tenant_id[-8:]}",
                name="Lettings & Co",
                policy_version=1,
                create_time=clock.now(),
                revision=1,
                sensitive="",
            )
            await self.keys.store_tenant(transaction, founded)
        return tenant_id, founded.subject_id

    async def add_request(self, owner_id: str, tenant_id: str = "") -> tuple[str, str]:
        """Inserts a signature request's row; returns its identifier and its audit ID."""
        request_id, audit_id = new_id("req"), new_id("aud")
        async with self.database.transaction() as transaction:
            await transaction.execute(
                _REQUEST,
                **row_of(
                    signature_requests,
                    signature_request_id=request_id,
                    tenant_id=tenant_id or self.tenant_id,
                    owner_id=owner_id,
                    audit_id=audit_id,
                    state="OPEN",
                    create_time=clock.now(),
                    revision=1,
                ),
            )
        return request_id, audit_id

    def caller(self, scope: Scope = Scope.ANY, **changes: Any) -> Caller:
        about: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "principal_id": new_id("mem"),
            "kind": PrincipalKind.MEMBER,
            "session_id": new_id("ses"),
            "subject_id": self.subject_id,
            "signature_request_id": "",
            "policy_version": 3,
            "decide": lambda _: scope,
            "origin": ORIGIN,
            **changes,
        }
        return Caller(**about)

    async def record(
        self,
        caller: Caller | None = None,
        name: str = "SIGNED_IN",
        *,
        request: tuple[str, str] = ("", ""),
        count: int = 1,
        **more: Any,
    ) -> list[str]:
        """Records events in one transaction, and returns their identifiers."""
        kind = event_type_pb2.EventType.Value(f"EVENT_TYPE_{name}")
        draft = await self.recorder.draft(
            caller or self.caller(), kind, signature_request_id=request[0], trail=request[1], **more
        )
        async with self.database.transaction() as transaction:
            return [await self.recorder.record(transaction, draft) for _ in range(count)]

    async def another(self, *, published: bool = False) -> "AuditWorld":
        """Opens the same installation as another process would; end it with ``close``."""
        return await open_world(
            self.url, self.folder, published=published, tenant_id=self.tenant_id, subject_id=self.subject_id
        )

    async def close(self) -> None:
        await self.sequencer.close()
        await self.database.close()


async def open_world(
    url: str, folder: Path, *, published: bool = False, tenant_id: str = "", subject_id: str = ""
) -> AuditWorld:
    """Opens the installation in a prepared database, without starting anything."""
    database = await open_database(url)
    keys = Keys(database, open_root_keys(f"local:{folder / 'keyring.json'}"))
    log = Log(database, LogKey.open(folder))
    publisher = Publisher(log, database, folder / "log") if published else None
    sequencer = Sequencer(database, log, publisher)
    recorder = Recorder(keys, sequencer.nudge)
    world = AuditWorld(
        url,
        folder,
        database,
        keys,
        recorder,
        log,
        sequencer,
        AuditTrail(database, keys, log, sequencer),
        publisher,
        tenant_id,
        subject_id,
    )
    if not tenant_id:
        world.tenant_id, world.subject_id = await world.add_tenant()
    return world


def names(events: Sequence[Any]) -> list[str]:
    """The types of events, without their prefix."""
    return [event_type_pb2.EventType.Name(each.event_type).removeprefix("EVENT_TYPE_") for each in events]
