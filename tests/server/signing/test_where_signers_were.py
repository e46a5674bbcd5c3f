"""Where a signer was, as the caller asserts it: checked, kept encrypted and apart from what the server saw."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.databases import sqlite_url
from support.signing_world import World, make_world, said
from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin
from zegel.evidence.disclosures import DISCLOSURES
from zegel.signing.v1 import ceremony_service_pb2 as pb
from zegel_server.audit.leaf import commitment
from zegel_server.caller import Caller, Origin
from zegel_server.errors import InvalidArgument
from zegel_server.signing import disclosure, messages
from zegel_server.signing.request import SignatureRequest

SEEN = Origin("198.51.100.9", "partner/2.0")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
SAID = AssertedOrigin(address="203.0.113.7", user_agent=BROWSER, time_zone="Pacific/Auckland")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await make_world(sqlite_url(tmp_path), tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def request_sent(world: World) -> SignatureRequest:
    return await world.send(world.member())


def asserting(world: World, request: SignatureRequest, **said_so: str) -> Caller:
    signer = world.signer(request)
    message = pb.OpenCeremonyRequest(asserted_origin=AssertedOrigin(**said_so))
    return signer._replace(origin=messages.origin(SEEN, message))


async def acts(world: World, request: SignatureRequest) -> list[Any]:
    return [row for row in await world.event_rows() if row.trail == request.audit_id and row.subject_id][1:]


async def test_it_is_kept_beside_what_the_server_saw_and_the_leaf_says_only_that_it_was_asserted(
    world: World, request_sent: SignatureRequest
) -> None:
    signer = asserting(world, request_sent, address=SAID.address, user_agent=BROWSER, time_zone="Pacific/Auckland")
    await world.ready(signer)
    await world.ceremony.sign(signer)
    rows = await acts(world, request_sent)
    assert len(rows) == 4
    key = await world.keys.subject_key(signer.subject_id)
    assert key is not None
    for row in rows:
        personal = await world.personal_of(row)
        assert {name: text for name, text in personal.items() if name in Origin._fields} == {
            "address": SEEN.address,
            "user_agent": SEEN.user_agent,
            "asserted_address": "203.0.113.7",
            "asserted_user_agent": BROWSER,
            "asserted_time_zone": "Pacific/Auckland",
        }
        assert said(row).extra["asserted"] == ["address", "time_zone", "user_agent"]
        assert said(row).personal == commitment(key, personal)
        for secret in ("203.0.113.7", "Firefox", "Auckland"):
            assert secret not in row.body
            assert secret.encode() not in row.personal


async def test_what_is_not_said_is_not_there(world: World, request_sent: SignatureRequest) -> None:
    await world.ceremony.open(asserting(world, request_sent))
    await world.ceremony.accept_disclosure(asserting(world, request_sent, time_zone="UTC"))
    viewed, accepted = await acts(world, request_sent)
    assert await world.personal_of(viewed) == {"address": SEEN.address, "user_agent": SEEN.user_agent}
    assert "asserted" not in said(viewed).extra
    assert (await world.personal_of(accepted))["asserted_time_zone"] == "UTC"
    assert said(accepted).extra["asserted"] == ["time_zone"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
    ],
)
def test_an_address_has_one_form(written: str, kept: str) -> None:
    message = pb.SignDocumentsRequest(asserted_origin=AssertedOrigin(address=written))
    assert messages.origin(SEEN, message) == SEEN._replace(asserted_address=kept)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("address", "203.0.113.7:443"),
        ("address", "[2001:db8::1]"),
        ("address", "fe80::1%eth0"),
        ("address", "203.0.113.07"),
        ("address", "ann.example.com"),
        ("address", "203.0.113.7, 198.51.100.1"),
        ("user_agent", "x" * 513),
        ("user_agent", "Mozilla\nX-Signed: yes"),
        ("user_agent", "Mozilla\u202e0.5"),
        ("user_agent", "Mozilla\u200b"),
        ("time_zone", "Auckland"),
    ],
)
def test_what_is_no_origin_is_refused_by_its_field(field: str, text: str) -> None:
    for kind in (
        pb.OpenCeremonyRequest,
        pb.AcceptDisclosureRequest,
        pb.FillFieldsRequest,
        pb.SignDocumentsRequest,
        pb.DeclineSignatureRequest,
    ):
        with pytest.raises(InvalidArgument) as caught:
            messages.origin(SEEN, kind(asserted_origin=AssertedOrigin(**{field: text})))
        assert caught.value.metadata["field"] == f"asserted_origin.{field}"
        assert text not in json.dumps(caught.value.metadata)


async def test_nobody_accepts_a_disclosure_that_was_not_shown(world: World, request_sent: SignatureRequest) -> None:
    signer = world.signer(request_sent)
    newest = disclosure.NEWEST.version
    for other in (newest - 1, newest + 1, -1):
        with pytest.raises(InvalidArgument) as caught:
            await world.ceremony.accept_disclosure(signer, other)
        assert caught.value.metadata["field"] == "disclosure_version"
    assert await acts(world, request_sent) == []
    await world.ceremony.accept_disclosure(signer, newest)
    (accepted,) = await acts(world, request_sent)
    assert said(accepted).extra["disclosure"] == disclosure.NEWEST.sha256


async def test_who_accepted_an_older_disclosure_goes_on_seeing_that_one(
    world: World, request_sent: SignatureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, other = world.signer(request_sent), world.signer(request_sent, 1)
    first, *_, newest = DISCLOSURES
    monkeypatch.setattr(disclosure, "NEWEST", first)
    assert messages.ceremony_message(await world.ceremony.accept_disclosure(signer, 1)).disclosure == first.text
    monkeypatch.undo()
    shown = messages.ceremony_message(await world.ceremony.accept_disclosure(signer, 1))
    assert (shown.disclosure, shown.disclosure_version) == (first.text, 1)
    assert messages.ceremony_message(await world.ceremony.get(other)).disclosure == newest.text
