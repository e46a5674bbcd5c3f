"""A tenant with documents: real rows, keys, events, encryption and blobs, and the PDF sandbox if a test wants it."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
from sqlalchemy import select

from support.jobs import ROWS
from support.rows_of import row_of
from zegel.event.v1 import event_type_pb2
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.crypto import open_root_keys
from zegel_server.db import Database, Statement, insert_into, open_database
from zegel_server.db.schema import (
    audit_events,
    document_versions,
    requested_documents,
    signature_requests,
    tenants,
    uploads,
)
from zegel_server.documents.downloads import Downloads
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.model import Chunk, Content, Finish, Received, Upload, UploadSpec
from zegel_server.documents.removal import removal_kind
from zegel_server.documents.renditions import Renditions
from zegel_server.documents.scrub import Scrub
from zegel_server.documents.service import Documents
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.documents.upload_progress import ProgressStore
from zegel_server.documents.uploads import Uploads
from zegel_server.errors import FailedPrecondition
from zegel_server.ids import new_id
from zegel_server.jobs.worker import Worker
from zegel_server.keys.service import Keys
from zegel_server.pdf.model import PageFacts, PdfFacts, Rendition, Stamp, Trial
from zegel_server.permissions.owners import Owners
from zegel_server.permissions.policies import Policies
from zegel_server.storage import BlobInfo, BlobStore, open_blob_store

MIB = 1 << 20
SPEC = UploadSpec(title="Lease of flat 4")

_EVENTS = Statement(select(audit_events).order_by(audit_events.c.event_number))
_VERSIONS = Statement(select(document_versions))
_UPLOADS = Statement(select(uploads))
_TENANT = insert_into(tenants)
_REQUEST = insert_into(signature_requests)
_REQUESTED = insert_into(requested_documents)


class Crash(BaseException):
    """Stands for the end of the process: the code under test must not handle it."""


@dataclass
class TroubledBlobs:
    """A blob store that a test can make fail: ``before`` and ``after`` run around every put."""

    inner: BlobStore
    before: Callable[[int], None] = lambda _number: None
    after: Callable[[int], None] = lambda _number: None
    puts: int = 0
    gets: list[tuple[str, int, int | None]] = field(default_factory=list)

    async def put(self, key: str, data: Any) -> None:
        self.puts += 1
        number = self.puts
        self.before(number)
        await self.inner.put(key, data)
        self.after(number)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.gets.append((key, start, length))
        return await self.inner.get(key, start, length)

    async def size(self, key: str) -> int | None:
        return await self.inner.size(key)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        return self.inner.list(prefix)

    async def close(self) -> None:
        await self.inner.close()


def rendition_of(pdf: bytes) -> bytes:
    """Returns the rendition that ``EasySandbox`` makes of a PDF: different and more bytes."""
    return b"%PDF-1.7 rendition\n" + pdf


@dataclass
class EasySandbox:
    """Accepts anything that begins like a PDF, and records what it was given."""

    seen: list[bytes] = field(default_factory=list)

    async def render(self, pdf: bytes) -> Rendition:
        self.seen.append(pdf)
        if not pdf.startswith(b"%PDF-"):
            raise FailedPrecondition("The file is not a PDF.", reason="DOCUMENT_UNREADABLE")
        return Rendition(rendition_of(pdf), PdfFacts((PageFacts(595.0, 842.0),), pdf_version="1.7", has_form=True))

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        return [Trial("", "") for _stamp in stamps]


@dataclass
class World:
    """A tenant, and the use cases over it."""

    tenant_id: str
    tenant_subject: str
    database: Database
    keys: Keys
    blobs: TroubledBlobs
    sandbox: Any
    encrypted_store: EncryptedStore
    uploads: Uploads
    downloads: Downloads
    documents: Documents
    signing_documents: SigningDocuments
    remover: Worker
    scrub: Scrub

    def member(self, scope: Scope = Scope.OWN, **changes: Any) -> Caller:
        caller = Caller(
            tenant_id=self.tenant_id,
            principal_id=new_id("mem"),
            kind=PrincipalKind.MEMBER,
            session_id=new_id("ses"),
            subject_id=self.tenant_subject,
            signature_request_id="",
            policy_version=1,
            decide=lambda _permission: scope,
            origin=Origin("192.0.2.7", "partner/1.0"),
        )
        return caller._replace(**changes)

    def signer(self, signature_request_id: str) -> Caller:
        return self.member(Scope.PARTY)._replace(
            kind=PrincipalKind.SIGNER,
            principal_id=new_id("sig"),
            signature_request_id=signature_request_id,
        )

    async def upload(self, caller: Caller, data: bytes, **how: Any) -> str:
        """Uploads a whole document; returns its identifier."""
        outcome = await self.uploads.receive(caller, stream_of(data, **how))
        assert isinstance(outcome, str)
        return outcome

    async def partly(self, caller: Caller, data: bytes, **how: Any) -> Upload:
        """Uploads part of a document without finishing it; returns the upload's state."""
        outcome = await self.uploads.receive(caller, stream_of(data, finish=False, **how))
        assert isinstance(outcome, Upload)
        return outcome

    async def download(
        self,
        caller: Caller,
        document_id: str,
        version: int = 0,
        offset: int = 0,
        limit: int = 0,
        *,
        content: Content | None = None,
    ) -> bytes:
        """Downloads a document, checking the offset, size and checksum of every chunk; returns the bytes."""
        download = await self.downloads.open(caller, document_id, version, offset, limit, content=content)
        data = bytearray()
        try:
            async for chunk in download.chunks:
                assert chunk.offset == download.wanted.start + len(data)
                assert 1 <= len(chunk.data) <= MIB
                assert google_crc32c.value(chunk.data) == chunk.crc32c
                data += chunk.data
        finally:
            await download.close()
        assert len(data) == len(download.wanted)
        return bytes(data)

    async def send(
        self,
        document_id: str,
        version: int = 1,
        state: str = "AWAITING_SIGNATURES",
        *,
        others: Sequence[str] = (),
        merged: str = "",
        request_id: str = "",
    ) -> str:
        """Inserts the parts of a signature request that the documents domain reads; it names versions of documents."""
        request_id = request_id or new_id("req")
        async with self.database.transaction() as transaction:
            await transaction.execute(
                _REQUEST,
                **row_of(
                    signature_requests,
                    signature_request_id=request_id,
                    tenant_id=self.tenant_id,
                    audit_id=new_id("aud"),
                    state=state,
                    revision=1,
                    rendition_document_id=merged or document_id,
                    rendition_version=1 if merged else version,
                    rendition_sha256=b"",
                    rendition_pages=1,
                ),
            )
            for position, each in enumerate((document_id, *others)):
                await transaction.execute(
                    _REQUESTED,
                    **row_of(
                        requested_documents,
                        signature_request_id=request_id,
                        tenant_id=self.tenant_id,
                        position=position,
                        document_id=each,
                        version=version,
                        sha256=b"",
                        page_count=1,
                    ),
                )
        return request_id

    async def stored(self) -> list[str]:
        """Returns the keys of all blobs."""
        return sorted([info.key async for info in self.blobs.list()])

    async def originals(self) -> list[str]:
        """Returns the keys of all blobs of originals, finished or not."""
        rows = [*await self.version_rows(), *await self.upload_rows()]
        prefixes = {row.blob_prefix for row in rows}
        return [key for key in await self.stored() if key.rpartition("/")[0] in prefixes]

    async def renditions(self) -> list[str]:
        """Returns the keys of all blobs of renditions that a row names."""
        prefixes = {row.rendition_prefix for row in await self.version_rows()}
        return [key for key in await self.stored() if key.rpartition("/")[0] in prefixes]

    async def events(self) -> list[str]:
        rows = await self.database.fetch(_EVENTS)
        return [event_type_pb2.EventType.Name(row.event_type).removeprefix("EVENT_TYPE_") for row in rows]

    async def event_rows(self) -> Sequence[Any]:
        return await self.database.fetch(_EVENTS)

    async def jobs(self) -> Sequence[Any]:
        return await self.database.fetch(ROWS)

    async def version_rows(self) -> Sequence[Any]:
        return await self.database.fetch(_VERSIONS)

    async def upload_rows(self) -> Sequence[Any]:
        return await self.database.fetch(_UPLOADS)

    async def close(self) -> None:
        await self.encrypted_store.close()
        await self.blobs.close()
        await self.database.close()


