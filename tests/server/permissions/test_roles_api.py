"""Roles over a real channel: defining, changing, deleting, dry runs, pages."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from support.api import Api, TestTenant, refusal
from zegel.permission.v1 import access_pb2 as access
from zegel.permission.v1 import permission_service_pb2 as pb

Code = grpc.StatusCode
OWN, PARTY, ANY = access.SCOPE_OWN, access.SCOPE_PARTY, access.SCOPE_ANY


async def update(api: Api, by: TestTenant, role: pb.Role, *fields: str, dry: bool = False) -> pb.UpdateRoleResponse:
    request = pb.UpdateRoleRequest(role=role, validate_only=dry)
    request.update_mask.paths.extend(fields)
    answer: pb.UpdateRoleResponse = await api.permission.UpdateRole(request, metadata=by.owner.metadata)
    return answer


async def test_a_role_is_found_as_it_was_defined(api: Api, tenant: TestTenant) -> None:
    made = await api.role(
        tenant.owner,
        "reviewer",
        ("document.read", ANY),
        ("audit.read", OWN),
        ("audit.read", PARTY),
        inherits=["member"],
    )
    found = await api.permission.GetRole(pb.GetRoleRequest(role="reviewer"), metadata=tenant.owner.metadata)
    assert found.role == made
    assert not made.built_in
    assert [(grant.permission, grant.scope) for grant in made.grants] == [
        ("audit.read", OWN),
        ("audit.read", PARTY),
        ("document.read", ANY),
    ]
    assert made.inherits == ["member"]


async def test_a_name_is_taken_once_a_tenant(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    await api.role(tenant.owner, "reviewer")
    for name in ("reviewer", "owner", "signer", "operator"):
        request = pb.CreateRoleRequest(role=pb.Role(name=name))
        refused = await refusal(api.permission.CreateRole(request, metadata=tenant.owner.metadata))
        assert (refused.status, refused.reason, refused.metadata) == (
            Code.ALREADY_EXISTS,
            "ALREADY_EXISTS",
            {"resource": "role"},
        )
    await api.role(other.owner, "reviewer")


async def test_twenty_identical_calls_make_one_role(api: Api, tenant: TestTenant) -> None:
    request = pb.CreateRoleRequest(role=pb.Role(name="reviewer"), request_id="r")
    answers = await asyncio.gather(
        *(api.permission.CreateRole(request, metadata=tenant.owner.metadata) for _ in range(20))
    )
    assert all(answer == answers[0] for answer in answers)
    request.role.description = "another"
    assert (await refusal(api.permission.CreateRole(request, metadata=tenant.owner.metadata))).reason == (
        "REQUEST_ID_REUSED"
    )


@pytest.mark.parametrize(
    ("role", "reason", "field"),
    [
        (pb.Role(), "MISSING_FIELD", "role.name"),
        (pb.Role(name="X"), "INVALID_FIELD", "role.name"),
        (pb.Role(name="a\x00b"), "INVALID_FIELD", "role.name"),
        (pb.Role(name="rr", description="x" * 501), "INVALID_FIELD", "role.description"),
        (pb.Role(name="rr", description="\x00"), "INVALID_FIELD", "role.description"),
        (
            pb.Role(
                name="rr",
                grants=[pb.Grant(permission="audit.read", scope=OWN), pb.Grant(permission="audit.fly", scope=OWN)],
            ),
            "INVALID_FIELD",
            "role.grants[1].permission",
        ),
        (pb.Role(name="rr", grants=[pb.Grant(permission="audit.read")]), "MISSING_FIELD", "role.grants[0].scope"),
        (
            pb.Role(name="rr", grants=[pb.Grant(permission="audit.read", scope=OWN)] * 501),
            "INVALID_FIELD",
            "role.grants",
        ),
        (pb.Role(name="rr", inherits=["gone"]), "INVALID_FIELD", "role.inherits"),
        (pb.Role(name="rr", inherits=["signer"]), "INVALID_FIELD", "role.inherits"),
        (pb.Role(name="rr", inherits=["operator"]), "INVALID_FIELD", "role.inherits"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, tenant: TestTenant, role: pb.Role, reason: str, field: str) -> None:
    request = pb.CreateRoleRequest(role=role)
    refused = await refusal(api.permission.CreateRole(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason, refused.metadata) == (Code.INVALID_ARGUMENT, reason, {"field": field})


async def test_nobody_defines_a_role_that_does_more_than_they_do(api: Api, tenant: TestTenant) -> None:
    admin = await api.somebody(tenant, "admin")
    for role in (
        pb.Role(name="eraser", grants=[pb.Grant(permission="document.purge", scope=OWN)]),
        pb.Role(name="boss", inherits=["owner"]),
    ):
        request = pb.CreateRoleRequest(role=role)
        refused = await refusal(api.permission.CreateRole(request, metadata=admin.metadata))
        assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "GRANT_EXCEEDS_GRANTER")
        assert refused.metadata == {"permission": "document.purge"}
    await api.role(tenant.owner, "boss", inherits=["owner"])
    request_ = pb.UpdateRoleRequest(role=pb.Role(name="boss", description="mine"))
    request_.update_mask.paths.append("description")
    assert (await refusal(api.permission.UpdateRole(request_, metadata=admin.metadata))).reason == (
        "GRANT_EXCEEDS_GRANTER"
    )


async def test_a_role_changes_by_mask_and_under_its_etag(api: Api, tenant: TestTenant) -> None:
    made = await api.role(tenant.owner, "reviewer", ("document.read", ANY), inherits=["member"])
    changed = await update(api, tenant, pb.Role(name="reviewer", description="Reads", etag=made.etag), "description")
    assert changed.role.description == "Reads"
    assert (changed.role.grants, changed.role.inherits) == (made.grants, made.inherits)
    request = pb.UpdateRoleRequest(role=pb.Role(name="reviewer", description="Later", etag=made.etag))
    refused = await refusal(api.permission.UpdateRole(request, metadata=tenant.owner.metadata))
    assert (refused.status, refused.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    set_only = await update(api, tenant, pb.Role(name="reviewer", description="Reads on"))  # no mask: what is set
    assert (set_only.role.description, set_only.role.grants) == ("Reads on", made.grants)
    whole = await update(api, tenant, pb.Role(name="reviewer"), "*")  # no etag: whatever is there
    assert (whole.role.description, list(whole.role.grants), list(whole.role.inherits)) == ("", [], [])
    request.update_mask.paths.append("name")
    refused = await refusal(api.permission.UpdateRole(request, metadata=tenant.owner.metadata))
    assert refused.metadata == {"field": "update_mask"}


async def test_a_role_never_comes_to_inherit_from_itself(api: Api, tenant: TestTenant) -> None:
    await api.role(tenant.owner, "aa")
    await api.role(tenant.owner, "bb", inherits=["aa"])
    await api.role(tenant.owner, "cc", inherits=["bb"])
    for parent in ("aa", "bb", "cc"):
        request = pb.UpdateRoleRequest(role=pb.Role(name="aa", inherits=[parent]))
        refused = await refusal(api.permission.UpdateRole(request, metadata=tenant.owner.metadata))
        assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "ROLE_CYCLE")
        assert refused.metadata == {"role": "aa"}
    refused = await refusal(
        api.permission.CreateRole(
            pb.CreateRoleRequest(role=pb.Role(name="dd", inherits=["dd"])), metadata=tenant.owner.metadata
        )
    )
    assert refused.reason == "ROLE_CYCLE"


async def test_two_changes_at_once_make_no_cycle(api: Api, tenant: TestTenant) -> None:
    await api.role(tenant.owner, "aa")
    await api.role(tenant.owner, "bb")
    results = await asyncio.gather(
        update(api, tenant, pb.Role(name="aa", inherits=["bb"]), "inherits"),
        update(api, tenant, pb.Role(name="bb", inherits=["aa"]), "inherits"),
        return_exceptions=True,
    )
    assert sum(isinstance(result, grpc.aio.AioRpcError) for result in results) == 1


async def test_a_built_in_role_stays_as_it_is(api: Api, tenant: TestTenant) -> None:
    for name in ("owner", "signer"):
        calls: list[Awaitable[Any]] = [
            api.permission.UpdateRole(
                pb.UpdateRoleRequest(role=pb.Role(name=name, description="x")), metadata=tenant.owner.metadata
            ),
            api.permission.DeleteRole(pb.DeleteRoleRequest(role=name), metadata=tenant.owner.metadata),
        ]
        for call in calls:
            refused = await refusal(call)
            assert (refused.status, refused.reason) == (Code.FAILED_PRECONDITION, "ROLE_BUILT_IN")
            assert refused.metadata == {"role": name}


async def test_a_dry_run_tells_and_changes_nothing(api: Api, tenant: TestTenant) -> None:
    made = await api.role(tenant.owner, "reviewer", ("document.read", ANY), ("audit.read", OWN))
    ann = await api.somebody(tenant, "reviewer", "member")
    version = await policy_version(api, tenant)
    narrower = pb.Role(name="reviewer", grants=[pb.Grant(permission="audit.read", scope=OWN)])
    told = await update(api, tenant, narrower, "grants", dry=True)
    [loss] = told.losses
    assert loss.principal_id == ann.own_id
    assert [(grant.permission, grant.scope) for grant in loss.grants] == [("document.read", ANY)]
    deleted = await api.permission.DeleteRole(
        pb.DeleteRoleRequest(role="reviewer", validate_only=True), metadata=tenant.owner.metadata
    )
    assert deleted.losses == told.losses
    taken = await api.permission.TakeRole(
        pb.TakeRoleRequest(principal_id=ann.own_id, role="member", validate_only=True), metadata=tenant.owner.metadata
    )
    assert [each.principal_id for each in taken.losses] == [ann.own_id]
    found = await api.permission.GetRole(pb.GetRoleRequest(role="reviewer"), metadata=tenant.owner.metadata)
    assert found.role == made
    assert await policy_version(api, tenant) == version
    done = await update(api, tenant, narrower, "grants")
    assert done.losses == told.losses
    assert done.role.grants == told.role.grants


async def policy_version(api: Api, tenant: TestTenant) -> int:
    listed = await api.permission.ListPermissions(pb.ListPermissionsRequest(), metadata=tenant.owner.metadata)
    return int(listed.policy_version)


async def test_a_deleted_role_takes_its_bindings_and_its_place_with_it(api: Api, tenant: TestTenant) -> None:
    made = await api.role(tenant.owner, "base", ("document.read", ANY))
    await api.role(tenant.owner, "above", inherits=["base"])
    ann, bob = await api.somebody(tenant, "base"), await api.somebody(tenant, "above")
    refused = await refusal(
        api.permission.DeleteRole(pb.DeleteRoleRequest(role="base", etag='"7"'), metadata=tenant.owner.metadata)
    )
    assert refused.reason == "ETAG_MISMATCH"
    answer = await api.permission.DeleteRole(
        pb.DeleteRoleRequest(role="base", etag=made.etag), metadata=tenant.owner.metadata
    )
    assert sorted(loss.principal_id for loss in answer.losses) == sorted([ann.own_id, bob.own_id])
    above = await api.permission.GetRole(pb.GetRoleRequest(role="above"), metadata=tenant.owner.metadata)
    assert list(above.role.inherits) == []
    bindings = await api.permission.ListBindings(pb.ListBindingsRequest(role="base"), metadata=tenant.owner.metadata)
    assert list(bindings.bindings) == []
    # Whoever takes the name anew gives nothing to those who had the old one.
    await api.role(tenant.owner, "base", ("document.read", ANY))
    checked = pb.CheckPermissionsRequest(permissions=["document.read"])
    refused = await refusal(api.permission.CheckPermissions(checked, metadata=ann.metadata))
    assert refused.reason == "PERMISSION_DENIED"


async def test_pages_of_roles_are_the_whole_even_while_roles_go(api: Api, tenant: TestTenant) -> None:
    for number in range(5):
        await api.role(tenant.owner, f"role-{number}")
    whole = [role.name for role in await _roles(api, tenant, 1_000)]
    assert whole == ["owner", "admin", "manager", "developer", "member", "auditor", *(f"role-{n}" for n in range(5))]
    for size in (1, 2, 3, 10, 11, 12):
        assert [role.name for role in await _roles(api, tenant, size)] == whole
    page = await api.permission.ListRoles(pb.ListRolesRequest(page_size=8), metadata=tenant.owner.metadata)
    assert page.roles[-1].name == "role-1"
    await api.permission.DeleteRole(pb.DeleteRoleRequest(role="role-1"), metadata=tenant.owner.metadata)
    rest = await api.permission.ListRoles(
        pb.ListRolesRequest(page_token=page.next_page_token), metadata=tenant.owner.metadata
    )
    assert [role.name for role in rest.roles] == ["role-2", "role-3", "role-4"]


async def _roles(api: Api, tenant: TestTenant, size: int) -> list[pb.Role]:
    found: list[pb.Role] = []
    token = ""
    while True:
        page = await api.permission.ListRoles(
            pb.ListRolesRequest(page_size=size, page_token=token), metadata=tenant.owner.metadata
        )
        assert len(page.roles) <= size
        found += page.roles
        token = page.next_page_token
        if not token:
            return found


async def test_another_tenant_s_role_looks_like_none_at_all(api: Api, tenant: TestTenant, other: TestTenant) -> None:
    await api.role(other.owner, "theirs", ("document.read", ANY))
    ann = await api.member(tenant.owner)
    by = tenant.owner.metadata

    async def refusals(name: str) -> list[object]:
        grant = pb.GrantRoleRequest(principal_id=ann.member_id, role=name)
        return [
            await refusal(api.permission.GetRole(pb.GetRoleRequest(role=name), metadata=by)),
            await refusal(api.permission.UpdateRole(pb.UpdateRoleRequest(role=pb.Role(name=name)), metadata=by)),
            await refusal(api.permission.DeleteRole(pb.DeleteRoleRequest(role=name), metadata=by)),
            await refusal(api.permission.GrantRole(grant, metadata=by)),
        ]

    theirs = await refusals("theirs")
    for name in ("absent", "a\x00b", "X"):
        assert await refusals(name) == theirs


async def test_a_permission_held_in_own_things_reaches_no_role(api: Api, tenant: TestTenant) -> None:
    """Roles are the tenant's: a custom role with these permissions in scope OWN must not change anybody's."""
    names = ("role.read", "role.update", "role.delete", "binding.grant", "binding.take", "permission.explain")
    await api.role(tenant.owner, "narrow", *((name, OWN) for name in names))
    ann, bob = await api.somebody(tenant, "narrow"), await api.member(tenant.owner, roles=["narrow"])
    by = ann.metadata
    assert not (await api.permission.ListRoles(pb.ListRolesRequest(), metadata=by)).roles
    explain = pb.ExplainPermissionRequest(principal_id=bob.member_id, permission="role.read")
    for call in (
        api.permission.GetRole(pb.GetRoleRequest(role="narrow"), metadata=by),
        api.permission.UpdateRole(pb.UpdateRoleRequest(role=pb.Role(name="narrow", description="mine")), metadata=by),
        api.permission.DeleteRole(pb.DeleteRoleRequest(role="narrow"), metadata=by),
        api.permission.GrantRole(pb.GrantRoleRequest(principal_id=bob.member_id, role="narrow"), metadata=by),
        api.permission.TakeRole(pb.TakeRoleRequest(principal_id=bob.member_id, role="narrow"), metadata=by),
        api.permission.ExplainPermission(explain, metadata=by),
    ):
        assert (await refusal(call)).status is Code.NOT_FOUND
    explain.principal_id = ann.own_id
    assert (await api.permission.ExplainPermission(explain, metadata=by)).allowed
