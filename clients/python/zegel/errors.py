"""The errors that a call raises. The client never raises ``grpc.RpcError``.

Tree::

    ZegelError
    +-- InvalidArgument            a field of the request is wrong: .field
    |   +-- OutOfRange             a position lies beyond the end
    |   +-- ChecksumMismatch       what arrived is not what was sent
    |   +-- InvalidField           a value is not allowed
    |   +-- MissingField           a required field is empty
    |   +-- InvalidPageToken       it is of another list
    |   +-- MissingSignatureField  a signer has no signature field
    |   +-- SizeMismatch
    |   +-- ChunkSize
    |   +-- StreamOrder
    |   +-- ResentBytesDiffer
    +-- Unauthenticated            no token, or one that is not valid now
    |   +-- SessionRevoked
    |   +-- SessionExpired
    |   +-- SessionMissing         no token was given
    |   +-- SessionMalformed
    |   +-- SessionUnknown
    |   +-- SessionBoundElsewhere
    |   +-- LinkSpent              it was redeemed before
    |   +-- LinkExpired
    |   +-- LinkRevoked
    |   +-- IdTokenRefused
    |   +-- StepUpRequired         authenticate again: .max_age
    +-- PermissionDenied           the session is valid but may not do this: .permission
    |   +-- GrantExceedsGranter
    +-- NotFound                   it does not exist, or the caller may not see it: .resource
    +-- AlreadyExists              the name is taken
    |   +-- RequestIdReused        the request_id was used before, with other arguments
    +-- FailedPrecondition         the resource's state does not allow this: .state
    |   +-- DocumentUnreadable     not a PDF, or damaged beyond repair
    |   +-- DocumentEncrypted      it can be neither shown nor sealed
    |   +-- DocumentTooComplex     it exceeds the memory, time or number of pages allowed
    |   +-- RecipientOutOfTurn     someone with a lower order has not signed yet
    |   +-- RecipientAlreadySigned
    |   +-- RecipientHasUnsignedFields    a required field has no value: .field_api_id
    |   +-- DisclosureNotAccepted
    |   +-- SignatureRequestClosed it is past the state in which this is possible
    |   +-- DocumentDestroyed
    |   +-- DocumentInUse
    |   +-- LegalHold
    |   +-- UploadClosed
    |   +-- NoRendition
    |   +-- RecipientExpired
    |   +-- RecipientDeclined
    |   +-- LastOwner
    |   +-- RoleCycle
    |   +-- RoleBuiltIn
    |   +-- NothingToDelegate
    |   +-- NotSealed              it ended without a sealed document: .state, .signature_request_id
    |       +-- SignatureRequestDeclined
    |       +-- SignatureRequestCanceled
    |       +-- SignatureRequestExpired
    |       +-- SealingBlocked     all have signed, and sealing fails: .last_reason
    +-- Aborted                    it was changed in the meantime; read it again and retry
    |   +-- EtagMismatch
    |   +-- OffsetMismatch         a chunk does not begin where the previous one ended: .expected_offset
    |   +-- StreamStalled          it was too slow
    +-- ResourceExhausted          a limit was reached: .limit
    |   +-- LimitReached
    |   +-- StorageFull
    |   +-- TrailFull
    +-- Unavailable                the server or something it depends on is unavailable; retry
    |   +-- NotIntegratedYet       no checkpoint covers the event yet; retry within a second
    |   +-- NotWitnessedYet        too few witnesses have cosigned yet; retry in a few seconds
    |   +-- DependencyUnavailable  such as its database: .dependency
    |   +-- TimestampUnavailable
    |   +-- RevocationListExpired
    |   +-- SealCertificateExpired
    |   +-- SealCertificateNotYetValid
    |   +-- SealCertificateRevoked
    |   +-- SealChainIncomplete
    |   +-- SealCertificateUnsuitable
    |   +-- RevocationListMissing
    |   +-- TimestampCertificateExpired
    |   +-- TimestampCertificateRevoked
    |   +-- TimestampChainIncomplete
    |   +-- TimestampCertificateUnsuitable
    +-- DeadlineExceeded           the call took too long; it may still have been carried out
    +-- Cancelled                  the call was cancelled
    +-- DataLoss                   what is stored, or what arrived, is not what was written
    |   +-- StoredDataDamaged
    |   +-- LogDamaged
    +-- Unimplemented              the server is older than this client
    +-- Internal                   a fault in the server: .request_id

Invariants:

* The class depends on the status code and the reason. An unknown reason gets the class of its code, and an unknown
  code gets ``ZegelError``, so that a newer server does not break an ``except`` clause.
* The text is the server's message. It contains no token and no part of a document.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN: Final = "zegel"
"""``ErrorInfo.domain`` in the errors of a Zegel server (AIP-193)."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a ``google.rpc.Status``."""


