"""What signers are shown of a version: made once, stored beside the original, never taken for it."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import update

from support.documents_world import MIB, World, pdf_of, rendition_of
from zegel.client_encryption import ReceiverKey, UnwrapError, client_encryption_info
from zegel.segments import SegmentCipher, SegmentError, StreamDecryptor, document_aad, rendition_aad
from zegel_server.caller import Caller, Scope
from zegel_server.db import Statement
from zegel_server.db.schema import document_versions
from zegel_server.documents.findings import findings_from_text, findings_to_text
from zegel_server.documents.model import Content, Page, UploadSpec
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import DataLoss, FailedPrecondition, NotFound, ZegelError
from zegel_server.ids import new_id
from zegel_server.pdf.model import Findings, FoundSignature, PageDifference, PageFacts, PdfFacts

# As a migration from before renditions leaves them.
_FORGET = Statement(
    update(document_versions).values(
        rendition_prefix=None, rendition_header=None, rendition_size=None, rendition_sha256=None, findings=None
    )
)


async def forget(world: World) -> None:
    async with world.database.transaction() as transaction:
        await transaction.execute(_FORGET)


@pytest.mark.parametrize("size", [9, 3 * MIB, 5 * MIB])
async def test_every_version_has_one_of_its_own(world: World, size: int) -> None:
    caller, data = world.member(), pdf_of(size)
    document_id = await world.upload(caller, pdf_of(40))
    await world.upload(caller, data, spec=UploadSpec(document_id=document_id))
    for version, expected in ((2, rendition_of(data)),):
        assert await world.download(caller, document_id, version, content=Content.RENDITION) == expected
        assert await world.signing_documents.read_rendition(world.tenant_id, document_id, version) == expected
    assert await world.download(caller, document_id) == data, (
        "an owner reads what was uploaded, unless it says otherwise"
    )
    newest = (await world.documents.get(caller, document_id)).versions[-1]
    assert newest.rendition_size == len(rendition_of(data))
    assert newest.rendition_sha256 == hashlib.sha256(rendition_of(data)).digest()
    assert newest.findings_text is not None
    assert findings_from_text(newest.findings_text) == Findings(pdf_version="1.7", has_form=True)


@pytest.mark.parametrize(("offset", "limit"), [(0, 1), (5, 2 * MIB), (MIB, 1), (3 * MIB, 0), (-1, 0)])
async def test_a_signer_reads_any_range_of_the_rendition_and_nothing_of_the_original(
    sqlite_world: World, offset: int, limit: int
) -> None:
    world, data = sqlite_world, pdf_of(6 * MIB)
    document_id = await world.upload(world.member(), data)
    signer = world.signer(await world.send(document_id))
    expected = rendition_of(data)[offset:]
    for content in (None, Content.RENDITION):
        came = await world.download(signer, document_id, 0, offset, limit, content=content)
        assert came == (expected[:limit] if limit else expected)
    with pytest.raises(NotFound):
        await world.download(signer, document_id, 0, offset, limit, content=Content.ORIGINAL)
    assert rendition_of(data)[:64] not in await world.blobs.get((await world.renditions())[0])


async def test_the_events_tell_which_content_was_read(sqlite_world: World) -> None:
    world, owner = sqlite_world, sqlite_world.member()
    document_id = await world.upload(owner, pdf_of(100))
    signer = world.signer(await world.send(document_id))
    for caller, content, told in (
        (owner, None, "original"),
        (owner, Content.RENDITION, "rendition"),
        (signer, None, "rendition"),
    ):
        await world.download(caller, document_id, content=content)
        assert f'"content":"{told}"' in (await world.event_rows())[-1].body


async def test_the_two_contents_do_not_pass_for_each_other(sqlite_world: World, tmp_path: Path) -> None:
    caller = sqlite_world.member()
    document_id = await sqlite_world.upload(caller, pdf_of(2000))
    ((original,), (rendition,)) = await sqlite_world.originals(), await sqlite_world.renditions()
    one, two = (tmp_path / "blobs" / key for key in (original, rendition))
    for path in (one, two):
        path.chmod(0o600)
    stored = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(stored)
    for content in Content:
        with pytest.raises(DataLoss):
            await sqlite_world.download(caller, document_id, content=content)


async def client_encrypted(
    world: World, caller: Caller, document_id: str, content: Content | None
) -> tuple[bytes, bytes, bytes]:
    """A client-encrypted download: the stream, its header, and the wrapped key's opening."""
    reader = ReceiverKey.generate()
    download = await world.downloads.open(
        caller, document_id, 0, 0, 0, client_public_key=reader.public_bytes, content=content
    )
    assert download.client_encrypted_stream is not None
    rendition = download.content is Content.RENDITION
    info = client_encryption_info(world.tenant_id, document_id, 1, rendition=rendition)
    with pytest.raises(UnwrapError):
        reader.unwrap(
            download.client_encrypted_stream.wrapped_dek,
            client_encryption_info(world.tenant_id, document_id, 1, rendition=not rendition),
        )
    try:
        stream = b"".join([each.data async for each in download.chunks])
    finally:
        await download.close()
    return (
        stream,
        download.client_encrypted_stream.header,
        reader.unwrap(download.client_encrypted_stream.wrapped_dek, info),
    )


