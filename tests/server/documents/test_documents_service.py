"""What is known of documents, and their end."""

import pytest

from support.documents_world import World, found_tenant, pdf_of, rendition_of
from zegel_server.caller import Scope
from zegel_server.documents.model import Content, UploadSpec
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import Aborted, InvalidArgument, NotFound, ZegelError
from zegel_server.ids import new_id

PDF = pdf_of(500)


async def test_absent_foreign_and_out_of_reach_look_the_same(world: World) -> None:
    owner, stranger = world.member(), world.member()
    document_id = await world.upload(owner, PDF)
    foreign_id, foreign_subject = await found_tenant(world.database, world.keys)
    foreign = world.member(Scope.ANY, tenant_id=foreign_id, subject_id=foreign_subject)
    nobody = world.member(Scope.NONE, principal_id=owner.principal_id)
    attempts = [
        (stranger, document_id),
        (foreign, document_id),
        (nobody, document_id),
        (owner, new_id("doc")),
        (owner, "doc_x"),
    ]
    for caller, which in attempts:
        for attempt in (
            world.documents.get(caller, which),
            world.download(caller, which),
            world.documents.rename(caller, which, "New", ""),
            world.documents.delete(caller, which, ""),
            world.documents.undelete(caller, which, ""),
            world.documents.purge(caller, which, ""),
            world.signing_documents.describe(caller, which),
        ):
            with pytest.raises(NotFound) as refusal:
                await attempt
            assert refusal.value.message == "No such document, or it is not yours to see."
    with pytest.raises(InvalidArgument):
        await world.documents.get(owner, "")
    assert (await world.documents.get(world.member(Scope.ANY), document_id)).document_id == document_id
    assert (await world.documents.get(owner, document_id)).state == "ACTIVE"


async def test_lists_are_cut_to_reach_and_paged(world: World) -> None:
    one, two = world.member(), world.member()
    mine = [await world.upload(one, PDF) for _ in range(5)]
    theirs = [await world.upload(two, PDF) for _ in range(2)]
    await world.upload(one, PDF, spec=UploadSpec(document_id=mine[4]))
    await world.documents.delete(one, mine[1], "")

    found = (await world.documents.list(one, PageRequest(3))).items
    assert [each.document_id for each in found] == [mine[4], mine[3], mine[2]]
    assert [len(each.versions) for each in found] == [2, 1, 1]
    rest = (await world.documents.list(one, PageRequest(3, (mine[2],)))).items
    assert [each.document_id for each in rest] == [mine[0]]
    everything = (await world.documents.list(one, PageRequest(100), show_deleted=True)).items
    assert [each.document_id for each in everything] == mine[::-1]
    whole = (await world.documents.list(world.member(Scope.ANY), PageRequest(100))).items
    assert {each.document_id for each in whole} == {*mine, *theirs} - {mine[1]}
    foreign = world.member(Scope.ANY, tenant_id=new_id("ten"))
    assert not (await world.documents.list(foreign, PageRequest(100), show_deleted=True)).items


async def test_a_signer_sees_the_versions_of_their_request_and_no_others(world: World) -> None:
    owner = world.member()
    document_id, other = await world.upload(owner, PDF), await world.upload(owner, PDF)
    newer = pdf_of(600)
    await world.upload(owner, newer, spec=UploadSpec(document_id=document_id))
    request_id = await world.send(document_id, version=1)
    signer = world.signer(request_id)

    document = await world.documents.get(signer, document_id)
    assert [each.number for each in document.versions] == [1]
    assert await world.download(signer, document_id) == rendition_of(PDF), "the newest that the signer reaches"
    assert [each.document_id for each in (await world.documents.list(signer, PageRequest(10))).items] == [document_id]
    for attempt in (
        world.download(signer, document_id, version=2),
        world.download(signer, document_id, content=Content.ORIGINAL),
        world.documents.get(signer, other),
        world.documents.get(world.signer(await world.send(other)), document_id),
        world.documents.delete(signer, document_id, ""),
    ):
        with pytest.raises(NotFound):
            await attempt
    # Being a party counts for a signer's session alone.
    with pytest.raises(NotFound):
        await world.documents.get(world.member(Scope.PARTY, signature_request_id=request_id), document_id)


