"""A small run of forgeries; large ones are made by hand."""

import pytest

from fuzz import fuzz_sealed as fuzzer
from zegel.evidence.verification.report import Report


def test_no_forgery_is_accepted() -> None:
    ends, accepted = fuzzer.fuzz(300, seed=9)
    assert accepted == []
    assert {key.partition(":")[0] for key in ends} >= {way.__name__ for way, weight in fuzzer.WAYS if weight > 40}


@pytest.mark.parametrize("way", ["by_store", "by_seal"])
def test_no_forgery_that_needs_a_token_is_accepted(way: str) -> None:
    ends, accepted = fuzzer.fuzz(25, seed=9, ways=[way])
    assert accepted == []
    assert ends[f"{way}:refused"] > 10


def test_a_verifier_that_believes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Report, "ok", property(lambda _: True))
    _, accepted = fuzzer.fuzz(12, seed=9, ways=["by_value", "by_store"])
    assert accepted
