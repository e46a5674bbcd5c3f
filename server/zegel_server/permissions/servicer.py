"""PermissionService: converts messages to the model and back."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from zegel.permission.v1 import access_pb2 as access
from zegel.permission.v1 import permission_service_pb2 as pb
from zegel.permission.v1 import permission_service_pb2_grpc as rpc
from zegel_server import clock
from zegel_server.caller import UNNAMED, Scope, current_caller
from zegel_server.edge import etags, paging, validation
from zegel_server.errors import InvalidArgument, NotFound
from zegel_server.permissions.model import (
    BUILT_IN,
    NOBODY,
    NOT_BINDABLE,
    Binding,
    Grant,
    Role,
    check_grants,
    is_principal,
    is_role_name,
)
from zegel_server.permissions.sharing_servicer import SharingMethods, reach_message, reaches

MAX_CHECKS = 100
"""Permissions asked for in one call, as the contract says."""

_SCOPES = {Scope.OWN: access.SCOPE_OWN, Scope.PARTY: access.SCOPE_PARTY, Scope.ANY: access.SCOPE_ANY}
_FROM_SCOPE = {message: scope for scope, message in _SCOPES.items()}
_FIELDS = frozenset({"description", "grants", "inherits"})
"""The fields of a role that can be changed."""


class _Listed(NamedTuple):
    """A role with its position in the list."""

    group: int
    position: str
    role: Role


class PermissionServicer(SharingMethods, rpc.PermissionServiceServicer):
    """See ``zegel.permission.v1.PermissionService``; its methods about teams and delegations are in the base class.

    Args:
        permissions: The use cases.
        answers: Stored answers, for retried calls.
    """

    async def ListRoles(self, request: pb.ListRolesRequest, context: Any) -> pb.ListRolesResponse:
        """See the contract."""
        asked = paging.page_request(request, int, str)
        caller = current_caller()
        policy = await self._permissions.policy(caller)
        # The built-in ones in the order in which they are defined, then the tenant's own by name.
        built_in = [role for name, role in BUILT_IN.items() if name not in NOT_BINDABLE]
        ordered = [_Listed(0, f"{index:02}", role) for index, role in enumerate(built_in)]
        ordered += [_Listed(1, name, role) for name, role in sorted(policy.roles.items())]
        after = asked.start(0, "")
        found = [each for each in ordered if each[:2] > after] if caller.scopes("role.read") & Scope.ANY else []
        page = asked.cut(found, "group", "position")
        shown = await self._permissions.roles.described(caller.tenant_id, [each.role for each in page.items])
        return pb.ListRolesResponse(
            roles=[_role(each) for each in shown], next_page_token=paging.next_token(request, page)
        )

    async def GetRole(self, request: pb.GetRoleRequest, context: Any) -> pb.GetRoleResponse:
        """See the contract."""
        caller = current_caller()
        policy = await self._permissions.policy(caller)
        role = policy.role(_named(request.role, "role"))
        caller.require("role.read", "role", owner_id=NOBODY)
        if role is None or role.name in NOT_BINDABLE:
            raise NotFound("role")
        [shown] = await self._permissions.roles.described(caller.tenant_id, [role])
        return pb.GetRoleResponse(role=_role(shown))

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Any) -> pb.CreateRoleResponse:
        """See the contract."""
        caller = current_caller()
        _named(request.role.name, "role.name")
        role = self._from_role(request.role, _FIELDS)
        return await self._answers.once(
            caller,
            request,
            pb.CreateRoleResponse,
            lambda keep: self._permissions.roles.create(caller, role, keep),
            lambda made: pb.CreateRoleResponse(role=_role(made)),
        )

    async def UpdateRole(self, request: pb.UpdateRoleRequest, context: Any) -> pb.UpdateRoleResponse:
        """See the contract."""
        fields = validation.mask(request.update_mask, request.role, _FIELDS)
        _named(request.role.name, "role.name")
        role, losses = await self._permissions.roles.update(
            current_caller(),
            self._from_role(request.role, fields),
            fields,
            request.role.etag,
            dry=request.validate_only,
        )
        return pb.UpdateRoleResponse(role=_role(role), losses=_losses(losses))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Any) -> pb.DeleteRoleResponse:
        """See the contract."""
        losses = await self._permissions.roles.delete(
            current_caller(),
            _role_name(request.role),
            request.etag,
            dry=request.validate_only,
        )
        return pb.DeleteRoleResponse(losses=_losses(losses))

    async def ListBindings(self, request: pb.ListBindingsRequest, context: Any) -> pb.ListBindingsResponse:
        """See the contract."""
        asked = paging.page_request(request, str, str)
        if (request.principal_id and not is_principal(request.principal_id)) or (
            request.role and not is_role_name(request.role)
        ):
            return pb.ListBindingsResponse()  # nobody has such a name
        page = await self._permissions.list_bindings(
            current_caller(), asked, principal_id=request.principal_id, role=request.role
        )
        return pb.ListBindingsResponse(
            bindings=map(_binding, page.items), next_page_token=paging.next_token(request, page)
        )

    async def GrantRole(self, request: pb.GrantRoleRequest, context: Any) -> pb.GrantRoleResponse:
        """See the contract."""
        expire_time = validation.expiry_if_any(request)
        binding = await self._permissions.grant(
            current_caller(), _principal(request.principal_id), _role_name(request.role), expire_time
        )
        return pb.GrantRoleResponse(binding=_binding(binding))

    async def TakeRole(self, request: pb.TakeRoleRequest, context: Any) -> pb.TakeRoleResponse:
        """See the contract."""
        losses = await self._permissions.take(
            current_caller(),
            _principal(request.principal_id),
            _role_name(request.role),
            dry=request.validate_only,
        )
        return pb.TakeRoleResponse(losses=_losses(losses))

    async def CheckPermissions(self, request: pb.CheckPermissionsRequest, context: Any) -> pb.CheckPermissionsResponse:
        """See the contract."""
        if not 1 <= len(request.permissions) <= MAX_CHECKS:
            raise InvalidArgument("permissions", f"must be 1 to {MAX_CHECKS}")
        caller = current_caller()
        return pb.CheckPermissionsResponse(
            checks=[
                pb.PermissionCheck(
                    permission=permission,
                    scopes=_scopes(caller.holds(permission)),
                    reaches=reaches(caller, [permission]),
                )
                for permission in request.permissions
            ]
        )

    async def ListPermissions(self, request: pb.ListPermissionsRequest, context: Any) -> pb.ListPermissionsResponse:
        """See the contract."""
        caller = current_caller()
        return pb.ListPermissionsResponse(
            grants=_grants(self._permissions.held(caller)),
            policy_version=caller.policy_version,
            reaches=reaches(caller, self._permissions.known),
        )

    async def ExplainPermission(
        self, request: pb.ExplainPermissionRequest, context: Any
    ) -> pb.ExplainPermissionResponse:
        """See the contract."""
        caller = current_caller()
        grounds = await self._permissions.explain(
            caller, _principal(request.principal_id), _named(request.permission, "permission")
        )
        shares = await self._permissions.shares_of(caller, request.principal_id, request.permission)
        return pb.ExplainPermissionResponse(
            allowed=bool(grounds),
            grounds=[
                pb.PermissionGround(
                    binding=_binding(binding),
                    role=role,
                    grant=pb.Grant(permission=grant.permission, scope=_SCOPES[grant.scope]),
                )
                for binding, role, grant in grounds
            ],
            policy_version=caller.policy_version,
            reaches=[reach_message(share, [request.permission]) for share in shares],
        )

    def _from_role(self, message: pb.Role, fields: Collection[str]) -> Role:
        """A role from its message, with only the given fields."""
        description, grants, parents = "", frozenset[Grant](), frozenset[str]()
        if "description" in fields:
            description = validation.text(message.description, "role.description", least=0, most=500, lines=True)
        if "grants" in fields:
            listed = [Grant(each.permission, _FROM_SCOPE.get(each.scope, Scope.NONE)) for each in message.grants]
            grants = check_grants(listed, self._permissions.known, "role.grants")
        if "inherits" in fields:
            parents = frozenset(message.inherits)
        return Role(message.name, description, grants, parents)


def _named(value: str, field: str) -> str:
    if not value:
        raise InvalidArgument(field, "must not be empty", reason="MISSING_FIELD")
    return value


def _principal(value: str) -> str:
    """An identifier of a member or an API key; a malformed one becomes a name that nobody has.

    So it is refused in the same way as an absent one.
    """
    return value if is_principal(_named(value, "principal_id")) else UNNAMED


def _role_name(value: str) -> str:
    return value if is_role_name(_named(value, "role")) else UNNAMED


def _scopes(scopes: Scope) -> list[access.Scope.ValueType]:
    return [message for scope, message in _SCOPES.items() if scopes & scope]


def _grants(held: Mapping[str, Scope]) -> list[pb.Grant]:
    return [pb.Grant(permission=name, scope=scope) for name in sorted(held) for scope in _scopes(held[name])]


def _role(role: Role) -> pb.Role:
    return pb.Role(
        name=role.name,
        description=role.description,
        built_in=role.built_in,
        grants=[pb.Grant(permission=grant.permission, scope=_SCOPES[grant.scope]) for grant in sorted(role.grants)],
        inherits=sorted(role.parents),
        etag=etags.of(role.revision),
    )


def _binding(binding: Binding) -> pb.Binding:
    return pb.Binding(
        principal_id=binding.principal_id,
        role=binding.role,
        expire_time=clock.to_timestamp(binding.expire_time),
        create_time=clock.to_timestamp(binding.create_time),
    )


def _losses(losses: Mapping[str, Mapping[str, Scope]]) -> list[pb.PermissionLoss]:
    return [
        pb.PermissionLoss(principal_id=principal, grants=_grants(lost)) for principal, lost in sorted(losses.items())
    ]
