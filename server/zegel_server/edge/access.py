"""What each method demands of its caller and which event a call of it records, method by method.

It stands here and not in the contracts: a method option needs a number that no partner's own option has, and numbers
are not given out for every house (ADR 0034). Invariants:

* Every method of every service has an entry: a server that finds a method without one does not start.
* It imports nothing that is generated: what is generated is made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Access:
    """What a method demands, and what a call of it leaves.

    Attributes:
        permission: What a role of the caller must hold, as ``<resource>.<verb>``. Checked before any resource is looked
            up.
        resources: Path of each field of the request that names a resource, such as ``spec.document_id``, with the
            resource's kind; each is checked against the scope in which the caller holds the permission. Empty where the
            method acts on what the session itself identifies.
        records: The event that a call records in the audit log, in the same transaction as its change, without the
            ``EVENT_TYPE_`` prefix; empty for none.
        exchanges: Whether it takes a token that is exchanged for a session, once, and refuses every other kind exactly
            like a malformed one.
    """

    permission: str
    resources: tuple[tuple[str, str], ...] = ()
    records: str = ""
    exchanges: bool = False


DECLARED: Final[Mapping[str, Mapping[str, Access]]] = {
    "zegel.audit.v1.AuditService": {
        "ListEvents": Access("audit.read", (("signature_request_id", "signature_request"),)),
        "WatchEvents": Access("audit.read", (("signature_request_id", "signature_request"),)),
        "GetTransaction": Access("audit.read", (("audit_id", "audit_id"),)),
        "GetCheckpoint": Access("log.read"),
        "GetInclusionProof": Access("audit.read", (("event_id", "event"),)),
        "GetConsistencyProof": Access("log.read"),
    },
    "zegel.document.v1.DocumentService": {
        "StartUpload": Access(
            "document.create",
            (("spec.document_id", "document"), ("spec.team_id", "team")),
            records="UPLOAD_STARTED",
        ),
        "GetUpload": Access("document.create", (("upload_id", "upload"),)),
        "CancelUpload": Access("document.create", (("upload_id", "upload"),), records="UPLOAD_CANCELED"),
        "UploadDocument": Access(
            "document.create",
            (("upload_id", "upload"), ("spec.document_id", "document"), ("spec.team_id", "team")),
            records="DOCUMENT_UPLOADED",
        ),
        "DownloadDocument": Access("document.download", (("document_id", "document"),), records="DOCUMENT_DOWNLOADED"),
        "GetDocument": Access("document.read", (("document_id", "document"),)),
        "ListDocuments": Access("document.read"),
        "UpdateDocument": Access(
            "document.update", (("document.document_id", "document"),), records="DOCUMENT_UPDATED"
        ),
        "MoveDocument": Access(
            "document.move",
            (("document_id", "document"), ("owner_id", "owner")),
            records="DOCUMENT_MOVED",
        ),
        "DeleteDocument": Access("document.delete", (("document_id", "document"),), records="DOCUMENT_DELETED"),
        "UndeleteDocument": Access("document.delete", (("document_id", "document"),), records="DOCUMENT_UNDELETED"),
        "PurgeDocument": Access("document.purge", (("document_id", "document"),), records="DOCUMENT_PURGED"),
    },
    "zegel.identity.v1.IdentityService": {
        "CreateTenant": Access("tenant.create", records="TENANT_CREATED"),
        "GetTenant": Access("tenant.read"),
        "UpdateTenant": Access("tenant.update", records="TENANT_UPDATED"),
        "CreateMember": Access("member.create", records="MEMBER_CREATED"),
        "GetMember": Access("member.read", (("member_id", "member"),)),
        "ListMembers": Access("member.read"),
        "UpdateMember": Access("member.update", (("member.member_id", "member"),), records="MEMBER_UPDATED"),
        "DeleteMember": Access("member.delete", (("member_id", "member"),), records="MEMBER_DELETED"),
        "CreateApiKey": Access("api_key.create", records="API_KEY_CREATED"),
        "ListApiKeys": Access("api_key.read"),
        "RotateApiKey": Access("api_key.rotate", (("api_key_id", "api_key"),), records="API_KEY_ROTATED"),
        "RevokeApiKey": Access("api_key.revoke", (("api_key_id", "api_key"),), records="API_KEY_REVOKED"),
        "CreateSession": Access("session.create", (("member_id", "member"),), records="SIGNED_IN"),
        "ExchangeToken": Access("session.exchange", records="SIGNED_IN", exchanges=True),
        "SetIdentityProvider": Access("identity_provider.update", records="IDENTITY_PROVIDER_SET"),
        "GetIdentityProvider": Access("identity_provider.read"),
        "DeleteIdentityProvider": Access("identity_provider.update", records="IDENTITY_PROVIDER_DELETED"),
        "GetCurrentSession": Access("session.introspect"),
        "ListSessions": Access("session.read"),
        "RevokeSession": Access("session.revoke", (("session_id", "session"),), records="SESSION_REVOKED"),
    },
    "zegel.permission.v1.PermissionService": {
        "ListRoles": Access("role.read"),
        "GetRole": Access("role.read", (("role", "role"),)),
        "CreateRole": Access("role.create", records="ROLE_CREATED"),
        "UpdateRole": Access("role.update", (("role.name", "role"),), records="ROLE_UPDATED"),
        "DeleteRole": Access("role.delete", (("role", "role"),), records="ROLE_DELETED"),
        "ListBindings": Access("binding.read"),
        "GrantRole": Access("binding.grant", (("principal_id", "principal"), ("role", "role")), records="ROLE_GRANTED"),
        "TakeRole": Access("binding.take", (("principal_id", "principal"), ("role", "role")), records="ROLE_TAKEN"),
        "CheckPermissions": Access("permission.check"),
        "ListPermissions": Access("permission.check"),
        "ExplainPermission": Access("permission.explain", (("principal_id", "principal"),)),
        "CreateTeam": Access("team.create", records="TEAM_CREATED"),
        "GetTeam": Access("team.read", (("team_id", "team"),)),
        "ListTeams": Access("team.read"),
        "UpdateTeam": Access("team.update", (("team.team_id", "team"),), records="TEAM_UPDATED"),
        "DeleteTeam": Access("team.delete", (("team_id", "team"),), records="TEAM_DELETED"),
        "AddTeamMember": Access(
            "team.update",
            (("team_id", "team"), ("principal_id", "principal")),
            records="TEAM_MEMBER_ADDED",
        ),
        "RemoveTeamMember": Access(
            "team.update",
            (("team_id", "team"), ("principal_id", "principal")),
            records="TEAM_MEMBER_REMOVED",
        ),
        "ListTeamMembers": Access("team.read", (("team_id", "team"),)),
        "CreateDelegation": Access(
            "delegation.create",
            (("delegator_id", "member"), ("delegate_id", "member")),
            records="DELEGATION_CREATED",
        ),
        "ListDelegations": Access("delegation.read"),
        "EndDelegation": Access("delegation.end", (("delegation_id", "delegation"),), records="DELEGATION_ENDED"),
    },
    "zegel.signing.v1.CeremonyService": {
        "OpenCeremony": Access("ceremony.open", records="SIGNATURE_REQUEST_VIEWED"),
        "GetCeremony": Access("ceremony.read"),
        "AcceptDisclosure": Access("ceremony.sign", records="DISCLOSURE_ACCEPTED"),
        "FillFields": Access("ceremony.sign", records="FIELDS_FILLED"),
        "SignDocuments": Access("ceremony.sign", records="SIGNATURE_REQUEST_SIGNED"),
        "DeclineSignature": Access("ceremony.sign", records="SIGNATURE_REQUEST_DECLINED"),
    },
    "zegel.signing.v1.SigningService": {
        "CreateSignatureRequest": Access(
            "signature_request.create",
            (("documents.document_id", "document"), ("team_id", "team")),
            records="SIGNATURE_REQUEST_SENT",
        ),
        "GetSignatureRequest": Access("signature_request.read", (("signature_request_id", "signature_request"),)),
        "ListSignatureRequests": Access("signature_request.read"),
        "UpdateSignatureRequest": Access(
            "signature_request.update",
            (("signature_request.signature_request_id", "signature_request"),),
            records="EXPIRY_EDITED",
        ),
        "CancelSignatureRequest": Access(
            "signature_request.cancel",
            (("signature_request_id", "signature_request"),),
            records="SIGNATURE_REQUEST_CANCELED",
        ),
        "MoveSignatureRequest": Access(
            "signature_request.move",
            (("signature_request_id", "signature_request"), ("owner_id", "owner")),
            records="SIGNATURE_REQUEST_MOVED",
        ),
        "CreateSignerSession": Access(
            "signature_request.open",
            (("signature_request_id", "signature_request"), ("signature_id", "signature")),
            records="SIGNER_SESSION_CREATED",
        ),
        "CreateSignerLink": Access(
            "signature_request.open",
            (("signature_request_id", "signature_request"), ("signature_id", "signature")),
            records="SIGNER_LINK_CREATED",
        ),
        "ListSignerLinks": Access("signature_request.read", (("signature_request_id", "signature_request"),)),
        "RevokeSignerLink": Access(
            "signature_request.open",
            (("signature_request_id", "signature_request"), ("signer_link_id", "signer_link")),
            records="SIGNER_LINK_REVOKED",
        ),
    },
}
"""By the service's full name, then by the method's."""
