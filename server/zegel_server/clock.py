"""Times, as in the database and in messages."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

SECOND: Final = 1_000_000
"""Microseconds in a second."""
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """The time by the system's clock, in microseconds since the epoch, UTC."""
    return time.time_ns() // 1_000


def to_datetime(microseconds: int) -> datetime:
    """Converts to an aware ``datetime`` in UTC.

    Args:
        microseconds: Since the epoch.
    """
    return _EPOCH + timedelta(microseconds=microseconds)


def to_rfc3339(microseconds: int) -> str:
    """Converts to RFC 3339 text in UTC, always with six decimal places.

    Args:
        microseconds: Since the epoch.
    """
    return to_datetime(microseconds).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_timestamp(microseconds: int | None) -> Timestamp | None:
    """Converts to a protobuf message; ``None`` stays ``None``.

    Args:
        microseconds: Since the epoch.
    """
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, SECOND)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def from_timestamp(message: Timestamp) -> int:
    """Converts to microseconds since the epoch; finer digits are dropped.

    Args:
        message: The time as a message.
    """
    return message.seconds * SECOND + message.nanos // 1_000
