"""What somebody handed out to signers ends when their own access does, or passes to the request's next owner."""

import time
from collections.abc import Callable
from typing import Any

import pytest

import zegel
from support.flow import Office, refused, sign, usual_fields, usual_signers
from support.people import Person, ahead, delegate, team_of
from zegel.errors import ZegelError

Ending = Callable[[], object]


class Given:
    """A session and a link that somebody handed out for a request."""

    def __init__(self, office: Office, by: zegel.Client, request: zegel.SignatureRequest) -> None:
        named: dict[str, Any] = {
            "signature_request_id": request.signature_request_id,
            "signature_id": request.signatures[0].signature_id,
        }
        self.root = office.root
        self.signer = office.root.with_token(by.signing.create_signer_session(**named).token)
        self.redeemed = office.root.exchange(by.signing.create_signer_link(**named).token)
        self.link = by.signing.create_signer_link(**named).token
        for each in (self.signer, self.redeemed):
            each.ceremony.get_ceremony()

    def ended(self, session: str = "SESSION_REVOKED", link: str = "LINK_REVOKED") -> None:
        for each in (self.signer, self.redeemed):
            with refused("UNAUTHENTICATED", session):
                each.ceremony.get_ceremony()
        with refused("UNAUTHENTICATED", link):
            self.root.exchange(self.link)

    def stands(self) -> None:
        for each in (self.signer, self.redeemed):
            each.ceremony.get_ceremony()
        self.root.exchange(self.link).ceremony.get_ceremony()


def by_delegation(office: Office) -> tuple[Given, dict[str, Ending]]:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send()
    made = delegate(ann.client, ann, ben)
    permissions, identity = office.owner.permissions, office.owner.identity
    return Given(office, ben.client, sent), {
        "the delegation is ended": lambda: ann.client.permissions.end_delegation(delegation_id=made.delegation_id),
        "the delegate is deleted": lambda: identity.delete_member(member_id=ben.member_id),
        "the delegator is deleted": lambda: identity.delete_member(member_id=ann.member_id),
        "the delegate loses its role": lambda: permissions.take_role(principal_id=ben.member_id, role="member"),
        "the delegator loses its role": lambda: permissions.take_role(principal_id=ann.member_id, role="member"),
    }


def by_team(office: Office) -> tuple[Given, dict[str, Ending]]:
    ann = Person(office)
    team = team_of(office, ann)
    sent = Office(office.server, office.root, office.tenant_id, office.owner, ann.client, "", team.team_id).send()
    permissions, identity = office.owner.permissions, office.owner.identity
    named = {"team_id": team.team_id, "principal_id": ann.member_id}
    return Given(office, ann.client, sent), {
        "they leave the team": lambda: permissions.remove_team_member(**named),
        "they are deleted": lambda: identity.delete_member(member_id=ann.member_id),
    }


def by_itself(office: Office) -> tuple[Given, dict[str, Ending]]:
    ann = Person(office)
    permissions, identity = office.owner.permissions, office.owner.identity
    return Given(office, ann.client, ann.office.send()), {
        "it is deleted": lambda: identity.delete_member(member_id=ann.member_id),
        "it loses its role": lambda: permissions.take_role(principal_id=ann.member_id, role="member"),
    }


def by_role(office: Office) -> tuple[Given, dict[str, Ending]]:
    boss = Person(office, "owner")
    permissions = office.owner.permissions
    return Given(office, boss.client, office.send()), {
        "it loses its role": lambda: permissions.take_role(principal_id=boss.member_id, role="owner"),
    }


def by_key(office: Office) -> tuple[Given, dict[str, Ending]]:
    made = office.owner.identity.create_api_key(name="k", roles=["owner"])
    key_id = made.api_key.api_key_id
    identity, permissions = office.owner.identity, office.owner.permissions
    return Given(office, office.root.with_token(made.token), office.send()), {
        "the key is revoked": lambda: identity.revoke_api_key(api_key_id=key_id),
        "the key loses its role": lambda: permissions.take_role(principal_id=key_id, role="owner"),
    }


