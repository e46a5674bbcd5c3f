"""What a caller reaches, by the scopes in which it holds a permission."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.caller import GIVING, Caller, PrincipalKind, Scope, Share, current_caller, set_caller
from zegel_server.errors import NotFound, PermissionDenied

scopes = st.builds(Scope, st.integers(0, 7))


def caller(held: Scope, narrowed: frozenset[str] = frozenset()) -> Caller:
    return Caller("ten_x", "mem_me", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, lambda _: held, narrowed)


@given(scopes, st.booleans(), st.booleans())
def test_a_resource_is_reached_by_one_of_the_scopes(held: Scope, own: bool, party: bool) -> None:
    who, owner = caller(held), "mem_me" if own else "mem_other"
    expected = bool(held & Scope.ANY or (own and held & Scope.OWN) or (party and held & Scope.PARTY))
    assert who.reaches("document.read", owner_id=owner, party=party) is expected
    if expected:
        who.require("document.read", "document", owner_id=owner, party=party)
    else:
        with pytest.raises(NotFound):
            who.require("document.read", "document", owner_id=owner, party=party)


@given(scopes)
def test_who_holds_nothing_is_refused_before_anything_is_looked_at(held: Scope) -> None:
    if held:
        assert caller(held).demand("document.read") == held
    else:
        with pytest.raises(PermissionDenied) as refused:
            caller(held).demand("document.read")
        assert refused.value.metadata == {"permission": "document.read"}


def test_a_narrowed_session_holds_what_it_is_narrowed_to_and_no_more() -> None:
    narrow = caller(Scope.ANY, frozenset({"document.read"}))
    assert narrow.scopes("document.read") == Scope.ANY
    assert narrow.scopes("document.delete") is Scope.NONE
    assert caller(Scope.NONE, frozenset({"document.read"})).scopes("document.read") is Scope.NONE


@pytest.mark.parametrize(
    ("held", "cut"), [(Scope.ANY, ""), (Scope.OWN, "mem_me"), (Scope.PARTY, "-"), (Scope.NONE, "-")]
)
def test_a_list_is_cut_to_what_is_ones_own(held: Scope, cut: str) -> None:
    assert caller(held).owner_filter("document.read") == cut


@pytest.mark.parametrize("permission", sorted(GIVING))
@pytest.mark.parametrize("narrowed", [None, GIVING])
def test_by_a_delegation_nothing_is_given_away(permission: str, narrowed: frozenset[str] | None) -> None:
    team = Share("tea_x")
    delegation = Share("mem_you", "dlg_x", None, narrowed, lambda _: Scope.OWN | Scope.ANY)
    who = caller(Scope.OWN)._replace(shares={each.owner_id: each for each in (team, delegation)})
    assert who.reaches(permission, owner_id="tea_x")
    assert not who.reaches(permission, owner_id="mem_you")
    assert who.owners(permission) == ("mem_me", "tea_x")
    assert who.reach(permission) == ",mem_me,tea_x,"


async def test_each_task_has_its_own_caller() -> None:
    async def work(who: Caller) -> Caller:
        set_caller(who)
        await asyncio.sleep(0.001)
        return current_caller()

    callers = [caller(Scope(bits)) for bits in range(8)]
    assert await asyncio.gather(*(work(each) for each in callers)) == callers
    with pytest.raises(LookupError):
        current_caller()
