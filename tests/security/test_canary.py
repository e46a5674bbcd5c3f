"""What people type is nowhere in clear: not in the database, the blobs, the log lines, the metrics or the audit log.

A mark of its own is written into every string field of every request of the contracts: first in a play of what partners
and signers do, where every field is accepted that anybody can type into, and then in calls that are refused. Then all
that the server keeps and tells is searched for the marks. A new string field fails the test until the play writes it,
or ``NOT_TYPED`` says why nobody types into it.
"""

import re
import secrets
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import zegel
from support import postgres
from support.contracts import METHODS, path_of
from support.flow import Office, open_office, place, ready, typed, until
from support.providers import free_port
from support.sealed import make_pdf
from support.server import ServerProcess, postgresql_server, rows, sqlite_server
from zegel.document.v1.document_service_pb2 import UploadSpec
from zegel.permission.v1 import access_pb2
from zegel.permission.v1.permission_service_pb2 import Grant, Role
from zegel.signing.v1.signature_request_pb2 import FieldValue, RequestedDocument, Signer
from zegel_server.db.schema import metadata

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("canary"), pytest.mark.timeout(600)]

CLEAR: Final = {
    "identity.Tenant.name": "the operator's name for a customer, which finds its tenant without the tenant's key",
    "identity.CreateTenantRequest.name": "the same",
    "identity.IdentityProvider.issuer": "configuration: the address of a provider",
    "identity.IdentityProvider.audiences": "configuration: a client's identifier at that provider",
    "permission.Role.name": "an identifier: grants and events name the role by it",
    "request_id": "an identifier that the caller's program makes up",
}
"""What may be in clear, by the field, or by its name where it is the same in all messages; and why."""

NOT_TYPED: Final = {
    "etag": "the server's",
    "page_token": "the server's",
    "key_provider": "the server's",
    "token_prefix": "the server's",
    "media_type": "one of a few constants",
    "permission": "one of the contracts' constants",
    "permissions": "the same",
    "role": "an identifier, which Role.name is written for",
    "roles": "the same",
    "inherits": "the same",
    "time_zone": "an IANA name",
    "event.AssertedOrigin.address": "the address of a machine, which has a mark of its own",
    "last_reason": "one of the contracts' constants",
    "pdf_version": "read from the file, where a program wrote it",
    "language": "the same",
    "fonts_missing": "the same",
    "fonts_substituted": "the same",
    "signing.SignatureRequest.title": "output only; typed into CreateSignatureRequestRequest",
    "signing.SignatureRequest.message": "the same",
    "signing.RequestedDocument.title": "output only; typed into the document's",
    "signing.Signature.name": "output only; typed into Signer",
    "signing.Signature.email": "the same",
    "signing.Signature.decline_reason": "output only; typed into DeclineSignatureRequest",
}
"""Fields that nobody types into, by the field or by its name, beside identifiers of ours (``..._id``); and why."""

MARK: Final = "canary"
DEEPEST: Final = 5