WAYS: dict[Callable[[Office], tuple[Given, dict[str, Ending]]], int] = {
    by_delegation: 5,
    by_team: 2,
    by_itself: 2,
    by_role: 1,
    by_key: 2,
}


@pytest.mark.parametrize(
    ("way", "index"),
    [pytest.param(way, index, id=f"{way.__name__}-{index}") for way, count in WAYS.items() for index in range(count)],
)
def test_what_somebody_handed_out_ends_when_their_access_does(
    office: Office, way: Callable[[Office], tuple[Given, dict[str, Ending]]], index: int
) -> None:
    given, endings = way(office)
    assert len(endings) == WAYS[way]
    list(endings.values())[index]()
    given.ended()


def test_it_ends_with_a_delegation_that_expires_by_itself(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send()
    delegate(ann.client, ann, ben, 4)
    given = Given(office, ben.client, sent)
    time.sleep(4.1)
    given.ended()
    # What the owner itself hands out goes on.
    Given(office, ann.client, sent).stands()


def test_it_ends_with_a_key_that_expires_by_itself(office: Office) -> None:
    made = office.owner.identity.create_api_key(name="k", roles=["owner"], expire_time=ahead(4))
    given = Given(office, office.root.with_token(made.token), office.send())
    time.sleep(4.1)
    given.ended("SESSION_EXPIRED", "LINK_EXPIRED")


def test_a_running_stream_of_a_signer_ends_with_it(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    made = delegate(ann.client, ann, ben)
    sent = ann.office.send()
    given = Given(office, ben.client, sent)
    watched = given.signer.audit.watch_events(signature_request_id=sent.signature_request_id)
    next(iter(watched))
    ann.client.permissions.end_delegation(delegation_id=made.delegation_id)
    with pytest.raises(ZegelError) as caught:
        for _ in watched:
            pass
    assert caught.value.reason == "SESSION_REVOKED"


def test_it_passes_to_the_next_owner_and_ends_with_that_one(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    sent = ann.office.send(signers=usual_signers(1), fields=usual_fields(1))
    given = Given(office, ann.client, sent)
    named = {"signature_request_id": sent.signature_request_id}
    office.owner.signing.move_signature_request(**named, owner_id=ben.member_id)
    office.owner.identity.delete_member(member_id=ann.member_id)
    given.stands()
    office.owner.identity.delete_member(member_id=ben.member_id)
    given.ended(link="LINK_SPENT")


def test_it_passes_to_a_team_and_stays_whoever_leaves(office: Office) -> None:
    ann, ben = Person(office), Person(office)
    team = team_of(office, ann, ben)
    sent = ann.office.send(signers=usual_signers(1), fields=usual_fields(1))
    given = Given(office, ann.client, sent)
    named = {"signature_request_id": sent.signature_request_id}
    ann.client.signing.move_signature_request(**named, owner_id=team.team_id)
    for each in (ann, ben):
        office.owner.identity.delete_member(member_id=each.member_id)
    given.stands()
    sign(given.signer, 0)


def test_what_had_ended_does_not_come_back_with_another_owner(office: Office) -> None:
    ann, ben, eve = Person(office), Person(office), Person(office)
    sent = ann.office.send()
    made = delegate(ann.client, ann, eve)
    ended, good = Given(office, eve.client, sent), Given(office, ann.client, sent)
    ann.client.permissions.end_delegation(delegation_id=made.delegation_id)
    named = {"signature_request_id": sent.signature_request_id}
    listed = [
        each.state for each in ann.client.signing.list_signer_links(signature_request_id=sent.signature_request_id)
    ]
    assert listed.count(zegel.SignerLinkState.REVOKED) == 1
    office.owner.signing.move_signature_request(**named, owner_id=ben.member_id)
    ended.ended()
    good.stands()
    delegate(ann.client, ann, eve)
    ended.ended()
