"""The snapshots that requests are decided on: loaded when a version is first asked for, and kept while they are used.

Invariants:

* The version comes from the session's look-up, at each request; a snapshot of another version is not used for it.
* A snapshot is labelled with the version that its rules were read at: the version is read before and after them.
* At most ``KEPT_TENANTS`` snapshots and ``KEPT_PRINCIPALS`` principals of each are kept: a tenant that nobody uses
  costs nothing.
"""

from collections import OrderedDict
from typing import Final

from zegel_server import clock
from zegel_server.caller import Scope
from zegel_server.db import Database, Reader
from zegel_server.errors import Aborted
from zegel_server.permissions import store
from zegel_server.permissions.decisions import Decisions, PrincipalDecisions, built_in_decisions
from zegel_server.permissions.model import Binding, Grant, Policy, Role

KEPT_TENANTS: Final = 10_000
"""Snapshots kept: each is some kilobytes, more where a tenant has roles of its own."""
KEPT_PRINCIPALS: Final = 10_000
"""Principals of a snapshot kept: a few hundred bytes each."""
READ_TRIES: Final = 5
"""How often rules are read again because they changed meanwhile: a tenant's roles seldom do."""

CHANGING: Final = "The policy is being changed; try again."


class Snapshot:
    """A tenant's policy at one version, and what was asked of it so far.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.decisions = Decisions(policy) if policy.roles else built_in_decisions()
        self._bindings: OrderedDict[str, tuple[Binding, ...]] = OrderedDict()
        self._principals: OrderedDict[tuple[str, ...], PrincipalDecisions] = OrderedDict()
        self.lasting: dict[str, PrincipalDecisions] = {}
        """Decisions of principals none of whose bindings has an end: the same for as long as the snapshot is."""
        self.used = False
        """Whether it was asked since it was last thought of to be forgotten."""

    def known_bindings(self, principal_id: str) -> tuple[Binding, ...] | None:
        """The bindings of a principal, if they were read before."""
        return self._bindings.get(principal_id)

    def remember(self, principal_id: str, bindings: tuple[Binding, ...]) -> None:
        """Keeps the bindings of a principal."""
        self._bindings[principal_id] = bindings
        if not any(binding.expire_time for binding in bindings):
            self.lasting[principal_id] = self.of(tuple(binding.role for binding in bindings))
        if len(self._bindings) > KEPT_PRINCIPALS:
            forgotten, _ = self._bindings.popitem(last=False)
            self.lasting.pop(forgotten, None)

    def of(self, roles: tuple[str, ...]) -> PrincipalDecisions:
        """The decisions on a set of roles.

        Args:
            roles: Their names.
        """
        found = self._principals.get(roles)
        if found is None:
            found = self._principals[roles] = PrincipalDecisions(self.decisions, roles)
            if len(self._principals) > KEPT_PRINCIPALS:
                self._principals.popitem(last=False)
        return found


async def read_policy(reader: Reader, tenant_id: str, version: int) -> Policy:
    """Reads a tenant's roles.

    Args:
        reader: Where from.
        tenant_id: Whose.
        version: The version that they are at.
    """
    rows = await reader.fetch(store.ROLES, tenant_id=tenant_id)
    if not rows:
        return Policy(tenant_id, version)
    grants: dict[str, set[Grant]] = {}
    for row in await reader.fetch(store.GRANTS, tenant_id=tenant_id):
        grants.setdefault(row.role, set()).add(Grant(row.permission, Scope[row.scope]))
    parents: dict[str, set[str]] = {}
    for row in await reader.fetch(store.PARENTS, tenant_id=tenant_id):
        parents.setdefault(row.role, set()).add(row.parent)
    return Policy(
        tenant_id,
        version,
        {
            row.role: Role(
                row.role,
                row.description,
                frozenset(grants.get(row.role, ())),
                frozenset(parents.get(row.role, ())),
                revision=row.revision,
            )
            for row in rows
        },
    )


class Policies:
    """The snapshots of every tenant in use.

    Args:
        database: Where the rules are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    async def decide_for(self, tenant_id: str, version: int, principal_id: str) -> PrincipalDecisions:
        """What a principal may do, by the roles that stand at this moment.

        Args:
            tenant_id: Its tenant.
            version: The policy's version, as the session's look-up read it.
            principal_id: The member or API key.

        Raises:
            Aborted: The policy changes faster than it can be read.
        """
        known = self._snapshots.get(tenant_id)
        if known is not None and known.policy.version == version:
            lasting = known.lasting.get(principal_id)
            if lasting is not None:
                known.used = True
                return lasting
        for _ in range(READ_TRIES):
            snapshot = await self.snapshot(tenant_id, version)
            bindings = snapshot.known_bindings(principal_id)
            if bindings is not None:
                return snapshot.of(_standing(bindings))
            rows = await self._database.fetch(store.BINDINGS_OF, tenant_id=tenant_id, principal_id=principal_id)
            version = await self._version(tenant_id)
            if version == snapshot.policy.version:
                bindings = tuple(Binding(*row) for row in rows)
                snapshot.remember(principal_id, bindings)
                return snapshot.of(_standing(bindings))
            # New bindings under old roles could allow what neither version does: both are read again.
        raise Aborted(CHANGING)

    async def snapshot(self, tenant_id: str, version: int) -> Snapshot:
        """The snapshot of a tenant's policy.

        Args:
            tenant_id: Whose.
            version: The least version that it has.

        Raises:
            Aborted: The policy changes faster than it can be read.
        """
        known = self._snapshots.get(tenant_id)
        if known is not None and known.policy.version == version:
            known.used = True
            return known
        for _ in range(READ_TRIES):
            before = await self._version(tenant_id)
            policy = await read_policy(self._database, tenant_id, before)
            if before == await self._version(tenant_id):
                break
        else:
            raise Aborted(CHANGING)
        snapshot = Snapshot(policy)
        self._snapshots[tenant_id] = snapshot
        self._snapshots.move_to_end(tenant_id)
        while len(self._snapshots) > KEPT_TENANTS:
            self._forget_one()
        return snapshot

    def _forget_one(self) -> None:
        """Forgets the oldest snapshot, or gives it a second chance where it was used: a decision then moves nothing."""
        tenant_id, oldest = self._snapshots.popitem(last=False)
        if oldest.used:
            oldest.used = False
            self._snapshots[tenant_id] = oldest

    async def _version(self, tenant_id: str) -> int:
        row = await self._database.fetch_one(store.POLICY_VERSION, tenant_id=tenant_id)
        return 0 if row is None else int(row.policy_version)


def _standing(bindings: tuple[Binding, ...]) -> tuple[str, ...]:
    if not any(binding.expire_time for binding in bindings):
        return tuple(binding.role for binding in bindings)
    now = clock.now()
    return tuple(binding.role for binding in bindings if binding.stands(now))
