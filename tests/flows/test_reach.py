"""Who reaches what, over a real server: a document is not handed to whoever knows its identifier."""

from collections.abc import Callable, Iterator

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

import zegel
from support.flow import Office, ready, refused, sign, typed, until, usual_signers
from zegel_server.ids import new_id

Call = Callable[[], object]


def told(call: Call) -> tuple[str, str, str, dict[str, str]]:
    """All that a refused caller learns."""
    with pytest.raises(zegel.ZegelError) as caught:
        call()
    error = caught.value
    return error.code.name, error.message, error.reason, dict(error.metadata)


def absent_alike(pairs: Iterator[tuple[Call, Call]]) -> int:
    """Each first call, of something that is there, is answered as the second, of something that never was."""
    count = 0
    for real, made_up in pairs:
        answer = told(real)
        assert answer[0] == "NOT_FOUND"
        assert answer[2] == "RESOURCE_NOT_FOUND"
        assert answer == told(made_up)
        count += 1
    return count


def document_calls(client: zegel.Client, document_id: str) -> Iterator[tuple[Call, Call]]:
    documents, other = client.documents, new_id("doc")

    def both(call: Callable[[str], object]) -> tuple[Call, Call]:
        return (lambda: call(document_id)), (lambda: call(other))

    yield both(lambda each: documents.get_document(document_id=each))
    yield both(documents.download)
    yield both(lambda each: documents.download(each, version=1, offset=5, length=3))


def sender_calls(client: zegel.Client, request_id: str, signature_id: str) -> Iterator[tuple[Call, Call]]:
    signing, other = client.signing, new_id("req")

    def both(call: Callable[[str], object]) -> tuple[Call, Call]:
        return (lambda: call(request_id)), (lambda: call(other))

    yield both(lambda each: signing.get_signature_request(signature_request_id=each))
    yield both(lambda each: signing.cancel_signature_request(signature_request_id=each))
    yield both(
        lambda each: signing.update_signature_request(
            signature_request=zegel.SignatureRequest(signature_request_id=each),
            update_mask=FieldMask(paths=["expire_time"]),
        )
    )
    yield both(lambda each: signing.create_signer_session(signature_request_id=each, signature_id=signature_id))


def audit_calls(client: zegel.Client, request_id: str, audit_id: str, event_id: str) -> Iterator[tuple[Call, Call]]:
    audit, other = client.audit, new_id("aud")
    yield (
        (lambda: audit.get_transaction(audit_id=audit_id)),
        (lambda: audit.get_transaction(audit_id=other)),
    )
    yield (
        (lambda: list(audit.list_events(signature_request_id=request_id))),
        (lambda: list(audit.list_events(signature_request_id=new_id("req")))),
    )
    yield (
        (lambda: next(iter(audit.watch_events(signature_request_id=request_id)))),
        (lambda: next(iter(audit.watch_events(signature_request_id=new_id("req"))))),
    )
    yield (
        (lambda: audit.get_inclusion_proof(event_id=event_id)),
        (lambda: audit.get_inclusion_proof(event_id=new_id("evt"))),
    )


def first_event(office: Office, audit_id: str) -> str:
    def ask() -> str | None:
        found = office.owner.audit.get_transaction(audit_id=audit_id).events
        return found[0].event_id if found else None

    return until(ask, "the first event")


def test_another_tenant_finds_nothing_of_it(office: Office, other_office: Office) -> None:
    document = office.upload()
    request = office.send(document)
    event_id = first_event(office, request.audit_id)
    for stranger in (other_office.owner, other_office.sender):
        assert absent_alike(document_calls(stranger, document.document_id)) == 3
        assert (
            absent_alike(sender_calls(stranger, request.signature_request_id, request.signatures[0].signature_id)) == 4
        )
    assert absent_alike(audit_calls(other_office.owner, request.signature_request_id, request.audit_id, event_id)) == 4
    assert [each.document_id for each in other_office.owner.documents.list_documents()] == []
    assert list(other_office.owner.signing.list_signature_requests()) == []
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        other_office.send(document)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        other_office.sender.documents.upload(b"%PDF-1.7", document_id=document.document_id)
    assert next(iter(office.sender.documents.list_documents())).document_id == document.document_id


def test_another_member_reaches_only_what_is_their_own(office: Office) -> None:
    document = office.upload()
    request = office.send(document)
    member = office.owner.identity.create_member(name="Ed", email="ed@example.com", roles=["member"]).member
    other = office.root.with_token(office.owner.identity.create_session(member_id=member.member_id).token)
    assert absent_alike(document_calls(other, document.document_id)) == 3
    assert absent_alike(sender_calls(other, request.signature_request_id, request.signatures[0].signature_id)) == 4
    assert list(other.documents.list_documents()) == []
    assert office.owner.documents.get_document(document_id=document.document_id).document.owner_id == office.sender_id


