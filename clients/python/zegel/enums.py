"""Every enum of the contracts, and every permission, each also a name of ``zegel``. Generated from `protos`.

Values stand without the enum's name before them. A call takes them, and an answer's compare with them.
What travels as a number is an ``IntEnum``: ``zegel.FieldType(field.type).name`` gives an answer's number its
name. What travels by name is a ``StrEnum``: ``error.reason == zegel.ErrorReason.DOCUMENT_ENCRYPTED``.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from zegel._enumeration import OpenEnum

if TYPE_CHECKING:  # a type checker takes them where a message wants the generated enum's values
    from zegel.document.v1 import document_service_pb2
    from zegel.event.v1 import event_type_pb2
    from zegel.identity.v1 import identity_service_pb2
    from zegel.permission.v1 import access_pb2
    from zegel.signing.v1 import signature_request_pb2
    from zegel.signing.v1 import signing_service_pb2

    class _DocumentState(document_service_pb2.DocumentState.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _FoundSignatureKind(document_service_pb2.FoundSignatureKind.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _DocumentContent(document_service_pb2.DocumentContent.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _EventType(event_type_pb2.EventType.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _SessionKind(identity_service_pb2.SessionKind.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _EmailTrust(identity_service_pb2.EmailTrust.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _Scope(access_pb2.Scope.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _SignatureRequestState(signature_request_pb2.SignatureRequestState.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _SignatureStatus(signature_request_pb2.SignatureStatus.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _FieldType(signature_request_pb2.FieldType.ValueType, OpenEnum): ...  # type: ignore[misc]

    class _SignerLinkState(signing_service_pb2.SignerLinkState.ValueType, OpenEnum): ...  # type: ignore[misc]

else:
    _DocumentState = OpenEnum
    _FoundSignatureKind = OpenEnum
    _DocumentContent = OpenEnum
    _EventType = OpenEnum
    _SessionKind = OpenEnum
    _EmailTrust = OpenEnum
    _Scope = OpenEnum
    _SignatureRequestState = OpenEnum
    _SignatureStatus = OpenEnum
    _FieldType = OpenEnum
    _SignerLinkState = OpenEnum


class DocumentState(_DocumentState):
    """The state of a document."""

    UNSPECIFIED = 0
    """Never sent."""

    ACTIVE = 1
    """It can be read."""

    DELETED = 2
    """It was deleted, and can be restored."""

    PURGED = 3
    """Its keys are destroyed: nobody can read it any more."""


class FoundSignatureKind(_FoundSignatureKind):
    """Purpose of a signature found in an original."""

    UNSPECIFIED = 0
    """A purpose that this version does not know."""

    APPROVAL = 1
    """Approval by a person or an organisation."""

    CERTIFICATION = 2
    """A certification, which states what may be changed afterwards."""

    TIMESTAMP = 3
    """A document timestamp."""


class DocumentContent(_DocumentContent):
    """Which of a version's contents."""

    UNSPECIFIED = 0
    """In a request: the original. For a signer: the rendition, or the sealed document itself. Not used in responses."""

    ORIGINAL = 1
    """As it was uploaded, or sealed."""

    RENDITION = 2
    """What signers are shown."""


