"""Use cases of tenants, members and API keys.

Invariants:

* A person's name and address stand in the database only encrypted under the subject's key.
* A token is told once, by the call that made it; of it a hash and its first characters are kept.
* Who removes a principal takes its roles and sessions in the same transaction.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Draft, Recorder
from zegel_server.caller import Caller, Scope
from zegel_server.db import Database, Row, Transaction, UniqueViolation
from zegel_server.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from zegel_server.idempotency import earlier_answer, remember
from zegel_server.identity import store
from zegel_server.identity.holding import hold_caller
from zegel_server.identity.model import TOKEN_SHOWN
from zegel_server.ids import API_KEY_PREFIX, hash_token, new_id, new_token
from zegel_server.keys.service import Keys
from zegel_server.permissions.model import OWNER
from zegel_server.permissions.service import Permissions

M = TypeVar("M", bound=Message)

OWNER_KEY: Final = "owner"
"""Name of the API key that a tenant begins with."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A partner organisation; times in microseconds since the epoch."""

    tenant_id: str
    name: str
    create_time: int
    revision: int


@dataclass(frozen=True, slots=True)
class Member:
    """A person of a tenant; name and address are empty once they are forgotten."""

    member_id: str
    name: str
    email: str
    roles: tuple[str, ...]
    create_time: int
    revision: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key with which a program calls."""

    api_key_id: str
    name: str
    roles: tuple[str, ...]
    token_prefix: str
    create_time: int
    expire_time: int | None
    revoke_time: int | None
    last_use_time: int | None


class Identity:
    """Tenants, members and API keys.

    Args:
        database: Where they are.
        keys: Their keys.
        permissions: Their roles.
        recorder: Records the events.
    """

    def __init__(self, database: Database, keys: Keys, permissions: Permissions, recorder: Recorder) -> None:
        self._database = database
        self._keys = keys
        self._permissions = permissions
        self._recorder = recorder

    # ------------------------------------------------------------------------------------------------ tenants

    async def create_tenant(
        self,
        caller: Caller | None,
        name: str,
        *,
        role: str = OWNER,
        tenant_id: str = "",
        finish: Callable[[Transaction, Tenant, ApiKey], Any] | None = None,
    ) -> tuple[Tenant, ApiKey, str]:
        """Creates a tenant with a first API key.

        Args:
            caller: The operator; ``None`` where the operator does it on the machine itself.
            name: Name of the tenant.
            role: Role of the key.
            tenant_id: Its identifier, where it is given.
            finish: Does more in the same transaction.

        Returns:
            The tenant, the key, and the key's token.

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
            )
            await self._keys.store_tenant(transaction, founded)
            api_key = await self._insert_key(
                transaction,
                tenant_id=tenant_id,
                subject_id=founded.subject_id,
                creator_id=caller.principal_id if caller else "",
                name=OWNER_KEY,
                token=token,
                roles=(role,),
                expire_time=None,
            )
            await transaction.execute(
                store.INSERT_BINDING,
                tenant_id=tenant_id,
                principal_id=api_key.api_key_id,
                role=role,
                expire_time=None,
                create_time=now,
                creator_id=caller.principal_id if caller else "",
            )
            await self._recorder.record(transaction, draft)
            if finish is not None:
                await finish(transaction, tenant, api_key)
        return tenant, api_key, token

    async def create_tenant_for(
        self, caller: Caller, name: str, request: Message, kind: type[M], answer: Callable[[Tenant, ApiKey, str], M]
    ) -> M:
        """Creates a tenant once a ``request_id``.

        Args:
            caller: The operator.
            name: Name of the tenant.
            request: The request, with its ``request_id``.
            kind: The answer's type.
            answer: Makes the answer; it is kept with an empty token.
        """

        async def keep(transaction: Transaction, tenant: Tenant, api_key: ApiKey) -> None:
            await remember(transaction, caller, request, answer(tenant, api_key, ""))

        try:
            return answer(*await self.create_tenant(caller, name, finish=keep))
        except UniqueViolation:
            before = await earlier_answer(self._database, caller, request, kind)
            if before is None:
                raise Aborted("The same tenant is being made at the same time; try again.") from None
            return before

    async def tenant(self, tenant_id: str) -> Tenant:
        """A tenant.

        Args:
            tenant_id: Its identifier.

        Raises:
            NotFound: There is none.
        """
        row = await self._database.fetch_one(store.TENANT, tenant_id=tenant_id)
        if row is None:
            raise NotFound("tenant")
        return Tenant(row.tenant_id, row.name, row.create_time, row.revision)

    async def tenants(self) -> list[Tenant]:
        """Every tenant, for the operator on the machine itself."""
        return [
            Tenant(row.tenant_id, row.name, row.create_time, row.revision)
            for row in await self._database.fetch(store.TENANTS)
        ]

    async def update_tenant(self, caller: Caller, name: str | None, revision: int | None) -> Tenant:
        """Changes the caller's tenant.

        Args:
            caller: Who changes it.
            name: The new name; ``None`` to leave it.
            revision: The revision last read; ``None`` to overwrite whatever is there.

        Raises:
            Aborted: It was changed since.
        """
        present = await self.tenant(caller.tenant_id)
        _check_revision(revision, present.revision, "tenant")
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_TENANT_UPDATED, resource_id=caller.tenant_id)
        changed = replace(present, name=present.name if name is None else name, revision=present.revision + 1)
        async with self._database.transaction() as transaction:
            if not await transaction.execute(
                store.UPDATE_TENANT, id=caller.tenant_id, new_name=changed.name, read_revision=present.revision
            ):
                raise Aborted("The tenant was changed since.")
            await self._recorder.record(transaction, draft)
        return changed

    # ------------------------------------------------------------------------------------------------ members

    async def create_member(
        self,
        caller: Caller,
        name: str,
        email: str,
        roles: Sequence[str],
        *,
        request: Message,
        answer: Callable[[Member], M],
    ) -> M:
        """Adds a member, once a ``request_id``.

        Args:
            caller: Who adds it.
            name: Name of the person.
            email: Mail address of the person.
            roles: Roles to grant.
            request: The request, with its ``request_id``.
            answer: Makes the answer.

        Raises:
            AlreadyExists: A member has the address.
            NotFound: There is no such role.
            PermissionDenied: A role holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        subject = await self._keys.subject(caller.tenant_id, email)
        member = Member(new_id("mem"), name, email, tuple(sorted(set(roles))), clock.now(), 1)
        profile = self._keys.encrypt_personal(subject.key, {"name": name, "email": email}, member.member_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_MEMBER_CREATED, resource_id=member.member_id)
        made = answer(member)
        try:
            async with self._database.transaction() as transaction:
                await transaction.execute(
                    store.INSERT_MEMBER,
                    member_id=member.member_id,
                    tenant_id=caller.tenant_id,
                    subject_id=subject.subject_id,
                    profile=profile,
                    create_time=member.create_time,
                    revision=1,
                )
                await self._permissions.bind(transaction, caller, member.member_id, member.roles)
                await self._recorder.record(transaction, draft)
                await remember(transaction, caller, request, made)
        except UniqueViolation:
            before = await earlier_answer(self._database, caller, request, type(made))
            if before is not None:
                return before
            raise AlreadyExists("A member has this address.", resource="member") from None
        return made

    async def member(self, caller: Caller, member_id: str, permission: str = "member.read") -> Member:
        """A member that the caller reaches.

        Args:
            caller: Who asks.
            member_id: Which.
            permission: By which permission.

        Raises:
            NotFound: There is none, or the caller does not reach it.
        """
        return await self._member(await self._member_row(caller, member_id, permission))

    async def members(self, caller: Caller, *, after: str, limit: int) -> list[Member]:
        """A page of members, the oldest first.

        Args:
            caller: Who asks.
            after: The last member of the page before.
            limit: The most to return.
        """
        rows = await self._database.fetch(
            store.MEMBERS,
            tenant_id=caller.tenant_id,
            only=caller.owner_filter("member.read"),
            after=after,
            limit=limit,
        )
        return [await self._member(row) for row in rows]

    async def update_member(
        self, caller: Caller, member_id: str, changes: dict[str, str], revision: int | None
    ) -> Member:
        """Changes a member's name or address.

        Args:
            caller: Who changes it.
            member_id: Which.
            changes: New values of ``name`` and ``email``.
            revision: The revision last read; ``None`` to overwrite whatever is there.

        Raises:
            Aborted: It was changed since.
            AlreadyExists: A member has the new address.
            NotFound: There is none, or the caller does not reach it.
        """
        row = await self._member_row(caller, member_id, "member.update")
        present = await self._member(row)
        _check_revision(revision, present.revision, "member")
        changed = replace(
            present,
            name=changes.get("name", present.name),
            email=changes.get("email", present.email),
            revision=present.revision + 1,
        )
        if not changed.email:
            # A forgotten person's; nobody must become the owner of the empty address.
            raise InvalidArgument("member.email", "must not be empty", reason="MISSING_FIELD")
        subject = await self._keys.subject(caller.tenant_id, changed.email)
        profile = self._keys.encrypt_personal(subject.key, {"name": changed.name, "email": changed.email}, member_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_MEMBER_UPDATED, resource_id=member_id)
        try:
            async with self._database.transaction() as transaction:
                if not await transaction.execute(
                    store.UPDATE_MEMBER,
                    tenant=caller.tenant_id,
                    id=member_id,
                    read_revision=present.revision,
                    new_profile=profile,
                    new_subject_id=subject.subject_id,
                ):
                    raise Aborted("The member was changed since.")
                await self._recorder.record(transaction, draft)
        except UniqueViolation:
            raise AlreadyExists("A member has this address.", resource="member") from None
        return changed

    async def delete_member(self, caller: Caller, member_id: str, revision: int | None) -> None:
        """Removes a member, its roles and its sessions.

        Args:
            caller: Who removes it.
            member_id: Which.
            revision: The revision last read; ``None`` to overlook it.

        Raises:
            Aborted: It was changed since.
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            NotFound: There is none, or the caller does not reach it.
            PermissionDenied: It may do what the caller may not (``GRANT_EXCEEDS_GRANTER``).
        """
        row = await self._member_row(caller, member_id, "member.delete")
        _check_revision(revision, row.revision, "member")
        await self._permissions.check_not_above(caller, member_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_MEMBER_DELETED, resource_id=member_id)
        async with self._database.transaction() as transaction:
            if not await transaction.execute(store.DELETE_MEMBER, tenant_id=caller.tenant_id, member_id=member_id):
                raise NotFound("member")
            await self._permissions.unbind_all(transaction, caller.tenant_id, member_id)
            await transaction.execute(
                store.REVOKE_SESSIONS_OF, tenant=caller.tenant_id, principal=member_id, now=clock.now()
            )
            await self._recorder.record(transaction, draft)

    async def _member_row(self, caller: Caller, member_id: str, permission: str) -> Row:
        row = await self._database.fetch_one(store.MEMBER, tenant_id=caller.tenant_id, member_id=member_id)
        if row is None:
            raise NotFound("member")
        caller.require(permission, "member", owner_id=member_id)
        return row

    async def _member(self, row: Row) -> Member:
        key = await self._keys.subject_key(row.subject_id)
        profile = self._keys.decrypt_personal(key, row.profile, row.member_id)
        bindings = await self._permissions.bindings_of(self._database, row.tenant_id, row.member_id)
        return Member(
            row.member_id,
            profile.get("name", ""),
            profile.get("email", ""),
            tuple(binding.role for binding in bindings),
            row.create_time,
            row.revision,
        )

    # ----------------------------------------------------------------------------------------------- API keys

    async def create_api_key(
        self,
        caller: Caller,
        name: str,
        roles: Collection[str],
        expire_time: int | None,
        *,
        request: Message,
        kind: type[M],
        answer: Callable[[ApiKey, str], M],
    ) -> M:
        """Makes an API key, once a ``request_id``.

        Args:
            caller: Who makes it.
            name: What it is for.
            roles: Roles to grant.
            expire_time: When it ends by itself; ``None`` for never.
            request: The request, with its ``request_id``.
            kind: The answer's type.
            answer: Makes the answer; it is kept with an empty token.

        Raises:
            NotFound: There is no such role.
            PermissionDenied: A role holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        names = tuple(sorted(set(roles)))
        subject_id = await self._keys.tenant_subject(caller.tenant_id)
        api_key_id, token = new_id("key"), new_token(API_KEY_PREFIX)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_API_KEY_CREATED, resource_id=api_key_id)

        async def make(transaction: Transaction) -> ApiKey:
            api_key = await self._insert_key(
                transaction,
                tenant_id=caller.tenant_id,
                subject_id=subject_id,
                creator_id=caller.principal_id,
                name=name,
                token=token,
                roles=names,
                expire_time=expire_time,
                api_key_id=api_key_id,
            )
            await self._permissions.bind(transaction, caller, api_key_id, names)
            await self._recorder.record(transaction, draft)
            await remember(transaction, caller, request, answer(api_key, ""))
            return api_key

        try:
            async with self._database.transaction() as transaction:
                await hold_caller(transaction, caller)
                made = await make(transaction)
        except UniqueViolation:
            before = await earlier_answer(self._database, caller, request, kind)
            if before is None:
                raise Aborted("The same key is being made at the same time; try again.") from None
            return before
        return answer(made, token)

    async def api_keys(self, caller: Caller, *, after: str, limit: int) -> list[ApiKey]:
        """A page of API keys, the oldest first.

        Args:
            caller: Who asks.
            after: The last key of the page before.
            limit: The most to return.
        """
        rows = await self._database.fetch(
            store.API_KEYS,
            tenant_id=caller.tenant_id,
            creator_id=caller.owner_filter("api_key.read"),
            after=after,
            limit=limit,
        )
        return [await self._api_key(row) for row in rows]

    async def revoke_api_key(self, caller: Caller, api_key_id: str) -> ApiKey:
        """Revokes an API key, its roles, and every session made with it; one that was revoked before stays so.

        Args:
            caller: Who revokes it.
            api_key_id: Which.

        Raises:
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            NotFound: There is none, or it is not the caller's to revoke.
        """
        row = await self._database.fetch_one(store.API_KEY, tenant_id=caller.tenant_id, api_key_id=api_key_id)
        if row is None:
            raise NotFound("api_key")
        own = caller.principal_id in {row.api_key_id, row.creator_id}
        if not (caller.scopes("api_key.revoke") & Scope.ANY or own):
            raise NotFound("api_key")
        if row.revoke_time is None:
            draft = await self._recorder.draft(caller, events.EVENT_TYPE_API_KEY_REVOKED, resource_id=api_key_id)
            now = clock.now()
            async with self._database.transaction() as transaction:
                if await transaction.execute(store.REVOKE_API_KEY, tenant=caller.tenant_id, id=api_key_id, now=now):
                    await self._permissions.unbind_all(transaction, caller.tenant_id, api_key_id)
                    await transaction.execute(store.REVOKE_SESSIONS_OF_KEY, id=api_key_id, now=now)
                    await self._recorder.record(transaction, draft)
            row = await self._database.fetch_one(store.API_KEY, tenant_id=caller.tenant_id, api_key_id=api_key_id)
        return await self._api_key(row)

    async def _insert_key(
        self,
        transaction: Transaction,
        *,
        tenant_id: str,
        subject_id: str,
        creator_id: str,
        name: str,
        token: str,
        roles: tuple[str, ...],
        expire_time: int | None,
        api_key_id: str = "",
    ) -> ApiKey:
        api_key = ApiKey(
            api_key_id or new_id("key"), name, roles, token[:TOKEN_SHOWN], clock.now(), expire_time, None, None
        )
        await transaction.execute(
            store.INSERT_API_KEY,
            api_key_id=api_key.api_key_id,
            tenant_id=tenant_id,
            subject_id=subject_id,
            name=name,
            token_hash=hash_token(token),
            token_prefix=api_key.token_prefix,
            creator_id=creator_id,
            create_time=api_key.create_time,
            expire_time=expire_time,
            revoke_time=None,
            last_use_time=None,
        )
        return api_key

    async def _api_key(self, row: Row) -> ApiKey:
        bindings = await self._permissions.bindings_of(self._database, row.tenant_id, row.api_key_id)
        return ApiKey(
            row.api_key_id,
            row.name,
            tuple(binding.role for binding in bindings),
            row.token_prefix,
            row.create_time,
            row.expire_time,
            row.revoke_time,
            row.last_use_time,
        )


def _check_revision(read: int | None, present: int, resource: str) -> None:
    if read is not None and read != present:
        raise Aborted(f"The {resource} was changed since.")
