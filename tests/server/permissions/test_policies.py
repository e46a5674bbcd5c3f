"""Snapshots are of one version, whole, and never of an older one than the request's."""

import asyncio
from typing import Any

import pytest

from zegel_server import clock
from zegel_server.caller import Caller, PrincipalKind, Scope
from zegel_server.db import Statement
from zegel_server.errors import Aborted, PermissionDenied
from zegel_server.permissions import policies as module
from zegel_server.permissions import store
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions


class Row(dict[str, Any]):
    __getattr__ = dict.__getitem__

    def __iter__(self) -> Any:
        return iter(self.values())


class Tables:
    """A policy in memory, which a test changes between two reads."""

    def __init__(self) -> None:
        self.version = 1
        self.grants: dict[str, list[tuple[str, str]]] = {"reader": [("document.read", "ANY")]}
        self.bindings: dict[str, list[tuple[str, int | None]]] = {"mem_a": [("reader", None)]}
        self.shared: dict[str, list[tuple[str, str, int | None, str]]] = {}
        self.reads: list[Statement] = []
        self.before_read: dict[Statement, Any] = {}

    async def fetch(self, statement: Statement, **values: Any) -> list[Any]:
        self._read(statement)
        if statement is store.ROLES:
            return [Row(role=name, description="", revision=1) for name in sorted(self.grants)]
        if statement is store.GRANTS:
            return [Row(role=n, permission=p, scope=s) for n, grants in self.grants.items() for p, s in grants]
        if statement is store.PARENTS:
            return []
        who = values["principal_id"]
        if statement is store.SHARED_WITH:
            return [Row(o=o, d=d, e=e, p=p) for o, d, e, p in self.shared.get(who, [])]
        assert statement is store.BINDINGS_OF
        return [
            Row(principal_id=who, role=role, expire_time=end, create_time=0) for role, end in self.bindings.get(who, [])
        ]

    async def fetch_one(self, statement: Statement, **values: Any) -> Any:
        if statement is store.PRINCIPAL:
            return Row(principal_id=values["principal_id"])
        assert statement is store.POLICY_VERSION
        self._read(statement)
        return Row(policy_version=self.version)

    def _read(self, statement: Statement) -> None:
        self.reads.append(statement)
        change = self.before_read.pop(statement, None)
        if change is not None:
            change()


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def policies(tables: Tables) -> Policies:
    return Policies(tables)  # type: ignore[arg-type]


async def test_what_is_known_is_read_once_a_version(tables: Tables, policies: Policies) -> None:
    for _ in range(3):
        decide = (await policies.holdings("ten_x", 1, "mem_a")).decide
        assert decide("document.read") == Scope.ANY
    assert tables.reads.count(store.ROLES) == 1
    assert tables.reads.count(store.BINDINGS_OF) == 1
    tables.bindings["mem_a"] = []
    tables.version = 2
    assert not (await policies.holdings("ten_x", 2, "mem_a")).decide("document.read")


async def test_old_roles_never_meet_new_bindings(tables: Tables, policies: Policies) -> None:
    """First the role loses a permission, then somebody gets the role: at no time may that one use it."""
    await policies.holdings("ten_x", 1, "mem_other")

    def change() -> None:
        tables.grants["reader"] = []
        tables.bindings["mem_b"] = [("reader", None)]
        tables.version = 3

    tables.before_read[store.BINDINGS_OF] = change
    decide = (await policies.holdings("ten_x", 1, "mem_b")).decide
    assert decide("document.read") is Scope.NONE


async def test_who_comes_with_an_older_version_makes_nobody_read_again(tables: Tables, policies: Policies) -> None:
    """Requests that looked the version up before a change are decided on what those after it have read already."""
    tables.version = 2
    await policies.holdings("ten_x", 2, "mem_a")
    tables.reads.clear()
    assert (await policies.holdings("ten_x", 1, "mem_a")).decide("document.read") == Scope.ANY
    assert set(tables.reads) == {store.POLICY_VERSION}
    assert (await policies.holdings("ten_x", 2, "mem_a")).decide("document.read") == Scope.ANY
    assert set(tables.reads) == {store.POLICY_VERSION}, "what was read of the principal was forgotten"


async def test_who_acts_for_another_is_held_against_it_in_one_reading(tables: Tables, policies: Policies) -> None:
    known = {f"document.{number}" for number in range(50)} | {"document.read"}
    permissions = Permissions(tables, None, policies, None, known)  # type: ignore[arg-type]
    asking = Caller("ten_x", "mem_o", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, lambda _: Scope.ANY)
    tables.version = 2  # it changes as the request begins
    tables.shared["mem_a"] = [("tea_x", "", None, "*")]
    await permissions.check_not_above(asking, "mem_a")
    assert len(tables.reads) < 20
    with pytest.raises(PermissionDenied):
        await permissions.check_not_above(asking._replace(decide=lambda _: Scope.OWN), "mem_a")


