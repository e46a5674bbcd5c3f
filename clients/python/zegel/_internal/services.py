"""The methods of each service, as in the contracts; ``help()`` shows the contract's comment.

``UploadDocument`` and ``DownloadDocument`` are not here: their streams need more than a thin method. See
:mod:`zegel._internal.upload` and :mod:`zegel._internal.download`.
"""

from zegel._internal.surface import Paged, Streamed, Unary
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.document.v1 import document_service_pb2 as document
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel.permission.v1 import sharing_pb2 as sharing
from zegel.signing.v1 import ceremony_service_pb2 as ceremony
from zegel.signing.v1 import signing_service_pb2 as signing


class IdentityMethods:
    """Tenants, their members and API keys, and sessions."""

    create_tenant = Unary(identity.CreateTenantRequest, identity.CreateTenantResponse)
    get_tenant = Unary(identity.GetTenantRequest, identity.GetTenantResponse)
    update_tenant = Unary(identity.UpdateTenantRequest, identity.UpdateTenantResponse)
    create_member = Unary(identity.CreateMemberRequest, identity.CreateMemberResponse)
    get_member = Unary(identity.GetMemberRequest, identity.GetMemberResponse)
    list_members = Paged(identity.ListMembersRequest, identity.ListMembersResponse, lambda page: page.members)
    update_member = Unary(identity.UpdateMemberRequest, identity.UpdateMemberResponse)
    delete_member = Unary(identity.DeleteMemberRequest, identity.DeleteMemberResponse)
    create_api_key = Unary(identity.CreateApiKeyRequest, identity.CreateApiKeyResponse)
    list_api_keys = Paged(identity.ListApiKeysRequest, identity.ListApiKeysResponse, lambda page: page.api_keys)
    rotate_api_key = Unary(identity.RotateApiKeyRequest, identity.RotateApiKeyResponse)
    revoke_api_key = Unary(identity.RevokeApiKeyRequest, identity.RevokeApiKeyResponse)
    create_session = Unary(identity.CreateSessionRequest, identity.CreateSessionResponse)
    set_identity_provider = Unary(identity.SetIdentityProviderRequest, identity.SetIdentityProviderResponse)
    get_identity_provider = Unary(identity.GetIdentityProviderRequest, identity.GetIdentityProviderResponse)
    delete_identity_provider = Unary(identity.DeleteIdentityProviderRequest, identity.DeleteIdentityProviderResponse)
    exchange_token = Unary(identity.ExchangeTokenRequest, identity.ExchangeTokenResponse)
    get_current_session = Unary(identity.GetCurrentSessionRequest, identity.GetCurrentSessionResponse)
    list_sessions = Paged(identity.ListSessionsRequest, identity.ListSessionsResponse, lambda page: page.sessions)
    revoke_session = Unary(identity.RevokeSessionRequest, identity.RevokeSessionResponse)


class DocumentMethods:
    """Documents: encrypted streams in and out."""

    start_upload = Unary(document.StartUploadRequest, document.StartUploadResponse)
    get_upload = Unary(document.GetUploadRequest, document.GetUploadResponse)
    cancel_upload = Unary(document.CancelUploadRequest, document.CancelUploadResponse)
    get_document = Unary(document.GetDocumentRequest, document.GetDocumentResponse)
    list_documents = Paged(document.ListDocumentsRequest, document.ListDocumentsResponse, lambda page: page.documents)
    update_document = Unary(document.UpdateDocumentRequest, document.UpdateDocumentResponse)
    move_document = Unary(document.MoveDocumentRequest, document.MoveDocumentResponse)
    delete_document = Unary(document.DeleteDocumentRequest, document.DeleteDocumentResponse)
    undelete_document = Unary(document.UndeleteDocumentRequest, document.UndeleteDocumentResponse)
    purge_document = Unary(document.PurgeDocumentRequest, document.PurgeDocumentResponse)


class SigningMethods:
    """What the sender does: signature requests."""

    create_signature_request = Unary(signing.CreateSignatureRequestRequest, signing.CreateSignatureRequestResponse)
    get_signature_request = Unary(signing.GetSignatureRequestRequest, signing.GetSignatureRequestResponse)
    list_signature_requests = Paged(
        signing.ListSignatureRequestsRequest,
        signing.ListSignatureRequestsResponse,
        lambda page: page.signature_requests,
    )
    update_signature_request = Unary(signing.UpdateSignatureRequestRequest, signing.UpdateSignatureRequestResponse)
    cancel_signature_request = Unary(signing.CancelSignatureRequestRequest, signing.CancelSignatureRequestResponse)
    move_signature_request = Unary(signing.MoveSignatureRequestRequest, signing.MoveSignatureRequestResponse)
    create_signer_session = Unary(signing.CreateSignerSessionRequest, signing.CreateSignerSessionResponse)
    create_signer_link = Unary(signing.CreateSignerLinkRequest, signing.CreateSignerLinkResponse)
    list_signer_links = Paged(
        signing.ListSignerLinksRequest, signing.ListSignerLinksResponse, lambda page: page.signer_links
    )
    revoke_signer_link = Unary(signing.RevokeSignerLinkRequest, signing.RevokeSignerLinkResponse)


