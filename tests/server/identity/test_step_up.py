"""What a tenant calls sensitive takes a recent authentication, over a real channel on either database."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from support.api import Api, Principal, Refusal, TestTenant, refusal
from support.rows_of import change_row
from zegel.audit.v1 import audit_service_pb2, audit_service_pb2_grpc
from zegel.event.v1 import event_type_pb2
from zegel.identity.v1 import identity_service_pb2 as pb
from zegel.permission.v1 import access_pb2
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel_server import clock
from zegel_server.identity.model import read_sensitive, stale, write_sensitive

Code = grpc.StatusCode
MEMBERS = pb.ListMembersRequest()
HOUR = 3600


async def mark(api: Api, by: Principal, ages: Mapping[str, int]) -> pb.Tenant:
    sensitive = [
        pb.SensitivePermission(permission=name, max_age=Duration(seconds=seconds)) for name, seconds in ages.items()
    ]
    request = pb.UpdateTenantRequest(tenant=pb.Tenant(sensitive_permissions=sensitive))
    request.update_mask.paths.append("sensitive_permissions")
    return (await api.identity.UpdateTenant(request, metadata=by.metadata)).tenant


async def age(api: Api, session: Principal, seconds: int) -> None:
    """Makes a session's authentication so old."""
    moment = clock.now() - seconds * clock.SECOND
    await change_row(api.server, "sessions", ("session_id", session.session_id), "auth_time", moment)


def stepped_up(refused: Refusal, name: str, seconds: int) -> bool:
    return (refused.status, refused.reason, refused.metadata) == (
        Code.UNAUTHENTICATED,
        "STEP_UP_REQUIRED",
        {"permission": name, "max_age": str(seconds)},
    )


async def test_an_old_session_steps_up_for_what_is_sensitive_and_for_nothing_else(api: Api, tenant: TestTenant) -> None:
    tenant_now = await mark(api, tenant.owner, {"member.read": HOUR})
    assert [each.permission for each in tenant_now.sensitive_permissions] == ["member.read"]
    admin = await api.somebody(tenant, "admin")
    await api.identity.ListMembers(MEMBERS, metadata=admin.metadata)
    await age(api, admin, HOUR + 1)
    assert stepped_up(await refusal(api.identity.ListMembers(MEMBERS, metadata=admin.metadata)), "member.read", HOUR)
    await api.identity.ListApiKeys(pb.ListApiKeysRequest(), metadata=admin.metadata)
    held = await api.permission.ListPermissions(permission.ListPermissionsRequest(), metadata=admin.metadata)
    assert "member.read" in str(held), "it is held all the same"
    again = await api.session(tenant.owner, admin.own_id)  # the partner's backend lets it authenticate anew
    await api.identity.ListMembers(MEMBERS, metadata=again.metadata)
    await mark(api, tenant.owner, {})
    await api.identity.ListMembers(MEMBERS, metadata=admin.metadata)


async def test_who_does_not_hold_it_is_not_told_to_authenticate(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"member.read": HOUR})
    member = await api.somebody(tenant, "member")
    await age(api, member, 10 * HOUR)
    assert (await refusal(api.identity.ListMembers(MEMBERS, metadata=member.metadata))).reason == "PERMISSION_DENIED"


async def test_a_step_up_stands_in_the_trail(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"member.read": HOUR, "document.read": HOUR})
    admin = await api.somebody(tenant, "admin")
    await age(api, admin, 2 * HOUR)
    await refusal(api.identity.ListMembers(MEMBERS, metadata=admin.metadata))  # what the contract demands
    request = pb.CreateApiKeyRequest(name="k", roles=["member"])
    await refusal(api.identity.CreateApiKey(request, metadata=admin.metadata))  # what the use case demands besides
    stub = audit_service_pb2_grpc.AuditServiceStub(api.channel)
    asked = audit_service_pb2.ListEventsRequest(types=[event_type_pb2.EVENT_TYPE_STEP_UP_REQUIRED])
    async with asyncio.timeout(10):
        while True:
            found = (await stub.ListEvents(asked, metadata=tenant.owner.metadata)).events
            if len(found) == 2:
                break
    assert {each.resource_id.rpartition("/")[2] for each in found} == {"ListMembers", "CreateApiKey"}
    assert all(each.refused and each.principal_id == admin.own_id for each in found)


async def test_an_api_key_is_exempt(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"member.read": 60, "tenant.update": 60})
    await api.identity.ListMembers(MEMBERS, metadata=tenant.owner.metadata)
    await mark(api, tenant.owner, {})


