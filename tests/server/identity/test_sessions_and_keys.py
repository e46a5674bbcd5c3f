"""API keys and sessions, over a real channel: each request is looked up at that moment."""

import asyncio
import time
from contextlib import suppress

import grpc
import pytest

from support.api import Api, Principal, TestTenant, bearer, refusal
from support.rows_of import change_row
from zegel.identity.v1 import identity_service_pb2 as pb
from zegel_server import clock
from zegel_server.ids import API_KEY_PREFIX, SESSION_PREFIX, new_token

Code = grpc.StatusCode
WHO = pb.GetCurrentSessionRequest()


async def who(api: Api, principal: Principal) -> pb.Session:
    return (await api.identity.GetCurrentSession(WHO, metadata=principal.metadata)).session


async def why_not(api: Api, principal: Principal) -> str:
    refused = await refusal(api.identity.GetCurrentSession(WHO, metadata=principal.metadata))
    assert refused.status is Code.UNAUTHENTICATED
    return refused.reason


# ------------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "SESSION_MISSING"),
        ((("authorization", ""),), "SESSION_MISSING"),
        ((("authorization", "Bearer"),), "SESSION_MISSING"),
        ((("authorization", "Bearer "),), "SESSION_MISSING"),
        ((("authorization", "Basic enhjOnp4Yw=="),), "SESSION_MISSING"),
        (bearer("hello"), "SESSION_MALFORMED"),
        (bearer("zs_" + "0" * 49), "SESSION_MALFORMED"),
        (bearer(new_token(API_KEY_PREFIX)), "SESSION_UNKNOWN"),
        (bearer(new_token(SESSION_PREFIX)), "SESSION_UNKNOWN"),
        (bearer("zs_' OR 1=1 --"), "SESSION_MALFORMED"),
    ],
)
async def test_a_token_that_is_none_is_refused_with_its_reason(
    api: Api, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    refused = await refusal(api.identity.GetCurrentSession(WHO, metadata=metadata))
    assert (refused.status, refused.reason, refused.metadata) == (Code.UNAUTHENTICATED, reason, {})


async def test_two_tokens_are_none(api: Api, tenant: TestTenant) -> None:
    refused = await refusal(api.identity.GetCurrentSession(WHO, metadata=tenant.owner.metadata + api.operator.metadata))
    assert (refused.status, refused.reason) == (Code.UNAUTHENTICATED, "SESSION_MALFORMED")


async def test_a_changed_or_cut_token_is_refused(api: Api, tenant: TestTenant) -> None:
    token = tenant.owner.token
    for index in (0, 3, 20, len(token) - 1):
        wrong = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        assert await why_not(api, Principal("", wrong)) == "SESSION_MALFORMED"
    assert await why_not(api, Principal("", token[:-1])) == "SESSION_MALFORMED"
    assert await why_not(api, Principal("", token + "0")) == "SESSION_MALFORMED"


async def test_the_scheme_is_read_as_http_does(api: Api, tenant: TestTenant) -> None:
    metadata = (("authorization", f"bearer {tenant.owner.token}"),)
    assert (await api.identity.GetCurrentSession(WHO, metadata=metadata)).session.tenant_id == tenant.tenant_id


# ------------------------------------------------------------------------------------------------------------ API keys


async def test_a_key_says_who_it_is(api: Api, tenant: TestTenant) -> None:
    session = await who(api, tenant.owner)
    assert session.kind == pb.SESSION_KIND_API_KEY
    assert session.session_id == session.principal_id == tenant.owner.own_id
    assert session.tenant_id == tenant.tenant_id
    assert not session.HasField("expire_time")


async def test_a_key_is_listed_without_its_token(api: Api, tenant: TestTenant) -> None:
    made = await api.key(tenant.owner, "developer")
    listed = (await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=tenant.owner.metadata)).api_keys
    assert [key.api_key_id for key in listed] == [tenant.owner.own_id, made.own_id]
    assert listed[1].roles == ["developer"]
    assert made.token.startswith(listed[1].token_prefix)
    assert len(listed[1].token_prefix) == 8
    assert made.token not in str(listed)


