"""Use cases of bindings, and queries about what they allow. Each change raises the policy's version."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Scope, Share
from zegel_server.db import Database, Transaction
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from zegel_server.keys.service import Keys
from zegel_server.permissions import store
from zegel_server.permissions.changes import Losses, Trial, change_policy, check_within, lost
from zegel_server.permissions.decisions import Decisions
from zegel_server.permissions.delegations import Delegations
from zegel_server.permissions.model import MAX_ROLES_OF, NOT_BINDABLE, Binding, Grant, Policy, exceeds
from zegel_server.permissions.owners import Owners
from zegel_server.permissions.policies import CHANGING, READ_TRIES, Holdings, Policies
from zegel_server.permissions.roles import Roles
from zegel_server.permissions.teams import Teams


class Permissions:
    """Roles, bindings, and queries about them.

    Args:
        database: Where the rows are.
        keys: Holds the tenants' keys.
        policies: The snapshots that decide.
        recorder: Records the events.
        known: Every permission that a method requires.

    Attributes:
        roles: Use cases of the tenant's own roles.
        teams: Use cases of its teams.
        delegations: Use cases of its members' delegations.
        owners: Decides whom work can be given to.
    """

    def __init__(
        self, database: Database, keys: Keys, policies: Policies, recorder: Recorder, known: Collection[str]
    ) -> None:
        self._database = database
        self._policies = policies
        self._recorder = recorder
        self.known = frozenset(known)
        self.roles = Roles(database, keys, recorder, self.known)
        self.teams = Teams(database, keys, recorder, self.known)
        self.delegations = Delegations(database, recorder, self.known)
        self.owners = Owners(policies, self.known)

    def check_known(self, permissions: Collection[str], field: str = "permissions") -> None:
        """Refuses permissions that no method requires.

        Args:
            permissions: The permissions in the field.
            field: The field's path.

        Raises:
            InvalidArgument: One of them does not exist.
        """
        if not self.known.issuperset(permissions):
            raise InvalidArgument(field, "must be permissions that a method demands")

    # ---------------------------------------------------------------------------------------------- questions

    async def policy(self, caller: Caller) -> Policy:
        """The policy of the caller's tenant.

        Args:
            caller: Who asks.
        """
        return (await self._policies.snapshot(caller.tenant_id, caller.policy_version)).policy

    def held(self, caller: Caller) -> Mapping[str, Scope]:
        """All permissions that a caller holds.

        Args:
            caller: Who asks.
        """
        scopes = {permission: caller.holds(permission) for permission in sorted(self.known)}
        return {permission: scope for permission, scope in scopes.items() if scope}

    async def bindings_of(self, reader: Any, tenant_id: str, principal_id: str) -> list[Binding]:
        """The bindings of a principal that have not ended.

        Args:
            reader: The database, or a transaction.
            tenant_id: Its tenant.
            principal_id: The member or API key.
        """
        rows = await reader.fetch(store.BINDINGS_OF, tenant_id=tenant_id, principal_id=principal_id)
        now = clock.now()
        return [binding for binding in (Binding(*row) for row in rows) if binding.stands(now)]

    async def list_bindings(self, caller: Caller, page: PageRequest, *, principal_id: str, role: str) -> Page[Binding]:
        """A page of the bindings that have not ended, by principal, then role.

        Args:
            caller: Who asks.
            page: Which page.
            principal_id: Only its bindings; empty for all.
            role: Only those to this role; empty for all.
        """
        own = caller.owner_filter("binding.read")
        if own:
            if principal_id not in {"", own}:
                return Page([])
            principal_id = own
        after_principal, after_role = page.start("", "")
        rows = await self._database.fetch(
            store.BINDINGS,
            tenant_id=caller.tenant_id,
            principal_id=principal_id,
            role=role,
            after_principal=after_principal,
            after_role=after_role,
            now=clock.now(),
            limit=page.rows,
        )
        return page.cut([Binding(*row) for row in rows], "principal_id", "role")

    async def explain(self, caller: Caller, principal_id: str, permission: str) -> list[tuple[Binding, str, Grant]]:
        """What grants a principal a permission: the binding, the role that has the rule, and the rule.

        Args:
            caller: Who asks.
            principal_id: The member or API key.
            permission: The permission.

        Raises:
            Aborted: The policy changes faster than it can be read.
            InvalidArgument: No method requires the permission.
            NotFound: There is no such principal.
        """
        if permission not in self.known:
            raise InvalidArgument("permission", "must be a permission that a method demands")
        caller.require("permission.explain", "principal", owner_id=principal_id)
        await self._principal(self._database, caller.tenant_id, principal_id)
        policy, bindings = await self._account(caller, principal_id)
        return [
            (binding, role.name, Grant(permission, scope))
            for binding in bindings
            for role in policy.with_parents(binding.role)
            for scope in role.scopes_of(permission)
        ]

    async def _account(self, caller: Caller, principal_id: str) -> tuple[Policy, list[Binding]]:
        """The roles and a principal's bindings at one version: mixing two versions could show what neither says."""
        version = caller.policy_version
        for _ in range(READ_TRIES):
            policy = (await self._policies.snapshot(caller.tenant_id, version)).policy
            bindings = await self.bindings_of(self._database, caller.tenant_id, principal_id)
            version = await self._policies.version(caller.tenant_id)
            if version == policy.version:
                return policy, bindings
        raise Aborted(CHANGING)

    async def shares_of(self, caller: Caller, principal_id: str, permission: str) -> list[Share]:
        """The shares through which a principal may use a permission on what others own, by owner.

        Args:
            caller: Who asks; already authorised.
            principal_id: The member or API key.
            permission: The permission.
        """
        held = await self._policies.holdings(caller.tenant_id, caller.policy_version, principal_id)
        return list(_shares(held, permission))

    # ----------------------------------------------------------------------------------------------- bindings

    async def grant(self, caller: Caller, principal_id: str, role: str, expire_time: int | None) -> Binding:
        """Grants a role to a principal; an existing binding gets the new expiry.

        Args:
            caller: Who grants it.
            principal_id: The member or API key.
            role: Name of the role.
            expire_time: When the binding expires; ``None`` for never.

        Raises:
            NotFound: There is no such principal, or no such role.
            PermissionDenied: The role has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
            FailedPrecondition: The last owner's binding would expire (``LAST_OWNER``).
        """
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_ROLE_GRANTED, resource_id=principal_id, extra={"granted": role}
        )
        caller.require("binding.grant", "principal", owner_id=principal_id)
        async with self._database.transaction() as transaction:
            created = await self.bind(transaction, caller, principal_id, [role], expire_time)
            # Under the policy's lock, so that no principal is removed between this check and the commit.
            await self._principal(transaction, caller.tenant_id, principal_id)
            await self._check_owner_left(transaction, caller.tenant_id)
            await self._recorder.record(transaction, draft)
        return Binding(principal_id, role, expire_time, created)

    async def bind(
        self,
        transaction: Transaction,
        caller: Caller,
        principal_id: str,
        roles: Sequence[str],
        expire_time: int | None = None,
    ) -> int:
        """Binds roles to a principal inside another use case's transaction, within what the caller may grant.

        Args:
            transaction: That use case's transaction.
            caller: Who grants them.
            principal_id: The member or API key.
            roles: Names of the roles.
            expire_time: When the bindings expire.

        Returns:
            When they were created.

        Raises:
            NotFound: There is no such role.
            PermissionDenied: They have a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
            ResourceExhausted: The principal would have more than ``MAX_ROLES_OF`` roles.
        """
        policy = await change_policy(transaction, caller.tenant_id)
        for role in roles:
            if role in NOT_BINDABLE or policy.role(role) is None:
                raise NotFound("role")
        check_within(caller, policy, roles, self.known)
        created = clock.now()
        for role in roles:
            await transaction.execute(
                store.UPSERT_BINDING,
                tenant_id=caller.tenant_id,
                principal_id=principal_id,
                role=role,
                expire_time=expire_time,
                create_time=created,
                creator_id=caller.principal_id,
            )
        row = await transaction.fetch_one(
            store.COUNT_BINDINGS_OF, tenant_id=caller.tenant_id, principal_id=principal_id, now=created
        )
        if row is not None and row.count > MAX_ROLES_OF:
            raise ResourceExhausted(f"A principal has at most {MAX_ROLES_OF} roles.", limit="roles_of_principal")
        return created

    async def take(self, caller: Caller, principal_id: str, role: str, *, dry: bool) -> Losses:
        """Removes a role from a principal.

        Args:
            caller: Who removes it.
            principal_id: The member or API key.
            role: Name of the role.
            dry: Whether only to report what would change.

        Returns:
            What the principal loses.

        Raises:
            NotFound: It does not have the role.
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            PermissionDenied: The role has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_ROLE_TAKEN, resource_id=principal_id, extra={"taken": role}
        )
        caller.require("binding.take", "principal", owner_id=principal_id)
        async with Trial(self._database, dry=dry) as transaction:
            policy = await change_policy(transaction, caller.tenant_id)
            before = await self.bindings_of(transaction, caller.tenant_id, principal_id)
            if role not in {binding.role for binding in before}:
                raise NotFound("binding")
            check_within(caller, policy, [role], self.known)
            await transaction.execute(
                store.DELETE_BINDING, tenant_id=caller.tenant_id, principal_id=principal_id, role=role
            )
            await self._check_owner_left(transaction, caller.tenant_id)
            await self._recorder.record(transaction, draft)
            decisions = Decisions(policy)
            held = decisions.held([binding.role for binding in before], self.known)
            kept = decisions.held([binding.role for binding in before if binding.role != role], self.known)
        losses = lost(held, kept)
        return {principal_id: losses} if losses else {}

    async def bind_first(
        self, transaction: Transaction, tenant_id: str, principal_id: str, role: str, creator_id: str
    ) -> None:
        """Binds a role to a principal that has just been created, without checking what the caller holds.

        Args:
            transaction: The transaction that creates the principal.
            tenant_id: The tenant.
            principal_id: The principal.
            role: Name of the role.
            creator_id: Who creates the principal; empty for the installation itself.
        """
        await transaction.execute(
            store.INSERT_BINDING,
            tenant_id=tenant_id,
            principal_id=principal_id,
            role=role,
            expire_time=None,
            create_time=clock.now(),
            creator_id=creator_id,
        )

    async def unbind_all(self, transaction: Transaction, tenant_id: str, principal_id: str) -> None:
        """Removes all roles, teams and delegations of a principal that is being deleted, in that transaction.

        Args:
            transaction: The transaction that deletes the principal.
            tenant_id: The tenant.
            principal_id: The member or API key.

        Raises:
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
        """
        await change_policy(transaction, tenant_id)
        for statement in (store.DELETE_BINDINGS_OF, store.DELETE_MEMBERSHIPS_OF, store.DELETE_DELEGATIONS_OF):
            await transaction.execute(statement, tenant_id=tenant_id, principal_id=principal_id)
        await self._check_owner_left(transaction, tenant_id)

    async def keep_owner(self, transaction: Transaction, tenant_id: str) -> None:
        """Refuses to leave a tenant without an owner who can sign in; called last in another use case's change.

        Args:
            transaction: That use case's transaction.
            tenant_id: The tenant.

        Raises:
            FailedPrecondition: No such owner is left (``LAST_OWNER``).
        """
        await change_policy(transaction, tenant_id)
        await self._check_owner_left(transaction, tenant_id)

    async def check_not_above(self, caller: Caller, principal_id: str, narrowed: Collection[str] = ()) -> None:
        """Refuses a caller that would act for a principal who may do more than the caller.

        Args:
            caller: Who calls.
            principal_id: The principal.
            narrowed: The only permissions that it would use; empty for all.

        Raises:
            PermissionDenied: The principal has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        bindings = await self.bindings_of(self._database, caller.tenant_id, principal_id)
        check_within(caller, await self.policy(caller), [binding.role for binding in bindings], narrowed or self.known)
        held = await self._policies.holdings(caller.tenant_id, caller.policy_version, principal_id)
        for permission in sorted(narrowed or self.known) if held.shares else ():
            for share in _shares(held, permission):
                if not caller.reaches(permission, owner_id=share.owner_id):
                    raise exceeds(permission)

    # ------------------------------------------------------------------------------------------------ helpers

    async def _principal(self, reader: Any, tenant_id: str, principal_id: str) -> None:
        if await reader.fetch_one(store.PRINCIPAL, tenant_id=tenant_id, principal_id=principal_id) is None:
            raise NotFound("principal")

    async def _check_owner_left(self, transaction: Transaction, tenant_id: str) -> None:
        row = await transaction.fetch_one(store.OWNERS, tenant_id=tenant_id)
        if row is None or row.owners == 0:
            raise FailedPrecondition("A tenant must keep an owner.", reason="LAST_OWNER")


def _shares(held: Holdings, permission: str) -> Iterator[Share]:
    """The shares that extend a permission that is held with scope OWN, by owner."""
    if held.decide(permission) & Scope.OWN:
        yield from (share for _, share in sorted(held.shares.items()) if share.holds(permission))
