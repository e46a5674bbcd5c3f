"""A call that is made twice is known again, and what is kept of it for that tells nobody what it said."""

import asyncio
import hashlib
import hmac
from pathlib import Path

import pytest
from google.protobuf.message import Message
from sqlalchemy import select

from support.documents_world import World, found_tenant, reopen
from zegel.identity.v1.identity_service_pb2 import (
    ApiKey,
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    CreateMemberRequest,
    CreateMemberResponse,
    Member,
)
from zegel_server import clock
from zegel_server.caller import Caller, Scope
from zegel_server.db import Statement, UniqueViolation, insert_into
from zegel_server.db.schema import idempotency as rows
from zegel_server.db.typed_texts import text_context
from zegel_server.edge import idempotency
from zegel_server.edge.idempotency import Answers, Keep
from zegel_server.errors import Aborted, AlreadyExists, FailedPrecondition, ResourceExhausted
from zegel_server.keys.rotation import Rotation
from zegel_server.keys.texts import text_key

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
    with pytest.raises(AlreadyExists) as caught:
        await again(world, caller, OTHER)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_repeated_call_is_known_by_its_caller_its_name_and_its_arguments(world: World) -> None:
    caller = world.member(Scope.ANY)
    assert await again(world, caller) is None
    await keep(world, caller)
    await is_known_by_its_arguments(world, caller)
    assert await again(world, world.member(Scope.ANY)) is None
    assert await again(world, caller, CreateMemberRequest(name="Sanne", request_id="r-2")) is None


async def test_the_same_request_id_in_two_methods_names_two_calls(world: World) -> None:
    caller = world.member(Scope.ANY)
    key = CreateApiKeyRequest(name="Billing", request_id="r-1")
    await keep(world, caller)
    assert await again(world, caller, key) is None
    call = await Answers(world.database, world.keys).call(caller, key)
    async with world.database.transaction() as transaction:
        await call.remember(transaction, CreateApiKeyResponse(api_key=ApiKey(name="Billing")))
    assert await call.earlier(CreateApiKeyResponse) == CreateApiKeyResponse(api_key=ApiKey(name="Billing"))
    await is_known_by_its_arguments(world, caller)


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
    """Earlier servers kept the ``request_id`` alone, with a plain SHA-256: such a row is found, and no other's."""
    caller = world.member(Scope.ANY)
    key = await text_key(world.keys, world.tenant_id)
    names = (caller.tenant_id, caller.principal_id, ASKED.request_id)
    async with world.database.transaction() as transaction:
        await transaction.execute(
            insert_into(rows),
            tenant_id=caller.tenant_id,
            principal_id=caller.principal_id,
            request_id=ASKED.request_id,
            request_hash=plain(ASKED),
            response=key.encrypt(ANSWER.SerializeToString(), text_context("answer", *names, column="response")),
            texts_key_version=key.key_version,
            create_time=clock.now(),
        )
    assert await again(world, caller) == ANSWER
    assert await again(world, caller, OTHER) is None
    assert await again(world, caller, CreateApiKeyRequest(name="Sanne", request_id="r-1")) is None


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


# ------------------------------------------------------------------------------------------------------ done once

ISSUE = CreateApiKeyRequest(name="Billing", request_id="r-1")


class Desk:
    """Issues keys, each with a row that nobody else can have, and counts them."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world, self.caller = world, caller
        self.answers = Answers(world.database, world.keys)
        self.done = 0
        self.refusal: Exception | None = None

    async def act(self, keep: Keep[str]) -> str:
        async with self.world.database.transaction() as transaction:
            if self.refusal is not None:
                raise self.refusal
            await keep(transaction, "secret")
        self.done += 1
        return "secret"

    async def restore(self, before: CreateApiKeyResponse) -> None:
        assert not before.token
        before.token = "renewed"

    async def issue(self) -> str:
        answered = await self.answers.once(
            self.caller,
            ISSUE,
            CreateApiKeyResponse,
            self.act,
            lambda token: CreateApiKeyResponse(api_key=ApiKey(api_key_id="key_1", token_prefix="se"), token=token),
            restore=self.restore,
        )
        assert (answered.api_key.api_key_id, answered.api_key.token_prefix) == ("key_1", "se")
        return answered.token


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world, world.member(Scope.ANY))


async def test_a_repetition_is_not_done_again_and_what_was_not_kept_is_restored(desk: Desk) -> None:
    assert [await desk.issue() for _ in range(3)] == ["secret", "renewed", "renewed"]
    assert desk.done == 1


async def test_of_an_answer_no_token_is_kept_and_nothing_in_clear(desk: Desk) -> None:
    await desk.issue()
    [row] = await desk.world.database.fetch(Statement(select(rows)))
    assert b"key_1" not in row.response
    context = text_context("answer", row.tenant_id, row.principal_id, row.request_id, column="response")
    plain = (await text_key(desk.world.keys, desk.world.tenant_id)).decrypt(row.response, context)
    assert b"secret" not in plain
    assert CreateApiKeyResponse.FromString(plain).api_key.token_prefix == "se"


async def test_of_the_same_call_made_at_the_same_time_one_is_done_and_all_are_answered(desk: Desk) -> None:
    answered = await asyncio.gather(*(desk.issue() for _ in range(4)))
    assert sorted(answered) == ["renewed", "renewed", "renewed", "secret"]
    assert desk.done == 1


@pytest.mark.parametrize(
    "refusal", [AlreadyExists("x"), FailedPrecondition("x"), Aborted("x"), ResourceExhausted("x"), UniqueViolation("x")]
)
async def test_what_the_same_call_ran_into_because_it_was_done_meanwhile_is_answered(
    desk: Desk, refusal: Exception
) -> None:
    act = desk.act

    async def late(keep: Keep[str]) -> str:
        desk.act = act  # type: ignore[method-assign]
        await desk.issue()
        raise refusal

    desk.act = late  # type: ignore[method-assign]
    assert await desk.issue() == "renewed"
    assert desk.done == 1


async def test_a_refusal_that_is_no_repetition_s_is_told(desk: Desk) -> None:
    desk.refusal = FailedPrecondition("It has ended.", reason="EXPIRED")
    with pytest.raises(FailedPrecondition, match="ended"):
        await desk.issue()
    desk.refusal = UniqueViolation("another row's")
    with pytest.raises(Aborted, match="at the same time"):
        await desk.issue()
    desk.refusal = None
    assert await desk.issue() == "secret", "nothing was kept of what was refused"
