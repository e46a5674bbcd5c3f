"""Rotation and erasure: keys are rewrapped while documents are read and written.

A tenant gets a new tenant key; everything wrapped under the old one (DEKs of documents and uploads, keys of subjects,
and whatever else the schema declares by ``wrapped_key``) is rewrapped under the new one, 40 bytes each, and what the
schema declares by ``typed_texts`` is encrypted anew; no document is rewritten. If old copies of the database are to
become unreadable too (erasure), the new tenant key is wrapped with a new root key and the old root key is destroyed.

Invariants:

* At every moment each wrapped key opens with an existing tenant key; a step that is interrupted is done again.
* A key that was destroyed stays destroyed, even if that happened while it was being rewrapped.
* A tenant key is deleted only once nothing is wrapped or encrypted under it, checked under a lock that waits for
  everyone who ``hold``s it. The database refuses to delete one that a row refers to, whether this module knows that
  table or not.
* A root key is destroyed only once no existing tenant key is wrapped with it.
* No tenant key is stored under a key provider that the tenant has meanwhile been moved away from.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import LargeBinary, bindparam, case, delete, null, select, update

from zegel_server import clock
from zegel_server.crypto import (
    KeyHierarchy,
    RootKeys,
    TenantKey,
    WrappedDek,
    WrappedKey,
    WrappedTenantKey,
    rewrap_dek,
)
from zegel_server.db import Database, Row, Statement, StillReferenced, Transaction, UniqueViolation, bind, insert_into
from zegel_server.db.ownership import shown
from zegel_server.db.schema import metadata, own_key_providers, tenant_keys
from zegel_server.db.typed_texts import typed_texts_tables
from zegel_server.db.wrapped_keys import WrappedKeyTable, wrapped_key_tables
from zegel_server.errors import Aborted, DataLoss, FailedPrecondition
from zegel_server.keys.providers import provider_of
from zegel_server.keys.table_rotation import TableRotation
from zegel_server.keys.text_rotation import TextsRotation

tenants = shown("tenants", to="keys")

BATCH: Final = 500
"""Keys rewrapped in one transaction: a few milliseconds of computing."""

TEXTS_BATCH: Final = 100
"""Rows whose texts are encrypted anew in one transaction: a request's fields can take 200 KiB."""

READERS_S: Final = 5.0
"""Seconds between the last rewrapping and the old key's deletion: readers of an old row have used it by then."""


class _KeysRotation(TableRotation):
    """Rewraps a table's keys."""

    def __init__(self, declared: WrappedKeyTable) -> None:
        table = declared.table
        super().__init__(
            table, declared.row_key, (*declared.key_id, "wrapped_key", "commitment"), version=table.c.key_version
        )
        self._declared = declared
        self.rewrap = Statement(
            update(table)
            .where(*self.is_row, table.c.key_version == bind("old_version"))
            .values(
                # A key that was destroyed since its row was read stays destroyed.
                wrapped_key=case(
                    (table.c.wrapped_key.is_(None), null()), else_=bindparam("new_wrapped_key", type_=LargeBinary)
                ),
                key_version=bind("new_version"),
            )
        )

    def change(self, row: Row, *, old_version: int, old: TenantKey, version: int, new: TenantKey) -> Mapping[str, Any]:
        wrapped = None
        if row.wrapped_key is not None:  # a destroyed key has no bytes to wrap, but its row is moved with the others
            key_id = self._declared.key_id_of(row)
            wrapped = rewrap_dek(old, new, WrappedDek(key_id, old.key_id, row.wrapped_key, row.commitment)).blob
        return {
            **self.row_of(row),
            "old_version": old_version,
            "new_version": version,
            "new_wrapped_key": wrapped,
        }