class Violation(NamedTuple):
    """What is wrong with one field of a request.

    Attributes:
        field: Path of the field in the request, such as ``signers[1].email``.
        description: What is wrong with it, and what would be right: an English sentence for a developer.
    """

    field: str
    description: str


Facts = tuple[str, Mapping[str, str], float | None, tuple[Violation, ...]]
"""Reason, metadata, seconds to wait and violations, from the status details."""


class ZegelError(Exception):
    """A call that did not succeed.

    Args:
        message: One English sentence for a developer.
        code: The status code. Defaults to that of the class.
        reason: Name of a ``zegel.error.v1.ErrorReason`` without its prefix, or one that this version does not know.
        metadata: Details, with the keys documented for the reason in the contract.
        retry_after: Seconds after which to retry, if the server gave them.
        violations: Each field of the request that was found wrong.

    Attributes:
        message: The message.
        code: The status code.
        reason: The reason; compares with :class:`zegel.ErrorReason`. Empty if no Zegel server gave one: nothing
            answered, or a proxy did.
        metadata: The details.
        retry_after: The seconds, or ``None``.
        violations: The fields that were found wrong, with what is wrong with them; empty for other errors.
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
        violations: Iterable[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = tuple(violations)

    def __str__(self) -> str:
        return f"{self.message} [{self.reason or self.code.name}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would pickle without the keyword arguments, and lose them in a process pool, for example.
        names = ("code", "reason", "metadata", "retry_after", "violations")
        facts = {name: getattr(self, name) for name in names}
        return _restore, (type(self), self.message, facts)


class InvalidArgument(ZegelError):
    """A field of the request is wrong."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT

    @property
    def field(self) -> str:
        """Path of the field in the request, such as ``signers[1].email``; empty if the server named none."""
        return self.metadata.get("field", "")


class OutOfRange(InvalidArgument):
    """A position lies past the end of what is there."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class ChecksumMismatch(InvalidArgument):
    """What the server received is not what was sent: a CRC-32C or the SHA-256 does not match."""


class InvalidField(InvalidArgument):
    """The value of a field is not allowed."""


class MissingField(InvalidArgument):
    """A required field is empty."""


class InvalidPageToken(InvalidArgument):
    """The page token comes from another method, or from a call with other arguments."""


class MissingSignatureField(InvalidArgument):
    """A signer has no signature field."""


class SizeMismatch(InvalidArgument):
    """The announced size differs from the size received."""


class ChunkSize(InvalidArgument):
    """A chunk is larger than 1 MiB, or empty."""


class StreamOrder(InvalidArgument):
    """The messages of a stream are in an order that the method does not allow."""


class ResentBytesDiffer(InvalidArgument):
    """Bytes that were sent again differ from those stored at that offset."""


class Unauthenticated(ZegelError):
    """No token, or one that is not valid now."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class SessionRevoked(Unauthenticated):
    """The session or API key was revoked."""


class SessionExpired(Unauthenticated):
    """The session or API key has expired, or the session was idle for too long."""


class SessionMissing(Unauthenticated):
    """The call carried no token."""


class SessionMalformed(Unauthenticated):
    """The token is malformed."""


class SessionUnknown(Unauthenticated):
    """No session or API key has this token."""


class SessionBoundElsewhere(Unauthenticated):
    """The session is bound to another client certificate."""


class LinkSpent(Unauthenticated):
    """The signer link has already been redeemed."""


class LinkExpired(Unauthenticated):
    """The signer link has expired, or the signature or request that it was for is no longer open."""


class LinkRevoked(Unauthenticated):
    """The signer link was revoked, or the API key that it was created with."""


class IdTokenRefused(Unauthenticated):
    """The tenant does not accept the ID token, it was exchanged before, or it belongs to nobody in the tenant."""


class StepUpRequired(Unauthenticated):
    """The caller authenticated too long ago for this: authenticate again and open a new session."""

    @property
    def max_age(self) -> int | None:
        """How long ago one may have authenticated at most, in seconds; ``None`` if the server did not say."""
        return _number(self.metadata.get("max_age", ""))


