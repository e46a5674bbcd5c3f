"""Use cases of a tenant's own roles. Each change raises the policy's version in its own transaction."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller
from zegel_server.crypto import TextKey
from zegel_server.db import Database, Transaction, UniqueViolation
from zegel_server.edge import etags
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.errors import AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import encrypt_texts, text_key, text_keys
from zegel_server.permissions import model, store
from zegel_server.permissions.changes import Losses, Trial, assess, change_policy, check_within
from zegel_server.permissions.model import BUILT_IN, NOBODY, Policy, Role


class Roles:
    """A tenant's own roles.

    Args:
        database: Where the rows are.
        keys: Encrypts what they are for.
        recorder: Records the events.
        known: Every permission that a method requires.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder, known: Collection[str]) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._known = known

    async def described(self, tenant_id: str, roles: Sequence[Role]) -> list[Role]:
        """Roles of a policy with what they are for.

        Args:
            tenant_id: The tenant.
            roles: The roles; those that are built in say it already.

        Raises:
            Unavailable: The key provider does not answer.
        """
        if all(role.built_in for role in roles):
            return list(roles)
        wanted = {role.name for role in roles}
        rows = await self._database.fetch(store.DESCRIPTIONS, tenant_id=tenant_id)
        found = {row.role: row for row in rows if row.role in wanted}
        keys = await text_keys(self._keys, tenant_id, found.values())
        return [
            replace(role, description=keys.read(found[role.name], "role", tenant_id, role.name).get("description", ""))
            if role.name in found
            else role
            for role in roles
        ]

    async def create(self, caller: Caller, role: Role, keep: Keep[Role] = keep_nothing) -> Role:
        """Creates a role of the tenant's own.

        Args:
            caller: Who creates it.
            role: The role.
            keep: Stores the result for a retry of the call.

        Raises:
            AlreadyExists: The name is taken.
            InvalidArgument: A part of it is not allowed.
            PermissionDenied: It has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        model.check_role_name(role.name, "role.name")
        if role.name in BUILT_IN:
            raise AlreadyExists("A role of that name exists.", resource="role")
        key = await text_key(self._keys, caller.tenant_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_CREATED, resource_id=role.name)
        try:
            async with self._database.transaction() as transaction:
                policy = await change_policy(transaction, caller.tenant_id)
                if len(policy.roles) >= model.MAX_ROLES:
                    raise ResourceExhausted("The tenant has the maximum number of roles.", limit="roles")
                model.check_parents(policy, role, "role.inherits")
                check_within(caller, _with_role(policy, role), [role.name], self._known)
                await self._keys.hold(transaction, caller.tenant_id, key.key_version)
                await transaction.execute(
                    store.INSERT_ROLE,
                    tenant_id=caller.tenant_id,
                    role=role.name,
                    texts=_encrypted(key, caller.tenant_id, role),
                    texts_key_version=key.key_version,
                    revision=1,
                )
                await self._write_rules(transaction, caller.tenant_id, role)
                await self._recorder.record(transaction, draft)
                made = replace(role, revision=1)
                await keep(transaction, made)
        except UniqueViolation:
            raise AlreadyExists("A role of that name exists.", resource="role") from None
        return made

    async def update(
        self, caller: Caller, role: Role, fields: Collection[str], etag: str, *, dry: bool
    ) -> tuple[Role, Losses]:
        """Changes a role of the tenant's own.

        Args:
            caller: Who changes it.
            role: The role with the new values.
            fields: Which of ``description``, ``grants`` and ``inherits`` change.
            etag: The etag last read; empty to overwrite whatever is there.
            dry: Whether only to report what would change.

        Returns:
            The role as changed, and who loses what.

        Raises:
            Aborted: The role was changed since.
            FailedPrecondition: It is built in, or would inherit from itself.
            NotFound: There is no such role.
            PermissionDenied: It would have a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        _check_own(role.name)
        caller.require("role.update", "role", owner_id=NOBODY)
        key = await text_key(self._keys, caller.tenant_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_UPDATED, resource_id=role.name)
        async with Trial(self._database, dry=dry) as transaction:
            policy = await change_policy(transaction, caller.tenant_id)
            present = _present(policy, role.name, etag)
            changed = replace(
                present,
                grants=role.grants if "grants" in fields else present.grants,
                parents=role.parents if "inherits" in fields else present.parents,
                revision=present.revision + 1,
            )
            model.check_parents(policy, changed, "role.inherits")
            after = _with_role(policy, changed)
            check_within(caller, after, [role.name], self._known)
            losses = await assess(transaction, policy, after, self._known)
            await self._remove_rules(transaction, caller.tenant_id, role.name)
            named = {"tenant": caller.tenant_id, "name": role.name}
            await transaction.execute(store.UPDATE_ROLE, **named)
            if "description" in fields:
                await self._keys.hold(transaction, caller.tenant_id, key.key_version)
                new = {"new_texts": _encrypted(key, caller.tenant_id, role), "new_texts_key_version": key.key_version}
                await transaction.execute(store.DESCRIBE_ROLE, **named, **new)
            await self._write_rules(transaction, caller.tenant_id, changed)
            await self._recorder.record(transaction, draft)
        if "description" in fields:
            return replace(changed, description=role.description), losses
        return (await self.described(caller.tenant_id, [changed]))[0], losses

    async def delete(self, caller: Caller, name: str, etag: str, *, dry: bool) -> Losses:
        """Deletes a role of the tenant's own, its bindings, and removes it from roles that inherit from it.

        Args:
            caller: Who deletes it.
            name: Its name.
            etag: The etag last read; empty to skip the comparison.
            dry: Whether only to report what would change.

        Returns:
            Who loses what.

        Raises:
            Aborted: The role was changed since.
            FailedPrecondition: It is built in.
            NotFound: There is no such role.
        """
        _check_own(name)
        caller.require("role.delete", "role", owner_id=NOBODY)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_ROLE_DELETED, resource_id=name)
        async with Trial(self._database, dry=dry) as transaction:
            policy = await change_policy(transaction, caller.tenant_id)
            _present(policy, name, etag)
            left = {
                each.name: replace(each, parents=each.parents - {name})
                for each in policy.roles.values()
                if each.name != name
            }
            losses = await assess(transaction, policy, replace(policy, roles=left), self._known)
            await self._remove_rules(transaction, caller.tenant_id, name)
            for statement in (store.DELETE_CHILDREN, store.DELETE_BINDINGS_OF_ROLE, store.DELETE_ROLE):
                await transaction.execute(statement, tenant=caller.tenant_id, name=name)
            await self._recorder.record(transaction, draft)
        return losses

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


def _encrypted(key: TextKey, tenant_id: str, role: Role) -> bytes:
    return encrypt_texts(key, {"description": role.description}, "role", tenant_id, role.name)


def _check_own(name: str) -> None:
    if name in BUILT_IN:
        raise FailedPrecondition("A built-in role cannot be changed.", reason="ROLE_BUILT_IN", role=name)


def _present(policy: Policy, name: str, etag: str) -> Role:
    present = policy.roles.get(name)
    if present is None:
        raise NotFound("role")
    etags.check(etag, present.revision, "role")
    return present


def _with_role(policy: Policy, role: Role) -> Policy:
    return replace(policy, roles={**policy.roles, role.name: role})
