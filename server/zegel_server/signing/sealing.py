"""Sealing a request that everybody has signed: one try, which either completes it or changes nothing.

Invariants:

* A request becomes ``DOWNLOADABLE`` with its sealed document, the event that names the document's hash, and the end of
  the order to seal, in one transaction. Whoever dies before it leaves nothing that counts.
* Nothing completes without the audit page, the evidence, the seal and its timestamps: what the sandbox returns is
  looked at again, in another sandbox, before it is believed.
* A time comes from a timestamp authority or the request waits.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence import DocumentHash
from zegel_server import clock
from zegel_server.audit.answers import Evidence
from zegel_server.audit.recorder import Recorder
from zegel_server.db import Database
from zegel_server.documents.model import Page
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable
from zegel_server.keys.service import Keys
from zegel_server.pdf.identity import SealIdentity
from zegel_server.pdf.sealing import SealSpec
from zegel_server.pdf.timestamping import TimestampAuthority
from zegel_server.pdf.workshop import Workshop
from zegel_server.signing import store
from zegel_server.signing.completion import ALL_SIGNED, Completed, job_of, read_trail
from zegel_server.signing.fields import Values
from zegel_server.signing.model import RequestState
from zegel_server.signing.ports import Documents, TrailEvidence
from zegel_server.signing.reading import Snapshots, load_values, lock, values_place, write
from zegel_server.signing.snapshot import Snapshot

EVIDENCE_WAIT_S: Final = 3.0
"""How long a try waits for its events to come under a checkpoint: a sequencer signs one within 250 ms."""
NOT_YET: Final = frozenset({"NOT_INTEGRATED_YET", "NOT_WITNESSED_YET"})
"""What passes by waiting a little: the sequencer's signature, and the witnesses'."""
EVIDENCE_POLL_S: Final = 0.05
"""How often it asks."""
TIMESTAMPS: Final = 2
"""Timestamps in a sealed file at least (PAdES B-LTA): one on the seal, one over the whole document."""


@dataclass(frozen=True, slots=True)
class SealMaterials:
    """What the organisation seals with.

    Attributes:
        identity: Its key and certificates.
        timestamp: Who answers for the time.
        certificates: Further certificates, DER: the timestamp authority's chain, and the roots.
        read_crls: Gives the certificate revocation lists to embed, DER, as they are when a document is sealed.
        ocsps: OCSP responses, DER, to embed.
    """

    identity: SealIdentity
    timestamp: TimestampAuthority
    certificates: Sequence[bytes] = ()
    read_crls: Callable[[], Sequence[bytes]] = tuple
    ocsps: Sequence[bytes] = ()

    def spec(self, reason: str) -> SealSpec:
        """What the sandbox is told; it gets no key.

        Args:
            reason: Why it is sealed, for a viewer's signature panel.
        """
        return SealSpec(
            chain=self.identity.chain,
            certificates=list(self.certificates),
            crls=list(self.read_crls()),
            ocsps=list(self.ocsps),
            signature_algorithm=self.identity.signature_algorithm,
            signing_time=datetime.now(UTC).isoformat(timespec="seconds"),
            reason=reason,
        )


@dataclass(slots=True)
class _Callbacks:
    """Answers the sandbox, and counts what it really asked for."""

    materials: SealMaterials
    signed: int = field(default=0)
    timestamped: int = field(default=0)

    async def sign(self, data: bytes) -> bytes:
        # In a thread: the key may be in a device.
        signature = await asyncio.to_thread(self.materials.identity.sign, data)
        self.signed += 1
        return signature

    async def timestamp(self, request: bytes) -> bytes:
        response = await self.materials.timestamp.timestamp(request)
        self.timestamped += 1
        return response


class Sealer:
    """Seals requests.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        documents: Has the originals, and takes the sealed document.
        trails: Has the evidence.
        workshop: Has the sandbox.
        materials: What is sealed with.
        evidence_wait_s: How long a try waits for its evidence, in seconds; a little where left out.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        recorder: Recorder,
        *,
        documents: Documents,
        trails: TrailEvidence,
        workshop: Workshop,
        materials: SealMaterials,
        evidence_wait_s: float | None = None,
    ) -> None:
        self._evidence_wait_s = evidence_wait_s
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._documents = documents
        self._trails = trails
        self._workshop = workshop
        self._materials = materials
        self._snapshots = Snapshots(database, keys)

    async def seal(self, tenant_id: str, signature_request_id: str) -> None:
        """Completes a request; one that waits for no seal only loses its order to seal.

        Args:
            tenant_id: Whose it is.
            signature_request_id: The request.

        Raises:
            DataLoss: What is stored is damaged.
            FailedPrecondition: It can never be sealed as it is, such as with ``DOCUMENT_TOO_COMPLEX``.
            Unavailable: Not now: ``TIMESTAMP_UNAVAILABLE``, ``NOT_WITNESSED_YET`` and the like.
        """
        request = await self._snapshots.get(tenant_id, signature_request_id)
        if request.progress.state is not RequestState.ALL_SIGNED:
            async with self._database.transaction() as transaction:
                await transaction.execute(store.DONE, signature_request_id=signature_request_id)
            return
        sealed, pages = await self._make(request)
        prepared = await self._documents.store_sealed(
            tenant_id=tenant_id,
            signature_request_id=signature_request_id,
            title=request.title,
            data=sealed,
            pages=pages,
        )
        draft = await self._recorder.draft_own(
            tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_DOWNLOADABLE,
            resource_id=signature_request_id,
            signature_request_id=signature_request_id,
            trail=request.audit_id,
            documents=[DocumentHash(prepared.document_id, 1, hashlib.sha256(sealed).hexdigest())],
        )
        async with self._database.transaction() as transaction:
            before, _ = await lock(transaction, request)
            await transaction.execute(store.DONE, signature_request_id=signature_request_id)
            if before.progress.state is not RequestState.ALL_SIGNED:
                return  # another process was faster: its document is the one
            await prepared.insert(transaction, before.owner_id)
            after = before.after(before.progress.sealed(clock.now())).with_sealed(prepared.document_id)
            await write(transaction, before, after)
            await self._recorder.record(transaction, draft)

    async def _make(self, request: Snapshot) -> tuple[bytes, Sequence[Page]]:
        """The sealed file and its pages."""
        evidence = await self._evidence(request.audit_id)
        completed = Completed(
            request=request,
            values={each: await self._values(request, each) for each in request.people},
            originals=[await self._original(request, index) for index in range(len(request.documents))],
            evidence=evidence,
            origin=self._trails.origin,
        )
        callbacks = _Callbacks(self._materials)
        sealed = await self._workshop.complete(
            job_of(completed),
            self._materials.spec(f"Signed by all parties. Audit ID {request.audit_id}"),
            callbacks.sign,
            callbacks.timestamp,
        )
        if callbacks.signed != 1 or callbacks.timestamped < TIMESTAMPS:
            raise _not_what_was_asked()
        return sealed, await self._look_at(request, sealed)

    async def _look_at(self, request: Snapshot, sealed: bytes) -> Sequence[Page]:
        """Demands that a sealed file has its audit page, its evidence and its seal."""
        facts = await self._workshop.inspect(sealed)
        originals = sum(document.page_count for document in request.documents)
        if len(facts.pages) <= originals or not (facts.has_attachments and facts.has_signatures):
            raise _not_what_was_asked()
        return [Page(page.width, page.height) for page in facts.pages]

    async def _evidence(self, trail: str) -> Evidence:
        """The trail up to the event that everybody has signed, waited for a little."""
        wait = EVIDENCE_WAIT_S if self._evidence_wait_s is None else self._evidence_wait_s
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            found = await self._proved(self._trails.evidence(trail))
            if isinstance(found, Evidence):
                return found
            if asyncio.get_running_loop().time() > deadline:
                raise found
            await asyncio.sleep(EVIDENCE_POLL_S)

    @staticmethod
    async def _proved(asked: Awaitable[Evidence]) -> Evidence | Unavailable:
        """The evidence, or why it is not there yet."""
        try:
            evidence = await asked
        except Unavailable as error:
            if error.reason not in NOT_YET:
                raise
            return error
        if any(leaf.type == ALL_SIGNED for leaf in read_trail(evidence)):
            return evidence
        return Unavailable("The trail is not under a checkpoint yet.", reason="NOT_INTEGRATED_YET")

    async def _values(self, request: Snapshot, signature_id: str) -> Values:
        key = await self._keys.subject_key(request.people[signature_id].subject_id)
        if key is None:
            raise FailedPrecondition("A signer's data was erased before the document was sealed.")
        row = await self._database.fetch_one(store.SIGNATURE_VALUES, signature_id=signature_id)
        if row is None or row.field_values is None:
            raise DataLoss("The values of a signature are missing.")
        return load_values(self._keys.decrypt_personal(key, row.field_values, values_place(signature_id)))

    async def _original(self, request: Snapshot, index: int) -> bytes:
        """A document as it was signed: its hash is the one that every signer's event names."""
        document = request.documents[index]
        data = await self._documents.read_all(request.tenant_id, document.document_id, document.version)
        if (await asyncio.to_thread(hashlib.sha256, data)).digest() != document.sha256:
            raise DataLoss("A stored document is not the one that was signed.")
        return data


def _not_what_was_asked() -> Unavailable:
    return Unavailable("The document cannot be sealed at the moment.")
