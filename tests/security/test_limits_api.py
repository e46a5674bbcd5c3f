"""Budgets on a real server: refused with when to try again, let in again; who guesses shuts nobody out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import pytest

import zegel
from support.flow import open_office
from support.server import sqlite_server
from zegel.errors import from_call
from zegel.identity.v1 import identity_service_pb2_grpc
from zegel_server.ids import new_token

SETTINGS = {
    "ZEGEL_SESSION_CALLS": "2",
    "ZEGEL_SESSION_CALLS_AT_A_TIME": "3",
    "ZEGEL_WRONG_TOKENS": "0.1",
}
"""20 calls of a session at once, then two a second; 30 wrong tokens at once, then one in ten seconds."""


@dataclass(frozen=True)
class Caller:
    """A session of its own: as a client, and as calls that are made once, where a client would try again."""

    client: zegel.Client
    token: str
    stub: identity_service_pb2_grpc.IdentityServiceStub

    def ask(self, token: str = "") -> None:
        metadata = (("authorization", f"Bearer {token or self.token}"),)
        try:
            self.stub.GetCurrentSession(zegel.GetCurrentSessionRequest(), metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            raise from_call(error) from None


@pytest.fixture(scope="module")
def caller() -> Iterator[Callable[[], Caller]]:
    """Makes callers."""
    with sqlite_server(environment=SETTINGS) as server, open_office(server) as office:
        office.upload()  # so that there is an event to watch
        with grpc.secure_channel(server.listen, grpc.ssl_channel_credentials(server.authority)) as channel:
            stub = identity_service_pb2_grpc.IdentityServiceStub(channel)

            def open_session() -> Caller:
                opened = office.owner.identity.create_session(member_id=office.sender_id)
                return Caller(office.root.with_token(opened.token), opened.token, stub)

            yield open_session


def refused(call: Callable[[], object]) -> zegel.ZegelError:
    with pytest.raises(zegel.ZegelError) as caught:
        call()
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"
    assert caught.value.reason == "LIMIT_REACHED"
    return caught.value


def test_calls_beyond_the_budget_are_refused_with_when_to_try_again(caller: Callable[[], Caller]) -> None:
    one, other = caller(), caller()

    def many() -> None:
        for _ in range(60):
            one.ask()

    error = refused(many)
    assert error.metadata["limit"] == "session_calls"
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 0.5
    other.ask()
    one.client.identity.get_current_session()  # which waits, and tries again


def test_a_session_runs_only_so_many_streams(caller: Callable[[], Caller]) -> None:
    watcher = caller()
    streams = [iter(watcher.client.audit.watch_events()) for _ in range(3)]
    for each in streams:
        next(each)
    assert refused(watcher.ask).metadata["limit"] == "session_calls_at_a_time"
    caller().ask()


def test_who_guesses_tokens_is_refused_them_and_nobody_at_the_same_address_is(
    caller: Callable[[], Caller],
) -> None:
    good, unused = caller(), caller()

    def guess() -> None:
        for _ in range(40):
            with pytest.raises(zegel.ZegelError) as caught:
                good.ask(new_token("zs_"))
            if caught.value.code.name != "UNAUTHENTICATED":
                raise caught.value

    error = refused(guess)
    assert error.metadata["limit"] == "wrong_tokens"
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 10
    good.ask()
    unused.ask()  # which this server has never seen
    caller().ask()  # nor this one, which is opened only now
