"""What all changes of a policy share: the lock, the check against the caller's own rights, losses, and dry runs.

Invariants:

* The version is raised first: its row is the lock that serialises changes of a tenant's policy.
* Whether a change is allowed is decided on the policy read inside the transaction, not on anything read before.
"""

from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Final

from zegel_server import clock
from zegel_server.caller import Caller, Scope
from zegel_server.db import Database, Reader, Transaction
from zegel_server.errors import NotFound
from zegel_server.permissions import model, store
from zegel_server.permissions.decisions import Decisions
from zegel_server.permissions.model import Policy
from zegel_server.permissions.policies import read_policy

MAX_ASSESSED: Final = 10_000
"""Bindings examined to find who loses what: beyond that the answer would not fit into a message."""

Losses = Mapping[str, Mapping[str, Scope]]
"""The permissions that each principal loses by a change."""


async def held_within(reader: Reader, policy: Policy, owner_id: str, permissions: Iterable[str]) -> Mapping[str, Scope]:
    """The permissions that a principal, or all principals in a team together, hold by roles that have not ended.

    Args:
        reader: Where the bindings are.
        policy: The tenant's roles.
        owner_id: The principal or the team.
        permissions: The permissions to ask for.

    Returns:
        Scopes by permission; permissions not held are left out.
    """
    rows = await reader.fetch(store.ROLES_WITHIN, tenant_id=policy.tenant_id, owner_id=owner_id, now=clock.now())
    return Decisions(policy).held([row.role for row in rows], permissions)


async def change_policy(transaction: Transaction, tenant_id: str) -> Policy:
    """Raises the policy's version, which locks it, and then reads the policy.

    Args:
        transaction: The transaction of the change.
        tenant_id: The tenant.

    Raises:
        NotFound: There is no such tenant.
    """
    row = await transaction.fetch_one(store.BUMP_VERSION, id=tenant_id)
    if row is None:
        raise NotFound("tenant")
    return await read_policy(transaction, tenant_id, row.policy_version)


def check_within(caller: Caller, policy: Policy, roles: Iterable[str], known: Collection[str]) -> None:
    """Refuses a caller that would grant, or act with, roles that hold permissions that it does not.

    Args:
        caller: Who makes the change.
        policy: The policy after the change.
        roles: The roles in question.
        known: Every permission that a method requires.

    Raises:
        PermissionDenied: The roles hold more than the caller does (``GRANT_EXCEEDS_GRANTER``).
    """
    wanted = Decisions(policy).held(roles, known)
    model.check_within({permission: caller.scopes(permission) for permission in wanted}, wanted)


async def assess(transaction: Transaction, before: Policy, after: Policy, known: Collection[str]) -> Losses:
    """Finds who loses what when one policy replaces another, with the bindings unchanged.

    Args:
        transaction: The transaction of the change.
        before: The policy before the change.
        after: The policy after the change.
        known: Every permission that a method requires.
    """
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
        assessed[names] = lost(old.held(names, known), new.held(kept, known))
    return {principal_id: assessed[tuple(names)] for principal_id, names in roles.items() if assessed[tuple(names)]}


def lost(before: Mapping[str, Scope], after: Mapping[str, Scope]) -> dict[str, Scope]:
    """The difference between the permissions held before and after.

    Args:
        before: Scopes by permission.
        after: The same afterwards.
    """
    fewer = {
        permission: scope & ~after.get(permission, Scope.NONE)
        for permission, scope in before.items()
        if not model.covers(after.get(permission, Scope.NONE), scope)
    }
    return {permission: scope for permission, scope in fewer.items() if scope}


class _RolledBack(Exception):  # noqa: N818 - not an error: how a dry run ends
    """Ends a dry run's transaction."""


class Trial:
    """A transaction that is rolled back at its end if it is only a dry run.

    Args:
        database: Where it runs.
        dry: Whether to roll everything back.
    """

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