class ErrorReason(StrEnum):
    """Why a call was refused, in a form for programs.

    Every refusal carries exactly one `google.rpc.ErrorInfo` in its status details. Its `domain` is `zegel`, its
    `reason` is the name of a value below without the `ERROR_REASON_` prefix, and its `metadata` has the keys shown in
    the value's comment. `INVALID_ARGUMENT` always has the metadata key `field`: the path of the field in the request,
    such as `signers[1].email`. A `google.rpc.BadRequest` beside it has a violation for that field first, then one for
    each other field that was found wrong: as many as fit into 4,000 bytes, and at most 50. `CreateSignatureRequest`
    looks at all fields. A client must cope with a reason it does not know, and should then decide by the status code.
    """

    INTERNAL = "INTERNAL"
    """A fault in the server. Status `INTERNAL`. `{"reason": "INTERNAL", "domain": "zegel", "metadata": {"request_id":
    "..."}}`
    """

    INVALID_FIELD = "INVALID_FIELD"
    """A field's value is not allowed. Status `INVALID_ARGUMENT`. `{"reason": "INVALID_FIELD", "domain": "zegel",
    "metadata": {"field": "page_size"}}`
    """

    MISSING_FIELD = "MISSING_FIELD"
    """A required field is empty. Status `INVALID_ARGUMENT`. `{"reason": "MISSING_FIELD", "domain": "zegel", "metadata":
    {"field": "title"}}`
    """

    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"
    """The page token comes from another method, or from a call with other arguments. Status `INVALID_ARGUMENT`.
    `{"reason": "INVALID_PAGE_TOKEN", "domain": "zegel", "metadata": {"field": "page_token"}}`
    """

    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    """The caller used the same `request_id` in this method before, with other arguments. Status `ALREADY_EXISTS`.
    `{"reason": "REQUEST_ID_REUSED", "domain": "zegel", "metadata": {}}`
    """

    ETAG_MISMATCH = "ETAG_MISMATCH"
    """The resource has changed since the `etag` was read: read it again. Status `ABORTED`. `{"reason": "ETAG_MISMATCH",
    "domain": "zegel", "metadata": {}}`
    """

    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    """The resource does not exist, or the caller is not allowed to see it; the two are not distinguished. Status
    `NOT_FOUND`. `{"reason": "RESOURCE_NOT_FOUND", "domain": "zegel", "metadata": {"resource": "document"}}`
    """

    ALREADY_EXISTS = "ALREADY_EXISTS"
    """A resource with that name exists. Status `ALREADY_EXISTS`. `{"reason": "ALREADY_EXISTS", "domain": "zegel",
    "metadata": {"resource": "role"}}`
    """

    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    """The state of the resource does not allow the operation. Status `FAILED_PRECONDITION`. `{"reason":
    "FAILED_PRECONDITION", "domain": "zegel", "metadata": {"state": "CANCELED"}}`
    """

    LIMIT_REACHED = "LIMIT_REACHED"
    """A limit was reached. Status `RESOURCE_EXHAUSTED`, with a `google.rpc.RetryInfo` where waiting helps. `{"reason":
    "LIMIT_REACHED", "domain": "zegel", "metadata": {"limit": "documents_per_request"}}`
    """

    DEPENDENCY_UNAVAILABLE = "DEPENDENCY_UNAVAILABLE"
    """Something that the server depends on does not respond; retry with back-off. Status `UNAVAILABLE`. `{"reason":
    "DEPENDENCY_UNAVAILABLE", "domain": "zegel", "metadata": {"dependency": "database"}}`
    """

    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    """The call took longer than its deadline, or than the limit for its method. Status `DEADLINE_EXCEEDED`. `{"reason":
    "DEADLINE_EXCEEDED", "domain": "zegel", "metadata": {}}`
    """

    OUT_OF_RANGE = "OUT_OF_RANGE"
    """A position lies beyond the end. Status `OUT_OF_RANGE`. `{"reason": "OUT_OF_RANGE", "domain": "zegel", "metadata":
    {"field": "read_offset"}}`
    """

    STORAGE_FULL = "STORAGE_FULL"
    """Storage is full. Everything that was acknowledged has been stored. Status `RESOURCE_EXHAUSTED`. `{"reason":
    "STORAGE_FULL", "domain": "zegel", "metadata": {}}`
    """

    STORED_DATA_DAMAGED = "STORED_DATA_DAMAGED"
    """Stored data is not what was written: a checksum, an authentication tag or a key commitment does not match. Status
    `DATA_LOSS`. `{"reason": "STORED_DATA_DAMAGED", "domain": "zegel", "metadata": {}}`
    """

    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    """There is no method of that name, or this server does not offer it. Status `UNIMPLEMENTED`. `{"reason":
    "UNKNOWN_METHOD", "domain": "zegel", "metadata": {}}`
    """

    SESSION_MISSING = "SESSION_MISSING"
    """The call has no `authorization: Bearer ...` metadata. Status `UNAUTHENTICATED`. `{"reason": "SESSION_MISSING",
    "domain": "zegel", "metadata": {}}`
    """

    SESSION_MALFORMED = "SESSION_MALFORMED"
    """The token is malformed. Status `UNAUTHENTICATED`. `{"reason": "SESSION_MALFORMED", "domain": "zegel", "metadata":
    {}}`
    """

    SESSION_UNKNOWN = "SESSION_UNKNOWN"
    """No session or API key has this token. Status `UNAUTHENTICATED`. `{"reason": "SESSION_UNKNOWN", "domain": "zegel",
    "metadata": {}}`
    """

    SESSION_REVOKED = "SESSION_REVOKED"
    """The session or API key was revoked, or whoever opened a signer's session may no longer do so. Status
    `UNAUTHENTICATED`. `{"reason": "SESSION_REVOKED", "domain": "zegel", "metadata": {}}`
    """

    SESSION_EXPIRED = "SESSION_EXPIRED"
    """The session or API key has expired, or the session was idle for too long. Status `UNAUTHENTICATED`. `{"reason":
    "SESSION_EXPIRED", "domain": "zegel", "metadata": {}}`
    """

    SESSION_BOUND_ELSEWHERE = "SESSION_BOUND_ELSEWHERE"
    """The session is bound to another client certificate. Status `UNAUTHENTICATED`. `{"reason": "SESSION_BOUND_ELSEWHERE",
    "domain": "zegel", "metadata": {}}`
    """

    LINK_SPENT = "LINK_SPENT"
    """The signer link has already been redeemed. Status `UNAUTHENTICATED`. `{"reason": "LINK_SPENT", "domain": "zegel",
    "metadata": {}}`
    """

    LINK_EXPIRED = "LINK_EXPIRED"
    """The signer link has expired, or the signature or request that it was for is no longer open. Status
    `UNAUTHENTICATED`. `{"reason": "LINK_EXPIRED", "domain": "zegel", "metadata": {}}`
    """

    LINK_REVOKED = "LINK_REVOKED"
    """The signer link was revoked, or the API key that it was created with, or whoever created it may no longer do so.
    Status `UNAUTHENTICATED`. `{"reason": "LINK_REVOKED", "domain": "zegel", "metadata": {}}`
    """

    ID_TOKEN_REFUSED = "ID_TOKEN_REFUSED"
    """The tenant does not accept the ID token, it was exchanged before, or it belongs to nobody in the tenant; the three
    are not distinguished. Status `UNAUTHENTICATED`. `{"reason": "ID_TOKEN_REFUSED", "domain": "zegel", "metadata": {}}`
    """

    STEP_UP_REQUIRED = "STEP_UP_REQUIRED"
    """The caller holds the permission, but authenticated longer ago than the tenant allows for it: authenticate again and
    open a new session. `max_age` is in seconds. Status `UNAUTHENTICATED`. `{"reason": "STEP_UP_REQUIRED", "domain":
    "zegel", "metadata": {"permission": "document.purge", "max_age": "300"}}`
    """

    PERMISSION_DENIED = "PERMISSION_DENIED"
    """No role of the caller holds the permission that the method requires. Checked before any resource is looked up.
    Status `PERMISSION_DENIED`. `{"reason": "PERMISSION_DENIED", "domain": "zegel", "metadata": {"permission":
    "document.delete"}}`
    """

    GRANT_EXCEEDS_GRANTER = "GRANT_EXCEEDS_GRANTER"
    """The call would give someone a permission that the caller does not hold. Status `PERMISSION_DENIED`. `{"reason":
    "GRANT_EXCEEDS_GRANTER", "domain": "zegel", "metadata": {"permission": "member.create"}}`
    """

    LAST_OWNER = "LAST_OWNER"
    """The change would leave the tenant without an owner who can sign in: an unrestricted API key that does not expire or,
    if the tenant has an identity provider, a member. Status `FAILED_PRECONDITION`. `{"reason": "LAST_OWNER", "domain":
    "zegel", "metadata": {}}`
    """

    ROLE_CYCLE = "ROLE_CYCLE"
    """A role would inherit from itself. Status `FAILED_PRECONDITION`. `{"reason": "ROLE_CYCLE", "domain": "zegel",
    "metadata": {"role": "reviewer"}}`
    """

    ROLE_BUILT_IN = "ROLE_BUILT_IN"
    """A built-in role cannot be changed or deleted. Status `FAILED_PRECONDITION`. `{"reason": "ROLE_BUILT_IN", "domain":
    "zegel", "metadata": {"role": "admin"}}`
    """

    NOTHING_TO_DELEGATE = "NOTHING_TO_DELEGATE"
    """The delegator holds none of the permissions to be delegated. Status `FAILED_PRECONDITION`. `{"reason":
    "NOTHING_TO_DELEGATE", "domain": "zegel", "metadata": {}}`
    """

    OFFSET_MISMATCH = "OFFSET_MISMATCH"
    """A chunk does not begin where the previous one ended. Status `ABORTED`; call `GetUpload` to find where to continue.
    `{"reason": "OFFSET_MISMATCH", "domain": "zegel", "metadata": {"expected_offset": "1048520"}}`
    """

    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    """A CRC-32C or SHA-256 does not match the bytes received. Status `INVALID_ARGUMENT`. `{"reason": "CHECKSUM_MISMATCH",
    "domain": "zegel", "metadata": {"field": "chunk.crc32c"}}`
    """

    SIZE_MISMATCH = "SIZE_MISMATCH"
    """The announced size differs from the size received. Status `INVALID_ARGUMENT`. `{"reason": "SIZE_MISMATCH", "domain":
    "zegel", "metadata": {"field": "finish.size"}}`
    """

    CHUNK_SIZE = "CHUNK_SIZE"
    """A chunk is larger than 1 MiB, or empty. Status `INVALID_ARGUMENT`. `{"reason": "CHUNK_SIZE", "domain": "zegel",
    "metadata": {"field": "chunk.data"}}`
    """

    STREAM_ORDER = "STREAM_ORDER"
    """The messages of a stream are in an order that the method does not allow. Status `INVALID_ARGUMENT`. `{"reason":
    "STREAM_ORDER", "domain": "zegel", "metadata": {"field": "spec"}}`
    """

    DOCUMENT_UNREADABLE = "DOCUMENT_UNREADABLE"
    """The document is not a PDF, or is damaged beyond repair. Status `FAILED_PRECONDITION`. `{"reason":
    "DOCUMENT_UNREADABLE", "domain": "zegel", "metadata": {}}`
    """

    DOCUMENT_ENCRYPTED = "DOCUMENT_ENCRYPTED"
    """The document is encrypted, and can be neither shown nor sealed. Status `FAILED_PRECONDITION`. `{"reason":
    "DOCUMENT_ENCRYPTED", "domain": "zegel", "metadata": {}}`
    """

    DOCUMENT_TOO_COMPLEX = "DOCUMENT_TOO_COMPLEX"
    """The document, or all documents of a signature request together, exceed the memory, time or number of pages allowed;
    `detail` says which. Status `FAILED_PRECONDITION`. `{"reason": "DOCUMENT_TOO_COMPLEX", "domain": "zegel",
    "metadata": {"detail": "too_many_pages"}}`
    """

    DOCUMENT_DESTROYED = "DOCUMENT_DESTROYED"
    """The document was deleted, or its key was destroyed. Status `FAILED_PRECONDITION`. `{"reason": "DOCUMENT_DESTROYED",
    "domain": "zegel", "metadata": {}}`
    """

    DOCUMENT_IN_USE = "DOCUMENT_IN_USE"
    """A signature request uses the document, so it cannot be deleted now. Status `FAILED_PRECONDITION`. `{"reason":
    "DOCUMENT_IN_USE", "domain": "zegel", "metadata": {}}`
    """

    LEGAL_HOLD = "LEGAL_HOLD"
    """The resource is under legal hold, and nothing of it may be deleted. Planned: there are no legal holds yet, and no
    call fails with it. Status `FAILED_PRECONDITION`. `{"reason": "LEGAL_HOLD", "domain": "zegel", "metadata": {}}`
    """

    UPLOAD_CLOSED = "UPLOAD_CLOSED"
    """The upload has expired or was canceled. Status `FAILED_PRECONDITION`. `{"reason": "UPLOAD_CLOSED", "domain":
    "zegel", "metadata": {}}`
    """

    RESENT_BYTES_DIFFER = "RESENT_BYTES_DIFFER"
    """Bytes that were sent again differ from the bytes stored at that offset. Status `INVALID_ARGUMENT`. `{"reason":
    "RESENT_BYTES_DIFFER", "domain": "zegel", "metadata": {"field": "chunk.data"}}`
    """

    STREAM_STALLED = "STREAM_STALLED"
    """The stream was slower than the minimum rate for too long. Status `ABORTED`; resume it. `{"reason": "STREAM_STALLED",
    "domain": "zegel", "metadata": {}}`
    """

    NO_RENDITION = "NO_RENDITION"
    """The version has no rendition: it is too large to be signed, is a sealed document, or dates from before renditions
    existed and has not been sent since. Status `FAILED_PRECONDITION`. `{"reason": "NO_RENDITION", "domain": "zegel",
    "metadata": {}}`
    """

    RECIPIENT_ALREADY_SIGNED = "RECIPIENT_ALREADY_SIGNED"
    """The recipient has already signed. Status `FAILED_PRECONDITION`. `{"reason": "RECIPIENT_ALREADY_SIGNED", "domain":
    "zegel", "metadata": {}}`
    """

    RECIPIENT_OUT_OF_TURN = "RECIPIENT_OUT_OF_TURN"
    """It is not the recipient's turn: someone with a lower order has not signed yet. Status `FAILED_PRECONDITION`.
    `{"reason": "RECIPIENT_OUT_OF_TURN", "domain": "zegel", "metadata": {}}`
    """

    RECIPIENT_HAS_UNSIGNED_FIELDS = "RECIPIENT_HAS_UNSIGNED_FIELDS"
    """A required field of the recipient has no value. Status `FAILED_PRECONDITION`. `{"reason":
    "RECIPIENT_HAS_UNSIGNED_FIELDS", "domain": "zegel", "metadata": {"field_api_id": "sign-here"}}`
    """

    RECIPIENT_EXPIRED = "RECIPIENT_EXPIRED"
    """The signature request has expired, and the recipient can no longer act. Status `FAILED_PRECONDITION`. `{"reason":
    "RECIPIENT_EXPIRED", "domain": "zegel", "metadata": {}}`
    """

    RECIPIENT_DECLINED = "RECIPIENT_DECLINED"
    """The recipient has declined. Status `FAILED_PRECONDITION`. `{"reason": "RECIPIENT_DECLINED", "domain": "zegel",
    "metadata": {}}`
    """

    MISSING_SIGNATURE_FIELD = "MISSING_SIGNATURE_FIELD"
    """A signer has no signature field. Status `INVALID_ARGUMENT`. `{"reason": "MISSING_SIGNATURE_FIELD", "domain":
    "zegel", "metadata": {"field": "signers[0]"}}`
    """

    DISCLOSURE_NOT_ACCEPTED = "DISCLOSURE_NOT_ACCEPTED"
    """The signer has not accepted the electronic record and signature disclosure. Status `FAILED_PRECONDITION`.
    `{"reason": "DISCLOSURE_NOT_ACCEPTED", "domain": "zegel", "metadata": {}}`
    """

    SIGNATURE_REQUEST_CLOSED = "SIGNATURE_REQUEST_CLOSED"
    """The signature request is past the state in which the operation is possible. Status `FAILED_PRECONDITION`.
    `{"reason": "SIGNATURE_REQUEST_CLOSED", "domain": "zegel", "metadata": {"state": "CANCELED"}}`
    """

    TIMESTAMP_UNAVAILABLE = "TIMESTAMP_UNAVAILABLE"
    """The timestamp authority does not answer; the request waits and is retried. Status `UNAVAILABLE`. `{"reason":
    "TIMESTAMP_UNAVAILABLE", "domain": "zegel", "metadata": {}}`
    """

    REVOCATION_LIST_EXPIRED = "REVOCATION_LIST_EXPIRED"
    """A certificate revocation list that a sealed file must contain is past its next update, and the operator has not
    renewed it; the request waits and is retried. Status `UNAVAILABLE`. `{"reason": "REVOCATION_LIST_EXPIRED", "domain":
    "zegel", "metadata": {}}`
    """

    SEAL_CERTIFICATE_EXPIRED = "SEAL_CERTIFICATE_EXPIRED"
    """The certificate of the seal, or of an authority above it, has expired; the request waits and is retried. Status
    `UNAVAILABLE`. `{"reason": "SEAL_CERTIFICATE_EXPIRED", "domain": "zegel", "metadata": {}}`
    """

    SEAL_CERTIFICATE_NOT_YET_VALID = "SEAL_CERTIFICATE_NOT_YET_VALID"
    """The certificate of the seal, or of an authority above it, is not valid yet; the request waits and is retried. Status
    `UNAVAILABLE`. `{"reason": "SEAL_CERTIFICATE_NOT_YET_VALID", "domain": "zegel", "metadata": {}}`
    """

    SEAL_CERTIFICATE_REVOKED = "SEAL_CERTIFICATE_REVOKED"
    """The certificate of the seal, or of an authority above it, was revoked; the request waits and is retried. Status
    `UNAVAILABLE`. `{"reason": "SEAL_CERTIFICATE_REVOKED", "domain": "zegel", "metadata": {}}`
    """

    SEAL_CHAIN_INCOMPLETE = "SEAL_CHAIN_INCOMPLETE"
    """The certificate of the seal does not lead to a root that the operator named; the request waits and is retried.
    Status `UNAVAILABLE`. `{"reason": "SEAL_CHAIN_INCOMPLETE", "domain": "zegel", "metadata": {}}`
    """

    SEAL_CERTIFICATE_UNSUITABLE = "SEAL_CERTIFICATE_UNSUITABLE"
    """The certificate of the seal is not one that may seal documents; the request waits and is retried. Status
    `UNAVAILABLE`. `{"reason": "SEAL_CERTIFICATE_UNSUITABLE", "domain": "zegel", "metadata": {}}`
    """

    REVOCATION_LIST_MISSING = "REVOCATION_LIST_MISSING"
    """A certificate revocation list that a sealed file must contain is not there; the request waits and is retried. Status
    `UNAVAILABLE`. `{"reason": "REVOCATION_LIST_MISSING", "domain": "zegel", "metadata": {}}`
    """

    TIMESTAMP_CERTIFICATE_EXPIRED = "TIMESTAMP_CERTIFICATE_EXPIRED"
    """The certificate of the timestamp authority, or of an authority above it, has expired; the request waits and is
    retried. Status `UNAVAILABLE`. `{"reason": "TIMESTAMP_CERTIFICATE_EXPIRED", "domain": "zegel", "metadata": {}}`
    """

    TIMESTAMP_CERTIFICATE_REVOKED = "TIMESTAMP_CERTIFICATE_REVOKED"
    """The certificate of the timestamp authority, or of an authority above it, was revoked; the request waits and is
    retried. Status `UNAVAILABLE`. `{"reason": "TIMESTAMP_CERTIFICATE_REVOKED", "domain": "zegel", "metadata": {}}`
    """

    TIMESTAMP_CHAIN_INCOMPLETE = "TIMESTAMP_CHAIN_INCOMPLETE"
    """The certificate of the timestamp authority does not lead to a root that the operator named; the request waits and is
    retried. Status `UNAVAILABLE`. `{"reason": "TIMESTAMP_CHAIN_INCOMPLETE", "domain": "zegel", "metadata": {}}`
    """

    TIMESTAMP_CERTIFICATE_UNSUITABLE = "TIMESTAMP_CERTIFICATE_UNSUITABLE"
    """The certificate of the timestamp authority is not one for timestamps, or is not valid yet; the request waits and is
    retried. Status `UNAVAILABLE`. `{"reason": "TIMESTAMP_CERTIFICATE_UNSUITABLE", "domain": "zegel", "metadata": {}}`
    """

    NOT_INTEGRATED_YET = "NOT_INTEGRATED_YET"
    """The event is committed, but no checkpoint covers it yet; retry within a second. Status `UNAVAILABLE`. `{"reason":
    "NOT_INTEGRATED_YET", "domain": "zegel", "metadata": {}}`
    """

    LOG_DAMAGED = "LOG_DAMAGED"
    """The log was found to be altered, and none of it is served as valid. Status `DATA_LOSS`. `{"reason": "LOG_DAMAGED",
    "domain": "zegel", "metadata": {}}`
    """

    NOT_WITNESSED_YET = "NOT_WITNESSED_YET"
    """The operator requires cosignatures of witnesses, and too few have cosigned a checkpoint that covers what was asked
    for; retry in a few seconds. Status `UNAVAILABLE`. `{"reason": "NOT_WITNESSED_YET", "domain": "zegel", "metadata":
    {}}`
    """

    TRAIL_FULL = "TRAIL_FULL"
    """The signature request's audit trail takes no more events of this kind from this party: 1,000 fills and downloads per
    signer; 5,000 sessions, links and changes of expiry on the sender's side. Signing, declining and canceling remain
    possible. Also used if a trail has more events than evidence can hold. Status `RESOURCE_EXHAUSTED`; waiting does not
    help. `{"reason": "TRAIL_FULL", "domain": "zegel", "metadata": {"limit": "events_of_request"}}`
    """


