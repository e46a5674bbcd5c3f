"""The methods of each service, for the asyncio client's classes to inherit. Generated from `protos`.

Left out are ``UploadDocument`` and ``DownloadDocument``: their streams need more than a thin method.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from zegel import enums
from zegel._internal.streams import AioPages, AioStream
from zegel._internal.surface import AioService
from zegel.audit.v1.audit_service_pb2 import (
    Event,
    GetCheckpointRequest,
    GetCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetInclusionProofRequest,
    GetInclusionProofResponse,
    GetTransactionRequest,
    GetTransactionResponse,
    ListEventsRequest,
    ListEventsResponse,
    WatchEventsRequest,
    WatchEventsResponse,
)
from zegel.document.v1.document_service_pb2 import (
    CancelUploadRequest,
    CancelUploadResponse,
    DeleteDocumentRequest,
    DeleteDocumentResponse,
    Document,
    GetDocumentRequest,
    GetDocumentResponse,
    GetUploadRequest,
    GetUploadResponse,
    ListDocumentsRequest,
    ListDocumentsResponse,
    MoveDocumentRequest,
    MoveDocumentResponse,
    PurgeDocumentRequest,
    PurgeDocumentResponse,
    StartUploadRequest,
    StartUploadResponse,
    UndeleteDocumentRequest,
    UndeleteDocumentResponse,
    UpdateDocumentRequest,
    UpdateDocumentResponse,
    UploadSpec,
)
from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin
from zegel.event.v1.event_type_pb2 import EventType
from zegel.identity.v1.identity_service_pb2 import (
    ApiKey,
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    CreateMemberRequest,
    CreateMemberResponse,
    CreateSessionRequest,
    CreateSessionResponse,
    CreateTenantRequest,
    CreateTenantResponse,
    DeleteIdentityProviderRequest,
    DeleteIdentityProviderResponse,
    DeleteMemberRequest,
    DeleteMemberResponse,
    ExchangeTokenRequest,
    ExchangeTokenResponse,
    GetCurrentSessionRequest,
    GetCurrentSessionResponse,
    GetIdentityProviderRequest,
    GetIdentityProviderResponse,
    GetMemberRequest,
    GetMemberResponse,
    GetTenantRequest,
    GetTenantResponse,
    IdentityProvider,
    ListApiKeysRequest,
    ListApiKeysResponse,
    ListMembersRequest,
    ListMembersResponse,
    ListSessionsRequest,
    ListSessionsResponse,
    Member,
    RevokeApiKeyRequest,
    RevokeApiKeyResponse,
    RevokeSessionRequest,
    RevokeSessionResponse,
    RotateApiKeyRequest,
    RotateApiKeyResponse,
    Session,
    SetIdentityProviderRequest,
    SetIdentityProviderResponse,
    Tenant,
    UpdateMemberRequest,
    UpdateMemberResponse,
    UpdateTenantRequest,
    UpdateTenantResponse,
)
from zegel.permission.v1.permission_service_pb2 import (
    Binding,
    CheckPermissionsRequest,
    CheckPermissionsResponse,
    CreateRoleRequest,
    CreateRoleResponse,
    DeleteRoleRequest,
    DeleteRoleResponse,
    ExplainPermissionRequest,
    ExplainPermissionResponse,
    GetRoleRequest,
    GetRoleResponse,
    GrantRoleRequest,
    GrantRoleResponse,
    ListBindingsRequest,
    ListBindingsResponse,
    ListPermissionsRequest,
    ListPermissionsResponse,
    ListRolesRequest,
    ListRolesResponse,
    Role,
    TakeRoleRequest,
    TakeRoleResponse,
    UpdateRoleRequest,
    UpdateRoleResponse,
)
from zegel.permission.v1.sharing_pb2 import (
    AddTeamMemberRequest,
    AddTeamMemberResponse,
    CreateDelegationRequest,
    CreateDelegationResponse,
    CreateTeamRequest,
    CreateTeamResponse,
    Delegation,
    DeleteTeamRequest,
    DeleteTeamResponse,
    EndDelegationRequest,
    EndDelegationResponse,
    GetTeamRequest,
    GetTeamResponse,
    ListDelegationsRequest,
    ListDelegationsResponse,
    ListTeamMembersRequest,
    ListTeamMembersResponse,
    ListTeamsRequest,
    ListTeamsResponse,
    RemoveTeamMemberRequest,
    RemoveTeamMemberResponse,
    Team,
    TeamMember,
    UpdateTeamRequest,
    UpdateTeamResponse,
)
from zegel.signing.v1.ceremony_service_pb2 import (
    AcceptDisclosureRequest,
    AcceptDisclosureResponse,
    DeclineSignatureRequest,
    DeclineSignatureResponse,
    FillFieldsRequest,
    FillFieldsResponse,
    GetCeremonyRequest,
    GetCeremonyResponse,
    OpenCeremonyRequest,
    OpenCeremonyResponse,
    SignDocumentsRequest,
    SignDocumentsResponse,
)
from zegel.signing.v1.signature_request_pb2 import (
    Field,
    FieldValue,
    RequestedDocument,
    SignatureRequest,
    SignatureRequestState,
    Signer,
)
from zegel.signing.v1.signing_service_pb2 import (
    CancelSignatureRequestRequest,
    CancelSignatureRequestResponse,
    CreateSignatureRequestRequest,
    CreateSignatureRequestResponse,
    CreateSignerLinkRequest,
    CreateSignerLinkResponse,
    CreateSignerSessionRequest,
    CreateSignerSessionResponse,
    GetSignatureRequestRequest,
    GetSignatureRequestResponse,
    ListSignatureRequestsRequest,
    ListSignatureRequestsResponse,
    ListSignerLinksRequest,
    ListSignerLinksResponse,
    MoveSignatureRequestRequest,
    MoveSignatureRequestResponse,
    RevokeSignerLinkRequest,
    RevokeSignerLinkResponse,
    SignerLink,
    UpdateSignatureRequestRequest,
    UpdateSignatureRequestResponse,
)


class AuditMethods(AioService):
    """Those of ``zegel.audit.v1.AuditService``."""

    def list_events(
        self,
        *,
        signature_request_id: str = "",
        types: Iterable[enums.EventType | EventType.ValueType] = (),
        principal_id: str = "",
        start_time: datetime | Timestamp | None = None,
        end_time: datetime | Timestamp | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListEventsResponse, Event]:
        """Lists events, oldest first. Only those covered by a checkpoint.

        Args:
            signature_request_id: Only events of this signature request. If empty, all that the caller may see.
            types: Only events of these types. If empty, all.
            principal_id: Only events by this principal. If empty, all.
            start_time: Only events at or after this time.
            end_time: Only events before this time.
            page_size: Maximum number of events to return: 1 to 1,000. 0 means 100; values above 1,000 are treated as
                1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The events of this
            page.
        """
        return self._paged(
            ListEventsRequest,
            ListEventsResponse,
            lambda page: page.events,
            signature_request_id=signature_request_id,
            types=types,
            principal_id=principal_id,
            start_time=start_time,
            end_time=end_time,
            page_size=page_size,
            page_token=page_token,
        )

    def watch_events(
        self,
        *,
        signature_request_id: str = "",
        types: Iterable[enums.EventType | EventType.ValueType] = (),
        start_index: int = 0,
    ) -> AioStream[WatchEventsResponse]:
        """Streams events from a given index, then new ones as they occur, without gaps or duplicates. It ends when the
        session does, or at the client's deadline.

        Args:
            signature_request_id: Only events of this signature request. If empty, all that the caller may see.
            types: Only events of these types. If empty, all.
            start_index: Smallest `log_index` to send: the last one received plus 1, or 0 for all.

        Returns:
            A stream of responses, with these fields:

            * event: The event.
        """
        return self._streamed(
            WatchEventsRequest,
            WatchEventsResponse,
            signature_request_id=signature_request_id,
            types=types,
            start_index=start_index,
        )

    async def get_transaction(self, *, audit_id: str) -> GetTransactionResponse:
        """Gets the whole audit trail of a signature request by its audit ID, with a proof for its last event. Fails
        with `UNAVAILABLE` (`NOT_WITNESSED_YET`) if the operator requires witnesses and too few have cosigned a
        checkpoint that covers it. Fails with `RESOURCE_EXHAUSTED`: `TRAIL_FULL` if the trail has more events than
        evidence can hold; `LIMIT_REACHED` if it has more than one response holds (4 MiB, some 2,000 events), in
        which case list the events, and export the evidence from the log's files.

        Args:
            audit_id: The audit ID, as printed on the audit page. Required.

        Returns:
            The response, with these fields:

            * signature_request_id: Identifier of the signature request.
            * events: Its events so far, oldest first.
            * audit_jsonl: The leaves, one per line: what a sealed PDF carries as `audit.jsonl`.
            * proof: Proof for the last of them, a C2SP `tlog-proof`.
            * sealed_proof: For a sealed request, the proof for the hash of the final file (`.tlog-proof`); otherwise
              empty.
            * openings: What opens the leaves' commitments: the documents' hashes, the boxes of the fields on the
              pages, and the salts. A sealed PDF carries it as `openings.json`. Empty for a request sent before
              leaves held commitments.
        """
        return await self._unary(GetTransactionRequest, GetTransactionResponse, audit_id=audit_id)

    async def get_checkpoint(self) -> GetCheckpointResponse:
        """Gets the newest signed checkpoint, with the cosignatures of its witnesses, and the key that verifies it. If
        the operator requires witnesses, it is the newest that enough of them have cosigned; fails with `UNAVAILABLE`
        (`NOT_WITNESSED_YET`) if there is none.

        Returns:
            The response, with these fields:

            * checkpoint: The newest checkpoint, a C2SP `tlog-checkpoint`.
            * verifier_key: The log's verifier key, in the C2SP `signed-note` encoding.
            * size: Number of leaves that the checkpoint covers.
        """
        return await self._unary(GetCheckpointRequest, GetCheckpointResponse)

    async def get_inclusion_proof(self, *, event_id: str) -> GetInclusionProofResponse:
        """Proves that an event is in the log. Fails with `UNAVAILABLE`: `NOT_INTEGRATED_YET` in the first moments after
        the event, and `NOT_WITNESSED_YET` until enough of the witnesses that the operator requires have cosigned a
        checkpoint that covers it.

        Args:
            event_id: Identifier of the event. Required.

        Returns:
            The response, with these fields:

            * proof: The proof, a C2SP `tlog-proof` with the leaf as its extra data.
        """
        return await self._unary(GetInclusionProofRequest, GetInclusionProofResponse, event_id=event_id)

    async def get_consistency_proof(self, *, first_size: int, second_size: int = 0) -> GetConsistencyProofResponse:
        """Proves that the log at one size is a prefix of the log at a later size. Fails with `OUT_OF_RANGE` if the log
        has not reached that size.

        Args:
            first_size: The earlier size. Required: at least 1.
            second_size: The later size; 0 means that of the newest checkpoint.

        Returns:
            The response, with these fields:

            * second_size: The later size.
            * hashes: The hashes of the proof (RFC 9162, section 2.1.4), 32 bytes each.
            * checkpoint: The checkpoint of the later size, if that is the newest; otherwise empty.
        """
        return await self._unary(
            GetConsistencyProofRequest,
            GetConsistencyProofResponse,
            first_size=first_size,
            second_size=second_size,
        )


class DocumentMethods(AioService):
    """Those of ``zegel.document.v1.DocumentService``."""

    async def start_upload(self, *, spec: UploadSpec, request_id: str = "") -> StartUploadResponse:
        """Starts a resumable upload of a new document, or of a new version of an existing one. Idempotent by
        `request_id`.

        Args:
            spec: What the upload is for. Required.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * upload: The upload.
        """
        return await self._unary(StartUploadRequest, StartUploadResponse, spec=spec, request_id=request_id)

    async def get_upload(self, *, upload_id: str) -> GetUploadResponse:
        """Gets the progress of an upload: continue from `persisted_size`, which advances in whole parts of about 4 MiB.

        Args:
            upload_id: Identifier of the upload. Required.

        Returns:
            The response, with these fields:

            * upload: The upload.
        """
        return await self._unary(GetUploadRequest, GetUploadResponse, upload_id=upload_id)

    async def cancel_upload(self, *, upload_id: str) -> CancelUploadResponse:
        """Cancels an upload and discards what it has stored. Idempotent.

        Args:
            upload_id: Identifier of the upload. Required.

        Returns:
            An empty response.
        """
        return await self._unary(CancelUploadRequest, CancelUploadResponse, upload_id=upload_id)

    async def get_document(self, *, document_id: str) -> GetDocumentResponse:
        """Gets a document's metadata.

        Args:
            document_id: Identifier of the document. Required.

        Returns:
            The response, with these fields:

            * document: The document.
        """
        return await self._unary(GetDocumentRequest, GetDocumentResponse, document_id=document_id)

    def list_documents(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        show_deleted: bool = False,
        read_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> AioPages[ListDocumentsResponse, Document]:
        """Lists documents, newest first: of each, what `read_mask` names, by default all but its versions. Documents
        that Zegel merged for a signature request are not listed; the request names them.

        Args:
            page_size: Maximum number of documents to return: 1 to 1,000. 0 means 100; values above 1,000 are treated
                as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.
            show_deleted: Whether deleted documents are listed as well.
            read_mask: Which fields of each document to return, by name: `title`, `versions`. Optional. If empty, a
                summary: all but `versions`, which have every page and what was found in the file. `*` for all. What
                lies within a field cannot be named.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The documents of
            this page.
        """
        return self._paged(
            ListDocumentsRequest,
            ListDocumentsResponse,
            lambda page: page.documents,
            page_size=page_size,
            page_token=page_token,
            show_deleted=show_deleted,
            read_mask=read_mask,
        )

    async def update_document(
        self,
        *,
        document: Document,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> UpdateDocumentResponse:
        """Updates a document's title. Fails with `ABORTED` if the `etag` is out of date.

        Args:
            document: Required: the document with the fields to change, its identifier, and the `etag` last read (if
                empty, any version is accepted).
            update_mask: Which fields to change: `title`. If empty, those that are set; `*` for all.

        Returns:
            The response, with these fields:

            * document: The document as changed.
        """
        return await self._unary(
            UpdateDocumentRequest,
            UpdateDocumentResponse,
            document=document,
            update_mask=update_mask,
        )

    async def move_document(self, *, document_id: str, owner_id: str, etag: str = "") -> MoveDocumentResponse:
        """Changes a document's owner: into a team, out of one, or to another principal. All versions move with it, its
        open uploads of new versions end, and signature requests over it continue.

        The new owner must be the caller itself, a team that it is in, a member who delegates to it, or, if the
        caller holds `document.create` in `SCOPE_ANY`, anyone in the tenant. Fails with `NOT_FOUND` if the caller
        does not reach the document or the new owner. Fails with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the
        new owner, or someone in the new team, could do with the document what the caller may not; and if a team owns
        it and the caller holds neither `team.update` for that team nor `document.move` in `SCOPE_ANY`. A delegation
        does not include moving. Fails with `FAILED_PRECONDITION` if the document is deleted, or is a sealed or
        merged document, which moves with its signature request. Fails with `ABORTED` if the `etag` is out of date.

        Args:
            document_id: Identifier of the document. Required.
            owner_id: Identifier of the new owner: a member, API key or team. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            The response, with these fields:

            * document: The document with its new owner.
        """
        return await self._unary(
            MoveDocumentRequest,
            MoveDocumentResponse,
            document_id=document_id,
            owner_id=owner_id,
            etag=etag,
        )

    async def delete_document(self, *, document_id: str, etag: str = "") -> DeleteDocumentResponse:
        """Deletes a document softly: it can be restored until it is purged. Documents merged from it for signature
        requests are deleted with it. Fails with `FAILED_PRECONDITION` (`DOCUMENT_IN_USE`), and also if it is a
        merged document, which is deleted and restored together with the documents it was merged from.

        Args:
            document_id: Identifier of the document. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            The response, with these fields:

            * document: The document, deleted.
        """
        return await self._unary(DeleteDocumentRequest, DeleteDocumentResponse, document_id=document_id, etag=etag)

    async def undelete_document(self, *, document_id: str, etag: str = "") -> UndeleteDocumentResponse:
        """Restores a deleted document. A document merged from it is restored once all the others it was merged from are
        there too. Fails with `FAILED_PRECONDITION` if it is not deleted.

        Args:
            document_id: Identifier of the document. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            The response, with these fields:

            * document: The document, restored.
        """
        return await self._unary(UndeleteDocumentRequest, UndeleteDocumentResponse, document_id=document_id, etag=etag)

    async def purge_document(self, *, document_id: str, etag: str = "") -> PurgeDocumentResponse:
        """Destroys a deleted document permanently: first its keys, then its bytes, both originals and renditions, and
        the documents merged from it for signature requests. Sealed documents are kept. This cannot be undone. Fails
        with `FAILED_PRECONDITION` if it has not been deleted first. Idempotent.

        Args:
            document_id: Identifier of the document. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            The response, with these fields:

            * document: What remains: the record that the document existed.
        """
        return await self._unary(PurgeDocumentRequest, PurgeDocumentResponse, document_id=document_id, etag=etag)


class IdentityMethods(AioService):
    """Those of ``zegel.identity.v1.IdentityService``."""

    async def create_tenant(self, *, name: str, request_id: str = "") -> CreateTenantResponse:
        """Creates a tenant, and an API key for its owner. Only the installation's operator may call it. Idempotent by
        `request_id`. The key's token is not stored, so a repeated call returns a new token as long as the key has
        never been used, and no token after that.

        Args:
            name: Name of the tenant. Required: 1 to 200 characters.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * tenant: The tenant.
            * api_key: The owner's API key.
            * api_key_token: The key's token. Returned only here: the server stores only a hash of it.
        """
        return await self._unary(CreateTenantRequest, CreateTenantResponse, name=name, request_id=request_id)

    async def get_tenant(self) -> GetTenantResponse:
        """Gets the caller's own tenant.

        Returns:
            The response, with these fields:

            * tenant: The caller's tenant.
        """
        return await self._unary(GetTenantRequest, GetTenantResponse)

    async def update_tenant(
        self,
        *,
        tenant: Tenant,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> UpdateTenantResponse:
        """Updates the caller's own tenant. To change `sensitive_permissions`, the session must be recent enough for
        every permission listed there. Fails with `ABORTED` if the `etag` is out of date.

        Args:
            tenant: Required: the tenant with the fields to change, and the `etag` last read (if empty, any version
                is accepted).
            update_mask: Which fields to change: `name`, `sensitive_permissions`. If empty, those that are set; `*`
                for all.

        Returns:
            The response, with these fields:

            * tenant: The tenant as changed.
        """
        return await self._unary(UpdateTenantRequest, UpdateTenantResponse, tenant=tenant, update_mask=update_mask)

    async def create_member(
        self,
        *,
        name: str,
        email: str,
        roles: Iterable[str] = (),
        request_id: str = "",
        subject: str = "",
    ) -> CreateMemberResponse:
        """Adds a member to the tenant, with roles. Idempotent by `request_id`. Fails with `ALREADY_EXISTS` if a member
        has this mail address or account, with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the roles hold a
        permission that the caller does not, and with `FAILED_PRECONDITION` if it has a `subject` and the tenant no
        identity provider.

        Args:
            name: Name of the person. Required: 1 to 200 characters.
            email: Mail address of the person. Required: at most 254 characters.
            roles: Names of the roles to grant: at most 20. If empty, `member`.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.
            subject: Optional. Subject (`sub`) of the person's account at the tenant's identity provider; see
                `Member.subject`.

        Returns:
            The response, with these fields:

            * member: The member.
        """
        return await self._unary(
            CreateMemberRequest,
            CreateMemberResponse,
            name=name,
            email=email,
            roles=roles,
            request_id=request_id,
            subject=subject,
        )

    async def get_member(self, *, member_id: str) -> GetMemberResponse:
        """Gets a member.

        Args:
            member_id: Identifier of the member. Required.

        Returns:
            The response, with these fields:

            * member: The member.
        """
        return await self._unary(GetMemberRequest, GetMemberResponse, member_id=member_id)

    def list_members(self, *, page_size: int = 0, page_token: str = "") -> AioPages[ListMembersResponse, Member]:
        """Lists the tenant's members, oldest first.

        Args:
            page_size: Maximum number of members to return: 1 to 1,000. 0 means 100; values above 1,000 are treated
                as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The members of this
            page.
        """
        return self._paged(
            ListMembersRequest,
            ListMembersResponse,
            lambda page: page.members,
            page_size=page_size,
            page_token=page_token,
        )

    async def update_member(
        self,
        *,
        member: Member,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> UpdateMemberResponse:
        """Updates a member's name, mail address or account. Whoever controls the mail address or the account can sign
        in with it. A new one therefore fails with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the member holds
        a permission that the caller does not. After a change of address without a `subject`, the member is linked to
        an account at the identity provider again at the next sign-in. Fails with `ALREADY_EXISTS` if another member
        has the address or account, with `FAILED_PRECONDITION` if it has a `subject` and the tenant no identity
        provider, and with `ABORTED` if the `etag` is out of date.

        Args:
            member: Required: the member with the fields to change, its identifier, and the `etag` last read (if
                empty, any version is accepted).
            update_mask: Which fields to change: `name`, `email`, `subject`. If empty, those that are set; `*` for
                all, but without `subject` where that is empty. An empty `subject` that is named deletes the link to
                the account.

        Returns:
            The response, with these fields:

            * member: The member as changed.
        """
        return await self._unary(UpdateMemberRequest, UpdateMemberResponse, member=member, update_mask=update_mask)

    async def delete_member(self, *, member_id: str, etag: str = "") -> DeleteMemberResponse:
        """Removes a member. Its roles are taken and its sessions revoked in the same transaction. What it owns stays
        with the tenant. Fails with `FAILED_PRECONDITION` (`LAST_OWNER`) if no owner who can sign in would be left.

        Args:
            member_id: Identifier of the member. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            An empty response.
        """
        return await self._unary(DeleteMemberRequest, DeleteMemberResponse, member_id=member_id, etag=etag)

    async def create_api_key(
        self,
        *,
        name: str,
        roles: Iterable[str],
        expire_time: datetime | Timestamp | None = None,
        request_id: str = "",
        permissions: Iterable[str] = (),
    ) -> CreateApiKeyResponse:
        """Creates an API key with roles, optionally restricted to some of their permissions. Idempotent by
        `request_id`. The token is not stored, so a repeated call returns a new token as long as the key has never
        been used, and no token after that. Fails with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the key would
        hold a permission that the caller does not.

        Args:
            name: What the key is for. Required: 1 to 200 characters.
            roles: Names of the roles to grant. Required: 1 to 20.
            expire_time: When it expires: in the future; unset if never.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.
            permissions: Permissions to restrict the key to: at most 100. If empty, all that its roles hold or, if
                the caller itself is restricted, the caller's. Whatever the key opens or creates is restricted in the
                same way.

        Returns:
            The response, with these fields:

            * api_key: The key.
            * token: Its token, `zk_...`. Returned only here: the server stores only a hash of it.
        """
        return await self._unary(
            CreateApiKeyRequest,
            CreateApiKeyResponse,
            name=name,
            roles=roles,
            expire_time=expire_time,
            request_id=request_id,
            permissions=permissions,
        )

    def list_api_keys(self, *, page_size: int = 0, page_token: str = "") -> AioPages[ListApiKeysResponse, ApiKey]:
        """Lists API keys, oldest first. Tokens are never included.

        Args:
            page_size: Maximum number of keys to return: 1 to 1,000. 0 means 100; values above 1,000 are treated as
                1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The keys of this
            page.
        """
        return self._paged(
            ListApiKeysRequest,
            ListApiKeysResponse,
            lambda page: page.api_keys,
            page_size=page_size,
            page_token=page_token,
        )

    async def rotate_api_key(
        self,
        *,
        api_key_id: str,
        overlap: timedelta | Duration | None = None,
        request_id: str = "",
    ) -> RotateApiKeyResponse:
        """Gives an API key a new token. The previous token stays valid for `overlap`, so that a program can be moved to
        the new one without an interruption; after that it is refused as expired. Sessions opened with the key stay
        valid: if a token has leaked, revoke the key and create another.

        Idempotent by `request_id`. The token is not stored, so a repeated call returns a new token as long as the
        one returned first has never been used, and no token after that. Fails with `PERMISSION_DENIED`
        (`GRANT_EXCEEDS_GRANTER`) if the key holds a permission that the caller does not, and with
        `FAILED_PRECONDITION` if the key is revoked or expired.

        Args:
            api_key_id: Identifier of the key. Required.
            overlap: How long the previous token stays valid: 0 to 7 days. If unset, 1 day; 0 ends it at once. Tokens
                of earlier rotations that are still valid end by then too.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * api_key: The key.
            * token: Its new token, `zk_...`. Returned only here: the server stores only a hash of it.
        """
        return await self._unary(
            RotateApiKeyRequest,
            RotateApiKeyResponse,
            api_key_id=api_key_id,
            overlap=overlap,
            request_id=request_id,
        )

    async def revoke_api_key(self, *, api_key_id: str) -> RevokeApiKeyResponse:
        """Revokes an API key and every session made with it. Idempotent. Fails with `FAILED_PRECONDITION`
        (`LAST_OWNER`) if no owner who can sign in would be left. Works without the tenant's key; the answer then
        lacks the key's name.

        Args:
            api_key_id: Identifier of the key. Required.

        Returns:
            The response, with these fields:

            * api_key: The key, revoked.
        """
        return await self._unary(RevokeApiKeyRequest, RevokeApiKeyResponse, api_key_id=api_key_id)

    async def create_session(
        self,
        *,
        member_id: str,
        permissions: Iterable[str] = (),
        expire_time: datetime | Timestamp | None = None,
    ) -> CreateSessionResponse:
        """Opens a session for a member. Fails with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the member holds a
        permission that the caller does not. Where clients present certificates (mutual TLS), the session is bound to
        the caller's certificate and valid only with it. Not idempotent: each call opens another session.

        Args:
            member_id: The member to open the session for. Required.
            permissions: Permissions to restrict the session to: at most 100. If empty, all that the member holds or,
                if the caller itself is restricted, the caller's. Refused with `GRANT_EXCEEDS_GRANTER` if it names a
                permission that the caller does not hold.
            expire_time: When the session expires at the latest: at most 30 days from now. If unset, 12 hours from
                now.

        Returns:
            The response, with these fields:

            * session: The session.
            * token: Its token, `zs_...`. Returned only here: the server stores only a hash of it.
        """
        return await self._unary(
            CreateSessionRequest,
            CreateSessionResponse,
            member_id=member_id,
            permissions=permissions,
            expire_time=expire_time,
        )

    async def exchange_token(
        self,
        *,
        expire_time: datetime | Timestamp | None = None,
        tenant_id: str = "",
        permissions: Iterable[str] = (),
    ) -> ExchangeTokenResponse:
        """Exchanges the token that the call carries for a session, once, in the manner of RFC 8693. The token is one
        of:

        * a signer link (`zl_...`, see `SigningService.CreateSignerLink`), for a session of that signer in that one
          signature request;
        * an ID token of the tenant's identity provider (see `SetIdentityProvider`), for a session of the member that
          is linked to its account (issuer and subject), whatever mail address it names; or else of the member with
          its mail address, if that is believed (`IdentityProvider.email_trust`) and the member is linked to no
          account. The member is then linked to this one.

        Where clients present certificates (mutual TLS), the session is bound to the certificate of the caller of
        this method, not of whoever created the link. Redeeming a link writes `SIGNER_LINK_REDEEMED` to the audit
        trail of its signature request.

        Not idempotent: if the response is lost, the sender has to create another link. Of two simultaneous exchanges
        one succeeds. Fails with `UNAUTHENTICATED`: `LINK_SPENT` for a link redeemed before, `LINK_EXPIRED`,
        `LINK_REVOKED`, `SESSION_UNKNOWN`, `SESSION_MALFORMED`, or `ID_TOKEN_REFUSED` for whatever is wrong with an
        ID token, including that it was exchanged before. Fails with `UNAVAILABLE` if the identity provider does not
        answer.

        Args:
            expire_time: When the session expires at the latest: at most 24 hours from now. If unset, 1 hour from now
                for a signer and 12 hours for a member.
            tenant_id: The member's tenant. Needed for an ID token, since several tenants may use the same identity
                provider; empty for a signer link, which identifies its tenant.
            permissions: Permissions to restrict a member's session to: at most 100. If empty, all that the member
                holds. Must be empty for a signer link.

        Returns:
            The response, with these fields:

            * session: The session.
            * token: Its token, `zs_...`. Returned only here: the server stores only a hash of it.
        """
        return await self._unary(
            ExchangeTokenRequest,
            ExchangeTokenResponse,
            expire_time=expire_time,
            tenant_id=tenant_id,
            permissions=permissions,
        )

    async def set_identity_provider(self, *, identity_provider: IdentityProvider) -> SetIdentityProviderResponse:
        """Sets the OpenID Connect provider from which the tenant's members sign in by `ExchangeToken`, replacing the
        previous one. Whoever may call this can become any member, so among the built-in roles only `owner` holds the
        permission. If the issuer changes, members are linked to their accounts there at their next sign-in. Fails
        with `ABORTED` if the `etag` is out of date.

        Args:
            identity_provider: Required: the provider, and the `etag` last read (if empty, any version is accepted).

        Returns:
            The response, with these fields:

            * identity_provider: The provider as set.
        """
        return await self._unary(
            SetIdentityProviderRequest,
            SetIdentityProviderResponse,
            identity_provider=identity_provider,
        )

    async def get_identity_provider(self) -> GetIdentityProviderResponse:
        """Gets the tenant's identity provider. Fails with `NOT_FOUND` if it has none.

        Returns:
            The response, with these fields:

            * identity_provider: The provider.
        """
        return await self._unary(GetIdentityProviderRequest, GetIdentityProviderResponse)

    async def delete_identity_provider(self, *, etag: str = "") -> DeleteIdentityProviderResponse:
        """Removes the tenant's identity provider. Nobody can sign in from there any more, and the links between members
        and their accounts are deleted; open sessions stay valid. Fails with `NOT_FOUND` if the tenant has none, with
        `FAILED_PRECONDITION` (`LAST_OWNER`) if the remaining owners could not sign in without it, and with `ABORTED`
        if the `etag` is out of date.

        Args:
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            An empty response.
        """
        return await self._unary(DeleteIdentityProviderRequest, DeleteIdentityProviderResponse, etag=etag)

    async def get_current_session(self) -> GetCurrentSessionResponse:
        """Gets the session or API key that the call carries: who the caller is.

        Returns:
            The response, with these fields:

            * session: The session or API key that the call carries.
        """
        return await self._unary(GetCurrentSessionRequest, GetCurrentSessionResponse)

    def list_sessions(
        self,
        *,
        principal_id: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListSessionsResponse, Session]:
        """Lists sessions that are currently valid, newest first. Tokens are never included.

        Args:
            principal_id: Only sessions of this principal. If empty, all that the caller may see.
            page_size: Maximum number of sessions to return: 1 to 1,000. 0 means 100; values above 1,000 are treated
                as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The sessions of this
            page.
        """
        return self._paged(
            ListSessionsRequest,
            ListSessionsResponse,
            lambda page: page.sessions,
            principal_id=principal_id,
            page_size=page_size,
            page_token=page_token,
        )

    async def revoke_session(self, *, session_id: str) -> RevokeSessionResponse:
        """Revokes a session. The next request with it is refused, and its running streams end within a second.
        Idempotent.

        Args:
            session_id: Identifier of the session. Required.

        Returns:
            An empty response.
        """
        return await self._unary(RevokeSessionRequest, RevokeSessionResponse, session_id=session_id)


class PermissionMethods(AioService):
    """Those of ``zegel.permission.v1.PermissionService``."""

    def list_roles(self, *, page_size: int = 0, page_token: str = "") -> AioPages[ListRolesResponse, Role]:
        """Lists the tenant's roles: the built-in ones first, then its own by name.

        Args:
            page_size: Maximum number of roles to return: 1 to 1,000. 0 means 100; values above 1,000 are treated as
                1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The roles of this
            page.
        """
        return self._paged(
            ListRolesRequest,
            ListRolesResponse,
            lambda page: page.roles,
            page_size=page_size,
            page_token=page_token,
        )

    async def get_role(self, *, role: str) -> GetRoleResponse:
        """Gets a role. Fails with `NOT_FOUND` if the tenant has none of that name.

        Args:
            role: Name of the role. Required.

        Returns:
            The response, with these fields:

            * role: The role.
        """
        return await self._unary(GetRoleRequest, GetRoleResponse, role=role)

    async def create_role(self, *, role: Role, request_id: str = "") -> CreateRoleResponse:
        """Creates a role of the tenant's own. Idempotent by `request_id`. Fails with `ALREADY_EXISTS` if the name is
        taken, and with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the role would hold more than the caller
        does.

        Args:
            role: Required: the role to create, with a name.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * role: The role as created.
        """
        return await self._unary(CreateRoleRequest, CreateRoleResponse, role=role, request_id=request_id)

    async def update_role(
        self,
        *,
        role: Role,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
        validate_only: bool = False,
    ) -> UpdateRoleResponse:
        """Updates a role of the tenant's own. Fails with `FAILED_PRECONDITION` (`ROLE_BUILT_IN` or `ROLE_CYCLE`), and
        with `ABORTED` if the `etag` is out of date.

        Args:
            role: Required: the role, with the fields to change and its name.
            update_mask: Which fields to change: `description`, `grants`, `inherits`. If empty, those that are set;
                `*` for all.
            validate_only: If true, only reports what would change, and changes nothing.

        Returns:
            The response, with these fields:

            * role: The role as changed.
            * losses: Who loses which permissions.
        """
        return await self._unary(
            UpdateRoleRequest,
            UpdateRoleResponse,
            role=role,
            update_mask=update_mask,
            validate_only=validate_only,
        )

    async def delete_role(self, *, role: str, etag: str = "", validate_only: bool = False) -> DeleteRoleResponse:
        """Deletes a role of the tenant's own, and every binding to it. Fails with `FAILED_PRECONDITION`
        (`ROLE_BUILT_IN`).

        Args:
            role: Name of the role. Required.
            etag: The `etag` last read. If empty, any version is accepted.
            validate_only: If true, only reports what would change, and changes nothing.

        Returns:
            The response, with these fields:

            * losses: Who loses which permissions.
        """
        return await self._unary(
            DeleteRoleRequest,
            DeleteRoleResponse,
            role=role,
            etag=etag,
            validate_only=validate_only,
        )

    def list_bindings(
        self,
        *,
        principal_id: str = "",
        role: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListBindingsResponse, Binding]:
        """Lists bindings of roles to principals, ordered by principal, then role.

        Args:
            principal_id: Only bindings of this principal. If empty, of all.
            role: Only bindings to this role. If empty, to all.
            page_size: Maximum number of bindings to return: 1 to 1,000. 0 means 100; values above 1,000 are treated
                as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The bindings of this
            page.
        """
        return self._paged(
            ListBindingsRequest,
            ListBindingsResponse,
            lambda page: page.bindings,
            principal_id=principal_id,
            role=role,
            page_size=page_size,
            page_token=page_token,
        )

    async def grant_role(
        self,
        *,
        principal_id: str,
        role: str,
        expire_time: datetime | Timestamp | None = None,
    ) -> GrantRoleResponse:
        """Grants a role to a principal. Idempotent: an existing binding gets the new expiry. Fails with
        `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if the role holds more than the caller does, and with
        `RESOURCE_EXHAUSTED` if the principal would have more than 50 roles at the same time.

        Args:
            principal_id: Identifier of the member or API key. Required.
            role: Name of the role. Required.
            expire_time: When the binding expires: in the future; unset if never.

        Returns:
            The response, with these fields:

            * binding: The binding.
        """
        return await self._unary(
            GrantRoleRequest,
            GrantRoleResponse,
            principal_id=principal_id,
            role=role,
            expire_time=expire_time,
        )

    async def take_role(self, *, principal_id: str, role: str, validate_only: bool = False) -> TakeRoleResponse:
        """Takes a role from a principal. Fails with `NOT_FOUND` if it does not have the role, and with
        `FAILED_PRECONDITION` (`LAST_OWNER`) if no owner who can sign in would be left.

        Args:
            principal_id: Identifier of the member or API key. Required.
            role: Name of the role. Required.
            validate_only: If true, only reports what would change, and changes nothing.

        Returns:
            The response, with these fields:

            * losses: What the principal loses.
        """
        return await self._unary(
            TakeRoleRequest,
            TakeRoleResponse,
            principal_id=principal_id,
            role=role,
            validate_only=validate_only,
        )

    async def check_permissions(self, *, permissions: Iterable[str]) -> CheckPermissionsResponse:
        """For up to 100 permissions, returns the scopes in which the caller currently holds each.

        Args:
            permissions: The permissions to check. Required: 1 to 100.

        Returns:
            The response, with these fields:

            * checks: One result per permission, in the order given.
        """
        return await self._unary(CheckPermissionsRequest, CheckPermissionsResponse, permissions=permissions)

    async def list_permissions(self) -> ListPermissionsResponse:
        """Lists every permission that the caller currently holds, so that a partner's user interface can hide what
        would be refused.

        Returns:
            The response, with these fields:

            * grants: Every permission held, ordered by name, then scope.
            * policy_version: Version of the tenant's policy that this result is based on.
            * reaches: Others whose resources the caller reaches as if they were its own, ordered by owner.
        """
        return await self._unary(ListPermissionsRequest, ListPermissionsResponse)

    async def explain_permission(self, *, principal_id: str, permission: str) -> ExplainPermissionResponse:
        """Explains which rules and bindings give a principal a permission.

        Args:
            principal_id: Identifier of the member or API key. Required.
            permission: The permission. Required.

        Returns:
            The response, with these fields:

            * allowed: Whether the principal holds it in any scope.
            * grounds: What grants it; empty if nothing does.
            * policy_version: Version of the tenant's policy that this result is based on.
            * reaches: Others whose resources the principal reaches with it as if they were its own, ordered by
              owner: through which team or delegation. Each names only this permission.
        """
        return await self._unary(
            ExplainPermissionRequest,
            ExplainPermissionResponse,
            principal_id=principal_id,
            permission=permission,
        )

    async def create_team(self, *, name: str, request_id: str = "") -> CreateTeamResponse:
        """Creates a team, with the caller as its first member. Idempotent by `request_id`.

        Args:
            name: Name, for people: 1 to 200 characters. Required.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * team: The team as created.
        """
        return await self._unary(CreateTeamRequest, CreateTeamResponse, name=name, request_id=request_id)

    async def get_team(self, *, team_id: str) -> GetTeamResponse:
        """Gets a team. With `team.read` in `SCOPE_OWN`, the teams that the caller is in.

        Args:
            team_id: Identifier of the team. Required.

        Returns:
            The response, with these fields:

            * team: The team.
        """
        return await self._unary(GetTeamRequest, GetTeamResponse, team_id=team_id)

    def list_teams(self, *, page_size: int = 0, page_token: str = "") -> AioPages[ListTeamsResponse, Team]:
        """Lists the teams that the caller may see, oldest first.

        Args:
            page_size: Maximum number of teams to return: 1 to 1,000. 0 means 100; values above 1,000 are treated as
                1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The teams of this
            page.
        """
        return self._paged(
            ListTeamsRequest,
            ListTeamsResponse,
            lambda page: page.teams,
            page_size=page_size,
            page_token=page_token,
        )

    async def update_team(
        self,
        *,
        team: Team,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> UpdateTeamResponse:
        """Updates a team's name. Fails with `ABORTED` if the `etag` is out of date.

        Args:
            team: Required: the team, with the fields to change and its identifier.
            update_mask: Which fields to change: `name`. If empty, those that are set; `*` for all.

        Returns:
            The response, with these fields:

            * team: The team as changed.
        """
        return await self._unary(UpdateTeamRequest, UpdateTeamResponse, team=team, update_mask=update_mask)

    async def delete_team(self, *, team_id: str, etag: str = "") -> DeleteTeamResponse:
        """Deletes a team. What it owned stays with the tenant, and is then reachable only in `SCOPE_ANY`.

        Args:
            team_id: Identifier of the team. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            An empty response.
        """
        return await self._unary(DeleteTeamRequest, DeleteTeamResponse, team_id=team_id, etag=etag)

    async def add_team_member(
        self,
        *,
        team_id: str,
        principal_id: str,
        expire_time: datetime | Timestamp | None = None,
    ) -> AddTeamMemberResponse:
        """Adds a principal to a team. Idempotent: one that is already in it gets the new expiry. Fails with
        `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) unless the caller itself has access to what the team owns, with
        every permission that it or the principal could use there.

        Args:
            team_id: Identifier of the team. Required.
            principal_id: Identifier of the member or API key. Required.
            expire_time: When its membership expires: in the future; unset if never.

        Returns:
            The response, with these fields:

            * member: The principal as a member of the team.
        """
        return await self._unary(
            AddTeamMemberRequest,
            AddTeamMemberResponse,
            team_id=team_id,
            principal_id=principal_id,
            expire_time=expire_time,
        )

    async def remove_team_member(self, *, team_id: str, principal_id: str) -> RemoveTeamMemberResponse:
        """Removes a principal from a team. Fails with `NOT_FOUND` if it is not in the team.

        Args:
            team_id: Identifier of the team. Required.
            principal_id: Identifier of the member or API key. Required.

        Returns:
            An empty response.
        """
        return await self._unary(
            RemoveTeamMemberRequest,
            RemoveTeamMemberResponse,
            team_id=team_id,
            principal_id=principal_id,
        )

    def list_team_members(
        self,
        *,
        team_id: str,
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListTeamMembersResponse, TeamMember]:
        """Lists the principals in a team, ordered by identifier.

        Args:
            team_id: Identifier of the team. Required.
            page_size: Maximum number of principals to return: 1 to 1,000. 0 means 100; values above 1,000 are
                treated as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The principals of
            this page.
        """
        return self._paged(
            ListTeamMembersRequest,
            ListTeamMembersResponse,
            lambda page: page.members,
            team_id=team_id,
            page_size=page_size,
            page_token=page_token,
        )

    async def create_delegation(
        self,
        *,
        delegator_id: str,
        delegate_id: str,
        permissions: Iterable[str] = (),
        expire_time: datetime | Timestamp,
        request_id: str = "",
    ) -> CreateDelegationResponse:
        """Delegates access to a member's own resources to another member, until a given time. Idempotent by
        `request_id`. Fails with `ALREADY_EXISTS` if a delegation between the two is in force, with
        `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`) if it would carry a permission that the caller does not hold,
        and with `FAILED_PRECONDITION` (`NOTHING_TO_DELEGATE`).

        Args:
            delegator_id: The member who delegates. Required.
            delegate_id: The member who gets access: not the delegator. Required.
            permissions: The permissions to restrict it to: up to 100, of `document`, `signature_request` and
                `audit`; empty for no restriction. `document.move` and `signature_request.move` are not allowed,
                since what was moved away would outlast the delegation. If the caller is not the delegator, or its
                session is restricted, the delegation is restricted to what the delegator holds at the time of
                creation.
            expire_time: When it expires: in the future, at most 366 days from now. Required.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * delegation: The delegation as created.
        """
        return await self._unary(
            CreateDelegationRequest,
            CreateDelegationResponse,
            delegator_id=delegator_id,
            delegate_id=delegate_id,
            permissions=permissions,
            expire_time=expire_time,
            request_id=request_id,
        )

    def list_delegations(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListDelegationsResponse, Delegation]:
        """Lists the delegations in force, oldest first. With `delegation.read` in `SCOPE_OWN`, those that the caller
        has given or received.

        Args:
            page_size: Maximum number of delegations to return: 1 to 1,000. 0 means 100; values above 1,000 are
                treated as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The delegations of
            this page.
        """
        return self._paged(
            ListDelegationsRequest,
            ListDelegationsResponse,
            lambda page: page.delegations,
            page_size=page_size,
            page_token=page_token,
        )

    async def end_delegation(self, *, delegation_id: str) -> EndDelegationResponse:
        """Ends a delegation; both its delegator and its delegate may. Fails with `NOT_FOUND` if it has already ended.

        Args:
            delegation_id: Identifier of the delegation. Required.

        Returns:
            An empty response.
        """
        return await self._unary(EndDelegationRequest, EndDelegationResponse, delegation_id=delegation_id)


class CeremonyMethods(AioService):
    """Those of ``zegel.signing.v1.CeremonyService``."""

    async def open_ceremony(self, *, asserted_origin: AssertedOrigin | None = None) -> OpenCeremonyResponse:
        """Opens the request for the signer. The first call records in the audit trail that the signer viewed it.
        Idempotent.

        Args:
            asserted_origin: Optional. Where the signer is, if the caller is not the signer's own device.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(OpenCeremonyRequest, OpenCeremonyResponse, asserted_origin=asserted_origin)

    async def get_ceremony(self) -> GetCeremonyResponse:
        """Gets the request as the signer sees it, including what has been filled in so far.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(GetCeremonyRequest, GetCeremonyResponse)

    async def accept_disclosure(
        self,
        *,
        asserted_origin: AssertedOrigin | None = None,
        disclosure_version: int = 0,
    ) -> AcceptDisclosureResponse:
        """Accepts the electronic record and signature disclosure. Idempotent.

        Args:
            asserted_origin: Optional. Where the signer is, if the caller is not the signer's own device.
            disclosure_version: Optional. The version that the signer was shown: `Ceremony.disclosure_version`. If
                there is a newer one meanwhile, the call is refused with `INVALID_ARGUMENT`, so that nobody accepts
                what they have not seen. 0 means the newest.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(
            AcceptDisclosureRequest,
            AcceptDisclosureResponse,
            asserted_origin=asserted_origin,
            disclosure_version=disclosure_version,
        )

    async def fill_fields(
        self,
        *,
        values: Iterable[FieldValue],
        asserted_origin: AssertedOrigin | None = None,
    ) -> FillFieldsResponse:
        """Sets values of the signer's own fields; a later value replaces an earlier one. Idempotent. Fails with
        `FAILED_PRECONDITION` (`RECIPIENT_ALREADY_SIGNED`, `RECIPIENT_OUT_OF_TURN` or `DISCLOSURE_NOT_ACCEPTED`).
        Fails with `RESOURCE_EXHAUSTED`: `LIMIT_REACHED` if all values together exceed 3 MiB, or if the texts, marks
        and signature captions of all the request's signers together exceed 400,000 characters, where a drawn mark
        counts as one for each 1,000 pixels (`field` is the value of this call that takes the most); `TRAIL_FULL` if
        the signer has filled in fields and downloaded a thousand times, after which it can still sign or decline
        with the values already set.

        Args:
            values: The values. Required: 1 to 1,000, each for one of the signer's own fields.
            asserted_origin: Optional. Where the signer is, if the caller is not the signer's own device.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(FillFieldsRequest, FillFieldsResponse, values=values, asserted_origin=asserted_origin)

    async def sign_documents(
        self,
        *,
        request_id: str = "",
        asserted_origin: AssertedOrigin | None = None,
    ) -> SignDocumentsResponse:
        """Signs. Idempotent by `request_id`. Fails with `FAILED_PRECONDITION` (`RECIPIENT_ALREADY_SIGNED`,
        `RECIPIENT_OUT_OF_TURN`, `RECIPIENT_HAS_UNSIGNED_FIELDS`, `DISCLOSURE_NOT_ACCEPTED`, `RECIPIENT_EXPIRED` or
        `SIGNATURE_REQUEST_CLOSED`).

        Args:
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.
            asserted_origin: Optional. Where the signer is, if the caller is not the signer's own device.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(
            SignDocumentsRequest,
            SignDocumentsResponse,
            request_id=request_id,
            asserted_origin=asserted_origin,
        )

    async def decline_signature(
        self,
        *,
        reason: str = "",
        asserted_origin: AssertedOrigin | None = None,
    ) -> DeclineSignatureResponse:
        """Declines to sign, which ends the request. Fails with `FAILED_PRECONDITION` for the same reasons as
        `SignDocuments`.

        Args:
            reason: Reason: at most 1,000 characters.
            asserted_origin: Optional. Where the signer is, if the caller is not the signer's own device.

        Returns:
            The response, with these fields:

            * ceremony: The request as the signer sees it.
        """
        return await self._unary(
            DeclineSignatureRequest,
            DeclineSignatureResponse,
            reason=reason,
            asserted_origin=asserted_origin,
        )