async def test_what_is_explained_is_of_one_version(tables: Tables, policies: Policies) -> None:
    """The same two changes while it is being explained: nobody held what old roles and new bindings say together."""
    permissions = Permissions(tables, None, policies, None, {"document.read"})  # type: ignore[arg-type]
    asking = Caller("ten_x", "mem_o", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, lambda _: Scope.ANY)
    await policies.holdings("ten_x", 1, "mem_other")

    def change() -> None:
        tables.grants["reader"] = []
        tables.bindings["mem_b"] = [("reader", None)]
        tables.version = 3

    tables.before_read[store.BINDINGS_OF] = change
    assert await permissions.explain(asking, "mem_b", "document.read") == []
    assert [ground[1] for ground in await permissions.explain(asking, "mem_a", "document.read")] == []
    tables.grants["reader"] = [("document.read", "OWN")]
    tables.version = 4
    found = await permissions.explain(asking._replace(policy_version=4), "mem_b", "document.read")
    assert [(role, grant.scope) for _, role, grant in found] == [("reader", Scope.OWN)]


async def test_an_explanation_of_what_never_stands_still_is_refused(tables: Tables, policies: Policies) -> None:
    permissions = Permissions(tables, None, policies, None, {"document.read"})  # type: ignore[arg-type]
    asking = Caller("ten_x", "mem_o", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, lambda _: Scope.ANY)

    def change() -> None:
        tables.version += 1
        tables.before_read[store.BINDINGS_OF] = change

    tables.before_read[store.BINDINGS_OF] = change
    with pytest.raises(Aborted):
        await permissions.explain(asking, "mem_a", "document.read")


async def test_rules_that_change_while_they_are_read_are_read_again(tables: Tables, policies: Policies) -> None:
    def change() -> None:
        tables.grants["reader"] = []
        tables.version = 2

    tables.before_read[store.GRANTS] = change
    snapshot = await policies.snapshot("ten_x", 1)
    assert snapshot.policy.version == 2
    assert snapshot.policy.roles["reader"].grants == frozenset()


async def test_a_policy_that_never_stands_still_denies(tables: Tables, policies: Policies) -> None:
    def change() -> None:
        tables.version += 1
        tables.before_read[store.GRANTS] = change

    tables.before_read[store.GRANTS] = change
    with pytest.raises(Aborted):
        await policies.holdings("ten_x", 1, "mem_a")


async def test_a_binding_ends_without_anybody_changing_anything(
    tables: Tables, policies: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = clock.now() + clock.HOUR
    tables.bindings["mem_a"] = [("reader", end)]
    assert (await policies.holdings("ten_x", 1, "mem_a")).decide("document.read")
    monkeypatch.setattr(clock, "now", lambda: end)
    assert not (await policies.holdings("ten_x", 1, "mem_a")).decide("document.read")


async def test_only_so_many_tenants_and_principals_are_kept(
    tables: Tables, policies: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_TENANTS", 3)
    monkeypatch.setattr(module, "KEPT_PRINCIPALS", 2)
    for number in range(5):
        await policies.holdings(f"ten_{number}", 1, "mem_a")
        await policies.holdings("ten_0", 1, "mem_a")  # the one that is used stays
    assert set(policies._snapshots) == {"ten_3", "ten_4", "ten_0"}
    for number in range(5):
        await policies.holdings("ten_0", 1, f"mem_{number}")
    assert len(policies._snapshots["ten_0"]._rows) == 2
    assert policies._snapshots["ten_0"].known.keys() == policies._snapshots["ten_0"]._rows.keys()


async def test_many_at_once_on_a_cold_tenant_agree(policies: Policies) -> None:
    decisions = await asyncio.gather(*(policies.holdings("ten_x", 1, "mem_a") for _ in range(20)))
    assert {each.decide("document.read") for each in decisions} == {Scope.ANY}


async def test_what_a_cold_decision_asks_was_asked_before_and_of_nobody(tables: Tables, policies: Policies) -> None:
    await policies.warm()
    asked = set(tables.reads)
    tables.reads.clear()
    assert (await policies.holdings("ten_a", 1, "mem_a")).decide("document.read") == Scope.ANY
    assert set(tables.reads) <= asked
    assert tables.reads  # nobody's answers were kept for somebody
