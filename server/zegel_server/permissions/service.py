"""Use cases of roles and bindings. Each change raises the policy's version in its own transaction.

Invariants:

* The version is raised first: its row is the lock under which a tenant's policy changes, one change at a time.
* What a change may do is decided on the policy inside the transaction, not on what was read before.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Scope
from zegel_server.db import Database, Transaction, UniqueViolation
from zegel_server.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from zegel_server.idempotency import earlier_answer, remember
from zegel_server.permissions import model, store
from zegel_server.permissions.decisions import Decisions
from zegel_server.permissions.model import BUILT_IN, NOT_BINDABLE, Binding, Grant, Policy, Role
from zegel_server.permissions.policies import Policies, read_policy

NOBODY: Final = ""
"""Owner of a role: the tenant's, so only a permission held in any resource reaches it."""

MAX_ASSESSED: Final = 10_000
"""Bindings looked at to tell who loses what: beyond it the answer would not fit a message."""


M = TypeVar("M", bound=Message)


class Permissions:
    """Roles, bindings, and questions about them.

    Args:
        database: Where the rows are.
        policies: The snapshots that decide.
        recorder: Records the events.
        known: Every permission that a method demands.
    """

    def __init__(self, database: Database, policies: Policies, recorder: Recorder, known: Collection[str]) -> None:
        self._database = database
        self._policies = policies
        self._recorder = recorder
        self.known = frozenset(known)

    # ---------------------------------------------------------------------------------------------- questions

    async def policy(self, caller: Caller) -> Policy:
        """The policy of the caller's tenant.

        Args:
            caller: Who asks.
        """
        return (await self._policies.snapshot(caller.tenant_id, caller.policy_version)).policy

    def held(self, caller: Caller) -> Mapping[str, Scope]:
        """Everything that a caller holds.

        Args:
            caller: Who asks.
        """
        scopes = {permission: caller.scopes(permission) for permission in sorted(self.known)}
        return {permission: scope for permission, scope in scopes.items() if scope}

    async def bindings_of(self, reader: Any, tenant_id: str, principal_id: str) -> list[Binding]:
        """The bindings of a principal that stand at this moment.

        Args:
            reader: The database, or a transaction.
            tenant_id: Its tenant.
            principal_id: The member or API key.
        """
        rows = await reader.fetch(store.BINDINGS_OF, tenant_id=tenant_id, principal_id=principal_id)
        now = clock.now()
        return [binding for binding in (Binding(*row) for row in rows) if binding.stands(now)]

    async def list_bindings(
        self, caller: Caller, *, principal_id: str, role: str, after: tuple[str, str], limit: int
    ) -> list[Binding]:
        """A page of the bindings that stand at this moment, by principal, then role.

        Args:
            caller: Who asks.
            principal_id: Only its bindings; empty for all.
            role: Only those to it; empty for all.
            after: The last binding of the page before.
            limit: The most to return.
        """
        own = caller.owner_filter("binding.read")
        if own:
            if principal_id not in {"", own}:
                return []
            principal_id = own
        rows = await self._database.fetch(
            store.BINDINGS,
            tenant_id=caller.tenant_id,
            principal_id=principal_id,
            role=role,
            after_principal=after[0],
            after_role=after[1],
            now=clock.now(),
            limit=limit,
        )
        return [Binding(*row) for row in rows]

    async def explain(self, caller: Caller, principal_id: str, permission: str) -> list[tuple[Binding, str, Grant]]:
        """What grants a principal a permission: the binding, the role that has the rule, and the rule.

        Args:
            caller: Who asks.
            principal_id: The member or API key.
            permission: The permission.

        Raises:
            InvalidArgument: No method demands it.
            NotFound: There is no such principal.
        """
        if permission not in self.known:
            raise InvalidArgument("permission", "must be a permission that a method demands")
        caller.require("permission.explain", "principal", owner_id=principal_id)
        await self._principal(self._database, caller.tenant_id, principal_id)
        policy = await self.policy(caller)
        return [
            (binding, role.name, Grant(permission, scope))
            for binding in await self.bindings_of(self._database, caller.tenant_id, principal_id)
            for role in policy.with_parents(binding.role)
            for scope in role.scopes_of(permission)
        ]

    # -------------------------------------------------------------------------------------------------- roles

    async def create_role(self, caller: Caller, role: Role, request: Message, answer: Callable[[Role], M]) -> M:
        """Defines a role of the tenant's own; a repetition of the request gets the first answer.

        Args:
            caller: Who defines it.
            role: The role.
            request: The request, with its ``request_id``.
            answer: Makes the answer that is kept for a repetition.

        Raises:
            AlreadyExists: The name is taken.
            InvalidArgument: Something of it is not allowed.
            PermissionDenied: It holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        model.check_role_name(role.name, "role.name")
        if role.name in BUILT_IN:
            raise AlreadyExists("A role of that name exists.", resource="role")
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_CREATED, resource_id=role.name)
        try:
            async with self._database.transaction() as transaction:
                policy = await self._change(transaction, caller.tenant_id)
                if len(policy.roles) >= model.MAX_ROLES:
                    raise ResourceExhausted("The tenant has as many roles as it may.", limit="roles")
                model.check_parents(policy, role, "role.inherits")
                self._check_within(caller, _with_role(policy, role), [role.name])
                await transaction.execute(
                    store.INSERT_ROLE,
                    tenant_id=caller.tenant_id,
                    role=role.name,
                    description=role.description,
                    revision=1,
                )
                await self._write_rules(transaction, caller.tenant_id, role)
                await self._recorder.record(transaction, draft)
                made = answer(replace(role, revision=1))
                await remember(transaction, caller, request, made)
        except UniqueViolation:
            before = await earlier_answer(self._database, caller, request, type(answer(role)))
            if before is not None:
                return before
            raise AlreadyExists("A role of that name exists.", resource="role") from None
        return made

    async def update_role(
        self, caller: Caller, role: Role, fields: Collection[str], revision: int | None, *, dry: bool
    ) -> tuple[Role, Mapping[str, Mapping[str, Scope]]]:
        """Changes a role of the tenant's own.

        Args:
            caller: Who changes it.
            role: The role with the new values.
            fields: Which of ``description``, ``grants`` and ``inherits`` change.
            revision: The revision last read; ``None`` to overwrite whatever is there.
            dry: Whether only to tell what would change.

        Returns:
            The role as changed, and who loses what.

        Raises:
            Aborted: It was changed since.
            FailedPrecondition: It is built in, or would inherit from itself.
            NotFound: There is no such role.
            PermissionDenied: It would hold what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        self._check_own(role.name)
        caller.require("role.update", "role", owner_id=NOBODY)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_UPDATED, resource_id=role.name)
        async with _Trial(self._database, dry=dry) as transaction:
            policy = await self._change(transaction, caller.tenant_id)
            present = _present(policy, role.name, revision)
            changed = replace(
                present,
                description=role.description if "description" in fields else present.description,
                grants=role.grants if "grants" in fields else present.grants,
                parents=role.parents if "inherits" in fields else present.parents,
                revision=present.revision + 1,
            )
            model.check_parents(policy, changed, "role.inherits")
            after = _with_role(policy, changed)
            self._check_within(caller, after, [role.name])
            losses = await self._losses(transaction, policy, after)
            await self._remove_rules(transaction, caller.tenant_id, role.name)
            await transaction.execute(
                store.UPDATE_ROLE, tenant=caller.tenant_id, name=role.name, new_description=changed.description
            )
            await self._write_rules(transaction, caller.tenant_id, changed)
            await self._recorder.record(transaction, draft)
        return changed, losses

    async def delete_role(
        self, caller: Caller, name: str, revision: int | None, *, dry: bool
    ) -> Mapping[str, Mapping[str, Scope]]:
        """Deletes a role of the tenant's own, its bindings, and its place in roles that inherit from it.

        Args:
            caller: Who deletes it.
            name: Its name.
            revision: The revision last read; ``None`` to overlook it.
            dry: Whether only to tell what would change.

        Returns:
            Who loses what.

        Raises:
            Aborted: It was changed since.
            FailedPrecondition: It is built in.
            NotFound: There is no such role.
        """
        self._check_own(name)
        caller.require("role.delete", "role", owner_id=NOBODY)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_DELETED, resource_id=name)
        async with _Trial(self._database, dry=dry) as transaction:
            policy = await self._change(transaction, caller.tenant_id)
            _present(policy, name, revision)
            left = {
                each.name: replace(each, parents=each.parents - {name})
                for each in policy.roles.values()
                if each.name != name
            }
            losses = await self._losses(transaction, policy, replace(policy, roles=left))
            await self._remove_rules(transaction, caller.tenant_id, name)
            for statement in (store.DELETE_CHILDREN, store.DELETE_BINDINGS_OF_ROLE, store.DELETE_ROLE):
                await transaction.execute(statement, tenant=caller.tenant_id, name=name)
            await self._recorder.record(transaction, draft)
        return losses

    # ----------------------------------------------------------------------------------------------- bindings

    async def grant(self, caller: Caller, principal_id: str, role: str, expire_time: int | None) -> Binding:
        """Grants a role to a principal; a binding that exists gets the new end.

        Args:
            caller: Who grants it.
            principal_id: The member or API key.
            role: Name of the role.
            expire_time: When the binding ends by itself; ``None`` for never.

        Raises:
            NotFound: There is no such principal, or no such role.
            PermissionDenied: The role holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
            FailedPrecondition: The last owner would get an end (``LAST_OWNER``).
        """
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_ROLE_GRANTED, resource_id=principal_id, extra={"granted": role}
        )
        caller.require("binding.grant", "principal", owner_id=principal_id)
        async with self._database.transaction() as transaction:
            created = await self.bind(transaction, caller, principal_id, [role], expire_time)
            # Under the lock that binding took: a principal that is being removed is gone by now, or not until later.
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
        """Binds roles to a principal inside another use case's transaction, as its caller may.

        Args:
            transaction: That use case's.
            caller: Who grants them.
            principal_id: The member or API key.
            roles: Names of the roles.
            expire_time: When the bindings end by themselves.

        Returns:
            When they were made.

        Raises:
            NotFound: There is no such role.
            PermissionDenied: They hold what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        policy = await self._change(transaction, caller.tenant_id)
        for role in roles:
            if role in NOT_BINDABLE or policy.role(role) is None:
                raise NotFound("role")
        self._check_within(caller, policy, roles)
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
        return created

    async def take(
        self, caller: Caller, principal_id: str, role: str, *, dry: bool
    ) -> Mapping[str, Mapping[str, Scope]]:
        """Takes a role from a principal.

        Args:
            caller: Who takes it.
            principal_id: The member or API key.
            role: Name of the role.
            dry: Whether only to tell what would change.

        Returns:
            What the principal loses.

        Raises:
            NotFound: It does not have the role.
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            PermissionDenied: The role holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_ROLE_TAKEN, resource_id=principal_id, extra={"taken": role}
        )
        caller.require("binding.take", "principal", owner_id=principal_id)
        async with _Trial(self._database, dry=dry) as transaction:
            policy = await self._change(transaction, caller.tenant_id)
            before = await self.bindings_of(transaction, caller.tenant_id, principal_id)
            if role not in {binding.role for binding in before}:
                raise NotFound("binding")
            self._check_within(caller, policy, [role])
            await transaction.execute(
                store.DELETE_BINDING, tenant_id=caller.tenant_id, principal_id=principal_id, role=role
            )
            await self._check_owner_left(transaction, caller.tenant_id)
            await self._recorder.record(transaction, draft)
            decisions = Decisions(policy)
            held = decisions.held([binding.role for binding in before], self.known)
            kept = decisions.held([binding.role for binding in before if binding.role != role], self.known)
        lost = _lost(held, kept)
        return {principal_id: lost} if lost else {}

    async def unbind_all(self, transaction: Transaction, tenant_id: str, principal_id: str) -> None:
        """Takes every role from a principal that is removed, inside that use case's transaction.

        Args:
            transaction: That use case's.
            tenant_id: The tenant.
            principal_id: The member or API key.

        Raises:
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
        """
        await self._change(transaction, tenant_id)
        await transaction.execute(store.DELETE_BINDINGS_OF, tenant_id=tenant_id, principal_id=principal_id)
        await self._check_owner_left(transaction, tenant_id)

    async def check_not_above(self, caller: Caller, principal_id: str) -> None:
        """Refuses a caller that would act for a principal who may do more than itself.

        Args:
            caller: Who calls.
            principal_id: For whom it would act.

        Raises:
            PermissionDenied: The principal holds what the caller does not (``GRANT_EXCEEDS_GRANTER``).
        """
        bindings = await self.bindings_of(self._database, caller.tenant_id, principal_id)
        self._check_within(caller, await self.policy(caller), [binding.role for binding in bindings])

    # ------------------------------------------------------------------------------------------------ helpers

    async def _change(self, transaction: Transaction, tenant_id: str) -> Policy:
        """Raises the version, which locks the tenant's policy, and reads the policy as it is then."""
        row = await transaction.fetch_one(store.BUMP_VERSION, id=tenant_id)
        if row is None:
            raise NotFound("tenant")
        return await read_policy(transaction, tenant_id, row.policy_version)

    def _check_within(self, caller: Caller, policy: Policy, roles: Iterable[str]) -> None:
        wanted = Decisions(policy).held(roles, self.known)
        model.check_within({permission: caller.scopes(permission) for permission in wanted}, wanted)

    def _check_own(self, name: str) -> None:
        if name in BUILT_IN:
            raise FailedPrecondition("A built-in role cannot be changed.", reason="ROLE_BUILT_IN", role=name)

    async def _principal(self, reader: Any, tenant_id: str, principal_id: str) -> None:
        if await reader.fetch_one(store.PRINCIPAL, tenant_id=tenant_id, principal_id=principal_id) is None:
            raise NotFound("principal")

    async def _check_owner_left(self, transaction: Transaction, tenant_id: str) -> None:
        row = await transaction.fetch_one(store.OWNERS, tenant_id=tenant_id)
        if row is None or row.owners == 0:
            raise FailedPrecondition("A tenant must keep an owner.", reason="LAST_OWNER")

    async def _write_rules(self, transaction: Transaction, tenant_id: str, role: Role) -> None:
        named = {"tenant_id": tenant_id, "role": role.name}
        await transaction.execute_many(
            store.INSERT_GRANT,
            [{**named, "permission": grant.permission, "scope": grant.scope.name} for grant in sorted(role.grants)],
        )
        await transaction.execute_many(
            store.INSERT_PARENT, [{**named, "parent": parent} for parent in sorted(role.parents)]
        )

    async def _remove_rules(self, transaction: Transaction, tenant_id: str, name: str) -> None:
        for statement in (store.DELETE_GRANTS, store.DELETE_PARENTS):
            await transaction.execute(statement, tenant=tenant_id, name=name)

    async def _losses(
        self, transaction: Transaction, before: Policy, after: Policy
    ) -> Mapping[str, Mapping[str, Scope]]:
        """Who loses what when one policy takes the place of another, under the bindings as they are."""
        rows = await transaction.fetch(
            store.BINDINGS,
            tenant_id=before.tenant_id,
            principal_id="",
            role="",
            after_principal="",
            after_role="",
            now=clock.now(),
            limit=MAX_ASSESSED,
        )
        roles: dict[str, list[str]] = {}
        for row in rows:
            roles.setdefault(row.principal_id, []).append(row.role)
        old, new = Decisions(before), Decisions(after)
        assessed: dict[tuple[str, ...], Mapping[str, Scope]] = {}
        for names in {tuple(names) for names in roles.values()}:  # many principals have the same few roles
            kept = [name for name in names if after.role(name)]
            assessed[names] = _lost(old.held(names, self.known), new.held(kept, self.known))
        return {principal_id: assessed[tuple(names)] for principal_id, names in roles.items() if assessed[tuple(names)]}


