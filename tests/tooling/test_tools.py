"""A program that the tests run is there on a machine that had nothing."""

from pathlib import Path

import pytest

from support.tools import COMES_WITH, find

ROOT = Path(__file__).resolve().parents[2]
WHERE = ("scripts/install-tools", "scripts/install-go-tools", "pyproject.toml")


@pytest.mark.parametrize("program", COMES_WITH)
def test_what_brings_it_is_said_where_a_fresh_machine_is_set_up(program: str) -> None:
    told = [(ROOT / name).read_text(encoding="utf-8") for name in WHERE]
    assert any(COMES_WITH[program] in text for text in told)


def test_one_that_nothing_brings_cannot_be_asked_for() -> None:
    with pytest.raises(KeyError):
        find("a-program-of-somebody's-own-machine")