class EventType(_EventType):
    """What happened. Servers record only these types, but a client must cope with a value it does not know."""

    UNSPECIFIED = 0
    """Never recorded."""

    TENANT_CREATED = 1
    """A tenant was created."""

    TENANT_UPDATED = 2
    """A tenant was changed."""

    MEMBER_CREATED = 3
    """A member was added."""

    MEMBER_UPDATED = 4
    """A member's name or address was changed."""

    MEMBER_DELETED = 5
    """A member was removed."""

    API_KEY_CREATED = 6
    """An API key was created."""

    API_KEY_REVOKED = 7
    """An API key was revoked."""

    SIGNED_IN = 8
    """A session was opened for a member."""

    SIGN_IN_FAILED = 9
    """An ID token was refused. Repetitions within ten seconds are only counted."""

    SESSION_REVOKED = 10
    """A session was revoked."""

    ACCESS_DENIED = 11
    """A call was refused by policy."""

    KEY_PROVIDER_CHANGED = 12
    """The tenant's keys were moved to another key provider: its own, or back to the installation's."""

    API_KEY_ROTATED = 13
    """An API key got a new token."""

    IDENTITY_PROVIDER_SET = 14
    """The tenant's identity provider was set."""

    IDENTITY_PROVIDER_DELETED = 15
    """The tenant's identity provider was removed."""

    STEP_UP_REQUIRED = 16
    """A call was refused because the session authenticated too long ago for a permission that the tenant treats as
    sensitive.
    """

    ROLE_CREATED = 20
    """A role was defined."""

    ROLE_UPDATED = 21
    """A role was changed."""

    ROLE_DELETED = 22
    """A role was deleted."""

    ROLE_GRANTED = 23
    """A role was granted to a principal."""

    ROLE_TAKEN = 24
    """A role was taken from a principal."""

    TEAM_CREATED = 25
    """A team was created."""

    TEAM_UPDATED = 26
    """A team's name was changed."""

    TEAM_DELETED = 27
    """A team was deleted."""

    TEAM_MEMBER_ADDED = 28
    """A principal was added to a team."""

    TEAM_MEMBER_REMOVED = 29
    """A principal was removed from a team."""

    DELEGATION_CREATED = 30
    """A member delegated access to its own resources to another member."""

    DELEGATION_ENDED = 31
    """A delegation was ended before it expired."""

    UPLOAD_STARTED = 40
    """An upload was opened."""

    UPLOAD_CANCELED = 41
    """An upload was canceled, or expired."""

    DOCUMENT_UPLOADED = 42
    """A document, or a new version of one, was uploaded."""

    DOCUMENT_DOWNLOADED = 43
    """A document, or a range of it, was downloaded."""

    DOCUMENT_UPDATED = 44
    """A document's title was changed."""

    DOCUMENT_DELETED = 45
    """A document was deleted."""

    DOCUMENT_UNDELETED = 46
    """A deleted document was restored."""

    DOCUMENT_PURGED = 47
    """A document's keys were destroyed."""

    DOCUMENT_MOVED = 48
    """A document changed owner."""

    SIGNATURE_REQUEST_SENT = 60
    """A signature request was sent."""

    SIGNATURE_REQUEST_VIEWED = 61
    """A signer opened the request for the first time."""

    DISCLOSURE_ACCEPTED = 62
    """A signer accepted the electronic record and signature disclosure."""

    FIELDS_FILLED = 63
    """A signer filled in fields."""

    SIGNATURE_REQUEST_SIGNED = 64
    """A signer signed."""

    SIGNATURE_REQUEST_DECLINED = 65
    """A signer declined."""

    SIGNATURE_REQUEST_ALL_SIGNED = 66
    """Everyone had signed."""

    SIGNATURE_REQUEST_DOWNLOADABLE = 67
    """The sealed document was created."""

    SIGNATURE_REQUEST_CANCELED = 68
    """The sender canceled the request."""

    SIGNATURE_REQUEST_EXPIRED = 69
    """The request expired."""

    EXPIRY_EDITED = 70
    """The request's expiry was changed."""

    SIGNER_SESSION_CREATED = 71
    """A session was opened for a signer."""

    SIGNER_LINK_CREATED = 72
    """A link was created for a signer."""

    SIGNER_LINK_REDEEMED = 73
    """A signer link was exchanged for a session."""

    SIGNER_LINK_REVOKED = 74
    """A signer link was revoked, together with the session it was exchanged for."""

    SIGNATURE_REQUEST_MOVED = 75
    """A signature request changed owner."""

    SEAL_CERTIFICATE_CHANGED = 76
    """The request will be sealed with a different certificate than the one announced when everyone had signed."""

    SIGNATURE_REQUEST_INVALID = 77
    """The request could not be sealed, for a reason that waiting does not resolve. Recorded once, whatever follows."""


