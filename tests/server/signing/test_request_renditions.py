"""What the signers of a request are shown: pinned as it is sent, one file of all its documents."""

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import select

from support.signing_world import SQLITE_ONLY, World, draft_of, make_field
from zegel.evidence.commitments import DocumentHash
from zegel_server.db import Statement, bind
from zegel_server.db.schema import documents
from zegel_server.documents.model import Page, pages_from_text
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import FailedPrecondition, InvalidArgument, Unavailable
from zegel_server.pdf.limits import MAX_PAGES, MAX_PDF_BYTES, MAX_RENDITION_BYTES
from zegel_server.signing import renditions
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.messages import ceremony_message, request_message
from zegel_server.signing.request import PinnedRendition

A4 = Page(595.0, 842.0)


async def test_of_one_document_it_is_that_documents_own(world: World) -> None:
    sender = world.member()
    document = await world.documents.add(sender.principal_id, b"%PDF lease", pages=[A4, A4])
    request = await world.send(sender, draft_of([document.document_id]))
    shown = PinnedRendition(document.document_id, 1, document.rendition_sha256, document.rendition_size, 2)
    assert request.rendition == shown
    assert (await world.signing.get(sender, request.signature_request_id)).rendition == shown
    assert request.merged_document_id == ""
    assert len(await world.documents.world.version_rows()) == 1


async def test_of_several_it_is_merged_in_their_order_and_belongs_to_the_request(world: World) -> None:
    sender = world.member()
    lease = await world.documents.add(sender.principal_id, b"%PDF lease", pages=[A4, A4])
    annex = await world.documents.add(sender.principal_id, b"%PDF annex", pages=[A4, A4, A4])
    request = await world.send(sender, draft_of([annex.document_id, lease.document_id]))
    shown = request.rendition
    assert shown is not None
    assert request.merged_document_id == shown.document_id
    stored = await world.documents.for_signing.read_rendition(world.tenant_id, shown.document_id, shown.version)
    assert stored == annex.rendition + lease.rendition
    owner = Statement(select(documents.c.owner_id).where(documents.c.document_id == bind("document_id")))
    assert [row.owner_id for row in await world.database.fetch(owner, document_id=shown.document_id)] == [
        sender.principal_id
    ]
    assert (shown.sha256, shown.size) == (hashlib.sha256(stored).digest(), len(stored))
    (version,) = [row for row in await world.documents.world.version_rows() if row.document_id == shown.document_id]
    assert (shown.page_count, len(pages_from_text(version.pages))) == (5, 5)
    message = request_message(request)
    assert list(message.rendition.first_pages) == [1, 4]
    assert (message.rendition.page_count, message.rendition.size) == (5, len(stored))
    view = await world.ceremony.get(world.signer(request))
    assert ceremony_message(view).rendition == message.rendition
    assert not ceremony_message(view).blocked


async def test_events_bind_the_originals_and_what_was_shown(world: World) -> None:
    sender = world.member()
    lease, annex = [await world.documents.add(sender.principal_id, data) for data in (b"%PDF lease", b"%PDF annex")]
    request = await world.send(sender, draft_of([lease.document_id, annex.document_id], (0,)))
    await world.sign(world.signer(request))
    shown = request.rendition
    assert shown is not None
    assert request.document_hashes == (
        DocumentHash(lease.document_id, 1, lease.sha256.hex(), lease.size, "original"),
        DocumentHash(annex.document_id, 1, annex.sha256.hex(), annex.size, "original"),
        DocumentHash(shown.document_id, 1, shown.sha256.hex(), shown.size, "rendition"),
    )
    rows = {row.event_type: row.body for row in await world.event_rows()}
    told = [body for body in rows.values() if body.count('"commitment"') == 3]
    assert len(told) == 3, "sent, signed, all signed"


@SQLITE_ONLY
async def test_what_one_file_cannot_be_is_refused_before_anything_is_merged_or_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = world.member()
    thick = await world.documents.add(sender.principal_id, pages=[A4] * (MAX_PAGES // 2 + 1))
    with pytest.raises(FailedPrecondition) as pages:
        await world.send(sender, draft_of([thick.document_id, thick.document_id]))
    assert (pages.value.reason, pages.value.metadata) == ("DOCUMENT_TOO_COMPLEX", {"detail": "too_many_pages"})
    assert f"{MAX_PAGES + 2:,}" in pages.value.message
    large = await world.documents.add(sender.principal_id, b"%PDF" + bytes(2_000))
    monkeypatch.setattr(renditions, "MAX_RENDITION_BYTES", 2 * large.rendition_size - 1)
    with pytest.raises(FailedPrecondition) as size:
        await world.send(sender, draft_of([large.document_id, large.document_id]))
    assert (size.value.reason, size.value.metadata) == ("DOCUMENT_TOO_COMPLEX", {"detail": "too_large"})
    assert MAX_RENDITION_BYTES > MAX_PDF_BYTES
    assert await world.event_rows() == []
    assert len(await world.documents.world.version_rows()) == 2


@SQLITE_ONLY
async def test_a_merging_that_fails_sends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = world.member()
    one, two = [await world.documents.add(sender.principal_id) for _ in range(2)]

    async def away(_renditions: list[bytes]) -> bytes:
        raise Unavailable("The PDF worker stopped.")

    monkeypatch.setattr(world.signing._renditions._sandbox, "merge", away)
    with pytest.raises(Unavailable):
        await world.send(sender, draft_of([one.document_id, two.document_id]))
    assert (await world.signing.list_page(sender, PageRequest(5), state="", fields=())).items == []
    assert await world.event_rows() == []


@SQLITE_ONLY
async def test_a_place_is_one_on_the_renditions_pages(world: World) -> None:
    sender = world.member()
    small = await world.documents.add(sender.principal_id, pages=[A4, Page(200.0, 100.0)])
    new = draft_of([small.document_id], (0,))
    outside = make_field("outside", FieldType.TEXT, page=2, x=100.0, y=50.0, width=101.0, height=10.0)
    with pytest.raises(InvalidArgument):
        await world.signing.create(sender, replace(new, fields=(*new.fields, outside)))
