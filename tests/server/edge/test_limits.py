"""Budgets: what they let through, what they refuse and for how long, and that they stay small."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.edge import limits
from zegel_server.edge.limits import SHARED, Budget, Limits, Rate
from zegel_server.errors import ResourceExhausted

MANY = Budget(calls_at_a_time=500)


def made(monkeypatch: pytest.MonkeyPatch, **budgets: Budget) -> tuple[Limits, list[float]]:
    """Limits with a clock that stands still until it is moved."""
    now = [1_000.0]
    monkeypatch.setattr("zegel_server.edge.limits.time.monotonic", lambda: now[0])
    named = {name: budgets.get(name, Budget()) for name in ("session", "tenant")}
    return Limits(**named), now


def refusal(error: pytest.ExceptionInfo[ResourceExhausted]) -> tuple[str, float]:
    assert error.value.retry_after_s is not None
    return error.value.metadata["limit"], round(error.value.retry_after_s, 6)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 5)), max_size=60), st.floats(0.5, 20), st.floats(0.5, 10))
def test_no_more_is_taken_in_any_while_than_the_rate_and_the_burst_allow(
    asked: list[tuple[float, float]], per_s: float, burst_s: float
) -> None:
    rate, now = Rate(per_s, burst_s), 100.0
    taken: list[tuple[float, float]] = []
    for pause, amount in asked:
        now += pause
        late = rate.take("a", amount, now)
        if not late:
            taken.append((now, amount))
        elif amount / per_s <= burst_s:  # it can be had at all
            assert not Rate.take(rate, "a", amount, now + late + 1e-6)
            now += late + 1e-6
            taken.append((now, amount))
    for first, last in itertools.combinations(range(len(taken)), 2):
        amount = sum(each[1] for each in taken[first : last + 1])
        assert amount <= (taken[last][0] - taken[first][0] + burst_s) * per_s + 1e-3


def test_keys_are_told_apart_and_a_budget_of_nothing_is_no_limit() -> None:
    rate = Rate(1, burst_s=2)
    assert [rate.take("a", 1, 100.0) for _ in range(3)] == [0, 0, 1]
    assert rate.take("b", 1, 100.0) == 0
    assert [Rate(0).take("a", 1e9, 100.0) for _ in range(3)] == [0, 0, 0]
    assert Rate(0).spend("a", 1e9, 100.0) == 0


def test_memory_is_bounded_and_newcomers_share_what_is_left() -> None:
    rate = Rate(1, burst_s=2, kept=100)
    for number in range(10_000):
        rate.take(f"k{number}", 1, 100.0)
    assert len(rate) <= 100 + SHARED
    assert rate.take("k0", 1, 100.0) == 0, "who was there first has its own budget still"
    assert rate.take("k0", 1, 100.0) > 0
    newcomers = [rate.take(f"n{number}", 1, 100.0) for number in range(1_000)]
    assert all(newcomers), "who comes when all are in use is limited with the others, not let in"
    assert rate.take("n0", 1, 200.0) == 0, "those that are as good as new make room"
    assert len(rate) <= 100 + SHARED


def test_a_call_is_refused_by_the_first_budget_that_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, now = made(monkeypatch, session=Budget(calls_per_s=1), tenant=Budget(calls_per_s=2))
    for _ in range(10):
        found.enter("ses_a", "ten_a")
    with pytest.raises(ResourceExhausted) as refused:
        found.enter("ses_a", "ten_a")
    assert refusal(refused) == ("session_calls", 1.0)
    for _ in range(10):
        found.enter("ses_b", "ten_a")
    with pytest.raises(ResourceExhausted) as refused:
        found.enter("ses_c", "ten_a")
    assert refusal(refused) == ("tenant_calls", 0.5)
    found.enter("ses_a2", "ten_b")
    now[0] += 0.5
    found.enter("ses_c", "ten_a")


def test_what_a_call_holds_is_given_back_however_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = made(monkeypatch, session=Budget(calls_at_a_time=2), tenant=Budget(calls_at_a_time=2))
    running = [found.enter("ses_a", "ten_a") for _ in range(2)]
    with pytest.raises(ResourceExhausted) as refused:
        found.enter("ses_b", "ten_a")
    assert refusal(refused) == ("tenant_calls_at_a_time", 1.0)
    found.leave(running[0])
    found.leave(running[0])
    found.enter("ses_b", "ten_a")  # the refused one holds nothing of its session's either
    with pytest.raises(ResourceExhausted):
        found.enter("ses_a", "ten_a")
    found.enter("ses_b", "ten_b")


def test_a_stream_over_its_bytes_waits_and_a_new_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found, now = made(monkeypatch, session=Budget(bytes_per_s=100))
    call = found.enter("ses_a", "ten_a")
    assert found.spend(call, 1_000) == 0
    assert found.spend(call, 200) == 2.0
    assert found.spend(call, 100_000) == limits.LONGEST_WAIT_S
    with pytest.raises(ResourceExhausted) as refused:
        found.enter("ses_a", "ten_a")
    assert refusal(refused) == ("session_bytes", 1_002.0)
    now[0] += 1_002.0
    found.enter("ses_a", "ten_a")


def test_what_is_under_way_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = made(monkeypatch, session=MANY, tenant=MANY)
    choose = random.Random(1)  # noqa: S311 - an order, not a secret
    running = [found.enter(f"ses_{number % 5}", f"ten_{number % 3}") for number in range(500)]
    choose.shuffle(running)
    for call in running:
        found.leave(call)
    assert [found._sessions.under_way, found._tenants.under_way] == [{}, {}]
