"""A tenant with a caller of every role, what each of them owns in every state, and another tenant beside it.

Everything is made through the public API of a real server, as a partner makes it.
"""

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import zegel
from security.contracts import DELEGATOR, held_by
from security.tokens import ahead, bad_links, bad_tokens
from support.flow import Office, open_office, ready, sign, typed, usual_fields, usual_signers
from support.server import ServerProcess
from zegel.document.v1.document_service_pb2 import UploadSpec
from zegel.permission.v1 import access_pb2
from zegel.permission.v1.permission_service_pb2 import Grant, Role
from zegel.signing.v1.signature_request_pb2 import SignatureRequest
from zegel_server.caller import Scope
from zegel_server.core import SERVICES
from zegel_server.edge.methods import read_contracts
from zegel_server.permissions.model import BUILT_IN, NOT_BINDABLE

SMALL_ROLE: Final = "small-role"
"""A role of either tenant's own that everybody may hand out who may hand out roles."""
OUR_ROLE: Final = "our-role"
"""The same, of the callers' tenant alone."""
OTHER_ROLE: Final = "other-tenants-role"
"""The same, of the other tenant alone."""
LIMITS_OFF: Final = {"ZEGEL_LIMITS": "false"}
"""Settings under which a server counts nothing: nearly all that is sent to it is refused."""
NARROW_TO: Final = frozenset({"document.read", "session.introspect"})
SCOPES: Final = {Scope.OWN: access_pb2.SCOPE_OWN, Scope.PARTY: access_pb2.SCOPE_PARTY, Scope.ANY: access_pb2.SCOPE_ANY}


@dataclass(frozen=True)
class Resource:
    """Something that a request can name.

    Attributes:
        name: Its identifier.
        state: The state that it is in.
        beside: What the other fields must say for a request about it to be whole, by their paths.
    """

    name: str
    state: str = "good"
    beside: Mapping[str, str] = field(default_factory=dict)


