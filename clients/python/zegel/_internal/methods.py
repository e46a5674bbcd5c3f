"""The methods of each service, for a client's classes to inherit. Generated from `protos`.

Left out are ``UploadDocument`` and ``DownloadDocument``: their streams need more than a thin method.
"""

from zegel._internal.surface import Paged, Streamed, Unary
from zegel.audit.v1 import audit_service_pb2
from zegel.document.v1 import document_service_pb2
from zegel.identity.v1 import identity_service_pb2
from zegel.permission.v1 import permission_service_pb2
from zegel.permission.v1 import sharing_pb2
from zegel.signing.v1 import ceremony_service_pb2
from zegel.signing.v1 import signing_service_pb2


class AuditMethods:
    """Those of ``zegel.audit.v1.AuditService``."""

    list_events = Paged(audit_service_pb2.ListEventsRequest, audit_service_pb2.ListEventsResponse, lambda page: page.events)
    watch_events = Streamed(audit_service_pb2.WatchEventsRequest, audit_service_pb2.WatchEventsResponse)
    get_transaction = Unary(audit_service_pb2.GetTransactionRequest, audit_service_pb2.GetTransactionResponse)
    get_checkpoint = Unary(audit_service_pb2.GetCheckpointRequest, audit_service_pb2.GetCheckpointResponse)
    get_inclusion_proof = Unary(audit_service_pb2.GetInclusionProofRequest, audit_service_pb2.GetInclusionProofResponse)
    get_consistency_proof = Unary(audit_service_pb2.GetConsistencyProofRequest, audit_service_pb2.GetConsistencyProofResponse)


class DocumentMethods:
    """Those of ``zegel.document.v1.DocumentService``."""

    start_upload = Unary(document_service_pb2.StartUploadRequest, document_service_pb2.StartUploadResponse)
    get_upload = Unary(document_service_pb2.GetUploadRequest, document_service_pb2.GetUploadResponse)
    cancel_upload = Unary(document_service_pb2.CancelUploadRequest, document_service_pb2.CancelUploadResponse)
    get_document = Unary(document_service_pb2.GetDocumentRequest, document_service_pb2.GetDocumentResponse)
    list_documents = Paged(document_service_pb2.ListDocumentsRequest, document_service_pb2.ListDocumentsResponse, lambda page: page.documents)
    update_document = Unary(document_service_pb2.UpdateDocumentRequest, document_service_pb2.UpdateDocumentResponse)
    move_document = Unary(document_service_pb2.MoveDocumentRequest, document_service_pb2.MoveDocumentResponse)
    delete_document = Unary(document_service_pb2.DeleteDocumentRequest, document_service_pb2.DeleteDocumentResponse)
    undelete_document = Unary(document_service_pb2.UndeleteDocumentRequest, document_service_pb2.UndeleteDocumentResponse)
    purge_document = Unary(document_service_pb2.PurgeDocumentRequest, document_service_pb2.PurgeDocumentResponse)


class IdentityMethods:
    """Those of ``zegel.identity.v1.IdentityService``."""

    create_tenant = Unary(identity_service_pb2.CreateTenantRequest, identity_service_pb2.CreateTenantResponse)
    get_tenant = Unary(identity_service_pb2.GetTenantRequest, identity_service_pb2.GetTenantResponse)
    update_tenant = Unary(identity_service_pb2.UpdateTenantRequest, identity_service_pb2.UpdateTenantResponse)
    create_member = Unary(identity_service_pb2.CreateMemberRequest, identity_service_pb2.CreateMemberResponse)
    get_member = Unary(identity_service_pb2.GetMemberRequest, identity_service_pb2.GetMemberResponse)
    list_members = Paged(identity_service_pb2.ListMembersRequest, identity_service_pb2.ListMembersResponse, lambda page: page.members)
    update_member = Unary(identity_service_pb2.UpdateMemberRequest, identity_service_pb2.UpdateMemberResponse)
    delete_member = Unary(identity_service_pb2.DeleteMemberRequest, identity_service_pb2.DeleteMemberResponse)
    create_api_key = Unary(identity_service_pb2.CreateApiKeyRequest, identity_service_pb2.CreateApiKeyResponse)
    list_api_keys = Paged(identity_service_pb2.ListApiKeysRequest, identity_service_pb2.ListApiKeysResponse, lambda page: page.api_keys)
    rotate_api_key = Unary(identity_service_pb2.RotateApiKeyRequest, identity_service_pb2.RotateApiKeyResponse)
    revoke_api_key = Unary(identity_service_pb2.RevokeApiKeyRequest, identity_service_pb2.RevokeApiKeyResponse)
    create_session = Unary(identity_service_pb2.CreateSessionRequest, identity_service_pb2.CreateSessionResponse)
    exchange_token = Unary(identity_service_pb2.ExchangeTokenRequest, identity_service_pb2.ExchangeTokenResponse)
    set_identity_provider = Unary(identity_service_pb2.SetIdentityProviderRequest, identity_service_pb2.SetIdentityProviderResponse)
    get_identity_provider = Unary(identity_service_pb2.GetIdentityProviderRequest, identity_service_pb2.GetIdentityProviderResponse)
    delete_identity_provider = Unary(identity_service_pb2.DeleteIdentityProviderRequest, identity_service_pb2.DeleteIdentityProviderResponse)
    get_current_session = Unary(identity_service_pb2.GetCurrentSessionRequest, identity_service_pb2.GetCurrentSessionResponse)
    list_sessions = Paged(identity_service_pb2.ListSessionsRequest, identity_service_pb2.ListSessionsResponse, lambda page: page.sessions)
    revoke_session = Unary(identity_service_pb2.RevokeSessionRequest, identity_service_pb2.RevokeSessionResponse)


