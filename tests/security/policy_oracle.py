"""What a policy allows, said a second time: plain pycasbin for roles, and what is shared in a few plain rules.

Nothing that decides in the server is asked. Of it stand here: the text of Casbin's model, the built-in roles, and the
form of their rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import casbin

from security.contracts import GIVING, RPCS, WORK
from zegel_server.caller import Scope
from zegel_server.permissions.decisions import MODEL, rules
from zegel_server.permissions.model import BUILT_IN, Role

SCOPES: Final = (Scope.OWN, Scope.PARTY, Scope.ANY)
PERMISSIONS: Final = sorted({rpc.permission for rpc in RPCS.values()})
WORK_PERMISSIONS: Final = frozenset(each for each in PERMISSIONS if each.partition(".")[0] in WORK)
DELEGABLE: Final = WORK_PERMISSIONS - GIVING
OF_TEAM: Final = WORK_PERMISSIONS | {each for each in PERMISSIONS if each.startswith("team.")}
BOUND: Final = ("owner", "admin", "manager", "developer", "member", "auditor")
"""The built-in roles that somebody can have."""

OK: Final = frozenset({"OK"})
DENIED: Final = frozenset({"PERMISSION_DENIED"})
ABSENT: Final = frozenset({"NOT_FOUND"})
INVALID: Final = frozenset({"INVALID_ARGUMENT"})
LONG_AGO: Final = 0

Held = frozenset[tuple[str, str]]
"""Permissions, each with a scope's name."""


class Shared(NamedTuple):
    """Why what another owns counts as somebody's own, until when, and by which permissions."""

    delegation_id: str
    end: int | None
    permissions: frozenset[str]


Reach = Mapping[str, Shared]
"""By the owner."""


@dataclass(frozen=True)
class Delegated:
    """A delegation.

    Attributes:
        delegation_id: Its identifier.
        permissions: To which it is narrowed; empty for no narrowing.
        end: In microseconds since the epoch.
    """

    delegation_id: str
    permissions: frozenset[str]
    end: int


@dataclass(frozen=True)
class State:
    """A policy; times in microseconds since the epoch.

    Attributes:
        roles: The tenant's own roles.
        bound: By principal: when each of its roles ends; ``None`` for never.
        teams: By team: when each who is in it leaves it; ``None`` for never.
        delegations: By delegator and delegate.
    """

    roles: Mapping[str, Role]
    bound: Mapping[str, Mapping[str, int | None]]
    teams: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    delegations: Mapping[tuple[str, str], Delegated] = field(default_factory=dict)

    def moments(self, since: int, until: int) -> list[int]:
        """The moments of a span of time between which nothing ends by itself: its first, and the ends within it."""
        return sorted({since, *(end for end in self._ends() if since < end <= until)})

    def _ends(self) -> Iterator[int]:
        for ends in (*self.bound.values(), *self.teams.values()):
            yield from (end for end in ends.values() if end is not None)
        yield from (each.end for each in self.delegations.values())


def by(permission: str, reach: Reach) -> Reach:
    """The part of a reach that one permission gives."""
    return {
        owner: each._replace(permissions=frozenset({permission}))
        for owner, each in reach.items()
        if permission in each.permissions
    }


def stands(end: int | None, now: int) -> bool:
    """Whether what ends then has not ended."""
    return end is None or now < end