Kinds = dict[str, list[Resource]]
"""Resources by their kind."""


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        name: What it is called here.
        token: Its token.
        principal_id: Who it is.
        held: What its roles hold, as they are written down.
        own: What it owns.
        party: What it is a party to.
        delegated: What another owns who delegates it to this caller.
    """

    name: str
    token: str = field(repr=False)
    principal_id: str
    held: Mapping[str, Scope]
    own: Kinds = field(default_factory=dict)
    party: Kinds = field(default_factory=dict)
    delegated: Kinds = field(default_factory=dict)

    def scopes(self, permission: str) -> Scope:
        return self.held.get(permission, Scope.NONE)


@dataclass(frozen=True)
class World:
    """All of it.

    Attributes:
        server: The server.
        callers: Everybody who calls, by name.
        foreign: What a member owns who is none of the callers.
        other: What another tenant has.
        bad_tokens: Tokens that nobody is let in with, and the reason that each is refused with.
        other_callers: The other tenant's owner and signer.
        links: Signer links and ID tokens that nothing is exchanged for, and the reason that each is refused with.
    """

    server: ServerProcess
    callers: Mapping[str, Caller]
    foreign: Kinds
    other: Kinds
    bad_tokens: Mapping[str, tuple[str | None, str]]
    other_callers: Mapping[str, Caller]
    links: Mapping[str, tuple[str, str]]


def _add(kinds: Kinds, kind: str, *resources: Resource) -> None:
    kinds.setdefault(kind, []).extend(resources)


@dataclass
class _Maker:
    """Makes what a member owns.

    Attributes:
        office: The tenant.
        teams: What the teams of members own, by the member.
        lapsed: What was delegated to callers and is so no more.
    """

    office: Office
    teams: dict[str, Kinds] = field(default_factory=dict)
    lapsed: Kinds = field(default_factory=dict)

    def as_sender(self, client: zegel.Client, member_id: str) -> Office:
        office = self.office
        return Office(office.server, office.root, office.tenant_id, office.owner, client, member_id)

    def member(self, roles: list[str], name: str = "") -> tuple[str, zegel.Client, str]:
        """A member, its client and its token."""
        owner = self.office.owner.identity
        label = name or secrets.token_hex(4)
        made = owner.create_member(name=f"M {label}", email=f"{secrets.token_hex(6)}@example.com", roles=roles)
        opened = owner.create_session(member_id=made.member.member_id, expire_time=ahead(24 * 3600))
        return made.member.member_id, self.office.root.with_token(opened.token), opened.token

    def possessions(self, client: zegel.Client, principal_id: str, *, sealed: bool = False) -> Kinds:
        """One of every kind in every state that a caller without an end can bring it into."""
        sender = self.as_sender(client, principal_id)
        kinds: Kinds = {}
        made = {state: sender.upload(title=state.capitalize()).document_id for state in ("good", "deleted", "purged")}
        for state in ("deleted", "purged"):
            client.documents.delete_document(document_id=made[state])
        self.office.owner.documents.purge_document(document_id=made["purged"])
        _add(kinds, "document", *(Resource(each, state) for state, each in made.items()))

        awaiting, canceled = sender.send(), sender.send()
        self._link(kinds, client, awaiting)
        client.signing.cancel_signature_request(signature_request_id=canceled.signature_request_id)
        declined = sender.send()
        sender.signer(declined, 0).ceremony.decline_signature(reason="no")
        self._requests(kinds, ("good", awaiting), ("canceled", canceled), ("declined", declined))
        if sealed:
            finished = sender.send(signers=usual_signers(1), fields=usual_fields(1))
            sign(sender.signer(finished, 0), 0)
            self._requests(kinds, ("downloadable", sender.sealed(finished)))

        spec = UploadSpec(title="x", size=1_000_000, media_type="application/pdf")
        states = {"good": client.documents.start_upload(spec=spec).upload.upload_id}
        states["canceled"] = client.documents.start_upload(spec=spec).upload.upload_id
        client.documents.cancel_upload(upload_id=states["canceled"])
        _add(kinds, "upload", *(Resource(each, state) for state, each in states.items()))

        key = client.identity.create_api_key(name="k", roles=["member"]).api_key
        _add(kinds, "api_key", Resource(key.api_key_id))
        acts = list(self.office.owner.audit.list_events(principal_id=principal_id))
        _add(kinds, "event", Resource(next(each for each in acts if not each.signature_request_id).event_id))
        session = self.office.owner.identity.create_session(member_id=principal_id).session
        _add(kinds, "session", Resource(session.session_id))
        self._of_team(kinds, client, principal_id)
        return kinds

    def _of_team(self, kinds: Kinds, client: zegel.Client, principal_id: str) -> None:
        """A team of its own, and what that owns: as its own."""
        team_id = client.permissions.create_team(name="Team").team.team_id
        sender = dataclasses.replace(self.as_sender(client, principal_id), team_id=team_id)
        owned: Kinds = {kind: [Resource(team_id)] for kind in ("team", "owner")}
        _add(owned, "document", Resource(sender.upload().document_id))
        self._link(owned, client, sent := sender.send())
        self._requests(owned, ("good", sent))
        self.teams[principal_id] = owned
        for kind, resources in owned.items():
            _add(kinds, kind, *resources)

    def _link(self, kinds: Kinds, client: zegel.Client, sent: SignatureRequest) -> None:
        of, whose = sent.signature_request_id, sent.signatures[0].signature_id
        link = client.signing.create_signer_link(signature_request_id=of, signature_id=whose)
        _add(kinds, "signer_link", Resource(link.signer_link_id, "good", {"signature_request_id": of}))

    def _requests(self, kinds: Kinds, *named: tuple[str, SignatureRequest]) -> None:
        for state, request in named:
            self._request(kinds, state, request)

    def _request(self, kinds: Kinds, state: str, request: SignatureRequest) -> None:
        request_id, signature_id = request.signature_request_id, request.signatures[0].signature_id
        beside = {"signature_id": signature_id}
        if state == "good":
            beside["signer_link_id"] = kinds["signer_link"][0].name
        _add(kinds, "signature_request", Resource(request_id, state, beside))
        _add(kinds, "signature", Resource(signature_id, state, {"signature_request_id": request_id}))
        _add(kinds, "audit_id", Resource(request.audit_id, state))
        found = self.office.owner.audit.get_transaction(audit_id=request.audit_id).events
        _add(kinds, "event", *(Resource(each.event_id, state) for each in (found[0], found[-1])))

    def people(self, kinds: Kinds, member_id: str, role: str) -> None:
        """The member itself, as what others may name."""
        _add(kinds, "member", Resource(member_id, "good"))
        _add(kinds, "principal", Resource(member_id, "good", {"role": role}))
        _add(kinds, "owner", Resource(member_id))


def _member_caller(maker: _Maker, name: str, role: str, held: Mapping[str, Scope]) -> Caller:
    """A member of a role that owns one of everything, also where its role could not have made it."""
    owner = maker.office.owner
    member_id, client, token = maker.member(["admin"], name)
    own = maker.possessions(client, member_id, sealed=name in {"member", "owner"})
    if role != "admin":
        if role:
            owner.permissions.grant_role(principal_id=member_id, role=role)
        owner.permissions.take_role(principal_id=member_id, role="admin")
    maker.people(own, member_id, role or "member")
    return Caller(name, token, member_id, held, own)


def _signer_caller(office: Office, name: str, request: SignatureRequest, index: int, state: str) -> Caller:
    signature = request.signatures[index]
    opened = office.sender.signing.create_signer_session(
        signature_request_id=request.signature_request_id,
        signature_id=signature.signature_id,
        expire_time=ahead(23 * 3600),
    )
    party: Kinds = {}
    document_id = request.documents[0].document_id
    _add(party, "document", Resource(document_id, "good"))
    _add(party, "signature_request", Resource(request.signature_request_id, state))
    _add(party, "audit_id", Resource(request.audit_id, state))
    first = office.owner.audit.get_transaction(audit_id=request.audit_id).events[0]
    _add(party, "event", Resource(first.event_id, state))
    return Caller(name, opened.token, signature.signature_id, held_by("signer"), {}, party)


def _signers(maker: _Maker) -> Iterator[Caller]:
    office, awaiting = maker.office, maker.office.send()
    yield _signer_caller(office, "signer", awaiting, 0, "good")
    yield _signer_caller(office, "signer on hold", awaiting, 1, "good")
    canceled = office.send()
    yield _signer_caller(office, "signer of a canceled request", canceled, 0, "canceled")
    own = canceled.signature_request_id  # without access kept, the session would end
    office.sender.signing.cancel_signature_request(signature_request_id=own, signers_keep_access=True)
    finished = office.send(signers=usual_signers(1), fields=usual_fields(1))
    caller = _signer_caller(office, "signer of a sealed request", finished, 0, "downloadable")
    signer = office.root.with_token(caller.token)
    ready(signer, [typed("signature-0", "Sanne")])
    signer.ceremony.sign_documents()
    sealed = office.sealed(finished)
    _add(caller.party, "document", Resource(sealed.sealed_document_id, "sealed"))
    yield caller


def _custom_roles(office: Office) -> dict[str, Mapping[str, Scope]]:
    """A role for each scope that holds in it whatever an owner could hand out."""
    holder = held_by("owner")
    made: dict[str, Mapping[str, Scope]] = {}
    for scope, number in SCOPES.items():
        name = f"all-{str(scope.name).lower()}"
        held = {permission: scope for permission, mine in holder.items() if mine & Scope.ANY or mine & scope}
        grants = [Grant(permission=permission, scope=number) for permission in sorted(held)]
        office.owner.permissions.create_role(role=Role(name=name, grants=grants))
        made[name] = held
    heir = Role(name="heir", inherits=["all-own", "auditor"])
    office.owner.permissions.create_role(role=heir)
    auditor = held_by("auditor")
    both = {*made["all-own"], *auditor}
    made["heir"] = {
        each: made["all-own"].get(each, Scope.NONE) | auditor.get(each, Scope.NONE) for each in sorted(both)
    }
    return made


def _delegators(maker: _Maker) -> tuple[str, str, Kinds, Kinds]:
    """Two members who delegate: their identifiers, and what of theirs a delegation can carry."""
    found = []
    for _ in range(2):
        member_id, client, _ = maker.member(["admin"])
        kinds = maker.possessions(client, member_id)
        maker.office.owner.permissions.grant_role(principal_id=member_id, role=DELEGATOR)
        maker.office.owner.permissions.take_role(principal_id=member_id, role="admin")
        # What its team owns is none of its own, and no more are its acts.
        work = {
            kind: [each for each in kinds[kind] if each not in maker.teams[member_id].get(kind, [])]
            for kind in ("document", "upload", "signature_request", "signature", "audit_id")
        }
        found.append((member_id, work))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def _callers(maker: _Maker) -> Iterator[Caller]:
    office = maker.office
    delegator, ended, work, lapsed = _delegators(maker)
    maker.lapsed.update(lapsed)
    roles = {name: held_by(name) for name in BUILT_IN if name not in NOT_BINDABLE}
    for name, held in {**roles, **_custom_roles(office)}.items():
        yield _delegate(maker, delegator, ended, work, _member_caller(maker, name, name, held))
    yield _member_caller(maker, "no role", "", {})

    # A key that is a developer, and a session narrowed to two permissions.
    made = office.owner.identity.create_api_key(name="developer", roles=["admin"])
    key_id = made.api_key.api_key_id
    own: Kinds = {"owner": [Resource(key_id)]}
    client = office.root.with_token(made.token)
    sender = maker.as_sender(client, key_id)
    _add(own, "document", Resource(sender.upload().document_id))
    _add(own, "api_key", Resource(client.identity.create_api_key(name="k", roles=["member"]).api_key.api_key_id))
    _add(own, "team", Resource(client.permissions.create_team(name="Team").team.team_id))
    office.owner.permissions.grant_role(principal_id=key_id, role="developer")
    office.owner.permissions.take_role(principal_id=key_id, role="admin")
    _add(own, "principal", Resource(key_id, "good", {"role": "developer"}))
    yield Caller("developer's key", made.token, key_id, held_by("developer"), own)
    # The token before its rotation goes on for a while, and a key is narrowed as a session can be.
    rotated = office.owner.identity.create_api_key(name="auditor", roles=["auditor"])
    rotated_id = rotated.api_key.api_key_id
    office.owner.identity.rotate_api_key(api_key_id=rotated_id)
    yield Caller("key before its rotation", rotated.token, rotated_id, held_by("auditor"))
    narrow = office.owner.identity.create_api_key(name="narrow", roles=["manager"], permissions=sorted(NARROW_TO))
    held = {permission: scopes for permission, scopes in held_by("manager").items() if permission in NARROW_TO}
    yield Caller("narrowed key", narrow.token, narrow.api_key.api_key_id, held)
    yield from _signers(maker)


def _delegate(maker: _Maker, delegator: str, ended: str, work: Kinds, caller: Caller) -> Caller:
    """A caller to whom one member delegates, and another did."""
    owner = maker.office.owner.permissions
    to = caller.principal_id
    made = owner.create_delegation(delegator_id=delegator, delegate_id=to, expire_time=ahead(24 * 3600)).delegation
    owner.create_delegation(delegator_id=ended, delegate_id=to, expire_time=ahead(1.0))
    own = {**caller.own, "delegation": [Resource(made.delegation_id)]}
    return dataclasses.replace(caller, own=own, delegated=work)


def _narrowed(maker: _Maker, of: Caller) -> Caller:
    opened = maker.office.owner.identity.create_session(
        member_id=of.principal_id, permissions=sorted(NARROW_TO), expire_time=ahead(24 * 3600)
    )
    held = {permission: scopes for permission, scopes in of.held.items() if permission in NARROW_TO}
    return Caller(f"narrowed {of.name}", opened.token, of.principal_id, held, of.own, {}, of.delegated)


@contextlib.contextmanager
def open_world(server: ServerProcess) -> Iterator[World]:
    """Makes a world on a server.

    Args:
        server: A fresh server, its limits off: most of what is sent to it is refused.
    """
    known = {method.permission for method in read_contracts(SERVICES.values()).values()}
    assert set().union(*(held_by(name) for name in BUILT_IN)) <= known
    with open_office(server, "Matrix") as office, open_office(server, "Beside") as beside:
        maker, other_maker = _Maker(office), _Maker(beside)
        for each, names in ((office, (SMALL_ROLE, OUR_ROLE)), (beside, (SMALL_ROLE, OTHER_ROLE))):
            grant = Grant(permission="session.introspect", scope=access_pb2.SCOPE_OWN)
            for name in names:
                each.owner.permissions.create_role(role=Role(name=name, grants=[grant]))
        callers = {caller.name: caller for caller in _callers(maker)}
        for name in ("member", "owner"):
            narrowed = _narrowed(maker, callers[name])
            callers[narrowed.name] = narrowed
        operator = Caller("operator", server.operator_token, "", held_by("operator"))
        callers[operator.name] = operator

        foreign, other = (_everything(each) for each in (maker, other_maker))
        for kind, resources in maker.lapsed.items():
            _add(foreign, kind, *resources)
        _add(foreign, "role", Resource(OUR_ROLE))
        _add(other, "role", Resource(OTHER_ROLE))
        key = beside.owner.identity.create_api_key(name="k", roles=["owner"])
        other_owner = Caller("another tenant's owner", key.token, key.api_key.api_key_id, held_by("owner"))
        other_signer = _signer_caller(beside, "another tenant's signer", beside.send(), 0, "good")
        yield World(
            server,
            callers,
            foreign,
            other,
            bad_tokens(office, maker.member(["owner"]), callers["owner"].principal_id, callers["owner"].token),
            {each.name: each for each in (other_owner, other_signer)},
            bad_links(office),
        )


def _everything(maker: _Maker) -> Kinds:
    """What a member owns who does not call."""
    member_id, client, _ = maker.member(["admin"])
    kinds = maker.possessions(client, member_id, sealed=True)
    maker.office.owner.permissions.grant_role(principal_id=member_id, role="member")
    maker.office.owner.permissions.take_role(principal_id=member_id, role="admin")
    maker.people(kinds, member_id, "member")
    beside, _, _ = maker.member(["member"])
    owner = maker.office.owner.permissions
    made = owner.create_delegation(delegator_id=member_id, delegate_id=beside, expire_time=ahead(24 * 3600))
    _add(kinds, "delegation", Resource(made.delegation.delegation_id))
    return kinds
