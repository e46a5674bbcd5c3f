"""The policy snapshots that decide requests: loaded when a version is first needed, and cached while they are used.

Invariants:

* The version comes from the session's query at each request; only a snapshot of that version is used.
* A snapshot is labelled with the version that its rules were read at: the version is read before and after them.
* Memberships and delegations are read with the bindings, of the same version: every change of one raises the version.
* What expires does so by the clock: a cached answer is valid until the first thing that it depends on expires.
* At most ``KEPT_TENANTS`` snapshots and ``KEPT_PRINCIPALS`` principals of each are kept: an unused tenant
  costs nothing.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from zegel_server import clock
from zegel_server.caller import NO_SHARES, UNNAMED, Scope, Share
from zegel_server.db import Database, Reader
from zegel_server.errors import Aborted
from zegel_server.permissions import store
from zegel_server.permissions.decisions import Decisions, PrincipalDecisions, built_in_decisions
from zegel_server.permissions.model import OWNER, Binding, Grant, Policy, Role
from zegel_server.permissions.sharing import SharedWith

KEPT_TENANTS: Final = 10_000
"""Cached snapshots: a few kilobytes each, more if a tenant has its own roles."""
KEPT_PRINCIPALS: Final = 10_000
"""Cached principals of a snapshot: a few hundred bytes each."""
READ_TRIES: Final = 5
"""How often rules are read again because they changed meanwhile, which is rare."""

CHANGING: Final = "The policy is being changed; try again."


class Rows(NamedTuple):
    """What a policy says about one principal, including what has expired."""

    bindings: tuple[Binding, ...]
    shared: tuple[SharedWith, ...]


class Holdings(NamedTuple):
    """What a principal may do at this moment.

    Attributes:
        decide: The scopes in which its roles hold a permission.
        shares: By the owner, why what others own counts as its own.
        until: When that must be computed again; ``None`` for as long as the policy's version is current.
    """

    decide: PrincipalDecisions
    shares: Mapping[str, Share]
    until: int | None

    def reaches(self, permission: str, *, principal_id: str, owner_id: str) -> bool:
        """Whether the principal may do something to what another owns, or itself.

        Args:
            permission: As ``<resource>.<verb>``.
            principal_id: The principal.
            owner_id: Who owns the resource.
        """
        scopes = self.decide(permission)
        if scopes & Scope.ANY:
            return True
        if not scopes & Scope.OWN:
            return False
        share = self.shares.get(owner_id)
        return owner_id == principal_id or (share is not None and share.holds(permission))


class Snapshot:
    """A tenant's policy at one version, with cached decisions.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.decisions = Decisions(policy) if policy.roles else built_in_decisions()
        self._rows: OrderedDict[str, Rows] = OrderedDict()
        self._principals: OrderedDict[tuple[str, ...], Holdings] = OrderedDict()
        self.known: dict[str, Holdings] = {}
        """What principals hold, for those whose rows are cached."""
        self.used = False
        """Whether it was used since it was last considered for eviction."""

    def rows_of(self, principal_id: str) -> Rows | None:
        """The cached rows of a principal, or ``None``."""
        return self._rows.get(principal_id)

    def remember(self, principal_id: str, rows: Rows) -> None:
        """Caches the rows of a principal."""
        self._rows[principal_id] = rows
        if len(self._rows) > KEPT_PRINCIPALS:
            forgotten, _ = self._rows.popitem(last=False)
            self.known.pop(forgotten, None)

    def of(self, roles: tuple[str, ...]) -> Holdings:
        """What a set of roles holds, without shares.

        Args:
            roles: Their names.
        """
        found = self._principals.get(roles)
        if found is None:
            decide = PrincipalDecisions(self.decisions, roles)
            found = self._principals[roles] = Holdings(decide, NO_SHARES, None)
            if len(self._principals) > KEPT_PRINCIPALS:
                self._principals.popitem(last=False)
        return found

    def hold(self, principal_id: str, read: Mapping[str, Rows]) -> Holdings:
        """What a principal holds at this moment, cached until the first part of it expires.

        Args:
            principal_id: The principal.
            read: The rows of the principal, and of everybody who delegates to it.
        """
        mine = read[principal_id]
        now = clock.now()
        shared = [each for each in mine.shared if each.stands(now)]
        resting_on: list[Binding | SharedWith] = [*mine.bindings, *shared]
        shares = {}
        for each in shared:
            decide = None
            if each.delegation_id:
                delegator = read[each.owner_id].bindings
                resting_on += delegator
                decide = self.of(_standing(delegator, now)).decide
            shares[each.owner_id] = Share(each.owner_id, each.delegation_id, each.expire_time, each.permissions, decide)
        until = min((one.expire_time for one in resting_on if one.expire_time and one.stands(now)), default=None)
        held = self.of(_standing(mine.bindings, now))
        if shares or until is not None:
            held = Holdings(held.decide, shares or NO_SHARES, until)
        if principal_id in self._rows:
            self.known[principal_id] = held
        return held


