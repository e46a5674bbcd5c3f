"""A small tenant to send and sign requests in, with documents and sessions as they are; PDF work where a test asks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from support import documents_world
from support.documents_world import rendition_of
from support.jobs import ROWS
from zegel.event.v1 import event_type_pb2
from zegel_server import clock
from zegel_server.audit import leaf
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.crypto import open_root_keys
from zegel_server.db import Database, Statement, open_database
from zegel_server.db.schema import audit_events
from zegel_server.documents.model import Page, UploadSpec
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.edge.idempotency import Answers
from zegel_server.identity.handed_out import HandedOut
from zegel_server.identity.sessions import Sessions
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.pdf.model import CompletionJob, PageFacts, PdfFacts, Rendition, Stamp, Trial
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.pdf.trials import Trials
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions
from zegel_server.signing.ceremony import Ceremony
from zegel_server.signing.expiry import Expiry
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.fields import Field
from zegel_server.signing.new_request import DocumentChoice, NewRequest, Signer
from zegel_server.signing.renditions import RequestRenditions
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.service import Signing
from zegel_server.signing.values import Value

SQLITE_ONLY = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For tests whose result does not depend on the database: errors, messages, damage."""

SEAL_CERTIFICATE = hashlib.sha256(b"the certificate that seals").hexdigest()
"""What the trail says of it."""

_EVENTS = Statement(select(audit_events).order_by(audit_events.c.event_number))


@dataclass(frozen=True)
class UploadedVersion:
    """A version of a document as a test uploaded it."""

    document_id: str
    version: int
    data: bytes
    owner_id: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def rendition(self) -> bytes:
        return rendition_of(self.data)

    @property
    def rendition_size(self) -> int:
        return len(self.rendition)

    @property
    def rendition_sha256(self) -> bytes:
        return hashlib.sha256(self.rendition).digest()


@dataclass
class QuickSandbox:
    """Does no PDF work: accepts anything as a PDF, of one page unless a test says otherwise."""

    pages: dict[bytes, Sequence[Page]] = field(default_factory=dict)

    async def render(self, pdf: bytes) -> Rendition:
        pages = self.pages.get(pdf, (Page(595.0, 842.0),))
        return Rendition(
            rendition_of(pdf), PdfFacts(tuple(PageFacts(page.width, page.height) for page in pages), pdf_version="1.7")
        )

    async def merge(self, renditions: list[bytes]) -> bytes:
        return b"".join(renditions)

    async def rehearse(self, job: CompletionJob) -> None:
        pass

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        return [Trial("", "") for _stamp in stamps]


@dataclass
class UploadedDocuments:
    """The documents' own use cases, and quick ways to upload with them."""

    world: documents_world.World
    sandbox: QuickSandbox

    @property
    def for_signing(self) -> SigningDocuments:
        return self.world.signing_documents

    async def add(
        self, owner_id: str, data: bytes = b"", *, title: str = "Lease", pages: Sequence[Page] = ()
    ) -> UploadedVersion:
        data = data or f"%PDF-1.7 {new_id('doc')}".encode()
        if pages:
            self.sandbox.pages[data] = pages
        document_id = await self._upload(owner_id, data, UploadSpec(title=title))
        return UploadedVersion(document_id, 1, data, owner_id)

    async def add_version(self, document: UploadedVersion, data: bytes) -> UploadedVersion:
        await self._upload(document.owner_id, data, UploadSpec(document_id=document.document_id))
        rows = await self.world.version_rows()
        newest = max(row.version for row in rows if row.document_id == document.document_id)
        return replace(document, version=newest, data=data)

    async def delete(self, document: UploadedVersion) -> None:
        await self.world.documents.delete(self._owner(document.owner_id), document.document_id, "")

    async def _upload(self, owner_id: str, data: bytes, spec: UploadSpec) -> str:
        return await self.world.upload(self._owner(owner_id), data, spec=spec)

    def _owner(self, owner_id: str) -> Caller:
        return self.world.member(principal_id=owner_id)


