"""Tenants and members, over a real channel."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.api import Api, TestTenant, bearer, refusal
from zegel.identity.v1 import identity_service_pb2 as pb

Code = grpc.StatusCode


async def test_only_the_operator_makes_tenants(api: Api, tenant: TestTenant) -> None:
    refused = await refusal(api.identity.CreateTenant(pb.CreateTenantRequest(name="X"), metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert refused.metadata == {"permission": "tenant.create"}


async def test_the_operator_sees_nothing_of_tenants(api: Api, tenant: TestTenant) -> None:
    member = await api.member(tenant.owner)
    assert (
        await refusal(api.identity.ListMembers(pb.ListMembersRequest(), metadata=api.operator.metadata))
    ).reason == ("PERMISSION_DENIED")
    refused = await refusal(
        api.identity.GetMember(pb.GetMemberRequest(member_id=member.member_id), metadata=api.operator.metadata)
    )
    assert refused.reason == "PERMISSION_DENIED"


async def test_a_tenant_is_made_once_a_request_id(api: Api) -> None:
    request = pb.CreateTenantRequest(name="Acme", request_id="one")
    answers = await asyncio.gather(
        *(api.identity.CreateTenant(request, metadata=api.operator.metadata) for _ in range(10))
    )
    assert len({answer.tenant.tenant_id for answer in answers}) == 1
    assert any(answer.api_key_token for answer in answers)
    request.name = "Other"
    refused = await refusal(api.identity.CreateTenant(request, metadata=api.operator.metadata))
    assert (refused.status, refused.reason) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_an_answer_that_was_lost_can_be_asked_for_again_with_a_token_that_works(api: Api) -> None:
    request = pb.CreateTenantRequest(name="Acme", request_id="lost")
    lost = await api.identity.CreateTenant(request, metadata=api.operator.metadata)
    again = await api.identity.CreateTenant(request, metadata=api.operator.metadata)
    assert again.tenant == lost.tenant
    assert again.api_key.api_key_id == lost.api_key.api_key_id
    assert again.api_key_token.startswith(again.api_key.token_prefix)
    refused = await refusal(api.identity.GetTenant(pb.GetTenantRequest(), metadata=bearer(lost.api_key_token)))
    assert refused.reason == "SESSION_UNKNOWN"  # the token that nobody heard of opens nothing
    found = await api.identity.GetTenant(pb.GetTenantRequest(), metadata=bearer(again.api_key_token))
    assert found.tenant.tenant_id == lost.tenant.tenant_id
    await until_used(api, again.api_key_token)
    after = await api.identity.CreateTenant(request, metadata=api.operator.metadata)
    assert (after.tenant, after.api_key_token) == (lost.tenant, "")


async def until_used(api: Api, token: str) -> None:
    """Waits until the use of a key is noted, which no request waits for."""
    for _ in range(200):
        keys = await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=bearer(token))
        if keys.api_keys[0].HasField("last_use_time"):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the use was not noted")


async def test_a_tenant_changes_under_its_etag(api: Api, tenant: TestTenant) -> None:
    before = (await api.identity.GetTenant(pb.GetTenantRequest(), metadata=tenant.owner.metadata)).tenant
    assert (before.tenant_id, before.name) == (tenant.tenant_id, tenant.name)
    changed = pb.Tenant(name="Née Übung ☃", etag=before.etag)
    after = await api.identity.UpdateTenant(pb.UpdateTenantRequest(tenant=changed), metadata=tenant.owner.metadata)
    assert after.tenant.name == "Née Übung ☃"
    assert after.tenant.etag != before.etag
    refused = await refusal(
        api.identity.UpdateTenant(pb.UpdateTenantRequest(tenant=changed), metadata=tenant.owner.metadata)
    )
    assert (refused.status, refused.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    changed.etag = ""
    await api.identity.UpdateTenant(pb.UpdateTenantRequest(tenant=changed), metadata=tenant.owner.metadata)


async def test_a_member_is_found_as_it_was_added(api: Api, tenant: TestTenant) -> None:
    made = await api.member(tenant.owner, roles=["auditor", "developer"], name="Zoë", email="Zoe@Example.com")
    found = await api.identity.GetMember(pb.GetMemberRequest(member_id=made.member_id), metadata=tenant.owner.metadata)
    assert found.member == made
    assert (made.name, made.email, list(made.roles)) == ("Zoë", "Zoe@Example.com", ["auditor", "developer"])
    assert (await api.member(tenant.owner)).roles == ["member"]


async def test_an_address_is_one_member_s_whatever_its_case(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    await api.member(tenant.owner, email="ann@example.com")
    request = pb.CreateMemberRequest(name="Other Ann", email="ANN@example.COM")
    refused = await refusal(api.identity.CreateMember(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert refused.metadata == {"resource": "member"}
    await api.identity.CreateMember(request, metadata=other.owner.metadata)  # another tenant's Ann is another


async def test_twenty_identical_calls_make_one_member(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateMemberRequest(name="Ann", email="ann@example.com", request_id="same")
    answers = await asyncio.gather(
        *(api.identity.CreateMember(request, metadata=tenant.owner.metadata) for _ in range(20))
    )
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    listed = await api.identity.ListMembers(pb.ListMembersRequest(), metadata=tenant.owner.metadata)
    assert [member.email for member in listed.members] == ["ann@example.com"]


async def test_a_request_id_stands_for_its_method_its_arguments_and_its_caller(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateMemberRequest(name="Ann", email="ann@example.com", request_id="id-1")
    first = await api.identity.CreateMember(request, metadata=tenant.owner.metadata)
    again = await api.identity.CreateMember(request, metadata=tenant.owner.metadata)
    assert again == first
    changed = pb.CreateMemberRequest(name="Bob", email="bob@example.com", request_id="id-1")
    refused = await refusal(api.identity.CreateMember(changed, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason, refused.metadata) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED", {})
    key = pb.CreateApiKeyRequest(name="k", roles=["member"], request_id="id-1")
    made = await api.identity.CreateApiKey(key, metadata=tenant.owner.metadata)
    assert made.api_key.name == "k"
    assert await api.identity.CreateMember(request, metadata=tenant.owner.metadata) == first
    another = await api.key(tenant.owner, "owner")
    assert (await api.identity.CreateMember(changed, metadata=another.metadata)).member.name == "Bob"


async def test_racing_for_an_address_makes_one_member(api: Api, tenant: TestTenant) -> None:
    calls = [
        api.identity.CreateMember(
            pb.CreateMemberRequest(name=f"Ann {number}", email="ann@example.com"), metadata=tenant.owner.metadata
        )
        for number in range(10)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    codes = sorted(result.code().name for result in results if isinstance(result, grpc.aio.AioRpcError))
    assert codes == ["ALREADY_EXISTS"] * 9


async def test_pages_together_are_the_whole(api: Api, tenant: TestTenant) -> None:
    made = [(await api.member(tenant.owner, name=f"P {number}")).member_id for number in range(7)]
    for size in (1, 2, 3, 7, 8, 5_000):
        found, token = [], ""
        while True:
            page = await api.identity.ListMembers(
                pb.ListMembersRequest(page_size=size, page_token=token), metadata=tenant.owner.metadata
            )
            assert len(page.members) <= size
            found += [member.member_id for member in page.members]
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(made)


async def test_a_page_token_is_good_for_its_list_alone(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    for _ in range(2):
        await api.member(tenant.owner)
        await api.key(tenant.owner, "member")
    page = await api.identity.ListMembers(pb.ListMembersRequest(page_size=1), metadata=tenant.owner.metadata)
    token = page.next_page_token
    refused = await refusal(
        api.identity.ListApiKeys(pb.ListApiKeysRequest(page_token=token), metadata=tenant.owner.metadata)
    )
    assert (refused.status, refused.reason) == (Code.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    assert refused.metadata == {"field": "page_token"}
    # It carries a place and no authority: in another tenant it shows nothing of this one.
    elsewhere = await api.identity.ListMembers(pb.ListMembersRequest(page_token=token), metadata=other.owner.metadata)
    assert list(elsewhere.members) == []
    for bad in ("x", token[:-3], token + "AAAA", "é" * 3, "A" * 2_000):
        refused = await refusal(
            api.identity.ListMembers(pb.ListMembersRequest(page_token=bad), metadata=tenant.owner.metadata)
        )
        assert refused.reason == "INVALID_PAGE_TOKEN"
    refused = await refusal(
        api.identity.ListMembers(pb.ListMembersRequest(page_size=-1), metadata=tenant.owner.metadata)
    )
    assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "page_size"})


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (pb.CreateMemberRequest(email="a@b.c"), "MISSING_FIELD", "name"),
        (pb.CreateMemberRequest(name="   ", email="a@b.c"), "MISSING_FIELD", "name"),
        (pb.CreateMemberRequest(name="x" * 201, email="a@b.c"), "INVALID_FIELD", "name"),
        (pb.CreateMemberRequest(name="a\x00b", email="a@b.c"), "INVALID_FIELD", "name"),
        (pb.CreateMemberRequest(name="Ann"), "MISSING_FIELD", "email"),
        (pb.CreateMemberRequest(name="Ann", email="ann"), "INVALID_FIELD", "email"),
        (pb.CreateMemberRequest(name="Ann", email="a@b@c"), "INVALID_FIELD", "email"),
        (pb.CreateMemberRequest(name="Ann", email="a b@c.de"), "INVALID_FIELD", "email"),
        (pb.CreateMemberRequest(name="Ann", email="a" * 250 + "@b.c"), "INVALID_FIELD", "email"),
        (pb.CreateMemberRequest(name="Ann", email="a@b.c", roles=["member"] * 21), "INVALID_FIELD", "roles"),
        (pb.CreateMemberRequest(name="Ann", email="a@b.c", request_id="é"), "INVALID_FIELD", "request_id"),
        (pb.CreateMemberRequest(name="Ann", email="a@b.c", request_id="x" * 65), "INVALID_FIELD", "request_id"),
    ],
)
async def test_a_wrong_field_is_named(
    api: Api, tenant: TestTenant, request_: pb.CreateMemberRequest, reason: str, field: str
) -> None:
    refused = await refusal(api.identity.CreateMember(request_, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.INVALID_ARGUMENT, reason)
    assert refused.metadata["field"] == field


@pytest.mark.parametrize("role", ["nobody", "signer", "operator", "", "own\x00er"])
async def test_a_role_that_nobody_can_have_is_not_found(api: Api, tenant: TestTenant, role: str) -> None:
    request = pb.CreateMemberRequest(name="Ann", email="a@b.c", roles=[role])
    refused = await refusal(api.identity.CreateMember(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.metadata) == (Code.NOT_FOUND, {"resource": "role"})


async def test_a_member_changes_by_mask_and_under_its_etag(api: Api, tenant: TestTenant) -> None:
    made = await api.member(tenant.owner, name="Ann", email="ann@example.com")
    request = pb.UpdateMemberRequest(member=pb.Member(member_id=made.member_id, name="Anne", etag=made.etag))
    request.update_mask.paths.append("name")
    changed = (await api.identity.UpdateMember(request, metadata=tenant.owner.metadata)).member
    assert (changed.name, changed.email) == ("Anne", "ann@example.com")
    assert changed.etag != made.etag
    refused = await refusal(api.identity.UpdateMember(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    request.member.etag = '"nonsense"'
    assert (await refusal(api.identity.UpdateMember(request, metadata=tenant.owner.metadata))).reason == "ETAG_MISMATCH"
    request.member.etag = ""
    request.update_mask.paths[:] = ["roles"]
    refused = await refusal(api.identity.UpdateMember(request, metadata=tenant.owner.metadata))
    assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "update_mask"})


async def test_without_a_mask_only_what_is_set_is_changed(api: Api, tenant: TestTenant) -> None:
    made = await api.member(tenant.owner, name="Ann", email="ann@example.com")
    request = pb.UpdateMemberRequest(member=pb.Member(member_id=made.member_id, name="Anne"))
    changed = (await api.identity.UpdateMember(request, metadata=tenant.owner.metadata)).member
    assert (changed.name, changed.email) == ("Anne", "ann@example.com")
    request.member.name = ""
    refused = await refusal(api.identity.UpdateMember(request, metadata=tenant.owner.metadata))
    assert (refused.reason, refused.metadata) == ("MISSING_FIELD", {"field": "update_mask"})


async def test_without_a_mask_a_tenant_changes_as_everything_else(api: Api, tenant: TestTenant) -> None:
    request = pb.UpdateTenantRequest()
    request.tenant.sensitive_permissions.add(permission="member.delete", max_age=Duration(seconds=600))
    before = (await api.identity.GetTenant(pb.GetTenantRequest(), metadata=tenant.owner.metadata)).tenant
    changed = (await api.identity.UpdateTenant(request, metadata=tenant.owner.metadata)).tenant
    assert (changed.name, len(changed.sensitive_permissions)) == (before.name, 1)
    renamed = pb.UpdateTenantRequest(tenant=pb.Tenant(name="Other"))
    changed = (await api.identity.UpdateTenant(renamed, metadata=tenant.owner.metadata)).tenant
    assert (changed.name, len(changed.sensitive_permissions)) == ("Other", 1)


async def test_a_member_can_take_an_address_that_is_free_and_no_other(api: Api, tenant: TestTenant) -> None:
    ann = await api.member(tenant.owner, email="ann@example.com")
    await api.member(tenant.owner, email="bob@example.com")
    request = pb.UpdateMemberRequest(member=pb.Member(member_id=ann.member_id, email="bob@example.com"))
    request.update_mask.paths.append("email")
    refused = await refusal(api.identity.UpdateMember(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.ALREADY_EXISTS, "ALREADY_EXISTS")
    request.member.email = "ann@example.org"
    changed = (await api.identity.UpdateMember(request, metadata=tenant.owner.metadata)).member
    assert changed.email == "ann@example.org"
    await api.member(tenant.owner, email="ann@example.com")  # free again


async def test_who_may_change_only_itself_finds_nobody_else(api: Api, tenant: TestTenant) -> None:
    from zegel.permission.v1 import access_pb2  # noqa: PLC0415 - for this test alone

    own = access_pb2.SCOPE_OWN
    await api.role(tenant.owner, "self-only", ("member.update", own), ("member.read", own), ("member.delete", own))
    ann = await api.somebody(tenant, "self-only")
    bob = await api.member(tenant.owner)
    listed = await api.identity.ListMembers(pb.ListMembersRequest(), metadata=ann.metadata)
    assert [member.member_id for member in listed.members] == [ann.own_id]
    request = pb.UpdateMemberRequest(member=pb.Member(member_id=bob.member_id, name="Mallory"))
    request.update_mask.paths.append("name")
    assert (await refusal(api.identity.UpdateMember(request, metadata=ann.metadata))).status is Code.NOT_FOUND
    request.member.member_id = ann.own_id
    assert (await api.identity.UpdateMember(request, metadata=ann.metadata)).member.name == "Mallory"


async def test_a_removed_member_s_sessions_end_at_once(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "admin")
    await api.identity.ListMembers(pb.ListMembersRequest(), metadata=ann.metadata)
    await api.identity.DeleteMember(pb.DeleteMemberRequest(member_id=ann.own_id), metadata=tenant.owner.metadata)
    refused = await refusal(api.identity.ListMembers(pb.ListMembersRequest(), metadata=ann.metadata))
    assert (refused.status, refused.reason) == (Code.UNAUTHENTICATED, "SESSION_REVOKED")
    refused = await refusal(
        api.identity.DeleteMember(pb.DeleteMemberRequest(member_id=ann.own_id), metadata=tenant.owner.metadata)
    )
    assert refused.status is Code.NOT_FOUND


async def test_nobody_removes_who_may_do_more(api: Api, tenant: TestTenant) -> None:
    admin = await api.somebody(tenant, "admin")
    owner = await api.member(tenant.owner, roles=["owner"])
    refused = await refusal(
        api.identity.DeleteMember(pb.DeleteMemberRequest(member_id=owner.member_id), metadata=admin.metadata)
    )
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")


async def test_another_tenant_s_member_looks_like_none_at_all(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    theirs = (await api.member(other.owner)).member_id
    absent = theirs[:-6] + "000000"
    refusals = []
    for member_id in (theirs, absent, "mem_nonsense", "x\x00y", tenant.owner.own_id):
        by = tenant.owner.metadata
        update = pb.UpdateMemberRequest(member=pb.Member(member_id=member_id, name="N", email="n@example.com"))
        refusals.append(
            [
                await refusal(api.identity.GetMember(pb.GetMemberRequest(member_id=member_id), metadata=by)),
                await refusal(api.identity.UpdateMember(update, metadata=by)),
                await refusal(api.identity.DeleteMember(pb.DeleteMemberRequest(member_id=member_id), metadata=by)),
                await refusal(api.identity.CreateSession(pb.CreateSessionRequest(member_id=member_id), metadata=by)),
            ]
        )
    assert refusals[0][0].status is Code.NOT_FOUND
    assert all(each == refusals[0] for each in refusals)
    found = await api.identity.GetMember(pb.GetMemberRequest(member_id=theirs), metadata=other.owner.metadata)
    assert found.member.name == "Ann Example"