async def test_a_key_is_made_once_and_one_token_of_it_works(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateApiKeyRequest(name="CI", roles=["member"], request_id="ci-1")
    answers = await asyncio.gather(
        *(api.identity.CreateApiKey(request, metadata=tenant.owner.metadata) for _ in range(10))
    )
    assert len({answer.api_key.api_key_id for answer in answers}) == 1
    good = []
    for token in {answer.token for answer in answers} - {""}:
        with suppress(grpc.aio.AioRpcError):  # another took its place
            good.append((await who(api, Principal("", token))).principal_id)
    assert good == [answers[0].api_key.api_key_id]


async def test_a_key_cannot_be_given_more_than_its_maker_has(api: Api, tenant: TestTenant) -> None:
    admin = await api.somebody(tenant, "admin")
    request = pb.CreateApiKeyRequest(name="k", roles=["member", "owner"])
    refused = await refusal(api.identity.CreateApiKey(request, metadata=admin.metadata))
    assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
    assert refused.metadata == {"permission": "document.purge"}
    refused = await refusal(api.identity.CreateApiKey(pb.CreateApiKeyRequest(name="k"), metadata=admin.metadata))
    assert (refused.reason, refused.metadata) == ("MISSING_FIELD", {"field": "roles"})


async def test_a_revoked_key_is_refused_by_the_next_request_with_all_it_opened(api: Api, tenant: TestTenant) -> None:
    key = await api.key(tenant.owner, "owner")
    member = await api.member(key, roles=["owner"])
    session = await api.session(key, member.member_id)
    second = await api.session(session, member.member_id)  # opened with what the key opened
    assert (await who(api, second)).creator_id == member.member_id
    revoke = pb.RevokeApiKeyRequest(api_key_id=key.own_id)
    revoked = (await api.identity.RevokeApiKey(revoke, metadata=tenant.owner.metadata)).api_key
    assert revoked.HasField("revoke_time")
    assert revoked.roles == []
    for principal in (key, session, second):
        assert await why_not(api, principal) == "SESSION_REVOKED"
    again = (await api.identity.RevokeApiKey(revoke, metadata=tenant.owner.metadata)).api_key
    assert again.revoke_time == revoked.revoke_time


async def test_the_last_owner_s_key_stays(api: Api, tenant: TestTenant) -> None:
    request = pb.RevokeApiKeyRequest(api_key_id=tenant.owner.own_id)
    refused = await refusal(api.identity.RevokeApiKey(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "LAST_OWNER")
    assert (await who(api, tenant.owner)).principal_id == tenant.owner.own_id
    # A key with an end keeps nobody in: it does not count.
    ending = pb.CreateApiKeyRequest(name="short", roles=["owner"])
    ending.expire_time.FromSeconds(int(time.time()) + 3600)
    await api.identity.CreateApiKey(ending, metadata=tenant.owner.metadata)
    assert (await refusal(api.identity.RevokeApiKey(request, metadata=tenant.owner.metadata))).reason == "LAST_OWNER"
    await api.key(tenant.owner, "owner")
    await api.identity.RevokeApiKey(request, metadata=tenant.owner.metadata)


async def test_of_two_owners_who_revoke_one_another_one_stays(api: Api, tenant: TestTenant) -> None:
    second = await api.key(tenant.owner, "owner")
    calls = [
        api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=whom.own_id), metadata=by.metadata)
        for by, whom in ((tenant.owner, second), (second, tenant.owner))
    ]
    await asyncio.gather(*calls, return_exceptions=True)
    left = [each for each in (tenant.owner, second) if await _is_good(api, each)]
    assert len(left) >= 1


async def _is_good(api: Api, principal: Principal) -> bool:
    try:
        await who(api, principal)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_a_key_that_is_not_the_caller_s_looks_like_none(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    developer = await api.key(tenant.owner, "developer")
    theirs, absent = other.owner.own_id, tenant.owner.own_id[:-4] + "0000"
    foreign = [
        await refusal(api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=each), metadata=developer.metadata))
        for each in (tenant.owner.own_id, theirs, absent, "key_x")
    ]
    assert foreign[0].status is Code.NOT_FOUND
    assert all(each == foreign[0] for each in foreign)
    listed = await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=developer.metadata)
    assert [key.api_key_id for key in listed.api_keys] == [developer.own_id]
    await api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=developer.own_id), metadata=developer.metadata)
    assert await why_not(api, developer) == "SESSION_REVOKED"


async def test_a_key_ends_when_it_should(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateApiKeyRequest(name="short", roles=["member"])
    request.expire_time.FromSeconds(int(time.time()) - 1)
    refused = await refusal(api.identity.CreateApiKey(request, metadata=tenant.owner.metadata))
    assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "expire_time"})
    request.expire_time.FromSeconds(int(time.time()) + 3600)
    made = await api.identity.CreateApiKey(request, metadata=tenant.owner.metadata)
    key = Principal(made.api_key.api_key_id, made.token)
    assert (await who(api, key)).expire_time == request.expire_time
    await change_row(api.server, "api_keys", ("api_key_id", key.own_id), "expire_time", clock.now())
    assert await why_not(api, key) == "SESSION_EXPIRED"


