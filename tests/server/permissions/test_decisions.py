"""Casbin on snapshots decides as plain Casbin does that holds every rule, and no slower for a large policy."""

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.effort import Effort
from zegel_server.caller import Scope
from zegel_server.permissions.decisions import MODEL, Decisions, PrincipalDecisions, built_in_decisions, rules
from zegel_server.permissions.model import BUILT_IN, MAX_DEPTH, SCOPES, Grant, Policy, Role

TENANT = "ten_x"
KNOWN = sorted({grant.permission for role in BUILT_IN.values() for grant in role.grants})
FEW = (*KNOWN[:6], "document.purge", "ceremony.sign")


class Oracle:
    """Plain pycasbin: one enforcer with every rule, subjects bound by grouping rules."""

    def __init__(self, policy: Policy, bindings: dict[str, tuple[str, ...]]) -> None:
        self._enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
        grants, parents = rules([*BUILT_IN.values(), *policy.roles.values()], TENANT)
        self._enforcer.add_policies(grants)
        links = parents + [[subject, role, TENANT] for subject, roles in bindings.items() for role in roles]
        if links:
            self._enforcer.add_grouping_policies(links)

    def scopes(self, subject: str, permission: str) -> Scope:
        held = Scope.NONE
        for scope in SCOPES:
            if self._enforcer.enforce(subject, TENANT, permission, scope.name):
                held |= scope
        return held


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Policy, dict[str, tuple[str, ...]]]:
    """Roles that inherit from earlier ones and from built-in ones, and two subjects bound to some."""
    names = [f"role-{number}" for number in range(draw(st.integers(0, MAX_DEPTH + 1)))]
    grants = st.frozensets(st.builds(Grant, st.sampled_from(FEW), st.sampled_from(SCOPES)), max_size=4)
    roles: dict[str, Role] = {}
    for index, name in enumerate(names):
        candidates = [*names[:index], "owner", "manager", "member", "auditor"]
        parents = draw(st.frozensets(st.sampled_from(candidates), max_size=3))
        roles[name] = Role(name, "", draw(grants), parents)
    bound = st.lists(st.sampled_from([*names, *BUILT_IN]), max_size=3, unique=True).map(tuple)
    return Policy(TENANT, 1, roles), {"mem_a": draw(bound), "key_b": draw(bound)}


@settings(max_examples=60)
@given(worlds())
def test_decisions_are_those_of_plain_casbin(world: tuple[Policy, dict[str, tuple[str, ...]]]) -> None:
    policy, bindings = world
    oracle, decisions = Oracle(policy, bindings), Decisions(policy)
    for subject, roles in bindings.items():
        decide = PrincipalDecisions(decisions, roles)
        for permission in (*FEW, "made.up"):
            expected = oracle.scopes(subject, permission)
            assert decide(permission) == expected
            assert decide(permission) == expected, "asked again, it says something else"
        held = decisions.held(roles, FEW)
        assert held == {each: decide(each) for each in FEW if decide(each)}


def test_built_in_roles_hold_what_plain_casbin_says() -> None:
    oracle = Oracle(Policy(TENANT, 1), {role: (role,) for role in BUILT_IN})
    for role in BUILT_IN:
        for permission in KNOWN:
            assert built_in_decisions().scopes(role, permission) == oracle.scopes(role, permission)


def chain(length: int) -> Policy:
    roles = {
        f"role-{number}": Role(f"role-{number}", "", frozenset(), frozenset({f"role-{number - 1}"} if number else ()))
        for number in range(length + 1)
    }
    roles["role-0"] = Role("role-0", "", frozenset({Grant("document.purge", Scope.ANY)}))
    return Policy(TENANT, 1, roles)


def test_the_longest_chain_that_a_role_may_have_is_followed_to_its_end() -> None:
    top = f"role-{MAX_DEPTH}"
    assert Decisions(chain(MAX_DEPTH)).scopes(top, "document.purge") == Scope.ANY
    assert Oracle(chain(MAX_DEPTH), {"mem_a": (top,)}).scopes("mem_a", "document.purge") == Scope.ANY


