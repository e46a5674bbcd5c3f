"""Checks of a request's fields; each refusal names its field."""

import re
import unicodedata
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from zegel_server import clock, zones
from zegel_server.edge import addresses, characters
from zegel_server.errors import InvalidArgument, NotFound
from zegel_server.ids import Kind, is_id

MAX_EMAIL: Final = 254
"""Maximum number of characters of a mail address: RFC 5321, section 4.5.3.1.3, without the angle brackets."""

MAX_REQUEST_ID: Final = 64
"""Maximum number of characters of a ``request_id``: a UUID has 36."""

LAST_TIME: Final = 253_402_300_799 * clock.SECOND
"""The last second that RFC 3339 can write: the end of the year 9999."""

_EMAIL: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\.]+(\.[^\s@<>\"(),:;\[\]\\.]+)*")


def text(value: str, field: str, *, least: int = 1, most: int, lines: bool = False) -> str:
    """Checks a text written by a person.

    Args:
        value: The text.
        field: Path of its field.
        least: The fewest characters.
        most: The most characters.
        lines: Whether it may have several lines.

    Returns:
        The text in Unicode's normal form C.

    Raises:
        InvalidArgument: It is too short, too long or blank, or has a character that does not show (``characters``).
    """
    value = unicodedata.normalize("NFC", value)
    if least and not value.strip():
        raise InvalidArgument(field, "must not be empty", reason="MISSING_FIELD")
    if not least <= len(value) <= most:
        raise InvalidArgument(field, f"must have {least} to {most} characters, not {len(value)}")
    char = characters.unfit(value, "\n\t" if lines else "")
    if char is not None:
        raise InvalidArgument(field, f"must not have characters that do not show, such as {characters.named(char)}")
    return value


def email(value: str, field: str) -> str:
    """A mail address.

    Args:
        value: The address.
        field: Path of its field.

    Raises:
        InvalidArgument: It is not formed like one.
    """
    value = text(value, field, most=MAX_EMAIL).strip()
    if not _EMAIL.fullmatch(value):
        raise InvalidArgument(field, "must be a mail address, such as ann@example.com")
    return value


def time_zone(value: str, field: str, *, default: str = zones.UTC) -> str:
    """A time zone's name.

    Args:
        value: The name; empty for the default.
        field: Path of its field.
        default: What an empty name stands for.

    Raises:
        InvalidArgument: The IANA database has no zone of that name.
    """
    if value and value not in zones.names():
        raise InvalidArgument(field, "must be a time zone's name in the IANA database, such as Europe/Amsterdam")
    return value or default


def address(value: str, field: str) -> str:
    """A network address, which may be empty.

    Args:
        value: The address.
        field: Path of its field.

    Returns:
        The address as RFC 5952 writes it; an IPv4 address mapped into IPv6 as the IPv4 address.

    Raises:
        InvalidArgument: It is neither IPv4 nor IPv6, or has a port or a zone with it.
    """
    if not value:
        return ""
    parsed = None if "%" in value else addresses.parse_address(value)
    if parsed is None:
        raise InvalidArgument(field, "must be an IPv4 or IPv6 address, without a port")
    return str(parsed)


def identifier(value: str, kind: Kind, field: str, resource: str) -> str:
    """Checks an identifier of a resource.

    Args:
        value: The identifier.
        kind: Its kind's prefix.
        field: Path of its field.
        resource: The resource's kind, such as ``document``.

    Raises:
        InvalidArgument: It is empty.
        NotFound: It is malformed, so there is no such resource.
    """
    if not value:
        raise InvalidArgument(field, "must not be empty", reason="MISSING_FIELD")
    if not is_id(value, kind):
        raise NotFound(resource)
    return value


def request_id(value: str) -> str:
    """Checks a ``request_id``, which may be empty.

    Args:
        value: The value that the caller sent.

    Raises:
        InvalidArgument: It is too long, or has other than printable ASCII characters.
    """
    if value and (len(value) > MAX_REQUEST_ID or not (value.isascii() and value.isprintable())):
        raise InvalidArgument("request_id", f"must be at most {MAX_REQUEST_ID} printable ASCII characters")
    return value


def time(message: Timestamp, field: str) -> int:
    """Checks a time, and converts it to microseconds since the epoch.

    Args:
        message: The time.
        field: Path of its field.

    Raises:
        InvalidArgument: It is not between the years 1970 and 9999.
    """
    microseconds = clock.from_timestamp(message)
    if not 0 <= microseconds <= LAST_TIME or not 0 <= message.nanos < 1_000_000_000:  # noqa: PLR2004 - a second's nanos
        raise InvalidArgument(field, "must be a time between the years 1970 and 9999")
    return microseconds


def future(message: Timestamp, field: str, *, most: int | None = None) -> int:
    """A time to come.

    Args:
        message: The time.
        field: Path of its field.
        most: How far ahead it may be, in microseconds.

    Raises:
        InvalidArgument: It has passed, or is too far ahead.
    """
    moment = time(message, field)
    ahead = moment - clock.now()
    if ahead <= 0:
        raise InvalidArgument(field, "must lie in the future")
    if most is not None and ahead > most:
        raise InvalidArgument(field, f"must be at most {most // clock.HOUR} hours ahead")
    return moment


class Lifetime(NamedTuple):
    """How long something that a caller creates is valid, in microseconds.

    Attributes:
        default: The default.
        most: The maximum.
    """

    default: int
    most: int


def expiry(request: Any, lifetime: Lifetime) -> int:
    """When something that a request creates expires: at its ``expire_time``, or after the default.

    Args:
        request: The request.
        lifetime: How long it may be valid.

    Raises:
        InvalidArgument: The time has passed, or is too far ahead.
    """
    if request.HasField("expire_time"):
        return future(request.expire_time, "expire_time", most=lifetime.most)
    return clock.now() + lifetime.default


def expiry_if_any(message: Any, field: str = "expire_time") -> int | None:
    """When something that need not expire does: at its ``expire_time``, or ``None`` for never.

    Args:
        message: The message that has the field.
        field: Path of the field.

    Raises:
        InvalidArgument: The time has passed.
    """
    return future(message.expire_time, field) if message.HasField("expire_time") else None


def duration(message: Duration, field: str, *, least: int = 0, most: int) -> int:
    """Checks a length of time, and converts it to microseconds.

    Args:
        message: The length.
        field: Path of its field.
        least: The shortest, in microseconds.
        most: The longest, in microseconds.

    Raises:
        InvalidArgument: It is too short or too long.
    """
    microseconds = message.seconds * clock.SECOND + message.nanos // 1_000
    if not least <= microseconds <= most:
        raise InvalidArgument(field, f"must be {least // clock.SECOND} to {most // clock.SECOND} seconds")
    return microseconds


def read_mask(
    message: FieldMask, known: frozenset[str], summary: frozenset[str], field: str = "read_mask"
) -> frozenset[str]:
    """The fields that an answer has (AIP-157): a summary if the mask is empty, all of them if it is ``*``.

    Args:
        message: The mask.
        known: Every field of the resource.
        summary: Those that are returned by default.
        field: Path of the mask.

    Raises:
        InvalidArgument: It names something else than a field of the resource.
    """
    if not message.paths:
        return summary
    if list(message.paths) == ["*"]:
        return known
    for path in message.paths:
        if path not in known:
            raise InvalidArgument(field, f"can name {', '.join(sorted(known))}, or be '*', not {path[:64]!r}")
    return frozenset(message.paths)


def mask(message: FieldMask, resource: Message, allowed: Collection[str], field: str = "update_mask") -> frozenset[str]:
    """The fields that an update changes (AIP-134): those that are set if the mask is empty, all of them if it is ``*``.

    Args:
        message: The mask.
        resource: What was sent, with the new values.
        allowed: The fields that can be changed.
        field: Path of the mask.

    Raises:
        InvalidArgument: It names another field; or it is empty, and so are the fields that can be changed.
    """
    if not message.paths:
        given = frozenset(each.name for each, _ in resource.ListFields()) & frozenset(allowed)
        if not given:
            names = ", ".join(sorted(allowed))
            raise InvalidArgument(
                field, f"must name what to change, since none is set of {names}", reason="MISSING_FIELD"
            )
        return given
    if list(message.paths) == ["*"]:
        return frozenset(allowed)
    for path in message.paths:
        if path not in allowed:
            raise InvalidArgument(field, f"can name {', '.join(sorted(allowed))}, not {path[:64]!r}")
    return frozenset(message.paths)