class Oracle:
    """Plain pycasbin that holds every rule of a version, with a principal bound to the roles that it has at a moment.

    Args:
        tenant_id: The tenant.
    """

    def __init__(self, tenant_id: str) -> None:
        self._tenant = tenant_id
        self._built: tuple[Mapping[str, Role], Any] | None = None
        self._known: dict[tuple[int, frozenset[str]], tuple[Mapping[str, Role], Held]] = {}

    def held(self, state: State, who: str, now: int) -> Held:
        """Every permission and scope that a principal holds."""
        bound = frozenset(role for role, end in state.bound[who].items() if stands(end, now))
        found = self._known.get((id(state.roles), bound))
        if found is None:
            # The roles are kept with the answer: as long as they are, nothing else has their identity.
            found = self._known[id(state.roles), bound] = (state.roles, self._ask(state.roles, bound))
        return found[1]

    def _ask(self, roles: Mapping[str, Role], bound: frozenset[str]) -> Held:
        if self._built is None or self._built[0] is not roles:
            enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
            grants, parents = rules([*(BUILT_IN[name] for name in BOUND), *roles.values()], self._tenant)
            enforcer.add_policies(grants)
            if parents:
                enforcer.add_grouping_policies(parents)
            self._built = (roles, enforcer)
        enforcer, who = self._built[1], "+".join(["somebody", *sorted(bound)])
        if bound:
            enforcer.add_grouping_policies([[who, role, self._tenant] for role in sorted(bound)])
        return frozenset(
            (permission, str(scope.name))
            for permission in PERMISSIONS
            for scope in SCOPES
            if enforcer.enforce(who, self._tenant, permission, scope.name)
        )

    def reach(self, state: State, who: str, now: int) -> Reach:
        """What others own and counts as a principal's own."""
        own = frozenset(permission for permission, scope in self.held(state, who, now) if scope == "OWN")
        found = {}
        for team_id, ends in state.teams.items():
            if stands(ends.get(who, LONG_AGO), now):
                found[team_id] = Shared("", ends[who], own & OF_TEAM)
        for (delegator, delegate), made in state.delegations.items():
            if delegate == who and stands(made.end, now):
                theirs = {permission for permission, scope in self.held(state, delegator, now) if scope != "PARTY"}
                carried = own & theirs & DELEGABLE & (made.permissions or DELEGABLE)
                found[delegator] = Shared(made.delegation_id, made.end, carried)
        return {owner: shared for owner, shared in found.items() if shared.permissions}

    def owners(self, state: State, who: str, now: int, permission: str) -> frozenset[str] | None:
        """In whose resources a principal may use a permission; ``None`` for everybody's."""
        held = self.held(state, who, now)
        if (permission, "ANY") in held:
            return None
        if (permission, "OWN") not in held:
            return frozenset()
        shared = self.reach(state, who, now)
        return frozenset({who, *(owner for owner, each in shared.items() if permission in each.permissions)})

    def may(self, state: State, who: str, now: int, permission: str) -> bool:
        """Whether a principal may use a permission anywhere."""
        return any((permission, scope.name) in self.held(state, who, now) for scope in SCOPES)

    def use(self, state: State, who: str, now: int, permission: str, owner: str) -> frozenset[str]:
        """How a principal is answered who would use a permission on what somebody owns.

        Returns:
            The codes of which it is one.
        """
        if not self.may(state, who, now, permission):
            return DENIED
        owners = self.owners(state, who, now, permission)
        return OK if owners is None or owner in owners else ABSENT

    # ----------------------------------------------------------------------------------- changes of what is shared

    def create_team(self, state: State, who: str, now: int) -> frozenset[str]:
        """How a principal is answered who would make a team."""
        return OK if self.may(state, who, now, "team.create") else DENIED

    def of_team(self, state: State, who: str, now: int, permission: str, team_id: str) -> frozenset[str]:
        """How a principal is answered who would do something to a team."""
        found = self.use(state, who, now, permission, team_id)
        return ABSENT if found == OK and team_id not in state.teams else found

    def add_member(self, state: State, who: str, now: int, team_id: str, other: str) -> frozenset[str]:
        """How a principal is answered who would add another to a team."""
        found = self.of_team(state, who, now, "team.update", team_id)
        if found != OK or other not in state.bound:
            return ABSENT if found == OK else found
        theirs = self.held(state, other, now)
        for permission in WORK_PERMISSIONS:
            wanted = (permission, "OWN") in theirs or self.may(state, who, now, permission)
            if wanted and self.use(state, who, now, permission, team_id) != OK:
                return DENIED
        return OK

    def remove_member(self, state: State, who: str, now: int, team_id: str, other: str) -> frozenset[str]:
        """How a principal is answered who would remove another from a team."""
        found = self.of_team(state, who, now, "team.update", team_id)
        if found != OK:
            return found
        ends = state.teams[team_id]
        if other in ends and not stands(ends[other], now):
            return OK | ABSENT  # it has left by itself; its row may be there still
        return OK if other in ends else ABSENT

    def carried(self, state: State, who: str, now: int, delegator: str, asked: frozenset[str]) -> frozenset[str]:
        """To what a delegation is narrowed that somebody makes: its delegator may leave it open."""
        if who == delegator:
            return asked
        theirs = self.held(state, delegator, now)
        return frozenset(each for each in asked or DELEGABLE if {(each, "OWN"), (each, "ANY")} & theirs)

    def delegate(
        self, state: State, who: str, now: int, pair: tuple[str, str], asked: frozenset[str]
    ) -> frozenset[str]:
        """How a principal is answered who would make a delegation."""
        delegator, delegate = pair
        mine = self.held(state, who, now)
        if not self.may(state, who, now, "delegation.create"):
            return DENIED
        if asked & GIVING:
            return INVALID
        may = ("delegation.create", "ANY") in mine or (("delegation.create", "OWN") in mine and who == delegator)
        if not may or delegator not in state.bound or delegate not in state.bound:
            return ABSENT
        if delegator == delegate:
            return INVALID
        found = self._made_over(state, who, now, delegator, asked)
        there = state.delegations.get(pair)
        if found == OK and there is not None and stands(there.end, now):
            return frozenset({"ALREADY_EXISTS"})
        return found

    def _made_over(self, state: State, who: str, now: int, delegator: str, asked: frozenset[str]) -> frozenset[str]:
        """Whether somebody may make so much of another's over."""
        if who == delegator:
            return OK
        carried = self.carried(state, who, now, delegator, asked)
        if not carried:
            return frozenset({"FAILED_PRECONDITION"})
        mine = self.held(state, who, now)
        return OK if all((permission, "ANY") in mine for permission in carried) else DENIED

    def end_delegation(self, state: State, who: str, now: int, pair: tuple[str, str]) -> frozenset[str]:
        """How a principal is answered who would end a delegation."""
        mine = self.held(state, who, now)
        if not self.may(state, who, now, "delegation.end"):
            return DENIED
        reached = ("delegation.end", "ANY") in mine or (("delegation.end", "OWN") in mine and who in pair)
        there = state.delegations.get(pair)
        return OK if reached and there is not None and stands(there.end, now) else ABSENT
