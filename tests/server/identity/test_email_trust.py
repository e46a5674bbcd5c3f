"""What is believed of mail addresses, and accounts that members are bound to, at providers that a test plays."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from support.api import Api, TestTenant, bearer, refusal
from support.providers import CLIENT_ID, ForgingProvider, forging_provider
from support.server import ServerProcess, server_on
from zegel.identity.v1 import identity_service_pb2 as pb

Code = grpc.StatusCode
REFUSED = "ID_TOKEN_REFUSED"


@dataclass(frozen=True)
class Place:
    """A server, and the two providers that it may ask."""

    server: ServerProcess
    one: ForgingProvider
    two: ForgingProvider


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with forging_provider() as one, forging_provider() as two:
        settings = {
            "ZEGEL_IDENTITY_PROVIDER_ORIGINS": f'["{one.issuer}", "{two.issuer}"]',
            "ZEGEL_WRONG_TOKENS": "0",
        }
        with server_on(request, environment=settings) as server:
            yield Place(server, one, two)
            assert server.defects() == []


@pytest.fixture
async def api(place: Place) -> AsyncIterator[Api]:
    async with Api(place.server) as api:
        yield api


async def set_provider(api: Api, tenant: TestTenant, provider: ForgingProvider, trust: str = "") -> pb.IdentityProvider:
    asked = pb.IdentityProvider(issuer=provider.issuer, audiences=[CLIENT_ID])
    if trust:
        asked.email_trust = pb.EmailTrust.Value(f"EMAIL_TRUST_{trust}")
    request = pb.SetIdentityProviderRequest(identity_provider=asked)
    return (await api.identity.SetIdentityProvider(request, metadata=tenant.owner.metadata)).identity_provider


async def signed_in(api: Api, tenant: TestTenant, token: str) -> str:
    """The member that a token signs in, or the reason of its refusal."""
    request = pb.ExchangeTokenRequest(tenant_id=tenant.tenant_id)
    try:
        return (await api.identity.ExchangeToken(request, metadata=bearer(token))).session.principal_id
    except grpc.aio.AioRpcError:
        return (await refusal(api.identity.ExchangeToken(request, metadata=bearer(token)))).reason


async def new_member(api: Api, tenant: TestTenant, email: str, subject: str = "", *roles: str) -> pb.Member:
    request = pb.CreateMemberRequest(name="Ann", email=email, subject=subject, roles=roles)
    return (await api.identity.CreateMember(request, metadata=tenant.owner.metadata)).member


async def update(api: Api, metadata: Any, member: pb.Member, *paths: str) -> pb.Member:
    request = pb.UpdateMemberRequest(member=member)
    request.update_mask.paths.extend(paths)
    return (await api.identity.UpdateMember(request, metadata=metadata)).member


BELIEVED = {
    "": {True, "true", "True"},
    "VERIFIED": {True, "true", "True"},
    "UNLESS_DENIED": {True, "true", "True", None},
    "NEVER": set(),
}


@pytest.mark.parametrize("trust", BELIEVED)
async def test_a_member_is_found_by_an_address_that_is_believed(
    api: Api, tenant: TestTenant, place: Place, trust: str
) -> None:
    made = await set_provider(api, tenant, place.one, trust)
    assert pb.EmailTrust.Name(made.email_trust) == f"EMAIL_TRUST_{trust or 'VERIFIED'}"
    for number, said in enumerate((True, "true", "True", None, False, "false", "yes", 1, [True])):
        email = f"m{number}@example.com"
        member = await new_member(api, tenant, email)
        token = place.one.token(sub=f"s{number}", email=email, email_verified=said)
        believed = any(said is each or (said == each and isinstance(said, str)) for each in BELIEVED[trust])
        assert await signed_in(api, tenant, token) == (member.member_id if believed else REFUSED), said
        found = await api.identity.GetMember(
            pb.GetMemberRequest(member_id=member.member_id), metadata=tenant.owner.metadata
        )
        assert found.member.linked is believed


@pytest.mark.parametrize("trust", ["VERIFIED", "NEVER"])
async def test_a_member_whose_account_is_known_needs_no_address(
    api: Api, tenant: TestTenant, place: Place, trust: str
) -> None:
    await set_provider(api, tenant, place.one, trust)
    ann = await new_member(api, tenant, "ann@example.com", "entra-1")
    bob = await new_member(api, tenant, "bob@example.com")
    assert (ann.linked, bob.linked) == (True, False)
    forge = place.one.token
    assert await signed_in(api, tenant, forge(sub="entra-1", email=None, email_verified=None)) == ann.member_id
    assert await signed_in(api, tenant, forge(sub="entra-2", email=None, email_verified=None)) == REFUSED
    bob.subject = "entra-2"
    assert (await update(api, tenant.owner.metadata, bob)).linked
    assert await signed_in(api, tenant, forge(sub="entra-2", email=None, email_verified=None)) == bob.member_id
    # An account is one member's.
    bob.subject, bob.etag = "entra-1", ""
    refused = await refusal(update(api, tenant.owner.metadata, bob, "subject"))
    assert (refused.status, refused.reason) == (Code.ALREADY_EXISTS, "ALREADY_EXISTS")
    refused = await refusal(new_member(api, tenant, "cy@example.com", "entra-1"))
    assert refused.status == Code.ALREADY_EXISTS
    # Everything is changed, but not unlinked by leaving out what is never told.
    bob.subject, bob.name = "", "Bob"
    assert (await update(api, tenant.owner.metadata, bob, "*")).linked
    assert not (await update(api, tenant.owner.metadata, bob, "subject")).linked
    assert await signed_in(api, tenant, forge(sub="entra-2", email=None, email_verified=None)) == REFUSED


async def test_an_address_that_changes_at_the_provider_changes_nobody(
    api: Api, tenant: TestTenant, place: Place
) -> None:
    await set_provider(api, tenant, place.one)
    ann, bob = [await new_member(api, tenant, f"{name}@example.com") for name in ("ann", "bob")]
    forge = place.one.token
    assert await signed_in(api, tenant, forge(sub="a", email="ann@example.com")) == ann.member_id
    for email in ("ann@example.org", "bob@example.com"):
        assert await signed_in(api, tenant, forge(sub="a", email=email)) == ann.member_id
    # Her old address is given to somebody else there, who is not her.
    assert await signed_in(api, tenant, forge(sub="b", email="ann@example.com")) == REFUSED
    assert await signed_in(api, tenant, forge(sub="b", email="bob@example.com")) == bob.member_id


async def test_the_same_subject_or_address_at_another_issuer_is_somebody_else(
    api: Api, tenant: TestTenant, other: TestTenant, place: Place
) -> None:
    for each, provider in ((tenant, place.one), (other, place.two)):
        await set_provider(api, each, provider, "NEVER")
        await new_member(api, each, "ann@example.com", "account-1")
    assert await signed_in(api, tenant, place.two.token()) == REFUSED
    assert (await signed_in(api, tenant, place.one.token())).startswith("mem_")
    assert (await signed_in(api, other, place.two.token())).startswith("mem_")
    # With another issuer all accounts are others, and the same subject there is nobody yet.
    await set_provider(api, tenant, place.two, "NEVER")
    assert await signed_in(api, tenant, place.two.token()) == REFUSED
    await set_provider(api, tenant, place.two, "VERIFIED")
    assert await signed_in(api, tenant, place.one.token()) == REFUSED
    assert (await signed_in(api, tenant, place.two.token(sub="account-2"))).startswith("mem_")
    assert await signed_in(api, tenant, place.two.token()) == REFUSED  # the address is taken by the first


async def test_who_may_do_less_gives_nobody_s_account_away(api: Api, tenant: TestTenant, place: Place) -> None:
    await set_provider(api, tenant, place.one)
    manager = await api.somebody(tenant, "manager")
    boss = await new_member(api, tenant, "boss@example.com", "", "owner")
    boss.subject, boss.etag = "mine", ""
    refused = await refusal(update(api, manager.metadata, boss, "subject"))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
    assert await signed_in(api, tenant, place.one.token(sub="mine", email=None)) == REFUSED


async def test_a_subject_is_of_a_provider(api: Api, tenant: TestTenant, place: Place) -> None:
    refused = await refusal(new_member(api, tenant, "ann@example.com", "account-1"))
    assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "FAILED_PRECONDITION")
    await set_provider(api, tenant, place.one)
    for subject in ("x" * 256, "\u00e9", "a\nb"):
        refused = await refusal(new_member(api, tenant, "ann@example.com", subject))
        assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "subject"})
    await new_member(api, tenant, "ann@example.com", "x" * 255)
    asked = pb.IdentityProvider(issuer=place.one.issuer, audiences=["a"], email_trust=9)  # type: ignore[arg-type]
    request = pb.SetIdentityProviderRequest(identity_provider=asked)
    refused = await refusal(api.identity.SetIdentityProvider(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "identity_provider.email_trust"})