def test_a_signer_reaches_exactly_their_own_request(office: Office, other_office: Office) -> None:
    own_document, not_asked = office.upload(title="Own"), office.upload(title="Not asked for")
    own, another = office.send(own_document), office.send()
    foreign = other_office.send()
    signer = office.signer(own, 0)
    seen = signer.ceremony.open_ceremony().ceremony
    assert seen.signature_request_id == own.signature_request_id
    assert signer.documents.download(own_document.document_id)
    assert [each.document_id for each in signer.documents.list_documents()] == [own_document.document_id]
    for strange in (not_asked.document_id, another.documents[0].document_id, foreign.documents[0].document_id):
        assert absent_alike(document_calls(signer, strange)) == 3


def test_a_signer_reads_the_version_that_was_sent_and_no_other(office: Office) -> None:
    document = office.upload(title="Twice")
    request = office.send(document)
    office.sender.documents.upload(
        office.sender.documents.download(document.document_id), document_id=document.document_id
    )
    signer = office.signer(request, 0)
    seen = signer.documents.get_document(document_id=document.document_id).document
    assert [each.version for each in seen.versions] == [1]
    assert signer.documents.download(document.document_id, version=1)
    assert told(lambda: signer.documents.download(document.document_id, version=2))[0] == "NOT_FOUND"


def test_a_signer_holds_none_of_the_senders_permissions(sqlite_office: Office) -> None:
    office = sqlite_office
    request = office.send()
    signer = office.signer(request, 0)
    own = request.signature_request_id
    calls: dict[str, Call] = {
        "signature_request.cancel": lambda: signer.signing.cancel_signature_request(signature_request_id=own),
        "signature_request.open": lambda: signer.signing.create_signer_session(
            signature_request_id=own, signature_id=request.signatures[1].signature_id
        ),
        "document.create": lambda: signer.documents.upload(b"%PDF-1.7", title="x"),
        "member.create": lambda: signer.identity.create_member(name="x", email="x@example.com"),
        "tenant.create": lambda: signer.identity.create_tenant(name="x"),
        "document.delete": lambda: signer.documents.delete_document(document_id=request.documents[0].document_id),
    }
    for permission, call in calls.items():
        with refused("PERMISSION_DENIED", "PERMISSION_DENIED", permission=permission):
            call()


def test_a_sender_cannot_sign_with_their_own_session(sqlite_office: Office) -> None:
    sqlite_office.send()
    for client in (sqlite_office.sender, sqlite_office.owner):
        with refused("PERMISSION_DENIED", "PERMISSION_DENIED", permission="ceremony.sign"):
            client.ceremony.sign_documents()


def test_who_opened_a_signers_session_is_in_the_trail(office: Office) -> None:
    """OpenSign#2021: the sender takes the signer's link and signs as the signer: the trail says who took it."""
    request = office.send()
    signer = office.signer(request, 0)
    current = signer.identity.get_current_session().session
    assert current.creator_id == office.sender_id
    opened = zegel.EventType.SIGNER_SESSION_CREATED

    def ask() -> list[tuple[str, str]] | None:
        events = office.owner.audit.get_transaction(audit_id=request.audit_id).events
        found = [(each.principal_id, each.resource_id) for each in events if each.type == opened]
        return found or None

    assert until(ask, "the event") == [(office.sender_id, request.signatures[0].signature_id)]


def test_a_signers_session_ends_with_its_revocation_and_takes_nothing_with_it(office: Office) -> None:
    request = office.send()
    opened = office.sender.signing.create_signer_session(
        signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
    )
    signer = office.root.with_token(opened.token)
    ready(signer, [typed("signature-0", "Sanne")])
    office.owner.identity.revoke_session(session_id=opened.session_id)
    with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
        signer.ceremony.sign_documents()
    again = office.signer(request, 0)
    assert again.ceremony.get_ceremony().ceremony.values, "what was filled in is lost"
    again.ceremony.sign_documents()


def test_a_signer_of_one_request_signs_none_of_the_other_signers_of_it(sqlite_office: Office) -> None:
    request = sqlite_office.send(signers=usual_signers(2, in_order=False))
    sign(sqlite_office.signer(request, 0), 0)
    statuses = [each.sign_time.seconds > 0 for each in sqlite_office.get(request).signatures]
    assert statuses == [True, False]