def pdf_of(size: int) -> bytes:
    """Returns bytes that begin like a PDF."""
    return (b"%PDF-1.7\n" + os.urandom(size))[:size]


def chunk(offset: int, data: bytes) -> Chunk:
    return Chunk(offset, data, google_crc32c.value(data))


def finish_of(data: bytes) -> Finish:
    return Finish(len(data), hashlib.sha256(data).digest())


async def said(*messages: Received) -> AsyncIterator[Received]:
    """Yields the given messages as a stream."""
    for message in messages:
        yield message


async def stream_of(
    data: bytes,
    *,
    upload_id: str | None = None,
    spec: UploadSpec = SPEC,
    start: int = 0,
    stop: int | None = None,
    sizes: Iterable[int] = (),
    finish: bool = True,
) -> AsyncIterator[Received]:
    """Yields a document's bytes in chunks of the given sizes, and then of 1 MiB."""
    yield Received(upload_id=upload_id, spec=None if upload_id else spec)
    stop, cuts = len(data) if stop is None else stop, iter(sizes)
    while start < stop:
        end = min(start + next(cuts, MIB), stop)
        yield Received(chunk=chunk(start, data[start:end]))
        start = end
        await asyncio.sleep(0)  # lets other tasks run, as waiting for a network does
    if finish:
        yield Received(finish=finish_of(data))