async def test_a_reader_of_client_encrypted_chunks_opens_the_rendition_and_no_original_with_its_key(
    sqlite_world: World,
) -> None:
    world, owner, data = sqlite_world, sqlite_world.member(), pdf_of(3 * MIB)
    document_id = await world.upload(owner, data)
    signer = world.signer(await world.send(document_id))
    content_id = (world.tenant_id, document_id, 1)
    stream, _, key = await client_encrypted(world, signer, document_id, None)
    decryptor = StreamDecryptor(key, rendition_aad(*content_id))
    assert b"".join([*decryptor.update(stream), decryptor.finish()]) == rendition_of(data)
    original, header, own = await client_encrypted(world, owner, document_id, None)
    assert own != key
    with pytest.raises(SegmentError):
        SegmentCipher(key, document_aad(*content_id), header).decrypt(0, False, original[40 : 1 << 20])


async def test_a_version_from_before_gets_its_rendition_when_it_is_sent(world: World) -> None:
    caller, data = world.member(), pdf_of(500)
    document_id = await world.upload(caller, data)
    signer = world.signer(await world.send(document_id))
    await forget(world)
    for reader, content in ((caller, Content.RENDITION), (signer, None)):
        with pytest.raises(FailedPrecondition) as none:
            await world.download(reader, document_id, content=content)
        assert none.value.reason == "NO_RENDITION"
    version = (await world.documents.get(caller, document_id)).versions[0]
    assert (version.rendition_size, version.findings_text) == (None, None)

    facts = await world.signing_documents.describe(caller, document_id)
    assert facts.rendition_sha256 == hashlib.sha256(rendition_of(data)).digest()
    assert facts.rendition_size == len(rendition_of(data))
    assert await world.download(signer, document_id) == rendition_of(data)
    assert await world.signing_documents.describe(caller, document_id) == facts
    assert world.sandbox.seen == [data, data], "made once more, and not each time"


async def test_a_sealed_document_is_itself_to_its_signers_whatever_becomes_of_it(world: World) -> None:
    """It can be sent for signing again, and only then has a rendition: for whoever signs that."""
    sender, data = world.member(), pdf_of(700)
    request_id = await world.send(await world.upload(sender, pdf_of(100)))
    prepared = await world.signing_documents.store_sealed(
        tenant_id=world.tenant_id, signature_request_id=request_id, title="Signed", data=data
    )
    async with world.database.transaction() as transaction:
        await prepared.insert(transaction, sender.principal_id)
    signer = world.signer(request_id)
    await world.signing_documents.describe(sender, prepared.document_id)
    for content in (None, Content.ORIGINAL):
        assert await world.download(signer, prepared.document_id, content=content) == data
    with pytest.raises(NotFound):
        await world.download(signer, prepared.document_id, content=Content.RENDITION)
    again = world.signer(await world.send(prepared.document_id))
    assert await world.download(again, prepared.document_id) == rendition_of(data)
    with pytest.raises(NotFound):
        await world.download(again, prepared.document_id, content=Content.ORIGINAL)


async def merged(
    world: World, sender: Caller, *, state: str = "AWAITING_SIGNATURES"
) -> tuple[str, str, list[str], bytes]:
    """A request over two documents: it, what was merged for it, those, and its bytes."""
    sources = [await world.upload(sender, pdf_of(300)) for _ in range(2)]
    request_id, data = new_id("req"), pdf_of(5 * MIB)
    prepared = await world.signing_documents.store_merged(
        tenant_id=world.tenant_id,
        signature_request_id=request_id,
        title="Both",
        data=data,
        pages=[Page(595.0, 842.0), Page(595.0, 842.0)],
    )
    async with world.database.transaction() as transaction:
        await prepared.insert(transaction, sender.principal_id)
    await world.send(sources[0], others=sources[1:], merged=prepared.document_id, request_id=request_id, state=state)
    return request_id, prepared.document_id, sources, data


