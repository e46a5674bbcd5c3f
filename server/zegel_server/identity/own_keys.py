"""A tenant's own key provider: the operator assigns one, and the tenant's keys move there.

Invariants:

* The assignment, the rewrapped tenant keys and the audit event commit together.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.audit.recorder import Recorder
from zegel_server.config import INSTALLATION
from zegel_server.db import Database
from zegel_server.errors import Aborted, NotFound
from zegel_server.identity import store
from zegel_server.keys.moving import Moving

TRIES: Final = 5
"""How often a move starts over because the tenant's keys were rotated meanwhile."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a move.

    Attributes:
        tenant_keys: How many tenant keys were rewrapped; 0 if the tenant already had the provider.
        destroyed: How many root keys in other providers were destroyed.
        away: Providers in which root keys should have been destroyed, but which did not answer.
    """

    tenant_keys: int
    destroyed: int
    away: list[str]


class OwnKeys:
    """Assigns key providers to tenants.

    Args:
        database: Where the assignments are stored.
        moving: Moves their keys.
        recorder: Records the events.
    """

    def __init__(self, database: Database, moving: Moving, recorder: Recorder) -> None:
        self._database = database
        self._moving = moving
        self._recorder = recorder

    async def move(self, tenant_id: str, name: str, *, destroy_old: bool = False) -> Moved:
        """Gives a tenant a key provider; can be repeated, and then does what is left.

        Args:
            tenant_id: The tenant.
            name: The provider; empty for the installation's.
            destroy_old: Whether to destroy the tenant's root keys in every other configured provider afterwards.

        Raises:
            NotFound: There is no such tenant.
            FailedPrecondition: The current root key is gone.
            Unavailable: One of the two providers does not answer, or is not configured.
        """
        for _ in range(TRIES - 1):
            with suppress(Aborted):
                moved = await self._move(tenant_id, name)
                break
        else:
            moved = await self._move(tenant_id, name)
        destroyed, away = await self._moving.destroy_elsewhere(tenant_id) if destroy_old else (0, [])
        return Moved(moved, destroyed, [each or INSTALLATION for each in away])

    async def _move(self, tenant_id: str, name: str) -> int:
        if await self._database.fetch_one(store.TENANT, tenant_id=tenant_id) is None:
            raise NotFound("tenant")
        prepared = await self._moving.prepare(tenant_id, name)
        if not prepared.needed:
            return 0
        draft = await self._recorder.draft_own(
            tenant_id,
            events.EVENT_TYPE_KEY_PROVIDER_CHANGED,
            resource_id=tenant_id,
            extra={"key_provider": name or INSTALLATION, "key_provider_before": prepared.old or INSTALLATION},
        )
        async with self._database.transaction() as transaction:
            await transaction.execute(store.TOUCH_TENANT, id=tenant_id)
            await self._moving.store(transaction, prepared)
            await self._recorder.record(transaction, draft)
        return len(prepared.changes)