def test_a_cycle_that_should_not_be_there_hangs_nobody() -> None:
    roles = {
        "one": Role("one", "", frozenset({Grant("document.read", Scope.OWN)}), frozenset({"two"})),
        "two": Role("two", "", frozenset({Grant("document.read", Scope.ANY)}), frozenset({"one", "gone"})),
    }
    assert Decisions(Policy(TENANT, 1, roles)).scopes("one", "document.read") == Scope.OWN | Scope.ANY


def test_unknown_roles_and_permissions_hold_nothing_and_fill_no_memory() -> None:
    decisions = Decisions(chain(2))
    decide = PrincipalDecisions(decisions, ("role-2", "gone", "owner"))
    for number in range(1_000):
        assert decide(f"made.up{number}") is Scope.NONE
    assert decisions._taken == {}
    assert decide._together == {}
    assert decisions.scopes("gone", "document.read") is Scope.NONE


def test_many_roles_take_casbin_no_more_decisions_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member with 712 roles held up other tenants: each permission took a decision for each role, at each call."""
    roles = {
        f"role-{number}": Role(f"role-{number}", "", frozenset(Grant(each, Scope.OWN) for each in FEW))
        for number in range(712)
    }
    decisions, asked, enforce = Decisions(Policy(TENANT, 1, roles)), [], casbin.Enforcer.enforce

    def counted(self: casbin.Enforcer, *request: object) -> bool:
        asked.append(request)
        return bool(enforce(self, *request))

    monkeypatch.setattr(casbin.Enforcer, "enforce", counted)
    decide = PrincipalDecisions(decisions, tuple(roles))
    for _ in range(3):
        assert decisions.held(roles, [*FEW, "made.up"]) == dict.fromkeys(FEW, Scope.OWN)
        assert decide(FEW[0]) == Scope.OWN
        assert decide("made.up") is Scope.NONE
    assert len(asked) == len(FEW)


def test_no_role_is_passed_over_whose_scope_no_other_has() -> None:
    roles = {f"role-{number}": Role(f"role-{number}", "", frozenset({Grant(FEW[0], Scope.OWN)})) for number in range(9)}
    roles["party"] = Role("party", "", frozenset({Grant(FEW[0], Scope.PARTY)}))
    roles["any"] = Role("any", "", frozenset({Grant(FEW[0], Scope.ANY)}))
    roles["last"] = Role("last", "", frozenset(), frozenset({"any"}))
    decisions = Decisions(Policy(TENANT, 1, roles))
    assert PrincipalDecisions(decisions, (*roles, "owner"))(FEW[0]) == Scope.OWN | Scope.PARTY | Scope.ANY
    assert PrincipalDecisions(decisions, ("role-1", "role-2", "last"))(FEW[0]) == Scope.OWN | Scope.ANY
    assert PrincipalDecisions(decisions, ("role-1", "party"))(FEW[0]) == Scope.OWN | Scope.PARTY


def test_whatever_raises_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(casbin.Enforcer, "enforce", fail)
    decisions = Decisions(chain(1))
    with pytest.raises(ZeroDivisionError):
        decisions.scopes("role-1", "document.purge")
    assert decisions._taken == {}


def test_the_first_decision_of_a_cold_tenant_is_quick_whatever_its_size() -> None:
    roles = {
        f"role-{number}": Role(
            f"role-{number}",
            "",
            frozenset(Grant(permission, SCOPES[number % 3]) for permission in KNOWN[number % 7 :: 2]),
            frozenset({f"role-{number - 1}"} if number % MAX_DEPTH else {"admin"}),
        )
        for number in range(1_000)
    }
    policy = Policy(TENANT, 1, roles)

    def seconds(ask: str) -> float:
        with Effort() as effort:
            if ask == "one":
                assert Decisions(policy).scopes("role-999", "document.read")
            else:
                assert Decisions(policy).held(["role-999"], KNOWN)
        return effort.seconds

    # The least of several: the machine is shared, and what is meant is the work itself.
    assert min(seconds("one") for _ in range(9)) < 0.005
    assert min(seconds("all") for _ in range(5)) < 0.1