async def test_the_last_use_of_a_key_is_known(api: Api, tenant: TestTenant) -> None:
    await who(api, tenant.owner)
    async with asyncio.timeout(10):
        while True:
            listed = await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=tenant.owner.metadata)
            if listed.api_keys[0].HasField("last_use_time"):
                break
    assert abs(listed.api_keys[0].last_use_time.seconds - time.time()) < 60


# ------------------------------------------------------------------------------------------------------------ sessions


async def test_a_session_stands_for_its_member_for_a_working_day(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    session = await who(api, ann)
    assert (session.kind, session.principal_id) == (pb.SESSION_KIND_MEMBER, ann.own_id)
    assert session.creator_id == tenant.owner.own_id
    assert session.expire_time.seconds - session.create_time.seconds == 12 * 3600
    assert session.idle_expire_time.seconds - session.create_time.seconds == 2 * 3600


async def test_a_revoked_session_is_refused_by_the_next_request(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    for _ in range(2):
        await api.identity.RevokeSession(
            pb.RevokeSessionRequest(session_id=ann.session_id), metadata=tenant.owner.metadata
        )
        assert await why_not(api, ann) == "SESSION_REVOKED"


async def test_no_request_that_began_after_a_revoke_is_let_in(api: Api, tenant: TestTenant) -> None:
    for _ in range(10):
        ann = await api.somebody(tenant, "member")
        answered = asyncio.Event()

        async def use(ann: Principal = ann, answered: asyncio.Event = answered) -> None:
            while True:
                late = answered.is_set()
                try:
                    await who(api, ann)
                except grpc.aio.AioRpcError:
                    return
                assert not late

        users = [asyncio.create_task(use()) for _ in range(4)]
        await asyncio.sleep(0.005)
        await api.identity.RevokeSession(
            pb.RevokeSessionRequest(session_id=ann.session_id), metadata=tenant.owner.metadata
        )
        answered.set()
        await asyncio.gather(*users)


async def test_what_a_call_opens_while_it_is_revoked_is_not_left_over(api: Api, tenant: TestTenant) -> None:
    member = await api.member(tenant.owner, roles=["member"])
    for _ in range(8):
        key = await api.key(tenant.owner, "owner")
        opening = [
            api.identity.CreateSession(pb.CreateSessionRequest(member_id=member.member_id), metadata=key.metadata)
            for _ in range(6)
        ]
        await api.identity.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key.own_id), metadata=tenant.owner.metadata)
        opened = await asyncio.gather(*opening, return_exceptions=True)
        for each in opened:
            if isinstance(each, pb.CreateSessionResponse):
                assert await why_not(api, Principal("", each.token)) == "SESSION_REVOKED"


async def test_a_session_ends_by_the_clock_and_when_it_is_idle(api: Api, tenant: TestTenant) -> None:
    ann, bob = await api.somebody(tenant, "member"), await api.somebody(tenant, "member")
    await change_row(api.server, "sessions", ("session_id", ann.session_id), "expire_time", clock.now())
    assert await why_not(api, ann) == "SESSION_EXPIRED"
    idle = clock.now() - 2 * clock.HOUR - clock.MINUTE
    await change_row(api.server, "sessions", ("session_id", bob.session_id), "last_use_time", idle)
    listed = await api.identity.ListSessions(pb.ListSessionsRequest(), metadata=tenant.owner.metadata)
    assert list(listed.sessions) == [], "neither is good at this moment"
    assert await why_not(api, bob) == "SESSION_EXPIRED"


async def test_a_session_that_is_used_does_not_go_idle(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    nearly = clock.now() - 2 * clock.HOUR + 30 * clock.SECOND
    await change_row(api.server, "sessions", ("session_id", ann.session_id), "last_use_time", nearly)
    before = (nearly + 2 * clock.HOUR) // clock.SECOND  # asking would be a use already
    async with asyncio.timeout(10):
        while (await who(api, ann)).idle_expire_time.seconds <= before + 3600:
            pass


async def test_a_session_cannot_last_longer_than_it_may(api: Api, tenant: TestTenant) -> None:
    ann = await api.member(tenant.owner)
    request = pb.CreateSessionRequest(member_id=ann.member_id)
    for seconds in (-1, 31 * 86_400):
        request.expire_time.FromSeconds(int(time.time()) + seconds)
        refused = await refusal(api.identity.CreateSession(request, metadata=tenant.owner.metadata))
        assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "expire_time"})
    request.expire_time.seconds = 2**62
    assert (
        await refusal(api.identity.CreateSession(request, metadata=tenant.owner.metadata))
    ).reason == "INVALID_FIELD"


