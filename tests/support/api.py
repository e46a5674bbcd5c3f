"""Calls to a real server's API at the wire level: generated stubs, tokens as metadata, and every detail of errors.

Each test makes its own tenants, so that one server can serve many tests at once.
"""

import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError

from support.server import ServerProcess
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.identity.v1 import identity_service_pb2_grpc
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel.permission.v1 import permission_service_pb2_grpc

Metadata = tuple[tuple[str, str], ...]


def bearer(token: str) -> Metadata:
    """The metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"),)


@dataclass(frozen=True)
class Refusal:
    """An error as a program reads it.

    Attributes:
        status: Its status code.
        message: Its message.
        reason: Reason of its one ``ErrorInfo``.
        metadata: The metadata of that ``ErrorInfo``.
        details: The bytes of all its details.
    """

    status: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    details: bytes


def read_refusal(details: bytes) -> Refusal:
    """Reads a ``google.rpc.Status``, which must have exactly one ``ErrorInfo``, from Zegel's domain.

    Args:
        details: The encoded status.
    """
    status = status_pb2.Status.FromString(details)
    infos = [each for each in status.details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = error_details_pb2.ErrorInfo()
    infos[0].Unpack(info)
    assert info.domain == "zegel"
    [code] = [each for each in grpc.StatusCode if each.value[0] == status.code]
    return Refusal(code, status.message, info.reason, dict(info.metadata), details)


def refusal_of(error: grpc.RpcError) -> Refusal:
    """Reads an error.

    Args:
        error: What the call raised.
    """
    assert isinstance(error, AioRpcError)
    trailing: Any = error.trailing_metadata()
    details = trailing["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    read = read_refusal(details)
    assert read.status is error.code()
    assert read.message == (error.details() or "")
    return read


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Awaits a call that must be refused.

    Args:
        call: The call.
    """
    with pytest.raises(AioRpcError) as raised:
        await call
    return refusal_of(raised.value)


@dataclass(frozen=True)
class Principal:
    """A caller.

    Attributes:
        own_id: Its identifier.
        token: Its token.
        session_id: Its session; for an API key, its own identifier.
    """

    own_id: str
    token: str = field(repr=False)
    session_id: str = ""

    @property
    def metadata(self) -> Metadata:
        return bearer(self.token)


@dataclass(frozen=True)
class TestTenant:
    """A tenant of one test.

    Attributes:
        tenant_id: Its identifier.
        name: Its name.
        owner: The API key that it was created with.
    """

    __test__ = False

    tenant_id: str
    name: str
    owner: Principal


class Api:
    """A channel to a server, with stubs.

    Args:
        server: A running server.
    """

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.operator = Principal("", server.operator_token)
        self.channel = grpc.aio.secure_channel(server.listen, grpc.ssl_channel_credentials(server.authority))
        self.identity = identity_service_pb2_grpc.IdentityServiceStub(self.channel)
        self.permission = permission_service_pb2_grpc.PermissionServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close(None)

    async def tenant(self, name: str = "") -> TestTenant:
        """Makes a tenant.

        Args:
            name: Its name; a random one by default.
        """
        name = name or f"Tenant {secrets.token_hex(4)}"
        made = await self.identity.CreateTenant(
            identity.CreateTenantRequest(name=name), metadata=self.operator.metadata
        )
        owner = Principal(made.api_key.api_key_id, made.api_key_token, made.api_key.api_key_id)
        return TestTenant(made.tenant.tenant_id, name, owner)

    async def member(
        self, by: Principal, *, roles: Sequence[str] = (), name: str = "Ann Example", email: str = ""
    ) -> identity.Member:
        """Adds a member.

        Args:
            by: The caller that adds it.
            roles: Its roles.
            name: Its name.
            email: Its address; a random one by default.
        """
        request = identity.CreateMemberRequest(
            name=name, email=email or f"{secrets.token_hex(6)}@example.com", roles=roles
        )
        return (await self.identity.CreateMember(request, metadata=by.metadata)).member

    async def session(self, by: Principal, member_id: str, *permissions: str) -> Principal:
        """Opens a session for a member.

        Args:
            by: The caller that opens it.
            member_id: The member.
            permissions: The permissions to restrict it to.
        """
        request = identity.CreateSessionRequest(member_id=member_id, permissions=permissions)
        opened = await self.identity.CreateSession(request, metadata=by.metadata)
        return Principal(member_id, opened.token, opened.session.session_id)

    async def somebody(self, tenant: TestTenant, *roles: str) -> Principal:
        """A member of a tenant with some roles, with a session.

        Args:
            tenant: The tenant.
            roles: The roles.
        """
        member = await self.member(tenant.owner, roles=roles)
        return await self.session(tenant.owner, member.member_id)

    async def key(self, by: Principal, *roles: str) -> Principal:
        """Makes an API key.

        Args:
            by: The caller that makes it.
            roles: Its roles.
        """
        request = identity.CreateApiKeyRequest(name="A program", roles=roles)
        made = await self.identity.CreateApiKey(request, metadata=by.metadata)
        return Principal(made.api_key.api_key_id, made.token, made.api_key.api_key_id)

    async def role(
        self, by: Principal, name: str, *grants: tuple[str, int], inherits: Sequence[str] = ()
    ) -> permission.Role:
        """Defines a role.

        Args:
            by: The caller that defines it.
            name: Its name.
            grants: Permissions with their scopes.
            inherits: The roles that it inherits from.
        """
        role = permission.Role(
            name=name,
            grants=[permission.Grant(permission=each, scope=scope) for each, scope in grants],  # type: ignore[arg-type]
            inherits=inherits,
        )
        return (await self.permission.CreateRole(permission.CreateRoleRequest(role=role), metadata=by.metadata)).role
