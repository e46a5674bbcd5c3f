"""Unknown tokens are refused beyond an address's budget; a token that somebody has never is."""

import asyncio
import itertools

import pytest

from zegel_server.caller import Caller, PrincipalKind
from zegel_server.edge import wrong_tokens
from zegel_server.edge.wrong_tokens import FAMILIAR, LANE, PAUSING, QUEUE, WrongTokens
from zegel_server.errors import ResourceExhausted, Unauthenticated

GOOD = Caller("ten_x", "mem_x", PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, lambda _permission: None)  # type: ignore[arg-type, return-value]
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class Lookups:
    """The database: it has the tokens that begin with ``good``."""

    def __init__(self, per_s: float = 1, clock: float = 1_000.0) -> None:
        self.tokens = WrongTokens(per_s)
        self.now = clock
        self.asked = 0
        self.at_a_time = self.most_at_a_time = 0
        self.gate: asyncio.Event | None = None
        self.reason = "SESSION_UNKNOWN"
        self.pauses: list[float] = []

    async def show(self, token: str, address: str = HERE, kind: str = "session") -> Caller:
        async def look_up() -> Caller:
            self.asked += 1
            self.at_a_time += 1
            self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
            try:
                if self.gate is not None:
                    await self.gate.wait()
                if token.startswith("good"):
                    return GOOD
                raise Unauthenticated("No session has this token.", reason=self.reason)
            finally:
                self.at_a_time -= 1

        return await self.tokens.check(address, kind, token, look_up)

    async def guess(self, count: int, address: str = HERE, kind: str = "session") -> list[str]:
        reasons = []
        for number in range(count):
            try:
                await self.show(f"wrong {number}", address, kind)
            except (ResourceExhausted, Unauthenticated) as error:
                reasons.append(error.reason)
        return reasons


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    """With a clock that stands still, and pauses that are noted and take no time."""
    found = Lookups()

    async def pause(seconds: float) -> None:
        found.pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(wrong_tokens, "monotonic", lambda: found.now)
    monkeypatch.setattr(wrong_tokens, "sleep", pause)
    return found


async def test_wrong_tokens_beyond_the_budget_are_refused_with_when_to_try_again(lookups: Lookups) -> None:
    assert await lookups.guess(303) == ["SESSION_UNKNOWN"] * 301 + ["LIMIT_REACHED"] * 2
    assert lookups.pauses == [wrong_tokens.PAUSE_S] * 2
    with pytest.raises(ResourceExhausted) as refused:
        await lookups.show("wrong")
    assert refused.value.metadata == {"limit": "wrong_tokens"}
    assert refused.value.retry_after_s == pytest.approx(3.0)
    lookups.now += 4.0
    assert await lookups.guess(1) == ["SESSION_UNKNOWN"]


async def test_a_good_token_is_let_in_whatever_else_its_address_shows(lookups: Lookups) -> None:
    await lookups.show("good, and seen before")
    assert (await lookups.guess(1_000))[-1] == "LIMIT_REACHED"
    assert await lookups.show("good, and seen before") is GOOD
    assert await lookups.show("good, and new") is GOOD


async def test_other_addresses_and_other_kinds_have_budgets_of_their_own(lookups: Lookups) -> None:
    assert (await lookups.guess(400, kind="link"))[-1] == "LIMIT_REACHED"
    assert (await lookups.guess(1))[-1] == "SESSION_UNKNOWN"
    assert (await lookups.guess(1, ELSEWHERE, "link"))[-1] == "SESSION_UNKNOWN"


async def test_an_expired_or_revoked_token_is_no_guess(lookups: Lookups) -> None:
    lookups.reason = "SESSION_EXPIRED"
    assert await lookups.guess(1_000) == ["SESSION_EXPIRED"] * 1_000


async def test_no_budget_is_no_limit() -> None:
    unlimited = Lookups(per_s=0)
    assert set(await unlimited.guess(1_000)) == {"SESSION_UNKNOWN"}


async def test_an_address_over_its_budget_takes_few_look_ups_at_a_time_and_a_known_token_waits_for_none(
    lookups: Lookups,
) -> None:
    await lookups.show("good")
    await lookups.guess(400)
    lookups.gate, lookups.most_at_a_time = asyncio.Event(), 0
    wrong = [asyncio.ensure_future(lookups.show(f"wrong {number}")) for number in range(LANE + QUEUE)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert lookups.at_a_time == lookups.most_at_a_time == LANE
    with pytest.raises(ResourceExhausted):  # the queue is full: refused without a look
        await lookups.show("good, and new")
    assert lookups.at_a_time == LANE
    known = asyncio.ensure_future(lookups.show("good"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert lookups.at_a_time == LANE + 1
    lookups.gate.set()
    assert await known is GOOD
    ends = await asyncio.gather(*wrong, return_exceptions=True)
    assert {type(each) for each in ends} == {ResourceExhausted}
    assert lookups.tokens._lanes == {}, "nothing is kept of an address with no call under way"


async def test_no_more_refusals_are_held_back_than_may_be(lookups: Lookups, monkeypatch: pytest.MonkeyPatch) -> None:
    await lookups.guess(400)
    held = asyncio.Event()

    async def pause(_seconds: float) -> None:
        await held.wait()

    monkeypatch.setattr(wrong_tokens, "sleep", pause)
    wrong = [asyncio.ensure_future(lookups.show(f"wrong {number}")) for number in range(PAUSING + 20)]
    done, held_back = await asyncio.wait(wrong, timeout=1)
    assert (len(done), len(held_back)) == (20, PAUSING)
    held.set()
    assert {type(each) for each in await asyncio.gather(*wrong, return_exceptions=True)} == {ResourceExhausted}
    assert lookups.tokens._lanes == {}


async def test_a_call_that_is_cancelled_in_the_queue_leaves_nothing_behind(lookups: Lookups) -> None:
    await lookups.guess(400)
    lookups.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(lookups.show(f"wrong {number}")) for number in range(10)]
    for _ in range(10):
        await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in ends} == {asyncio.CancelledError}
    assert lookups.tokens._lanes == {}
    lookups.gate = None
    assert await lookups.show("good") is GOOD


async def test_memory_is_bounded(lookups: Lookups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_tokens, "FAMILIAR", 100)
    for number in itertools.count():
        await lookups.show(f"good {number}")
        if number > 300:
            break
    assert len(lookups.tokens._familiar) == 100 < FAMILIAR


async def test_a_token_that_is_known_no_more_goes_with_the_unknown(lookups: Lookups) -> None:
    await lookups.show("good")
    key = next(iter(lookups.tokens._familiar))

    async def gone() -> Caller:
        raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")

    with pytest.raises(Unauthenticated):
        await lookups.tokens.check(HERE, "session", "good", gone)
    assert key not in lookups.tokens._familiar