class SessionKind(_SessionKind):
    """What kind of principal a session acts as."""

    UNSPECIFIED = 0
    """Never sent."""

    API_KEY = 1
    """An API key itself."""

    MEMBER = 2
    """A member."""

    SIGNER = 3
    """A signer of one signature request."""


class EmailTrust(_EmailTrust):
    """What is believed of a mail address in an ID token. It matters only until a member is linked to an account."""

    UNSPECIFIED = 0
    """As `EMAIL_TRUST_VERIFIED`."""

    VERIFIED = 1
    """The address is the person's if the claim `email_verified` says so: `true`, or the text "true" in any case."""

    UNLESS_DENIED = 2
    """The address is also the person's if the claim is absent, as with Microsoft Entra. Only for a provider whose
    administrators alone set addresses: anybody who can choose one could become the member who has it.
    """

    NEVER = 3
    """No address is believed. Members sign in only with accounts that they are linked to; see `Member.subject`."""


class Scope(_Scope):
    """Whose resources a permission applies to."""

    UNSPECIFIED = 0
    """Never sent."""

    OWN = 1
    """What the caller itself owns. For documents, signature requests and their audit trails, also what its teams own and
    what is delegated to it.
    """

    PARTY = 2
    """What the caller is a party to: what is shared with it, or for it to sign."""

    ANY = 3
    """Everything in the tenant."""


