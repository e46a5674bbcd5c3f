"""Moving a tenant's keys to another key provider, while its documents are read and written.

The tenant's root key is made in the new provider, and the tenant keys, 32 bytes each, are rewrapped with it. No DEK and
no document changes. One transaction stores the rewrapped keys: before it commits, everything depends on the old
provider, and afterwards on the new one.

Invariants:

* The rows and the assignment change together, and only if nobody has changed the rows since they were read.
* The old root keys stay unless their destruction is asked for; then each is destroyed only once no tenant key is
  wrapped with it any more, and after readers of old rows have had time to finish.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, select

from zegel_server.crypto import KeyHierarchy
from zegel_server.db import Database, Row, Statement, Transaction, bind, insert_into
from zegel_server.db.schema import own_key_providers, tenant_keys
from zegel_server.errors import Aborted, DataLoss, Unavailable
from zegel_server.keys.providers import KeyProviders, provider_of
from zegel_server.keys.rotation import READERS_S, REWRAP_TENANT_KEY, TENANT_KEYS, stored_tenant_key

_LOCK: Final = Statement(
    select(tenant_keys.c.key_version, tenant_keys.c.root_key_id)
    .where(tenant_keys.c.tenant_id == bind("tenant_id"))
    .order_by(tenant_keys.c.key_version)
    .with_for_update()
)
_UNASSIGN: Final = Statement(delete(own_key_providers).where(own_key_providers.c.tenant_id == bind("tenant_id")))
_ASSIGN: Final = insert_into(own_key_providers)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A move that is ready to be stored.

    Attributes:
        tenant_id: Whose keys.
        old: The provider that the tenant has; empty for the installation's.
        new: The provider that it is to have.
        seen: Version and root key identifier of each tenant key, as they were read.
        changes: The tenant keys that are rewrapped.
    """

    tenant_id: str
    old: str
    new: str
    seen: tuple[tuple[int, str], ...]
    changes: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def needed(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.changes) or self.old != self.new


class Moving:
    """Moves tenants' keys between providers.

    Args:
        database: Where the rows are.
        providers: All that are configured.
        readers_s: Seconds that readers of old rows get before an old root key is destroyed.
    """

    def __init__(self, database: Database, providers: KeyProviders, *, readers_s: float = READERS_S) -> None:
        self._database = database
        self._providers = providers
        self._hierarchy = KeyHierarchy(providers)
        self._readers_s = readers_s

    async def prepare(self, tenant_id: str, name: str) -> Prepared:
        """Rewraps a tenant's keys with its root key in another provider, which is made there if there is none.

        Args:
            tenant_id: Whose.
            name: The provider; empty for the installation's.

        Raises:
            DataLoss: The tenant has no keys, or a stored key is damaged.
            FailedPrecondition: A root key that wraps one of them now is gone.
            Unavailable: One of the two providers does not answer, or is not configured.
        """
        old = await self._providers.assigned(tenant_id)
        rows = await self._database.fetch(TENANT_KEYS, tenant_id=tenant_id)
        if not rows:
            raise DataLoss("A tenant key's row is missing.")
        moving = [row for row in rows if provider_of(row.root_key_id) != name]
        if moving:
            await self._providers.provider(name).ensure(tenant_id)
        changes = [await self._rewrapped(row, name) for row in moving]
        seen = tuple((int(row.key_version), str(row.root_key_id)) for row in rows)
        return Prepared(tenant_id, old, name, seen, tuple(changes))

    async def _rewrapped(self, row: Row, name: str) -> dict[str, Any]:
        tenant_key = await self._hierarchy.unwrap_tenant_key(stored_tenant_key(row))
        wrapped = await self._providers.wrap_in(name, tenant_key.key, row.tenant_id)
        return {
            "tenant": row.tenant_id,
            "version": row.key_version,
            "old_root_key_id": row.root_key_id,
            "new_root_key_id": wrapped.root_key_id,
            "new_wrapped_key": wrapped.blob,
        }

    async def store(self, transaction: Transaction, prepared: Prepared) -> None:
        """Stores a move; the caller has locked the tenant's row.

        Args:
            transaction: That of the change.
            prepared: What ``prepare`` made.

        Raises:
            Aborted: The tenant's keys were changed since; prepare again.
        """
        rows = await transaction.fetch(_LOCK, tenant_id=prepared.tenant_id)
        if tuple((int(row.key_version), str(row.root_key_id)) for row in rows) != prepared.seen:
            raise Aborted("The tenant's keys were changed at the same time; try again.")
        for change in prepared.changes:
            await transaction.execute(REWRAP_TENANT_KEY, **change)
        await transaction.execute(_UNASSIGN, tenant_id=prepared.tenant_id)
        if prepared.new:
            await transaction.execute(_ASSIGN, tenant_id=prepared.tenant_id, key_provider=prepared.new)

    async def destroy_elsewhere(self, tenant_id: str) -> tuple[int, list[str]]:
        """Destroys the root keys that a tenant has in providers other than its own.

        Args:
            tenant_id: Whose.

        Returns:
            How many were destroyed, and the names of providers that did not answer.
        """
        await asyncio.sleep(self._readers_s)
        used = {row.root_key_id for row in await self._database.fetch(TENANT_KEYS, tenant_id=tenant_id)}
        present = await self._providers.assigned(tenant_id)
        destroyed, away = 0, []
        for name in self._providers.names:
            if name == present:
                continue
            try:
                for each in await self._providers.list_in(name, tenant_id):
                    if not each.destroyed and each.root_key_id not in used:
                        await self._providers.destroy(each.root_key_id)
                        destroyed += 1
            except Unavailable:
                away.append(name)
        return destroyed, away
