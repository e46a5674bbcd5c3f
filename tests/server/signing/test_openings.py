"""What opens a request's trail follows from the request and the tenant's key, and fits what its events commit to."""

from dataclasses import replace
from typing import Any

import pytest

from support.merkle_log import make_fields
from support.signing_world import SEAL_CERTIFICATE, SQLITE_ONLY, World, draft_of, make_field
from zegel.evidence.commitments import Box, DocumentHash
from zegel.evidence.openings import Openings, check_openings
from zegel.evidence.trail import LeafFields
from zegel_server.audit.recorder import commitments_to
from zegel_server.documents.model import Page
from zegel_server.errors import DataLoss
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.openings import boxes_of, committed_boxes, openings_of
from zegel_server.signing.request import PinnedRendition, SignatureRequest

PAGE = Page(595.0, 842.0)
RENDITION = PinnedRendition("doc_r", 1, b"\7" * 32, 4_321, 5)


async def sent(world: World) -> SignatureRequest:
    """A request of a document of three pages and one of two, with a field on the last page of each."""
    sender = world.member()
    documents = [(await world.documents.add(sender.principal_id, pages=[PAGE] * count)).document_id for count in (3, 2)]
    fields = (
        make_field("one", FieldType.SIGNATURE, page=3, x=10.0004, y=0.0006, width=200.1234567, height=4.0001),
        make_field("two", FieldType.DATE_SIGNED, document_index=1, page=2, signer_index=1),
        make_field("three", FieldType.SIGNATURE, document_index=1, page=2, signer_index=1, y=200.0),
    )
    request = await world.send(sender, draft_of(documents, fields=fields))
    return replace(request, rendition=RENDITION)


async def trail_of(world: World, request: SignatureRequest) -> list[LeafFields]:
    """The events of a request that everybody has signed, as far as openings are concerned."""
    documents = commitments_to(request.document_hashes, await world.keys.own_key(world.tenant_id))
    signatures = [each.signature_id for each in request.progress.signatures]
    told: list[tuple[str, dict[str, Any]]] = [
        (
            "SIGNATURE_REQUEST_SENT",
            {
                "extra": {
                    "boxes": await committed_boxes(world.keys, request),
                    "signers": [{"signature": each} for each in signatures],
                }
            },
        ),
        *(("SIGNATURE_REQUEST_SIGNED", {"resource": each}) for each in signatures),
        ("SIGNATURE_REQUEST_ALL_SIGNED", {"extra": {"seal_certificate": SEAL_CERTIFICATE}}),
    ]
    return [
        replace(make_fields(seq, None, kind=kind), documents=documents, **facts)
        for seq, (kind, facts) in enumerate(told, 1)
    ]


@SQLITE_ONLY
async def test_each_field_is_a_box_on_a_page_of_the_rendition_in_thousandths_of_a_point(world: World) -> None:
    request = await sent(world)
    first, second = (each.signature_id for each in request.progress.signatures)
    assert boxes_of(request) == [
        Box(page=3, x=10_000, y=1, width=200_123, height=4_000, signature=first, type="SIGNATURE"),
        Box(
            page=5,
            x=10_000,
            y=10_000,
            width=200_000,
            height=60_000,
            signature=second,
            type="DATE_SIGNED",
            time_zone="UTC",
        ),
        Box(page=5, x=10_000, y=200_000, width=200_000, height=60_000, signature=second, type="SIGNATURE"),
    ]


@SQLITE_ONLY
async def test_openings_fit_what_the_events_commit_to(world: World) -> None:
    request = await sent(world)
    data = await openings_of(world.keys, request, "doc_sealed")
    report = check_openings(await trail_of(world, request), data)
    assert report.failures == ()
    assert report.rendition == DocumentHash("doc_r", 1, "07" * 32, 4_321, "rendition")
    assert [(each.document, each.sha256) for each in report.originals] == [
        (each.document_id, each.sha256.hex()) for each in request.documents
    ]
    assert list(report.boxes) == boxes_of(request)
    assert report.seal_certificate == SEAL_CERTIFICATE
    assert report.sealed is not None
    assert report.sealed.document == "doc_sealed"
    sealed = DocumentHash("doc_sealed", 1, "0a" * 32, 99, "sealed")
    (committed,) = commitments_to([sealed], await world.keys.own_key(world.tenant_id))
    assert report.sealed.commit(b"\x0a" * 32, 99) == committed.commitment


@SQLITE_ONLY
async def test_openings_are_the_same_whenever_they_are_made(world: World) -> None:
    request = await sent(world)
    data = await openings_of(world.keys, request, "doc_sealed")
    assert await openings_of(world.keys, request, "doc_sealed") == data
    assert replace(Openings.parse(data), sealed=None).format() == await openings_of(world.keys, request)
    assert check_openings(await trail_of(world, request), await openings_of(world.keys, request), complete=False).ok


@SQLITE_ONLY
async def test_openings_of_another_request_do_not_fit(world: World) -> None:
    one, other = await sent(world), await sent(world)
    assert not check_openings(await trail_of(world, one), await openings_of(world.keys, other, "doc_sealed")).ok
    altered = replace(one, rendition=replace(RENDITION, sha256=b"\x08" * 32))
    assert not check_openings(await trail_of(world, one), await openings_of(world.keys, altered, "doc_sealed")).ok
    moved = replace(one, fields=(replace(one.fields[0], x=11.0), *one.fields[1:]))
    assert not check_openings(await trail_of(world, one), await openings_of(world.keys, moved, "doc_sealed")).ok


@SQLITE_ONLY
async def test_a_request_from_before_renditions_has_none(world: World) -> None:
    assert await openings_of(world.keys, replace(await sent(world), rendition=None)) == b""


@SQLITE_ONLY
async def test_nothing_is_opened_once_the_tenant_s_key_is_destroyed(world: World) -> None:
    request = await sent(world)
    async with world.database.transaction() as transaction:
        await world.keys.destroy_subject(transaction, world.tenant_subject)
    with pytest.raises(DataLoss):
        await openings_of(world.keys, request)
