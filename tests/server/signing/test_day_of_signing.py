"""The day of signing: in the signer's time zone, with its name, decided when that signer signs."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.completing import stamped
from support.databases import sqlite_url
from support.pdfs import one_page, shown_text
from support.signing_world import World, make_world
from zegel.evidence.openings import Openings
from zegel_server import clock, zones
from zegel_server.caller import Caller
from zegel_server.errors import InvalidArgument, ZegelError
from zegel_server.pdf.model import Box
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.field_types import FieldType, SignedBy, draw_value
from zegel_server.signing.new_request import NewRequest
from zegel_server.signing.openings import openings_of
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.values import Value

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGEST = "America/Argentina/ComodRivadavia"
EVENING = int(datetime(2026, 11, 28, 22, 30, tzinfo=UTC).timestamp()) * clock.SECOND
"""In the evening at Greenwich: the next morning in Auckland, and the afternoon before in Honolulu."""


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await make_world(sqlite_url(tmp_path), tmp_path)


def at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def sender(world: World) -> Caller:
    return world.member()


async def draft(world: World, sender: Caller, *time_zones: str, request: str = "") -> NewRequest:
    """A request for one signer per zone."""
    made = await world.draft(sender, orders=[0] * len(time_zones), time_zone=request)
    return replace(
        made, signers=tuple(replace(each, time_zone=own) for each, own in zip(made.signers, time_zones, strict=True))
    )


async def signed_days(world: World, request: SignatureRequest) -> list[str]:
    days = []
    for index in range(len(request.progress.signatures)):
        signer = world.signer(request, index)
        await world.ready(signer)
        days.append((await world.ceremony.sign(signer)).values[f"date_signed-{index}"].text)
    return days


async def refused(world: World, sender: Caller, new: NewRequest) -> ZegelError:
    with pytest.raises(InvalidArgument) as caught:
        await world.send(sender, new)
    assert await world.event_rows() == []
    return caught.value


async def test_it_is_the_day_where_the_signer_is(world: World, sender: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, EVENING)
    new = await draft(world, sender, "", "Pacific/Honolulu", "UTC", request="Pacific/Auckland")
    request = await world.send(sender, new)
    assert await signed_days(world, request) == [
        "2026-11-29 Pacific/Auckland",
        "2026-11-28 Pacific/Honolulu",
        "2026-11-28 UTC",
    ]
    read = await world.signing.get(sender, request.signature_request_id)
    assert (read.time_zone, list(read.time_zones.values())) == (
        "Pacific/Auckland",
        ["Pacific/Auckland", "Pacific/Honolulu", "UTC"],
    )


async def test_who_names_no_zone_signs_in_utc_and_it_says_so(
    world: World, sender: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, EVENING)
    assert await signed_days(world, await world.send(sender, await draft(world, sender, ""))) == ["2026-11-28 UTC"]


async def test_it_stays_what_it_was_when_the_signer_signed(
    world: World, sender: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, EVENING)
    request = await world.send(sender, await draft(world, sender, "Pacific/Auckland", ""))
    signer = world.signer(request)
    await world.ready(signer)
    signed = await world.ceremony.sign(signer)
    at(monkeypatch, EVENING + 40 * clock.DAY)
    assert (await world.ceremony.get(signer)).values == signed.values


async def test_nobody_else_fills_it_in(world: World, sender: Caller) -> None:
    request = await world.send(sender, await draft(world, sender, ""))
    signer = world.signer(request)
    await world.ready(signer)
    with pytest.raises(InvalidArgument) as caught:
        await world.ceremony.fill(signer, [("date_signed-0", Value("text", "1999-01-01 UTC"))])
    assert caught.value.metadata["field"] == "values[0].api_id"


@pytest.mark.parametrize(
    "name", ["Auckland", "pacific/auckland", "Factory", "../UTC", "UTC\n", "EST5EDT,M3", "x" * 5_000]
)
async def test_a_zone_that_is_none_is_refused_by_its_field(world: World, sender: Caller, name: str) -> None:
    new = await draft(world, sender, "", "")
    assert (await refused(world, sender, replace(new, time_zone=name))).metadata["field"] == "time_zone"
    first, second = new.signers
    wrong = replace(new, signers=(first, replace(second, time_zone=name)))
    assert (await refused(world, sender, wrong)).metadata["field"] == "signers[1].time_zone"


async def test_the_trail_commits_to_the_zone_of_each_day_and_the_evidence_opens_it(
    world: World, sender: Caller
) -> None:
    request = await world.send(sender, await draft(world, sender, LONGEST, ""))
    opened = Openings.parse(await openings_of(world.keys, request))
    assert [(box.type, box.time_zone) for box in opened.boxes] == [
        ("SIGNATURE", ""),
        ("DATE_SIGNED", LONGEST),
        ("SIGNATURE", ""),
        ("DATE_SIGNED", "UTC"),
    ]


async def test_a_request_from_before_there_were_zones_keeps_the_boxes_that_its_trail_commits_to(
    world: World, sender: Caller
) -> None:
    request = await world.send(sender, await draft(world, sender, ""))
    older = replace(request, time_zone="", time_zones=dict.fromkeys(request.time_zones, ""))
    assert b"time_zone" not in await openings_of(world.keys, older)


@pytest.mark.parametrize(
    ("zone", "width", "height", "fits"),
    [
        ("UTC", 60, 12, True),
        ("UTC", 20, 20, False),
        ("UTC", 200, 5, False),
        ("Pacific/Auckland", 60, 12, True),
        (LONGEST, 80, 16, True),
        (LONGEST, 60, 12, False),
    ],
)
async def test_a_field_too_small_for_its_day_is_refused_before_it_is_sent(
    world: World, sender: Caller, sandbox: Sandbox, *, zone: str, width: float, height: float, fits: bool
) -> None:
    world.signing._trials._sandbox = sandbox
    new = await draft(world, sender, zone)
    mark, day = new.fields
    new = replace(new, fields=(mark, replace(day, width=width, height=height)))
    if fits:
        await world.send(sender, new)
    else:
        assert (await refused(world, sender, new)).metadata["field"] == "fields[1]"


async def test_every_zones_day_fits_a_small_field_and_is_drawn_whole() -> None:
    for name in sorted(zones.names()):
        assert len(name) <= zones.MAX_NAME
    for name in ("UTC", "Pacific/Auckland", LONGEST):
        stamp = draw_value(
            FieldType.DATE_SIGNED, Value("text", zones.day(EVENING, name)), Box(1, 50, 50, 80, 16), SignedBy("", "", "")
        )
        assert zones.day(EVENING, name) in " ".join(shown_text(stamped(one_page(b""), stamp), 0).split())
