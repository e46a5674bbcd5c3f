"""How long a failure is waited out."""

from hypothesis import given
from hypothesis import strategies as st

from zegel_server.errors import DataLoss, FailedPrecondition, InvalidArgument, Unavailable, ZegelError
from zegel_server.jobs.model import RetryPolicy, lasting_after

ERRORS = st.sampled_from([None, Unavailable("x"), FailedPrecondition("x"), InvalidArgument("a", "x"), DataLoss("x")])


@given(attempts=st.integers(1, 10_000), error=ERRORS, first_s=st.floats(0.01, 10), longest_s=st.floats(10, 10_000))
def test_a_wait_is_never_nothing_and_never_longer_than_the_longest(
    attempts: int, error: ZegelError | None, first_s: float, longest_s: float
) -> None:
    policy = RetryPolicy(first_s, longest_s, lasting_after(5))
    wait = policy.wait_s(attempts, error)
    assert first_s / 2 <= wait <= longest_s
    if policy.is_lasting(attempts, error):
        assert wait >= longest_s / 2
    else:
        assert wait <= first_s * 2.0 ** (attempts - 1)
