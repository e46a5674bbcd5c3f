"""The rules of what is shared, each by itself: over any rows, in any order, of any tenant."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, Text, select
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from zegel_server import clock
from zegel_server.caller import NO_SHARES, Caller, PrincipalKind, Scope, Share
from zegel_server.db import Statement, bind, insert_into, owned_by
from zegel_server.db.schema import delegations, team_members
from zegel_server.errors import PermissionDenied
from zegel_server.permissions import store
from zegel_server.permissions.model import Binding, Grant, Policy, Role
from zegel_server.permissions.policies import Holdings, Rows, Snapshot
from zegel_server.permissions.sharing import SharedWith, check_reaches_all

NOW: Final = 100
WORK: Final = ("document.read", "signature_request.update", "audit.read", "document.move")
PERMISSIONS: Final = (*WORK, "team.read", "session.read")
OWNERS: Final = ("mem_a", "mem_b", "mem_c", "tea_x", "tea_y")

ends = st.none() | st.integers(NOW - 2, NOW + 2)
held = st.fixed_dictionaries({each: st.builds(Scope, st.integers(0, 7)) for each in PERMISSIONS})
narrowings = st.none() | st.frozensets(st.sampled_from(PERMISSIONS))
by_team = st.builds(SharedWith, st.sampled_from(OWNERS[3:]), st.just(""), ends, st.none())
by_delegation = st.builds(
    SharedWith, st.sampled_from(OWNERS[1:3]), st.just("dlg_x"), st.integers(NOW - 2, NOW + 2), narrowings
)
shared_with = st.lists(by_team | by_delegation, unique_by=lambda each: each.owner_id)
bindings = st.lists(st.tuples(st.sampled_from(["one", "other"]), ends), unique_by=lambda each: each[0])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Policy, dict[str, Rows]]:
    """A policy, what it says of one principal, and of two who may delegate to it."""
    made = {name: Role(name, "", _grants(draw(held))) for name in ("one", "other")}
    rows = {who: Rows(_bindings(who, draw(bindings)), ()) for who in OWNERS[:3]}
    rows["mem_a"] = rows["mem_a"]._replace(shared=tuple(draw(shared_with)))
    return Policy("ten_x", 1, made), rows


def _grants(scopes: dict[str, Scope]) -> frozenset[Grant]:
    every = (Scope.OWN, Scope.PARTY, Scope.ANY)
    return frozenset(Grant(name, each) for name, mine in scopes.items() for each in every if mine & each)


def _bindings(who: str, named: list[tuple[str, int | None]]) -> tuple[Binding, ...]:
    return tuple(Binding(who, name, end, 0) for name, end in named)


def hold(policy: Policy, rows: dict[str, Rows], now: int = NOW) -> Holdings:
    with mock.patch.object(clock, "now", return_value=now):
        return Snapshot(policy).hold("mem_a", rows)


def caller_of(holdings: Holdings) -> Caller:
    who = ("ten_x", "mem_a", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1)
    return Caller(*who, holdings.decide, shares=holdings.shares)


def reached(holdings: Holdings) -> set[tuple[str, str]]:
    caller = caller_of(holdings)
    return {(owner, each) for owner in OWNERS for each in PERMISSIONS if caller.reaches(each, owner_id=owner)}


World = tuple[Policy, dict[str, Rows]]


@given(worlds(), st.randoms(use_true_random=False))
def test_in_what_order_things_are_read_does_not_matter(world: World, order: Any) -> None:
    policy, rows = world
    mixed = {}
    for who, mine in rows.items():
        bound, shared = list(mine.bindings), list(mine.shared)
        order.shuffle(bound)
        order.shuffle(shared)
        mixed[who] = Rows(tuple(bound), tuple(shared))
    one, other = hold(policy, rows), hold(policy, mixed)
    assert reached(one) == reached(other)
    assert one.until == other.until


@given(worlds())
def test_what_has_ended_adds_nothing_and_is_not_waited_for(world: World) -> None:
    policy, rows = world
    standing = {
        who: Rows(
            tuple(each for each in mine.bindings if each.stands(NOW)),
            tuple(each for each in mine.shared if each.stands(NOW)),
        )
        for who, mine in rows.items()
    }
    with_ended, without = hold(policy, rows), hold(policy, standing)
    assert reached(with_ended) == reached(without)
    assert with_ended.until == without.until


@given(worlds())
def test_each_share_gives_what_it_gives_alone(world: World) -> None:
    """So taking one away takes what came through it, and nothing else."""
    policy, rows = world
    mine = rows["mem_a"]
    alone = reached(hold(policy, rows | {"mem_a": mine._replace(shared=())}))
    parts = [reached(hold(policy, rows | {"mem_a": mine._replace(shared=(each,))})) for each in mine.shared]
    assert reached(hold(policy, rows)) == alone.union(*parts)
    for each, part in zip(mine.shared, parts, strict=True):
        assert {owner for owner, _ in part - alone} <= {each.owner_id}


@given(worlds())
def test_an_answer_is_good_until_the_moment_it_says(world: World) -> None:
    policy, rows = world
    holdings = hold(policy, rows)
    last = NOW + 5 if holdings.until is None else holdings.until - 1
    assert last >= NOW
    for later in range(NOW, last + 1):
        assert reached(hold(policy, rows, later)) == reached(holdings)


@given(worlds(), narrowings)
def test_a_narrowed_delegation_is_a_part_of_the_whole(world: World, only: frozenset[str] | None) -> None:
    policy, rows = world
    mine = rows["mem_a"]

    def narrowed(to: frozenset[str] | None) -> set[tuple[str, str]]:
        shared = tuple(
            SharedWith(each.owner_id, each.delegation_id, each.expire_time, to) if each.delegation_id else each
            for each in mine.shared
        )
        return reached(hold(policy, rows | {"mem_a": mine._replace(shared=shared)}))

    assert narrowed(only) <= narrowed(None)
    assert narrowed(frozenset()) == reached(
        hold(
            policy,
            rows | {"mem_a": mine._replace(shared=tuple(each for each in mine.shared if not each.delegation_id))},
        )
    )


@given(worlds(), held)
def test_who_delegates_less_delegates_less(world: World, less: dict[str, Scope]) -> None:
    """A delegator that loses a role takes it from the delegation, at once; the delegate gains nothing by it."""
    policy, rows = world
    poorer = rows | {who: rows[who]._replace(bindings=()) for who in OWNERS[1:3]}
    fewer = reached(hold(policy, poorer))
    assert fewer <= reached(hold(policy, rows))
    everywhere = {each for each in PERMISSIONS if hold(policy, rows).decide(each) & Scope.ANY}
    assert {each for owner, each in fewer if owner in OWNERS[1:3]} <= everywhere


@given(held, held, st.booleans())
def test_nobody_adds_to_a_team_who_reaches_less_of_it(
    mine: dict[str, Scope], theirs: dict[str, Scope], within: bool
) -> None:
    """Whoever is added may do nothing there that the adder may not, nor get it by what the adder could still grant."""
    shares = {"tea_x": Share("tea_x")} if within else NO_SHARES
    caller = Caller("ten_x", "mem_a", PrincipalKind.MEMBER, "s", "s", "", 1, mine.__getitem__, shares=shares)
    own = {each: scope & Scope.OWN for each, scope in theirs.items()}
    exceeds = any(
        (theirs[each] & Scope.OWN or mine[each]) and not (mine[each] & Scope.ANY or (within and mine[each] & Scope.OWN))
        for each in WORK
    )
    if exceeds:
        with pytest.raises(PermissionDenied):
            check_reaches_all(caller, "tea_x", own, PERMISSIONS)
    else:
        check_reaches_all(caller, "tea_x", own, PERMISSIONS)


# ---------------------------------------------------------------------------------------- what stands in queries

tenants = st.sampled_from(["ten_x", "ten_y"])
some = st.sampled_from(OWNERS[:3])
memberships = st.lists(
    st.tuples(tenants, st.sampled_from(OWNERS[3:]), some, ends), unique_by=lambda each: (each[0], each[1], each[2])
)
delegated = st.lists(
    st.tuples(tenants, some, some, st.integers(NOW - 2, NOW + 2)), unique_by=lambda each: (each[0], each[1], each[2])
)


@contextmanager
def tables(*made: Table) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for each in made:
            connection.execute(str(CreateTable(each).compile(dialect=dialect())))
        yield connection


def run(connection: sqlite3.Connection, statement: Statement, **values: Any) -> list[Any]:
    compiled = statement.on("sqlite")
    return connection.execute(compiled.sql, compiled.arguments(values)).fetchall()


@given(memberships, delegated)
def test_nobody_gets_anything_by_the_rows_of_another_tenant(
    within: list[tuple[str, str, str, int | None]], handed: list[tuple[str, str, str, int]]
) -> None:
    """Even where two tenants had a principal of the same name, which they never have."""
    with tables(team_members, delegations) as connection:
        for tenant, team, who, end in within:
            row = {"tenant_id": tenant, "team_id": team, "principal_id": who, "expire_time": end}
            run(connection, insert_into(team_members), **row, create_time=0, creator_id="mem_o")
        for number, (tenant, one, other, end) in enumerate(handed):
            row = {"tenant_id": tenant, "delegator_id": one, "delegate_id": other, "expire_time": end}
            more = {"delegation_id": f"dlg_{number}", "permissions": "*", "create_time": 0, "creator_id": "mem_o"}
            run(connection, insert_into(delegations), **row, **more)
        for tenant in ("ten_x", "ten_y"):
            for who in OWNERS[:3]:
                found = run(connection, store.SHARED_WITH, tenant_id=tenant, principal_id=who)
                assert sorted(owner for owner, *_ in found) == sorted(
                    [team for of, team, each, _ in within if (of, each) == (tenant, who)]
                    + [one for of, one, other, _ in handed if (of, other) == (tenant, who)]
                )


_rows = Table("owned", MetaData(), Column("owner_id", Text))
OWNED: Final = Statement(select(_rows.c.owner_id).where(owned_by(_rows.c.owner_id), bind("one") == bind("one")))
names = st.sampled_from(["", ",", "a", "mem_a", "mem_ab", "mem_", "tea_x", "-", "a,b", "%", "_"])


@given(worlds(), st.sampled_from(PERMISSIONS), st.lists(names))
def test_a_query_finds_what_its_caller_reaches_and_nothing_else(world: World, permission: str, more: list[str]) -> None:
    """A name that is within another, has a comma, or matches everything in another operator, is found by nobody."""
    caller = caller_of(hold(*world))
    value = caller.reach(permission)
    with tables(_rows) as connection:
        for name in (*OWNERS, *more):
            connection.execute("INSERT INTO owned VALUES (?)", (name,))
        found = [name for (name,) in run(connection, OWNED, owners=value, one="")]
    everybody = bool(caller.decide(permission) & Scope.ANY)
    assert sorted(found) == sorted(
        each for each in (*OWNERS, *more) if everybody or (each in OWNERS and caller.reaches(permission, owner_id=each))
    )
