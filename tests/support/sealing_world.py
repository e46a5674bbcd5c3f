"""Everything that sealing needs, none of it faked: documents, log, sandbox, authority."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.jobs import held_job
from support.sealed import answer_about_seal, make_pdf
from support.signing_world import World, draft_of, make_field, make_world, said
from support.work import sealing_worker
from zegel.evidence.commitments import SealedOpening
from zegel.evidence.openings import Openings
from zegel.evidence.trail import parse_leaf
from zegel.evidence.verification import verify_pdf
from zegel_server.audit.log import Log
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.sequencer import Sequencer
from zegel_server.audit.service import AuditTrail
from zegel_server.caller import Caller
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.judging import SealMaterials
from zegel_server.credentials.sealing import SealingCredentials
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.errors import Unavailable
from zegel_server.jobs.model import Job
from zegel_server.jobs.worker import Worker
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.model import RequestState
from zegel_server.signing.openings import openings_of
from zegel_server.signing.request import Sealing, SignatureRequest
from zegel_server.signing.sealing import Sealer
from zegel_server.signing.store import SEAL
from zegel_server.signing.values import Value


@dataclass
class Timestamps:
    """The development authority's timestamps, which a test can make unavailable."""

    inner: LocalTimestampAuthority
    down: bool = False
    asked: int = 0

    async def timestamp(self, request_der: bytes) -> bytes:
        self.asked += 1
        if self.down:
            raise Unavailable("The timestamp authority does not answer.", reason="TIMESTAMP_UNAVAILABLE")
        return await self.inner.timestamp(request_der)


@dataclass
class SealingWorld:
    """A tenant whose requests can be sealed."""

    world: World
    signing_documents: SigningDocuments
    sequencer: Sequencer
    trail: AuditTrail
    sandbox: Sandbox
    authority: DevelopmentAuthority
    timestamps: Timestamps
    sender: Caller
    sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        self.sealer = self.sealer_with()

    def sealer_with(self, **changes: Any) -> Sealer:
        parts: dict[str, Any] = {
            "documents": self.signing_documents,
            "trails": self.trail,
            "sandbox": self.sandbox,
            "credentials": self.credentials(),
            **changes,
        }
        database = parts.pop("database", self.world.database)
        return Sealer(database, self.world.keys, self.world.recorder, **parts)

    def materials(self) -> SealMaterials:
        """What the organisation seals with now."""
        return SealMaterials(
            identity=self.authority.seal,
            certificates=tuple(self.authority.timestamp.chain),
            crls=self.authority.crls,
            ocsps=(answer_about_seal(self.authority),),
        )

    def credentials(self, read: Callable[[], SealMaterials] | None = None) -> SealingCredentials:
        """Judges what the organisation seals with.

        Args:
            read: Gives it; :meth:`materials` by default.
        """
        read = read or self.materials
        return SealingCredentials(lambda: read().identity, read, self.timestamps)

    async def document(self, data: bytes, title: str = "Lease") -> str:
        prepared = await self.signing_documents.store_sealed(
            tenant_id=self.world.tenant_id,
            signature_request_id="",
            title=title,
            data=data,
        )
        async with self.world.database.transaction() as transaction:
            await prepared.insert(transaction, self.sender.principal_id)
        return prepared.document_id

    async def signed(
        self, pages: int = 1, picture: bytes | None = None, orders: Sequence[int] = (0, 1)
    ) -> SignatureRequest:
        """A request that everybody has signed; the first signer also fills in a text and ticks a box."""
        new = draft_of([await self.document(make_pdf("Lease", pages))], orders)
        more = (
            make_field("note", FieldType.TEXT, y=300.0, height=20.0),
            make_field("box", FieldType.CHECKBOX, y=330.0, width=15.0, height=15.0),
        )
        request = await self.world.send(self.sender, replace(new, fields=(*new.fields, *more)))
        for index in range(len(orders)):
            signer = self.world.signer(request, index)
            await self.world.ready(signer)
            if index == 0:
                values = [("note", Value("text", "Keys: three")), ("box", Value("checked", content=True))]
                if picture:
                    values.append(("signature-0", Value("drawn", picture)))
                await self.world.ceremony.fill(signer, values)
            await self.world.ceremony.sign(signer)
        return await self.get(request)

    async def job(self, request: SignatureRequest) -> Job:
        """The job to seal a request, in a worker's hands."""
        return await held_job(self.world.database, SEAL, self.world.tenant_id, request.signature_request_id)

    async def get(self, request: SignatureRequest) -> SignatureRequest:
        return await self.world.signing.get(self.sender, request.signature_request_id)

    async def until(self, request: SignatureRequest, state: str) -> SignatureRequest:
        """The request, once it is in a state."""
        async for found in self._watch(request):
            if found.progress.state == state:
                return found
        raise AssertionError

    async def sealing_of(self, request: SignatureRequest, attempts: int) -> Sealing:
        """How sealing goes, once it was tried so often."""
        async for found in self._watch(request):
            if found.sealing is not None and found.sealing.attempts >= attempts:
                return found.sealing
        raise AssertionError

    async def _watch(self, request: SignatureRequest, seconds: float = 60.0) -> AsyncIterator[SignatureRequest]:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            yield await self.get(request)
            await asyncio.sleep(0.02)


