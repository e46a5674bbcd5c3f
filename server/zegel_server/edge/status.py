"""Typed errors become statuses: one code, one sentence, exactly one ``google.rpc.ErrorInfo`` (AIP-193).

Beside it, what is wrong with a request stands field by field in a ``google.rpc.BadRequest``.
"""

from typing import Final

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from zegel_server.errors import InvalidArgument, StatusCode, ZegelError

DOMAIN: Final = "zegel"
"""``ErrorInfo.domain`` of all our errors."""

MAX_VIOLATIONS: Final = 4_000
"""Bytes of a ``BadRequest``: gRPC's clients take 8 KiB of trailing metadata, in which details stand as Base64."""


class Deadline(ZegelError):
    """The call took longer than it may."""

    status = StatusCode.DEADLINE_EXCEEDED
    default_reason = "DEADLINE_EXCEEDED"


class Unimplemented(ZegelError):
    """No method of that name is offered here."""

    status = StatusCode.UNIMPLEMENTED
    default_reason = "UNKNOWN_METHOD"


def unknown_method() -> Unimplemented:
    """The refusal of a request whose path belongs to no endpoint."""
    return Unimplemented("No method of that name is offered here.")


def as_public(error: BaseException, request_id: str) -> tuple[ZegelError, bool]:
    """The error that is sent to a caller for an exception.

    Args:
        error: Whatever was raised.
        request_id: Identifies the log line.

    Returns:
        The error to send, and whether it is a bug that must be reported to the operator.
    """
    if isinstance(error, ZegelError):
        return error, error.status is StatusCode.INTERNAL
    return ZegelError("The server failed; its operator can look up the request id.", request_id=request_id), True


def status_of(error: ZegelError) -> status_pb2.Status:
    """An error as ``google.rpc.Status``, which every transport can carry.

    Args:
        error: The error.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [_packed(info)]
    if isinstance(error, InvalidArgument):
        details.append(_packed(_bad_request(error)))
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(retry_after_s * 1_000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.status, message=error.message, details=details)


def _bad_request(error: InvalidArgument) -> error_details_pb2.BadRequest:
    """What is wrong, field by field: as many violations as fit, and the first in any case."""
    told = error_details_pb2.BadRequest()
    for field, description in error.violations:
        told.field_violations.add(field=field, description=description)
        if told.ByteSize() > MAX_VIOLATIONS and len(told.field_violations) > 1:
            del told.field_violations[-1]
            break
    return told


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