async def make_world(
    url: str, folder: Path, *, sandbox: Any = None, lifetime: int | None = None, root_keys_url: str = ""
) -> World:
    """Makes a tenant in a database with tables; everything else is in the folder."""
    database = await open_database(url)
    keys = Keys(database, open_root_keys(root_keys_url or f"local:{folder / 'keyring.json'}"))
    tenant = await found_tenant(database, keys)
    return assemble(database, keys, folder, tenant, sandbox=sandbox, lifetime=lifetime)


async def found_tenant(database: Database, keys: Keys) -> tuple[str, str]:
    """Makes a tenant; returns its identifier, and the subject that stands for the tenant itself."""
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
    return tenant_id, founded.subject_id


async def reopen(world: World, url: str, folder: Path) -> World:
    """Opens the same tenant as a restarted process would; the old process is left as after a `Crash`."""
    database = await open_database(url)
    keys = Keys(database, open_root_keys(f"local:{folder / 'keyring.json'}"))
    return assemble(database, keys, folder, (world.tenant_id, world.tenant_subject), sandbox=world.sandbox)


def assemble(
    database: Database,
    keys: Keys,
    folder: Path,
    tenant: tuple[str, str],
    *,
    sandbox: Any = None,
    lifetime: int | None = None,
) -> World:
    """Builds the use cases as a server does when it starts."""
    tenant_id, subject_id = tenant
    sandbox = sandbox or EasySandbox()
    recorder = Recorder(keys)
    blobs = TroubledBlobs(open_blob_store((folder / "blobs").as_uri()))
    encrypted_store = EncryptedStore(blobs, keys)
    progress_store = ProgressStore(database, keys, recorder)
    owners = Owners(Policies(database), ("document.read",))
    renditions = Renditions(sandbox, encrypted_store)
    lasting = {} if lifetime is None else {"lifetime": lifetime}
    return World(
        tenant_id=tenant_id,
        tenant_subject=subject_id,
        database=database,
        keys=keys,
        blobs=blobs,
        sandbox=sandbox,
        encrypted_store=encrypted_store,
        uploads=Uploads(encrypted_store, progress_store, renditions, **lasting),
        downloads=Downloads(database, encrypted_store, recorder),
        documents=Documents(database, keys, progress_store, recorder, owners, trials=renditions.trials),
        signing_documents=SigningDocuments(database, encrypted_store, keys, renditions),
        remover=Worker(database, [removal_kind(encrypted_store)]),
        scrub=Scrub(database, encrypted_store),
    )
