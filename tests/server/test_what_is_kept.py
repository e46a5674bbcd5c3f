"""What a whole run leaves behind: no name, no address, no token, neither in the log nor in the database."""

import secrets
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.api import Api, TestTenant, bearer
from support.server import ServerProcess, sqlite_server
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel_server.ids import SESSION_PREFIX, new_token


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with sqlite_server() as server:
        yield server


async def a_run(api: Api) -> tuple[TestTenant, list[str]]:
    """Does a bit of everything, and says which words must not be found again."""
    name, address = f"Sanne{secrets.token_hex(6)}", f"{secrets.token_hex(6)}@example.com"
    tenant = await api.tenant()
    member = await api.member(tenant.owner, roles=["admin"], name=name, email=address)
    session = await api.session(tenant.owner, member.member_id)
    key = await api.key(tenant.owner, "developer")
    unknown, private = new_token(SESSION_PREFIX), f"private-{secrets.token_hex(6)}"
    by = session.metadata
    raw: Any = api.channel
    refused: list[Awaitable[Any]] = [
        api.identity.GetTenant(identity.GetTenantRequest()),
        api.identity.GetTenant(identity.GetTenantRequest(), metadata=bearer(unknown)),
        api.identity.GetTenant(identity.GetTenantRequest(), metadata=bearer(private)),
        api.identity.GetMember(identity.GetMemberRequest(member_id=private), metadata=by),
        api.identity.CreateMember(identity.CreateMemberRequest(name=private, email=private), metadata=by),
        api.identity.CreateMember(identity.CreateMemberRequest(name=private, email=address), metadata=by),
        api.identity.CreateTenant(identity.CreateTenantRequest(name=private), metadata=by),
        api.identity.ListMembers(identity.ListMembersRequest(page_token=private), metadata=by),
        api.permission.GetRole(permission.GetRoleRequest(role=private), metadata=by),
        raw.unary_unary(f"/{private}/{private}")(b""),
        raw.unary_unary("/zegel.identity.v1.IdentityService/GetMember")(b"\xff" + private.encode(), metadata=by),
    ]
    for call in refused:
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    update = identity.UpdateMemberRequest(member=identity.Member(member_id=member.member_id, name=f"{name} II"))
    update.update_mask.paths.append("name")
    await api.identity.UpdateMember(update, metadata=by)
    await api.identity.ListMembers(identity.ListMembersRequest(), metadata=by)
    await api.identity.RevokeApiKey(identity.RevokeApiKeyRequest(api_key_id=key.own_id), metadata=by)
    await api.identity.DeleteMember(
        identity.DeleteMemberRequest(member_id=member.member_id), metadata=tenant.owner.metadata
    )
    tokens = [tenant.owner.token, session.token, key.token, api.operator.token, unknown]
    return tenant, [name, address, private, *tokens]


async def test_nothing_personal_and_no_secret_is_left_behind(server: ServerProcess) -> None:
    async with Api(server) as api:
        tenant, hidden = await a_run(api)
    rows = b"".join(path.read_bytes() for path in sorted(server.data.glob("zegel.db*")))  # the write-ahead log too
    log = server.log.read_bytes()
    assert b"IdentityService/CreateMember" in log, "the log tells of the calls"
    assert tenant.name.encode() in rows, "the rows are what they seem: a tenant's name is no personal data"
    for word in hidden:
        assert word.encode() not in log, "in the log"
        assert word.encode() not in rows, "in the rows"
    for origin in (b"127.0.0.1", b"grpc-python"):
        assert origin not in rows, "where a call came from is personal data too"
        assert origin not in log.replace(server.listen.encode(), b"")


async def test_what_is_kept_is_its_owner_s_alone(server: ServerProcess) -> None:
    async with Api(server) as api:
        await a_run(api)
    secret: list[Path] = [
        path for path in server.data.rglob("*") if path.is_file() and path.suffix in {".key", ".keyring"}
    ]
    assert secret
    for path in (server.data, *secret):
        assert path.stat().st_mode & 0o077 == 0, path