async def test_a_title_is_changed_under_its_etag(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, PDF)
    before = await world.documents.get(caller, document_id)
    after = await world.documents.rename(caller, document_id, "Lease of flat 5", before.etag)
    assert after.title == "Lease of flat 5"
    assert after.etag != before.etag
    assert after.update_time > before.update_time
    with pytest.raises(Aborted) as refusal:
        await world.documents.rename(caller, document_id, "Lease of flat 6", before.etag)
    assert refusal.value.reason == "ETAG_MISMATCH"
    for title, reason in (("", "MISSING_FIELD"), ("x" * 256, "INVALID_FIELD"), ("a\x00b", "INVALID_FIELD")):
        with pytest.raises(InvalidArgument) as wrong:
            await world.documents.rename(caller, document_id, title, "")
        assert (wrong.value.reason, wrong.value.metadata["field"]) == (reason, "document.title")
    assert await world.documents.rename(caller, document_id, after.title, "") == after, "nothing changed"
    assert (await world.events()).count("DOCUMENT_UPDATED") == 1


async def test_deleting_can_be_taken_back(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, PDF)
    deleted = await world.documents.delete(caller, document_id, "")
    assert (deleted.state, deleted.delete_time) == ("DELETED", deleted.update_time)
    for attempt, reason in (
        (world.download(caller, document_id), "DOCUMENT_DESTROYED"),
        (world.signing_documents.describe(caller, document_id), "DOCUMENT_DESTROYED"),
        (world.documents.delete(caller, document_id, ""), "FAILED_PRECONDITION"),
        (world.documents.rename(caller, document_id, "x", ""), "FAILED_PRECONDITION"),
    ):
        with pytest.raises(ZegelError) as refusal:
            await attempt
        assert refusal.value.reason == reason
    assert (await world.documents.get(caller, document_id)).state == "DELETED"
    back = await world.documents.undelete(caller, document_id, deleted.etag)
    assert (back.state, back.delete_time) == ("ACTIVE", None)
    assert await world.download(caller, document_id) == PDF
    with pytest.raises(ZegelError) as again:
        await world.documents.undelete(caller, document_id, "")
    assert again.value.reason == "FAILED_PRECONDITION"
    assert (await world.events())[1:3] == ["DOCUMENT_DELETED", "DOCUMENT_UNDELETED"]


@pytest.mark.parametrize(
    ("state", "in_use"),
    [("AWAITING_SIGNATURES", True), ("ALL_SIGNED", True), ("DOWNLOADABLE", False), ("CANCELED", False)],
)
async def test_a_document_in_use_is_not_deleted(world: World, state: str, *, in_use: bool) -> None:
    caller = world.member()
    document_id = await world.upload(caller, PDF)
    await world.send(document_id, state=state)
    if not in_use:
        assert (await world.documents.delete(caller, document_id, "")).state == "DELETED"
        return
    with pytest.raises(ZegelError) as refusal:
        await world.documents.delete(caller, document_id, "")
    assert refusal.value.reason == "DOCUMENT_IN_USE"


async def test_purging_destroys_the_key_at_once_and_the_bytes_after_it(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, PDF)
    await world.upload(caller, pdf_of(700), spec=UploadSpec(document_id=document_id))
    open_upload = await world.uploads.start(caller, UploadSpec(document_id=document_id))
    with pytest.raises(ZegelError) as refusal:
        await world.documents.purge(caller, document_id, "")
    assert refusal.value.reason == "FAILED_PRECONDITION"
    await world.documents.delete(caller, document_id, "")
    purged = await world.documents.purge(caller, document_id, "")
    assert (purged.state, purged.title, [each.pages for each in purged.versions]) == ("PURGED", "", [(), ()])
    assert [row.wrapped_key for row in await world.version_rows()] == [None, None]
    assert [row.wrapped_key for row in await world.upload_rows()] == [None, None]
    assert (len(await world.originals()), len(await world.renditions())) == (2, 2), "unreadable, and not yet removed"
    assert [each.findings_text for each in purged.versions] == [None, None]
    assert await world.documents.purge(caller, document_id, "") == purged
    assert (await world.events()).count("DOCUMENT_PURGED") == 1
    for attempt, reason in (
        (world.download(caller, document_id), "DOCUMENT_DESTROYED"),
        (world.signing_documents.read_all(world.tenant_id, document_id, 1), "DOCUMENT_DESTROYED"),
        (world.signing_documents.read_rendition(world.tenant_id, document_id, 1), "DOCUMENT_DESTROYED"),
        (world.download(caller, document_id, content=Content.RENDITION), "DOCUMENT_DESTROYED"),
        (world.documents.undelete(caller, document_id, ""), "FAILED_PRECONDITION"),
        (world.upload(caller, PDF, upload_id=open_upload.upload_id), "UPLOAD_CLOSED"),
    ):
        with pytest.raises(ZegelError) as gone:
            await attempt
        assert gone.value.reason == reason
    assert await world.remover.drain() == 2 * 2 + 1
    assert await world.stored() == []
    assert await world.jobs() == []
