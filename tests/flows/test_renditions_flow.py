"""What is sealed is what was seen: the rendition, from its upload to the sealed file that begins with it."""

import hashlib

import pytest

import zegel
from support.flow import Office, place, ready, sign, typed, usual_fields
from support.pdfs import one_page
from support.sealed import make_pdf


def shown_to(office: Office, document: zegel.Document) -> bytes:
    return office.sender.documents.download(document.document_id, content="rendition")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_the_sealed_file_begins_with_what_every_signer_was_shown(office: Office, count: int) -> None:
    documents = [office.upload(make_pdf(f"Part {number}", number + 1)) for number in range(count)]
    fields = usual_fields()
    fields.append(place("last", "TEXT", document_index=count - 1, page=count, signer_index=0, y=300.0))
    request = office.send(*documents, fields=fields)
    shown = request.rendition
    assert shown.page_count == sum(range(1, count + 1))
    assert list(shown.first_pages) == [1, 2, 4][:count]
    read = []
    for index in range(2):
        signer = office.signer(request, index)
        seen = ready(signer, [typed(f"signature-{index}", "Ann")])
        assert seen.rendition == shown
        read += [signer.documents.download(seen.rendition.document_id, client_encrypted=each) for each in (False, True)]
        signer.ceremony.sign_documents()
    assert len(set(read)) == 1
    assert (hashlib.sha256(read[0]).digest(), len(read[0])) == (shown.sha256, shown.size)
    done = office.finish(request)
    assert done.sealed.startswith(read[0])
    assert office.sender.documents.download(shown.document_id, content="rendition") == read[0]


def test_a_signer_is_refused_every_original_as_if_there_were_none(office: Office) -> None:
    documents = [office.upload(), office.upload()]
    request = office.send(*documents)
    signer = office.signer(request, 0)
    for each in documents:
        assert signer.documents.download(each.document_id) == shown_to(office, each)
        assert signer.documents.download(each.document_id, content="rendition", offset=5, length=9)
        with pytest.raises(zegel.NotFound) as refused:
            signer.documents.download(each.document_id, content="original")
        assert refused.value.resource == "document"
    with pytest.raises(zegel.NotFound):
        signer.documents.download(request.rendition.document_id, content="original")


def test_what_was_merged_is_in_no_list_and_goes_with_what_it_was_merged_of(office: Office) -> None:
    documents = [office.upload(), office.upload()]
    request = office.send(*documents)
    merged = request.rendition.document_id
    listed = {each.document_id for each in office.sender.documents.list_documents(show_deleted=True)}
    assert {each.document_id for each in documents} <= listed
    assert merged not in listed
    office.sender.signing.cancel_signature_request(signature_request_id=request.signature_request_id)
    with pytest.raises(zegel.FailedPrecondition):
        office.sender.documents.delete_document(document_id=merged)
    assert office.sender.documents.download(merged)
    office.owner.documents.delete_document(document_id=documents[1].document_id)
    office.owner.documents.purge_document(document_id=documents[1].document_id)
    with pytest.raises(zegel.FailedPrecondition) as gone:
        office.sender.documents.download(merged)
    assert gone.value.reason == "DOCUMENT_DESTROYED"
    assert office.sender.documents.download(documents[0].document_id)


def test_what_was_merged_moves_with_its_request(office: Office) -> None:
    request = office.send(office.upload(), office.upload())
    merged = request.rendition.document_id
    team = office.owner.permissions.create_team(name="Lettings").team
    with pytest.raises(zegel.FailedPrecondition):
        office.owner.documents.move_document(document_id=merged, owner_id=team.team_id)
    named = {"signature_request_id": request.signature_request_id}
    moved = office.owner.signing.move_signature_request(**named, owner_id=team.team_id).signature_request
    assert moved.rendition == request.rendition
    assert office.owner.documents.get_document(document_id=merged).document.owner_id == team.team_id
    with pytest.raises(zegel.NotFound):
        office.sender.documents.download(merged)
    assert office.owner.documents.download(merged)


def test_what_was_found_is_told_before_anything_is_sent(office: Office) -> None:
    plain = office.upload()
    assert plain.versions[0].findings.pdf_version
    assert plain.versions[0].rendition.size == len(shown_to(office, plain))
    scripted = one_page(
        b"0 0 100 100 re f", catalog=b"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> /Lang (en-GB)"
    )
    document = office.upload(scripted)
    assert document.versions[0].findings.has_scripts
    assert document.versions[0].findings.language == "en-GB"
    assert b"JavaScript" not in shown_to(office, document)


@pytest.mark.slow
def test_a_sealed_document_can_be_sent_for_signing_again(sqlite_office: Office) -> None:
    office = sqlite_office
    request = office.send()
    for index in range(2):
        sign(office.signer(request, index), index)
    done = office.finish(request)
    sealed = office.sender.documents.get_document(document_id=done.request.sealed_document_id).document
    assert not sealed.versions[0].HasField("rendition")
    again = office.send(sealed)
    assert again.rendition.document_id == sealed.document_id
    now = office.sender.documents.get_document(document_id=sealed.document_id).document
    assert now.versions[0].findings.signatures
    assert office.signer(again, 0).documents.download(sealed.document_id) != done.sealed
    assert office.signer(request, 0).documents.download(sealed.document_id) == done.sealed
