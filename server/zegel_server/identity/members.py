"""Use cases of members.

Invariants:

* A person's name and address are stored only encrypted under the subject's key.
* Removing a member removes its roles and sessions in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller
from zegel_server.db import Database, Row, UniqueViolation
from zegel_server.edge import etags
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import AlreadyExists, InvalidArgument, NotFound
from zegel_server.identity import store
from zegel_server.identity.accounts import Accounts
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.permissions.model import Binding
from zegel_server.permissions.service import Permissions


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a tenant; name and address are empty once the person has been forgotten.

    ``linked`` says whether it is bound to an account at the tenant's identity provider.
    """

    member_id: str
    name: str
    email: str
    roles: tuple[str, ...]
    create_time: int
    revision: int
    linked: bool


class Members:
    """Use cases of members.

    Args:
        database: Where the rows are.
        keys: Makes and opens the subjects' encryption keys.
        permissions: Roles and bindings.
        recorder: Records the events.
        accounts: Finds the accounts that members are bound to.
    """

    def __init__(
        self, database: Database, keys: Keys, permissions: Permissions, recorder: Recorder, accounts: Accounts
    ) -> None:
        self._database = database
        self._keys = keys
        self._permissions = permissions
        self._recorder = recorder
        self._accounts = accounts

    async def create(
        self,
        caller: Caller,
        name: str,
        email: str,
        roles: Sequence[str],
        *,
        subject: str = "",
        keep: Keep[Member] = keep_nothing,
    ) -> Member:
        """Adds a member.

        Args:
            caller: Who adds it.
            name: Name of the person.
            email: Mail address of the person.
            roles: Roles to grant.
            subject: Subject of the person's account at the tenant's identity provider; empty for none yet.
            keep: Stores the result for a retry of the call.

        Raises:
            AlreadyExists: A member has the address or the account.
            FailedPrecondition: There is a subject, but no identity provider.
            NotFound: There is no such role.
            PermissionDenied: A role has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        account, provider = await self._account(caller.tenant_id, subject)
        person = await self._keys.subject(caller.tenant_id, email)
        member = Member(new_id("mem"), name, email, tuple(sorted(set(roles))), clock.now(), 1, account is not None)
        profile = self._keys.encrypt_personal(person.key, {"name": name, "email": email}, member.member_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_MEMBER_CREATED, resource_id=member.member_id)
        try:
            async with self._database.transaction() as transaction:
                if account is not None:
                    await self._accounts.hold(transaction, caller.tenant_id, provider)
                await transaction.execute(
                    store.INSERT_MEMBER,
                    member_id=member.member_id,
                    tenant_id=caller.tenant_id,
                    subject_id=person.subject_id,
                    profile=profile,
                    create_time=member.create_time,
                    revision=1,
                    account=account,
                )
                await self._permissions.bind(transaction, caller, member.member_id, member.roles)
                await self._recorder.record(transaction, draft)
                await keep(transaction, member)
        except UniqueViolation:
            raise AlreadyExists("A member has this address or account.", resource="member") from None
        return member

    async def get(self, caller: Caller, member_id: str, permission: str = "member.read") -> Member:
        """Returns a member that the caller may see.

        Args:
            caller: Who asks.
            member_id: The member.
            permission: The permission that is needed.

        Raises:
            NotFound: There is no such member, or the caller may not see it.
        """
        return await self._member(await self._member_row(caller, member_id, permission))

    async def list(self, caller: Caller, page: PageRequest) -> Page[Member]:
        """A page of members, oldest first.

        Args:
            caller: Who asks.
            page: Which page.
        """
        rows = await self._database.fetch(
            store.MEMBERS,
            tenant_id=caller.tenant_id,
            only=caller.owner_filter("member.read"),
            after=page.start("")[0],
            limit=page.rows,
        )
        found = page.cut(rows, "member_id")
        now = clock.now()
        members = []
        for row in found.items:
            held = [Binding(*each) for each in store.BINDINGS.rows(row.bindings)]
            roles = sorted(binding.role for binding in held if binding.stands(now))
            members.append(self._member_of(row, await self._keys.subject_key(row.subject_id, row), roles))
        return found.holding(members)

    async def update(self, caller: Caller, member_id: str, changes: dict[str, str], etag: str) -> Member:
        """Changes a member's name, address or account.

        Args:
            caller: Who changes it.
            member_id: The member.
            changes: New values of ``name``, ``email`` and ``subject``; an empty subject unbinds the member.
            etag: The etag last read; empty to overwrite whatever is there.

        Raises:
            Aborted: The member was changed since.
            AlreadyExists: A member has the new address or account.
            FailedPrecondition: There is a subject, but no identity provider.
            NotFound: There is no such member, or the caller may not change it.
            PermissionDenied: The address or account changes, and the member may do more (``GRANT_EXCEEDS_GRANTER``).
        """
        row = await self._member_row(caller, member_id, "member.update")
        present = await self._member(row)
        etags.check(etag, present.revision, "member")
        changed = replace(
            present,
            name=changes.get("name", present.name),
            email=changes.get("email", present.email),
            revision=present.revision + 1,
        )
        if not changed.email:
            # The member was forgotten; nobody must come to own the empty address.
            raise InvalidArgument("member.email", "must not be empty", reason="MISSING_FIELD")
        if changed.email != present.email or "subject" in changes:
            # Whoever controls the address or the account can sign in as the member.
            await self._permissions.check_not_above(caller, member_id)
        account, provider = await self._account(caller.tenant_id, changes.get("subject", ""))
        person = await self._keys.subject(caller.tenant_id, changed.email)
        rebound = "subject" in changes or person.subject_id != row.subject_id
        changed = replace(changed, linked=account is not None if rebound else present.linked)
        profile = self._keys.encrypt_personal(person.key, {"name": changed.name, "email": changed.email}, member_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_MEMBER_UPDATED, resource_id=member_id)
        try:
            async with self._database.transaction() as transaction:
                if account is not None:
                    await self._accounts.hold(transaction, caller.tenant_id, provider)
                if not await transaction.execute(
                    store.UPDATE_MEMBER,
                    tenant=caller.tenant_id,
                    id=member_id,
                    read_revision=present.revision,
                    new_profile=profile,
                    new_subject_id=person.subject_id,
                ):
                    raise etags.changed("member")
                if rebound:
                    await transaction.execute(store.BIND_MEMBER, id=member_id, new_account=account)
                await self._recorder.record(transaction, draft)
        except UniqueViolation:
            raise AlreadyExists("A member has this address or account.", resource="member") from None
        return changed

    async def delete(self, caller: Caller, member_id: str, etag: str) -> None:
        """Removes a member, its roles and its sessions.

        Args:
            caller: Who removes it.
            member_id: Which.
            etag: The etag last read; empty to skip the comparison.

        Raises:
            Aborted: The member was changed since.
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            NotFound: There is no such member, or the caller may not remove it.
            PermissionDenied: The member may do something that the caller may not (``GRANT_EXCEEDS_GRANTER``).
        """
        row = await self._member_row(caller, member_id, "member.delete")
        etags.check(etag, row.revision, "member")
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

    async def _account(self, tenant_id: str, subject: str) -> tuple[bytes | None, int]:
        """The account to bind a member to, and the revision of its provider; ``None`` without a subject."""
        return await self._accounts.find(tenant_id, subject) if subject else (None, 0)

    async def _member_row(self, caller: Caller, member_id: str, permission: str) -> Row:
        row = await self._database.fetch_one(
            store.MEMBER,
            tenant_id=caller.tenant_id,
            member_id=member_id,
            only=caller.owner_filter(permission),
        )
        if row is None:
            raise NotFound("member")
        return row

    async def _member(self, row: Row) -> Member:
        key = await self._keys.subject_key(row.subject_id)
        bindings = await self._permissions.bindings_of(self._database, row.tenant_id, row.member_id)
        return self._member_of(row, key, [binding.role for binding in bindings])

    def _member_of(self, row: Row, key: bytes | None, roles: Sequence[str]) -> Member:
        profile = self._keys.decrypt_personal(key, row.profile, row.member_id)
        return Member(
            row.member_id,
            profile.get("name", ""),
            profile.get("email", ""),
            tuple(roles),
            row.create_time,
            row.revision,
            row.account is not None,
        )
