"""Lists of requests: what a mask shows, in one query a page, and no key opened for what it does not show."""

import contextlib
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from support.signing_world import SQLITE_ONLY, World
from zegel.signing.v1 import signature_request_pb2 as types
from zegel.signing.v1 import signing_service_pb2 as pb
from zegel_server.caller import Caller, Scope, Share, set_caller
from zegel_server.db import Database, Statement
from zegel_server.db.migrate import upgrade
from zegel_server.errors import InvalidArgument
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.signing import list_store
from zegel_server.signing.messages import REQUEST_FIELDS, REQUEST_SUMMARY, request_message
from zegel_server.signing.servicer import SigningServicer

LONG = {"message", "documents", "signatures", "fields", "sealing", "rendition"}


@pytest.fixture
def queries(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that are run from now on."""
    run: list[str] = []

    def counted(fetch: Callable[..., Any]) -> Callable[..., Any]:
        async def fetched(self: Database, statement: Statement, **values: Any) -> Any:
            run.append(statement.on("sqlite").sql)
            return await fetch(self, statement, **values)

        return fetched

    kind = type(world.database)
    monkeypatch.setattr(kind, "fetch", counted(kind.fetch))
    return run


async def listed(
    world: World, caller: Caller, *paths: str, size: int = 100, state: int = 0
) -> list[types.SignatureRequest]:
    servicer = SigningServicer(world.signing, None, world.answers)  # type: ignore[arg-type] # no link is asked for
    request = pb.ListSignatureRequestsRequest(page_size=size, state=state)  # type: ignore[arg-type] # a number
    request.read_mask.paths.extend(paths)
    set_caller(caller)
    found: list[types.SignatureRequest] = []
    while True:
        page = await servicer.ListSignatureRequests(request, None)
        found += page.signature_requests
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def filled(message: types.SignatureRequest) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


async def sent(world: World, sender: Caller, count: int) -> list[types.SignatureRequest]:
    """What ``GetSignatureRequest`` says of new requests, the newest first."""
    found = [request_message(await world.send(sender, await world.draft(sender, message="Hi"))) for _ in range(count)]
    return sorted(found, key=lambda each: each.signature_request_id, reverse=True)


async def test_a_list_shows_a_summary_unless_it_is_asked_for_more(world: World) -> None:
    sender = world.member()
    [whole] = await sent(world, sender, 1)
    [summary] = await listed(world, sender)
    assert filled(summary) == filled(whole) - LONG
    assert {"signature_request_id", "title", "state", "owner_id", "audit_id", "create_time", "etag"} <= filled(summary)
    for name in filled(summary):
        assert getattr(summary, name) == getattr(whole, name)
    assert await listed(world, sender, "*") == [whole]
    assert REQUEST_FIELDS - REQUEST_SUMMARY == LONG


@pytest.mark.parametrize("name", sorted(REQUEST_FIELDS))
@SQLITE_ONLY
async def test_each_field_is_shown_alone_as_it_is_in_the_whole(world: World, name: str) -> None:
    sender = world.member()
    wholes = await sent(world, sender, 2)
    shown = await listed(world, sender, name, name)
    assert [filled(each) for each in shown] == [{name} & filled(whole) for whole in wholes]
    assert [getattr(each, name) for each in shown] == [getattr(whole, name) for whole in wholes]


async def test_a_page_is_one_query_whatever_it_shows_and_however_many_owners(world: World, queries: list[str]) -> None:
    friends = [world.member() for _ in range(4)]
    wholes = [each for friend in friends for each in await sent(world, friend, 3)]
    wholes.sort(key=lambda each: each.signature_request_id, reverse=True)
    shares = {friend.principal_id: Share(friend.principal_id) for friend in friends[1:]}
    caller = friends[0]._replace(shares=shares)
    for who in (caller, world.member(Scope.ANY)):
        for paths in (["*"], [], ["signatures"]):
            await listed(world, who, *paths)  # what is the tenant's is known from here on
            queries.clear()
            assert len(await listed(world, who, *paths)) == 12
            assert len(queries) == 1
    assert await listed(world, caller, "*", size=5) == wholes
    assert await listed(world, caller, "*", size=1) == wholes


@pytest.mark.parametrize("shown", [REQUEST_SUMMARY, REQUEST_FIELDS])
@pytest.mark.parametrize("branches", [0, 1, 4])
async def test_every_owner_s_newest_are_found_by_an_index(tmp_path: Path, shown: frozenset[str], branches: int) -> None:
    url = f"sqlite:///{tmp_path / 'zegel.db'}"
    await upgrade(url)
    query = list_store.page_of(list_store.parts_of(shown), branches).on("sqlite")
    asked = {"tenant_id": "ten_1", "state": "", "before": "req_2", "limit": 101}
    values = query.arguments(asked | {f"owner_{number}": "mem_1" for number in range(branches)})
    with contextlib.closing(sqlite3.connect(tmp_path / "zegel.db")) as rows:
        plan = [row[3] for row in rows.execute(f"EXPLAIN QUERY PLAN {query.sql}", tuple(values))]
    index = "ix_signature_requests_tenant_id" + ("_owner_id" if branches else "")
    searched = [each for each in plan if "signature_requests" in each]
    assert [f"USING INDEX {index} (" in each for each in searched] == [True] * max(branches, 1)
    # What else is scanned is a page, once its rows are limited.
    assert {each.rpartition(" ")[2].rstrip("0123456789") for each in plan if each.startswith("SCAN")} <= {
        "page",
        "own_",
    }


async def test_more_owners_than_a_query_takes_are_merged(world: World) -> None:
    sender, friend = world.member(), world.member()
    wholes = await sent(world, sender, 2) + await sent(world, friend, 2)
    wholes.sort(key=lambda each: each.signature_request_id, reverse=True)
    strangers = {name: Share(name) for name in (new_id("tea") for _ in range(70))}
    caller = sender._replace(shares={**strangers, friend.principal_id: Share(friend.principal_id)})
    assert await listed(world, caller, "*", size=3) == wholes


async def test_no_key_is_opened_for_what_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = world.member()
    request = await world.send(sender)
    opened: list[str] = []

    async def another(_self: Keys, subject_id: str, _row: Any = None) -> bytes:
        opened.append(subject_id)
        return b"\0" * 32

    monkeypatch.setattr(Keys, "subject_key", another)
    every = REQUEST_FIELDS - {"signatures"}
    for caller in (sender, world.signer(request)):
        assert len(await listed(world, caller, *every)) == 1
        assert len(await listed(world, caller)) == 1
    assert opened == []
    with pytest.raises(Exception, match="damaged"):
        await listed(world, sender, "signatures")
    assert len(opened) == 1


async def test_a_person_that_is_forgotten_is_listed_without_a_name(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    async with world.database.transaction() as transaction:
        subject_id = request.people[request.progress.signatures[0].signature_id].subject_id
        await world.keys.destroy_subject(transaction, subject_id)
    [shown] = await listed(world, sender, "signatures")
    assert [bool(each.name) for each in shown.signatures] == [False, True]


@pytest.mark.parametrize("paths", [["nothing"], ["title", "*"], [""], ["signatures.name"], ["Title"], ["x" * 10_000]])
@SQLITE_ONLY
async def test_a_path_that_is_no_field_is_refused_by_name(world: World, paths: Collection[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await listed(world, world.member(), *paths)
    assert refused.value.metadata == {"field": "read_mask"}
    assert len(refused.value.message) < 500


async def test_a_signer_sees_its_own_request_through_the_same_mask(world: World) -> None:
    request = await world.send(world.member())
    [summary] = await listed(world, world.signer(request))
    assert not filled(summary) & LONG
    assert await listed(world, world.signer(request), "*") == [request_message(request)]
