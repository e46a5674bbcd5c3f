"""Use cases of tenants.

Invariants:

* A tenant is created with its keys, its first API key and that key's role in one transaction, or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Draft, Recorder
from zegel_server.caller import Caller
from zegel_server.db import Database, Row
from zegel_server.edge import etags
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.errors import NotFound
from zegel_server.identity import store
from zegel_server.identity.accounts import Accounts
from zegel_server.identity.api_keys import ApiKey, ApiKeys
from zegel_server.identity.members import Members
from zegel_server.identity.model import read_sensitive, write_sensitive
from zegel_server.ids import API_KEY_PREFIX, new_id, new_token
from zegel_server.keys.service import Keys
from zegel_server.permissions.model import OWNER
from zegel_server.permissions.service import Permissions

OWNER_KEY: Final = "owner"
"""Name of the API key that a tenant is created with."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A partner organisation; times in microseconds since the epoch."""

    tenant_id: str
    name: str
    create_time: int
    revision: int
    key_provider: str = ""
    """Name of its own key provider; empty if it uses the installation's."""
    sensitive: Mapping[str, int] = field(default_factory=dict)
    """The sensitive permissions, each with the greatest age of an authentication in seconds."""


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant that has just been created.

    Attributes:
        tenant: The tenant.
        api_key: Its first API key.
        token: That key's token, shown only now.
    """

    tenant: Tenant
    api_key: ApiKey
    token: str = field(repr=False)


class Identity:
    """Use cases of tenants, and those of members and API keys.

    Args:
        database: Where the rows are.
        keys: Makes and opens the tenants' encryption keys.
        permissions: Roles and bindings.
        recorder: Records the events.
    """

    def __init__(self, database: Database, keys: Keys, permissions: Permissions, recorder: Recorder) -> None:
        self._database = database
        self._keys = keys
        self.permissions = permissions
        self._recorder = recorder
        self.members = Members(database, keys, permissions, recorder, Accounts(database, keys))
        self.api_keys = ApiKeys(database, keys, permissions, recorder)

    async def create_tenant(
        self,
        caller: Caller | None,
        name: str,
        *,
        role: str = OWNER,
        tenant_id: str = "",
        keep: Keep[NewTenant] = keep_nothing,
    ) -> NewTenant:
        """Creates a tenant with a first API key.

        Args:
            caller: The operator; ``None`` if the operator does it on the machine itself.
            name: Name of the tenant.
            role: Role of the key.
            tenant_id: Its identifier, if it is fixed beforehand.
            keep: Stores the result for a retry of the call.

        Raises:
            Unavailable: The key provider does not answer.
        """
        tenant_id = tenant_id or new_id("ten")
        founded = await self._keys.found_tenant(tenant_id)
        now = clock.now()
        tenant = Tenant(tenant_id, name, now, 1)
        pseudonym = new_id("ten").removeprefix("ten_")
        if caller is None:
            draft = Draft(
                event_type=events.EVENT_TYPE_TENANT_CREATED,
                tenant_id=tenant_id,
                tenant=pseudonym,
                resource_id=tenant_id,
            )
        else:
            draft = await self._recorder.draft(caller, events.EVENT_TYPE_TENANT_CREATED, resource_id=tenant_id)
        token = new_token(API_KEY_PREFIX)
        async with self._database.transaction() as transaction:
            await transaction.execute(
                store.INSERT_TENANT,
                tenant_id=tenant_id,
                pseudonym=pseudonym,
                name=name,
                policy_version=1,
                create_time=now,
                revision=1,
                sensitive="",
            )
            await self._keys.store_tenant(transaction, founded)
            api_key = await self.api_keys.insert(
                transaction,
                tenant_id=tenant_id,
                subject_id=founded.subject_id,
                creator_id=caller.principal_id if caller else "",
                name=OWNER_KEY,
                key=founded.text_key,
                token=token,
                roles=(role,),
                expire_time=None,
            )
            await self.permissions.bind_first(
                transaction, tenant_id, api_key.api_key_id, role, caller.principal_id if caller else ""
            )
            await self._recorder.record(transaction, draft)
            made = NewTenant(tenant, api_key, token)
            await keep(transaction, made)
        return made

    async def tenant(self, tenant_id: str) -> Tenant:
        """A tenant.

        Args:
            tenant_id: Its identifier.

        Raises:
            NotFound: There is no such tenant.
        """
        row = await self._database.fetch_one(store.TENANT, tenant_id=tenant_id)
        if row is None:
            raise NotFound("tenant")
        return _tenant(row)

    async def tenants(self) -> list[Tenant]:
        """Every tenant, for the operator on the machine itself."""
        return [_tenant(row) for row in await self._database.fetch(store.TENANTS)]

    async def update_tenant(
        self, caller: Caller, name: str | None, sensitive: Mapping[str, int] | None, etag: str
    ) -> Tenant:
        """Changes the caller's tenant.

        Args:
            caller: Who changes it.
            name: The new name; ``None`` to leave it.
            sensitive: The sensitive permissions from now on; ``None`` to leave it.
            etag: The etag last read; empty to overwrite whatever is there.

        Raises:
            Aborted: The tenant was changed since.
            InvalidArgument: A permission does not exist.
            Unauthenticated: The caller's authentication is too old for what is sensitive (``STEP_UP_REQUIRED``).
        """
        if sensitive is not None:
            caller.demand_fresh()  # or an old session could switch the requirement off first
            self.permissions.check_known(sensitive, "tenant.sensitive_permissions")
        present = await self.tenant(caller.tenant_id)
        etags.check(etag, present.revision, "tenant")
        extra = {} if sensitive is None else {"sensitive": dict(sensitive)}
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_TENANT_UPDATED, resource_id=caller.tenant_id, extra=extra
        )
        changed = replace(
            present,
            name=present.name if name is None else name,
            revision=present.revision + 1,
            sensitive=present.sensitive if sensitive is None else sensitive,
        )
        async with self._database.transaction() as transaction:
            if not await transaction.execute(
                store.UPDATE_TENANT,
                id=caller.tenant_id,
                new_name=changed.name,
                new_sensitive=write_sensitive(changed.sensitive),
                read_revision=present.revision,
            ):
                raise etags.changed("tenant")
            await self._recorder.record(transaction, draft)
        return changed


def _tenant(row: Row) -> Tenant:
    return Tenant(
        row.tenant_id,
        row.name,
        row.create_time,
        row.revision,
        row.key_provider or "",
        read_sensitive(row.sensitive),
    )