class PermissionMethods:
    """Those of ``zegel.permission.v1.PermissionService``."""

    list_roles = Paged(permission_service_pb2.ListRolesRequest, permission_service_pb2.ListRolesResponse, lambda page: page.roles)
    get_role = Unary(permission_service_pb2.GetRoleRequest, permission_service_pb2.GetRoleResponse)
    create_role = Unary(permission_service_pb2.CreateRoleRequest, permission_service_pb2.CreateRoleResponse)
    update_role = Unary(permission_service_pb2.UpdateRoleRequest, permission_service_pb2.UpdateRoleResponse)
    delete_role = Unary(permission_service_pb2.DeleteRoleRequest, permission_service_pb2.DeleteRoleResponse)
    list_bindings = Paged(permission_service_pb2.ListBindingsRequest, permission_service_pb2.ListBindingsResponse, lambda page: page.bindings)
    grant_role = Unary(permission_service_pb2.GrantRoleRequest, permission_service_pb2.GrantRoleResponse)
    take_role = Unary(permission_service_pb2.TakeRoleRequest, permission_service_pb2.TakeRoleResponse)
    check_permissions = Unary(permission_service_pb2.CheckPermissionsRequest, permission_service_pb2.CheckPermissionsResponse)
    list_permissions = Unary(permission_service_pb2.ListPermissionsRequest, permission_service_pb2.ListPermissionsResponse)
    explain_permission = Unary(permission_service_pb2.ExplainPermissionRequest, permission_service_pb2.ExplainPermissionResponse)
    create_team = Unary(sharing_pb2.CreateTeamRequest, sharing_pb2.CreateTeamResponse)
    get_team = Unary(sharing_pb2.GetTeamRequest, sharing_pb2.GetTeamResponse)
    list_teams = Paged(sharing_pb2.ListTeamsRequest, sharing_pb2.ListTeamsResponse, lambda page: page.teams)
    update_team = Unary(sharing_pb2.UpdateTeamRequest, sharing_pb2.UpdateTeamResponse)
    delete_team = Unary(sharing_pb2.DeleteTeamRequest, sharing_pb2.DeleteTeamResponse)
    add_team_member = Unary(sharing_pb2.AddTeamMemberRequest, sharing_pb2.AddTeamMemberResponse)
    remove_team_member = Unary(sharing_pb2.RemoveTeamMemberRequest, sharing_pb2.RemoveTeamMemberResponse)
    list_team_members = Paged(sharing_pb2.ListTeamMembersRequest, sharing_pb2.ListTeamMembersResponse, lambda page: page.members)
    create_delegation = Unary(sharing_pb2.CreateDelegationRequest, sharing_pb2.CreateDelegationResponse)
    list_delegations = Paged(sharing_pb2.ListDelegationsRequest, sharing_pb2.ListDelegationsResponse, lambda page: page.delegations)
    end_delegation = Unary(sharing_pb2.EndDelegationRequest, sharing_pb2.EndDelegationResponse)


class CeremonyMethods:
    """Those of ``zegel.signing.v1.CeremonyService``."""

    open_ceremony = Unary(ceremony_service_pb2.OpenCeremonyRequest, ceremony_service_pb2.OpenCeremonyResponse)
    get_ceremony = Unary(ceremony_service_pb2.GetCeremonyRequest, ceremony_service_pb2.GetCeremonyResponse)
    accept_disclosure = Unary(ceremony_service_pb2.AcceptDisclosureRequest, ceremony_service_pb2.AcceptDisclosureResponse)
    fill_fields = Unary(ceremony_service_pb2.FillFieldsRequest, ceremony_service_pb2.FillFieldsResponse)
    sign_documents = Unary(ceremony_service_pb2.SignDocumentsRequest, ceremony_service_pb2.SignDocumentsResponse)
    decline_signature = Unary(ceremony_service_pb2.DeclineSignatureRequest, ceremony_service_pb2.DeclineSignatureResponse)


class SigningMethods:
    """Those of ``zegel.signing.v1.SigningService``."""

    create_signature_request = Unary(signing_service_pb2.CreateSignatureRequestRequest, signing_service_pb2.CreateSignatureRequestResponse)
    get_signature_request = Unary(signing_service_pb2.GetSignatureRequestRequest, signing_service_pb2.GetSignatureRequestResponse)
    list_signature_requests = Paged(signing_service_pb2.ListSignatureRequestsRequest, signing_service_pb2.ListSignatureRequestsResponse, lambda page: page.signature_requests)
    update_signature_request = Unary(signing_service_pb2.UpdateSignatureRequestRequest, signing_service_pb2.UpdateSignatureRequestResponse)
    cancel_signature_request = Unary(signing_service_pb2.CancelSignatureRequestRequest, signing_service_pb2.CancelSignatureRequestResponse)
    move_signature_request = Unary(signing_service_pb2.MoveSignatureRequestRequest, signing_service_pb2.MoveSignatureRequestResponse)
    create_signer_session = Unary(signing_service_pb2.CreateSignerSessionRequest, signing_service_pb2.CreateSignerSessionResponse)
    create_signer_link = Unary(signing_service_pb2.CreateSignerLinkRequest, signing_service_pb2.CreateSignerLinkResponse)
    list_signer_links = Paged(signing_service_pb2.ListSignerLinksRequest, signing_service_pb2.ListSignerLinksResponse, lambda page: page.signer_links)
    revoke_signer_link = Unary(signing_service_pb2.RevokeSignerLinkRequest, signing_service_pb2.RevokeSignerLinkResponse)
