"""Signing in from a certified OpenID Connect provider, in each signature that it makes, over a real channel."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from support.api import Api, TestTenant, bearer, refusal
from support.certified_provider import ALGORITHMS, CertifiedProvider, certified_provider, client_id
from support.server import ServerProcess, sqlite_server
from zegel.identity.v1 import identity_service_pb2 as pb


@pytest.fixture(scope="module")
def provider() -> Iterator[CertifiedProvider]:
    with certified_provider() as running:
        yield running


@pytest.fixture(scope="module")
def server(provider: CertifiedProvider) -> Iterator[ServerProcess]:
    settings = {"ZEGEL_IDENTITY_PROVIDER_ORIGINS": json.dumps([provider.issuer])}
    with sqlite_server(environment=settings) as server:
        yield server
        assert server.defects() == []


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    async with Api(server) as api:
        yield api


@pytest.fixture
async def signs_in(api: Api, tenant: TestTenant, provider: CertifiedProvider) -> TestTenant:
    """A tenant whose members sign in from it."""
    named = pb.IdentityProvider(issuer=provider.issuer, audiences=map(client_id, ALGORITHMS))
    request = pb.SetIdentityProviderRequest(identity_provider=named)
    await api.identity.SetIdentityProvider(request, metadata=tenant.owner.metadata)
    return tenant


async def exchange(api: Api, tenant: TestTenant, token: str) -> pb.ExchangeTokenResponse:
    return await api.identity.ExchangeToken(pb.ExchangeTokenRequest(tenant_id=tenant.tenant_id), metadata=bearer(token))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_member_signs_in_once_a_token(
    api: Api, signs_in: TestTenant, provider: CertifiedProvider, algorithm: str
) -> None:
    ann = await api.member(signs_in.owner, email="ann@example.com")
    token = await asyncio.to_thread(provider.id_token, "ann", "ann@example.com", algorithm=algorithm)
    opened = await exchange(api, signs_in, token)
    who = await api.identity.GetCurrentSession(pb.GetCurrentSessionRequest(), metadata=bearer(opened.token))
    assert who.session.principal_id == ann.member_id
    refused = await refusal(exchange(api, signs_in, token))
    assert (refused.status, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ID_TOKEN_REFUSED")
    # The same account, by another of the provider's clients.
    again = await asyncio.to_thread(provider.id_token, "ann", "ann@example.com")
    assert (await exchange(api, signs_in, again)).token != opened.token


async def test_who_is_not_verified_or_no_member_or_another_account_does_not_sign_in(
    api: Api, signs_in: TestTenant, provider: CertifiedProvider
) -> None:
    await api.member(signs_in.owner, email="ann@example.com")
    for account, email, verified in (("ann", "ann@example.com", False), ("bob", "bob@example.com", True)):
        token = await asyncio.to_thread(provider.id_token, account, email, verified=verified)
        assert (await refusal(exchange(api, signs_in, token))).reason == "ID_TOKEN_REFUSED"
    await exchange(api, signs_in, await asyncio.to_thread(provider.id_token, "ann", "ann@example.com"))
    other = await asyncio.to_thread(provider.id_token, "eve", "ann@example.com")
    assert (await refusal(exchange(api, signs_in, other))).reason == "ID_TOKEN_REFUSED"