class SignatureRequestState(_SignatureRequestState):
    """The state of a signature request.

    `AWAITING_SIGNATURES` -> `ALL_SIGNED` -> `DOWNLOADABLE`, or from `AWAITING_SIGNATURES` to `DECLINED`, `CANCELED` or
    `EXPIRED`. Between `ALL_SIGNED` and `DOWNLOADABLE` the document is being sealed.
    """

    UNSPECIFIED = 0
    """Never sent."""

    AWAITING_SIGNATURES = 1
    """At least one signer has not acted yet."""

    ALL_SIGNED = 2
    """Everyone has signed, and the document is being sealed. It stays in this state while no trusted timestamp is
    available.
    """

    DOWNLOADABLE = 3
    """The sealed document exists."""

    DECLINED = 4
    """A signer declined."""

    CANCELED = 5
    """The sender canceled it."""

    EXPIRED = 6
    """It expired before everyone had signed."""


class SignatureStatus(_SignatureStatus):
    """The status of one signer's signature."""

    UNSPECIFIED = 0
    """Never sent."""

    AWAITING_SIGNATURE = 1
    """It is this signer's turn."""

    ON_HOLD = 2
    """Others have to sign first."""

    SIGNED = 3
    """The signer has signed."""

    DECLINED = 4
    """The signer has declined."""

    EXPIRED = 5
    """The request expired or was canceled before the signer signed."""


