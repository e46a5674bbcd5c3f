"""Where each flat name of ``zegel`` is loaded from. Generated from `protos` and `zegel/errors.py`."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration as Duration
    from google.protobuf.field_mask_pb2 import FieldMask as FieldMask
    from google.protobuf.timestamp_pb2 import Timestamp as Timestamp
    from zegel.audit.v1.audit_service_pb2 import Event as Event
    from zegel.audit.v1.audit_service_pb2 import EventDocument as EventDocument
    from zegel.audit.v1.audit_service_pb2 import GetCheckpointRequest as GetCheckpointRequest
    from zegel.audit.v1.audit_service_pb2 import GetCheckpointResponse as GetCheckpointResponse
    from zegel.audit.v1.audit_service_pb2 import GetConsistencyProofRequest as GetConsistencyProofRequest
    from zegel.audit.v1.audit_service_pb2 import GetConsistencyProofResponse as GetConsistencyProofResponse
    from zegel.audit.v1.audit_service_pb2 import GetInclusionProofRequest as GetInclusionProofRequest
    from zegel.audit.v1.audit_service_pb2 import GetInclusionProofResponse as GetInclusionProofResponse
    from zegel.audit.v1.audit_service_pb2 import GetTransactionRequest as GetTransactionRequest
    from zegel.audit.v1.audit_service_pb2 import GetTransactionResponse as GetTransactionResponse
    from zegel.audit.v1.audit_service_pb2 import ListEventsRequest as ListEventsRequest
    from zegel.audit.v1.audit_service_pb2 import ListEventsResponse as ListEventsResponse
    from zegel.audit.v1.audit_service_pb2 import PersonalData as PersonalData
    from zegel.audit.v1.audit_service_pb2 import WatchEventsRequest as WatchEventsRequest
    from zegel.audit.v1.audit_service_pb2 import WatchEventsResponse as WatchEventsResponse
    from zegel.document.v1.document_service_pb2 import CancelUploadRequest as CancelUploadRequest
    from zegel.document.v1.document_service_pb2 import CancelUploadResponse as CancelUploadResponse
    from zegel.document.v1.document_service_pb2 import Chunk as Chunk
    from zegel.document.v1.document_service_pb2 import ClientEncryptedStream as ClientEncryptedStream
    from zegel.document.v1.document_service_pb2 import ClientEncryption as ClientEncryption
    from zegel.document.v1.document_service_pb2 import DeleteDocumentRequest as DeleteDocumentRequest
    from zegel.document.v1.document_service_pb2 import DeleteDocumentResponse as DeleteDocumentResponse
    from zegel.document.v1.document_service_pb2 import Document as Document
    from zegel.document.v1.document_service_pb2 import DocumentFindings as DocumentFindings
    from zegel.document.v1.document_service_pb2 import DocumentRendition as DocumentRendition
    from zegel.document.v1.document_service_pb2 import DocumentVersion as DocumentVersion
    from zegel.document.v1.document_service_pb2 import DownloadDocumentRequest as DownloadDocumentRequest
    from zegel.document.v1.document_service_pb2 import DownloadDocumentResponse as DownloadDocumentResponse
    from zegel.document.v1.document_service_pb2 import DownloadStart as DownloadStart
    from zegel.document.v1.document_service_pb2 import FinishUpload as FinishUpload
    from zegel.document.v1.document_service_pb2 import FoundSignature as FoundSignature
    from zegel.document.v1.document_service_pb2 import GetDocumentRequest as GetDocumentRequest
    from zegel.document.v1.document_service_pb2 import GetDocumentResponse as GetDocumentResponse
    from zegel.document.v1.document_service_pb2 import GetUploadRequest as GetUploadRequest
    from zegel.document.v1.document_service_pb2 import GetUploadResponse as GetUploadResponse
    from zegel.document.v1.document_service_pb2 import ListDocumentsRequest as ListDocumentsRequest
    from zegel.document.v1.document_service_pb2 import ListDocumentsResponse as ListDocumentsResponse
    from zegel.document.v1.document_service_pb2 import MoveDocumentRequest as MoveDocumentRequest
    from zegel.document.v1.document_service_pb2 import MoveDocumentResponse as MoveDocumentResponse
    from zegel.document.v1.document_service_pb2 import Page as Page
    from zegel.document.v1.document_service_pb2 import PageDifference as PageDifference
    from zegel.document.v1.document_service_pb2 import PurgeDocumentRequest as PurgeDocumentRequest
    from zegel.document.v1.document_service_pb2 import PurgeDocumentResponse as PurgeDocumentResponse
    from zegel.document.v1.document_service_pb2 import StartUploadRequest as StartUploadRequest
    from zegel.document.v1.document_service_pb2 import StartUploadResponse as StartUploadResponse
    from zegel.document.v1.document_service_pb2 import UndeleteDocumentRequest as UndeleteDocumentRequest
    from zegel.document.v1.document_service_pb2 import UndeleteDocumentResponse as UndeleteDocumentResponse
    from zegel.document.v1.document_service_pb2 import UpdateDocumentRequest as UpdateDocumentRequest
    from zegel.document.v1.document_service_pb2 import UpdateDocumentResponse as UpdateDocumentResponse
    from zegel.document.v1.document_service_pb2 import Upload as Upload
    from zegel.document.v1.document_service_pb2 import UploadDocumentRequest as UploadDocumentRequest
    from zegel.document.v1.document_service_pb2 import UploadDocumentResponse as UploadDocumentResponse
    from zegel.document.v1.document_service_pb2 import UploadSpec as UploadSpec
    from zegel.enums import DocumentContent as DocumentContent
    from zegel.enums import DocumentState as DocumentState
    from zegel.enums import EmailTrust as EmailTrust
    from zegel.enums import ErrorReason as ErrorReason
    from zegel.enums import EventType as EventType
    from zegel.enums import FieldType as FieldType
    from zegel.enums import FoundSignatureKind as FoundSignatureKind
    from zegel.enums import Permission as Permission
    from zegel.enums import Scope as Scope
    from zegel.enums import SessionKind as SessionKind
    from zegel.enums import SignatureRequestState as SignatureRequestState
    from zegel.enums import SignatureStatus as SignatureStatus
    from zegel.enums import SignerLinkState as SignerLinkState
    from zegel.errors import Aborted as Aborted
    from zegel.errors import AlreadyExists as AlreadyExists
    from zegel.errors import Cancelled as Cancelled
    from zegel.errors import ChecksumMismatch as ChecksumMismatch
    from zegel.errors import ChunkSize as ChunkSize
    from zegel.errors import DataLoss as DataLoss
    from zegel.errors import DeadlineExceeded as DeadlineExceeded
    from zegel.errors import DependencyUnavailable as DependencyUnavailable
    from zegel.errors import DisclosureNotAccepted as DisclosureNotAccepted
    from zegel.errors import DocumentDestroyed as DocumentDestroyed
    from zegel.errors import DocumentEncrypted as DocumentEncrypted
    from zegel.errors import DocumentInUse as DocumentInUse
    from zegel.errors import DocumentTooComplex as DocumentTooComplex
    from zegel.errors import DocumentUnreadable as DocumentUnreadable
    from zegel.errors import EtagMismatch as EtagMismatch
    from zegel.errors import FailedPrecondition as FailedPrecondition
    from zegel.errors import GrantExceedsGranter as GrantExceedsGranter
    from zegel.errors import IdTokenRefused as IdTokenRefused
    from zegel.errors import Internal as Internal
    from zegel.errors import InvalidArgument as InvalidArgument
    from zegel.errors import InvalidField as InvalidField
    from zegel.errors import InvalidPageToken as InvalidPageToken
    from zegel.errors import LastOwner as LastOwner
    from zegel.errors import LegalHold as LegalHold
    from zegel.errors import LimitReached as LimitReached
    from zegel.errors import LinkExpired as LinkExpired
    from zegel.errors import LinkRevoked as LinkRevoked
    from zegel.errors import LinkSpent as LinkSpent
    from zegel.errors import LogDamaged as LogDamaged
    from zegel.errors import MissingField as MissingField
    from zegel.errors import MissingSignatureField as MissingSignatureField
    from zegel.errors import NoRendition as NoRendition
    from zegel.errors import NotFound as NotFound
    from zegel.errors import NotIntegratedYet as NotIntegratedYet
    from zegel.errors import NotSealed as NotSealed
    from zegel.errors import NotWitnessedYet as NotWitnessedYet
    from zegel.errors import NothingToDelegate as NothingToDelegate
    from zegel.errors import OffsetMismatch as OffsetMismatch
    from zegel.errors import OutOfRange as OutOfRange
    from zegel.errors import PermissionDenied as PermissionDenied
    from zegel.errors import RecipientAlreadySigned as RecipientAlreadySigned
    from zegel.errors import RecipientDeclined as RecipientDeclined
    from zegel.errors import RecipientExpired as RecipientExpired
    from zegel.errors import RecipientHasUnsignedFields as RecipientHasUnsignedFields
    from zegel.errors import RecipientOutOfTurn as RecipientOutOfTurn
    from zegel.errors import RequestIdReused as RequestIdReused
    from zegel.errors import ResentBytesDiffer as ResentBytesDiffer
    from zegel.errors import ResourceExhausted as ResourceExhausted
    from zegel.errors import RevocationListExpired as RevocationListExpired
    from zegel.errors import RevocationListMissing as RevocationListMissing
    from zegel.errors import RoleBuiltIn as RoleBuiltIn
    from zegel.errors import RoleCycle as RoleCycle
    from zegel.errors import SealCertificateExpired as SealCertificateExpired
    from zegel.errors import SealCertificateNotYetValid as SealCertificateNotYetValid
    from zegel.errors import SealCertificateRevoked as SealCertificateRevoked
    from zegel.errors import SealCertificateUnsuitable as SealCertificateUnsuitable
    from zegel.errors import SealChainIncomplete as SealChainIncomplete
    from zegel.errors import SealingBlocked as SealingBlocked
    from zegel.errors import SessionBoundElsewhere as SessionBoundElsewhere
    from zegel.errors import SessionExpired as SessionExpired
    from zegel.errors import SessionMalformed as SessionMalformed
    from zegel.errors import SessionMissing as SessionMissing
    from zegel.errors import SessionRevoked as SessionRevoked
    from zegel.errors import SessionUnknown as SessionUnknown
    from zegel.errors import SignatureRequestCanceled as SignatureRequestCanceled
    from zegel.errors import SignatureRequestClosed as SignatureRequestClosed
    from zegel.errors import SignatureRequestDeclined as SignatureRequestDeclined
    from zegel.errors import SignatureRequestExpired as SignatureRequestExpired
    from zegel.errors import SizeMismatch as SizeMismatch
    from zegel.errors import StepUpRequired as StepUpRequired
    from zegel.errors import StorageFull as StorageFull
    from zegel.errors import StoredDataDamaged as StoredDataDamaged
    from zegel.errors import StreamOrder as StreamOrder
    from zegel.errors import StreamStalled as StreamStalled
    from zegel.errors import TimestampCertificateExpired as TimestampCertificateExpired
    from zegel.errors import TimestampCertificateRevoked as TimestampCertificateRevoked
    from zegel.errors import TimestampCertificateUnsuitable as TimestampCertificateUnsuitable
    from zegel.errors import TimestampChainIncomplete as TimestampChainIncomplete
    from zegel.errors import TimestampUnavailable as TimestampUnavailable
    from zegel.errors import TrailFull as TrailFull
    from zegel.errors import Unauthenticated as Unauthenticated
    from zegel.errors import Unavailable as Unavailable
    from zegel.errors import Unimplemented as Unimplemented
    from zegel.errors import UploadClosed as UploadClosed
    from zegel.errors import Violation as Violation
    from zegel.errors import ZegelError as ZegelError
    from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin as AssertedOrigin
    from zegel.identity.v1.identity_service_pb2 import ApiKey as ApiKey
    from zegel.identity.v1.identity_service_pb2 import CreateApiKeyRequest as CreateApiKeyRequest
    from zegel.identity.v1.identity_service_pb2 import CreateApiKeyResponse as CreateApiKeyResponse
    from zegel.identity.v1.identity_service_pb2 import CreateMemberRequest as CreateMemberRequest
    from zegel.identity.v1.identity_service_pb2 import CreateMemberResponse as CreateMemberResponse
    from zegel.identity.v1.identity_service_pb2 import CreateSessionRequest as CreateSessionRequest
    from zegel.identity.v1.identity_service_pb2 import CreateSessionResponse as CreateSessionResponse
    from zegel.identity.v1.identity_service_pb2 import CreateTenantRequest as CreateTenantRequest
    from zegel.identity.v1.identity_service_pb2 import CreateTenantResponse as CreateTenantResponse
    from zegel.identity.v1.identity_service_pb2 import DeleteIdentityProviderRequest as DeleteIdentityProviderRequest
    from zegel.identity.v1.identity_service_pb2 import DeleteIdentityProviderResponse as DeleteIdentityProviderResponse
    from zegel.identity.v1.identity_service_pb2 import DeleteMemberRequest as DeleteMemberRequest
    from zegel.identity.v1.identity_service_pb2 import DeleteMemberResponse as DeleteMemberResponse
    from zegel.identity.v1.identity_service_pb2 import ExchangeTokenRequest as ExchangeTokenRequest
    from zegel.identity.v1.identity_service_pb2 import ExchangeTokenResponse as ExchangeTokenResponse
    from zegel.identity.v1.identity_service_pb2 import GetCurrentSessionRequest as GetCurrentSessionRequest
    from zegel.identity.v1.identity_service_pb2 import GetCurrentSessionResponse as GetCurrentSessionResponse
    from zegel.identity.v1.identity_service_pb2 import GetIdentityProviderRequest as GetIdentityProviderRequest
    from zegel.identity.v1.identity_service_pb2 import GetIdentityProviderResponse as GetIdentityProviderResponse
    from zegel.identity.v1.identity_service_pb2 import GetMemberRequest as GetMemberRequest
    from zegel.identity.v1.identity_service_pb2 import GetMemberResponse as GetMemberResponse
    from zegel.identity.v1.identity_service_pb2 import GetTenantRequest as GetTenantRequest
    from zegel.identity.v1.identity_service_pb2 import GetTenantResponse as GetTenantResponse
    from zegel.identity.v1.identity_service_pb2 import IdentityProvider as IdentityProvider
    from zegel.identity.v1.identity_service_pb2 import ListApiKeysRequest as ListApiKeysRequest
    from zegel.identity.v1.identity_service_pb2 import ListApiKeysResponse as ListApiKeysResponse
    from zegel.identity.v1.identity_service_pb2 import ListMembersRequest as ListMembersRequest
    from zegel.identity.v1.identity_service_pb2 import ListMembersResponse as ListMembersResponse
    from zegel.identity.v1.identity_service_pb2 import ListSessionsRequest as ListSessionsRequest
    from zegel.identity.v1.identity_service_pb2 import ListSessionsResponse as ListSessionsResponse
    from zegel.identity.v1.identity_service_pb2 import Member as Member
    from zegel.identity.v1.identity_service_pb2 import RevokeApiKeyRequest as RevokeApiKeyRequest
    from zegel.identity.v1.identity_service_pb2 import RevokeApiKeyResponse as RevokeApiKeyResponse
    from zegel.identity.v1.identity_service_pb2 import RevokeSessionRequest as RevokeSessionRequest
    from zegel.identity.v1.identity_service_pb2 import RevokeSessionResponse as RevokeSessionResponse
    from zegel.identity.v1.identity_service_pb2 import RotateApiKeyRequest as RotateApiKeyRequest
    from zegel.identity.v1.identity_service_pb2 import RotateApiKeyResponse as RotateApiKeyResponse
    from zegel.identity.v1.identity_service_pb2 import SensitivePermission as SensitivePermission
    from zegel.identity.v1.identity_service_pb2 import Session as Session
    from zegel.identity.v1.identity_service_pb2 import SetIdentityProviderRequest as SetIdentityProviderRequest
    from zegel.identity.v1.identity_service_pb2 import SetIdentityProviderResponse as SetIdentityProviderResponse
    from zegel.identity.v1.identity_service_pb2 import Tenant as Tenant
    from zegel.identity.v1.identity_service_pb2 import UpdateMemberRequest as UpdateMemberRequest
    from zegel.identity.v1.identity_service_pb2 import UpdateMemberResponse as UpdateMemberResponse
    from zegel.identity.v1.identity_service_pb2 import UpdateTenantRequest as UpdateTenantRequest
    from zegel.identity.v1.identity_service_pb2 import UpdateTenantResponse as UpdateTenantResponse
    from zegel.permission.v1.permission_service_pb2 import Binding as Binding
    from zegel.permission.v1.permission_service_pb2 import CheckPermissionsRequest as CheckPermissionsRequest
    from zegel.permission.v1.permission_service_pb2 import CheckPermissionsResponse as CheckPermissionsResponse
    from zegel.permission.v1.permission_service_pb2 import CreateRoleRequest as CreateRoleRequest
    from zegel.permission.v1.permission_service_pb2 import CreateRoleResponse as CreateRoleResponse
    from zegel.permission.v1.permission_service_pb2 import DeleteRoleRequest as DeleteRoleRequest
    from zegel.permission.v1.permission_service_pb2 import DeleteRoleResponse as DeleteRoleResponse
    from zegel.permission.v1.permission_service_pb2 import ExplainPermissionRequest as ExplainPermissionRequest
    from zegel.permission.v1.permission_service_pb2 import ExplainPermissionResponse as ExplainPermissionResponse
    from zegel.permission.v1.permission_service_pb2 import GetRoleRequest as GetRoleRequest
    from zegel.permission.v1.permission_service_pb2 import GetRoleResponse as GetRoleResponse
    from zegel.permission.v1.permission_service_pb2 import Grant as Grant
    from zegel.permission.v1.permission_service_pb2 import GrantRoleRequest as GrantRoleRequest
    from zegel.permission.v1.permission_service_pb2 import GrantRoleResponse as GrantRoleResponse
    from zegel.permission.v1.permission_service_pb2 import ListBindingsRequest as ListBindingsRequest
    from zegel.permission.v1.permission_service_pb2 import ListBindingsResponse as ListBindingsResponse
    from zegel.permission.v1.permission_service_pb2 import ListPermissionsRequest as ListPermissionsRequest
    from zegel.permission.v1.permission_service_pb2 import ListPermissionsResponse as ListPermissionsResponse
    from zegel.permission.v1.permission_service_pb2 import ListRolesRequest as ListRolesRequest
    from zegel.permission.v1.permission_service_pb2 import ListRolesResponse as ListRolesResponse
    from zegel.permission.v1.permission_service_pb2 import PermissionCheck as PermissionCheck
    from zegel.permission.v1.permission_service_pb2 import PermissionGround as PermissionGround
    from zegel.permission.v1.permission_service_pb2 import PermissionLoss as PermissionLoss
    from zegel.permission.v1.permission_service_pb2 import Role as Role
    from zegel.permission.v1.permission_service_pb2 import TakeRoleRequest as TakeRoleRequest
    from zegel.permission.v1.permission_service_pb2 import TakeRoleResponse as TakeRoleResponse
    from zegel.permission.v1.permission_service_pb2 import UpdateRoleRequest as UpdateRoleRequest
    from zegel.permission.v1.permission_service_pb2 import UpdateRoleResponse as UpdateRoleResponse
    from zegel.permission.v1.sharing_pb2 import AddTeamMemberRequest as AddTeamMemberRequest
    from zegel.permission.v1.sharing_pb2 import AddTeamMemberResponse as AddTeamMemberResponse
    from zegel.permission.v1.sharing_pb2 import CreateDelegationRequest as CreateDelegationRequest
    from zegel.permission.v1.sharing_pb2 import CreateDelegationResponse as CreateDelegationResponse
    from zegel.permission.v1.sharing_pb2 import CreateTeamRequest as CreateTeamRequest
    from zegel.permission.v1.sharing_pb2 import CreateTeamResponse as CreateTeamResponse
    from zegel.permission.v1.sharing_pb2 import Delegation as Delegation
    from zegel.permission.v1.sharing_pb2 import DeleteTeamRequest as DeleteTeamRequest
    from zegel.permission.v1.sharing_pb2 import DeleteTeamResponse as DeleteTeamResponse
    from zegel.permission.v1.sharing_pb2 import EndDelegationRequest as EndDelegationRequest
    from zegel.permission.v1.sharing_pb2 import EndDelegationResponse as EndDelegationResponse
    from zegel.permission.v1.sharing_pb2 import GetTeamRequest as GetTeamRequest
    from zegel.permission.v1.sharing_pb2 import GetTeamResponse as GetTeamResponse
    from zegel.permission.v1.sharing_pb2 import ListDelegationsRequest as ListDelegationsRequest
    from zegel.permission.v1.sharing_pb2 import ListDelegationsResponse as ListDelegationsResponse
    from zegel.permission.v1.sharing_pb2 import ListTeamMembersRequest as ListTeamMembersRequest
    from zegel.permission.v1.sharing_pb2 import ListTeamMembersResponse as ListTeamMembersResponse
    from zegel.permission.v1.sharing_pb2 import ListTeamsRequest as ListTeamsRequest
    from zegel.permission.v1.sharing_pb2 import ListTeamsResponse as ListTeamsResponse
    from zegel.permission.v1.sharing_pb2 import Reach as Reach
    from zegel.permission.v1.sharing_pb2 import RemoveTeamMemberRequest as RemoveTeamMemberRequest
    from zegel.permission.v1.sharing_pb2 import RemoveTeamMemberResponse as RemoveTeamMemberResponse
    from zegel.permission.v1.sharing_pb2 import Team as Team
    from zegel.permission.v1.sharing_pb2 import TeamMember as TeamMember
    from zegel.permission.v1.sharing_pb2 import UpdateTeamRequest as UpdateTeamRequest
    from zegel.permission.v1.sharing_pb2 import UpdateTeamResponse as UpdateTeamResponse
    from zegel.signing.v1.ceremony_service_pb2 import AcceptDisclosureRequest as AcceptDisclosureRequest
    from zegel.signing.v1.ceremony_service_pb2 import AcceptDisclosureResponse as AcceptDisclosureResponse
    from zegel.signing.v1.ceremony_service_pb2 import Ceremony as Ceremony
    from zegel.signing.v1.ceremony_service_pb2 import DeclineSignatureRequest as DeclineSignatureRequest
    from zegel.signing.v1.ceremony_service_pb2 import DeclineSignatureResponse as DeclineSignatureResponse
    from zegel.signing.v1.ceremony_service_pb2 import FillFieldsRequest as FillFieldsRequest
    from zegel.signing.v1.ceremony_service_pb2 import FillFieldsResponse as FillFieldsResponse
    from zegel.signing.v1.ceremony_service_pb2 import GetCeremonyRequest as GetCeremonyRequest
    from zegel.signing.v1.ceremony_service_pb2 import GetCeremonyResponse as GetCeremonyResponse
    from zegel.signing.v1.ceremony_service_pb2 import OpenCeremonyRequest as OpenCeremonyRequest
    from zegel.signing.v1.ceremony_service_pb2 import OpenCeremonyResponse as OpenCeremonyResponse
    from zegel.signing.v1.ceremony_service_pb2 import SignDocumentsRequest as SignDocumentsRequest
    from zegel.signing.v1.ceremony_service_pb2 import SignDocumentsResponse as SignDocumentsResponse
    from zegel.signing.v1.signature_request_pb2 import Field as Field
    from zegel.signing.v1.signature_request_pb2 import FieldValue as FieldValue
    from zegel.signing.v1.signature_request_pb2 import Mark as Mark
    from zegel.signing.v1.signature_request_pb2 import RequestRendition as RequestRendition
    from zegel.signing.v1.signature_request_pb2 import RequestedDocument as RequestedDocument
    from zegel.signing.v1.signature_request_pb2 import Sealing as Sealing
    from zegel.signing.v1.signature_request_pb2 import Signature as Signature
    from zegel.signing.v1.signature_request_pb2 import SignatureRequest as SignatureRequest
    from zegel.signing.v1.signature_request_pb2 import Signer as Signer
    from zegel.signing.v1.signing_service_pb2 import CancelSignatureRequestRequest as CancelSignatureRequestRequest
    from zegel.signing.v1.signing_service_pb2 import CancelSignatureRequestResponse as CancelSignatureRequestResponse
    from zegel.signing.v1.signing_service_pb2 import CreateSignatureRequestRequest as CreateSignatureRequestRequest
    from zegel.signing.v1.signing_service_pb2 import CreateSignatureRequestResponse as CreateSignatureRequestResponse
    from zegel.signing.v1.signing_service_pb2 import CreateSignerLinkRequest as CreateSignerLinkRequest
    from zegel.signing.v1.signing_service_pb2 import CreateSignerLinkResponse as CreateSignerLinkResponse
    from zegel.signing.v1.signing_service_pb2 import CreateSignerSessionRequest as CreateSignerSessionRequest
    from zegel.signing.v1.signing_service_pb2 import CreateSignerSessionResponse as CreateSignerSessionResponse
    from zegel.signing.v1.signing_service_pb2 import GetSignatureRequestRequest as GetSignatureRequestRequest
    from zegel.signing.v1.signing_service_pb2 import GetSignatureRequestResponse as GetSignatureRequestResponse
    from zegel.signing.v1.signing_service_pb2 import ListSignatureRequestsRequest as ListSignatureRequestsRequest
    from zegel.signing.v1.signing_service_pb2 import ListSignatureRequestsResponse as ListSignatureRequestsResponse
    from zegel.signing.v1.signing_service_pb2 import ListSignerLinksRequest as ListSignerLinksRequest
    from zegel.signing.v1.signing_service_pb2 import ListSignerLinksResponse as ListSignerLinksResponse
    from zegel.signing.v1.signing_service_pb2 import MoveSignatureRequestRequest as MoveSignatureRequestRequest
    from zegel.signing.v1.signing_service_pb2 import MoveSignatureRequestResponse as MoveSignatureRequestResponse
    from zegel.signing.v1.signing_service_pb2 import RevokeSignerLinkRequest as RevokeSignerLinkRequest
    from zegel.signing.v1.signing_service_pb2 import RevokeSignerLinkResponse as RevokeSignerLinkResponse
    from zegel.signing.v1.signing_service_pb2 import SignerLink as SignerLink
    from zegel.signing.v1.signing_service_pb2 import UpdateSignatureRequestRequest as UpdateSignatureRequestRequest
    from zegel.signing.v1.signing_service_pb2 import UpdateSignatureRequestResponse as UpdateSignatureRequestResponse

PLACES: Final = {
    "Aborted": "zegel.errors",
    "AcceptDisclosureRequest": "zegel.signing.v1.ceremony_service_pb2",
    "AcceptDisclosureResponse": "zegel.signing.v1.ceremony_service_pb2",
    "AddTeamMemberRequest": "zegel.permission.v1.sharing_pb2",
    "AddTeamMemberResponse": "zegel.permission.v1.sharing_pb2",
    "AlreadyExists": "zegel.errors",
    "ApiKey": "zegel.identity.v1.identity_service_pb2",
    "AssertedOrigin": "zegel.event.v1.asserted_origin_pb2",
    "Binding": "zegel.permission.v1.permission_service_pb2",
    "CancelSignatureRequestRequest": "zegel.signing.v1.signing_service_pb2",
    "CancelSignatureRequestResponse": "zegel.signing.v1.signing_service_pb2",
    "CancelUploadRequest": "zegel.document.v1.document_service_pb2",
    "CancelUploadResponse": "zegel.document.v1.document_service_pb2",
    "Cancelled": "zegel.errors",
    "Ceremony": "zegel.signing.v1.ceremony_service_pb2",
    "CheckPermissionsRequest": "zegel.permission.v1.permission_service_pb2",
    "CheckPermissionsResponse": "zegel.permission.v1.permission_service_pb2",
    "ChecksumMismatch": "zegel.errors",
    "Chunk": "zegel.document.v1.document_service_pb2",
    "ChunkSize": "zegel.errors",
    "ClientEncryptedStream": "zegel.document.v1.document_service_pb2",
    "ClientEncryption": "zegel.document.v1.document_service_pb2",
    "CreateApiKeyRequest": "zegel.identity.v1.identity_service_pb2",
    "CreateApiKeyResponse": "zegel.identity.v1.identity_service_pb2",
    "CreateDelegationRequest": "zegel.permission.v1.sharing_pb2",
    "CreateDelegationResponse": "zegel.permission.v1.sharing_pb2",
    "CreateMemberRequest": "zegel.identity.v1.identity_service_pb2",
    "CreateMemberResponse": "zegel.identity.v1.identity_service_pb2",
    "CreateRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "CreateRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "CreateSessionRequest": "zegel.identity.v1.identity_service_pb2",
    "CreateSessionResponse": "zegel.identity.v1.identity_service_pb2",
    "CreateSignatureRequestRequest": "zegel.signing.v1.signing_service_pb2",
    "CreateSignatureRequestResponse": "zegel.signing.v1.signing_service_pb2",
    "CreateSignerLinkRequest": "zegel.signing.v1.signing_service_pb2",
    "CreateSignerLinkResponse": "zegel.signing.v1.signing_service_pb2",
    "CreateSignerSessionRequest": "zegel.signing.v1.signing_service_pb2",
    "CreateSignerSessionResponse": "zegel.signing.v1.signing_service_pb2",
    "CreateTeamRequest": "zegel.permission.v1.sharing_pb2",
    "CreateTeamResponse": "zegel.permission.v1.sharing_pb2",
    "CreateTenantRequest": "zegel.identity.v1.identity_service_pb2",
    "CreateTenantResponse": "zegel.identity.v1.identity_service_pb2",
    "DataLoss": "zegel.errors",
    "DeadlineExceeded": "zegel.errors",
    "DeclineSignatureRequest": "zegel.signing.v1.ceremony_service_pb2",
    "DeclineSignatureResponse": "zegel.signing.v1.ceremony_service_pb2",
    "Delegation": "zegel.permission.v1.sharing_pb2",
    "DeleteDocumentRequest": "zegel.document.v1.document_service_pb2",
    "DeleteDocumentResponse": "zegel.document.v1.document_service_pb2",
    "DeleteIdentityProviderRequest": "zegel.identity.v1.identity_service_pb2",
    "DeleteIdentityProviderResponse": "zegel.identity.v1.identity_service_pb2",
    "DeleteMemberRequest": "zegel.identity.v1.identity_service_pb2",
    "DeleteMemberResponse": "zegel.identity.v1.identity_service_pb2",
    "DeleteRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "DeleteRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "DeleteTeamRequest": "zegel.permission.v1.sharing_pb2",
    "DeleteTeamResponse": "zegel.permission.v1.sharing_pb2",
    "DependencyUnavailable": "zegel.errors",
    "DisclosureNotAccepted": "zegel.errors",
    "Document": "zegel.document.v1.document_service_pb2",
    "DocumentContent": "zegel.enums",
    "DocumentDestroyed": "zegel.errors",
    "DocumentEncrypted": "zegel.errors",
    "DocumentFindings": "zegel.document.v1.document_service_pb2",
    "DocumentInUse": "zegel.errors",
    "DocumentRendition": "zegel.document.v1.document_service_pb2",
    "DocumentState": "zegel.enums",
    "DocumentTooComplex": "zegel.errors",
    "DocumentUnreadable": "zegel.errors",
    "DocumentVersion": "zegel.document.v1.document_service_pb2",
    "DownloadDocumentRequest": "zegel.document.v1.document_service_pb2",
    "DownloadDocumentResponse": "zegel.document.v1.document_service_pb2",
    "DownloadStart": "zegel.document.v1.document_service_pb2",
    "Duration": "google.protobuf.duration_pb2",
    "EmailTrust": "zegel.enums",
    "EndDelegationRequest": "zegel.permission.v1.sharing_pb2",
    "EndDelegationResponse": "zegel.permission.v1.sharing_pb2",
    "ErrorReason": "zegel.enums",
    "EtagMismatch": "zegel.errors",
    "Event": "zegel.audit.v1.audit_service_pb2",
    "EventDocument": "zegel.audit.v1.audit_service_pb2",
    "EventType": "zegel.enums",
    "ExchangeTokenRequest": "zegel.identity.v1.identity_service_pb2",
    "ExchangeTokenResponse": "zegel.identity.v1.identity_service_pb2",
    "ExplainPermissionRequest": "zegel.permission.v1.permission_service_pb2",
    "ExplainPermissionResponse": "zegel.permission.v1.permission_service_pb2",
    "FailedPrecondition": "zegel.errors",
    "Field": "zegel.signing.v1.signature_request_pb2",
    "FieldMask": "google.protobuf.field_mask_pb2",
    "FieldType": "zegel.enums",
    "FieldValue": "zegel.signing.v1.signature_request_pb2",
    "FillFieldsRequest": "zegel.signing.v1.ceremony_service_pb2",
    "FillFieldsResponse": "zegel.signing.v1.ceremony_service_pb2",
    "FinishUpload": "zegel.document.v1.document_service_pb2",
    "FoundSignature": "zegel.document.v1.document_service_pb2",
    "FoundSignatureKind": "zegel.enums",
    "GetCeremonyRequest": "zegel.signing.v1.ceremony_service_pb2",
    "GetCeremonyResponse": "zegel.signing.v1.ceremony_service_pb2",
    "GetCheckpointRequest": "zegel.audit.v1.audit_service_pb2",
    "GetCheckpointResponse": "zegel.audit.v1.audit_service_pb2",
    "GetConsistencyProofRequest": "zegel.audit.v1.audit_service_pb2",
    "GetConsistencyProofResponse": "zegel.audit.v1.audit_service_pb2",
    "GetCurrentSessionRequest": "zegel.identity.v1.identity_service_pb2",
    "GetCurrentSessionResponse": "zegel.identity.v1.identity_service_pb2",
    "GetDocumentRequest": "zegel.document.v1.document_service_pb2",
    "GetDocumentResponse": "zegel.document.v1.document_service_pb2",
    "GetIdentityProviderRequest": "zegel.identity.v1.identity_service_pb2",
    "GetIdentityProviderResponse": "zegel.identity.v1.identity_service_pb2",
    "GetInclusionProofRequest": "zegel.audit.v1.audit_service_pb2",
    "GetInclusionProofResponse": "zegel.audit.v1.audit_service_pb2",
    "GetMemberRequest": "zegel.identity.v1.identity_service_pb2",
    "GetMemberResponse": "zegel.identity.v1.identity_service_pb2",
    "GetRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "GetRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "GetSignatureRequestRequest": "zegel.signing.v1.signing_service_pb2",
    "GetSignatureRequestResponse": "zegel.signing.v1.signing_service_pb2",
    "GetTeamRequest": "zegel.permission.v1.sharing_pb2",
    "GetTeamResponse": "zegel.permission.v1.sharing_pb2",
    "GetTenantRequest": "zegel.identity.v1.identity_service_pb2",
    "GetTenantResponse": "zegel.identity.v1.identity_service_pb2",
    "GetTransactionRequest": "zegel.audit.v1.audit_service_pb2",
    "GetTransactionResponse": "zegel.audit.v1.audit_service_pb2",
    "GetUploadRequest": "zegel.document.v1.document_service_pb2",
    "GetUploadResponse": "zegel.document.v1.document_service_pb2",
    "Grant": "zegel.permission.v1.permission_service_pb2",
    "GrantExceedsGranter": "zegel.errors",
    "GrantRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "GrantRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "IdTokenRefused": "zegel.errors",
    "IdentityProvider": "zegel.identity.v1.identity_service_pb2",
    "Internal": "zegel.errors",
    "InvalidArgument": "zegel.errors",
    "InvalidField": "zegel.errors",
    "InvalidPageToken": "zegel.errors",
    "LastOwner": "zegel.errors",
    "LegalHold": "zegel.errors",
    "LimitReached": "zegel.errors",
    "LinkExpired": "zegel.errors",
    "LinkRevoked": "zegel.errors",
    "LinkSpent": "zegel.errors",
    "ListApiKeysRequest": "zegel.identity.v1.identity_service_pb2",
    "ListApiKeysResponse": "zegel.identity.v1.identity_service_pb2",
    "ListBindingsRequest": "zegel.permission.v1.permission_service_pb2",
    "ListBindingsResponse": "zegel.permission.v1.permission_service_pb2",
    "ListDelegationsRequest": "zegel.permission.v1.sharing_pb2",
    "ListDelegationsResponse": "zegel.permission.v1.sharing_pb2",
    "ListDocumentsRequest": "zegel.document.v1.document_service_pb2",
    "ListDocumentsResponse": "zegel.document.v1.document_service_pb2",
    "ListEventsRequest": "zegel.audit.v1.audit_service_pb2",
    "ListEventsResponse": "zegel.audit.v1.audit_service_pb2",
    "ListMembersRequest": "zegel.identity.v1.identity_service_pb2",
    "ListMembersResponse": "zegel.identity.v1.identity_service_pb2",
    "ListPermissionsRequest": "zegel.permission.v1.permission_service_pb2",
    "ListPermissionsResponse": "zegel.permission.v1.permission_service_pb2",
    "ListRolesRequest": "zegel.permission.v1.permission_service_pb2",
    "ListRolesResponse": "zegel.permission.v1.permission_service_pb2",
    "ListSessionsRequest": "zegel.identity.v1.identity_service_pb2",
    "ListSessionsResponse": "zegel.identity.v1.identity_service_pb2",
    "ListSignatureRequestsRequest": "zegel.signing.v1.signing_service_pb2",
    "ListSignatureRequestsResponse": "zegel.signing.v1.signing_service_pb2",
    "ListSignerLinksRequest": "zegel.signing.v1.signing_service_pb2",
    "ListSignerLinksResponse": "zegel.signing.v1.signing_service_pb2",
    "ListTeamMembersRequest": "zegel.permission.v1.sharing_pb2",
    "ListTeamMembersResponse": "zegel.permission.v1.sharing_pb2",
    "ListTeamsRequest": "zegel.permission.v1.sharing_pb2",
    "ListTeamsResponse": "zegel.permission.v1.sharing_pb2",
    "LogDamaged": "zegel.errors",
    "Mark": "zegel.signing.v1.signature_request_pb2",
    "Member": "zegel.identity.v1.identity_service_pb2",
    "MissingField": "zegel.errors",
    "MissingSignatureField": "zegel.errors",
    "MoveDocumentRequest": "zegel.document.v1.document_service_pb2",
    "MoveDocumentResponse": "zegel.document.v1.document_service_pb2",
    "MoveSignatureRequestRequest": "zegel.signing.v1.signing_service_pb2",
    "MoveSignatureRequestResponse": "zegel.signing.v1.signing_service_pb2",
    "NoRendition": "zegel.errors",
    "NotFound": "zegel.errors",
    "NotIntegratedYet": "zegel.errors",
    "NotSealed": "zegel.errors",
    "NotWitnessedYet": "zegel.errors",
    "NothingToDelegate": "zegel.errors",
    "OffsetMismatch": "zegel.errors",
    "OpenCeremonyRequest": "zegel.signing.v1.ceremony_service_pb2",
    "OpenCeremonyResponse": "zegel.signing.v1.ceremony_service_pb2",
    "OutOfRange": "zegel.errors",
    "Page": "zegel.document.v1.document_service_pb2",
    "PageDifference": "zegel.document.v1.document_service_pb2",
    "Permission": "zegel.enums",
    "PermissionCheck": "zegel.permission.v1.permission_service_pb2",
    "PermissionDenied": "zegel.errors",
    "PermissionGround": "zegel.permission.v1.permission_service_pb2",
    "PermissionLoss": "zegel.permission.v1.permission_service_pb2",
    "PersonalData": "zegel.audit.v1.audit_service_pb2",
    "PurgeDocumentRequest": "zegel.document.v1.document_service_pb2",
    "PurgeDocumentResponse": "zegel.document.v1.document_service_pb2",
    "Reach": "zegel.permission.v1.sharing_pb2",
    "RecipientAlreadySigned": "zegel.errors",
    "RecipientDeclined": "zegel.errors",
    "RecipientExpired": "zegel.errors",
    "RecipientHasUnsignedFields": "zegel.errors",
    "RecipientOutOfTurn": "zegel.errors",
    "RemoveTeamMemberRequest": "zegel.permission.v1.sharing_pb2",
    "RemoveTeamMemberResponse": "zegel.permission.v1.sharing_pb2",
    "RequestIdReused": "zegel.errors",
    "RequestRendition": "zegel.signing.v1.signature_request_pb2",
    "RequestedDocument": "zegel.signing.v1.signature_request_pb2",
    "ResentBytesDiffer": "zegel.errors",
    "ResourceExhausted": "zegel.errors",
    "RevocationListExpired": "zegel.errors",
    "RevocationListMissing": "zegel.errors",
    "RevokeApiKeyRequest": "zegel.identity.v1.identity_service_pb2",
    "RevokeApiKeyResponse": "zegel.identity.v1.identity_service_pb2",
    "RevokeSessionRequest": "zegel.identity.v1.identity_service_pb2",
    "RevokeSessionResponse": "zegel.identity.v1.identity_service_pb2",
    "RevokeSignerLinkRequest": "zegel.signing.v1.signing_service_pb2",
    "RevokeSignerLinkResponse": "zegel.signing.v1.signing_service_pb2",
    "Role": "zegel.permission.v1.permission_service_pb2",
    "RoleBuiltIn": "zegel.errors",
    "RoleCycle": "zegel.errors",
    "RotateApiKeyRequest": "zegel.identity.v1.identity_service_pb2",
    "RotateApiKeyResponse": "zegel.identity.v1.identity_service_pb2",
    "Scope": "zegel.enums",
    "SealCertificateExpired": "zegel.errors",
    "SealCertificateNotYetValid": "zegel.errors",
    "SealCertificateRevoked": "zegel.errors",
    "SealCertificateUnsuitable": "zegel.errors",
    "SealChainIncomplete": "zegel.errors",
    "Sealing": "zegel.signing.v1.signature_request_pb2",
    "SealingBlocked": "zegel.errors",
    "SensitivePermission": "zegel.identity.v1.identity_service_pb2",
    "Session": "zegel.identity.v1.identity_service_pb2",
    "SessionBoundElsewhere": "zegel.errors",
    "SessionExpired": "zegel.errors",
    "SessionKind": "zegel.enums",
    "SessionMalformed": "zegel.errors",
    "SessionMissing": "zegel.errors",
    "SessionRevoked": "zegel.errors",
    "SessionUnknown": "zegel.errors",
    "SetIdentityProviderRequest": "zegel.identity.v1.identity_service_pb2",
    "SetIdentityProviderResponse": "zegel.identity.v1.identity_service_pb2",
    "SignDocumentsRequest": "zegel.signing.v1.ceremony_service_pb2",
    "SignDocumentsResponse": "zegel.signing.v1.ceremony_service_pb2",
    "Signature": "zegel.signing.v1.signature_request_pb2",
    "SignatureRequest": "zegel.signing.v1.signature_request_pb2",
    "SignatureRequestCanceled": "zegel.errors",
    "SignatureRequestClosed": "zegel.errors",
    "SignatureRequestDeclined": "zegel.errors",
    "SignatureRequestExpired": "zegel.errors",
    "SignatureRequestState": "zegel.enums",
    "SignatureStatus": "zegel.enums",
    "Signer": "zegel.signing.v1.signature_request_pb2",
    "SignerLink": "zegel.signing.v1.signing_service_pb2",
    "SignerLinkState": "zegel.enums",
    "SizeMismatch": "zegel.errors",
    "StartUploadRequest": "zegel.document.v1.document_service_pb2",
    "StartUploadResponse": "zegel.document.v1.document_service_pb2",
    "StepUpRequired": "zegel.errors",
    "StorageFull": "zegel.errors",
    "StoredDataDamaged": "zegel.errors",
    "StreamOrder": "zegel.errors",
    "StreamStalled": "zegel.errors",
    "TakeRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "TakeRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "Team": "zegel.permission.v1.sharing_pb2",
    "TeamMember": "zegel.permission.v1.sharing_pb2",
    "Tenant": "zegel.identity.v1.identity_service_pb2",
    "Timestamp": "google.protobuf.timestamp_pb2",
    "TimestampCertificateExpired": "zegel.errors",
    "TimestampCertificateRevoked": "zegel.errors",
    "TimestampCertificateUnsuitable": "zegel.errors",
    "TimestampChainIncomplete": "zegel.errors",
    "TimestampUnavailable": "zegel.errors",
    "TrailFull": "zegel.errors",
    "Unauthenticated": "zegel.errors",
    "Unavailable": "zegel.errors",
    "UndeleteDocumentRequest": "zegel.document.v1.document_service_pb2",
    "UndeleteDocumentResponse": "zegel.document.v1.document_service_pb2",
    "Unimplemented": "zegel.errors",
    "UpdateDocumentRequest": "zegel.document.v1.document_service_pb2",
    "UpdateDocumentResponse": "zegel.document.v1.document_service_pb2",
    "UpdateMemberRequest": "zegel.identity.v1.identity_service_pb2",
    "UpdateMemberResponse": "zegel.identity.v1.identity_service_pb2",
    "UpdateRoleRequest": "zegel.permission.v1.permission_service_pb2",
    "UpdateRoleResponse": "zegel.permission.v1.permission_service_pb2",
    "UpdateSignatureRequestRequest": "zegel.signing.v1.signing_service_pb2",
    "UpdateSignatureRequestResponse": "zegel.signing.v1.signing_service_pb2",
    "UpdateTeamRequest": "zegel.permission.v1.sharing_pb2",
    "UpdateTeamResponse": "zegel.permission.v1.sharing_pb2",
    "UpdateTenantRequest": "zegel.identity.v1.identity_service_pb2",
    "UpdateTenantResponse": "zegel.identity.v1.identity_service_pb2",
    "Upload": "zegel.document.v1.document_service_pb2",
    "UploadClosed": "zegel.errors",
    "UploadDocumentRequest": "zegel.document.v1.document_service_pb2",
    "UploadDocumentResponse": "zegel.document.v1.document_service_pb2",
    "UploadSpec": "zegel.document.v1.document_service_pb2",
    "Violation": "zegel.errors",
    "WatchEventsRequest": "zegel.audit.v1.audit_service_pb2",
    "WatchEventsResponse": "zegel.audit.v1.audit_service_pb2",
    "ZegelError": "zegel.errors",
}
"""The module of each name; it is imported when the name is first used."""
