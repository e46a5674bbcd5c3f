"""Whatever is done to roles, teams and delegations, in whatever order: a few plain rules say who reaches what."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from zegel_server import clock
from zegel_server.caller import Caller, PrincipalKind, Scope
from zegel_server.db import Statement
from zegel_server.permissions import store
from zegel_server.permissions.policies import Policies

T = TypeVar("T")

PEOPLE: Final = ("mem_a", "mem_b", "mem_c")
TEAMS: Final = ("tea_x", "tea_y")
OWNERS: Final = (*PEOPLE, *TEAMS, "mem_elsewhere", "tea_gone")
ROLES: Final = ("one", "other")
WORK: Final = ("document.read", "signature_request.update", "audit.read")
GIVING: Final = ("document.move",)
"""What a team shares, and no delegation carries."""
ELSE: Final = (*GIVING, "team.read", "session.read", "api_key.rotate")
SCOPES: Final = ("OWN", "PARTY", "ANY")
FOREVER: Final = 10**9

people = st.sampled_from(PEOPLE)
teams = st.sampled_from(TEAMS)
roles = st.sampled_from(ROLES)
lasting = st.sampled_from([1, 2, 5, FOREVER])
grants = st.frozensets(st.tuples(st.sampled_from([*WORK, *ELSE]), st.sampled_from(SCOPES)), max_size=6)
some_work = st.none() | st.frozensets(st.sampled_from([*WORK, *GIVING]), min_size=1)


class Row(dict[str, Any]):
    __getattr__ = dict.__getitem__

    def __iter__(self) -> Any:
        return iter(self.values())


class Tables:
    """The rows of two tenants, as the server's statements find them; what a rule says stands here alone."""

    def __init__(self) -> None:
        self.version = 1
        self.grants: dict[str, frozenset[tuple[str, str]]] = {}
        self.bindings: dict[tuple[str, str], int] = {}
        self.members: dict[tuple[str, str], int] = {}
        self.delegations: dict[tuple[str, str], tuple[str, frozenset[str] | None, int]] = {}

    async def fetch(self, statement: Statement, *, tenant_id: str, **values: Any) -> list[Any]:
        if tenant_id != "ten_x":
            return []
        if statement is store.ROLES:
            return [Row(role=name, description="", revision=1) for name in sorted(self.grants)]
        if statement is store.GRANTS:
            return [Row(role=name, permission=p, scope=s) for name, held in self.grants.items() for p, s in held]
        if statement is store.PARENTS:
            return []
        who = values["principal_id"]
        if statement is store.BINDINGS_OF:
            return [
                Row(principal_id=who, role=name, expire_time=end, create_time=0)
                for (each, name), end in self.bindings.items()
                if each == who
            ]
        assert statement is store.SHARED_WITH
        by_team = [(team, "", end, "*") for (team, each), end in self.members.items() if each == who]
        by_delegation = [
            (one, made, end, "*" if only is None else " ".join(sorted(only)))
            for (one, other), (made, only, end) in self.delegations.items()
            if other == who
        ]
        return [Row(o=o, d=d, e=e, p=p) for o, d, e, p in (*by_team, *by_delegation)]

    async def fetch_one(self, statement: Statement, **_: Any) -> Any:
        assert statement is store.POLICY_VERSION
        return Row(policy_version=self.version)


