"""Teams and delegations over a real server: what they share, to whom, until when, and what nobody gets by them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

import zegel
from support.flow import Office, Uploading, chunks, end_of, refused, until
from support.people import ANY, OWN, Person, ahead, delegate, some_pdf, team_of


def test_what_a_team_owns_all_in_it_reach_and_nobody_else(office: Office) -> None:
    ann, ben, eve = Person(office), Person(office), Person(office)
    team = team_of(office, ann, ben)
    mine = ann.office.upload()
    ours = ann.client.documents.upload(some_pdf(), title="Ours", team_id=team.team_id)
    assert ours.owner_id == team.team_id
    assert ben.reads(ours.document_id)
    assert not ben.reads(mine.document_id)
    assert not eve.reads(ours.document_id)
    # A request over it is the team's if it is said so; everybody in the team sees it, its trail, and may cancel it.
    sent = ben.office.send(ours, team_id=team.team_id)
    assert sent.owner_id == team.team_id
    named = {"signature_request_id": sent.signature_request_id}
    assert ann.client.signing.get_signature_request(**named).signature_request.title == sent.title
    assert [each.signature_request_id for each in ann.client.signing.list_signature_requests()] == [
        sent.signature_request_id
    ]
    assert ann.client.audit.get_transaction(audit_id=sent.audit_id).events
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="signature_request"):
        eve.client.signing.get_signature_request(**named)
    assert list(eve.client.signing.list_signature_requests()) == []
    ann.client.signing.cancel_signature_request(signature_request_id=sent.signature_request_id)
    # An upload of the team's is taken up by whoever is in it; who leaves loses all of it with the next request.
    spec = zegel.UploadSpec(title="x", size=10, media_type="application/pdf", team_id=team.team_id)
    upload_id = ann.client.documents.start_upload(spec=spec).upload.upload_id
    assert ben.client.documents.get_upload(upload_id=upload_id).upload.upload_id == upload_id
    office.owner.permissions.remove_team_member(team_id=team.team_id, principal_id=ben.member_id)
    assert not ben.reads(ours.document_id)
    assert ben.listed() == []
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="upload"):
        ben.client.documents.get_upload(upload_id=upload_id)
    assert ann.reads(ours.document_id)
    office.owner.permissions.delete_team(team_id=team.team_id)
    assert not ann.reads(ours.document_id)
    assert office.owner.documents.get_document(document_id=ours.document_id).document.owner_id == team.team_id


def test_a_list_over_several_owners_is_whole_in_order_and_without_repetition(office: Office) -> None:
    ann = Person(office)
    teams = [team_of(office, ann) for _ in range(2)]
    made = [
        ann.client.documents.upload(some_pdf(), title="x", team_id=team_id).document_id
        for _ in range(3)
        for team_id in ("", teams[0].team_id, teams[1].team_id)
    ]
    assert ann.listed() == made[::-1]
    owners = [["", teams[0].team_id, teams[1].team_id][number % 3] for number in range(5)]
    document = ann.client.documents.get_document(document_id=made[0]).document
    sent = [ann.office.send(document, team_id=owner).signature_request_id for owner in owners]
    found = ann.client.signing.list_signature_requests(page_size=2, read_mask=["*"])
    assert [(each.signature_request_id, len(each.signatures), len(each.documents)) for each in found] == [
        (each, 2, 1) for each in sent[::-1]
    ]


def test_a_team_that_the_caller_is_not_in_is_as_absent(office: Office, other_office: Office) -> None:
    ann = Person(office)
    for named in (team_of(office).team_id, team_of(other_office).team_id, "tea_" + "0" * 26, "tea_x"):
        spec = zegel.UploadSpec(title="x", media_type="application/pdf", team_id=named)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="team"):
            ann.client.documents.start_upload(spec=spec)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="team"):
            ann.office.send(team_id=named)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="team"):
            ann.client.permissions.get_team(team_id=named)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="team"):
            list(ann.client.permissions.list_team_members(team_id=named))
    assert list(ann.client.permissions.list_teams()) == []


def test_what_somebody_held_once_keeps_nobody_out_of_a_team(office: Office) -> None:
    """Who adds to a team must reach what the one added could use there: what it could use, and may no more, is none."""
    boss, eve = Person(office, "manager"), Person(office, "member")
    grants = [zegel.Grant(permission="document.purge", scope=OWN)]
    office.owner.permissions.create_role(role=zegel.Role(name="shredder", grants=grants))
    who = eve.member_id
    office.owner.permissions.grant_role(principal_id=who, role="shredder")
    team_id = boss.client.permissions.create_team(name="Ours").team.team_id
    with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER", permission="document.purge"):
        boss.client.permissions.add_team_member(team_id=team_id, principal_id=who)
    office.owner.permissions.grant_role(principal_id=who, role="shredder", expire_time=ahead(3))
    bindings = office.owner.permissions.list_bindings
    until(lambda: not list(bindings(principal_id=who, role="shredder")) or None, "the end of the role")
    boss.client.permissions.add_team_member(team_id=team_id, principal_id=who)


def test_teams_are_named_changed_and_left_by_the_clock(office: Office) -> None:
    ann = Person(office)
    team = team_of(office, ann)
    assert list(ann.client.permissions.list_teams()) == [team]
    changed = office.owner.permissions.update_team(
        team=zegel.Team(team_id=team.team_id, name="Sales", etag=team.etag)
    ).team
    assert ann.client.permissions.get_team(team_id=team.team_id).team == changed
    with refused("ABORTED", "ETAG_MISMATCH"):
        office.owner.permissions.update_team(team=zegel.Team(team_id=team.team_id, name="Other", etag=team.etag))
    with refused("PERMISSION_DENIED", "PERMISSION_DENIED", permission="team.update"):
        ann.client.permissions.update_team(team=zegel.Team(team_id=team.team_id, name="Mine"))
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", field="name"):
        office.owner.permissions.create_team(name="x" * 201)
    members = office.owner.permissions.list_team_members(team_id=team.team_id)
    assert ann.member_id in {each.principal_id for each in members}
    document = ann.client.documents.upload(some_pdf(), title="x", team_id=team.team_id)
    office.owner.permissions.add_team_member(team_id=team.team_id, principal_id=ann.member_id, expire_time=ahead(0.7))
    assert ann.reads(document.document_id)
    time.sleep(0.8)
    assert not ann.reads(document.document_id)


def test_nobody_gets_by_a_team_what_they_do_not_reach(office: Office) -> None:
    manager, developer, member = Person(office, "manager"), Person(office, "developer"), Person(office)
    team = team_of(office, member)
    document = member.client.documents.upload(some_pdf(), title="x", team_id=team.team_id)
    # A manager reads everything, but deletes only its own: in the team it would delete the team's.
    nobody = office.owner.identity.create_member(name="N", email="puppet@example.com").member
    for whom in (manager.member_id, nobody.member_id, developer.member_id):
        with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER"):
            manager.client.permissions.add_team_member(team_id=team.team_id, principal_id=whom)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        manager.client.documents.delete_document(document_id=document.document_id)
    # Of a team that it has made, it is the first.
    own = manager.client.permissions.create_team(name="Managed").team
    manager.client.permissions.add_team_member(team_id=own.team_id, principal_id=developer.member_id)
    # Who has a token of somebody in the team acts in it: so nobody gets one who does not reach it.
    opener = [zegel.Grant(permission=each, scope=OWN) for each in ("document.read", "document.create")]
    opener += [zegel.Grant(permission=each, scope=ANY) for each in ("session.create", "permission.check")]
    office.owner.permissions.create_role(role=zegel.Role(name="opener", grants=opener))
    office.owner.permissions.create_role(role=zegel.Role(name="reader", grants=opener[:1]))
    reader, opens = Person(office, "reader"), Person(office, "opener")
    opens.client.identity.create_session(member_id=reader.member_id)
    office.owner.permissions.add_team_member(team_id=team.team_id, principal_id=reader.member_id)
    with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER", permission="document.read"):
        opens.client.identity.create_session(member_id=reader.member_id)


def test_a_delegate_does_what_both_may_for_as_long_as_both_may(office: Office) -> None:
    ann, ben, eve = Person(office), Person(office), Person(office)
    document = ann.office.upload()
    made = delegate(ann.client, ann, ben)
    assert (made.delegator_id, made.delegate_id, list(made.permissions)) == (ann.member_id, ben.member_id, [])
    assert ben.reads(document.document_id)
    assert ben.listed() == [document.document_id]
    assert not eve.reads(document.document_id)
    assert not ann.reads(ben.office.upload().document_id)
    # It is not transitive, nor does it reach what the delegator's team owns.
    team = team_of(office, ann)
    ours = ann.client.documents.upload(some_pdf(), title="x", team_id=team.team_id)
    delegate(ben.client, ben, eve)
    assert not eve.reads(document.document_id)
    assert not ben.reads(ours.document_id)
    # The delegator's roles bound it at every moment, and so do the delegate's.
    roles = office.owner.permissions
    roles.take_role(principal_id=ann.member_id, role="member")
    assert not ben.reads(document.document_id)
    roles.grant_role(principal_id=ann.member_id, role="auditor")
    assert ben.reads(document.document_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        ben.client.documents.delete_document(document_id=document.document_id)
    roles.grant_role(principal_id=ann.member_id, role="member")
    roles.take_role(principal_id=ann.member_id, role="auditor")
    assert [each.delegation_id for each in ann.client.permissions.list_delegations()] == [made.delegation_id]
    assert len(list(ben.client.permissions.list_delegations())) == 2
    assert list(office.sender.permissions.list_delegations()) == []
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="delegation"):
        eve.client.permissions.end_delegation(delegation_id=made.delegation_id)
    ben.client.permissions.end_delegation(delegation_id=made.delegation_id)
    assert not ben.reads(document.document_id)


def test_a_delegation_ends_by_the_clock_and_with_either_member(office: Office) -> None:
    ann, ben, cat = Person(office), Person(office), Person(office)
    document = ann.office.upload()
    delegate(ann.client, ann, ben, 1.0)
    assert ben.reads(document.document_id)
    time.sleep(1.1)
    assert not ben.reads(document.document_id)
    assert list(ann.client.permissions.list_delegations()) == []
    delegate(ann.client, ann, ben)
    delegate(ann.client, ann, cat)
    office.owner.identity.delete_member(member_id=ben.member_id)
    assert [each.delegate_id for each in ann.client.permissions.list_delegations()] == [cat.member_id]
    office.owner.identity.delete_member(member_id=ann.member_id)
    assert not cat.reads(document.document_id)


def test_a_delegation_that_is_narrowed_carries_that_alone(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    document = ann.office.upload()
    delegate(ann.client, ann, ben, 3600, "document.read")
    assert ben.reads(document.document_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        ben.client.documents.download(document.document_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        ben.office.send(document)
    with refused("ALREADY_EXISTS", "ALREADY_EXISTS", resource="delegation"):
        delegate(ann.client, ann, ben)


BAD: dict[str, tuple[Callable[[Person, Person], dict[str, Any]], str]] = {
    "to itself": (lambda ann, _: {"delegate_id": ann.member_id}, "delegate_id"),
    "for ever": (lambda _ann, _ben: {"expire_time": None}, "expire_time"),
    "for two years": (lambda _ann, _ben: {"expire_time": ahead(2 * 366 * 86400)}, "expire_time"),
    "in the past": (lambda _ann, _ben: {"expire_time": ahead(-1)}, "expire_time"),
    "somebody's sessions": (lambda _ann, _ben: {"permissions": ["session.create"]}, "permissions"),
    "what is no permission": (lambda _ann, _ben: {"permissions": ["document.eat"]}, "permissions"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_delegated(office: Office, name: str) -> None:
    ann, ben = Person(office), Person(office)
    change, field = BAD[name]
    asked: dict[str, Any] = {"delegator_id": ann.member_id, "delegate_id": ben.member_id, "expire_time": ahead(60)}
    with pytest.raises(zegel.ZegelError) as caught:
        ann.client.permissions.create_delegation(**(asked | change(ann, ben)))
    assert (caught.value.code.name, caught.value.metadata["field"]) == ("INVALID_ARGUMENT", field)


def test_nobody_delegates_what_is_not_theirs_to_give(office: Office, other_office: Office) -> None:
    ann, ben, manager = Person(office), Person(office), Person(office, "manager")
    document = ann.office.upload()
    for client in (ben.client, manager.client):
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="member"):
            delegate(client, ann, ben)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="member"):
        delegate(ann.client, ann, Person(other_office))
    # Who may delegate for others makes over what it holds itself, pinned to what the delegator held then.
    grants = [
        zegel.Grant(permission="delegation.create", scope=ANY),
        zegel.Grant(permission="document.read", scope=OWN),
    ]
    office.owner.permissions.create_role(role=zegel.Role(name="clerk", grants=grants))
    clerk = Person(office, "clerk")
    with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER"):
        delegate(clerk.client, ann, clerk)
    nobody = Person(office, "clerk")
    office.owner.permissions.take_role(principal_id=nobody.member_id, role="clerk")
    with refused("FAILED_PRECONDITION", "NOTHING_TO_DELEGATE"):
        delegate(clerk.client, nobody, ben)
    made = delegate(office.owner, ann, ben)
    assert "document.delete" in made.permissions
    assert "document.purge" not in made.permissions
    assert ben.reads(document.document_id)
    # A session that is narrowed delegates no more than it is narrowed to.
    narrow = office.owner.identity.create_session(
        member_id=ann.member_id, permissions=["delegation.create", "document.read"]
    )
    with refused("PERMISSION_DENIED", "GRANT_EXCEEDS_GRANTER"):
        delegate(office.root.with_token(narrow.token), ann, manager)
    made = delegate(office.root.with_token(narrow.token), ann, manager, 60, "document.read")
    assert list(made.permissions) == ["document.read"]


def test_a_delegate_never_acts_as_the_delegator(office: Office) -> None:
    ann, ben = Person(office, "developer"), Person(office, "developer")
    delegate(ann.client, ann, ben)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="member"):
        ben.client.identity.create_session(member_id=ann.member_id)
    mine = {each.principal_id for each in ben.client.identity.list_sessions()}
    assert mine <= {ben.member_id}


def test_the_trail_says_who_acted_for_whom(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    made = delegate(ann.client, ann, ben)
    sent = ann.office.send()
    ben.client.documents.download(sent.documents[0].document_id)
    ben.client.signing.cancel_signature_request(signature_request_id=sent.signature_request_id)
    events = office.owner.audit.get_transaction(audit_id=sent.audit_id).events
    leaf = json.loads(events[-1].leaf)
    assert (leaf["actor"], leaf["delegation"], leaf["delegator"]) == (ben.member_id, made.delegation_id, ann.member_id)
    assert "delegation" not in json.loads(events[0].leaf)

    def downloaded() -> dict[str, object] | None:
        acts = [json.loads(each.leaf) for each in office.owner.audit.list_events(principal_id=ben.member_id)]
        return next((each for each in acts if each["resource"] == sent.documents[0].document_id), None)

    assert until(downloaded, "the download's event")["delegation"] == made.delegation_id


def test_a_running_stream_ends_with_what_let_it_in(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send()
    made = delegate(ann.client, ann, ben)
    watched = ben.client.audit.watch_events(signature_request_id=sent.signature_request_id)
    next(iter(watched))
    ann.client.permissions.end_delegation(delegation_id=made.delegation_id)
    with pytest.raises(zegel.ZegelError) as caught:
        for _ in watched:
            pass
    assert caught.value.code.name in {"UNAVAILABLE", "NOT_FOUND"}


def test_it_is_told_through_what_something_is_reached(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    team = team_of(office, ben)
    made = delegate(ann.client, ann, ben, 3600, "document.read")
    listed = {each.owner_id: each for each in ben.client.permissions.list_permissions().reaches}
    assert listed.keys() == {team.team_id, ann.member_id}
    assert list(listed[ann.member_id].permissions) == ["document.read"]
    assert listed[ann.member_id].delegation_id == made.delegation_id
    assert listed[ann.member_id].expire_time == made.expire_time
    assert "document.delete" in listed[team.team_id].permissions
    assert not {each for each in listed[team.team_id].permissions if each.startswith(("session.", "api_key."))}
    asked = ["document.read", "document.delete", "tenant.read"]
    checks = ben.client.permissions.check_permissions(permissions=asked).checks
    owners = [{each.owner_id for each in check.reaches} for check in checks]
    assert owners == [{team.team_id, ann.member_id}, {team.team_id}, set()]
    told = office.owner.permissions.explain_permission(principal_id=ben.member_id, permission="document.read")
    assert {each.owner_id for each in told.reaches} == {team.team_id, ann.member_id}


def test_who_left_a_team_adds_no_version_to_what_it_owns(office: Office) -> None:
    """Not by an upload that was opened while they were in it, either: it is their own, and the document is not."""
    ann, ben = Person(office), Person(office)
    team = team_of(office, ann, ben)
    ours = ann.client.documents.upload(some_pdf(), title="Ours", team_id=team.team_id)
    spec = zegel.UploadSpec(document_id=ours.document_id, media_type="application/pdf")
    upload_id = ben.client.documents.start_upload(spec=spec).upload.upload_id
    office.owner.permissions.remove_team_member(team_id=team.team_id, principal_id=ben.member_id)
    data = some_pdf()
    messages = [
        zegel.UploadDocumentRequest(upload_id=upload_id),
        *chunks(data),
        zegel.UploadDocumentRequest(finish=end_of(data)),
    ]
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        Uploading(ben.office)(*messages)
    assert len(ann.client.documents.get_document(document_id=ours.document_id).document.versions) == 1
    office.owner.permissions.add_team_member(team_id=team.team_id, principal_id=ben.member_id)
    assert len(Uploading(ben.office)(*messages).document.versions) == 2
