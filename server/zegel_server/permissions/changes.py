"""What every change of a policy has in common: the lock, the limits of who makes it, who loses what, and dry runs.

Invariants:

* The version is raised first: its row is the lock under which a tenant's policy changes, one change at a time.
* What a change may do is decided on the policy inside the transaction, not on what was read before.
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
"""Bindings looked at to tell who loses what: beyond it the answer would not fit a message."""

Losses = Mapping[str, Mapping[str, Scope]]
"""What each principal loses by a change."""


async def held_within(reader: Reader, policy: Policy, owner_id: str, permissions: Iterable[str]) -> Mapping[str, Scope]:
    """What a principal holds by roles that have not ended, or all of those in a team together.

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
    """Raises the version, which locks the tenant's policy, and reads the policy as it is then.

    Args:
        transaction: That of the change.
        tenant_id: Whose policy changes.

    Raises:
        NotFound: There is no such tenant.
    """
    row = await transaction.fetch_one(store.BUMP_VERSION, id=tenant_id)
    if row is None:
        raise NotFound("tenant")
    return await read_policy(transaction, tenant_id, row.policy_version)


def check_within(caller: Caller, policy: Policy, roles: Iterable[str], known: Collection[str]) -> None:
    """Refuses a caller that would hand out, or act with, roles that hold what it does not.

    Args:
        caller: Who makes the change.
        policy: The policy as it is to be.
        roles: The roles in question.
        known: Every permission that a method demands.

    Raises:
        PermissionDenied: They hold more than the caller does (``GRANT_EXCEEDS_GRANTER``).
    """
    wanted = Decisions(policy).held(roles, known)
    model.check_within({permission: caller.scopes(permission) for permission in wanted}, wanted)


async def assess(transaction: Transaction, before: Policy, after: Policy, known: Collection[str]) -> Losses:
    """Who loses what when one policy takes the place of another, under the bindings that stand.

    Args:
        transaction: That of the change.
        before: The policy as it was.
        after: The policy as it is to be.
        known: Every permission that a method demands.
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
    """What somebody who held one thing, and then holds another, has lost.

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
    """A transaction that is rolled back at its end where it is only a dry run.

    Args:
        database: Where it runs.
        dry: Whether nothing of it is to stay.
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
