"""A small run of the mutation fuzzer; large ones are made by hand."""

import pytest

from fuzz import fuzz_transparency as fuzzer


def test_no_mutant_is_believed() -> None:
    refused, accepted = fuzzer.fuzz(4_000, seed=7)
    assert accepted == []
    assert refused.total() == 4_000
    assert set(refused) == {target.kind for target in fuzzer.make_targets()}


def test_a_verifier_that_believes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "open_checkpoint", lambda *_: None)
    _, accepted = fuzzer.fuzz(300, seed=7)
    assert {kind for kind, _ in accepted} >= {"checkpoint"}