def strings_of(kind: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """Every string field of a message and of those within it."""
    if kind.full_name in seen or kind.full_name.startswith("google."):
        return
    for each in kind.fields:
        if each.message_type is not None:
            yield from strings_of(each.message_type, seen | {kind.full_name})
        elif each.type == FieldDescriptor.TYPE_STRING:
            yield each


def name_of(one: FieldDescriptor) -> str:
    """A field as ``CLEAR`` names it: ``signing.Signer.name``."""
    package, _, rest = one.full_name.removeprefix("zegel.").partition(".v1.")
    return f"{package}.{rest}"


STRINGS: Final = sorted({name_of(each) for method in METHODS for each in strings_of(method.input_type)})
METADATA: Final = ("metadata.authorization", "metadata.user-agent")
MARKED: Final = (*STRINGS, *METADATA)


@dataclass
class Marks:
    """The marks of a run.

    Attributes:
        run: Tells this run from others.
        played: The fields that were written where they are accepted.
        address: The mark of a field that takes only the address of a machine.
    """

    run: str = field(default_factory=lambda: secrets.token_hex(4))
    played: set[str] = field(default_factory=set)
    address: str = field(default_factory=lambda: f"2001:db8:{secrets.randbelow(1 << 16) | 0x1000:x}::7:6")

    def __call__(self, name: str, *, played: bool = True) -> str:
        """The mark of a field: letters and digits, which every field of text takes.

        Args:
            name: The field, as ``CLEAR`` names it.
            played: Whether it is written where it is accepted.
        """
        if played:
            self.played.add(name)
        return f"{MARK}{MARKED.index(name):03}{self.run}"

    def in_bytes(self, data: bytes) -> set[str]:
        """The fields whose marks are in some bytes, as they are or in hexadecimal digits."""
        plain = re.findall(MARK.encode() + rb"([0-9]{3})" + self.run.encode(), data)
        digits = re.findall(MARK.encode().hex().encode() + rb"((?:3[0-9]){3})" + self.run.encode().hex().encode(), data)
        numbers = [*plain, *(bytes.fromhex(each.decode()) for each in digits)]
        return {MARKED[int(each)] for each in numbers}


def play(office: Office, mark: Marks) -> None:
    """What partners and signers do, with a mark wherever one of them types."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    root, identity, permissions = office.root.identity, office.owner.identity, office.owner.permissions
    root.create_tenant(
        name=mark("identity.CreateTenantRequest.name"), request_id=mark("identity.CreateTenantRequest.request_id")
    )
    tenant = identity.get_tenant().tenant
    tenant.name = mark("identity.Tenant.name")
    identity.update_tenant(tenant=tenant, update_mask=FieldMask(paths=["name"]))
    identity.set_identity_provider(
        identity_provider=zegel.IdentityProvider(
            issuer=f"https://{mark('identity.IdentityProvider.issuer')}.example.com",
            audiences=[mark("identity.IdentityProvider.audiences")],
        )
    )
    member = identity.create_member(
        subject=mark("identity.CreateMemberRequest.subject"),
        name=mark("identity.CreateMemberRequest.name"),
        email=f"{mark('identity.CreateMemberRequest.email')}@example.com",
        roles=["member"],
        request_id=mark("identity.CreateMemberRequest.request_id"),
    ).member
    member.name = mark("identity.Member.name")
    member.email = f"{mark('identity.Member.email')}@example.com"
    member.subject = mark("identity.Member.subject")
    identity.update_member(member=member, update_mask=FieldMask(paths=["name", "email", "subject"]))
    key = identity.create_api_key(
        name=mark("identity.CreateApiKeyRequest.name"),
        roles=["member"],
        request_id=mark("identity.CreateApiKeyRequest.request_id"),
    ).api_key
    identity.rotate_api_key(api_key_id=key.api_key_id, request_id=mark("identity.RotateApiKeyRequest.request_id"))
    assert {each.name for each in identity.list_api_keys()} > {key.name}
    role = permissions.create_role(
        role=Role(
            name=mark("permission.Role.name"),
            description=mark("permission.Role.description"),
            grants=[Grant(permission="document.read", scope=access_pb2.SCOPE_OWN)],
        ),
        request_id=mark("permission.CreateRoleRequest.request_id"),
    ).role
    assert permissions.get_role(role=role.name).role.description == role.description
    team = permissions.create_team(
        name=mark("permission.CreateTeamRequest.name"), request_id=mark("permission.CreateTeamRequest.request_id")
    ).team
    assert permissions.get_team(team_id=team.team_id).team.name == team.name
    team.name = mark("permission.Team.name")
    assert permissions.update_team(team=team, update_mask=FieldMask(paths=["name"])).team.name == team.name
    office.sender.permissions.create_delegation(
        delegator_id=office.sender_id,
        delegate_id=member.member_id,
        expire_time=tomorrow,
        request_id=mark("permission.CreateDelegationRequest.request_id"),
    )
    _sign(office, mark)


def _sign(office: Office, mark: Marks) -> None:
    """Documents and signature requests, up to a sealed document and a declined request."""
    documents, signing = office.sender.documents, office.sender.signing
    title = mark("document.UploadSpec.title")
    documents.start_upload(
        spec=UploadSpec(title=title, size=1_000, media_type="application/pdf"),
        request_id=mark("document.StartUploadRequest.request_id"),
    )
    uploaded = documents.upload(make_pdf(mark("document.UploadSpec.title")), title=title)
    assert uploaded.title == title
    renamed = mark("document.Document.title")
    uploaded = documents.update_document(
        document=zegel.Document(document_id=uploaded.document_id, title=renamed), update_mask=FieldMask(paths=["title"])
    ).document
    assert [each.title for each in documents.list_documents()] == [renamed]

    def send(request_id: str) -> zegel.SignatureRequest:
        own = mark("signing.Field.api_id")
        name = mark("signing.Field.name")
        return signing.create_signature_request(
            title=mark("signing.CreateSignatureRequestRequest.title"),
            message=mark("signing.CreateSignatureRequestRequest.message"),
            documents=[RequestedDocument(document_id=uploaded.document_id)],
            signers=[Signer(name=mark("signing.Signer.name"), email=f"{mark('signing.Signer.email')}@example.com")],
            fields=[
                place(f"{own}-s", name=name, y=120.0),
                place(f"{own}-t", "TEXT", name=name, y=220.0, height=18.0),
            ],
            request_id=request_id,
        ).signature_request

    values = [
        typed(f"{mark('signing.Field.api_id')}-s", mark("signing.Mark.typed")),
        FieldValue(api_id=f"{mark('signing.Field.api_id')}-t", text=mark("signing.FieldValue.text")),
    ]
    sent = send(mark("signing.CreateSignatureRequestRequest.request_id"))
    signing.create_signer_link(
        signature_request_id=sent.signature_request_id,
        signature_id=sent.signatures[0].signature_id,
        request_id=mark("signing.CreateSignerLinkRequest.request_id"),
    )
    signer = office.signer(sent, 0)
    ready(signer, values)
    origin = zegel.AssertedOrigin(address=mark.address, user_agent=mark("event.AssertedOrigin.user_agent"))
    ceremony = signer.ceremony.sign_documents(
        request_id=mark("signing.SignDocumentsRequest.request_id"), asserted_origin=origin
    ).ceremony
    assert (ceremony.title, ceremony.message) == (sent.title, sent.message)
    sealed = office.sealed(sent)
    assert documents.get_document(document_id=sealed.sealed_document_id).document.title == sent.title
    assert sealed.documents[0].title == renamed
    declined = send("")
    office.signer(declined, 0).ceremony.decline_signature(reason=mark("signing.DeclineSignatureRequest.reason"))
    shown = office.get(declined)
    assert shown.fields[0].name == mark("signing.Field.name")
    assert shown.signatures[0].decline_reason == mark("signing.DeclineSignatureRequest.reason")
    until(lambda: "DECLINED" in office.events(declined) or None, "the trail")


def marked(kind: type[Message], mark: Marks, depth: int = 0) -> Message:
    """A request with a mark in every string field."""
    message = kind()
    fields: Any = kind.DESCRIPTOR.fields
    for each in fields:
        held = getattr(message, each.name)
        if each.message_type is not None:
            if depth < DEEPEST and not each.message_type.full_name.startswith("google."):
                value = marked(GetMessageClass(each.message_type), mark, depth + 1)
                held.append(value) if each.is_repeated else held.CopyFrom(value)
        elif each.type == FieldDescriptor.TYPE_STRING:
            text = mark(name_of(each), played=False)
            held.append(text) if each.is_repeated else setattr(message, each.name, text)
    return message


def refuse(server: ServerProcess, office: Office, mark: Marks) -> int:
    """Calls each method with marks in every string field and as a token, which is mostly refused; returns how often."""
    refused = 0
    credentials = grpc.ssl_channel_credentials(server.authority)
    agent = (("grpc.primary_user_agent", mark("metadata.user-agent", played=False)),)
    with grpc.secure_channel(server.listen, credentials, agent) as channel:
        for method in METHODS:
            token = server.operator_token if method.name == "CreateTenant" else office.owner._call.token
            sends, answers = (("unary", "stream")[each] for each in (method.client_streaming, method.server_streaming))
            raw = getattr(channel, f"{sends}_{answers}")(path_of(method), lambda sent: sent.SerializeToString())
            message = marked(GetMessageClass(method.input_type), mark)
            for bearer in (token, f"zk_{mark('metadata.authorization', played=False)}"):
                try:
                    answer = raw(
                        iter([message]) if method.client_streaming else message,
                        metadata=(("authorization", f"Bearer {bearer}"),),
                        timeout=2,
                    )
                    if method.server_streaming:
                        next(answer, None)
                        answer.cancel()
                except grpc.RpcError:
                    refused += 1
    return refused


def everything(server: ServerProcess) -> Iterator[tuple[str, bytes]]:
    """All that the server keeps and tells, with the name of its place."""
    for path in sorted(server.folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(server.folder)), path.read_bytes()
    if not server.database_url:
        return
    for table in sorted(metadata.tables):
        found = rows(server.rows_url, f"SELECT CAST(t.* AS text) FROM {table} AS t")  # noqa: S608 - a name of ours
        yield table, "\n".join(each for (each,) in found).encode()


def check(server: ServerProcess) -> None:
    mark = Marks()
    with open_office(server) as office:
        play(office, mark)
        assert refuse(server, office, mark) > len(METHODS)
        with urllib.request.urlopen(f"http://{server.environment['ZEGEL_METRICS_LISTEN']}/metrics") as answer:
            (server.folder / "metrics.txt").write_bytes(answer.read())
        places = dict(everything(server))
    server.stop()
    places |= {f"{name}, after the stop": data for name, data in everything(server)}

    missing = [
        name
        for name in STRINGS
        if not (name in mark.played or name.endswith("_id") or {name, name.rpartition(".")[2]} & set(NOT_TYPED))
    ]
    assert missing == [], "nobody knows whether people type there"
    assert [place for place, data in places.items() if mark.address.encode() in data] == []
    found = {place: mark.in_bytes(data) for place, data in places.items()}
    clear = {name for names in found.values() for name in names}
    kept = {name for name in clear if name in CLEAR or name.rpartition(".")[2] in CLEAR}
    assert {place: sorted(names - kept) for place, names in found.items() if names - kept} == {}
    assert {name for name in CLEAR if not any(name in {each, each.rpartition(".")[2]} for each in kept)} == set()
    # The places hold what they are said to hold.
    assert {"zegel.db", "metrics.txt", "server.log"} <= {Path(name).name for name in places} | {"zegel.db"}
    assert any("/blobs/" in name for name in places)
    assert any("/log/tile/" in name for name in places)


def settings() -> dict[str, str]:
    return {"ZEGEL_LIMITS": "false", "ZEGEL_LOG_LEVEL": "debug", "ZEGEL_METRICS_LISTEN": f"127.0.0.1:{free_port()}"}


def test_no_field_of_any_contract_is_kept_or_told_in_clear() -> None:
    with sqlite_server(environment=settings()) as server:
        check(server)


def test_nor_on_postgresql(postgres_cluster: postgres.Cluster) -> None:
    with postgresql_server(postgres_cluster, environment=settings()) as server:
        check(server)


def test_a_mark_is_found_however_it_is_kept() -> None:
    mark = Marks()
    text = mark("document.UploadSpec.title").encode()
    assert (
        mark.in_bytes(b"x" + text + b"y")
        == mark.in_bytes(b"\\x" + text.hex().encode())
        == {"document.UploadSpec.title"}
    )
    assert Marks().in_bytes(text) == set()
