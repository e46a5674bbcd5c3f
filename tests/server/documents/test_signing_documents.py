"""What signing is given: facts, bytes, and a place for what was sealed."""

from pathlib import Path

import pytest

from support.databases import sqlite_url
from support.documents_world import World, make_world, pdf_of
from support.shared import shared
from zegel_server.caller import Scope
from zegel_server.db import UniqueViolation
from zegel_server.documents import renditions
from zegel_server.documents import signing_documents as library_module
from zegel_server.documents.model import Page, UploadSpec
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import DataLoss, FailedPrecondition, NotFound, ZegelError
from zegel_server.ids import new_id
from zegel_server.pdf.sandbox.client import Sandbox

MIB = 1 << 20


async def test_facts_and_bytes_of_a_version(world: World) -> None:
    first, second, caller = pdf_of(1000), pdf_of(5 * MIB), world.member()
    document_id = await world.upload(caller, first)
    await world.upload(caller, second, spec=UploadSpec(document_id=document_id))
    facts = await world.signing_documents.describe(caller, document_id)
    assert (facts.version, facts.title, facts.size) == (2, "Lease of flat 4", len(second))
    assert facts.pages == (Page(595.0, 842.0),)
    assert (await world.signing_documents.describe(caller, document_id, 1)).size == len(first)
    assert await world.signing_documents.read_all(world.tenant_id, document_id, 1) == first
    assert await world.signing_documents.read_all(world.tenant_id, document_id, 2) == second
    with pytest.raises(NotFound):
        await world.signing_documents.describe(world.member(), document_id)
    with pytest.raises(NotFound):
        await world.signing_documents.read_all(new_id("ten"), document_id, 1)


async def test_a_sealed_document_comes_to_be_with_its_request(world: World) -> None:
    data, sender = pdf_of(9 * MIB), world.member()
    document_id = await world.upload(sender, pdf_of(100))
    request_id = await world.send(document_id)
    prepared = await world.signing_documents.store_sealed(
        tenant_id=world.tenant_id,
        signature_request_id=request_id,
        title="Signed",
        data=data,
    )
    signer = world.signer(request_id)
    with pytest.raises(NotFound):
        await world.documents.get(signer, prepared.document_id)
    async with world.database.transaction() as transaction:
        await prepared.insert(transaction, sender.principal_id)
    for caller in (signer, sender):
        assert await world.download(caller, prepared.document_id) == data
    listed = (await world.documents.list(signer, PageRequest(10))).items
    assert [each.document_id for each in listed] == [prepared.document_id, document_id]
    with pytest.raises(NotFound):
        await world.documents.get(world.signer(new_id("req")), prepared.document_id)
    with pytest.raises(FailedPrecondition) as refusal:
        await world.uploads.start(sender, UploadSpec(document_id=prepared.document_id))
    assert refusal.value.metadata["state"] == "SEALED"


async def test_sealing_again_after_a_crash_makes_one_document(world: World) -> None:
    data, document_id = pdf_of(1000), new_id("doc")
    prepared = [
        await world.signing_documents.store_sealed(
            tenant_id=world.tenant_id,
            signature_request_id="req_1",
            title="Signed",
            data=data,
            document_id=document_id,
            pages=[Page(1, 1)],
        )
        for _ in range(2)
    ]
    async with world.database.transaction() as transaction:
        await prepared[1].insert(transaction, "mem_1")
    with pytest.raises(UniqueViolation):
        async with world.database.transaction() as transaction:
            await prepared[0].insert(transaction, "mem_1")
    assert await world.download(world.member(Scope.ANY), document_id) == data
    assert len(await world.stored()) == 2, "the first attempt's blob is an orphan now"


async def test_a_pinned_document_is_there(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(100))
    async with world.database.transaction() as transaction:
        await world.signing_documents.pin(transaction, world.tenant_id, document_id)
    await world.documents.delete(caller, document_id, "")

    async def pin(which: str) -> None:
        async with world.database.transaction() as transaction:
            await world.signing_documents.pin(transaction, world.tenant_id, which)

    with pytest.raises(FailedPrecondition) as refusal:
        await pin(document_id)
    assert refusal.value.reason == "DOCUMENT_DESTROYED"
    with pytest.raises(NotFound):
        await pin(new_id("doc"))


async def test_what_is_too_large_to_look_into_is_stored_and_not_signed(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "MAX_PDF_BYTES", 5 * MIB)
    monkeypatch.setattr(library_module, "MAX_PDF_BYTES", 5 * MIB)
    data, caller = pdf_of(6 * MIB), sqlite_world.member()
    document_id = await sqlite_world.upload(caller, data)
    assert sqlite_world.sandbox.seen == []
    assert await sqlite_world.download(caller, document_id) == data
    for attempt in (
        sqlite_world.signing_documents.describe(caller, document_id),
        sqlite_world.signing_documents.read_all(sqlite_world.tenant_id, document_id, 1),
    ):
        with pytest.raises(ZegelError) as refusal:
            await attempt
        assert refusal.value.reason == "DOCUMENT_TOO_COMPLEX"
    with pytest.raises(ZegelError) as unreadable:
        await sqlite_world.upload(caller, bytes(6 * MIB))
    assert unreadable.value.reason == "DOCUMENT_UNREADABLE"


async def test_a_row_that_lies_about_the_hash_is_found_out(sqlite_world: World) -> None:
    document_id = await sqlite_world.upload(sqlite_world.member(), pdf_of(100))
    writing = sqlite_world.database._writing  # type: ignore[attr-defined]
    writing.execute("UPDATE document_versions SET sha256 = zeroblob(32)")
    with pytest.raises(DataLoss):
        await sqlite_world.signing_documents.read_all(sqlite_world.tenant_id, document_id, 1)


async def test_real_pdfs_through_the_real_sandbox(tmp_path: Path) -> None:
    """Files of every kind: taken with their pages, or refused with a reason of the catalogue and nothing left."""
    files = sorted(shared("pdfs").rglob("*.pdf"), key=lambda path: path.stat().st_size)[::25]
    assert files
    async with Sandbox() as sandbox:
        world = await make_world(sqlite_url(tmp_path), tmp_path, sandbox=sandbox)
        caller = world.member()
        taken, reasons = 0, set()
        for path in files:
            data = path.read_bytes()
            try:
                document_id = await world.upload(caller, data)
            except FailedPrecondition as refusal:
                reasons.add(refusal.reason)
                continue
            taken += 1
            assert (await world.signing_documents.describe(caller, document_id)).pages
            assert await world.download(caller, document_id) == data
        assert reasons <= renditions.REFUSED
        with pytest.raises(FailedPrecondition) as not_one:
            await world.upload(caller, b"%PDF-1.7 and nothing else")
        assert not_one.value.reason == "DOCUMENT_UNREADABLE"
        await world.remover.drain()
        assert len(await world.version_rows()) == taken > 0
        assert {key.split("/")[2] for key in await world.stored()} == {
            row.document_id for row in await world.version_rows()
        }
        await world.close()
