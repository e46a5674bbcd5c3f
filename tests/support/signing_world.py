"""A small tenant to send and sign requests in: real rows, real keys, real events; documents kept in memory."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import select

from zegel.event.v1 import event_type_pb2
from zegel.signing.v1 import ceremony_service_pb2, signing_service_pb2
from zegel_server import clock
from zegel_server.audit import leaf
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.crypto import open_root_keys
from zegel_server.db import Database, Statement, Transaction, insert_into, open_database
from zegel_server.db.schema import audit_events, outbox, tenants
from zegel_server.documents.model import Page
from zegel_server.edge.idempotency import Answers, Call
from zegel_server.errors import FailedPrecondition, NotFound
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.pdf.model import CompletionJob
from zegel_server.permissions.owners import Owners
from zegel_server.permissions.policies import Policies
from zegel_server.signing.ceremony import Ceremony
from zegel_server.signing.expiry import Expiry
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.fields import Field
from zegel_server.signing.new_request import DocumentChoice, NewRequest, Signer
from zegel_server.signing.renditions import MergingSandbox, RequestRenditions
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.service import Signing
from zegel_server.signing.values import Value

SQLITE_ONLY = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For what no database decides: refusals, messages, damage."""

NO_REQUEST = signing_service_pb2.CreateSignatureRequestRequest()
NO_SIGN = ceremony_service_pb2.SignDocumentsRequest()
NO_CALL: Call = Call(None, None, "", b"", b"")  # type: ignore[arg-type]
"""A call that is not repeated: nothing is kept of it."""

SEAL_CERTIFICATE = hashlib.sha256(b"the certificate that seals").hexdigest()
"""What the trail says of it."""

_EVENTS = Statement(select(audit_events).order_by(audit_events.c.event_number))
_OUTBOX = Statement(select(outbox))
_TENANT = insert_into(tenants)


@dataclass(frozen=True)
class StoredVersion:
    """A document's version in memory."""

    document_id: str
    version: int
    title: str
    data: bytes
    owner_id: str
    pages: Sequence[Page] = (Page(595.0, 842.0),)
    deleted: bool = False

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def rendition(self) -> bytes:
        return b"%PDF rendition of " + self.data

    @property
    def rendition_size(self) -> int:
        return len(self.rendition)

    @property
    def rendition_sha256(self) -> bytes:
        return hashlib.sha256(self.rendition).digest()


@dataclass
class MemoryDocuments:
    """Documents as signing needs them, without their encryption: that is the documents' own business."""

    versions: dict[tuple[str, int], StoredVersion] = field(default_factory=dict)

    def add(self, owner_id: str, data: bytes = b"%PDF", **more: Any) -> StoredVersion:
        version = StoredVersion(new_id("doc"), 1, more.pop("title", "Lease"), data, owner_id, **more)
        self.versions[version.document_id, 1] = version
        return version

    def add_version(self, document: StoredVersion, data: bytes) -> StoredVersion:
        newest = max(number for key, number in self.versions if key == document.document_id)
        version = replace(document, version=newest + 1, data=data)
        self.versions[document.document_id, newest + 1] = version
        return version

    async def describe(self, caller: Caller, document_id: str, version: int = 0) -> StoredVersion:
        version = version or max((number for key, number in self.versions if key == document_id), default=0)
        found = self.versions.get((document_id, version))
        if found is None:
            raise NotFound("document")
        caller.require("document.read", "document", owner_id=found.owner_id)
        if found.deleted:
            raise FailedPrecondition("The document was deleted.", reason="DOCUMENT_DESTROYED")
        return found

    async def pin(self, transaction: Transaction, tenant_id: str, document_id: str) -> None:
        if any(each.deleted for (key, _), each in self.versions.items() if key == document_id):
            raise FailedPrecondition("The document was deleted.", reason="DOCUMENT_DESTROYED")

    async def move_sealed(self, transaction: Transaction, document_id: str, owner_id: str) -> NoReturn:
        raise NotImplementedError  # as sealing

    async def read_all(self, tenant_id: str, document_id: str, version: int) -> bytes:
        return self.versions[document_id, version].data

    async def read_rendition(self, tenant_id: str, document_id: str, version: int) -> bytes:
        return self.versions[document_id, version].rendition

    async def store_merged(self, **about: Any) -> "MergedInMemory":
        version = StoredVersion(new_id("doc"), 1, about["title"], about["data"], "", tuple(about["pages"]))
        return MergedInMemory(self, version)

    async def store_sealed(self, **about: Any) -> NoReturn:
        raise NotImplementedError  # sealing is tested with the documents' own library


@dataclass
class MergedInMemory:
    """What was merged, until its request is sent."""

    documents: MemoryDocuments
    stored: StoredVersion
    version: int = 1

    @property
    def document_id(self) -> str:
        return self.stored.document_id

    @property
    def size(self) -> int:
        return self.stored.size

    @property
    def sha256(self) -> bytes:
        return self.stored.sha256

    async def insert(self, transaction: Transaction, owner_id: str) -> None:
        self.documents.versions[self.document_id, 1] = replace(self.stored, owner_id=owner_id)