class SigningMethods(AioService):
    """Those of ``zegel.signing.v1.SigningService``."""

    async def create_signature_request(
        self,
        *,
        title: str,
        message: str = "",
        documents: Iterable[RequestedDocument],
        signers: Iterable[Signer],
        fields: Iterable[Field],
        expire_time: datetime | Timestamp | None = None,
        request_id: str = "",
        team_id: str = "",
        time_zone: str = "",
    ) -> CreateSignatureRequestResponse:
        """Creates and sends a signature request. Idempotent by `request_id`. The renditions of several documents are
        merged here, so that the request can be signed as soon as it is sent. A document without a rendition gets one
        here.

        Fails with `INVALID_ARGUMENT` naming what is wrong with a document, a signer or a field
        (`MISSING_SIGNATURE_FIELD` if a signer has no signature field), and with `NOT_FOUND` if the caller cannot see
        a document. Fails with `FAILED_PRECONDITION`: `DOCUMENT_DESTROYED`; `DOCUMENT_UNREADABLE` or
        `DOCUMENT_ENCRYPTED` if no rendition can be made; `DOCUMENT_TOO_COMPLEX` if the request could not be sealed
        later, for example because the renditions together exceed 160 MiB or 2,000 pages.

        Args:
            title: Title. Required: 1 to 255 characters.
            message: Message to the signers: at most 5,000 characters.
            documents: The documents to sign. Required: 1 to 20, in the order they are to have in the sealed file.
            signers: Who has to sign. Required: 1 to 50.
            fields: The fields. Required: up to 1,000. Each signer needs at least one signature field.
            expire_time: When the request expires: in the future; unset if never.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.
            team_id: The team that will own the request and its sealed document (`tea_...`): one that the caller is
                in or, in `SCOPE_ANY`, any in the tenant. If empty, the caller owns them.
            time_zone: Optional. The time zone of the days that are drawn for signers who have none of their own, by
                its name in the IANA time zone database, such as `Europe/Amsterdam`. If empty, `UTC`.

        Returns:
            The response, with these fields:

            * signature_request: The request, sent.
        """
        return await self._unary(
            CreateSignatureRequestRequest,
            CreateSignatureRequestResponse,
            title=title,
            message=message,
            documents=documents,
            signers=signers,
            fields=fields,
            expire_time=expire_time,
            request_id=request_id,
            team_id=team_id,
            time_zone=time_zone,
        )

    async def get_signature_request(self, *, signature_request_id: str) -> GetSignatureRequestResponse:
        """Gets a signature request.

        Args:
            signature_request_id: Identifier of the signature request. Required.

        Returns:
            The response, with these fields:

            * signature_request: The request.
        """
        return await self._unary(
            GetSignatureRequestRequest,
            GetSignatureRequestResponse,
            signature_request_id=signature_request_id,
        )

    def list_signature_requests(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        state: enums.SignatureRequestState | SignatureRequestState.ValueType = enums.SignatureRequestState.UNSPECIFIED,
        read_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> AioPages[ListSignatureRequestsResponse, SignatureRequest]:
        """Lists signature requests, newest first: of each, what `read_mask` names, by default a summary.

        Args:
            page_size: Maximum number of requests to return: 1 to 1,000. 0 means 100; values above 1,000 are treated
                as 1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.
            state: Only requests in this state. If unset, all.
            read_mask: Which fields of each request to return, by name: `title`, `signatures`. Optional. If empty, a
                summary: all but `message`, `documents`, `signatures`, `fields`, `sealing` and `rendition`, which are
                most of its size. `*` for all. What lies within a field cannot be named.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The requests of this
            page.
        """
        return self._paged(
            ListSignatureRequestsRequest,
            ListSignatureRequestsResponse,
            lambda page: page.signature_requests,
            page_size=page_size,
            page_token=page_token,
            state=state,
            read_mask=read_mask,
        )

    async def update_signature_request(
        self,
        *,
        signature_request: SignatureRequest,
        update_mask: list[str] | tuple[str, ...] | FieldMask | None = None,
    ) -> UpdateSignatureRequestResponse:
        """Changes when a signature request expires. Fails with `FAILED_PRECONDITION` (`SIGNATURE_REQUEST_CLOSED`), and
        with `ABORTED` if the `etag` is out of date.

        Args:
            signature_request: Required: the request with the fields to change, its identifier, and the `etag` last
                read (if empty, any version is accepted).
            update_mask: Which fields to change: `expire_time`. If empty, those that are set; `*` for all. To let a
                request never expire, name the field and leave it unset.

        Returns:
            The response, with these fields:

            * signature_request: The request as changed.
        """
        return await self._unary(
            UpdateSignatureRequestRequest,
            UpdateSignatureRequestResponse,
            signature_request=signature_request,
            update_mask=update_mask,
        )

    async def cancel_signature_request(
        self,
        *,
        signature_request_id: str,
        etag: str = "",
        signers_keep_access: bool = False,
    ) -> CancelSignatureRequestResponse:
        """Cancels a signature request. Its signers lose access to it at once, unless `signers_keep_access` is set:
        their sessions are revoked, running downloads end within a second, and no session is opened for them any
        more. The sender still sees all of it. Idempotent. Canceling again without `signers_keep_access` ends the
        access that was kept. Fails with `FAILED_PRECONDITION` (`SIGNATURE_REQUEST_CLOSED`) if everyone has signed,
        or the request has ended in another way. A request that was declined or has expired stays readable to its
        signers, for as long as the sender opens sessions for them.

        Args:
            signature_request_id: Identifier of the signature request. Required.
            etag: The `etag` last read. If empty, any version is accepted.
            signers_keep_access: Whether the signers may still read the request and its documents, in the sessions
                that they have and in those that the sender opens for them. Without it, they see nothing of it any
                more. Access that has ended is not given back.

        Returns:
            The response, with these fields:

            * signature_request: The request, canceled.
        """
        return await self._unary(
            CancelSignatureRequestRequest,
            CancelSignatureRequestResponse,
            signature_request_id=signature_request_id,
            etag=etag,
            signers_keep_access=signers_keep_access,
        )

    async def move_signature_request(
        self,
        *,
        signature_request_id: str,
        owner_id: str,
        etag: str = "",
    ) -> MoveSignatureRequestResponse:
        """Changes a signature request's owner, in any state: into a team, out of one, or to another principal. Its
        audit trail, its sealed document and the document merged for it move with it. The documents it was made from
        stay with their owners, and its signers are not affected: their sessions and links no longer depend on who
        created them but on the new owner. Those that had ended stay so.

        The new owner must be the caller itself, a team that it is in, a member who delegates to it, or, if the
        caller holds `signature_request.create` in `SCOPE_ANY`, anyone in the tenant. Fails with `NOT_FOUND` if the
        caller does not reach the request or the new owner. Fails with `PERMISSION_DENIED` (`GRANT_EXCEEDS_GRANTER`)
        if the new owner, or someone in the new team, could do with the request what the caller may not; and if a
        team owns it and the caller holds neither `team.update` for that team nor `signature_request.move` in
        `SCOPE_ANY`. A delegation does not include moving. Fails with `ABORTED` if the `etag` is out of date.

        Args:
            signature_request_id: Identifier of the signature request. Required.
            owner_id: Identifier of the new owner: a member, API key or team. Required.
            etag: The `etag` last read. If empty, any version is accepted.

        Returns:
            The response, with these fields:

            * signature_request: The request with its new owner.
        """
        return await self._unary(
            MoveSignatureRequestRequest,
            MoveSignatureRequestResponse,
            signature_request_id=signature_request_id,
            owner_id=owner_id,
            etag=etag,
        )

    async def create_signer_session(
        self,
        *,
        signature_request_id: str,
        signature_id: str,
        expire_time: datetime | Timestamp | None = None,
    ) -> CreateSignerSessionResponse:
        """Opens a session for one signer of one request, to be used by the partner's own backend. The audit trail
        records who opened it. Where clients present certificates (mutual TLS), the session is bound to the caller's
        certificate, so that nobody else can use it; to give access to the signer's browser, create a link instead
        (`CreateSignerLink`). The session ends when whoever opened it may no longer open it: as a member or API key
        that was removed, or by the end of the role, team or delegation that it acted by. If the request is moved, it
        goes on for the new owner. Not idempotent: each call opens another session. Fails with `FAILED_PRECONDITION`
        (`SIGNATURE_REQUEST_CLOSED`) if the request was canceled without `signers_keep_access`. Fails with
        `RESOURCE_EXHAUSTED` (`TRAIL_FULL`) if the sender's side has used up the events that the request's audit
        trail allows it (5,000).

        Args:
            signature_request_id: Identifier of the signature request. Required.
            signature_id: Identifier of the signer's signature. Required.
            expire_time: When the session expires at the latest: at most 24 hours from now. If unset, 1 hour from
                now.

        Returns:
            The response, with these fields:

            * session_id: Identifier of the session, needed to revoke it.
            * token: Its token, `zs_...`. Returned only here: the server stores only a hash of it.
            * expire_time: When it expires at the latest.
        """
        return await self._unary(
            CreateSignerSessionRequest,
            CreateSignerSessionResponse,
            signature_request_id=signature_request_id,
            signature_id=signature_id,
            expire_time=expire_time,
        )

    async def create_signer_link(
        self,
        *,
        signature_request_id: str,
        signature_id: str,
        expire_time: datetime | Timestamp | None = None,
        request_id: str = "",
    ) -> CreateSignerLinkResponse:
        """Creates a link for one signer of one request: a token that the partner puts into a URL or a mail of its own,
        and that whoever opens it exchanges for a session, once, by `IdentityService.ExchangeToken`. The request's
        audit trail records who created the link and who redeemed it. The link ends when the signer has signed or
        declined, when the request ends, when it expires, when it is revoked (`RevokeSignerLink`), when the API key
        that it was created with, directly or through a session opened with that key, is revoked or expires, and when
        whoever created it may no longer create it, as with `CreateSignerSession`.

        Idempotent by `request_id`. The token is not stored, so a repeated call returns a new token as long as the
        link is valid, and the previous token stops working. Fails with `FAILED_PRECONDITION` if the signer has
        signed or declined, or the request has ended.

        Args:
            signature_request_id: Identifier of the signature request. Required.
            signature_id: Identifier of the signer's signature. Required.
            expire_time: When the link expires if it has not been redeemed: at most 30 days from now. If unset, 7
                days from now.
            request_id: Optional. Makes the call idempotent: up to 64 printable characters, remembered for at least a
                day. Counts within the caller and the method: the same value in another method is another call.

        Returns:
            The response, with these fields:

            * signer_link_id: Identifier of the link, `lnk_...`, needed to revoke it. Not secret: the token is.
            * token: Its token, `zl_...`. Returned only here: the server stores only a hash of it. Put it into the
              fragment of a URL, after `#`, which browsers do not send to servers and which therefore appears in no
              server log.
            * expire_time: When it expires if it has not been redeemed.
        """
        return await self._unary(
            CreateSignerLinkRequest,
            CreateSignerLinkResponse,
            signature_request_id=signature_request_id,
            signature_id=signature_id,
            expire_time=expire_time,
            request_id=request_id,
        )

    def list_signer_links(
        self,
        *,
        signature_request_id: str,
        page_size: int = 0,
        page_token: str = "",
    ) -> AioPages[ListSignerLinksResponse, SignerLink]:
        """Lists the links created for a request's signers, newest first, and the state of each. Tokens are not
        included: they are not stored. A link is listed until 30 days after its expiry.

        Args:
            signature_request_id: Identifier of the signature request. Required.
            page_size: Maximum number of links to return: 1 to 1,000. 0 means 100; values above 1,000 are treated as
                1,000.
            page_token: `next_page_token` of the previous response, to get the next page. Empty for the first page.

        Returns:
            The items of all pages, which are requested as needed; `.pages()` has the responses. The links of this
            page.
        """
        return self._paged(
            ListSignerLinksRequest,
            ListSignerLinksResponse,
            lambda page: page.signer_links,
            signature_request_id=signature_request_id,
            page_size=page_size,
            page_token=page_token,
        )

    async def revoke_signer_link(self, *, signature_request_id: str, signer_link_id: str) -> RevokeSignerLinkResponse:
        """Revokes a signer link and, if it has been redeemed, the session it was exchanged for. Idempotent.

        Args:
            signature_request_id: Identifier of the signature request. Required.
            signer_link_id: Identifier of the link. Required.

        Returns:
            An empty response.
        """
        return await self._unary(
            RevokeSignerLinkRequest,
            RevokeSignerLinkResponse,
            signature_request_id=signature_request_id,
            signer_link_id=signer_link_id,
        )
