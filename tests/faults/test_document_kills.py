"""A few kills while documents go up and down; ``document_kills.py --count 1000`` makes many."""

import os

import pytest

from faults import document_kills

KILLS = int(os.environ.get("ZEGEL_KILL_CYCLES", "2")) * 2

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(max(300, 30 * KILLS))]


def test_nothing_acknowledged_is_lost() -> None:
    tally, figures = document_kills.campaign(KILLS, seed=7)
    assert tally.ok, figures
    assert figures["kills"] == KILLS
    assert figures["uploads"] > 0
    assert figures["scrubbed"] >= figures["uploads"]
    assert (figures["damaged"], figures["orphans"], figures["missing"]) == (0, 0, 0), figures
