"""What a test needs: left out with a reason and a command, or failed where everything is required."""

import pytest

from support import require


def test_a_met_need_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(require.REQUIRE_ALL, "1")
    require.need("anything true", "a thing")


def test_an_unmet_need_skips_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(require.REQUIRE_ALL, raising=False)
    with pytest.raises(pytest.skip.Exception) as caught:
        require.need(None, "the program x", "make x")
    assert require.split(str(caught.value)) == ("the program x", "make x")


def test_an_unmet_need_fails_where_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(require.REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="the program x -> make x"):
        require.need(None, "the program x", "make x")


def test_another_skip_is_not_listed() -> None:
    assert require.split("Skipped: not on this platform") is None
