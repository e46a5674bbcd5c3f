"""Random changes of a policy: roles, bindings, teams and delegations, by owners and by whoever else may or may not.

A change says what it is answered by the oracle's account, and what the policy is once it was answered.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from security.contracts import GIVING
from security.policy_oracle import (
    DELEGABLE,
    OK,
    PERMISSIONS,
    SCOPES,
    WORK_PERMISSIONS,
    Delegated,
    Oracle,
    State,
    stands,
)
from security.world import SCOPES as SCOPE_VALUES
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import permission_service_pb2 as pb
from zegel.permission.v1 import sharing_pb2
from zegel_server import clock
from zegel_server.caller import Scope
from zegel_server.permissions.model import BUILT_IN, Grant, Role

GRANTABLE: Final = sorted({grant.permission for grant in BUILT_IN["owner"].grants if grant.scope is Scope.ANY})
BINDABLE: Final = ("admin", "manager", "developer", "member", "auditor")
OWN_ROLES: Final = tuple(f"role-{number}" for number in range(6))
MOST_TEAMS: Final = 5
"""Teams at a time."""
MADE_TEAMS: Final = 60
"""Teams made in a whole campaign: what they own stays, and is listed."""
MOST_GUESTS: Final = 3
"""Members at a time who come and go, and call nothing."""
MARGIN_US: Final = clock.SECOND
"""What ends sooner is left alone by whoever changes what stands: the answer would be a matter of the moment."""

Answers = Callable[[Oracle, State, int], frozenset[str]]
After = Callable[[State, Any], State]


def _always(_oracle: Oracle, _state: State, _now: int) -> frozenset[str]:
    return OK


@dataclass(frozen=True)
class Change:
    """A change of the policy.

    Attributes:
        method: Its method.
        request: Its request.
        who: The principal who makes it.
        after: The policy after it, with its answer.
        answers: The codes that it is answered with at a moment.
        end: When what it makes ends by itself.
        carries: What a delegation that it makes is narrowed to.
    """

    method: str
    request: Any
    who: str
    after: After
    answers: Answers = _always
    end: int | None = None
    carries: Callable[[Oracle, State, int], frozenset[str]] | None = None

    def fits(self, oracle: Oracle, state: State, now: int, code: str, answer: Any) -> bool:
        """Whether it is answered so at a moment.

        Args:
            oracle: Knows how.
            state: The policy before it.
            now: The moment.
            code: The status.
            answer: The answer; ``None`` where it was refused.
        """
        if code not in self.answers(oracle, state, now):
            return False
        if answer is None or self.carries is None:
            return True
        return frozenset(answer.delegation.permissions) == self.carries(oracle, state, now)


@dataclass(frozen=True, slots=True)
class Made:
    """A change that was asked for, with the version before it."""

    change: Change
    before: int
    since: int
    until: int
    code: str
    answer: Any


class Changes:
    """Chooses changes.

    Args:
        choose: Chooses.
        owner: The principal who may do everything.
        principals: The members and keys who call.
        elsewhere: A member of another tenant.
    """

    def __init__(self, choose: random.Random, owner: str, principals: Sequence[str], elsewhere: str) -> None:
        self._choose = choose
        self._owner = owner
        self._principals = sorted(principals)
        self._elsewhere = elsewhere
        self._made_teams = 0
        self._guests = 0

    def following(self, state: State) -> Change:
        """A change of a policy.

        Args:
            state: The policy as it is.
        """
        kinds: list[tuple[int, Callable[[State], Change | None]]] = [
            (6, self._create_role),
            (6, self._update_role),
            (4, self._delete_role),
            (12, self._grant),
            (10, self._take),
            (4, self._create_team),
            (2, self._delete_team),
            (18, self._add),
            (10, self._remove),
            (24, self._delegate),
            (8, self._end),
            (3, self._guest),
            (2, self._guest_goes),
        ]
        while True:
            (kind,) = self._choose.choices([each for _, each in kinds], [weight for weight, _ in kinds])
            change = kind(state)
            if change is not None:
                return change

    # ------------------------------------------------------------------------------------------------ chance

    def _somebody(self) -> str:
        """Who makes a change of what is shared."""
        return self._owner if self._choose.random() < 0.6 else self._choose.choice(self._principals)

    def _anybody(self, state: State) -> str:
        """Whom it is about: now and then, nobody of the tenant."""
        roll = self._choose.random()
        if roll < 0.2:
            return self._elsewhere if roll < 0.03 else self._choose.choice(sorted(state.bound))
        return self._choose.choice(self._principals)

    def _member(self, state: State) -> str:
        members = [each for each in [*state.bound, self._elsewhere] if each.startswith("mem_")]
        return self._choose.choice(sorted(members))

    def _end_time(self, *, needed: bool = False) -> int | None:
        roll = self._choose.random()
        if roll < 0.4:
            return clock.now() + int(self._choose.uniform(0.1, 1.0) * clock.SECOND)
        return clock.now() + clock.HOUR if needed or roll < 0.6 else None

    # ----------------------------------------------------------------------------------------- roles, bindings

    def _create_role(self, state: State) -> Change | None:
        free = [name for name in OWN_ROLES if name not in state.roles]
        if not free:
            return None
        role = self._role(self._choose.choice(free), state.roles)
        return self._with_role("CreateRole", pb.CreateRoleRequest(role=_message(role)), role)

    def _update_role(self, state: State) -> Change | None:
        if not state.roles:
            return None
        role = self._role(self._choose.choice(sorted(state.roles)), state.roles)
        mask = FieldMask(paths=["grants", "inherits"])
        return self._with_role("UpdateRole", pb.UpdateRoleRequest(role=_message(role), update_mask=mask), role)

    def _with_role(self, method: str, request: Any, role: Role) -> Change:
        def after(state: State, _: Any) -> State:
            return replace(state, roles={**state.roles, role.name: role})

        return Change(method, request, self._owner, after)

    def _delete_role(self, state: State) -> Change | None:
        if not state.roles:
            return None
        name = self._choose.choice(sorted(state.roles))

        def after(state: State, _: Any) -> State:
            roles = {
                each.name: Role(each.name, "", each.grants, each.parents - {name})
                for each in state.roles.values()
                if each.name != name
            }
            return replace(state, roles=roles, bound={who: _without(held, name) for who, held in state.bound.items()})

        return Change("DeleteRole", pb.DeleteRoleRequest(role=name), self._owner, after)

    def _grant(self, state: State) -> Change | None:
        who = self._choose.choice([each for each in sorted(state.bound) if each != self._owner])
        name = self._choose.choice([*BINDABLE, *sorted(state.roles)])
        end = self._end_time() if self._choose.random() < 0.5 else None

        def after(state: State, _: Any) -> State:
            return replace(state, bound={**state.bound, who: {**state.bound[who], name: end}})

        request = pb.GrantRoleRequest(principal_id=who, role=name, expire_time=clock.to_timestamp(end))
        return Change("GrantRole", request, self._owner, after, end=end)

    def _take(self, state: State) -> Change | None:
        who = self._choose.choice([each for each in sorted(state.bound) if each != self._owner])
        standing = [role for role, end in state.bound[who].items() if stands(end, clock.now() + MARGIN_US)]
        if not standing:
            return None
        name = self._choose.choice(sorted(standing))

        def after(state: State, _: Any) -> State:
            return replace(state, bound={**state.bound, who: _without(state.bound[who], name)})

        def answers(_oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return OK if stands(state.bound[who][name], now) else frozenset({"NOT_FOUND"})

        request = pb.TakeRoleRequest(principal_id=who, role=name)
        return Change("TakeRole", request, self._owner, after, answers)

    def _role(self, name: str, roles: Mapping[str, Role]) -> Role:
        choose = self._choose
        grants = {Grant(choose.choice(GRANTABLE), choose.choice(SCOPES)) for _ in range(choose.randrange(12))}
        if choose.random() < 0.5:  # what decides on what is shared, more often than chance would have it
            shared = [each for each in PERMISSIONS if each.startswith(("team.", "delegation."))]
            grants |= {Grant(each, Scope.OWN) for each in (*shared, choose.choice(sorted(WORK_PERMISSIONS)))}
        # Of roles with a smaller name alone, so that there is never a cycle.
        parents = [each for each in [*BINDABLE, *roles] if each < name]
        picked = frozenset(choose.sample(parents, min(len(parents), choose.randrange(3))))
        return Role(name, "", frozenset(grants), picked)

    def _guest(self, state: State) -> Change | None:
        """A member comes who owns nothing and calls nobody."""
        if len(self._guests_of(state)) >= MOST_GUESTS:
            return None
        self._guests += 1
        request = identity.CreateMemberRequest(name="G", email=f"guest{self._guests}@example.com", roles=["member"])

        def after(state: State, answer: Any) -> State:
            return replace(state, bound={**state.bound, answer.member.member_id: {"member": None}})

        return Change("CreateMember", request, self._owner, after)

    def _guest_goes(self, state: State) -> Change | None:
        """And is removed, with all that it had and gave."""
        guests = self._guests_of(state)
        if not guests:
            return None
        who = self._choose.choice(guests)

        def after(state: State, _: Any) -> State:
            return replace(
                state,
                bound=_without(state.bound, who),
                teams={team_id: _without(ends, who) for team_id, ends in state.teams.items()},
                delegations={pair: made for pair, made in state.delegations.items() if who not in pair},
            )

        return Change("DeleteMember", identity.DeleteMemberRequest(member_id=who), self._owner, after)

    def _guests_of(self, state: State) -> list[str]:
        return sorted(state.bound.keys() - {self._owner, *self._principals})

    # ------------------------------------------------------------------------------------------------- teams

    def _create_team(self, state: State) -> Change | None:
        if len(state.teams) >= MOST_TEAMS or self._made_teams >= MADE_TEAMS:
            return None
        who = self._somebody()
        self._made_teams += 1

        def after(state: State, answer: Any) -> State:
            return replace(state, teams={**state.teams, answer.team.team_id: {who: None}})

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.create_team(state, who, now)

        return Change("CreateTeam", sharing_pb2.CreateTeamRequest(name="Team"), who, after, answers)

    def _delete_team(self, state: State) -> Change | None:
        if len(state.teams) < 3:
            return None
        who, team_id = self._somebody(), self._choose.choice(sorted(state.teams))

        def after(state: State, _: Any) -> State:
            return replace(state, teams=_without(state.teams, team_id))

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.of_team(state, who, now, "team.delete", team_id)

        return Change("DeleteTeam", sharing_pb2.DeleteTeamRequest(team_id=team_id), who, after, answers)

    def _add(self, state: State) -> Change | None:
        if not state.teams:
            return None
        who, other, end = self._somebody(), self._anybody(state), self._end_time()
        team_id = self._choose.choice(sorted(state.teams))

        def after(state: State, _: Any) -> State:
            return replace(state, teams={**state.teams, team_id: {**state.teams[team_id], other: end}})

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.add_member(state, who, now, team_id, other)

        request = sharing_pb2.AddTeamMemberRequest(
            team_id=team_id, principal_id=other, expire_time=clock.to_timestamp(end)
        )
        return Change("AddTeamMember", request, who, after, answers, end)

    def _remove(self, state: State) -> Change | None:
        if not state.teams:
            return None
        team_id = self._choose.choice(sorted(state.teams))
        who, others = self._somebody(), [*state.teams[team_id], self._choose.choice(self._principals)]
        other = self._choose.choice(sorted(others))

        def after(state: State, _: Any) -> State:
            return replace(state, teams={**state.teams, team_id: _without(state.teams[team_id], other)})

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.remove_member(state, who, now, team_id, other)

        request = sharing_pb2.RemoveTeamMemberRequest(team_id=team_id, principal_id=other)
        return Change("RemoveTeamMember", request, who, after, answers)

    # ------------------------------------------------------------------------------------------- delegations

    def _delegate(self, state: State) -> Change | None:
        who, end = self._somebody(), self._end_time(needed=True)
        members = [each for each in self._principals if each.startswith("mem_")]
        one, other = self._choose.sample(members, 2)
        roll = self._choose.random()
        if roll < 0.2:  # by, or to, whoever comes and goes, or is of no such tenant, or is the same
            one, other = self._choose.choice([(self._member(state), other), (one, self._member(state)), (one, one)])
        elif who in members and roll < 0.8:
            one, other = who, self._choose.choice([each for each in members if each != who])
        pair, asked = (one, other), frozenset[str]()
        if self._choose.random() < 0.4:
            asked = frozenset(self._choose.sample(sorted(DELEGABLE), self._choose.randrange(1, 6)))
            asked |= GIVING if self._choose.random() < 0.1 else asked
        assert end is not None

        def after(state: State, answer: Any) -> State:
            made = Delegated(answer.delegation.delegation_id, frozenset(answer.delegation.permissions), end)
            return replace(state, delegations={**state.delegations, pair: made})

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.delegate(state, who, now, pair, asked)

        def carries(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.carried(state, who, now, pair[0], asked)

        request = sharing_pb2.CreateDelegationRequest(
            delegator_id=pair[0],
            delegate_id=pair[1],
            permissions=sorted(asked),
            expire_time=clock.to_timestamp(end),
        )
        return Change("CreateDelegation", request, who, after, answers, end, carries)

    def _end(self, state: State) -> Change | None:
        if not state.delegations:
            return None
        pair = self._choose.choice(sorted(state.delegations))
        who = self._choose.choice([self._somebody(), *(each for each in pair if each in self._principals)])

        def after(state: State, _: Any) -> State:
            return replace(state, delegations=_without(state.delegations, pair))

        def answers(oracle: Oracle, state: State, now: int) -> frozenset[str]:
            return oracle.end_delegation(state, who, now, pair)

        request = sharing_pb2.EndDelegationRequest(delegation_id=state.delegations[pair].delegation_id)
        return Change("EndDelegation", request, who, after, answers)


def _without(mapping: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    return {each: value for each, value in mapping.items() if each != key}


def _message(role: Role) -> pb.Role:
    grants = [pb.Grant(permission=each.permission, scope=SCOPE_VALUES[each.scope]) for each in sorted(role.grants)]
    return pb.Role(name=role.name, grants=grants, inherits=sorted(role.parents))