class FieldType(_FieldType):
    """What a field contains."""

    UNSPECIFIED = 0
    """Never sent."""

    SIGNATURE = 1
    """The signer's signature."""

    INITIALS = 2
    """The signer's initials."""

    DATE_SIGNED = 3
    """The day on which the signer signs, in the signer's time zone, with that zone's name, such as `2026-11-29
    Pacific/Auckland`; filled in by Zegel when the signer signs. The box must be large enough to print that in 4 points,
    on as many lines as fit.
    """

    TEXT = 4
    """A line of text."""

    CHECKBOX = 5
    """A box to tick."""


class SignerLinkState(_SignerLinkState):
    """The state of a signer link."""

    UNSPECIFIED = 0
    """Never sent."""

    ISSUED = 1
    """It can be exchanged for a session."""

    REDEEMED = 2
    """It was exchanged for a session, and cannot be used again."""

    REVOKED = 3
    """It was revoked, together with the session it was exchanged for, if any; or whoever created it may no longer do so.
    """

    EXPIRED = 4
    """It ended without being redeemed: it expired, or its signature is no longer awaited."""


class Permission(StrEnum):
    """What a role may allow: every permission that a method of the contracts demands."""

    API_KEY_CREATE = "api_key.create"
    """Demanded by `CreateApiKey`."""

    API_KEY_READ = "api_key.read"
    """Demanded by `ListApiKeys`."""

    API_KEY_REVOKE = "api_key.revoke"
    """Demanded by `RevokeApiKey`."""

    API_KEY_ROTATE = "api_key.rotate"
    """Demanded by `RotateApiKey`."""

    AUDIT_READ = "audit.read"
    """Demanded by `ListEvents`, `WatchEvents`, `GetTransaction`, `GetInclusionProof`."""

    BINDING_GRANT = "binding.grant"
    """Demanded by `GrantRole`."""

    BINDING_READ = "binding.read"
    """Demanded by `ListBindings`."""

    BINDING_TAKE = "binding.take"
    """Demanded by `TakeRole`."""

    CEREMONY_OPEN = "ceremony.open"
    """Demanded by `OpenCeremony`."""

    CEREMONY_READ = "ceremony.read"
    """Demanded by `GetCeremony`."""

    CEREMONY_SIGN = "ceremony.sign"
    """Demanded by `AcceptDisclosure`, `FillFields`, `SignDocuments`, `DeclineSignature`."""

    DELEGATION_CREATE = "delegation.create"
    """Demanded by `CreateDelegation`."""

    DELEGATION_END = "delegation.end"
    """Demanded by `EndDelegation`."""

    DELEGATION_READ = "delegation.read"
    """Demanded by `ListDelegations`."""

    DOCUMENT_CREATE = "document.create"
    """Demanded by `StartUpload`, `GetUpload`, `CancelUpload`, `UploadDocument`."""

    DOCUMENT_DELETE = "document.delete"
    """Demanded by `DeleteDocument`, `UndeleteDocument`."""

    DOCUMENT_DOWNLOAD = "document.download"
    """Demanded by `DownloadDocument`."""

    DOCUMENT_MOVE = "document.move"
    """Demanded by `MoveDocument`."""

    DOCUMENT_PURGE = "document.purge"
    """Demanded by `PurgeDocument`."""

    DOCUMENT_READ = "document.read"
    """Demanded by `GetDocument`, `ListDocuments`."""

    DOCUMENT_UPDATE = "document.update"
    """Demanded by `UpdateDocument`."""

    IDENTITY_PROVIDER_READ = "identity_provider.read"
    """Demanded by `GetIdentityProvider`."""

    IDENTITY_PROVIDER_UPDATE = "identity_provider.update"
    """Demanded by `SetIdentityProvider`, `DeleteIdentityProvider`."""

    LOG_READ = "log.read"
    """Demanded by `GetCheckpoint`, `GetConsistencyProof`."""

    MEMBER_CREATE = "member.create"
    """Demanded by `CreateMember`."""

    MEMBER_DELETE = "member.delete"
    """Demanded by `DeleteMember`."""

    MEMBER_READ = "member.read"
    """Demanded by `GetMember`, `ListMembers`."""

    MEMBER_UPDATE = "member.update"
    """Demanded by `UpdateMember`."""

    PERMISSION_CHECK = "permission.check"
    """Demanded by `CheckPermissions`, `ListPermissions`."""

    PERMISSION_EXPLAIN = "permission.explain"
    """Demanded by `ExplainPermission`."""

    ROLE_CREATE = "role.create"
    """Demanded by `CreateRole`."""

    ROLE_DELETE = "role.delete"
    """Demanded by `DeleteRole`."""

    ROLE_READ = "role.read"
    """Demanded by `ListRoles`, `GetRole`."""

    ROLE_UPDATE = "role.update"
    """Demanded by `UpdateRole`."""

    SESSION_CREATE = "session.create"
    """Demanded by `CreateSession`."""

    SESSION_EXCHANGE = "session.exchange"
    """Demanded by `ExchangeToken`."""

    SESSION_INTROSPECT = "session.introspect"
    """Demanded by `GetCurrentSession`."""

    SESSION_READ = "session.read"
    """Demanded by `ListSessions`."""

    SESSION_REVOKE = "session.revoke"
    """Demanded by `RevokeSession`."""

    SIGNATURE_REQUEST_CANCEL = "signature_request.cancel"
    """Demanded by `CancelSignatureRequest`."""

    SIGNATURE_REQUEST_CREATE = "signature_request.create"
    """Demanded by `CreateSignatureRequest`."""

    SIGNATURE_REQUEST_MOVE = "signature_request.move"
    """Demanded by `MoveSignatureRequest`."""

    SIGNATURE_REQUEST_OPEN = "signature_request.open"
    """Demanded by `CreateSignerSession`, `CreateSignerLink`, `RevokeSignerLink`."""

    SIGNATURE_REQUEST_READ = "signature_request.read"
    """Demanded by `GetSignatureRequest`, `ListSignatureRequests`, `ListSignerLinks`."""

    SIGNATURE_REQUEST_UPDATE = "signature_request.update"
    """Demanded by `UpdateSignatureRequest`."""

    TEAM_CREATE = "team.create"
    """Demanded by `CreateTeam`."""

    TEAM_DELETE = "team.delete"
    """Demanded by `DeleteTeam`."""

    TEAM_READ = "team.read"
    """Demanded by `GetTeam`, `ListTeams`, `ListTeamMembers`."""

    TEAM_UPDATE = "team.update"
    """Demanded by `UpdateTeam`, `AddTeamMember`, `RemoveTeamMember`."""

    TENANT_CREATE = "tenant.create"
    """Demanded by `CreateTenant`."""

    TENANT_READ = "tenant.read"
    """Demanded by `GetTenant`."""

    TENANT_UPDATE = "tenant.update"
    """Demanded by `UpdateTenant`."""
