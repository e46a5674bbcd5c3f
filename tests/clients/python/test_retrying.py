"""Calls that meet a limit: who tries again, when, and for how long. The clock is played."""

import heapq
import types
from collections.abc import Coroutine, Generator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zegel
from support.played_server import PATIENCE_S, PlayedServer, in_thread
from zegel._internal import contract
from zegel._internal.contract import rpc_of
from zegel._internal.ports import SyncPort
from zegel._internal.retrying import FIRST_SPREAD_S, LONGEST_SPREAD_S, Retrying
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.identity.v1 import identity_service_pb2 as identity

READ = rpc_of(identity.GetTenantRequest)
TENANT = identity.GetTenantResponse(tenant=identity.Tenant(tenant_id="ten_1"))


class Server:
    """A budget of so many calls a second (a bucket of tokens), and the time that callers spend.

    Attributes:
        refused: How many calls met the limit.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.time = 0.0
        self.refused = 0
        self._rate, self._burst = rate, burst
        self._tokens, self._counted = burst, 0.0
        self._order = 0
        self._waiting: list[tuple[float, int, Coroutine[Any, Any, None]]] = []

    def now(self) -> float:
        return self.time

    @types.coroutine
    def sleep(self, seconds: float) -> Generator[float, None, None]:
        yield seconds

    def call(self) -> None:
        """One call, which takes no time."""
        self._tokens = min(self._burst, self._tokens + (self.time - self._counted) * self._rate)
        self._counted = self.time
        if self._tokens < 1:
            self.refused += 1
            raise zegel.ResourceExhausted("Later.", retry_after=(1 - self._tokens) / self._rate)
        self._tokens -= 1

    def start(self, caller: Coroutine[Any, Any, None], at: float = 0.0) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (at, self._order, caller))

    def run(self) -> None:
        """Runs the callers until all have ended."""
        while self._waiting:
            self.time, _, caller = heapq.heappop(self._waiting)
            try:
                pause = caller.send(None)
            except StopIteration:
                continue
            self.start(caller, self.time + pause)


async def calling(server: Server, seconds: float, outcomes: list[float | None]) -> None:
    """One call as a port makes it; tells how long it took, or ``None`` where it failed."""
    began = server.time
    arguments = {"timeout": seconds}
    retrying = Retrying(server, READ, arguments)
    while True:
        assert 0 < arguments["timeout"] <= seconds
        try:
            server.call()
        except zegel.ResourceExhausted as error:
            if not await retrying.again(error):
                outcomes.append(None)
                return
        else:
            outcomes.append(server.time - began)
            return


def test_of_1500_reads_at_once_at_a_limit_of_100_a_second_none_fails() -> None:
    server, outcomes = Server(rate=100, burst=100), list[float | None]()
    for _ in range(1_500):
        server.start(calling(server, contract.UNARY_TIMEOUT_S, outcomes))
    server.run()
    assert server.refused > 1_000  # it was a limit
    assert len(outcomes) == 1_500
    assert outcomes.count(None) == 0
    assert max(each for each in outcomes if each is not None) <= contract.UNARY_TIMEOUT_S


def test_1500_reads_of_50_callers_one_after_another_none_fails() -> None:
    server, outcomes = Server(rate=100, burst=100), list[float | None]()

    async def caller() -> None:
        for _ in range(30):
            await calling(server, contract.UNARY_TIMEOUT_S, outcomes)

    for _ in range(50):
        server.start(caller())
    server.run()
    assert outcomes.count(None) == 0
    assert len(outcomes) == 1_500
    assert server.time < 2 * 1_500 / 100  # and the budget was used


@given(st.lists(st.floats(0, 40), max_size=8), st.floats(0.1, 60))
def test_pauses_are_no_shorter_than_told_and_grow_and_end_in_time(told: list[float], timeout: float) -> None:
    server = Server(1, 1)
    arguments = {"timeout": timeout}
    retrying = Retrying(server, READ, arguments)
    for number, each in enumerate(told):
        again = retrying.again(zegel.ResourceExhausted("Later.", retry_after=each))
        left = min(timeout, contract.UNARY_TIMEOUT_S) - server.time
        if each >= left:
            with pytest.raises(StopIteration) as ended:
                again.send(None)
            assert ended.value.value is False
            return
        pause = again.send(None)
        spread = max(min(LONGEST_SPREAD_S, FIRST_SPREAD_S * 2**number), min(each, LONGEST_SPREAD_S))
        assert each <= pause <= each + spread
        assert pause <= left
        server.time += pause
        with pytest.raises(StopIteration) as goes_on:
            again.send(None)
        assert goes_on.value.value is (arguments["timeout"] > 0)
        assert arguments["timeout"] == pytest.approx(timeout - server.time)


def refused(**facts: Any) -> zegel.ZegelError:
    return zegel.ResourceExhausted("No.", **facts)


@pytest.mark.parametrize(
    ("request_class", "error"),
    [
        (identity.GetTenantRequest, refused()),  # waiting does not help
        (identity.GetTenantRequest, zegel.Unavailable("No.", retry_after=1)),  # that is gRPC's own
        (identity.CreateSessionRequest, refused(retry_after=1)),
    ],
)
def test_what_is_not_tried_again(request_class: Any, error: zegel.ZegelError) -> None:
    rpc = rpc_of(request_class)
    again = Retrying(Server(1, 1), rpc, {"timeout": 30.0}).again(error)
    with pytest.raises(StopIteration) as ended:
        again.send(None)
    assert ended.value.value is False


@pytest.mark.parametrize("request_class", [identity.GetTenantRequest, identity.CreateTenantRequest])
def test_reads_and_writes_with_a_request_id_are_tried_again(request_class: Any) -> None:
    again = Retrying(Server(1, 1), rpc_of(request_class), {"timeout": 30.0}).again(refused(retry_after=1))
    assert again.send(None) >= 1
    again.close()


# ------------------------------------------------------------------------------------------------- over a channel


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which move the clock and take no time."""
    waited: list[float] = []

    async def sleep(_port: SyncPort, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(SyncPort, "sleep", sleep)
    monkeypatch.setattr(SyncPort, "now", lambda _port: sum(waited))
    return waited


def test_a_call_is_sent_again_with_what_is_left_of_its_time(pauses: list[float]) -> None:
    server = PlayedServer()
    answer = in_thread(lambda: server.client().identity.create_tenant(name="Acme"))
    first = server.take("IdentityService.CreateTenant")
    first.break_off(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_ms=2_000)
    second = server.take("IdentityService.CreateTenant")
    assert second.request == first.request  # with its request_id
    assert server.timeouts == [30.0, pytest.approx(30.0 - pauses[0])]
    assert pauses[0] >= 2
    second.answer(identity.CreateTenantResponse(tenant=identity.Tenant(name="Acme")))
    assert answer.result(PATIENCE_S).tenant.name == "Acme"


def test_a_wait_past_the_deadline_fails_at_once(pauses: list[float]) -> None:
    server = PlayedServer()
    answer = in_thread(server.client(timeout=5).identity.get_tenant)
    server.take("IdentityService.GetTenant").break_off(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_ms=6_000
    )
    error = answer.exception(PATIENCE_S)
    assert isinstance(error, zegel.LimitReached)
    assert error.retry_after == 6
    assert pauses == []


def test_a_stream_is_opened_again_and_not_once_it_has_begun(pauses: list[float]) -> None:
    server = PlayedServer()
    stream = server.client().audit.watch_events()
    event = in_thread(lambda: next(stream))
    server.take("AuditService.WatchEvents").break_off(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_ms=100
    )
    call = server.take("AuditService.WatchEvents")
    call.rpc.send_response(audit.WatchEventsResponse(event=audit.Event(log_index=3)))
    assert event.result(PATIENCE_S).event.log_index == 3
    call.break_off(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_ms=100)
    assert isinstance(in_thread(lambda: next(stream)).exception(PATIENCE_S), zegel.LimitReached)
    assert len(pauses) == 1