class PermissionDenied(ZegelError):
    """The session is valid, but none of its permissions allows this."""

    default_code = grpc.StatusCode.PERMISSION_DENIED

    @property
    def permission(self) -> str:
        """The permission that was missing, such as ``document.delete``."""
        return self.metadata.get("permission", "")


class GrantExceedsGranter(PermissionDenied):
    """The call would give someone a permission that the caller does not hold."""


class NotFound(ZegelError):
    """The resource does not exist, or the caller may not see it; the two are not distinguished."""

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
    """The state of the resource does not allow this."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION

    @property
    def state(self) -> str:
        """The state, such as ``CANCELED``; empty if the server did not say."""
        return self.metadata.get("state", "")


class DocumentUnreadable(FailedPrecondition):
    """The document is not a PDF, or is damaged beyond repair."""


class DocumentEncrypted(FailedPrecondition):
    """The document is encrypted, and can be neither shown nor sealed."""


class DocumentTooComplex(FailedPrecondition):
    """The document exceeds the memory, time or number of pages allowed."""


class RecipientOutOfTurn(FailedPrecondition):
    """Someone with a lower order has not signed yet."""


class RecipientAlreadySigned(FailedPrecondition):
    """The signer has already signed."""


class RecipientHasUnsignedFields(FailedPrecondition):
    """A required field of the signer has no value."""

    @property
    def field_api_id(self) -> str:
        """The field's ``api_id``."""
        return self.metadata.get("field_api_id", "")


class DisclosureNotAccepted(FailedPrecondition):
    """The signer has not accepted the electronic record and signature disclosure."""


class SignatureRequestClosed(FailedPrecondition):
    """The signature request is past the state in which this is possible."""


class DocumentDestroyed(FailedPrecondition):
    """The document was deleted, or its key was destroyed."""


class DocumentInUse(FailedPrecondition):
    """A signature request uses the document, so it cannot be deleted now."""


class LegalHold(FailedPrecondition):
    """The resource is under legal hold, and nothing of it may be deleted."""


class UploadClosed(FailedPrecondition):
    """The upload has expired or was canceled."""


class NoRendition(FailedPrecondition):
    """The version of the document has no rendition."""


class RecipientExpired(FailedPrecondition):
    """The signature request has expired, and the recipient can no longer act."""


class RecipientDeclined(FailedPrecondition):
    """The recipient has declined."""


class LastOwner(FailedPrecondition):
    """The change would leave the tenant without an owner who can sign in."""


class RoleCycle(FailedPrecondition):
    """A role would inherit from itself."""


class RoleBuiltIn(FailedPrecondition):
    """A built-in role cannot be changed or deleted."""


class NothingToDelegate(FailedPrecondition):
    """The delegator holds none of the permissions to be delegated."""


class NotSealed(FailedPrecondition):
    """The signature request ended without a sealed document; raised by ``wait_until_sealed`` and its like.

    ``.state`` is the state in which it ended.
    """

    @property
    def signature_request_id(self) -> str:
        """Identifier of the signature request."""
        return self.metadata.get("signature_request_id", "")


class SignatureRequestDeclined(NotSealed):
    """A signer declined."""


class SignatureRequestCanceled(NotSealed):
    """The sender canceled the signature request."""


class SignatureRequestExpired(NotSealed):
    """The signature request expired before everyone had signed."""


class SealingBlocked(NotSealed):
    """Everyone has signed, and sealing failed for a reason that waiting does not resolve: ``.last_reason``.

    The server retries from time to time, and when its operator asks for it.
    """

    @property
    def last_reason(self) -> str:
        """Why the last attempt failed: the name of an ``ErrorReason``."""
        return self.metadata.get("last_reason", "")


class Aborted(ZegelError):
    """The resource was changed in the meantime: read it again and retry."""

    default_code = grpc.StatusCode.ABORTED


class EtagMismatch(Aborted):
    """The resource has changed since the ``etag`` was read."""


class OffsetMismatch(Aborted):
    """A chunk does not begin where the previous one ended."""

    @property
    def expected_offset(self) -> int | None:
        """Offset at which the server expects the next chunk; ``None`` if it did not say."""
        return _number(self.metadata.get("expected_offset", ""))


class StreamStalled(Aborted):
    """The stream was slower than the minimum rate for too long."""


class ResourceExhausted(ZegelError):
    """A limit was reached. Waiting helps if ``retry_after`` is set."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED

    @property
    def limit(self) -> str:
        """The limit's name, such as ``documents_per_request``."""
        return self.metadata.get("limit", "")


