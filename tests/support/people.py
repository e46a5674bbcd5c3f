"""Members of a tenant who share documents: with sessions, teams and delegations."""

import time

from google.protobuf.timestamp_pb2 import Timestamp

import zegel
from support.flow import Office
from support.sealed import make_pdf
from zegel.permission.v1 import access_pb2
from zegel.permission.v1.sharing_pb2 import Delegation, Team

ANY, OWN = access_pb2.SCOPE_ANY, access_pb2.SCOPE_OWN


def ahead(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromNanoseconds(time.time_ns() + int(seconds * 1e9))
    return moment


class Person:
    """A member with a session."""

    def __init__(self, office: Office, *roles: str) -> None:
        owner = office.owner.identity
        made = owner.create_member(name="P", email=f"{time.time_ns()}@example.com", roles=roles or ["member"])
        self.member_id: str = made.member.member_id
        self._token = owner.create_session(member_id=self.member_id).token
        self.client = self.client_of(office.root)
        self.office = Office(office.server, office.root, office.tenant_id, office.owner, self.client, self.member_id)

    def client_of(self, root: zegel.Client) -> zegel.Client:
        """A client in this session, over another connection."""
        return root.with_token(self._token)

    def reads(self, document_id: str) -> bool:
        try:
            self.client.documents.get_document(document_id=document_id)
        except zegel.NotFound:
            return False
        return True

    def listed(self) -> list[str]:
        return [each.document_id for each in self.client.documents.list_documents(page_size=2)]


def some_pdf() -> bytes:
    return make_pdf(str(time.time_ns()))


def team_of(office: Office, *people: Person) -> Team:
    team = office.owner.permissions.create_team(name="Lettings").team
    for each in people:
        office.owner.permissions.add_team_member(team_id=team.team_id, principal_id=each.member_id)
    return team


def delegate(maker: zegel.Client, one: Person, other: Person, seconds: float = 3600, *only: str) -> Delegation:
    made = maker.permissions.create_delegation(
        delegator_id=one.member_id, delegate_id=other.member_id, expire_time=ahead(seconds), permissions=only
    )
    return made.delegation
