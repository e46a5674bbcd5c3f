"""API keys narrowed to permissions, and rotated with overlap, over a real channel on either database."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.api import Api, Principal, TestTenant, refusal
from support.rows_of import change_row
from zegel.identity.v1 import identity_service_pb2 as pb
from zegel.permission.v1 import access_pb2
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel_server import clock

Code = grpc.StatusCode
WHO = pb.GetCurrentSessionRequest()


async def narrow_key(api: Api, by: Principal, roles: Sequence[str], *permissions: str) -> Principal:
    request = pb.CreateApiKeyRequest(name="narrow", roles=roles, permissions=permissions)
    made = await api.identity.CreateApiKey(request, metadata=by.metadata)
    assert sorted(made.api_key.permissions) == sorted(permissions)
    return Principal(made.api_key.api_key_id, made.token, made.api_key.api_key_id)


async def rotate(
    api: Api, by: Principal, key: Principal, seconds: int | None = None, request_id: str = ""
) -> pb.RotateApiKeyResponse:
    request = pb.RotateApiKeyRequest(api_key_id=key.own_id, request_id=request_id)
    if seconds is not None:
        request.overlap.CopyFrom(Duration(seconds=seconds))
    return await api.identity.RotateApiKey(request, metadata=by.metadata)


async def state_of(api: Api, token: str) -> str:
    """``good``, or why a token is refused."""
    call = api.identity.GetCurrentSession(WHO, metadata=Principal("", token).metadata)
    try:
        await call
    except grpc.aio.AioRpcError:
        return (await refusal(call)).reason
    return "good"


async def listed(api: Api, by: Principal, key: Principal) -> pb.ApiKey:
    keys = (await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=by.metadata)).api_keys
    return next(each for each in keys if each.api_key_id == key.own_id)


# ------------------------------------------------------------------------------------------------------------- scopes


async def test_a_narrowed_key_does_what_it_is_narrowed_to(api: Api, tenant: TestTenant) -> None:
    key = await narrow_key(api, tenant.owner, ["admin"], "member.read", "session.introspect")
    await api.identity.ListMembers(pb.ListMembersRequest(), metadata=key.metadata)
    refused = await refusal(api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=key.metadata))
    assert (refused.status, refused.metadata) == (Code.PERMISSION_DENIED, {"permission": "api_key.read"})
    session = (await api.identity.GetCurrentSession(WHO, metadata=key.metadata)).session
    assert list(session.permissions) == ["member.read", "session.introspect"]


async def test_what_no_method_demands_is_refused(api: Api, tenant: TestTenant) -> None:
    for names in (["everything.do"], ["member.read", "\x00"], ["member.read"] * 101):
        request = pb.CreateApiKeyRequest(name="k", roles=["member"], permissions=names)
        refused = await refusal(api.identity.CreateApiKey(request, metadata=tenant.owner.metadata))
        assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "permissions"})


async def test_a_session_that_a_narrowed_key_opens_is_never_wider(api: Api, tenant: TestTenant) -> None:
    key = await narrow_key(api, tenant.owner, ["owner"], "session.create", "member.read", "session.introspect")
    member = await api.member(tenant.owner, roles=["admin"])
    for permissions in ((), ("member.read", "document.read")):
        request = pb.CreateSessionRequest(member_id=member.member_id, permissions=permissions)
        refused = await refusal(api.identity.CreateSession(request, metadata=key.metadata))
        assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
    session = await api.session(key, member.member_id, "member.read")
    await api.identity.ListMembers(pb.ListMembersRequest(), metadata=session.metadata)
    refused = await refusal(api.identity.GetTenant(pb.GetTenantRequest(), metadata=session.metadata))
    assert refused.metadata == {"permission": "tenant.read"}


async def test_roles_that_come_later_do_not_widen_what_a_narrowed_key_opened(api: Api, tenant: TestTenant) -> None:
    any_member = ("member.read", access_pb2.SCOPE_ANY)
    own_session = ("session.introspect", access_pb2.SCOPE_OWN)
    await api.role(tenant.owner, "reader", any_member, own_session)
    key = await narrow_key(api, tenant.owner, ["owner"], "session.create", "member.read", "session.introspect")
    member = await api.member(tenant.owner, roles=["reader"])
    session = await api.session(key, member.member_id)  # all that the member holds, by now
    grant = permission.GrantRoleRequest(principal_id=member.member_id, role="owner")
    await api.permission.GrantRole(grant, metadata=tenant.owner.metadata)
    refused = await refusal(api.identity.GetTenant(pb.GetTenantRequest(), metadata=session.metadata))
    assert refused.metadata == {"permission": "tenant.read"}
    unbounded = await api.session(tenant.owner, member.member_id)
    await api.identity.GetTenant(pb.GetTenantRequest(), metadata=unbounded.metadata)


async def test_a_key_that_a_narrowed_key_makes_is_narrowed_as_well(api: Api, tenant: TestTenant) -> None:
    own_session = ("session.introspect", access_pb2.SCOPE_OWN)
    await api.role(tenant.owner, "least", own_session)
    maker = await narrow_key(api, tenant.owner, ["owner"], "api_key.create", "session.introspect")
    request = pb.CreateApiKeyRequest(name="k", roles=["least"])
    made = await api.identity.CreateApiKey(request, metadata=maker.metadata)
    assert list(made.api_key.permissions) == ["api_key.create", "session.introspect"]
    for wider in (
        pb.CreateApiKeyRequest(name="k", roles=["owner"]),
        pb.CreateApiKeyRequest(name="k", roles=["least"], permissions=["member.read"]),
    ):
        refused = await refusal(api.identity.CreateApiKey(wider, metadata=maker.metadata))
        assert refused.reason == "GRANT_EXCEEDS_GRANTER"


# ----------------------------------------------------------------------------------------------------------- rotation


async def test_both_tokens_are_good_for_the_overlap_and_the_old_one_never_after(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    made = await rotate(api, tenant.owner, key, 3600)
    assert made.token.startswith(made.api_key.token_prefix)
    assert made.token != key.token
    for token in (key.token, made.token):
        session = (await api.identity.GetCurrentSession(WHO, metadata=Principal("", token).metadata)).session
        assert session.principal_id == key.own_id
    shown = await listed(api, tenant.owner, key)
    assert shown.previous_expire_time.seconds - shown.rotate_time.seconds == 3600
    await change_row(api.server, "retired_tokens", ("api_key_id", key.own_id), "expire_time", clock.now())
    assert await state_of(api, key.token) == "SESSION_EXPIRED"
    assert await state_of(api, made.token) == "good"


async def test_without_an_overlap_the_old_token_ends_at_once(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    made = await rotate(api, tenant.owner, key, 0)
    assert [await state_of(api, each) for each in (key.token, made.token)] == ["SESSION_EXPIRED", "good"]


async def test_a_later_rotation_ends_every_token_before_it(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    second = (await rotate(api, tenant.owner, key)).token
    third = (await rotate(api, tenant.owner, key)).token
    assert [await state_of(api, each) for each in (key.token, second, third)] == ["good"] * 3
    fourth = (await rotate(api, tenant.owner, key, 0)).token
    expected = ["SESSION_EXPIRED"] * 3 + ["good"]
    assert [await state_of(api, each) for each in (key.token, second, third, fourth)] == expected


async def test_a_revoked_key_has_no_good_token(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    made = await rotate(api, tenant.owner, key)
    await api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key.own_id), metadata=tenant.owner.metadata)
    assert [await state_of(api, each) for each in (key.token, made.token)] == ["SESSION_REVOKED"] * 2
    refused = await refusal(
        api.identity.RotateApiKey(pb.RotateApiKeyRequest(api_key_id=key.own_id), metadata=tenant.owner.metadata)
    )
    assert (refused.status, refused.metadata) == (Code.FAILED_PRECONDITION, {"state": "REVOKED"})


async def test_an_answer_that_was_lost_is_told_again_until_its_token_is_used(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    assert await state_of(api, key.token) == "good"  # used, long before its rotation
    async with asyncio.timeout(10):
        while not (await listed(api, tenant.owner, key)).HasField("last_use_time"):
            pass  # a use is noted a moment after it: this one's must not be taken for the new token's
    lost = await rotate(api, tenant.owner, key, 3600, "r-1")
    again = await rotate(api, tenant.owner, key, 3600, "r-1")
    assert again.api_key.rotate_time == lost.api_key.rotate_time
    assert [await state_of(api, each) for each in (lost.token, again.token)] == ["SESSION_UNKNOWN", "good"]
    async with asyncio.timeout(10):
        while not (await listed(api, tenant.owner, key)).HasField("last_use_time"):
            pass
    assert (await rotate(api, tenant.owner, key, 3600, "r-1")).token == ""
    refused = await refusal(
        api.identity.RotateApiKey(
            pb.RotateApiKeyRequest(api_key_id=key.own_id, request_id="r-1"), metadata=tenant.owner.metadata
        )
    )
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_asking_again_for_the_first_token_does_not_undo_a_rotation(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateApiKeyRequest(name="k", roles=["developer"], request_id="c-1")
    made = await api.identity.CreateApiKey(request, metadata=tenant.owner.metadata)
    rotated = await rotate(api, tenant.owner, Principal(made.api_key.api_key_id, made.token))
    assert (await api.identity.CreateApiKey(request, metadata=tenant.owner.metadata)).token == ""
    assert await state_of(api, rotated.token) == "good"


async def test_which_token_is_still_used_is_shown(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "developer")
    made = await rotate(api, tenant.owner, key)
    shown = await listed(api, tenant.owner, key)
    assert not shown.HasField("previous_use_time")
    await state_of(api, key.token)
    async with asyncio.timeout(10):
        while not (shown := await listed(api, tenant.owner, key)).HasField("previous_use_time"):
            pass
    assert shown.last_use_time == shown.previous_use_time
    await asyncio.sleep(0.01)
    await state_of(api, made.token)
    async with asyncio.timeout(10):
        while (await listed(api, tenant.owner, key)).last_use_time == shown.previous_use_time:
            pass


async def test_nobody_rotates_a_key_that_may_do_more(api: Api, tenant: TestTenant) -> None:
    admin, developer = await api.somebody(tenant, "admin"), await api.key(tenant.owner, "developer")
    request = pb.RotateApiKeyRequest(api_key_id=tenant.owner.own_id)
    refused = await refusal(api.identity.RotateApiKey(request, metadata=admin.metadata))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
    assert (await refusal(api.identity.RotateApiKey(request, metadata=developer.metadata))).status is Code.NOT_FOUND
    # A narrowed session gets no token of the key that opened it, were it ever so much its maker's.
    narrow = await narrow_key(api, tenant.owner, ["owner"], "api_key.rotate", "session.introspect")
    refused = await refusal(api.identity.RotateApiKey(request, metadata=narrow.metadata))
    assert refused.reason == "GRANT_EXCEEDS_GRANTER"
    itself = await rotate(api, narrow, narrow, 0)
    assert await state_of(api, itself.token) == "good"
    session = (await api.identity.GetCurrentSession(WHO, metadata=Principal("", itself.token).metadata)).session
    assert list(session.permissions) == ["api_key.rotate", "session.introspect"]


@pytest.mark.parametrize("seconds", [-1, 7 * 86_400 + 1, 2**40])
async def test_an_overlap_has_its_limits(api: Api, tenant: TestTenant, seconds: int) -> None:
    refused = await refusal(rotate(api, tenant.owner, tenant.owner, seconds))
    assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "overlap"})


async def test_rotations_at_the_same_time_leave_one_token_of_the_key_s_own(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "owner")
    answers = await asyncio.gather(
        *(rotate(api, by, key, 0) for by in (tenant.owner, key, tenant.owner, key)), return_exceptions=True
    )
    tokens = [each.token for each in answers if not isinstance(each, BaseException)]
    states = [await state_of(api, token) for token in [*tokens, key.token]]
    assert sorted(states) == ["SESSION_EXPIRED"] * len(tokens) + ["good"]


async def test_no_use_of_the_old_token_is_let_in_after_a_rotation_was_answered(api: Api, tenant: TestTenant) -> None:
    for _ in range(6):
        key = await api.key(tenant.owner, "member")
        answered = asyncio.Event()

        async def use(key: Principal = key, answered: asyncio.Event = answered) -> None:
            while True:
                late = answered.is_set()
                try:
                    await api.identity.GetCurrentSession(WHO, metadata=key.metadata)
                except grpc.aio.AioRpcError:
                    return
                assert not late

        users = [asyncio.create_task(use()) for _ in range(4)]
        await asyncio.sleep(0.005)
        made = await rotate(api, tenant.owner, key, 0)
        answered.set()
        await asyncio.gather(*users)
        assert await state_of(api, made.token) == "good"


async def test_two_keys_that_rotate_each_other_do_not_wait_in_a_circle(api: Api, tenant: TestTenant) -> None:
    one, two = await api.key(tenant.owner, "owner"), await api.key(tenant.owner, "owner")
    for _ in range(5):
        async with asyncio.timeout(10):
            answers = await asyncio.gather(
                rotate(api, one, two, 3600), rotate(api, two, one, 3600), return_exceptions=True
            )
        for each in answers:
            assert not isinstance(each, BaseException), each


async def test_a_rotation_by_a_key_that_is_revoked_meanwhile_leaves_nothing(api: Api, tenant: TestTenant) -> None:
    for _ in range(6):
        key, target = await api.key(tenant.owner, "owner"), await api.key(tenant.owner, "owner")
        rotating = asyncio.ensure_future(rotate(api, key, target, 3600))
        await api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key.own_id), metadata=tenant.owner.metadata)
        revoked_at = clock.now()
        with suppress(grpc.aio.AioRpcError):
            made = await rotating
            assert clock.from_timestamp(made.api_key.rotate_time) <= revoked_at
