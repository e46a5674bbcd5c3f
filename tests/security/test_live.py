"""Small runs of the programs beside the matrix: live policy changes against the oracle, and races of taking away."""

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest

from security import campaign, races
from security.policy_clients import Answered, Campaign
from security.policy_oracle import Delegated, Oracle, Shared, State
from security.race_kinds import COURSES, Course
from security.races import Outcome, Plan, Racer
from support import postgres
from zegel_server.caller import Scope
from zegel_server.permissions.model import Grant, Role

RACES = 64

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_decisions_with_live_changes_are_those_of_plain_casbin() -> None:
    outcome = campaign.campaign(40_000, seed=3, versions=10)
    assert outcome.disagreements == []
    assert (outcome.stale, outcome.exceptions) == (0, 0)
    assert outcome.decisions >= 40_000
    assert outcome.versions >= 10


READER = Role("role-1", "", frozenset({Grant("document.read", Scope.OWN)}))
STATES = {
    1: State({}, {"mem_a": {}}),
    2: State({"role-1": READER}, {"mem_a": {"role-1": None}}),
}


def _answered(told: int, held: Sequence[tuple[str, str]]) -> Answered:
    def fits(oracle: Oracle, state: State, now: int) -> bool:
        return oracle.held(state, "mem_a", now) == frozenset(held)

    return Answered("mem_a", least=1, most=2, told=told, since=10, until=20, decisions=1, fits=fits)


def test_a_decision_that_no_version_would_take_is_found() -> None:
    made = Campaign.__new__(Campaign)
    made.states, made.exceptions, made.made = STATES, 0, []
    held = [("document.read", "OWN")]
    right = _answered(2, held)
    wrong = [dataclasses.replace(right, most=1), _answered(2, [*held, ("audit.read", "ANY")])]
    made.answers = [right, *wrong, dataclasses.replace(right, least=2, told=1)]
    outcome = made.compare(Oracle("ten_a"))
    assert len(outcome.disagreements) == 2
    assert outcome.stale == 1


def test_the_oracle_says_of_what_is_shared_what_is_written_down_of_it() -> None:
    """A says what it delegates to B, B what it delegates to C; B and C are in a team; all are members."""
    member = {"member": None}
    state = State(
        {"role-1": READER},
        {"mem_a": {"role-1": 50}, "mem_b": member, "mem_c": member},
        {"tea_x": {"mem_b": None, "mem_c": 30}},
        {
            ("mem_a", "mem_b"): Delegated("dlg_1", frozenset(), 40),
            ("mem_b", "mem_c"): Delegated("dlg_2", frozenset({"audit.read"}), 20),
        },
    )
    oracle = Oracle("ten_a")
    assert state.moments(15, 35) == [15, 20, 30]
    reach = oracle.reach(state, "mem_b", 39)
    assert reach.keys() == {"tea_x", "mem_a"}
    assert reach["mem_a"] == Shared("dlg_1", 40, frozenset({"document.read"}))  # all that its delegator holds
    assert {"document.read", "audit.read", "team.read"} <= reach["tea_x"].permissions
    assert not {"session.read", "delegation.end"} & reach["tea_x"].permissions
    assert oracle.reach(state, "mem_b", 40).keys() == {"tea_x"}
    # Neither what B's delegator nor, through B, what B's team owns.
    assert oracle.reach(state, "mem_c", 10)["mem_b"] == Shared("dlg_2", 20, frozenset({"audit.read"}))
    assert oracle.reach(state, "mem_c", 10).keys() == {"mem_b", "tea_x"}
    assert oracle.reach(state, "mem_c", 30) == {}
    assert oracle.use(state, "mem_c", 10, "document.read", "mem_b") == {"NOT_FOUND"}
    assert oracle.use(state, "mem_a", 50, "document.read", "mem_a") == {"PERMISSION_DENIED"}


class Leaking(Course):
    """A race against nothing: it is told what the test says before, and after it was taken."""

    def __init__(self, before: str, after: str) -> None:
        self._before, self._after, self._gone, self.taking = before, after, False, False

    async def give(self, server: Any) -> None:
        self._gone = False

    async def use(self, server: Any) -> str:
        await asyncio.sleep(0)
        return self._after if self._gone else self._before

    async def take(self, server: Any) -> None:
        await asyncio.sleep(0.001)
        self._gone = True


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("OK", "UNAUTHENTICATED", ()),
        ("OK", "OK", ("slipped",)),
        ("UNAUTHENTICATED", "UNAUTHENTICATED", ("withheld",)),
        ("OK", "UNAVAILABLE", ("failed",)),
    ],
)
async def test_a_race_that_is_lost_is_counted(before: str, after: str, told: tuple[str, ...]) -> None:
    outcome = Outcome()
    servers: list[Any] = [None, None]
    await Racer(servers, random.Random(1), outcome).race(Leaking(before, after))  # noqa: S311 - no secret
    names = ("slipped", "withheld", "doubled", "unredeemed", "failed")
    assert tuple(name for name in names if getattr(outcome, name)) == told
    assert bool(outcome.faults) is bool(told)


def _is_clean(outcome: Outcome) -> None:
    assert outcome.faults == 0, outcome.line()
    assert outcome.races == RACES
    assert outcome.kinds.keys() == {*(kind.__name__ for kind in COURSES), "Links"}
    assert sum(outcome.kinds.values()) == RACES
    assert outcome.allowed_before > RACES // 4
    assert outcome.refused > RACES


def test_no_call_slips_through_after_a_revocation_was_answered_on_sqlite() -> None:
    _is_clean(races.run(Plan(RACES, seed=1, lanes=4)))


def test_no_call_slips_through_after_a_revocation_was_answered_on_postgresql(
    postgres_cluster: postgres.Cluster,
) -> None:
    name = postgres_cluster.create()
    try:
        outcome = races.run(Plan(RACES, seed=2, lanes=4), postgres_cluster.url(name))
    finally:
        postgres_cluster.drop(name)
    _is_clean(outcome)
