"""Budgets on a real server: refused with when to try again, let in again; who guesses shuts nobody out."""

from collections.abc import Callable, Iterator

import pytest

import zegel
from support.flow import open_office
from support.server import sqlite_server
from zegel_server.ids import new_token

SETTINGS = {
    "ZEGEL_SESSION_CALLS": "2",
    "ZEGEL_SESSION_CALLS_AT_A_TIME": "3",
    "ZEGEL_WRONG_TOKENS": "0.1",
}
"""20 calls of a session at once, then two a second; 30 wrong tokens at once, then one in ten seconds."""


@pytest.fixture(scope="module")
def client() -> Iterator[Callable[[], zegel.Client]]:
    """Makes clients, each with a session of its own."""
    with sqlite_server(environment=SETTINGS) as server, open_office(server) as office:
        office.upload()  # so that there is an event to watch

        def open_session() -> zegel.Client:
            opened = office.owner.identity.create_session(member_id=office.sender_id)
            return office.root.with_token(opened.token)

        yield open_session


def refused(call: Callable[[], object]) -> zegel.ZegelError:
    with pytest.raises(zegel.ZegelError) as caught:
        call()
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"
    assert caught.value.reason == "LIMIT_REACHED"
    return caught.value


def test_calls_beyond_the_budget_are_refused_with_when_to_try_again(client: Callable[[], zegel.Client]) -> None:
    one, other = client(), client()

    def many() -> None:
        for _ in range(60):
            one.identity.get_current_session()

    error = refused(many)
    assert error.metadata["limit"] == "session_calls"
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 0.5
    other.identity.get_current_session()


def test_a_session_runs_only_so_many_streams(client: Callable[[], zegel.Client]) -> None:
    watcher = client()
    streams = [iter(watcher.audit.watch_events()) for _ in range(3)]
    for each in streams:
        next(each)
    assert refused(watcher.identity.get_current_session).metadata["limit"] == "session_calls_at_a_time"
    client().identity.get_current_session()


def test_who_guesses_tokens_is_refused_them_and_nobody_at_the_same_address_is(
    client: Callable[[], zegel.Client],
) -> None:
    good, unused = client(), client()

    def guess() -> None:
        for _ in range(40):
            with pytest.raises(zegel.ZegelError) as caught:
                good.with_token(new_token("zs_")).identity.get_current_session()
            if caught.value.code.name != "UNAUTHENTICATED":
                raise caught.value

    error = refused(guess)
    assert error.metadata["limit"] == "wrong_tokens"
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 10
    good.identity.get_current_session()
    unused.identity.get_current_session()  # which this server has never seen
    client().identity.get_current_session()  # nor this one, which is opened only now