async def read_policy(reader: Reader, tenant_id: str, version: int) -> Policy:
    """Reads a tenant's roles.

    Args:
        reader: The database, or a transaction.
        tenant_id: The tenant.
        version: Their version.
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
                grants=frozenset(grants.get(row.role, ())),
                parents=frozenset(parents.get(row.role, ())),
                revision=row.revision,
            )
            for row in rows
        },
    )


class Policies:
    """The snapshots of every tenant in use.

    Args:
        database: Where the rules are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    async def warm(self) -> None:
        """Runs every query once, for no principal, so that no request has to wait for statements to be compiled.

        Raises:
            Unavailable: The database does not answer.
        """
        for statement in (store.ROLES, store.GRANTS, store.PARENTS):
            await self._database.fetch(statement, tenant_id=UNNAMED)
        await self.version(UNNAMED)
        await self._rows(UNNAMED, UNNAMED)
        built_in_decisions().scopes(OWNER, "document.read")

    async def holdings(self, tenant_id: str, version: int, principal_id: str) -> Holdings:
        """What a principal may do at this moment.

        Args:
            tenant_id: Its tenant.
            version: The policy's version, as read with the session.
            principal_id: The member or API key.

        Raises:
            Aborted: The policy changes faster than it can be read.
        """
        known = self._snapshots.get(tenant_id)
        if known is not None and known.policy.version == version:
            held = known.known.get(principal_id)
            if held is not None and (held.until is None or clock.now() < held.until):
                known.used = True
                return held
        for _ in range(READ_TRIES):
            snapshot = await self.snapshot(tenant_id, version)
            rows = snapshot.rows_of(principal_id)
            read = {principal_id: rows or await self._rows(tenant_id, principal_id)}
            for each in read[principal_id].shared:
                if each.delegation_id:
                    rows_of = snapshot.rows_of(each.owner_id)
                    read[each.owner_id] = rows_of or await self._rows(tenant_id, each.owner_id)
            fresh = {who: found for who, found in read.items() if snapshot.rows_of(who) is not found}
            if fresh:
                version = await self.version(tenant_id)
                if version != snapshot.policy.version:
                    # New bindings with old roles could allow what neither version does, so both are read again.
                    continue
                for who, found in fresh.items():
                    snapshot.remember(who, found)
            return snapshot.hold(principal_id, read)
        raise Aborted(CHANGING)

    async def snapshot(self, tenant_id: str, version: int) -> Snapshot:
        """The snapshot of a tenant's policy.

        Args:
            tenant_id: The tenant.
            version: The least version that it must have.

        Raises:
            Aborted: The policy changes faster than it can be read.
        """
        known = self._snapshots.get(tenant_id)
        if known is not None and known.policy.version == version:
            known.used = True
            return known
        for _ in range(READ_TRIES):
            before = await self.version(tenant_id)
            known = self._snapshots.get(tenant_id)
            if known is not None and known.policy.version == before:  # loaded meanwhile by another request
                known.used = True
                return known
            policy = await read_policy(self._database, tenant_id, before)
            if before == await self.version(tenant_id):
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
        """Evicts the oldest snapshot, but gives a used one a second chance, so that decisions reorder nothing."""
        tenant_id, oldest = self._snapshots.popitem(last=False)
        if oldest.used:
            oldest.used = False
            self._snapshots[tenant_id] = oldest

    async def version(self, tenant_id: str) -> int:
        """The current version of a tenant's policy.

        Args:
            tenant_id: The tenant; the version is 0 if there is no such tenant.
        """
        row = await self._database.fetch_one(store.POLICY_VERSION, tenant_id=tenant_id)
        return 0 if row is None else int(row.policy_version)

    async def _rows(self, tenant_id: str, principal_id: str) -> Rows:
        return await rows_of(self._database, tenant_id, principal_id)


async def rows_of(reader: Reader, tenant_id: str, principal_id: str) -> Rows:
    """Reads what a policy says about one principal.

    Args:
        reader: The database, or a transaction.
        tenant_id: Its tenant.
        principal_id: The member or API key.
    """
    bindings = await reader.fetch(store.BINDINGS_OF, tenant_id=tenant_id, principal_id=principal_id)
    shared = await reader.fetch(store.SHARED_WITH, tenant_id=tenant_id, principal_id=principal_id)
    return Rows(tuple(Binding(*row) for row in bindings), tuple(SharedWith.of(*row) for row in shared))


def _standing(bindings: tuple[Binding, ...], now: int) -> tuple[str, ...]:
    return tuple(binding.role for binding in bindings if binding.stands(now))
