"""What goes onto a page is tried in the real sandbox before anything is stored, and refused by its place."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from support.databases import sqlite_url
from support.documents_world import make_world as make_documents_world
from support.documents_world import pdf_of
from support.signing_world import World, make_field, make_world
from zegel_server.documents.model import UploadSpec
from zegel_server.errors import InvalidArgument
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.values import Value

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_FONT, NOTHING = "Ana \U00012000", "\u200b\u2060"


@pytest.fixture
async def world(tmp_path: Path, sandbox: Sandbox) -> World:
    world = await make_world(sqlite_url(tmp_path), tmp_path)
    for part in (world.signing, world.ceremony, world.documents.world.documents):
        part._trials._sandbox = sandbox
    return world


@pytest.mark.parametrize("text", [NO_FONT, NOTHING])
async def test_a_request_is_refused_by_the_text_that_does_not_show(world: World, text: str) -> None:
    sender = world.member()
    draft = await world.draft(sender)
    first, second = draft.signers
    for path, new in (
        ("title", replace(draft, title=text)),
        ("signers[1].name", replace(draft, signers=(first, replace(second, name=text)))),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await world.signing.create(sender, new)
        assert caught.value.metadata["field"] == path
    assert await world.event_rows() == [row for row in await world.event_rows() if row.trail is None]
    sent = await world.signing.create(sender, replace(draft, title="மனை ஒப்பந்தம்"))
    assert sent.title == "மனை ஒப்பந்தம்"


async def test_a_value_is_refused_by_its_place_and_changes_nothing(world: World) -> None:
    sender = world.member()
    draft = await world.draft(sender)
    extra = (make_field("note", FieldType.TEXT), make_field("short", FieldType.INITIALS))
    request = await world.send(sender, replace(draft, fields=(*draft.fields, *extra)))
    signer = world.signer(request)
    await world.ceremony.open(signer)
    await world.ceremony.accept_disclosure(signer)
    fine = ("signature-0", Value("typed", "அருள்"))
    for place, value in (
        ("mark.typed", ("short", Value("typed", NOTHING))),
        ("mark.typed", ("signature-0", Value("typed", NO_FONT))),
        ("mark.drawn_png", ("signature-0", Value("drawn", white()))),
        ("text", ("note", Value("text", NO_FONT))),
        ("text", ("note", Value("text", NOTHING))),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await world.ceremony.fill(signer, [fine, value])
        assert caught.value.metadata["field"] == f"values[1].{place}"
        assert (await world.ceremony.get(signer)).values == {}
    view = await world.ceremony.fill(
        signer, [fine, ("note", Value("text", "רחוב הרצל 12")), ("note", Value("text", ""))]
    )
    assert view.values["signature-0"].text == "அருள்"


def white() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 100), "white").save(out, "PNG")
    return out.getvalue()


async def test_a_documents_title_is_refused_when_it_is_given(tmp_path: Path, sandbox: Sandbox) -> None:
    world = await make_documents_world(sqlite_url(tmp_path), tmp_path, sandbox=None)
    world.documents._trials._sandbox = sandbox
    owner = world.member()
    for text in (NO_FONT, NOTHING):
        with pytest.raises(InvalidArgument) as caught:
            await world.upload(owner, pdf_of(100), spec=UploadSpec(title=text))
        assert caught.value.metadata["field"] == "spec.title"
    document_id = await world.upload(owner, pdf_of(100), spec=UploadSpec(title="ዉል"))
    for text in (NO_FONT, NOTHING):
        with pytest.raises(InvalidArgument) as caught:
            await world.documents.rename(owner, document_id, text, "")
        assert caught.value.metadata["field"] == "document.title"
    await world.close()