async def test_nothing_that_an_old_session_makes_is_fresher(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"document.read": HOUR})
    owner = await api.somebody(tenant, "owner")
    await age(api, owner, 2 * HOUR)
    calls: list[tuple[Any, Any]] = [
        (pb.CreateApiKeyRequest(name="k", roles=["member"]), api.identity.CreateApiKey),
        (pb.RotateApiKeyRequest(api_key_id=tenant.owner.own_id), api.identity.RotateApiKey),
        (pb.CreateSessionRequest(member_id=owner.own_id), api.identity.CreateSession),
        (pb.CreateMemberRequest(name="M", email="m@example.com"), api.identity.CreateMember),
    ]
    for request, method in calls:
        refused = await refusal(method(request, metadata=owner.metadata))
        assert stepped_up(refused, "document.read", HOUR), method
    # What holds nothing sensitive may be opened, and is as old as what opened it.
    narrow = await api.session(owner, owner.own_id, "session.introspect")
    shown = await api.identity.GetCurrentSession(pb.GetCurrentSessionRequest(), metadata=narrow.metadata)
    assert shown.session.create_time.seconds - shown.session.auth_time.seconds >= 2 * HOUR


async def test_what_is_sensitive_is_changed_by_the_fresh_alone(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"document.purge": HOUR})
    owner = await api.somebody(tenant, "owner")
    await age(api, owner, 2 * HOUR)
    assert stepped_up(await refusal(mark(api, owner, {})), "document.purge", HOUR)
    provider = pb.IdentityProvider(issuer="https://id.example.com", audiences=["app"])
    request = pb.SetIdentityProviderRequest(identity_provider=provider)
    refused = await refusal(api.identity.SetIdentityProvider(request, metadata=owner.metadata))
    assert stepped_up(refused, "document.purge", HOUR)
    # A client that knows nothing of it changes the name, and nothing else.
    old = pb.UpdateTenantRequest(tenant=pb.Tenant(name="New name"))
    changed = (await api.identity.UpdateTenant(old, metadata=owner.metadata)).tenant
    assert (changed.name, len(changed.sensitive_permissions)) == ("New name", 1)


@pytest.mark.parametrize("seconds", [0, 59, -1, 30 * 86_400 + 1])
async def test_an_age_that_would_lock_everybody_out_is_refused(api: Api, tenant: TestTenant, seconds: int) -> None:
    refused = await refusal(mark(api, tenant.owner, {"tenant.update": seconds}))
    expected = {"field": "tenant.sensitive_permissions[0].max_age"}
    assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, expected)


async def test_what_no_method_demands_cannot_be_sensitive(api: Api, tenant: TestTenant) -> None:
    for name in ("everything", "a b=1", ""):
        refused = await refusal(mark(api, tenant.owner, {name: HOUR}))
        assert (refused.status, refused.metadata) == (Code.INVALID_ARGUMENT, {"field": "tenant.sensitive_permissions"})


async def test_a_running_stream_ends_once_the_authentication_is_too_old(api: Api, tenant: TestTenant) -> None:
    await mark(api, tenant.owner, {"audit.read": HOUR})
    admin = await api.somebody(tenant, "admin")
    stub = audit_service_pb2_grpc.AuditServiceStub(api.channel)
    stream = stub.WatchEvents(audit_service_pb2.WatchEventsRequest(), metadata=admin.metadata)

    begun = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            begun.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(60):
        await begun.wait()  # it begins with all that has happened
    assert not reading.done()
    await age(api, admin, 2 * HOUR)
    async with asyncio.timeout(60):
        assert stepped_up(await refusal(reading), "audit.read", HOUR)


async def test_a_list_that_is_cut_to_what_is_reached_steps_up_as_well(api: Api, tenant: TestTenant) -> None:
    own = access_pb2.SCOPE_OWN
    await api.role(tenant.owner, "own", ("session.read", own), ("session.introspect", own))
    somebody = await api.somebody(tenant, "own")
    await mark(api, tenant.owner, {"session.read": 60})
    await age(api, somebody, 61)
    refused = await refusal(api.identity.ListSessions(pb.ListSessionsRequest(), metadata=somebody.metadata))
    assert stepped_up(refused, "session.read", 60)


AGES = st.dictionaries(st.from_regex(r"[a-z_]{1,20}\.[a-z]{1,10}", fullmatch=True), st.integers(60, 2_592_000))


@given(AGES, st.integers(0, 3_000_000))
def test_what_is_sensitive_is_read_as_it_was_written(ages: dict[str, int], seconds: int) -> None:
    text = write_sensitive(ages)
    assert read_sensitive(text) == ages
    now = clock.now()
    expected = {name: most for name, most in ages.items() if seconds > most}
    assert stale(text, now - seconds * clock.SECOND, now) == expected
