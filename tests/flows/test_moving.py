"""Documents and signature requests that change hands over a real server: who may give what away, and to whom."""

import json
from typing import Any

import pytest

import zegel
from support.flow import Office, refused, sign, until, usual_fields, usual_signers
from support.people import ANY, OWN, Person, delegate, some_pdf, team_of
from zegel_server.ids import new_id

ABSENT = {"resource": "owner"}


def move(client: zegel.Client, document_id: str, owner_id: str, **more: Any) -> zegel.Document:
    return client.documents.move_document(document_id=document_id, owner_id=owner_id, **more).document


def grants(*names: str, scope: Any) -> list[zegel.Grant]:
    return [zegel.Grant(permission=name, scope=scope) for name in names]


def leaf_of(office: Office, kind: zegel.EventType, resource_id: str) -> dict[str, Any]:
    """The leaf of an event, once it is in the log."""

    def ask() -> dict[str, Any] | None:
        listed = office.owner.audit.list_events(types=[kind])
        return next((json.loads(each.leaf) for each in listed if each.leaf and each.resource_id == resource_id), None)

    return until(ask, "the event")


def test_its_owner_puts_a_document_into_a_team_and_whoever_runs_the_team_takes_it_out(office: Office) -> None:
    ann, ben, boss = Person(office), Person(office), Person(office, "manager")
    team = team_of(office, ann, ben)
    document = ann.office.upload()
    with refused("ABORTED", "ETAG_MISMATCH"):
        move(ann.client, document.document_id, team.team_id, etag='"0"')
    moved = move(ann.client, document.document_id, team.team_id, etag=document.etag)
    assert (moved.owner_id, moved.title) == (team.team_id, document.title)
    assert moved.etag != document.etag
    assert [list(moved.versions)] == [list(document.versions)]
    assert ben.listed() == [document.document_id]
    leaf = leaf_of(office, zegel.EventType.DOCUMENT_MOVED, document.document_id)
    assert (leaf["actor"], leaf["owner"], leaf["previous_owner"]) == (ann.member_id, team.team_id, ann.member_id)
    # To take it out is not for whoever is in the team.
    for each in (ann, ben):
        with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER", permission="team.update"):
            move(each.client, document.document_id, each.member_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        move(boss.client, document.document_id, boss.member_id)
    assert move(office.owner, document.document_id, ann.member_id).owner_id == ann.member_id
    assert not ben.reads(document.document_id)
    # A manager runs the team that it has made.
    own = boss.client.permissions.create_team(name="Managed").team
    mine = boss.office.upload()
    move(boss.client, mine.document_id, own.team_id)
    assert move(boss.client, mine.document_id, boss.member_id).owner_id == boss.member_id


def test_a_receiver_out_of_reach_is_as_absent(office: Office, other_office: Office) -> None:
    ann, ben = Person(office), Person(office)
    document = ann.office.upload()
    strange = (team_of(office).team_id, ben.member_id, other_office.sender_id, new_id("tea"), new_id("mem"), "mem_x")
    for named in (*strange, office.tenant_id, document.document_id, "\u00e9"):
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", **ABSENT):
            move(ann.client, document.document_id, named)
    with refused("INVALID_ARGUMENT", "MISSING_FIELD", field="owner_id"):
        move(ann.client, document.document_id, "")
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        move(ben.client, document.document_id, ben.member_id)
    # Whoever reaches everybody gives to everybody in the tenant, and to nobody outside of it.
    for named in (other_office.sender_id, team_of(other_office).team_id, new_id("mem"), "tea_\x00"):
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", **ABSENT):
            move(office.owner, document.document_id, named)
    assert move(office.owner, document.document_id, ben.member_id).owner_id == ben.member_id
    assert ben.reads(document.document_id)
    assert not ann.reads(document.document_id)


def test_nobody_lets_another_reach_by_a_move_what_they_do_not_reach(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    document = ann.office.upload()
    mover = grants("document.move", "document.create", scope=ANY) + grants("document.download", scope=OWN)
    office.owner.permissions.create_role(role=zegel.Role(name="mover", grants=mover))
    clerk = Person(office, "mover")
    puppet = office.owner.identity.create_member(name="N", email="puppet@example.com").member
    for named in (clerk.member_id, ben.member_id, puppet.member_id):
        with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER"):
            move(clerk.client, document.document_id, named)
    assert ann.reads(document.document_id)
    # In a team it is what everybody in it may that counts.
    office.owner.permissions.create_role(role=zegel.Role(name="shredder", grants=grants("document.purge", scope=OWN)))
    team = team_of(office, ann)
    shredder = Person(office, "shredder")
    office.owner.permissions.add_team_member(team_id=team.team_id, principal_id=shredder.member_id)
    with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER", permission="document.purge"):
        move(ann.client, document.document_id, team.team_id)
    office.owner.permissions.remove_team_member(team_id=team.team_id, principal_id=shredder.member_id)
    move(ann.client, document.document_id, team.team_id)


def test_a_delegate_takes_nothing_and_hands_over_what_it_made(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    document, request = ann.office.upload(), ann.office.send()
    made = delegate(ann.client, ann, ben)
    assert ben.reads(document.document_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        move(ben.client, document.document_id, ben.member_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="signature_request"):
        ben.client.signing.move_signature_request(
            signature_request_id=request.signature_request_id, owner_id=ben.member_id
        )
    carried = {each for reach in ben.client.permissions.list_permissions().reaches for each in reach.permissions}
    assert "document.delete" in carried
    assert not {each for each in carried if each.endswith(".move")}
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", field="permissions"):
        delegate(ben.client, ben, ann, 60, "document.move")
    mine = ben.office.upload()
    assert move(ben.client, mine.document_id, ann.member_id).owner_id == ann.member_id
    leaf = leaf_of(office, zegel.EventType.DOCUMENT_MOVED, mine.document_id)
    assert (leaf["delegation"], leaf["delegator"]) == (made.delegation_id, ann.member_id)


def test_what_is_under_way_when_a_document_moves(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    document = ann.office.upload()
    request = ann.office.send(document)
    spec = zegel.UploadSpec(document_id=document.document_id, media_type="application/pdf")
    upload_id = ann.client.documents.start_upload(spec=spec).upload.upload_id
    move(office.owner, document.document_id, ben.member_id)
    # An upload of a version ends, a signer goes on, and who has signed it before may not sign it again.
    with pytest.raises(zegel.FailedPrecondition) as caught:
        ann.client.documents.get_upload(upload_id=upload_id)
    assert caught.value.reason == "UPLOAD_CLOSED"
    sign(ann.office.signer(request, 0), 0)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        ann.office.send(document)
    assert ben.client.documents.upload(some_pdf(), document_id=document.document_id).versions[-1].version > 1
    # What is deleted does not move, and to its own owner nothing does.
    now = ben.client.documents.get_document(document_id=document.document_id).document
    assert move(ben.client, document.document_id, ben.member_id) == now
    other = ben.office.upload()
    ben.client.documents.delete_document(document_id=other.document_id)
    with pytest.raises(zegel.FailedPrecondition) as deleted:
        move(office.owner, other.document_id, ann.member_id)
    assert deleted.value.metadata["state"] == "DELETED"


def test_a_request_moves_with_its_trail_and_its_sealed_document(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    team = team_of(office, ann, ben)
    sent = ann.office.send(signers=usual_signers(1), fields=usual_fields(1))
    named = {"signature_request_id": sent.signature_request_id}
    sign(ann.office.signer(sent, 0), 0)
    sealed = ann.office.sealed(sent)
    with pytest.raises(zegel.FailedPrecondition) as caught:
        move(ann.client, sealed.sealed_document_id, team.team_id)
    assert caught.value.metadata["state"] == "SEALED"
    with refused("ABORTED", "ETAG_MISMATCH"):
        ann.client.signing.move_signature_request(**named, owner_id=team.team_id, etag=sent.etag)
    moved = ann.client.signing.move_signature_request(**named, owner_id=team.team_id, etag=sealed.etag)
    assert moved.signature_request.owner_id == team.team_id
    assert [each.name for each in moved.signature_request.signatures] == [each.name for each in sent.signatures]
    assert ben.client.signing.get_signature_request(**named).signature_request == moved.signature_request
    assert ben.client.documents.download(sealed.sealed_document_id)
    assert ben.client.audit.get_transaction(audit_id=sent.audit_id).events
    # The documents that it was made of stay where they are.
    assert not ben.reads(sent.documents[0].document_id)
    for each in (ann, ben):
        with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER", permission="team.update"):
            each.client.signing.move_signature_request(**named, owner_id=each.member_id)
    office.owner.signing.move_signature_request(**named, owner_id=ben.member_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="signature_request"):
        ann.client.signing.get_signature_request(**named)
    assert not ann.reads(sealed.sealed_document_id)
    assert ben.reads(sealed.sealed_document_id)
    leaf = leaf_of(office, zegel.EventType.SIGNATURE_REQUEST_MOVED, sent.signature_request_id)
    assert {leaf["owner"], leaf["previous_owner"]} <= {ann.member_id, ben.member_id, team.team_id}


def test_a_running_stream_ends_when_what_it_tells_of_is_given_away(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send()
    watched = ann.client.audit.watch_events(signature_request_id=sent.signature_request_id)
    next(iter(watched))
    office.owner.signing.move_signature_request(signature_request_id=sent.signature_request_id, owner_id=ben.member_id)
    told: list[int] = []
    with pytest.raises(zegel.NotFound):
        told.extend(each.event.type for each in watched)
    assert zegel.EventType.SIGNATURE_REQUEST_MOVED not in told


def test_a_request_under_way_is_signed_after_it_moved_and_its_sealed_document_is_the_new_owner_s(
    office: Office,
) -> None:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send(signers=usual_signers(1), fields=usual_fields(1))
    signer = ann.office.signer(sent, 0)
    office.owner.signing.move_signature_request(signature_request_id=sent.signature_request_id, owner_id=ben.member_id)
    sign(signer, 0)
    sealed = ben.office.sealed(sent)
    assert ben.reads(sealed.sealed_document_id)
    assert not ann.reads(sealed.sealed_document_id)