TENANT_KEYS: Final = Statement(
    select(tenant_keys).where(tenant_keys.c.tenant_id == bind("tenant_id")).order_by(tenant_keys.c.key_version)
)
_LOCK: Final = Statement(
    select(tenant_keys.c.key_version)
    .where(tenant_keys.c.tenant_id == bind("tenant_id"), tenant_keys.c.key_version == bind("key_version"))
    .with_for_update()
)
_DELETE: Final = Statement(
    delete(tenant_keys).where(
        tenant_keys.c.tenant_id == bind("tenant_id"), tenant_keys.c.key_version == bind("key_version")
    )
)
REWRAP_TENANT_KEY: Final = Statement(
    update(tenant_keys)
    .where(
        tenant_keys.c.tenant_id == bind("tenant"),
        tenant_keys.c.key_version == bind("version"),
        tenant_keys.c.root_key_id == bind("old_root_key_id"),
    )
    .values(root_key_id=bind("new_root_key_id"), wrapped_key=bind("new_wrapped_key"))
)
_INSERT: Final = insert_into(tenant_keys)
_HOLD_TENANT: Final = Statement(
    select(tenants.c.tenant_id).where(tenants.c.tenant_id == bind("tenant_id")).with_for_update(read=True)
)
_ASSIGNED: Final = Statement(
    select(own_key_providers.c.key_provider).where(own_key_providers.c.tenant_id == bind("tenant_id"))
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did.

    Attributes:
        key_version: Version of the new tenant key.
        rewrapped: How many keys were rewrapped.
        destroyed: How many root keys were destroyed.
    """

    key_version: int
    rewrapped: int
    destroyed: int


class Rotation:
    """Rotates and erases tenants' keys.

    Args:
        database: Where the rows are.
        root_keys: The provider that wraps the tenant keys.
        readers_s: Seconds that readers of old rows get.
    """

    def __init__(self, database: Database, root_keys: RootKeys, *, readers_s: float = READERS_S) -> None:
        self._database = database
        self._root_keys = root_keys
        self._hierarchy = KeyHierarchy(root_keys)
        self._readers_s = readers_s
        self._keys = [_KeysRotation(each) for each in wrapped_key_tables(metadata)]
        self._texts = [TextsRotation(each) for each in typed_texts_tables(metadata)]

    async def rewrap_root(self, tenant_id: str) -> int:
        """Puts a tenant's keys under a new root key; old copies of the database stay readable.

        Args:
            tenant_id: Whose.

        Returns:
            How many tenant keys were rewrapped.
        """
        await self._root_keys.create(tenant_id)
        rows = await self._database.fetch(TENANT_KEYS, tenant_id=tenant_id)
        for row in rows:
            again = await self._hierarchy.rewrap_tenant_key(stored_tenant_key(row), tenant_id)
            async with self._database.transaction() as transaction:
                await _hold_provider(transaction, tenant_id, again.wrapped.root_key_id)
                await transaction.execute(
                    REWRAP_TENANT_KEY,
                    tenant=tenant_id,
                    version=row.key_version,
                    old_root_key_id=row.root_key_id,
                    new_root_key_id=again.wrapped.root_key_id,
                    new_wrapped_key=again.wrapped.blob,
                )
        return len(rows)

    async def rotate(self, tenant_id: str, *, erase: bool = False) -> Rotated:
        """Gives a tenant a new tenant key, and rewraps everything under it.

        Args:
            tenant_id: Whose.
            erase: Whether to destroy the previous root keys too: old copies then no longer reveal what was purged.

        Raises:
            Aborted: They are being rotated at the same time, or the tenant was moved to another key provider.
            DataLoss: A stored key is damaged; it was left unchanged.
            FailedPrecondition: Keys that the schema does not declare are wrapped under the old tenant key, which stays.
            Unavailable: The key provider or the database does not answer; try again.
        """
        if erase:
            await self._root_keys.create(tenant_id)
        rows = await self._database.fetch(TENANT_KEYS, tenant_id=tenant_id)
        if not rows:
            raise DataLoss("A tenant key's row is missing.")
        version = int(rows[-1].key_version) + 1
        new, wrapped = await self._hierarchy.new_tenant_key(f"{tenant_id}/{version}", tenant_id)
        try:
            async with self._database.transaction() as transaction:
                await _hold_provider(transaction, tenant_id, wrapped.wrapped.root_key_id)
                await transaction.execute(
                    _INSERT,
                    tenant_id=tenant_id,
                    key_version=version,
                    root_key_id=wrapped.wrapped.root_key_id,
                    wrapped_key=wrapped.wrapped.blob,
                    commitment=wrapped.commitment,
                    create_time=clock.now(),
                )
        except UniqueViolation:
            raise Aborted("The tenant's keys are being rotated by another process at this moment.") from None
        rewrapped = 0
        for row in rows:
            old = await self._hierarchy.unwrap_tenant_key(stored_tenant_key(row))
            rewrapped += await self._empty(tenant_id, int(row.key_version), old, version, new)
        destroyed = await self._destroy_unused(tenant_id) if erase else 0
        return Rotated(version, rewrapped, destroyed)

    async def _empty(self, tenant_id: str, old_version: int, old: TenantKey, version: int, new: TenantKey) -> int:
        """Rewraps everything under an old tenant key, and deletes that key once nothing is left under it."""
        done = await self._rewrap_all(tenant_id, old_version, old, version, new)
        while True:
            await asyncio.sleep(self._readers_s)
            async with self._database.transaction() as transaction:
                await transaction.fetch(_LOCK, tenant_id=tenant_id, key_version=old_version)
                left = 0
                for table in (*self._keys, *self._texts):
                    row = await transaction.fetch_one(table.left, tenant=tenant_id, old_version=old_version)
                    left += row.left if row else 0
                if not left:
                    await self._delete(transaction, tenant_id, old_version)
                    return done
            # Another transaction held the old key and stored something under it just before the new one existed.
            done += await self._rewrap_all(tenant_id, old_version, old, version, new)

    async def _delete(self, transaction: Transaction, tenant_id: str, key_version: int) -> None:
        try:
            await transaction.execute(_DELETE, tenant_id=tenant_id, key_version=key_version)
        except StillReferenced as error:
            raise FailedPrecondition(
                "The old tenant key was kept: a table not declared to hold wrapped keys still refers to it."
            ) from error

    async def _rewrap_all(self, tenant_id: str, old_version: int, old: TenantKey, version: int, new: TenantKey) -> int:
        """Rewraps the keys, and encrypts the texts anew; returns the number of keys."""

        async def rewrap(table: TableRotation, limit: int) -> int:
            done = 0
            while True:
                rows = await self._database.fetch(table.waiting, tenant=tenant_id, old_version=old_version, limit=limit)
                if not rows:
                    return done
                changes = [
                    table.change(row, old_version=old_version, old=old, version=version, new=new) for row in rows
                ]
                async with self._database.transaction() as transaction:
                    await transaction.execute_many(table.rewrap, changes)
                done += len(rows)
                await asyncio.sleep(0)

        keys = sum([await rewrap(each, BATCH) for each in self._keys])
        for each in self._texts:
            await rewrap(each, TEXTS_BATCH)
        return keys

    async def _destroy_unused(self, tenant_id: str) -> int:
        rows = await self._database.fetch(TENANT_KEYS, tenant_id=tenant_id)
        used = {row.root_key_id for row in rows}
        destroyed = 0
        for each in await self._root_keys.list(tenant_id):
            if not each.destroyed and each.root_key_id not in used:
                await self._root_keys.destroy(each.root_key_id)
                destroyed += 1
        return destroyed


async def _hold_provider(transaction: Transaction, tenant_id: str, root_key_id: str) -> None:
    """Make sure, until the transaction ends, that the tenant is still assigned to a root key's provider.

    Raises:
        Aborted: It has been moved to another since; start over.
    """
    await transaction.fetch(_HOLD_TENANT, tenant_id=tenant_id)
    row = await transaction.fetch_one(_ASSIGNED, tenant_id=tenant_id)
    if provider_of(root_key_id) != ("" if row is None else row.key_provider):
        raise Aborted("The tenant's key provider was changed at the same time; try again.")


def stored_tenant_key(row: Row) -> WrappedTenantKey:
    """Return the tenant key that a row stores."""
    return WrappedTenantKey(
        f"{row.tenant_id}/{row.key_version}", WrappedKey(row.root_key_id, row.wrapped_key), row.commitment
    )