class Joining:
    """MergingSandbox by putting one after the other, and needs no rehearsal."""

    async def rehearse(self, job: CompletionJob) -> None:
        pass

    async def merge(self, renditions: list[bytes]) -> bytes:
        return b"".join(renditions)


@dataclass
class MemorySessions:
    """Sessions as signing needs them."""

    opened: list[dict[str, Any]] = field(default_factory=list)

    async def open_signer_session(self, transaction: Transaction, caller: Caller, **about: Any) -> tuple[str, str]:
        session_id = new_id("ses")
        self.opened.append({"session_id": session_id, "creator": caller.principal_id, **about})
        return session_id, "zs_token"


class AnyPicture:
    """Looks at no picture: for tests without a sandbox."""

    async def check(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        del pictures


@dataclass
class World:
    """A tenant, and the use cases over it."""

    database: Database
    keys: Keys
    recorder: Recorder
    tenant_id: str
    tenant_subject: str
    documents: MemoryDocuments
    sessions: MemorySessions
    signing: Signing
    ceremony: Ceremony
    expiry: Expiry
    sealing_asked: list[int]

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
        new = new or self.draft(caller)
        return await self.signing.create(caller, new, NO_CALL, lambda _: NO_REQUEST)

    def draft(self, caller: Caller, *, orders: Sequence[int] = (0, 1), **changes: Any) -> NewRequest:
        document = self.documents.add(caller.principal_id)
        return draft_of([document.document_id], orders, **changes)

    async def ready(self, signer: Caller) -> None:
        """Opens, accepts and fills in, so that the signer can sign."""
        view = await self.ceremony.open(signer)
        await self.ceremony.accept_disclosure(signer)
        marks = [(each.api_id, Value("typed", "Ann")) for each in view.fields if each.type is FieldType.SIGNATURE]
        await self.ceremony.fill(signer, marks)

    async def sign(self, signer: Caller) -> SignatureRequest:
        await self.ready(signer)
        return (await self.ceremony.sign(signer, NO_CALL, lambda _: NO_SIGN)).request

    async def events(self, request: SignatureRequest) -> list[str]:
        rows = await self.database.fetch(_EVENTS)
        return [event_name(row) for row in rows if row.trail == request.audit_id]

    async def event_rows(self) -> list[Any]:
        return await self.database.fetch(_EVENTS)

    async def outbox(self) -> list[Any]:
        return await self.database.fetch(_OUTBOX)

    async def personal_of(self, row: Any) -> dict[str, Any]:
        key = await self.keys.subject_key(row.subject_id)
        return self.keys.decrypt_personal(key, row.personal, row.subject_id)


def event_name(row: Any) -> str:
    name: str = event_type_pb2.EventType.Name(row.event_type)
    return name.removeprefix("EVENT_TYPE_").removeprefix("SIGNATURE_REQUEST_")


def said(row: Any) -> leaf.LeafFields:
    """What the event's leaf will say, but for its place in the trail."""
    return leaf.parse(leaf.complete(row.body, 1, None))


def draft_of(document_ids: Sequence[str], orders: Sequence[int] = (0, 1), **changes: Any) -> NewRequest:
    signers = [Signer(f"Ann {index}", f"ann{index}@example.com", order) for index, order in enumerate(orders)]
    kinds = (FieldType.SIGNATURE, FieldType.DATE_SIGNED)
    fields = [
        place(f"{kind.lower()}-{index}", kind, signer_index=index, y=10 + 100 * row)
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


def place(own_name: str, kind: FieldType, **changes: Any) -> Field:
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


async def make_world(
    url: str,
    keyring: Path,
    documents: Callable[[Database, Keys], Any] | None = None,
    sandbox: MergingSandbox | None = None,
) -> World:
    """A new tenant in an empty database with tables."""
    database = await open_database(url)
    keys = Keys(database, open_root_keys(f"local:{keyring}"))
    tenant_id = new_id("ten")
    founded = await keys.found_tenant(tenant_id)
    async with database.transaction() as transaction:
        await transaction.execute(
            _TENANT,
            tenant_id=tenant_id,
            pseudonym=f"t-{tenant_id[-8:]}",
            name="Lettings & Co",
            policy_version=1,
            create_time=clock.now(),
            revision=1,
            sensitive="",
        )
        await keys.store_tenant(transaction, founded)
    recorder = Recorder(keys)
    stored, sessions = MemoryDocuments(), MemorySessions()
    library: Any = documents(database, keys) if documents else stored
    asked: list[int] = []
    return World(
        database=database,
        keys=keys,
        recorder=recorder,
        tenant_id=tenant_id,
        tenant_subject=founded.subject_id,
        documents=stored,
        sessions=sessions,
        signing=Signing(
            database,
            keys,
            recorder,
            library,
            sessions,  # type: ignore[arg-type]
            owners=Owners(Policies(database), ("signature_request.read",)),
            renditions=RequestRenditions(library, sandbox or Joining()),
        ),
        ceremony=Ceremony(
            database,
            keys,
            recorder,
            AnyPicture(),  # type: ignore[arg-type]
            seal_certificate=lambda: SEAL_CERTIFICATE,
            all_signed=lambda: asked.append(1),
        ),
        expiry=Expiry(database, keys, recorder),
        sealing_asked=asked,
    )