async def test_a_narrowed_session_does_what_it_is_narrowed_to(api: Api, tenant: TestTenant) -> None:
    member = await api.member(tenant.owner, roles=["admin"])
    narrow = await api.session(tenant.owner, member.member_id, "member.read", "session.create")
    await api.identity.ListMembers(pb.ListMembersRequest(), metadata=narrow.metadata)
    refused = await refusal(api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=narrow.metadata))
    assert (refused.status, refused.metadata) == (Code.PERMISSION_DENIED, {"permission": "api_key.read"})
    # It cannot widen itself by opening another for the same member.
    refused = await refusal(
        api.identity.CreateSession(pb.CreateSessionRequest(member_id=member.member_id), metadata=narrow.metadata)
    )
    assert refused.reason == "GRANT_EXCEEDS_GRANTER"
    # Nor does it hold what the member does not.
    plain = await api.member(tenant.owner, roles=["member"])
    wide = await api.session(tenant.owner, plain.member_id, "member.delete")
    refused = await refusal(
        api.identity.DeleteMember(pb.DeleteMemberRequest(member_id=plain.member_id), metadata=wide.metadata)
    )
    assert refused.reason == "PERMISSION_DENIED"
    for wrong in ("member.fly", "", "member.read\x00"):
        request = pb.CreateSessionRequest(member_id=member.member_id, permissions=[wrong])
        refused = await refusal(api.identity.CreateSession(request, metadata=tenant.owner.metadata))
        assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "permissions"})


async def test_nobody_opens_a_session_for_who_may_do_more(api: Api, tenant: TestTenant) -> None:
    admin = await api.somebody(tenant, "admin")
    owner = await api.member(tenant.owner, roles=["owner"])
    request = pb.CreateSessionRequest(member_id=owner.member_id)
    assert (await refusal(api.identity.CreateSession(request, metadata=admin.metadata))).reason == (
        "GRANT_EXCEEDS_GRANTER"
    )
    developer = await api.somebody(tenant, "developer")
    await api.session(developer, developer.own_id)
    request.member_id = (await api.member(tenant.owner)).member_id
    assert (await refusal(api.identity.CreateSession(request, metadata=developer.metadata))).status is Code.NOT_FOUND


async def test_sessions_are_listed_newest_first_in_pages(api: Api, tenant: TestTenant) -> None:
    member = await api.member(tenant.owner)
    made = [(await api.session(tenant.owner, member.member_id)).session_id for _ in range(5)]
    for size in (1, 2, 5, 6):
        found, token = [], ""
        while True:
            page = await api.identity.ListSessions(
                pb.ListSessionsRequest(page_size=size, page_token=token, principal_id=member.member_id),
                metadata=tenant.owner.metadata,
            )
            found += [session.session_id for session in page.sessions]
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(made, reverse=True)
    for nobody in ("x\x00", "mem_nobody", "1' OR 1=1"):
        request = pb.ListSessionsRequest(principal_id=nobody)
        assert not (await api.identity.ListSessions(request, metadata=tenant.owner.metadata)).sessions


async def test_a_member_sees_and_revokes_its_own_sessions_alone(
    api: Api, tenant: TestTenant, other: TestTenant
) -> None:
    ann, bob = await api.somebody(tenant, "member"), await api.somebody(tenant, "member")
    theirs = await api.somebody(other, "member")
    listed = await api.identity.ListSessions(pb.ListSessionsRequest(), metadata=ann.metadata)
    assert [session.session_id for session in listed.sessions] == [ann.session_id]
    refusals = [
        await refusal(api.identity.RevokeSession(pb.RevokeSessionRequest(session_id=each), metadata=ann.metadata))
        for each in (bob.session_id, theirs.session_id, bob.session_id[:-4] + "0000", "ses_x", "mem_" + "0" * 26)
    ]
    assert refusals[0].status is Code.NOT_FOUND
    assert all(each == refusals[0] for each in refusals)
    assert await _is_good(api, bob)
    await api.identity.RevokeSession(pb.RevokeSessionRequest(session_id=ann.session_id), metadata=ann.metadata)
    assert await why_not(api, ann) == "SESSION_REVOKED"
