"""A small run of the monitor's fuzzer; large ones are made by hand."""

import pytest

from fuzz import fuzz_mirror as fuzzer
from zegel.evidence.mirror import Follower, fetch_checkpoint


def test_no_altered_log_is_believed() -> None:
    result = fuzzer.fuzz(1_000, seed=7)
    assert result.accepted == []
    assert result.refused.total() + result.same == 1_000
    assert set(result.refused) == {change.__name__ for change in fuzzer.CHANGES} | {"several"}


def test_a_monitor_that_believes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(self: Follower, source: fuzzer.Shown) -> object:
        return fetch_checkpoint(source, self.keys)[0]

    monkeypatch.setattr(Follower, "follow", believe)
    monkeypatch.setattr(fuzzer, "Logs", lambda: LOGS)
    assert fuzzer.fuzz(200, seed=7).accepted


LOGS = fuzzer.Logs()
