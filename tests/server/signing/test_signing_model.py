import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from zegel_server.errors import FailedPrecondition, NotFound, ZegelError
from zegel_server.signing.model import Progress, RequestState, Signature, SignatureStatus

S, R = SignatureStatus, RequestState


def sent(*orders: int, expire_time: int | None = None) -> Progress:
    return Progress.sent([(f"sig-{index}", order) for index, order in enumerate(orders)], expire_time)


def statuses(progress: Progress) -> list[SignatureStatus]:
    return [each.status for each in progress.signatures]


def sign(progress: Progress, index: int, at: int = 5) -> Progress:
    return progress.accepted(f"sig-{index}", at, 1).signed(f"sig-{index}", at)


def refusal(act: object, *args: object) -> ZegelError:
    with pytest.raises(ZegelError) as caught:
        act(*args)  # type: ignore[operator]
    return caught.value


def test_those_of_the_lowest_order_are_asked_first_and_together() -> None:
    assert statuses(sent(1, 0, 0, 2)) == [S.ON_HOLD, S.AWAITING_SIGNATURE, S.AWAITING_SIGNATURE, S.ON_HOLD]


def test_a_higher_order_waits_for_every_lower_one() -> None:
    progress = sign(sent(0, 0, 7), 1)
    assert statuses(progress) == [S.AWAITING_SIGNATURE, S.SIGNED, S.ON_HOLD]
    assert refusal(sign, progress, 2).reason == "RECIPIENT_OUT_OF_TURN"
    progress = sign(progress, 0)
    assert statuses(progress) == [S.SIGNED, S.SIGNED, S.AWAITING_SIGNATURE]
    assert sign(progress, 2, at=9).all_signed_time == 9


def test_all_signed_and_downloadable_are_two_states() -> None:
    progress = sign(sent(0), 0)
    assert progress.state is R.ALL_SIGNED
    assert progress.seal_time is None
    assert progress.sealed(8).state is R.DOWNLOADABLE
    assert refusal(progress.sealed(8).sealed, 9).reason == "SIGNATURE_REQUEST_CLOSED"
    assert refusal(sent(0).sealed, 9).reason == "SIGNATURE_REQUEST_CLOSED"


def test_a_view_never_takes_the_place_of_an_earlier_one_or_of_a_signature() -> None:
    progress = sign(sent(0, 1).viewed("sig-0", 3), 0, at=4)
    again = progress.viewed("sig-0", 9)
    assert again == progress
    assert again.signatures[0].view_time == 3
    assert again.signatures[0].status is S.SIGNED


@pytest.mark.parametrize(
    ("progress", "reason"),
    [
        (sign(sent(0, 1), 0), "RECIPIENT_ALREADY_SIGNED"),
        (sign(sent(0), 0), "RECIPIENT_ALREADY_SIGNED"),
        (sign(sent(0), 0).sealed(9), "RECIPIENT_ALREADY_SIGNED"),
        (sent(1, 0), "RECIPIENT_OUT_OF_TURN"),
        (sent(0), "DISCLOSURE_NOT_ACCEPTED"),
        (sent(0, expire_time=5), "RECIPIENT_EXPIRED"),
        (sent(0, expire_time=5).expired(5), "RECIPIENT_EXPIRED"),
        (sent(0).canceled(1), "SIGNATURE_REQUEST_CLOSED"),
        (sent(0).declined("sig-0", 1), "RECIPIENT_DECLINED"),
        (sent(0, 0).declined("sig-1", 1), "SIGNATURE_REQUEST_CLOSED"),
    ],
)
def test_a_signature_that_cannot_be_made_says_why(progress: Progress, reason: str) -> None:
    assert refusal(progress.signed, "sig-0", 10).reason == reason


def test_a_missing_field_is_named() -> None:
    error = refusal(sent(0).accepted("sig-0", 1, 1).signed, "sig-0", 2, ["sign-here"])
    assert (error.reason, error.metadata) == ("RECIPIENT_HAS_UNSIGNED_FIELDS", {"field_api_id": "sign-here"})


def test_declining_ends_it_for_all_but_who_has_signed() -> None:
    progress = sign(sent(0, 1, 2), 0).declined("sig-1", 7)
    assert statuses(progress) == [S.SIGNED, S.DECLINED, S.EXPIRED]
    assert (progress.state, progress.signatures[1].decline_time) == (R.DECLINED, 7)


def test_a_request_called_off_keeps_who_had_signed_and_cannot_be_called_off_later() -> None:
    progress = sign(sent(0, 1), 0).canceled(8)
    assert statuses(progress) == [S.SIGNED, S.EXPIRED]
    assert progress.canceled(9) == progress
    kept = sent(0).canceled(8, signers_keep_access=True)
    assert [kept.canceled(9, signers_keep_access=keep) for keep in (True, False)] == [kept, sent(0).canceled(8)]
    assert sent(0).canceled(8).canceled(9, signers_keep_access=True) == sent(0).canceled(8)
    kept.demand_readable()
    assert refusal(lambda _: progress.demand_readable(), 9).metadata["state"] == "CANCELED"
    error = refusal(sign(sent(0), 0).canceled, 9)
    assert (error.reason, error.metadata) == ("SIGNATURE_REQUEST_CLOSED", {"state": "ALL_SIGNED"})


