"""Times go from rows to messages and back unchanged."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from zegel_server import clock
from zegel_server.edge.validation import LAST_TIME

moments = st.integers(0, LAST_TIME)


@given(moments)
def test_a_time_comes_back_from_a_message(moment: int) -> None:
    message = clock.to_timestamp(moment)
    assert message is not None
    assert clock.from_timestamp(message) == moment
    assert message.ToMicroseconds() == moment


@given(moments)
def test_a_time_is_written_with_six_digits(moment: int) -> None:
    text = clock.to_rfc3339(moment)
    assert len(text) == len("2026-01-01T00:00:00.000000Z")
    assert datetime.fromisoformat(text) == clock.to_datetime(moment)


def test_none_stays_none_and_finer_digits_are_cut() -> None:
    assert clock.to_timestamp(None) is None
    assert clock.from_timestamp(Timestamp(seconds=1, nanos=999)) == clock.SECOND
    assert clock.from_timestamp(Timestamp(seconds=1, nanos=999_999_999)) == 1_999_999


def test_now_is_now() -> None:
    assert abs(clock.now() - datetime.now(UTC).timestamp() * clock.SECOND) < clock.SECOND
    assert clock.DAY == 24 * clock.HOUR == 86_400 * clock.SECOND