class CeremonyMethods:
    """What a signer does. The session says which request and which signer."""

    open_ceremony = Unary(ceremony.OpenCeremonyRequest, ceremony.OpenCeremonyResponse)
    get_ceremony = Unary(ceremony.GetCeremonyRequest, ceremony.GetCeremonyResponse)
    accept_disclosure = Unary(ceremony.AcceptDisclosureRequest, ceremony.AcceptDisclosureResponse)
    fill_fields = Unary(ceremony.FillFieldsRequest, ceremony.FillFieldsResponse)
    sign_documents = Unary(ceremony.SignDocumentsRequest, ceremony.SignDocumentsResponse)
    decline_signature = Unary(ceremony.DeclineSignatureRequest, ceremony.DeclineSignatureResponse)


class AuditMethods:
    """The audit trail, its log and its proofs."""

    list_events = Paged(audit.ListEventsRequest, audit.ListEventsResponse, lambda page: page.events)
    watch_events = Streamed(audit.WatchEventsRequest, audit.WatchEventsResponse)
    get_transaction = Unary(audit.GetTransactionRequest, audit.GetTransactionResponse)
    get_checkpoint = Unary(audit.GetCheckpointRequest, audit.GetCheckpointResponse)
    get_inclusion_proof = Unary(audit.GetInclusionProofRequest, audit.GetInclusionProofResponse)
    get_consistency_proof = Unary(audit.GetConsistencyProofRequest, audit.GetConsistencyProofResponse)


class PermissionMethods:
    """Who may do what within a tenant."""

    list_roles = Paged(permission.ListRolesRequest, permission.ListRolesResponse, lambda page: page.roles)
    get_role = Unary(permission.GetRoleRequest, permission.GetRoleResponse)
    create_role = Unary(permission.CreateRoleRequest, permission.CreateRoleResponse)
    update_role = Unary(permission.UpdateRoleRequest, permission.UpdateRoleResponse)
    delete_role = Unary(permission.DeleteRoleRequest, permission.DeleteRoleResponse)
    list_bindings = Paged(permission.ListBindingsRequest, permission.ListBindingsResponse, lambda page: page.bindings)
    grant_role = Unary(permission.GrantRoleRequest, permission.GrantRoleResponse)
    take_role = Unary(permission.TakeRoleRequest, permission.TakeRoleResponse)
    check_permissions = Unary(permission.CheckPermissionsRequest, permission.CheckPermissionsResponse)
    list_permissions = Unary(permission.ListPermissionsRequest, permission.ListPermissionsResponse)
    explain_permission = Unary(permission.ExplainPermissionRequest, permission.ExplainPermissionResponse)
    create_team = Unary(sharing.CreateTeamRequest, sharing.CreateTeamResponse)
    get_team = Unary(sharing.GetTeamRequest, sharing.GetTeamResponse)
    list_teams = Paged(sharing.ListTeamsRequest, sharing.ListTeamsResponse, lambda page: page.teams)
    update_team = Unary(sharing.UpdateTeamRequest, sharing.UpdateTeamResponse)
    delete_team = Unary(sharing.DeleteTeamRequest, sharing.DeleteTeamResponse)
    add_team_member = Unary(sharing.AddTeamMemberRequest, sharing.AddTeamMemberResponse)
    remove_team_member = Unary(sharing.RemoveTeamMemberRequest, sharing.RemoveTeamMemberResponse)
    list_team_members = Paged(
        sharing.ListTeamMembersRequest, sharing.ListTeamMembersResponse, lambda page: page.members
    )
    create_delegation = Unary(sharing.CreateDelegationRequest, sharing.CreateDelegationResponse)
    list_delegations = Paged(
        sharing.ListDelegationsRequest, sharing.ListDelegationsResponse, lambda page: page.delegations
    )
    end_delegation = Unary(sharing.EndDelegationRequest, sharing.EndDelegationResponse)