class Sharing(RuleBasedStateMachine):
    """A tenant's policy, changed at random, while time passes; snapshots are kept as a server keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = Tables()
        self.policies = Policies(self.tables)  # type: ignore[arg-type]
        self.now = 1_000
        self.made = 0
        self.patched = mock.patch.object(clock, "now", side_effect=lambda: self.now)
        self.patched.start()
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        self.runner.close()
        self.patched.stop()

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asked)

    def caller(self, who: str, narrowed: frozenset[str] = frozenset(), tenant: str = "ten_x") -> Caller:
        held = self.run(self.policies.holdings(tenant, self.tables.version, who))
        return Caller(
            tenant, who, PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, held.decide, narrowed, shares=held.shares
        )

    # ---------------------------------------------------------------------------------------------- changes

    @initialize(one=grants, other=grants)
    def define_both(self, one: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]) -> None:
        self.tables.grants = {"one": one, "other": other}

    @rule(name=roles, held=grants)
    def define(self, name: str, held: frozenset[tuple[str, str]]) -> None:
        self.tables.grants[name] = held
        self.tables.version += 1

    @rule(who=people, name=roles, lasts=lasting)
    def grant(self, who: str, name: str, lasts: int) -> None:
        self.tables.bindings[who, name] = self.now + lasts
        self.tables.version += 1

    @rule(who=people, name=roles)
    def take(self, who: str, name: str) -> None:
        self.tables.bindings.pop((who, name), None)
        self.tables.version += 1

    @rule(team=teams, who=people, lasts=lasting)
    def add(self, team: str, who: str, lasts: int) -> None:
        self.tables.members[team, who] = self.now + lasts
        self.tables.version += 1

    @rule(team=teams, who=people)
    def remove(self, team: str, who: str) -> None:
        before = {each: self.reached(self.caller(who), each) for each in OWNERS}
        self.tables.members.pop((team, who), None)
        self.tables.version += 1
        after = {each: self.reached(self.caller(who), each) for each in OWNERS}
        # Exactly what came through that team is lost: by every permission that reaches everything, it stays.
        everywhere = {p for p in (*WORK, *ELSE) if self.caller(who).decide(p) & Scope.ANY}
        assert after == before | {team: before[team] & everywhere}

    @rule(one=people, other=people, only=some_work, lasts=lasting)
    def delegate(self, one: str, other: str, only: frozenset[str] | None, lasts: int) -> None:
        if one != other:
            self.made += 1
            self.tables.delegations[one, other] = (f"dlg_{self.made}", only, self.now + lasts)
            self.tables.version += 1

    @rule(one=people, other=people)
    def end(self, one: str, other: str) -> None:
        self.tables.delegations.pop((one, other), None)
        self.tables.version += 1

    @rule(passes=st.integers(1, 5))
    def wait(self, passes: int) -> None:
        """Nobody changes anything, and snapshots remember what they were asked: what ends by the clock ends."""
        reached = {who: self.everything(who) for who in PEOPLE}
        lost = [end for end in self.tables.bindings.values() if self.now < end <= self.now + passes]
        self.now += passes
        for who in PEOPLE:
            after = self.everything(who)
            assert after <= reached[who], "time alone gave somebody something"
            if not lost:
                gone = {owner for owner, _ in reached[who] - after}
                assert gone <= {*TEAMS, *PEOPLE} - {who}, "no role ended, and something of its own is lost"

    # ------------------------------------------------------------------------------------------ what must hold

    def held(self, who: str, permission: str) -> set[str]:
        bound = [name for (each, name), end in self.tables.bindings.items() if each == who and self.now < end]
        return {scope for name in bound for each, scope in self.tables.grants[name] if each == permission}

    def expected(self, who: str, owner: str, permission: str) -> bool:
        """The rules, in as few words as they can be said in."""
        mine = self.held(who, permission)
        if "ANY" in mine or ("OWN" in mine and owner == who):
            return True
        if "OWN" not in mine:
            return False
        if self.now < self.tables.members.get((owner, who), 0):
            return permission in (*WORK, *GIVING, "team.read")
        _, only, end = self.tables.delegations.get((owner, who), ("", None, 0))
        theirs = self.held(owner, permission) if owner in PEOPLE else set()
        carried = permission in WORK and (only is None or permission in only)
        return self.now < end and carried and bool(theirs & {"OWN", "ANY"})

    @staticmethod
    def reached(caller: Caller, owner: str) -> set[str]:
        return {each for each in (*WORK, *ELSE) if caller.reaches(each, owner_id=owner)}

    def everything(self, who: str) -> set[tuple[str, str]]:
        caller = self.caller(who)
        return {(owner, each) for owner in OWNERS for each in self.reached(caller, owner)}

    @invariant()
    def who_reaches_what_is_what_the_rules_say(self) -> None:
        for who in PEOPLE:
            caller = self.caller(who)
            for permission in (*WORK, *ELSE):
                rules = {each for each in OWNERS if self.expected(who, each, permission)}
                assert {each for each in OWNERS if caller.reaches(permission, owner_id=each)} == rules
                # The value that stands in queries says the same: nobody, everybody, or these.
                value = caller.reach(permission)
                assert {each for each in OWNERS if not value or f",{each}," in value} == rules
                everybody = bool(caller.decide(permission) & Scope.ANY)
                assert (value == "") is everybody
                if not everybody:
                    assert {*caller.owners(permission)} == rules
                    assert {*caller.shared(permission)} == rules - {who}

    @invariant()
    def by_a_delegation_nobody_reaches_more_than_its_delegator(self) -> None:
        for who in PEOPLE:
            caller = self.caller(who)
            for permission in (*WORK, *ELSE):
                for owner in caller.shared(permission):
                    if owner in PEOPLE:
                        assert self.caller(owner).reaches(permission, owner_id=owner)
                        acting = caller.acts_on(permission, owner).acting
                        everybody = bool(caller.decide(permission) & Scope.ANY)
                        assert (acting is None) is everybody

    @invariant()
    def a_narrowed_session_reaches_less_and_another_tenant_nothing(self) -> None:
        for who in PEOPLE:
            whole, narrow = self.caller(who), self.caller(who, frozenset({"document.read", "team.read"}))
            for owner in OWNERS:
                assert self.reached(narrow, owner) == self.reached(whole, owner) & {"document.read", "team.read"}
            elsewhere = self.caller(who, tenant="ten_y")
            assert not any(self.reached(elsewhere, owner) for owner in OWNERS)


Sharing.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestSharing = Sharing.TestCase