@dataclass
class World:
    """A tenant, and the use cases over it."""

    database: Database
    keys: Keys
    recorder: Recorder
    tenant_id: str
    tenant_subject: str
    documents: UploadedDocuments
    sessions: Sessions
    signing: Signing
    ceremony: Ceremony
    expiry: Expiry

    @property
    def answers(self) -> Answers:
        return Answers(self.database, self.keys)

    def member(self, scope: Scope = Scope.OWN, **changes: Any) -> Caller:
        caller = Caller(
            tenant_id=self.tenant_id,
            principal_id=new_id("mem"),
            kind=PrincipalKind.MEMBER,
            session_id=new_id("ses"),
            subject_id=self.tenant_subject,
            signature_request_id="",
            policy_version=1,
            decide=lambda permission: Scope.NONE if permission.startswith("ceremony.") else scope,
            origin=Origin("192.0.2.7", "partner/1.0"),
        )
        return caller._replace(**changes)

    def signer(self, request: SignatureRequest, index: int = 0) -> Caller:
        signature = request.progress.signatures[index]
        return Caller(
            tenant_id=self.tenant_id,
            principal_id=signature.signature_id,
            kind=PrincipalKind.SIGNER,
            session_id=new_id("ses"),
            subject_id=request.people[signature.signature_id].subject_id,
            signature_request_id=request.signature_request_id,
            policy_version=1,
            decide=lambda _permission: Scope.PARTY,
            origin=Origin("198.51.100.9", "browser/2.0"),
        )

    async def send(self, caller: Caller, new: NewRequest | None = None) -> SignatureRequest:
        new = new or await self.draft(caller)
        return await self.signing.create(caller, new)

    async def draft(self, caller: Caller, *, orders: Sequence[int] = (0, 1), **changes: Any) -> NewRequest:
        document = await self.documents.add(caller.principal_id)
        return draft_of([document.document_id], orders, **changes)

    async def ready(self, signer: Caller) -> None:
        """Opens the request, consents and fills in the fields, so that the signer can sign."""
        view = await self.ceremony.open(signer)
        await self.ceremony.accept_disclosure(signer)
        marks = [(each.api_id, Value("typed", "Ann")) for each in view.fields if each.type is FieldType.SIGNATURE]
        await self.ceremony.fill(signer, marks)

    async def sign(self, signer: Caller) -> SignatureRequest:
        await self.ready(signer)
        return (await self.ceremony.sign(signer)).request

    async def events(self, request: SignatureRequest) -> list[str]:
        rows = await self.database.fetch(_EVENTS)
        return [event_name(row) for row in rows if row.trail == request.audit_id]

    async def event_rows(self) -> list[Any]:
        """The events of requests, in order."""
        return [row for row in await self.database.fetch(_EVENTS) if row.signature_request_id]

    async def sign_in(self, caller: Caller) -> Caller:
        """Returns the caller with a session that exists in the database."""
        async with self.database.transaction() as transaction:
            opened = await self.sessions.insert(
                transaction,
                caller,
                kind=caller.kind,
                principal_id=caller.principal_id,
                subject_id=caller.subject_id,
                signature_request_id="",
                creator_id=caller.principal_id,
                api_key_id="",
                permissions=frozenset(),
                expire_time=clock.now() + clock.DAY,
                idle_us=clock.DAY,
            )
        return caller._replace(session_id=opened.session.session_id)

    async def close(self) -> None:
        await self.documents.world.close()

    async def jobs(self) -> list[Any]:
        return await self.database.fetch(ROWS)

    async def personal_of(self, row: Any) -> dict[str, Any]:
        key = await self.keys.subject_key(row.subject_id)
        return self.keys.decrypt_personal(key, row.personal, row.subject_id)


def event_name(row: Any) -> str:
    name: str = event_type_pb2.EventType.Name(row.event_type)
    return name.removeprefix("EVENT_TYPE_").removeprefix("SIGNATURE_REQUEST_")


def said(row: Any) -> leaf.LeafFields:
    """Returns the content of the event's leaf, except its position in the trail."""
    return leaf.parse(leaf.complete(row.body, 1, None))


def draft_of(document_ids: Sequence[str], orders: Sequence[int] = (0, 1), **changes: Any) -> NewRequest:
    signers = [Signer(f"Ann {index}", f"ann{index}@example.com", order) for index, order in enumerate(orders)]
    kinds = (FieldType.SIGNATURE, FieldType.DATE_SIGNED)
    fields = [
        make_field(f"{kind.lower()}-{index}", kind, signer_index=index, y=10 + 100 * row)
        for index in range(len(orders))
        for row, kind in enumerate(kinds)
    ]
    new = NewRequest(
        title="Lease of flat 4",
        message="Please sign.",
        documents=tuple(map(DocumentChoice, document_ids)),
        signers=tuple(signers),
        fields=tuple(fields),
    )
    return replace(new, **changes)


def make_field(own_name: str, kind: FieldType, **changes: Any) -> Field:
    whole: dict[str, Any] = {
        "api_id": own_name,
        "type": kind,
        "document_index": 0,
        "page": 1,
        "x": 10.0,
        "y": 10.0,
        "width": 200.0,
        "height": 60.0,
        "required": False,
        "signer_index": 0,
        **changes,
    }
    return Field(**whole)


async def make_world(url: str, folder: Path, sandbox: Sandbox | None = None) -> World:
    """A new tenant in a database with tables; everything else lies in the folder.

    Args:
        url: The database.
        folder: Has the root keys and the blobs.
        sandbox: Does the PDF work; none is done where left out.
    """
    database = await open_database(url)
    keys = Keys(database, open_root_keys(f"local:{folder / 'keyring.json'}"))
    tenant_id, tenant_subject = await documents_world.found_tenant(database, keys)
    recorder = Recorder(keys)
    quick = QuickSandbox()
    used = cast("Sandbox", sandbox or quick)
    stored = documents_world.assemble(database, keys, folder, (tenant_id, tenant_subject), sandbox=used)
    policies = Policies(database)
    permissions = Permissions(database, keys, policies, recorder, ("signature_request.read",))
    sessions = Sessions(database, permissions, recorder)
    return World(
        database=database,
        keys=keys,
        recorder=recorder,
        tenant_id=tenant_id,
        tenant_subject=tenant_subject,
        documents=UploadedDocuments(stored, quick),
        sessions=sessions,
        signing=Signing(
            database,
            keys,
            recorder,
            stored.signing_documents,
            sessions,
            handed_out=HandedOut(database, policies),
            owners=permissions.owners,
            renditions=RequestRenditions(stored.signing_documents, used),
            trials=Trials(used),
        ),
        ceremony=Ceremony(
            database,
            keys,
            recorder,
            Trials(used),
            seal_certificate=lambda: SEAL_CERTIFICATE,
        ),
        expiry=Expiry(database, keys, recorder),
    )
