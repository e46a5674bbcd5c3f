"""Small runs of the programs beside the matrix: live policy changes against the oracle, and races of revoking."""

import dataclasses

import pytest

from security import campaign, races
from security.campaign import Answered, Campaign, Oracle, State
from support import postgres
from zegel_server.caller import Scope
from zegel_server.permissions.model import Grant, Role

pytestmark = pytest.mark.slow


def test_decisions_with_live_changes_are_those_of_plain_casbin() -> None:
    outcome = campaign.campaign(60_000, seed=3)
    assert outcome.disagreements == []
    assert (outcome.stale, outcome.exceptions) == (0, 0)
    assert outcome.decisions >= 60_000
    assert outcome.versions > 5, "the policy did not change meanwhile"


def test_a_decision_that_no_version_would_take_is_found() -> None:
    role = Role("role-1", "", frozenset({Grant("document.read", Scope.OWN)}))
    states = {1: State({}, {"mem_a": frozenset()}), 2: State({"role-1": role}, {"mem_a": frozenset({"role-1"})})}
    made = Campaign.__new__(Campaign)
    made.states, made.exceptions = states, 0
    held = frozenset({("document.read", "OWN")})
    right = Answered("mem_a", least=1, most=2, told=2, held=held)
    cases = [right, dataclasses.replace(right, most=1), dataclasses.replace(right, held=held | {("audit.read", "ANY")})]
    made.answers = [*cases, dataclasses.replace(right, least=2, told=1)]
    outcome = made.compare(Oracle("ten_a"))
    assert len(outcome.disagreements) == 2
    assert outcome.stale == 1


def test_no_call_slips_through_after_a_revocation_was_answered_on_sqlite() -> None:
    outcome = races.run(60, seed=1)
    assert (outcome.slipped, outcome.failed, outcome.races) == (0, 0, 60)
    assert outcome.allowed_before > 60
    assert outcome.refused > 60


def test_no_call_slips_through_after_a_revocation_was_answered_on_postgresql(
    postgres_cluster: postgres.Cluster,
) -> None:
    name = postgres_cluster.create()
    try:
        outcome = races.run(60, seed=2, database_url=postgres_cluster.url(name))
    finally:
        postgres_cluster.drop(name)
    assert (outcome.slipped, outcome.failed, outcome.races) == (0, 0, 60)
    assert outcome.allowed_before > 60
    assert outcome.refused > 60
