"""Signing in from a tenant's own identity provider: a real one, and one that forges, over a real channel."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.api import Api, Principal, TestTenant, bearer, refusal
from support.providers import CLIENT_ID, ForgingProvider, RealProvider, forging_provider, new_key, real_provider
from support.server import ServerProcess, server_on
from zegel.audit.v1 import audit_service_pb2, audit_service_pb2_grpc
from zegel.event.v1 import event_type_pb2
from zegel.identity.v1 import identity_service_pb2 as pb
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel_server.ids import new_id

Code = grpc.StatusCode
WHO = pb.GetCurrentSessionRequest()
PROVIDER = pb.GetIdentityProviderRequest()


@dataclass(frozen=True)
class Place:
    """A server, and the providers that it may ask."""

    server: ServerProcess
    real: RealProvider
    forging: ForgingProvider


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with real_provider() as real, forging_provider() as forging:
        origins = f'["{real.issuer}", "{forging.issuer}", "http://127.0.0.1:1"]'
        settings = {"ZEGEL_IDENTITY_PROVIDER_ORIGINS": origins, "ZEGEL_WRONG_TOKENS": "0"}
        with server_on(request, environment=settings) as server:
            yield Place(server, real, forging)
            assert server.defects() == []


@pytest.fixture
async def api(place: Place) -> AsyncIterator[Api]:
    async with Api(place.server) as api:
        yield api


async def set_provider(
    api: Api, tenant: TestTenant, issuer: str, etag: str = "", *audiences: str
) -> pb.IdentityProvider:
    provider = pb.IdentityProvider(issuer=issuer, audiences=audiences or [CLIENT_ID], etag=etag)
    request = pb.SetIdentityProviderRequest(identity_provider=provider)
    return (await api.identity.SetIdentityProvider(request, metadata=tenant.owner.metadata)).identity_provider


async def exchange(api: Api, tenant: TestTenant, token: str, **more: object) -> pb.ExchangeTokenResponse:
    request = pb.ExchangeTokenRequest(tenant_id=tenant.tenant_id, **more)  # type: ignore[arg-type]
    return await api.identity.ExchangeToken(request, metadata=bearer(token))


async def why_not(api: Api, tenant: TestTenant, token: str) -> str:
    refused = await refusal(exchange(api, tenant, token))
    assert (refused.status, refused.metadata) == (Code.UNAUTHENTICATED, {})
    return refused.reason


async def events(api: Api, tenant: TestTenant, kind: int) -> list[audit_service_pb2.Event]:
    stub = audit_service_pb2_grpc.AuditServiceStub(api.channel)
    request = audit_service_pb2.ListEventsRequest(types=[kind])  # type: ignore[list-item]
    async with asyncio.timeout(10):
        while True:
            found = (await stub.ListEvents(request, metadata=tenant.owner.metadata)).events
            if found:
                return list(found)


async def test_a_member_signs_in_from_a_real_provider(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.real.issuer)
    ann = await api.member(tenant.owner, roles=["manager"], email="Ann@Example.com")
    token = await asyncio.to_thread(place.real.id_token, "ann-1", "ann@example.com")
    opened = await exchange(api, tenant, token)
    session = (await api.identity.GetCurrentSession(WHO, metadata=bearer(opened.token))).session
    assert (session.kind, session.principal_id, session.creator_id) == (
        pb.SESSION_KIND_MEMBER,
        ann.member_id,
        ann.member_id,
    )
    assert session.expire_time.seconds - session.create_time.seconds == 12 * 3600
    await api.identity.ListMembers(pb.ListMembersRequest(), metadata=bearer(opened.token))
    [event] = await events(api, tenant, event_type_pb2.EVENT_TYPE_SIGNED_IN)
    assert b'"how":"oidc"' in event.leaf
    assert b"ann" not in event.leaf.lower()
    assert await why_not(api, tenant, token) == "ID_TOKEN_REFUSED"  # spent
    narrow = await asyncio.to_thread(place.real.id_token, "ann-1", "ann@example.com")
    opened = await exchange(api, tenant, narrow, permissions=["session.introspect"])
    refused = await refusal(api.identity.ListMembers(pb.ListMembersRequest(), metadata=bearer(opened.token)))
    assert refused.reason == "PERMISSION_DENIED"


async def test_what_a_real_provider_says_of_somebody_else_is_refused(
    api: Api, tenant: TestTenant, place: Place
) -> None:
    await set_provider(api, tenant, place.real.issuer)
    await api.member(tenant.owner, email="ann@example.com")
    for subject, email, more in (
        ("bob", "bob@example.com", {}),
        ("ann-2", "ann@example.com", {"verified": False}),
        ("ann-2", "ann@example.com", {"client_id": "another-app"}),
    ):
        token = await asyncio.to_thread(place.real.id_token, subject, email, **more)
        assert await why_not(api, tenant, token) == "ID_TOKEN_REFUSED"
    [event, *_] = await events(api, tenant, event_type_pb2.EVENT_TYPE_SIGN_IN_FAILED)
    assert event.refused
    assert b'"why":"member"' in event.leaf


async def test_a_token_is_of_the_tenant_s_own_provider_and_no_other_tenant_s(
    api: Api, tenant: TestTenant, other: TestTenant, place: Place
) -> None:
    for each in (tenant, other):
        await api.member(each.owner, email="ann@example.com")
    await set_provider(api, other, place.forging.issuer)
    token = place.forging.token()
    absent = TestTenant(new_id("ten"), "", tenant.owner)
    nameless = TestTenant("", "", tenant.owner)
    answers = [await refusal(exchange(api, each, token)) for each in (tenant, absent, nameless)]
    assert answers[0].reason == "ID_TOKEN_REFUSED"
    assert answers[0] == answers[1] == answers[2]
    await exchange(api, other, token)


async def test_the_first_account_stays_the_member_s_only_one(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.forging.issuer)
    ann = await api.member(tenant.owner, email="ann@example.com")
    await api.member(tenant.owner, email="bob@example.com")
    forge = place.forging.token
    await exchange(api, tenant, forge(sub="a"))
    assert await why_not(api, tenant, forge(sub="b")) == "ID_TOKEN_REFUSED"
    still = await exchange(api, tenant, forge(sub="a", email="bob@example.com"))  # the account counts, not the address
    assert still.session.principal_id == ann.member_id
    await exchange(api, tenant, forge(sub="b", email="bob@example.com"))
    # With another address it is another account's turn.
    for email in ("ann@example.org", "ann@example.com"):
        member = pb.Member(member_id=ann.member_id, email=email)
        request = pb.UpdateMemberRequest(member=member)
        request.update_mask.paths.append("email")
        await api.identity.UpdateMember(request, metadata=tenant.owner.metadata)
    await exchange(api, tenant, forge(sub="c"))
    assert await why_not(api, tenant, forge(sub="a")) == "ID_TOKEN_REFUSED"


async def test_of_two_exchanges_of_one_token_one_goes_through(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.forging.issuer)
    await api.member(tenant.owner, email="ann@example.com")
    for _ in range(5):
        token = place.forging.token()
        answers = await asyncio.gather(*(exchange(api, tenant, token) for _ in range(4)), return_exceptions=True)
        assert len([each for each in answers if isinstance(each, pb.ExchangeTokenResponse)]) == 1


async def test_forged_tokens_are_refused_alike(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.forging.issuer)
    await api.member(tenant.owner, email="ann@example.com")
    forge, now = place.forging.token, int(time.time())
    forged = [
        forge(new_key("one")),
        forge(aud="else"),
        forge(iss="https://else.example"),
        forge(exp=now - 100),
        forge(nbf=now + 1_000),
        forge(header={"kid": "unknown"}),
        forge()[:-2],
        forge(email="nobody@example.com"),
    ]
    answers = [await refusal(exchange(api, tenant, token)) for token in forged]
    assert answers[0].reason == "ID_TOKEN_REFUSED"
    assert all(each == answers[0] for each in answers)
    for malformed in ("a.b", "a.b.", "a.b.c.d", forge(more="x" * 5_000), tenant.owner.token):
        assert await why_not(api, tenant, malformed) == "SESSION_MALFORMED"
    await exchange(api, tenant, forge())


async def test_a_session_is_as_fresh_as_the_provider_says(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.forging.issuer)
    await api.member(tenant.owner, roles=["admin"], email="ann@example.com")
    request = pb.UpdateTenantRequest()
    request.tenant.sensitive_permissions.add(permission="member.read", max_age=Duration(seconds=600))
    request.update_mask.paths.append("sensitive_permissions")
    await api.identity.UpdateTenant(request, metadata=tenant.owner.metadata)
    old = await exchange(api, tenant, place.forging.token(auth_time=int(time.time()) - 700))
    members = pb.ListMembersRequest()
    refused = await refusal(api.identity.ListMembers(members, metadata=bearer(old.token)))
    assert (refused.status, refused.reason) == (Code.UNAUTHENTICATED, "STEP_UP_REQUIRED")
    fresh = await exchange(api, tenant, place.forging.token(auth_time=int(time.time())))
    await api.identity.ListMembers(members, metadata=bearer(fresh.token))


async def test_an_id_token_opens_no_other_method(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.forging.issuer)
    refused = await refusal(api.identity.GetCurrentSession(WHO, metadata=bearer(place.forging.token())))
    assert refused.reason == "SESSION_MALFORMED"


async def test_a_provider_that_is_down_is_told_as_such(api: Api, tenant: TestTenant) -> None:
    await set_provider(api, tenant, "http://127.0.0.1:1")
    provider = ForgingProvider("http://127.0.0.1:1", [new_key("k")])
    refused = await refusal(exchange(api, tenant, provider.token()))
    assert (refused.status, refused.metadata) == (Code.UNAVAILABLE, {"dependency": "identity_provider"})


async def test_a_provider_is_set_read_and_taken_away(api: Api, tenant: TestTenant, place: Place) -> None:
    refused = await refusal(api.identity.GetIdentityProvider(PROVIDER, metadata=tenant.owner.metadata))
    assert (refused.status, refused.metadata) == (Code.NOT_FOUND, {"resource": "identity_provider"})
    made = await set_provider(api, tenant, place.forging.issuer)
    found = await api.identity.GetIdentityProvider(PROVIDER, metadata=tenant.owner.metadata)
    assert found.identity_provider == made
    await api.member(tenant.owner, email="ann@example.com")
    await exchange(api, tenant, place.forging.token())
    changed = await set_provider(api, tenant, place.forging.issuer, made.etag, "another")
    assert changed.etag != made.etag
    assert await why_not(api, tenant, place.forging.token()) == "ID_TOKEN_REFUSED"
    delete = pb.DeleteIdentityProviderRequest(etag=made.etag)
    stale = await refusal(api.identity.DeleteIdentityProvider(delete, metadata=tenant.owner.metadata))
    assert (stale.status, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    delete.etag = changed.etag
    await api.identity.DeleteIdentityProvider(delete, metadata=tenant.owner.metadata)
    assert await why_not(api, tenant, place.forging.token()) == "ID_TOKEN_REFUSED"


@pytest.mark.parametrize(
    "issuer", ["http://id.example.com", "https://10.0.0.1", "https://x.example?a=b", "", "x" * 256]
)
async def test_an_issuer_that_cannot_be_asked_is_refused(api: Api, tenant: TestTenant, issuer: str) -> None:
    refused = await refusal(set_provider(api, tenant, issuer))
    assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "identity_provider.issuer"})


async def test_whoever_could_become_anybody_is_an_owner_already(api: Api, tenant: TestTenant, place: Place) -> None:
    admin = await api.somebody(tenant, "admin")
    refused = await refusal(set_provider(api, TestTenant("", "", admin), place.forging.issuer))
    assert refused.metadata == {"permission": "identity_provider.update"}
    # Nor by the address of one who may do more.
    manager = await api.somebody(tenant, "manager")
    boss = await api.member(tenant.owner, roles=["owner"])
    request = pb.UpdateMemberRequest(member=pb.Member(member_id=boss.member_id, email="mine@example.com"))
    request.update_mask.paths.append("email")
    refused = await refusal(api.identity.UpdateMember(request, metadata=manager.metadata))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")


async def test_the_last_owner_is_one_who_can_sign_in(api: Api, tenant: TestTenant, place: Place) -> None:
    await api.member(tenant.owner, roles=["owner"], email="ann@example.com")
    revoke = pb.RevokeApiKeyRequest(api_key_id=tenant.owner.own_id)
    refused = await refusal(api.identity.RevokeApiKey(revoke, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "LAST_OWNER")
    await set_provider(api, tenant, place.forging.issuer)
    await api.identity.RevokeApiKey(revoke, metadata=tenant.owner.metadata)
    ann = Principal("", (await exchange(api, tenant, place.forging.token())).token)
    refused = await refusal(
        api.identity.DeleteIdentityProvider(pb.DeleteIdentityProviderRequest(), metadata=ann.metadata)
    )
    assert refused.reason == "LAST_OWNER"
    made = await api.identity.CreateApiKey(pb.CreateApiKeyRequest(name="k", roles=["owner"]), metadata=ann.metadata)
    await api.identity.DeleteIdentityProvider(pb.DeleteIdentityProviderRequest(), metadata=bearer(made.token))


async def test_a_narrowed_owner_s_key_keeps_nobody_in(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateApiKeyRequest(name="k", roles=["owner"], permissions=["member.read"])
    await api.identity.CreateApiKey(request, metadata=tenant.owner.metadata)
    take = permission.TakeRoleRequest(principal_id=tenant.owner.own_id, role="owner")
    assert (await refusal(api.permission.TakeRole(take, metadata=tenant.owner.metadata))).reason == "LAST_OWNER"
