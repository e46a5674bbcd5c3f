"""A call that is made twice is known again, and what is kept of it for that tells nobody what it said."""

import hashlib
import hmac
from pathlib import Path

import pytest
from google.protobuf.message import Message
from sqlalchemy import select

from support.documents_world import World, found_tenant, reopen
from zegel.identity.v1.identity_service_pb2 import (
    CreateApiKeyRequest,
    CreateMemberRequest,
    CreateMemberResponse,
    Member,
)
from zegel_server import clock
from zegel_server.caller import Caller, Scope
from zegel_server.db import Statement, insert_into
from zegel_server.db.schema import idempotency as rows
from zegel_server.edge import idempotency
from zegel_server.edge.idempotency import Answers
from zegel_server.errors import AlreadyExists
from zegel_server.keys.rotation import Rotation

ASKED = CreateMemberRequest(name="Sanne", email="sanne@example.com", request_id="r-1")
OTHER = CreateMemberRequest(name="Sanne", email="robin@example.com", request_id="r-1")
ANSWER = CreateMemberResponse(member=Member(member_id="mem_1"))


def plain(request: Message) -> bytes:
    data = request.DESCRIPTOR.full_name.encode() + b"\0" + request.SerializeToString(deterministic=True)
    return hashlib.sha256(data).digest()


async def keep(world: World, caller: Caller, request: Message = ASKED) -> bytes:
    """Makes a call, and says what is kept of its request."""
    call = await Answers(world.database, world.keys).call(caller, request)
    async with world.database.transaction() as transaction:
        await call.remember(transaction, ANSWER)
    found = await world.database.fetch(Statement(select(rows)))
    return next(bytes(row.request_hash) for row in found if row.principal_id == caller.principal_id)


async def again(world: World, caller: Caller, request: Message = ASKED) -> CreateMemberResponse | None:
    call = await Answers(world.database, world.keys).call(caller, request)
    return await call.earlier(CreateMemberResponse)


async def is_known_by_its_arguments(world: World, caller: Caller) -> None:
    assert await again(world, caller) == ANSWER
    for different in (OTHER, CreateApiKeyRequest(name="Sanne", request_id="r-1")):
        with pytest.raises(AlreadyExists) as caught:
            await again(world, caller, different)
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_repeated_call_is_known_by_its_caller_its_name_and_its_arguments(world: World) -> None:
    caller = world.member(Scope.ANY)
    assert await again(world, caller) is None
    await keep(world, caller)
    await is_known_by_its_arguments(world, caller)
    assert await again(world, world.member(Scope.ANY)) is None
    assert await again(world, caller, CreateMemberRequest(name="Sanne", request_id="r-2")) is None


async def test_who_has_the_rows_cannot_check_a_guess_of_what_a_call_said(world: World) -> None:
    kept = await keep(world, world.member(Scope.ANY))
    guessed = ASKED.SerializeToString(deterministic=True)
    known_to_all = [b"", b"zegel/request/v1", world.tenant_id.encode(), world.tenant_subject.encode()]
    for said in (guessed, plain(ASKED), ASKED.email.encode(), b"sanne"):
        assert hashlib.sha256(said).digest() not in kept
        assert said not in kept
        assert not any(hmac.digest(key, said, "sha256") in kept for key in known_to_all)
    # Nor do two tenants' rows tell that the same was said in both.
    tenant_id, _ = await found_tenant(world.database, world.keys)
    other = await keep(world, world.member(Scope.ANY)._replace(tenant_id=tenant_id))
    assert other != kept


@pytest.mark.parametrize("erase", [False, True])
async def test_a_call_is_known_again_after_its_tenant_s_keys_were_rotated(
    world: World, url: str, tmp_path: Path, *, erase: bool
) -> None:
    caller = world.member(Scope.ANY)
    await keep(world, caller)
    await Rotation(world.database, world.keys._root_keys, readers_s=0.05).rotate(world.tenant_id, erase=erase)
    await is_known_by_its_arguments(world, caller)
    another_process = await reopen(world, url, tmp_path)
    await is_known_by_its_arguments(another_process, caller)
    await another_process.close()


async def test_a_call_from_before_an_upgrade_is_known_again(world: World) -> None:
    """Earlier servers kept a plain SHA-256: such a row is neither refused nor taken for another call's."""
    caller = world.member(Scope.ANY)
    async with world.database.transaction() as transaction:
        await transaction.execute(
            insert_into(rows),
            tenant_id=caller.tenant_id,
            principal_id=caller.principal_id,
            request_id=ASKED.request_id,
            request_hash=plain(ASKED),
            response=ANSWER.SerializeToString(),
            create_time=clock.now(),
        )
    await is_known_by_its_arguments(world, caller)


async def test_a_call_without_a_name_is_kept_nowhere(world: World) -> None:
    caller = world.member(Scope.ANY)
    call = await Answers(world.database, world.keys).call(caller, CreateMemberRequest(name="Sanne"))
    async with world.database.transaction() as transaction:
        await call.remember(transaction, ANSWER)
    assert await call.earlier(CreateMemberResponse) is None
    assert await world.database.fetch(Statement(select(rows))) == []


async def test_what_was_kept_long_enough_is_forgotten(world: World) -> None:
    caller = world.member(Scope.ANY)
    await keep(world, caller)
    async with world.database.transaction() as transaction:
        assert await transaction.execute(idempotency.FORGET, before=clock.now() - idempotency.KEPT) == 0
        assert await transaction.execute(idempotency.FORGET, before=clock.now() + 1) == 1
    assert await again(world, caller) is None