class _RolledBack(Exception):  # noqa: N818 - not an error: how a dry run ends
    """Ends a dry run's transaction."""


class _Trial:
    """A transaction that is rolled back at its end where it is only a dry run."""

    def __init__(self, database: Database, *, dry: bool) -> None:
        self._context = database.transaction()
        self._dry = dry

    async def __aenter__(self) -> Transaction:
        return await self._context.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None and self._dry:
            await self._context.__aexit__(_RolledBack, _RolledBack(), None)
            return None
        return await self._context.__aexit__(kind, error, trace)


def _present(policy: Policy, name: str, revision: int | None) -> Role:
    present = policy.roles.get(name)
    if present is None:
        raise NotFound("role")
    if revision is not None and revision != present.revision:
        raise Aborted("The role was changed since.")
    return present


def _with_role(policy: Policy, role: Role) -> Policy:
    return replace(policy, roles={**policy.roles, role.name: role})


def _lost(before: Mapping[str, Scope], after: Mapping[str, Scope]) -> dict[str, Scope]:
    lost = {
        permission: scope & ~after.get(permission, Scope.NONE)
        for permission, scope in before.items()
        if not model.covers(after.get(permission, Scope.NONE), scope)
    }
    return {permission: scope for permission, scope in lost.items() if scope}