class LimitReached(ResourceExhausted):
    """A number, size or rate would exceed what is allowed."""


class StorageFull(ResourceExhausted):
    """Storage is full. Everything that was acknowledged has been stored."""


class TrailFull(ResourceExhausted):
    """The signature request's audit trail takes no more events of this kind from this party."""


class Unavailable(ZegelError):
    """The server, or something it depends on, is unavailable; the same call may succeed later."""

    default_code = grpc.StatusCode.UNAVAILABLE


class NotIntegratedYet(Unavailable):
    """The event is committed, but no checkpoint covers it yet."""


class NotWitnessedYet(Unavailable):
    """Too few witnesses have cosigned a checkpoint that covers what was asked for."""


class DependencyUnavailable(Unavailable):
    """Something that the server depends on does not respond."""

    @property
    def dependency(self) -> str:
        """What does not respond, such as ``database``."""
        return self.metadata.get("dependency", "")


class TimestampUnavailable(Unavailable):
    """The timestamp authority does not answer; the request waits and is retried."""


class RevocationListExpired(Unavailable):
    """A revocation list that a sealed file must contain is out of date; the request waits and is retried."""


class SealCertificateExpired(Unavailable):
    """The certificate of the seal, or of an authority above it, has expired."""


class SealCertificateNotYetValid(Unavailable):
    """The certificate of the seal, or of an authority above it, is not valid yet."""


class SealCertificateRevoked(Unavailable):
    """The certificate of the seal, or of an authority above it, was revoked."""


class SealChainIncomplete(Unavailable):
    """The certificate of the seal does not lead to a root that the operator named."""


class SealCertificateUnsuitable(Unavailable):
    """The certificate of the seal is not one that may seal documents."""


class RevocationListMissing(Unavailable):
    """A certificate revocation list that a sealed file must contain is not there."""


class TimestampCertificateExpired(Unavailable):
    """The certificate of the timestamp authority, or of an authority above it, has expired."""


class TimestampCertificateRevoked(Unavailable):
    """The certificate of the timestamp authority, or of an authority above it, was revoked."""


class TimestampChainIncomplete(Unavailable):
    """The certificate of the timestamp authority does not lead to a root that the operator named."""


class TimestampCertificateUnsuitable(Unavailable):
    """The certificate of the timestamp authority is not one for timestamps, or is not valid yet."""