async def test_what_was_merged_is_its_parties_to_read_and_in_no_list(world: World) -> None:
    sender = world.member()
    request_id, document_id, sources, data = await merged(world, sender)
    signer = world.signer(request_id)
    for caller, content in ((signer, None), (signer, Content.RENDITION), (sender, None), (sender, Content.RENDITION)):
        assert await world.download(caller, document_id, content=content) == data
    assert await world.signing_documents.read_rendition(world.tenant_id, document_id, 1) == data
    assert (await world.documents.get(signer, document_id)).versions[0].rendition_size == len(data)
    for caller in (sender, signer, world.member(Scope.ANY)):
        for deleted in (False, True):
            listed = (await world.documents.list(caller, PageRequest(10), show_deleted=deleted)).items
            assert {each.document_id for each in listed} == set(sources)
    for stranger in (world.member(), world.signer(new_id("req"))):
        with pytest.raises(NotFound):
            await world.download(stranger, document_id)
    with pytest.raises(NotFound):
        await world.download(signer, document_id, content=Content.ORIGINAL)
    with pytest.raises(FailedPrecondition) as only:
        await world.download(sender, document_id, content=Content.ORIGINAL)
    assert only.value.metadata["state"] == "MERGED"
    stream, _, key = await client_encrypted(world, signer, document_id, None)
    decryptor = StreamDecryptor(key, rendition_aad(world.tenant_id, document_id, 1))
    assert b"".join([*decryptor.update(stream), decryptor.finish()]) == data
    assert [each.problem async for each in world.scrub.scrub()] == [""] * 3


async def test_what_was_merged_is_changed_by_nobody_and_goes_into_no_other_request(world: World) -> None:
    sender = world.member()
    _, document_id, _, _ = await merged(world, sender, state="CANCELED")
    for attempt in (
        world.documents.delete(sender, document_id, ""),
        world.documents.undelete(sender, document_id, ""),
        world.documents.purge(sender, document_id, ""),
        world.documents.move(sender, document_id, world.member().principal_id, ""),
        world.uploads.start(sender, UploadSpec(document_id=document_id)),
        world.signing_documents.describe(sender, document_id),
    ):
        with pytest.raises(ZegelError):
            await attempt
    assert (await world.documents.get(sender, document_id)).state == "ACTIVE"


async def test_what_was_merged_comes_and_goes_with_what_it_was_merged_of(world: World) -> None:
    sender = world.member()
    request_id, document_id, (one, two), data = await merged(world, sender, state="CANCELED")
    signer = world.signer(request_id)

    async def state() -> str:
        return (await world.documents.get(sender, document_id)).state

    await world.documents.delete(sender, one, "")
    assert await state() == "DELETED"
    with pytest.raises(FailedPrecondition) as gone:
        await world.download(signer, document_id)
    assert gone.value.reason == "DOCUMENT_DESTROYED"
    await world.documents.delete(sender, two, "")
    await world.documents.undelete(sender, one, "")
    assert await state() == "DELETED", "the other is not there"
    await world.documents.undelete(sender, two, "")
    assert await state() == "ACTIVE"
    assert await world.download(signer, document_id) == data

    await world.documents.delete(sender, one, "")
    await world.documents.purge(sender, one, "")
    assert await state() == "PURGED"
    assert [row.document_id for row in await world.version_rows() if row.wrapped_key is not None] == [two]
    await world.remover.drain()
    assert {key.split("/")[2] for key in await world.stored()} == {two}
    await world.documents.delete(sender, two, "")
    await world.documents.purge(sender, two, "")
    await world.remover.drain()
    assert await world.stored() == []


async def test_what_a_request_is_over_is_not_deleted_and_so_what_was_merged_stays(world: World) -> None:
    sender = world.member()
    _, document_id, sources, _ = await merged(world, sender)
    for each in sources:
        with pytest.raises(FailedPrecondition) as used:
            await world.documents.delete(sender, each, "")
        assert used.value.reason == "DOCUMENT_IN_USE"
    assert (await world.documents.get(sender, document_id)).state == "ACTIVE"


def test_findings_are_kept_as_they_were_found() -> None:
    facts = PdfFacts(
        pages=(PageFacts(1.0, 2.0),),
        pdf_version="2.0",
        was_encrypted=True,
        attachment_count=3,
        signatures=(FoundSignature("certification", intact=False, covers_whole_file=True),),
        fonts_substituted=("Helvetica",),
        fonts_missing=("Ünlü",),
        is_tagged=True,
        link_count=7,
        language="de-AT",
        differences=(PageDifference(2, 0.25),),
    )
    found = findings_from_text(findings_to_text(facts))
    for name in Findings.__slots__:
        assert getattr(found, name) == getattr(facts, name)
    assert findings_from_text('{"of_a_later_version":1}') == Findings()