def test_only_an_open_request_expires_and_only_once_its_time_has_come() -> None:
    progress = sent(0, expire_time=10)
    assert progress.expired(9) == progress
    assert progress.expired(10).state is R.EXPIRED
    done = sign(progress, 0, at=9)
    assert done.expired(11) == done
    assert sent(0).expired(10**18).state is R.AWAITING_SIGNATURES


def test_the_expiry_can_be_moved_only_while_it_matters() -> None:
    assert sent(0, expire_time=10).rescheduled(None, 9).expire_time is None
    assert refusal(sent(0, expire_time=10).rescheduled, 20, 10).metadata == {"state": "EXPIRED"}
    assert refusal(sign(sent(0), 0).rescheduled, 20, 10).metadata == {"state": "ALL_SIGNED"}


def test_another_requests_signature_is_unknown() -> None:
    with pytest.raises(NotFound):
        sent(0).viewed("sig-9", 1)


ENDED = {R.DECLINED, R.CANCELED, R.EXPIRED, R.DOWNLOADABLE}
STEPS = {
    (R.AWAITING_SIGNATURES, R.ALL_SIGNED),
    (R.ALL_SIGNED, R.DOWNLOADABLE),
    (R.AWAITING_SIGNATURES, R.DECLINED),
    (R.AWAITING_SIGNATURES, R.CANCELED),
    (R.AWAITING_SIGNATURES, R.EXPIRED),
}
SIGNER = st.integers(0, 4)


class Signing(RuleBasedStateMachine):
    """Anybody tries anything at any time; a plain reckoning beside it says what must be."""

    progress: Progress
    now: int

    @initialize(orders=st.lists(st.integers(0, 3), min_size=1, max_size=5), expires=st.none() | st.integers(1, 25))
    def send(self, orders: list[int], expires: int | None) -> None:
        self.progress = self.before = sent(*orders, expire_time=expires)
        self.now = 0

    def _try(self, name: str, *args: object) -> None:
        self.before = self.progress
        try:
            self.progress = getattr(self.progress, name)(*args)
        except FailedPrecondition:
            assert self.progress is self.before

    def _own(self, index: int) -> Signature:
        return self.progress.signatures[index % len(self.progress.signatures)]

    @rule(index=SIGNER)
    def view(self, index: int) -> None:
        self._try("viewed", self._own(index).signature_id, self.now)

    @rule(index=SIGNER)
    def accept(self, index: int) -> None:
        self._try("accepted", self._own(index).signature_id, self.now, 1)

    @rule(index=SIGNER, complete=st.booleans())
    def sign(self, index: int, complete: bool) -> None:
        own = self._own(index)
        lower = [s for s in self.progress.signatures if s.order < own.order and s.status is not S.SIGNED]
        may = (
            self.progress.state is R.AWAITING_SIGNATURES
            and not self.progress.is_past(self.now)
            and own.sign_time is None
            and own.disclosure_time is not None
            and not lower
            and complete
        )
        self._try("signed", own.signature_id, self.now, () if complete else ("field",))
        assert (self.progress != self.before) is may

    @rule(index=SIGNER)
    def decline(self, index: int) -> None:
        self._try("declined", self._own(index).signature_id, self.now)

    @rule()
    def cancel(self) -> None:
        self._try("canceled", self.now)

    @rule()
    def seal(self) -> None:
        self._try("sealed", self.now)

    @rule(expires=st.none() | st.integers(0, 30))
    def reschedule(self, expires: int | None) -> None:
        self._try("rescheduled", expires, self.now)

    @rule(passed=st.integers(1, 5))
    def wait(self, passed: int) -> None:
        self.now += passed
        self._try("expired", self.now)

    @invariant()
    def only_allowed_steps(self) -> None:
        step = (self.before.state, self.progress.state)
        assert step[0] is step[1] or step in STEPS

    @invariant()
    def turns_are_those_of_the_lowest_order(self) -> None:
        open_ones = [s for s in self.progress.signatures if s.status in {S.AWAITING_SIGNATURE, S.ON_HOLD}]
        if self.progress.state is not R.AWAITING_SIGNATURES:
            assert not open_ones
            return
        lowest = min(s.order for s in open_ones)
        assert all((s.status is S.AWAITING_SIGNATURE) is (s.order == lowest) for s in open_ones)

    @invariant()
    def what_happened_stays(self) -> None:
        for old, new in zip(self.before.signatures, self.progress.signatures, strict=True):
            for name in ("view_time", "disclosure_time", "sign_time", "decline_time"):
                assert getattr(old, name) in {None, getattr(new, name)}
            assert old.status is not S.SIGNED or new.status is S.SIGNED
            assert (new.status is S.SIGNED) is (new.sign_time is not None)

    @invariant()
    def all_signed_means_all(self) -> None:
        everybody = all(s.status is S.SIGNED for s in self.progress.signatures)
        assert everybody is (self.progress.state in {R.ALL_SIGNED, R.DOWNLOADABLE})
        assert everybody is (self.progress.all_signed_time is not None)


TestSigning = Signing.TestCase


def test_every_end_has_its_time_and_what_still_runs_has_none() -> None:
    running = [sent(0), sign(sent(0), 0)]
    assert [each.end_time for each in running] == [None, None]
    expired = sent(0, expire_time=9).expired(10)
    ended = [running[1].sealed(11), sent(0).canceled(8), expired, sent(0).declined("sig-0", 7)]
    assert [each.end_time for each in ended] == [11, 8, 10, 7]
    assert {each.state for each in ended} == set(R) - {each.state for each in running} == ENDED
    assert ended[1].canceled(12).end_time == 8
