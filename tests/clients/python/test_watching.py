"""Events that go on over streams that break, with either client."""

import inspect
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zegel
import zegel.aio
from support.fake_server import Running, made, refuse, serving
from zegel._internal import patience, watching
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer

EVENTS = 12
BREAKS = ("connection", "proxy", "ended", "budget", "stalled")


class Log(AuditServiceServicer):
    """Has some events, and breaks its streams as it is told: after how many events, and how."""

    def __init__(self) -> None:
        self.breaks: list[tuple[int, str]] = []
        self.asked: list[Any] = []

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.asked.append(request)
        after, how = self.breaks.pop(0) if self.breaks else (EVENTS, "refused")
        for index in range(max(0, request.start_index - 1), min(EVENTS, request.start_index + after)):
            yield audit.WatchEventsResponse(event=audit.Event(log_index=index))  # the first one has been there before
        if how == "connection":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if how == "proxy":
            await context.abort(grpc.StatusCode.INTERNAL, "Received RST_STREAM")
        if how == "budget":
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_ms=1)
        if how == "stalled":
            await refuse(context, grpc.StatusCode.ABORTED, "STREAM_STALLED")
        if how == "refused":
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "SESSION_REVOKED")


class World:
    """A log, and either client."""

    def __init__(self, running: Running, kind: str, log: Log) -> None:
        self.running, self.kind, self.log = running, kind, log

    async def events(self, most: int | None = None, **arguments: Any) -> list[int]:
        """The indices that come, until the server refuses or there were so many."""
        seen: list[int] = []
        if self.kind == "sync":
            with zegel.Client(self.running.target, insecure=True) as client, client.events(**arguments) as events:
                seen.extend(event.log_index for event in islice(events, most))
            return seen
        async with (
            zegel.aio.Client(self.running.target, insecure=True) as other,
            other.events(**arguments) as stream,
        ):
            async for event in stream:
                seen.append(event.log_index)
                if len(seen) == most:
                    break
        return seen


@pytest.fixture(params=["sync", "aio"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0001)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.0001)
    log: Log = made(Log)
    with serving(log) as running:
        yield World(running, request.param, log)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(BREAKS)), max_size=12), start=st.integers(0, 3))
def test_no_event_is_lost_or_doubled_over_streams_that_break(
    world: World, breaks: list[tuple[int, str]], start: int
) -> None:
    world.log.breaks = list(breaks)
    seen = world.running.run(world.events(EVENTS - start, start_index=start)) if world.kind == "aio" else None
    if seen is None:
        seen = _driven(world.events(EVENTS - start, start_index=start))
    assert seen == list(range(start, EVENTS))


def _driven(work: Any) -> Any:
    """The result of a coroutine that never suspends."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


async def test_what_is_asked_for_stays_the_same_and_the_cursor_moves(world: World) -> None:
    world.log.breaks = [(2, "connection")]
    types = [zegel.EventType.SIGNATURE_REQUEST_SENT]
    await world.events(5, signature_request_id="req_1", types=types)
    first, second = world.log.asked
    assert (first.start_index, list(first.types)) == (0, types)
    assert second.signature_request_id == first.signature_request_id == "req_1"
    assert list(second.types) == types
    assert second.start_index <= 2


async def test_a_refusal_comes_out(world: World) -> None:
    with pytest.raises(zegel.SessionRevoked):
        await world.events()
    assert len(world.log.asked) == 1


async def test_a_server_that_stays_away_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_TRIES", 3)
    world.log.breaks = [(0, "stalled")] * 100  # gRPC itself does not try this one again
    with pytest.raises(zegel.StreamStalled):
        await world.events()
    assert len(world.log.asked) == 3


def test_both_clients_document_it() -> None:
    assert "log_index" in (inspect.getdoc(zegel.Client.events) or "")
    assert inspect.signature(zegel.Client.events).parameters == inspect.signature(zegel.aio.Client.events).parameters
