"""The errors that a call raises. ``grpc.RpcError`` never comes out of the client.

Tree::

    ZegelError
    +-- InvalidArgument            a field of the request is wrong: .field
    |   +-- OutOfRange             a position lies past the end of what is there
    |   +-- ChecksumMismatch       what arrived is not what was sent
    +-- Unauthenticated            no session, or one that is not good at this moment
    |   +-- SessionRevoked
    |   +-- SessionExpired
    +-- PermissionDenied           the session is good, the act is not allowed to it: .permission
    +-- NotFound                   absent, or not the caller's to see: .resource
    +-- AlreadyExists              the name is taken
    |   +-- RequestIdReused        the request was made before, with other arguments
    +-- FailedPrecondition         the resource is in a state that forbids the act: .state
    |   +-- DocumentUnreadable     no PDF, or damaged beyond repair
    |   +-- DocumentEncrypted      it can be neither shown nor sealed
    |   +-- DocumentTooComplex     it needs more memory, time or pages than a document may
    |   +-- RecipientOutOfTurn     somebody with a lower order has not signed yet
    |   +-- RecipientAlreadySigned
    |   +-- RecipientHasUnsignedFields    a required field has no value: .field_api_id
    |   +-- DisclosureNotAccepted
    |   +-- SignatureRequestClosed it is past the state in which the act is possible
    |   +-- NotDownloadableYet     the sealed document does not exist yet
    +-- Aborted                    somebody else changed it in between; read again and retry
    |   +-- EtagMismatch
    |   +-- OffsetMismatch         a chunk does not begin where the last one ended: .expected_offset
    +-- ResourceExhausted          a limit was reached: .limit
    +-- Unavailable                a part that is needed does not answer now; retry
    |   +-- NotIntegratedYet       the event is not under a checkpoint yet; retry within a second
    |   +-- NotWitnessedYet        too few witnesses have cosigned what covers it; retry in some seconds
    +-- DeadlineExceeded           the call took longer than it may; it may have been carried out
    +-- Cancelled                  the call was cut off
    +-- DataLoss                   what is stored, or what arrived, is not what was written
    +-- Unimplemented              the server is older than this client
    +-- Internal                   a defect of the server: .request_id

Invariants:

* The class follows from the status code and the reason; an unknown reason gets the code's class, an unknown code
  ``ZegelError``. So a server that is newer than the client breaks no ``except`` clause.
* The text is the server's sentence; no token and nothing of a document is in it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN: Final = "zegel"
"""``ErrorInfo.domain`` of the errors that a Zegel server tells of (AIP-193)."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a ``google.rpc.Status``."""

Facts = tuple[str, Mapping[str, str], float | None]
"""Reason, metadata and seconds to wait, as status details tell them."""


