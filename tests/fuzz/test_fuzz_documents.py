"""Small runs of the fuzzers of documents; large ones are made by hand."""

import pytest

from fuzz import fuzz_stored, fuzz_tink
from support.streams import encrypt
from zegel.segments import SegmentCipher


async def test_nothing_altered_comes_out() -> None:
    done, wrong = await fuzz_stored.fuzz(3_000, seed=7)
    assert not wrong
    assert done.total() == 3_000
    assert set(done) == {each.__name__ for each in fuzz_stored.ALTERATIONS}


async def test_a_reader_that_checks_no_tag_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmentCipher, "decrypt", lambda _self, _index, _last, data: bytes(data)[:-16])
    _, wrong = await fuzz_stored.fuzz(300, seed=7)
    assert set(wrong) > {"flipped", "foreign", "swapped"}


def test_tink_and_this_agree() -> None:
    assert not fuzz_tink.fuzz(200, seed=7)


def test_a_writer_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    written = encrypt
    monkeypatch.setattr(fuzz_tink, "encrypt", lambda data, aad, seed: written(data, aad, seed)[:-1] + b"x")
    assert fuzz_tink.fuzz(50, seed=7)["refused"] > 10
