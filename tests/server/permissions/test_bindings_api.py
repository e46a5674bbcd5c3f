"""Bindings and questions over a real channel: granting, taking, checking, explaining."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from support.api import Api, Principal, TestTenant, refusal
from support.rows_of import change_row
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import access_pb2 as access
from zegel.permission.v1 import permission_service_pb2 as pb
from zegel_server import clock
from zegel_server.permissions.decisions import built_in_decisions
from zegel_server.permissions.model import BUILT_IN, MAX_ROLES_OF, NOT_BINDABLE

Code = grpc.StatusCode
OWN, PARTY, ANY = access.SCOPE_OWN, access.SCOPE_PARTY, access.SCOPE_ANY


async def grant(api: Api, by: Principal, whom: str, role: str, seconds: float | None = None) -> pb.Binding:
    request = pb.GrantRoleRequest(principal_id=whom, role=role)
    if seconds is not None:
        request.expire_time.FromMicroseconds(int((time.time() + seconds) * 1_000_000))
    return (await api.permission.GrantRole(request, metadata=by.metadata)).binding


async def take(api: Api, by: Principal, whom: str, role: str) -> pb.TakeRoleResponse:
    request = pb.TakeRoleRequest(principal_id=whom, role=role)
    answer: pb.TakeRoleResponse = await api.permission.TakeRole(request, metadata=by.metadata)
    return answer


async def scopes(api: Api, principal: Principal, permission: str) -> list[int]:
    request = pb.CheckPermissionsRequest(permissions=[permission])
    answer = await api.permission.CheckPermissions(request, metadata=principal.metadata)
    return list(answer.checks[0].scopes)


async def test_a_change_is_in_force_for_the_next_request(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    keys = identity.ListApiKeysRequest()
    for _ in range(5):
        assert (await refusal(api.identity.ListApiKeys(keys, metadata=ann.metadata))).reason == "PERMISSION_DENIED"
        await grant(api, tenant.owner, ann.own_id, "developer")
        await api.identity.ListApiKeys(keys, metadata=ann.metadata)
        lost = await take(api, tenant.owner, ann.own_id, "developer")
        assert [loss.principal_id for loss in lost.losses] == [ann.own_id]
        assert ("api_key.read", OWN) in [(each.permission, each.scope) for each in lost.losses[0].grants]


async def test_a_principal_has_only_so_many_roles_at_the_same_time(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    for number in range(MAX_ROLES_OF):
        await api.role(tenant.owner, f"role-{number}")
    for number in range(MAX_ROLES_OF - 1):
        await grant(api, tenant.owner, ann.own_id, f"role-{number}")
    refused = await refusal(grant(api, tenant.owner, ann.own_id, f"role-{MAX_ROLES_OF - 1}"))
    assert (refused.reason, refused.metadata) == ("LIMIT_REACHED", {"limit": "roles_of_principal"})
    await grant(api, tenant.owner, ann.own_id, "role-0")  # it has that one
    await take(api, tenant.owner, ann.own_id, "role-0")
    await grant(api, tenant.owner, ann.own_id, f"role-{MAX_ROLES_OF - 1}")


async def test_a_role_s_change_is_in_force_for_the_next_request_of_all_who_have_it(
    api: Api, tenant: TestTenant
) -> None:
    await api.role(tenant.owner, "base")
    await api.role(tenant.owner, "top", inherits=["base", "member"])
    people = [await api.somebody(tenant, "top") for _ in range(3)]
    for held in ([ANY], [OWN], []):
        grants = [pb.Grant(permission="api_key.read", scope=scope) for scope in held]
        request = pb.UpdateRoleRequest(
            role=pb.Role(name="base", grants=grants), update_mask=FieldMask(paths=["grants"])
        )
        await api.permission.UpdateRole(request, metadata=tenant.owner.metadata)
        for person in people:
            assert await scopes(api, person, "api_key.read") == held


async def test_no_request_that_began_after_a_role_was_taken_uses_it(api: Api, tenant: TestTenant) -> None:
    for _ in range(6):
        ann = await api.somebody(tenant, "member", "developer")
        answered = asyncio.Event()

        async def use(ann: Principal = ann, answered: asyncio.Event = answered) -> None:
            while True:
                late = answered.is_set()
                if not await scopes(api, ann, "api_key.read"):
                    return
                assert not late

        users = [asyncio.create_task(use()) for _ in range(4)]
        await asyncio.sleep(0.005)
        await take(api, tenant.owner, ann.own_id, "developer")
        answered.set()
        await asyncio.gather(*users)


async def test_a_binding_with_an_end_ends(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    binding = await grant(api, tenant.owner, ann.own_id, "developer", seconds=1.0)
    assert await scopes(api, ann, "api_key.read") == [OWN]
    await asyncio.sleep(max(0.0, binding.expire_time.ToMicroseconds() / 1e6 - time.time()) + 0.02)
    assert await scopes(api, ann, "api_key.read") == []
    listed = await api.permission.ListBindings(
        pb.ListBindingsRequest(principal_id=ann.own_id), metadata=tenant.owner.metadata
    )
    assert [each.role for each in listed.bindings] == ["member"]
    refused = await refusal(
        api.permission.TakeRole(
            pb.TakeRoleRequest(principal_id=ann.own_id, role="developer"), metadata=tenant.owner.metadata
        )
    )
    assert (refused.status, refused.metadata) == (Code.NOT_FOUND, {"resource": "binding"})


async def test_granting_again_gives_the_new_end(api: Api, tenant: TestTenant) -> None:
    ann = await api.somebody(tenant, "member")
    first = await grant(api, tenant.owner, ann.own_id, "developer")
    assert not first.HasField("expire_time")
    assert (await grant(api, tenant.owner, ann.own_id, "developer", seconds=60)).HasField("expire_time")
    assert not (await grant(api, tenant.owner, ann.own_id, "developer")).HasField("expire_time")
    request = pb.GrantRoleRequest(principal_id=ann.own_id, role="developer")
    request.expire_time.FromSeconds(1)
    refused = await refusal(api.permission.GrantRole(request, metadata=tenant.owner.metadata))
    assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "expire_time"})


async def test_nobody_grants_or_takes_what_they_do_not_have(api: Api, tenant: TestTenant) -> None:
    admin = await api.somebody(tenant, "admin")
    ann = await api.somebody(tenant, "member", "owner")
    for call in (
        api.permission.GrantRole(pb.GrantRoleRequest(principal_id=admin.own_id, role="owner"), metadata=admin.metadata),
        api.permission.TakeRole(pb.TakeRoleRequest(principal_id=ann.own_id, role="owner"), metadata=admin.metadata),
    ):
        refused = await refusal(call)
        assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
    await grant(api, admin, ann.own_id, "manager")


async def test_a_narrowed_session_grants_no_more_than_it_is_narrowed_to(api: Api, tenant: TestTenant) -> None:
    member = await api.member(tenant.owner, roles=["owner"])
    narrow = await api.session(tenant.owner, member.member_id, "binding.grant")
    refused = await refusal(
        api.permission.GrantRole(
            pb.GrantRoleRequest(principal_id=member.member_id, role="member"), metadata=narrow.metadata
        )
    )
    assert refused.reason == "GRANT_EXCEEDS_GRANTER"


async def test_a_tenant_keeps_an_owner(api: Api, tenant: TestTenant) -> None:
    owner = tenant.owner
    last: list[Callable[[], Awaitable[Any]]] = [
        lambda: api.permission.TakeRole(
            pb.TakeRoleRequest(principal_id=owner.own_id, role="owner"), metadata=owner.metadata
        ),
        lambda: api.permission.TakeRole(
            pb.TakeRoleRequest(principal_id=owner.own_id, role="owner", validate_only=True), metadata=owner.metadata
        ),
    ]
    ending = pb.GrantRoleRequest(principal_id=owner.own_id, role="owner")
    ending.expire_time.FromSeconds(int(time.time()) + 3600)
    calls: list[Callable[[], Awaitable[Any]]] = [
        *last,
        lambda: api.permission.GrantRole(ending, metadata=owner.metadata),
    ]
    for call in calls:
        refused = await refusal(call())
        assert (refused.status, refused.reason, refused.metadata) == (Code.FAILED_PRECONDITION, "LAST_OWNER", {})
    # One with an end does not count.
    ann = await api.somebody(tenant, "member")
    await grant(api, owner, ann.own_id, "owner", seconds=3600)
    assert (await refusal(last[0]())).reason == "LAST_OWNER"
    await grant(api, owner, ann.own_id, "owner")
    assert (await refusal(last[0]())).reason == "LAST_OWNER", "nobody is left who could open the member a session"
    provider = identity.IdentityProvider(issuer="https://id.example.com", audiences=["app"])
    request = identity.SetIdentityProviderRequest(identity_provider=provider)
    await api.identity.SetIdentityProvider(request, metadata=owner.metadata)
    await last[0]()
    delete = identity.DeleteMemberRequest(member_id=ann.own_id)
    assert (await refusal(api.identity.DeleteMember(delete, metadata=ann.metadata))).reason == "LAST_OWNER"


async def test_of_owners_who_take_one_another_s_role_one_stays(api: Api, tenant: TestTenant) -> None:
    for _ in range(5):
        made = await api.tenant()
        ann, bob = await api.key(made.owner, "owner"), await api.key(made.owner, "owner")
        await take(api, made.owner, made.owner.own_id, "owner")
        await asyncio.gather(
            take(api, ann, bob.own_id, "owner"), take(api, bob, ann.own_id, "owner"), return_exceptions=True
        )
        left = [each for each in (ann, bob) if await _holds_anything(api, each)]
        assert len(left) == 1


async def _holds_anything(api: Api, principal: Principal) -> bool:
    try:
        return bool(await scopes(api, principal, "document.purge"))
    except grpc.aio.AioRpcError:
        return False


async def test_pages_of_bindings_are_the_whole(api: Api, tenant: TestTenant) -> None:
    for roles in (("member",), ("auditor", "developer"), ("manager", "member", "auditor")):
        await api.somebody(tenant, *roles)
    whole = await _bindings(api, tenant, 1_000)
    assert whole == sorted(whole)
    assert len(whole) == 7
    for size in (1, 2, 3, 6, 7, 8):
        assert await _bindings(api, tenant, size) == whole
    only = await api.permission.ListBindings(pb.ListBindingsRequest(role="auditor"), metadata=tenant.owner.metadata)
    assert [each.role for each in only.bindings] == ["auditor", "auditor"]
    for nothing in (
        pb.ListBindingsRequest(role="x\x00"),
        pb.ListBindingsRequest(principal_id="x\x00"),
        pb.ListBindingsRequest(principal_id="mem_" + "0" * 26),
    ):
        assert not (await api.permission.ListBindings(nothing, metadata=tenant.owner.metadata)).bindings


async def _bindings(api: Api, tenant: TestTenant, size: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    token = ""
    while True:
        page = await api.permission.ListBindings(
            pb.ListBindingsRequest(page_size=size, page_token=token), metadata=tenant.owner.metadata
        )
        found += [(each.principal_id, each.role) for each in page.bindings]
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("role", sorted(set(BUILT_IN) - NOT_BINDABLE))
async def test_what_is_listed_is_what_is_allowed(api: Api, tenant: TestTenant, role: str) -> None:
    person = await api.somebody(tenant, role)
    listed = await api.permission.ListPermissions(pb.ListPermissionsRequest(), metadata=person.metadata)
    held = [(grant.permission, grant.scope) for grant in listed.grants]
    assert held == sorted(held)
    names = sorted({grant.permission for each in BUILT_IN.values() for grant in each.grants})
    answer = await api.permission.CheckPermissions(
        pb.CheckPermissionsRequest(permissions=[*names, "made.up", ""]), metadata=person.metadata
    )
    assert [check.permission for check in answer.checks] == [*names, "made.up", ""]
    assert [(check.permission, scope) for check in answer.checks for scope in check.scopes] == held
    expected = {name: built_in_decisions().scopes(role, name) for name in names}
    assert {name for name, _ in held} == {name for name in names if expected[name]}


async def test_only_so_much_is_asked_at_once(api: Api, tenant: TestTenant) -> None:
    for count in (0, 101):
        request = pb.CheckPermissionsRequest(permissions=["document.read"] * count)
        refused = await refusal(api.permission.CheckPermissions(request, metadata=tenant.owner.metadata))
        assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "permissions"})


async def test_an_explanation_names_the_rule_and_the_binding(api: Api, tenant: TestTenant) -> None:
    await api.role(tenant.owner, "base", ("document.read", ANY))
    await api.role(tenant.owner, "top", inherits=["base"])
    ann = await api.somebody(tenant, "top", "member")
    request = pb.ExplainPermissionRequest(principal_id=ann.own_id, permission="document.read")
    answer = await api.permission.ExplainPermission(request, metadata=tenant.owner.metadata)
    assert answer.allowed
    assert [(ground.binding.role, ground.role, ground.grant.scope) for ground in answer.grounds] == [
        ("member", "member", OWN),
        ("top", "base", ANY),
    ]
    request.permission = "document.purge"
    answer = await api.permission.ExplainPermission(request, metadata=tenant.owner.metadata)
    assert not answer.allowed
    assert not answer.grounds
    request.permission = "made.up"
    refused = await refusal(api.permission.ExplainPermission(request, metadata=tenant.owner.metadata))
    assert (refused.reason, refused.metadata) == ("INVALID_FIELD", {"field": "permission"})


async def test_another_tenant_s_principal_looks_like_none_at_all(
    api: Api, tenant: TestTenant, other: TestTenant
) -> None:
    theirs, by = await api.somebody(other, "member"), tenant.owner.metadata

    async def refusals(principal_id: str) -> list[object]:
        explain = pb.ExplainPermissionRequest(principal_id=principal_id, permission="document.read")
        return [
            await refusal(
                api.permission.GrantRole(pb.GrantRoleRequest(principal_id=principal_id, role="member"), metadata=by)
            ),
            await refusal(api.permission.ExplainPermission(explain, metadata=by)),
        ]

    absent = await refusals(theirs.own_id[:-4] + "0000")
    for each in (theirs.own_id, other.owner.own_id, "mem_x", "x\x00y"):
        assert await refusals(each) == absent
    found = await refusal(
        api.permission.TakeRole(pb.TakeRoleRequest(principal_id=theirs.own_id, role="member"), metadata=by)
    )
    gone = await refusal(
        api.permission.TakeRole(
            pb.TakeRoleRequest(principal_id=theirs.own_id[:-4] + "0000", role="member"), metadata=by
        )
    )
    assert found == gone
    assert await scopes(api, theirs, "document.read") == [OWN]


async def test_an_ended_binding_is_no_loss(api: Api, tenant: TestTenant) -> None:
    await api.role(tenant.owner, "base", ("document.read", ANY))
    ann = await api.somebody(tenant, "base")
    await change_row(api.server, "bindings", ("principal_id", ann.own_id), "expire_time", clock.now())
    answer = await api.permission.DeleteRole(
        pb.DeleteRoleRequest(role="base", validate_only=True), metadata=tenant.owner.metadata
    )
    assert not answer.losses