class ZegelError(Exception):
    """A call that did not succeed.

    Args:
        message: One English sentence for a developer.
        code: The status code; the class's own where left out.
        reason: Name of a ``zegel.error.v1.ErrorReason`` without its prefix, or one that this version does not know.
        metadata: Further facts, with the keys that the reason's comment in the contract names.
        retry_after: Seconds after which the same call may go through, where the server says so.

    Attributes:
        message: The sentence.
        code: The status code.
        reason: The reason; compares with :class:`zegel.ErrorReason`. Empty where no server gave one: nothing answered,
            or something in between did.
        metadata: The facts.
        retry_after: The seconds, or ``None``.
    """

    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} [{self.reason or self.code.name}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments: what Exception pickles by itself would lose them, in a process pool for instance.
        facts = {"code": self.code, "reason": self.reason, "metadata": self.metadata, "retry_after": self.retry_after}
        return _restore, (type(self), self.message, facts)


class InvalidArgument(ZegelError):
    """A field of the request is wrong."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT

    @property
    def field(self) -> str:
        """Path of the field in the request, such as ``signers[1].email``; empty where the server named none."""
        return self.metadata.get("field", "")


class OutOfRange(InvalidArgument):
    """A position lies past the end of what is there."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class ChecksumMismatch(InvalidArgument):
    """What the server received is not what was sent: a crc32c or the SHA-256 is another."""


class Unauthenticated(ZegelError):
    """No session, or one that is not good at this moment."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class SessionRevoked(Unauthenticated):
    """The session or API key was revoked."""


class SessionExpired(Unauthenticated):
    """The session or API key is past its expiry, or was idle for too long."""


class PermissionDenied(ZegelError):
    """The session is good, but nothing allows it this act."""

    default_code = grpc.StatusCode.PERMISSION_DENIED

    @property
    def permission(self) -> str:
        """The permission that was missing, such as ``document.delete``."""
        return self.metadata.get("permission", "")


class NotFound(ZegelError):
    """Absent, or not the caller's to see: which of the two is not told."""

    default_code = grpc.StatusCode.NOT_FOUND

    @property
    def resource(self) -> str:
        """Kind of the resource, such as ``document``."""
        return self.metadata.get("resource", "")


class AlreadyExists(ZegelError):
    """The name is taken."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class RequestIdReused(AlreadyExists):
    """The same ``request_id`` was used before, with other arguments."""


class FailedPrecondition(ZegelError):
    """The resource is in a state that forbids the act."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION

    @property
    def state(self) -> str:
        """The state, such as ``CANCELED``; empty where it is not told."""
        return self.metadata.get("state", "")


class DocumentUnreadable(FailedPrecondition):
    """The document is no PDF, or damaged beyond repair."""


class DocumentEncrypted(FailedPrecondition):
    """The document is encrypted: it can be neither shown nor sealed."""


class DocumentTooComplex(FailedPrecondition):
    """The document needs more memory, time or pages than a document may."""


class RecipientOutOfTurn(FailedPrecondition):
    """Somebody with a lower order has not signed yet."""


class RecipientAlreadySigned(FailedPrecondition):
    """The signer has signed."""


class RecipientHasUnsignedFields(FailedPrecondition):
    """A required field of the signer has no value."""

    @property
    def field_api_id(self) -> str:
        """The field's ``api_id``."""
        return self.metadata.get("field_api_id", "")


class DisclosureNotAccepted(FailedPrecondition):
    """The signer has not accepted the electronic record and signature disclosure."""


class SignatureRequestClosed(FailedPrecondition):
    """The signature request is past the state in which the act is possible."""


class NotDownloadableYet(FailedPrecondition):
    """The sealed document does not exist yet."""


class Aborted(ZegelError):
    """Somebody else changed the resource in between: read it again and retry."""

    default_code = grpc.StatusCode.ABORTED


class EtagMismatch(Aborted):
    """The resource was changed since the ``etag`` was read."""


class OffsetMismatch(Aborted):
    """A chunk does not begin where the last one ended."""

    @property
    def expected_offset(self) -> int | None:
        """Where the server wants the next chunk to begin, in bytes; ``None`` where it is not told."""
        text = self.metadata.get("expected_offset", "")
        return int(text) if text.isascii() and text.isdigit() else None


class ResourceExhausted(ZegelError):
    """A limit was reached. Waiting helps where ``retry_after`` is set."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED

    @property
    def limit(self) -> str:
        """The limit's name, such as ``documents_per_request``."""
        return self.metadata.get("limit", "")


class Unavailable(ZegelError):
    """A part that is needed does not answer now; the same call may go through later."""

    default_code = grpc.StatusCode.UNAVAILABLE


class NotIntegratedYet(Unavailable):
    """The event is committed, but not yet under a checkpoint."""


class NotWitnessedYet(Unavailable):
    """Too few witnesses have cosigned a checkpoint that covers what was asked for."""


class DeadlineExceeded(ZegelError):
    """The call took longer than it may. It may have been carried out all the same."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(ZegelError):
    """The call was cut off before it ended."""

    default_code = grpc.StatusCode.CANCELLED


class DataLoss(ZegelError):
    """What is stored, or what arrived, is not what was written; nothing of it may be used."""

    default_code = grpc.StatusCode.DATA_LOSS


class Unimplemented(ZegelError):
    """The server does not know the method: it is older than this client, or does not offer it."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ZegelError):
    """A defect of the server."""

    default_code = grpc.StatusCode.INTERNAL

    @property
    def request_id(self) -> str:
        """By which the server's operator finds what happened."""
        return self.metadata.get("request_id", "")


BY_CODE: Final[Mapping[grpc.StatusCode, type[ZegelError]]] = {
    each.default_code: each
    for each in (
        InvalidArgument,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
        Unimplemented,
        Internal,
    )
}
"""The class of each status code."""

BY_REASON: Final[Mapping[str, type[ZegelError]]] = {
    "CHECKSUM_MISMATCH": ChecksumMismatch,
    "SESSION_REVOKED": SessionRevoked,
    "SESSION_EXPIRED": SessionExpired,
    "REQUEST_ID_REUSED": RequestIdReused,
    "DOCUMENT_UNREADABLE": DocumentUnreadable,
    "DOCUMENT_ENCRYPTED": DocumentEncrypted,
    "DOCUMENT_TOO_COMPLEX": DocumentTooComplex,
    "RECIPIENT_OUT_OF_TURN": RecipientOutOfTurn,
    "RECIPIENT_ALREADY_SIGNED": RecipientAlreadySigned,
    "RECIPIENT_HAS_UNSIGNED_FIELDS": RecipientHasUnsignedFields,
    "DISCLOSURE_NOT_ACCEPTED": DisclosureNotAccepted,
    "SIGNATURE_REQUEST_CLOSED": SignatureRequestClosed,
    "NOT_DOWNLOADABLE_YET": NotDownloadableYet,
    "ETAG_MISMATCH": EtagMismatch,
    "OFFSET_MISMATCH": OffsetMismatch,
    "NOT_INTEGRATED_YET": NotIntegratedYet,
    "NOT_WITNESSED_YET": NotWitnessedYet,
}
"""The reasons that callers branch on most have a class of their own, below that of their code."""


def from_call(call: Any) -> ZegelError:
    """Makes the typed error of a call that failed.

    Args:
        call: A ``grpc.RpcError``: synchronous or of ``grpc.aio``, both have ``code``, ``details`` and
            ``trailing_metadata``.
    """
    code = call.code() or grpc.StatusCode.UNKNOWN
    reason, metadata, retry_after = _details(call.trailing_metadata() or ())
    found = BY_CODE.get(code, ZegelError)
    exact = BY_REASON.get(reason)
    if exact is not None and exact.default_code is code:
        found = exact
    message = call.details() or f"The call failed with {code.name}."
    return found(message, code=code, reason=reason, metadata=metadata, retry_after=retry_after)


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> Facts:
    """Reads the status details; what cannot be read tells nothing, the code still counts."""
    reason, metadata, retry_after = "", {}, None
    for key, value in trailing:
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    reason, metadata = info.reason, dict(info.metadata)
                elif detail.Unpack(retry):
                    retry_after = retry.retry_delay.ToMilliseconds() / 1_000
        except DecodeError:
            continue
    return reason, metadata, retry_after


def _restore(kind: type[ZegelError], message: str, facts: Mapping[str, Any]) -> ZegelError:
    return kind(message, **facts)
