"""Waits that end, with either client: sealed, ended otherwise, stuck, or out of time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

import zegel
import zegel.aio
from support.fake_server import Running, made, refuse, serving
from zegel._internal import patience, waiting
from zegel._internal.ports import AioPort, SyncPort
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer
from zegel.signing.v1 import signature_request_pb2 as signing
from zegel.signing.v1 import signing_service_pb2 as service
from zegel.signing.v1.signing_service_pb2_grpc import SigningServiceServicer

State = zegel.SignatureRequestState
SENT, SIGNED, SEALED = State.AWAITING_SIGNATURES, State.ALL_SIGNED, State.DOWNLOADABLE


class Signing(SigningServiceServicer):
    """One request, which is in the next state each time that it is read."""

    def __init__(self) -> None:
        self.states: list[Any] = []
        self.blocked = False
        self.ended = False
        self.away = 0
        self.reads = 0

    async def GetSignatureRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        assert request.signature_request_id == "req_1"
        if self.away:
            self.away -= 1
            await refuse(context, grpc.StatusCode.INTERNAL, "")  # as a proxy says it
        self.reads += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        sealing = signing.Sealing(blocked=self.blocked, last_reason="SIGNATURE_REQUEST_INVALID" if self.blocked else "")
        found = signing.SignatureRequest(signature_request_id="req_1", state=state, sealing=sealing)
        if self.ended:
            found.end_time.seconds = 1
        return service.GetSignatureRequestResponse(signature_request=found)


class Audit(AuditServiceServicer):
    """The request's trail: its events come one by one, and its proof at the third time of asking."""

    def __init__(self) -> None:
        self.events = 1
        self.asked: list[Any] = []
        self.allowed = True
        self.proofs = [b"", b"", b"proof"]

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.asked.append(request)
        if not self.allowed:
            await refuse(context, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
        for index in range(request.start_index, self.events):
            yield audit.WatchEventsResponse(event=audit.Event(log_index=index))
        await asyncio.Event().wait()

    async def GetTransaction(self, request: Any, context: Any) -> Any:  # noqa: N802
        return audit.GetTransactionResponse(sealed_proof=self.proofs.pop(0) if self.proofs else b"")


class World:
    """A server, either client, and a clock that only pauses move."""

    def __init__(self, running: Running, kind: str, signing: Signing, audit: Audit) -> None:
        self.running, self.kind, self.signing, self.audit = running, kind, signing, audit
        self.time = 0.0

    async def call(self, service: str, name: str, *arguments: Any, **named: Any) -> Any:
        if self.kind == "sync":
            with zegel.Client(self.running.target, insecure=True) as client:
                return getattr(getattr(client, service), name)(*arguments, **named)
        async with zegel.aio.Client(self.running.target, insecure=True) as other:
            return await getattr(getattr(other, service), name)(*arguments, **named)

    async def sealed(self, **named: Any) -> Any:
        return await self.call("signing", "wait_until_sealed", "req_1", **named)


@pytest.fixture(params=["sync", "aio"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)
    served: tuple[Any, Any] = (made(Signing), made(Audit))
    with serving(*served) as running:
        world = World(running, request.param, *served)

        async def sleep(_port: object, seconds: float) -> None:
            world.time += seconds

        for port in (SyncPort, AioPort):
            monkeypatch.setattr(port, "sleep", sleep)
            monkeypatch.setattr(port, "now", lambda _port: world.time)
        yield world


async def test_an_event_ends_the_wait(world: World) -> None:
    world.signing.states = [SENT, SIGNED, SEALED]
    world.audit.events = 2
    assert (await world.sealed()).state == SEALED
    assert [each.start_index for each in world.audit.asked] == [0, 1]
    assert world.time == 0


async def test_what_is_sealed_is_not_waited_for(world: World) -> None:
    world.signing.states = [SEALED]
    assert (await world.sealed()).signature_request_id == "req_1"
    assert world.audit.asked == []


ENDS = [
    (State.DECLINED, zegel.SignatureRequestDeclined),
    (State.CANCELED, zegel.SignatureRequestCanceled),
    (State.EXPIRED, zegel.SignatureRequestExpired),
]


@pytest.mark.parametrize(("state", "raised"), ENDS)
async def test_another_end_is_an_error_of_its_name(world: World, state: State, raised: type[zegel.NotSealed]) -> None:
    world.signing.states = [SENT, state]
    with pytest.raises(raised) as error:
        await world.sealed()
    assert (error.value.state, error.value.signature_request_id) == (state.name, "req_1")
    ended = await world.call("signing", "wait_until_ended", "req_1")
    assert ended.state == state


async def test_a_request_that_cannot_be_sealed_ends_the_wait(world: World) -> None:
    world.signing.states, world.signing.blocked = [SIGNED], True
    for name in ("wait_until_sealed", "wait_until_ended"):
        with pytest.raises(zegel.SealingBlocked) as error:
            await world.call("signing", name, "req_1")
        assert error.value.last_reason == "SIGNATURE_REQUEST_INVALID"


async def test_without_sight_of_the_trail_the_request_is_read_from_time_to_time(world: World) -> None:
    world.audit.allowed = False
    world.signing.states = [SIGNED] * 6 + [SEALED]
    assert (await world.sealed()).state == SEALED
    assert len(world.audit.asked) == 1
    assert world.time == pytest.approx(0.25 + 0.5 + 1 + 2 + 4 + 5)


@pytest.mark.parametrize("state", [SIGNED, 77])
async def test_the_time_is_kept(world: World, state: int) -> None:
    world.audit.allowed = False
    world.signing.states = [state]
    with pytest.raises(zegel.DeadlineExceeded, match="ALL_SIGNED" if state == SIGNED else "77"):
        await world.sealed(timeout=20)
    assert world.time == pytest.approx(20)


async def test_an_end_that_this_version_does_not_know_ends_the_wait(world: World) -> None:
    world.signing.states, world.signing.ended = [99], True
    ended = await world.call("signing", "wait_until_ended", "req_1", timeout=5)
    assert ended.state == 99
    with pytest.raises(zegel.NotSealed, match="without a sealed document: 99") as raised:
        await world.call("signing", "wait_until_sealed", "req_1", timeout=5)
    assert type(raised.value) is zegel.NotSealed


async def test_an_end_without_an_event_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.05)
    world.audit.events = 0
    world.signing.states = [SIGNED, SIGNED, SEALED]
    assert (await world.sealed(timeout=None)).state == SEALED


async def test_a_server_that_comes_back_is_waited_for(world: World) -> None:
    world.signing.states, world.signing.away = [SEALED], 5
    assert (await world.sealed()).state == SEALED


async def test_a_server_that_stays_away_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_TRIES", 3)
    world.signing.states, world.signing.away = [SEALED], 50
    with pytest.raises(zegel.Internal):
        await world.sealed(timeout=None)


async def test_the_proof_is_waited_for(world: World) -> None:
    assert (await world.call("audit", "wait_until_proven", "aud_1")).sealed_proof == b"proof"
    with pytest.raises(zegel.DeadlineExceeded):
        await world.call("audit", "wait_until_proven", "aud_1", timeout=3)
    assert world.time == pytest.approx(0.25 + 0.5 + 3)
