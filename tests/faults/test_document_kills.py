"""A few kills while documents go up and down; ``document_kills.py --count 1000`` makes many."""

import json
import os
import signal
import subprocess
import sys

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


def test_a_campaign_that_is_interrupted_tells_what_it_found_until_then() -> None:
    command = [sys.executable, document_kills.__file__, "--count", "100000", "--seed", "3", "--progress", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        told = next(json.loads(line) for line in running.stderr if line.startswith("{"))
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate()
    assert (told["planned"], told["interrupted"]) == (100_000, False)
    figures = json.loads(out.splitlines()[-1])
    assert figures["interrupted"]
    assert told["kills"] <= figures["kills"] < 100
    assert figures["scrubbed"] >= figures["uploads"] == figures["fetched_again"]
    assert (figures["acknowledged_bytes_lost"], figures["sha256_failures"], figures["problems"]) == (0, 0, [])
    assert (figures["damaged"], figures["orphans"], figures["missing"]) == (0, 0, 0)
    assert running.returncode == document_kills.INTERRUPTED