class DeadlineExceeded(ZegelError):
    """The call took too long. It may still have been carried out."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(ZegelError):
    """The call was cancelled before it ended."""

    default_code = grpc.StatusCode.CANCELLED


class DataLoss(ZegelError):
    """What is stored, or what arrived, is not what was written. Do not use any of it."""

    default_code = grpc.StatusCode.DATA_LOSS


class StoredDataDamaged(DataLoss):
    """Stored data is not what was written."""


class LogDamaged(DataLoss):
    """The log was found to be altered, and none of it is served as valid."""


class Unimplemented(ZegelError):
    """The server does not know the method: it is older than this client, or does not offer it."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ZegelError):
    """A fault in the server."""

    default_code = grpc.StatusCode.INTERNAL

    @property
    def request_id(self) -> str:
        """Identifier by which the server's operator can find the failure."""
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
    "INTERNAL": Internal,
    "RESOURCE_NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": FailedPrecondition,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "OUT_OF_RANGE": OutOfRange,
    "PERMISSION_DENIED": PermissionDenied,
    "UNKNOWN_METHOD": Unimplemented,
    "INVALID_FIELD": InvalidField,
    "MISSING_FIELD": MissingField,
    "INVALID_PAGE_TOKEN": InvalidPageToken,
    "MISSING_SIGNATURE_FIELD": MissingSignatureField,
    "SIZE_MISMATCH": SizeMismatch,
    "CHUNK_SIZE": ChunkSize,
    "STREAM_ORDER": StreamOrder,
    "RESENT_BYTES_DIFFER": ResentBytesDiffer,
    "SESSION_MISSING": SessionMissing,
    "SESSION_MALFORMED": SessionMalformed,
    "SESSION_UNKNOWN": SessionUnknown,
    "SESSION_BOUND_ELSEWHERE": SessionBoundElsewhere,
    "LINK_SPENT": LinkSpent,
    "LINK_EXPIRED": LinkExpired,
    "LINK_REVOKED": LinkRevoked,
    "ID_TOKEN_REFUSED": IdTokenRefused,
    "STEP_UP_REQUIRED": StepUpRequired,
    "GRANT_EXCEEDS_GRANTER": GrantExceedsGranter,
    "DOCUMENT_DESTROYED": DocumentDestroyed,
    "DOCUMENT_IN_USE": DocumentInUse,
    "LEGAL_HOLD": LegalHold,
    "UPLOAD_CLOSED": UploadClosed,
    "NO_RENDITION": NoRendition,
    "RECIPIENT_EXPIRED": RecipientExpired,
    "RECIPIENT_DECLINED": RecipientDeclined,
    "LAST_OWNER": LastOwner,
    "ROLE_CYCLE": RoleCycle,
    "ROLE_BUILT_IN": RoleBuiltIn,
    "NOTHING_TO_DELEGATE": NothingToDelegate,
    "STREAM_STALLED": StreamStalled,
    "LIMIT_REACHED": LimitReached,
    "STORAGE_FULL": StorageFull,
    "TRAIL_FULL": TrailFull,
    "DEPENDENCY_UNAVAILABLE": DependencyUnavailable,
    "TIMESTAMP_UNAVAILABLE": TimestampUnavailable,
    "REVOCATION_LIST_EXPIRED": RevocationListExpired,
    "SEAL_CERTIFICATE_EXPIRED": SealCertificateExpired,
    "SEAL_CERTIFICATE_NOT_YET_VALID": SealCertificateNotYetValid,
    "SEAL_CERTIFICATE_REVOKED": SealCertificateRevoked,
    "SEAL_CHAIN_INCOMPLETE": SealChainIncomplete,
    "SEAL_CERTIFICATE_UNSUITABLE": SealCertificateUnsuitable,
    "REVOCATION_LIST_MISSING": RevocationListMissing,
    "TIMESTAMP_CERTIFICATE_EXPIRED": TimestampCertificateExpired,
    "TIMESTAMP_CERTIFICATE_REVOKED": TimestampCertificateRevoked,
    "TIMESTAMP_CHAIN_INCOMPLETE": TimestampChainIncomplete,
    "TIMESTAMP_CERTIFICATE_UNSUITABLE": TimestampCertificateUnsuitable,
    "STORED_DATA_DAMAGED": StoredDataDamaged,
    "LOG_DAMAGED": LogDamaged,
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
    "ETAG_MISMATCH": EtagMismatch,
    "OFFSET_MISMATCH": OffsetMismatch,
    "NOT_INTEGRATED_YET": NotIntegratedYet,
    "NOT_WITNESSED_YET": NotWitnessedYet,
}
"""The class of each reason: its own, below that of its status code, or that class itself where it says as much."""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def from_call(call: Any) -> ZegelError:
    """Converts a failed gRPC call to a typed error.

    Args:
        call: A ``grpc.RpcError``, synchronous or from ``grpc.aio``. gRPC's own have ``code``, ``details`` and
            ``trailing_metadata``; one that an interceptor of the caller's raises need not.
    """
    code = _told(call, "code") or grpc.StatusCode.UNKNOWN
    reason, metadata, retry_after, violations = _details(_told(call, "trailing_metadata") or ())
    found = BY_CODE.get(code, ZegelError)
    exact = BY_REASON.get(reason)
    if exact is not None and exact.default_code is code:
        found = exact
    message = _told(call, "details") or f"The call failed with {code.name}."
    return found(message, code=code, reason=reason, metadata=metadata, retry_after=retry_after, violations=violations)


def _told(call: Any, name: str) -> Any:
    """What a failed call says under a name; ``None`` if it has no such method."""
    method = getattr(call, name, None)
    return method() if callable(method) else None


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> Facts:
    """Reads the status details. Details that cannot be parsed are ignored; the status code still counts."""
    reason, metadata, retry_after = "", {}, None
    violations: tuple[Violation, ...] = ()
    for key, value in trailing:
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    reason, metadata = info.reason, dict(info.metadata)
                elif detail.Unpack(retry):
                    retry_after = retry.retry_delay.ToMilliseconds() / 1_000
                elif detail.Unpack(bad):
                    violations = tuple(Violation(each.field, each.description) for each in bad.field_violations)
        except DecodeError:
            continue
    return reason, metadata, retry_after, violations


def _restore(kind: type[ZegelError], message: str, facts: Mapping[str, Any]) -> ZegelError:
    return kind(message, **facts)
