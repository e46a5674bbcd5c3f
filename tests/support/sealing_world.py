"""Everything that sealing needs, none of it faked: documents, log, sandbox, authority."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.jobs import held_job
from support.sealed import answer_about_seal, make_pdf
from support.signing_world import World, draft_of, make_field, make_world
from zegel_server.audit.log import Log
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.sequencer import Sequencer
from zegel_server.audit.service import AuditTrail
from zegel_server.caller import Caller
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.errors import Unavailable
from zegel_server.jobs.model import Job
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.request import Sealing, SignatureRequest
from zegel_server.signing.sealing import Sealer, SealMaterials
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
    materials: SealMaterials
    sender: Caller
    sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        self.sealer = self.sealer_with()

    def sealer_with(self, **changes: Any) -> Sealer:
        parts: dict[str, Any] = {
            "documents": self.signing_documents,
            "trails": self.trail,
            "sandbox": self.sandbox,
            "materials": self.materials,
            **changes,
        }
        database = parts.pop("database", self.world.database)
        return Sealer(database, self.world.keys, self.world.recorder, **parts)

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
            materials=SealMaterials(
                identity=authority.seal,
                timestamp=timestamps,
                certificates=authority.timestamp.chain,
                read_crls=lambda: authority.crls,
                read_ocsps=lambda: (answer_about_seal(authority),),
            ),
            sender=world.member(),
        )
    finally:
        await sequencer.close()
        await world.close()
