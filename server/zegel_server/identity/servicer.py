"""IdentityService: converts messages to the model and back."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from zegel.identity.v1 import identity_service_pb2 as pb
from zegel.identity.v1 import identity_service_pb2_grpc as rpc
from zegel_server import clock
from zegel_server.caller import Caller, PrincipalKind, current_caller
from zegel_server.edge import etags, paging, validation
from zegel_server.edge.idempotency import Answers, Keep
from zegel_server.errors import InvalidArgument
from zegel_server.identity.api_keys import ApiKey, NewToken
from zegel_server.identity.exchange import Exchange
from zegel_server.identity.id_tokens import MAX_SUBJECT, EmailTrust
from zegel_server.identity.members import Member
from zegel_server.identity.model import (
    AGE_LEAST,
    AGE_MOST,
    MEMBER_SESSION,
    MEMBER_SIGN_IN,
    OVERLAP,
    OVERLAP_MOST,
    SIGNER_SESSION,
    TOKEN_SHOWN,
    Session,
)
from zegel_server.identity.providers import MAX_AUDIENCES, MAX_ISSUER, Provider
from zegel_server.identity.service import Identity, Tenant
from zegel_server.identity.sessions import Sessions
from zegel_server.ids import Kind, is_id

MAX_NAME = 200
"""Characters of a name, as the contract says."""
MAX_ROLES = 20
"""Roles granted in one call, as the contract says."""
MAX_NARROWED = 100
"""Permissions that a session can be narrowed to, as the contract says."""

_KINDS = {
    PrincipalKind.API_KEY: pb.SESSION_KIND_API_KEY,
    PrincipalKind.MEMBER: pb.SESSION_KIND_MEMBER,
    PrincipalKind.SIGNER: pb.SESSION_KIND_SIGNER,
}

_PRINCIPALS: tuple[Kind, ...] = ("mem", "key", "sig")
"""Kinds of identifiers that a session can stand for."""


class IdentityServicer(rpc.IdentityServiceServicer):
    """See ``zegel.identity.v1.IdentityService``.

    Args:
        identity: Use cases of tenants, members and API keys.
        sessions: Use cases of sessions.
        exchange: Use cases of exchanging.
        answers: Stored answers, for retried calls.
    """

    def __init__(self, identity: Identity, sessions: Sessions, exchange: Exchange, answers: Answers) -> None:
        self._identity = identity
        self._exchange = exchange
        self._sessions = sessions
        self._answers = answers

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Any) -> pb.CreateTenantResponse:
        """See the contract."""
        caller = current_caller()
        name = validation.text(request.name, "name", most=MAX_NAME)

        async def restore(before: pb.CreateTenantResponse) -> None:
            before.api_key_token = await self._renewed(caller, before.tenant.tenant_id, before.api_key)

        return await self._answers.once(
            caller,
            request,
            pb.CreateTenantResponse,
            lambda keep: self._identity.create_tenant(caller, name, keep=keep),
            lambda made: pb.CreateTenantResponse(
                tenant=_tenant(made.tenant), api_key=_api_key(made.api_key), api_key_token=made.token
            ),
            restore=restore,
        )

    async def GetTenant(self, request: pb.GetTenantRequest, context: Any) -> pb.GetTenantResponse:
        """See the contract."""
        return pb.GetTenantResponse(tenant=_tenant(await self._identity.tenant(current_caller().tenant_id)))

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: Any) -> pb.UpdateTenantResponse:
        """See the contract."""
        fields = validation.mask(request.update_mask, request.tenant, ("name", "sensitive_permissions"))
        name = validation.text(request.tenant.name, "tenant.name", most=MAX_NAME) if "name" in fields else None
        tenant = await self._identity.update_tenant(
            current_caller(),
            name,
            _sensitive(request.tenant) if "sensitive_permissions" in fields else None,
            request.tenant.etag,
        )
        return pb.UpdateTenantResponse(tenant=_tenant(tenant))

    async def CreateMember(self, request: pb.CreateMemberRequest, context: Any) -> pb.CreateMemberResponse:
        """See the contract."""
        caller = current_caller()
        name = validation.text(request.name, "name", most=MAX_NAME)
        email = validation.email(request.email, "email")
        roles = _roles(request.roles) or ["member"]
        subject = _subject(request.subject, "subject")
        return await self._answers.once(
            caller,
            request,
            pb.CreateMemberResponse,
            lambda keep: self._identity.members.create(caller, name, email, roles, subject=subject, keep=keep),
            lambda member: pb.CreateMemberResponse(member=_member(member)),
        )

    async def GetMember(self, request: pb.GetMemberRequest, context: Any) -> pb.GetMemberResponse:
        """See the contract."""
        member_id = validation.identifier(request.member_id, "mem", "member_id", "member")
        return pb.GetMemberResponse(member=_member(await self._identity.members.get(current_caller(), member_id)))

    async def ListMembers(self, request: pb.ListMembersRequest, context: Any) -> pb.ListMembersResponse:
        """See the contract."""
        page = await self._identity.members.list(current_caller(), paging.page_request(request))
        return pb.ListMembersResponse(
            members=map(_member, page.items), next_page_token=paging.next_token(request, page)
        )

    async def UpdateMember(self, request: pb.UpdateMemberRequest, context: Any) -> pb.UpdateMemberResponse:
        """See the contract."""
        member_id = validation.identifier(request.member.member_id, "mem", "member.member_id", "member")
        fields = validation.mask(request.update_mask, request.member, ("name", "email", "subject"))
        changes = {}
        if "name" in fields:
            changes["name"] = validation.text(request.member.name, "member.name", most=MAX_NAME)
        if "email" in fields:
            changes["email"] = validation.email(request.member.email, "member.email")
        if request.member.subject or "subject" in request.update_mask.paths:
            changes["subject"] = _subject(request.member.subject, "member.subject")
        member = await self._identity.members.update(current_caller(), member_id, changes, request.member.etag)
        return pb.UpdateMemberResponse(member=_member(member))

    async def DeleteMember(self, request: pb.DeleteMemberRequest, context: Any) -> pb.DeleteMemberResponse:
        """See the contract."""
        member_id = validation.identifier(request.member_id, "mem", "member_id", "member")
        await self._identity.members.delete(current_caller(), member_id, request.etag)
        return pb.DeleteMemberResponse()

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Any) -> pb.CreateApiKeyResponse:
        """See the contract."""
        caller = current_caller()
        name = validation.text(request.name, "name", most=MAX_NAME)
        roles = _roles(request.roles)
        if not roles:
            raise InvalidArgument("roles", f"must be 1 to {MAX_ROLES}", reason="MISSING_FIELD")

        async def create(keep: Keep[NewToken]) -> NewToken:
            # Only for a first call: by a retry it may have passed.
            expire_time = validation.expiry_if_any(request)
            return await self._identity.api_keys.create(
                caller, name, roles, expire_time, _permissions(request.permissions), keep=keep
            )

        async def restore(before: pb.CreateApiKeyResponse) -> None:
            before.token = await self._renewed(caller, caller.tenant_id, before.api_key)

        return await self._answers.once(
            caller,
            request,
            pb.CreateApiKeyResponse,
            create,
            lambda made: pb.CreateApiKeyResponse(api_key=_api_key(made.api_key), token=made.token),
            restore=restore,
        )

    async def RotateApiKey(self, request: pb.RotateApiKeyRequest, context: Any) -> pb.RotateApiKeyResponse:
        """See the contract."""
        caller = current_caller()
        api_key_id = validation.identifier(request.api_key_id, "key", "api_key_id", "api_key")
        overlap = OVERLAP
        if request.HasField("overlap"):
            overlap = validation.duration(request.overlap, "overlap", most=OVERLAP_MOST)

        async def restore(before: pb.RotateApiKeyResponse) -> None:
            before.token = await self._renewed(caller, caller.tenant_id, before.api_key)

        return await self._answers.once(
            caller,
            request,
            pb.RotateApiKeyResponse,
            lambda keep: self._identity.api_keys.rotate(caller, api_key_id, overlap, keep=keep),
            lambda made: pb.RotateApiKeyResponse(api_key=_api_key(made.api_key), token=made.token),
            restore=restore,
        )

    async def _renewed(self, caller: Caller, tenant_id: str, api_key: pb.ApiKey) -> str:
        """A new token for a key that the retried call had created or rotated, if the first token was never used."""
        rotated = clock.from_timestamp(api_key.rotate_time)
        token = await self._identity.api_keys.renew_unused(caller, tenant_id, api_key.api_key_id, rotated)
        api_key.token_prefix = token[:TOKEN_SHOWN] or api_key.token_prefix
        return token

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Any) -> pb.ListApiKeysResponse:
        """See the contract."""
        page = await self._identity.api_keys.list(current_caller(), paging.page_request(request))
        return pb.ListApiKeysResponse(
            api_keys=map(_api_key, page.items), next_page_token=paging.next_token(request, page)
        )

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Any) -> pb.RevokeApiKeyResponse:
        """See the contract."""
        api_key_id = validation.identifier(request.api_key_id, "key", "api_key_id", "api_key")
        api_key = await self._identity.api_keys.revoke(current_caller(), api_key_id)
        return pb.RevokeApiKeyResponse(api_key=_api_key(api_key))

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Any) -> pb.CreateSessionResponse:
        """See the contract."""
        member_id = validation.identifier(request.member_id, "mem", "member_id", "member")
        expire_time = validation.expiry(request, MEMBER_SESSION)
        opened = await self._sessions.open_for_member(
            current_caller(), member_id, _permissions(request.permissions), expire_time
        )
        return pb.CreateSessionResponse(session=_session(opened.session), token=opened.token)

    async def ExchangeToken(self, request: pb.ExchangeTokenRequest, context: Any) -> pb.ExchangeTokenResponse:
        """See the contract."""
        caller = current_caller()
        signs = caller.kind is PrincipalKind.SIGNER
        expire_time = validation.expiry(request, SIGNER_SESSION if signs else MEMBER_SIGN_IN)
        permissions = _permissions(request.permissions)
        if not signs:
            opened = await self._exchange.providers.sign_in(caller, permissions, expire_time)
        elif permissions or request.tenant_id:
            raise InvalidArgument("permissions" if permissions else "tenant_id", "must be empty for a signer link")
        else:
            opened = await self._exchange.redeem(caller, expire_time)
        return pb.ExchangeTokenResponse(session=_session(opened.session), token=opened.token)

    async def SetIdentityProvider(
        self, request: pb.SetIdentityProviderRequest, context: Any
    ) -> pb.SetIdentityProviderResponse:
        """See the contract."""
        asked = request.identity_provider
        issuer = validation.text(asked.issuer, "identity_provider.issuer", most=MAX_ISSUER)
        field = "identity_provider.audiences"
        if not 1 <= len(asked.audiences) <= MAX_AUDIENCES:
            raise InvalidArgument(field, f"must be 1 to {MAX_AUDIENCES}")
        audiences = tuple(validation.text(each, field, most=MAX_ISSUER) for each in asked.audiences)
        made = await self._exchange.providers.set(
            current_caller(), issuer, audiences, asked.etag, _email_trust(asked.email_trust)
        )
        return pb.SetIdentityProviderResponse(identity_provider=_provider(made))

    async def GetIdentityProvider(
        self, request: pb.GetIdentityProviderRequest, context: Any
    ) -> pb.GetIdentityProviderResponse:
        """See the contract."""
        found = await self._exchange.providers.get(current_caller())
        return pb.GetIdentityProviderResponse(identity_provider=_provider(found))

    async def DeleteIdentityProvider(
        self, request: pb.DeleteIdentityProviderRequest, context: Any
    ) -> pb.DeleteIdentityProviderResponse:
        """See the contract."""
        await self._exchange.providers.delete(current_caller(), request.etag)
        return pb.DeleteIdentityProviderResponse()

    async def GetCurrentSession(
        self, request: pb.GetCurrentSessionRequest, context: Any
    ) -> pb.GetCurrentSessionResponse:
        """See the contract."""
        return pb.GetCurrentSessionResponse(session=_session(await self._sessions.current(current_caller())))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Any) -> pb.ListSessionsResponse:
        """See the contract."""
        asked = paging.page_request(request)
        if request.principal_id and not any(is_id(request.principal_id, kind) for kind in _PRINCIPALS):
            return pb.ListSessionsResponse()  # nobody has such an identifier
        page = await self._sessions.list_good(current_caller(), asked, principal_id=request.principal_id)
        return pb.ListSessionsResponse(
            sessions=map(_session, page.items), next_page_token=paging.next_token(request, page)
        )

    async def RevokeSession(self, request: pb.RevokeSessionRequest, context: Any) -> pb.RevokeSessionResponse:
        """See the contract."""
        session_id = validation.identifier(request.session_id, "ses", "session_id", "session")
        await self._sessions.revoke(current_caller(), session_id)
        return pb.RevokeSessionResponse()


def _roles(names: Any) -> list[str]:
    if len(names) > MAX_ROLES:
        raise InvalidArgument("roles", f"must be at most {MAX_ROLES}")
    return list(names)


def _subject(subject: str, field: str) -> str:
    if len(subject) > MAX_SUBJECT or not (subject.isascii() and subject.isprintable()):
        raise InvalidArgument(field, f"must have at most {MAX_SUBJECT} printable ASCII characters")
    return subject


def _email_trust(value: "pb.EmailTrust.ValueType") -> EmailTrust:
    if value == pb.EMAIL_TRUST_UNSPECIFIED:
        return EmailTrust.VERIFIED
    if value not in pb.EmailTrust.values():
        raise InvalidArgument("identity_provider.email_trust", "must be a value that this version knows")
    return EmailTrust(pb.EmailTrust.Name(value).removeprefix("EMAIL_TRUST_"))


def _permissions(names: Any) -> frozenset[str]:
    if len(names) > MAX_NARROWED:
        raise InvalidArgument("permissions", f"must be at most {MAX_NARROWED}")
    return frozenset(names)


def _provider(provider: Provider) -> pb.IdentityProvider:
    return pb.IdentityProvider(
        issuer=provider.issuer,
        audiences=provider.audiences,
        update_time=clock.to_timestamp(provider.update_time),
        etag=etags.of(provider.revision),
        email_trust=pb.EmailTrust.Value(f"EMAIL_TRUST_{provider.email_trust}"),
    )


def _sensitive(tenant: pb.Tenant) -> dict[str, int]:
    path = "tenant.sensitive_permissions"
    if len(tenant.sensitive_permissions) > MAX_NARROWED:
        raise InvalidArgument(path, f"must be at most {MAX_NARROWED}")
    return {
        each.permission: validation.duration(each.max_age, f"{path}[{index}].max_age", least=AGE_LEAST, most=AGE_MOST)
        // clock.SECOND
        for index, each in enumerate(tenant.sensitive_permissions)
    }


def _tenant(tenant: Tenant) -> pb.Tenant:
    return pb.Tenant(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        create_time=clock.to_timestamp(tenant.create_time),
        etag=etags.of(tenant.revision),
        key_provider=tenant.key_provider,
        sensitive_permissions=[
            pb.SensitivePermission(permission=permission, max_age=Duration(seconds=seconds))
            for permission, seconds in tenant.sensitive.items()
        ],
    )


def _member(member: Member) -> pb.Member:
    return pb.Member(
        member_id=member.member_id,
        name=member.name,
        email=member.email,
        roles=member.roles,
        create_time=clock.to_timestamp(member.create_time),
        etag=etags.of(member.revision),
        linked=member.linked,
    )


def _api_key(api_key: ApiKey) -> pb.ApiKey:
    return pb.ApiKey(
        api_key_id=api_key.api_key_id,
        name=api_key.name,
        roles=api_key.roles,
        token_prefix=api_key.token_prefix,
        expire_time=clock.to_timestamp(api_key.expire_time),
        create_time=clock.to_timestamp(api_key.create_time),
        revoke_time=clock.to_timestamp(api_key.revoke_time),
        last_use_time=clock.to_timestamp(api_key.last_use_time),
        permissions=sorted(api_key.permissions),
        rotate_time=clock.to_timestamp(api_key.rotate_time),
        previous_expire_time=clock.to_timestamp(api_key.previous_expire_time),
        previous_use_time=clock.to_timestamp(api_key.previous_use_time),
    )


def _session(session: Session) -> pb.Session:
    return pb.Session(
        session_id=session.session_id,
        kind=_KINDS[session.kind],
        tenant_id=session.tenant_id,
        principal_id=session.principal_id,
        signature_request_id=session.signature_request_id,
        creator_id=session.creator_id,
        create_time=clock.to_timestamp(session.create_time),
        expire_time=clock.to_timestamp(session.expire_time),
        idle_expire_time=clock.to_timestamp(session.idle_expire_time),
        permissions=sorted(session.permissions),
        auth_time=clock.to_timestamp(session.auth_time or None),
    )