def worker_of(made: SealingWorld) -> Worker:
    return sealing_worker(made.world, made.sealer)


@asynccontextmanager
async def open_sealing_world(url: str, folder: Path, sandbox: Sandbox) -> AsyncIterator[SealingWorld]:
    world = await make_world(url, folder, sandbox)
    log = Log(world.database, LogKey.open(folder, "log.example.org/zegel"))
    sequencer = Sequencer(world.database, log)
    await sequencer.start()
    world.recorder.recorded = sequencer.nudge
    authority = DevelopmentAuthority.open(folder / "authority")
    timestamps = Timestamps(LocalTimestampAuthority(authority.timestamp))
    try:
        yield SealingWorld(
            world=world,
            signing_documents=world.documents.for_signing,
            sequencer=sequencer,
            trail=AuditTrail(world.database, world.keys, log, sequencer),
            sandbox=sandbox,
            authority=authority,
            timestamps=timestamps,
            sender=world.member(),
        )
    finally:
        await sequencer.close()
        await world.close()


async def sealed_file(made: SealingWorld, request: SignatureRequest) -> bytes:
    """A request's sealed file."""
    return await made.signing_documents.read_all(made.world.tenant_id, request.sealed_document_id, 1)


async def assert_completed_once(made: SealingWorld, request: SignatureRequest) -> None:
    """The rows tell of one completion, and the file that they name is there."""
    found = await made.get(request)
    assert found.progress.state is RequestState.DOWNLOADABLE
    assert found.progress.seal_time is not None
    assert found.sealing is None
    assert await made.world.jobs() == []
    names = await made.world.events(request)
    assert (names.count("ALL_SIGNED"), names.count("DOWNLOADABLE")) == (1, 1)
    data = await sealed_file(made, found)
    (last,) = [row for row in await made.world.event_rows() if row.trail == found.audit_id][-1:]
    leaf = parse_leaf(bytes(last.leaf)) if last.leaf else said(last)
    opening = await opening_of(made, found)
    assert [each.commitment for each in leaf.documents] == [opening.commit(hashlib.sha256(data).digest(), len(data))]


async def opening_of(made: SealingWorld, request: SignatureRequest) -> SealedOpening:
    """What opens the log's commitment to a request's sealed file."""
    openings = Openings.parse(await openings_of(made.world.keys, request, request.sealed_document_id))
    assert openings.sealed is not None
    return openings.sealed


async def assert_complete(made: SealingWorld, request: SignatureRequest) -> bytes:
    """The request is completed, exactly once, and its file proves it to anybody."""
    await assert_completed_once(made, request)
    found = await made.get(request)
    data = await sealed_file(made, found)
    await made.sequencer.flush()
    proved = await made.trail.transaction(made.sender, found.audit_id)
    report = verify_pdf(data, [made.trail.verifier_key], [made.authority.root_pem], proved.sealed_proof)
    assert report.ok, report.failures
    assert report.facts.audit_id == found.audit_id
    assert all(check.ok for check in report.checks if check.name == "detached_proof")
    shown = found.rendition
    assert shown is not None
    rendition = await made.signing_documents.read_rendition(made.world.tenant_id, shown.document_id, shown.version)
    assert data.startswith(rendition)
    assert hashlib.sha256(rendition).digest() == shown.sha256
    return data
