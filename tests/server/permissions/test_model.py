"""The rules of roles, without a database."""

import pytest

from zegel_server.caller import Scope
from zegel_server.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted
from zegel_server.permissions.model import (
    BUILT_IN,
    MAX_DEPTH,
    MAX_GRANTS,
    MAX_PARENTS,
    Binding,
    Grant,
    Policy,
    Role,
    check_grants,
    check_parents,
    check_role_name,
    check_within,
    covers,
    is_principal,
)

OWN, PARTY, ANY = Scope.OWN, Scope.PARTY, Scope.ANY


def policy(**parents: set[str]) -> Policy:
    return Policy("ten_x", 1, {name: Role(name, parents=frozenset(each)) for name, each in parents.items()})


@pytest.mark.parametrize("name", ["ab", "a-b_c", "a" * 63, "r2d2"])
def test_a_role_s_name_has_a_form(name: str) -> None:
    assert check_role_name(name, "f") == name


@pytest.mark.parametrize("name", ["", "a", "a" * 64, "A1", "1a", "-a", "é1", "a b", "ab\n", "a\x00b"])
def test_another_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_role_name(name, "role.name")
    assert refused.value.metadata == {"field": "role.name"}


def test_a_grant_that_is_wrong_is_named_by_its_place() -> None:
    grants = [Grant("document.read", OWN), Grant("document.fly", OWN)]
    with pytest.raises(InvalidArgument) as refused:
        check_grants(grants, {"document.read"}, "role.grants")
    assert refused.value.metadata == {"field": "role.grants[1].permission"}
    with pytest.raises(InvalidArgument) as refused:
        check_grants([Grant("document.read", Scope.NONE)], {"document.read"}, "role.grants")
    assert (refused.value.reason, refused.value.metadata) == ("MISSING_FIELD", {"field": "role.grants[0].scope"})
    with pytest.raises(InvalidArgument):
        check_grants([Grant("document.read", OWN)] * (MAX_GRANTS + 1), {"document.read"}, "role.grants")


@pytest.mark.parametrize(
    ("present", "role"),
    [
        (policy(), Role("aa", parents=frozenset({"aa"}))),
        (policy(aa=set(), bb={"aa"}), Role("aa", parents=frozenset({"bb"}))),
        (policy(aa=set(), bb={"aa"}, cc={"bb", "member"}), Role("aa", parents=frozenset({"member", "cc"}))),
    ],
)
def test_a_role_never_inherits_from_itself(present: Policy, role: Role) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        check_parents(present, role, "role.inherits")
    assert (refused.value.reason, refused.value.metadata) == ("ROLE_CYCLE", {"role": "aa"})


@pytest.mark.parametrize("parent", ["gone", "signer", "operator", ""])
def test_a_parent_is_a_role_that_can_be_had(parent: str) -> None:
    with pytest.raises(InvalidArgument):
        check_parents(policy(), Role("aa", parents=frozenset({parent})), "role.inherits")


def test_there_is_an_end_to_parents() -> None:
    many = {f"r{number}": set[str]() for number in range(MAX_PARENTS + 1)}
    check_parents(policy(**many), Role("aa", parents=frozenset(list(many)[:MAX_PARENTS])), "f")
    with pytest.raises(InvalidArgument):
        check_parents(policy(**many), Role("aa", parents=frozenset(many)), "f")


def test_a_diamond_is_no_cycle() -> None:
    check_parents(policy(aa=set(), bb={"aa"}, cc={"aa"}), Role("dd", parents=frozenset({"bb", "cc"})), "f")


def test_chains_end_where_casbin_stops_to_follow_them() -> None:
    chain = {f"r{number}": {f"r{number - 1}"} if number else set() for number in range(MAX_DEPTH + 1)}
    check_parents(policy(**chain), Role("r0", parents=frozenset()), "f")
    for role in (
        Role("top", parents=frozenset({f"r{MAX_DEPTH}"})),
        Role("r0", parents=frozenset({"member"})),  # those above it would reach too far
    ):
        with pytest.raises(ResourceExhausted) as refused:
            check_parents(policy(**chain), role, "f")
        assert refused.value.metadata == {"limit": "role_depth"}


def test_parents_come_nearest_first_and_once() -> None:
    found = policy(aa=set(), bb={"aa"}, cc={"aa", "bb"}).with_parents("cc")
    assert [role.name for role in found] == ["cc", "aa", "bb"]
    assert [role.name for role in policy().with_parents("owner")] == ["owner"]
    assert policy().with_parents("gone") == []


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        (ANY, OWN, True),
        (ANY, OWN | PARTY | ANY, True),
        (OWN, OWN, True),
        (OWN, PARTY, False),
        (OWN | PARTY, PARTY, True),
        (OWN | PARTY, ANY, False),
        (Scope.NONE, OWN, False),
        (Scope.NONE, Scope.NONE, True),
    ],
)
def test_any_covers_the_others(held: Scope, wanted: Scope, *, covered: bool) -> None:
    assert covers(held, wanted) is covered


def test_nobody_hands_out_what_they_do_not_hold() -> None:
    check_within({"a.b": ANY, "c.d": OWN}, {"a.b": OWN, "c.d": OWN})
    with pytest.raises(PermissionDenied) as refused:
        check_within({"a.b": ANY}, {"a.b": OWN, "c.d": OWN})
    assert (refused.value.reason, refused.value.metadata) == ("GRANT_EXCEEDS_GRANTER", {"permission": "c.d"})


def test_a_binding_stands_until_its_end() -> None:
    assert Binding("mem_x", "owner", None, 0).stands(10**18)
    assert Binding("mem_x", "owner", 10, 0).stands(9)
    assert not Binding("mem_x", "owner", 10, 0).stands(10)


def test_built_in_roles_grow_towards_the_owner() -> None:
    def held(name: str) -> dict[str, Scope]:
        scopes: dict[str, Scope] = {}
        for grant in BUILT_IN[name].grants:
            scopes[grant.permission] = scopes.get(grant.permission, Scope.NONE) | grant.scope
        return scopes

    for less, more in (("member", "developer"), ("member", "manager"), ("manager", "admin"), ("admin", "owner")):
        check_within(held(more), held(less))
    assert "tenant.create" not in held("owner")
    assert not any(name.startswith(("member.", "document.", "audit.")) for name in held("operator"))
    assert all(scope is not Scope.ANY for scope in held("signer").values())
    assert all(name.endswith((".read", ".introspect", ".exchange", ".check", ".explain")) for name in held("auditor"))
    assert "document.download" not in held("auditor")


@pytest.mark.parametrize("text", ["mem_" + "0" * 26, "key_" + "0" * 26])
def test_principals_have_a_form(text: str) -> None:
    assert is_principal(text)
    assert not is_principal(text + "0")
    assert not is_principal("doc" + text[3:])
