"""Seals a request that everybody has signed: one attempt, which either completes it or changes nothing.

Invariants:

* A request becomes ``DOWNLOADABLE`` with its sealed document, the event that names the document's hash, and the end of
  the job to seal it, in one transaction. A crash before it leaves nothing that counts.
* The sealed file begins, byte for byte, with the rendition that every signer's event binds; this process, not the
  sandbox, puts it there.
* Nothing completes without the audit page, the evidence, the seal and its timestamps: before the
  sandbox's result is trusted, another sandbox checks its form and what its pages show beyond the rendition.
* The sealing certificate is the one that the trail names; if it was replaced meanwhile, the trail records that first.
* Times come from a timestamp authority; without one, the request waits. So it does while a file sealed with what the
  organisation has could not be verified.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence.commitments import SEALED, DocumentHash
from zegel.evidence.openings import named_seal
from zegel_server import clock
from zegel_server.audit.answers import Evidence
from zegel_server.audit.origins import origins_of
from zegel_server.audit.recorder import Recorder
from zegel_server.audit.service import AuditTrail
from zegel_server.credentials.judging import SealMaterials
from zegel_server.credentials.keyed_certificate import SealIdentity, fingerprint
from zegel_server.credentials.sealing import SealingCredentials
from zegel_server.db import Database
from zegel_server.documents.model import Page
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable
from zegel_server.ids import new_id
from zegel_server.jobs import queue
from zegel_server.jobs.model import Job
from zegel_server.keys.service import Keys
from zegel_server.pdf.completion.assembling import SealSpec
from zegel_server.pdf.model import Box
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing import repository, rows, store
from zegel_server.signing.completion import ALL_SIGNED, Completed, job_of, read_trail
from zegel_server.signing.model import RequestState
from zegel_server.signing.openings import openings_of
from zegel_server.signing.repository import RequestRepository
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.values import Values

EVIDENCE_WAIT_S: Final = 3.0
"""How long an attempt waits for a checkpoint that covers its events: a sequencer signs one within 250 ms."""
NOT_YET: Final = frozenset({"NOT_INTEGRATED_YET", "NOT_WITNESSED_YET"})
"""Reasons that a short wait resolves: the sequencer's signature is missing, or the witnesses'."""
EVIDENCE_POLL_S: Final = 0.05
"""Seconds between checks while waiting."""
TIMESTAMPS: Final = 2
"""Minimum number of timestamps in a sealed file (PAdES B-LTA): one on the seal, one over the whole document."""


def seal_spec(materials: SealMaterials, reason: str, token_size: int = 0) -> SealSpec:
    """The seal's parameters for the sandbox, which gets no key.

    Args:
        materials: What the organisation seals with.
        reason: Why it is sealed, for a viewer's signature panel.
        token_size: Bytes of the largest timestamp token so far; 0 where none is known.
    """
    return SealSpec(
        chain=materials.identity.chain,
        certificates=list(materials.certificates),
        crls=list(materials.crls),
        ocsps=list(materials.ocsps),
        signature_algorithm=materials.identity.signature_algorithm,
        signing_time=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=reason,
        token_size=token_size,
    )


@dataclass(slots=True)
class _Callbacks:
    """Answers the sandbox's requests for signatures and timestamps, and counts them."""

    identity: SealIdentity
    credentials: SealingCredentials
    signed: int = field(default=0)
    timestamped: int = field(default=0)

    async def sign(self, data: bytes) -> bytes:
        # In a thread: the key may be in a device.
        signature = await asyncio.to_thread(self.identity.sign, data)
        self.signed += 1
        return signature

    async def timestamp(self, request: bytes) -> bytes:
        response = await self.credentials.timestamp(request)
        self.timestamped += 1
        return response


class Sealer:
    """Seals requests.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        documents: Reads renditions, and stores the sealed document.
        trails: Gives the evidence.
        sandbox: The PDF sandbox.
        credentials: What the organisation seals with.
        evidence_wait_s: How long an attempt waits for its evidence, in seconds; short by default.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        recorder: Recorder,
        *,
        documents: SigningDocuments,
        trails: AuditTrail,
        sandbox: Sandbox,
        credentials: SealingCredentials,
        evidence_wait_s: float | None = None,
    ) -> None:
        self._evidence_wait_s = evidence_wait_s
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._documents = documents
        self._trails = trails
        self._sandbox = sandbox
        self._credentials = credentials
        self._token_size = 0
        self._requests = RequestRepository(database, keys)

    async def seal(self, job: Job) -> None:
        """Completes a request; does nothing if it is not waiting to be sealed.

        Args:
            job: The job to seal it; it ends in the transaction that completes the request.

        Raises:
            DataLoss: What is stored is damaged.
            FailedPrecondition: It can never be sealed as it is, such as with ``DOCUMENT_TOO_COMPLEX``.
            LeaseLost: Another worker is sealing it by now; nothing was changed.
            Unavailable: It cannot be sealed now: ``TIMESTAMP_UNAVAILABLE``, ``SEAL_CERTIFICATE_EXPIRED``,
                ``NOT_WITNESSED_YET`` and the like.
        """
        tenant_id, signature_request_id = job.tenant_id, job.resource_id
        request = await self._requests.get(tenant_id, signature_request_id)
        if request.progress.state is not RequestState.ALL_SIGNED:
            return
        document_id = new_id("doc")
        sealed, pages = await self._make(request, document_id)
        prepared = await self._documents.store_sealed(
            tenant_id=tenant_id,
            signature_request_id=signature_request_id,
            title=request.title,
            data=sealed,
            pages=pages,
            document_id=document_id,
        )
        draft = await self._recorder.draft_own(
            tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_DOWNLOADABLE,
            resource_id=signature_request_id,
            signature_request_id=signature_request_id,
            trail=request.audit_id,
            documents=[DocumentHash(prepared.document_id, 1, hashlib.sha256(sealed).hexdigest(), len(sealed), SEALED)],
        )
        async with self._database.transaction() as transaction:
            before, _ = await repository.lock(transaction, request)
            if before.progress.state is not RequestState.ALL_SIGNED:
                return  # another process has sealed it: its document counts
            await queue.finish(transaction, job)
            await prepared.insert(transaction, before.owner_id)
            after = before.with_progress(before.progress.sealed(clock.now())).with_sealed_document(prepared.document_id)
            await repository.save(transaction, before, after)
            await self._recorder.record(transaction, draft)

    async def _make(self, request: SignatureRequest, document_id: str) -> tuple[bytes, Sequence[Page]]:
        """The sealed file and its pages."""
        materials = await self._credentials.current()
        evidence = await self._evidence(request, fingerprint(materials.identity))
        rendition = await self._rendition(request)
        job = job_of(
            Completed(
                request=request,
                values={each: await self._values(request, each) for each in request.people},
                rendition=rendition,
                evidence=evidence,
                openings=await openings_of(self._keys, request, document_id),
                origin=self._trails.origin,
                origins=await origins_of(self._database, self._keys, request.audit_id),
            )
        )
        callbacks = _Callbacks(materials.identity, self._credentials)
        try:
            made = await self._sandbox.complete(
                job,
                seal_spec(materials, f"Signed by all parties. Audit ID {request.audit_id}", self._token_size),
                callbacks.sign,
                callbacks.timestamp,
            )
        except BaseException:
            self._token_size = 0  # perhaps too small for a token: the next attempt measures it
            raise
        if callbacks.signed != 1 or callbacks.timestamped < TIMESTAMPS:
            raise _not_what_was_asked()
        self._token_size = made.token_size
        sealed = rendition + made.appended
        boxes = [Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height) for stamp in job.stamps]
        certificates = [*materials.identity.chain, *materials.certificates]
        shown = await self._sandbox.examine(sealed, boxes, certificates)
        return sealed, [Page(page.width, page.height) for page in shown]

    async def _rendition(self, request: SignatureRequest) -> bytes:
        """What the signers were shown: its hash is the one that every signer's event binds."""
        pinned = request.rendition
        if pinned is None:
            raise FailedPrecondition(
                "The request was sent before renditions existed, so what its signers saw cannot be sealed.",
                reason="DOCUMENT_UNREADABLE",
            )
        data = await self._documents.read_rendition(request.tenant_id, pinned.document_id, pinned.version)
        if len(data) != pinned.size or (await asyncio.to_thread(hashlib.sha256, data)).digest() != pinned.sha256:
            raise DataLoss("A stored rendition is not the one that was signed.")
        return data

    async def _evidence(self, request: SignatureRequest, certificate: str) -> Evidence:
        """The trail, once it proves that everybody has signed and names the seal's certificate; waits briefly."""
        wait = EVIDENCE_WAIT_S if self._evidence_wait_s is None else self._evidence_wait_s
        deadline = asyncio.get_running_loop().time() + wait
        recorded = False
        while True:
            found = await self._try_evidence(self._trails.evidence(request.audit_id))
            if isinstance(found, Evidence):
                named = named_seal(read_trail(found))
                if named == certificate:
                    return found
                if not recorded:
                    await self._record_certificate(request, certificate)
                    recorded = True
                found = _not_integrated()
            if asyncio.get_running_loop().time() > deadline:
                raise found
            await asyncio.sleep(EVIDENCE_POLL_S)

    async def _record_certificate(self, request: SignatureRequest, certificate: str) -> None:
        """Records the certificate that will seal in the trail."""
        draft = await self._recorder.draft_own(
            request.tenant_id,
            events.EVENT_TYPE_SEAL_CERTIFICATE_CHANGED,
            resource_id=request.signature_request_id,
            signature_request_id=request.signature_request_id,
            trail=request.audit_id,
            extra={"seal_certificate": certificate},
        )
        async with self._database.transaction() as transaction:
            await self._recorder.record(transaction, draft)

    @staticmethod
    async def _try_evidence(asked: Awaitable[Evidence]) -> Evidence | Unavailable:
        """The evidence, or why it is not available yet."""
        try:
            evidence = await asked
        except Unavailable as error:
            if error.reason not in NOT_YET:
                raise
            return error
        if any(leaf.type == ALL_SIGNED for leaf in read_trail(evidence)):
            return evidence
        return _not_integrated()

    async def _values(self, request: SignatureRequest, signature_id: str) -> Values:
        key = await self._keys.subject_key(request.people[signature_id].subject_id)
        if key is None:
            raise FailedPrecondition("A signer's data was erased before the document was sealed.")
        row = await self._database.fetch_one(store.SIGNATURE_VALUES, signature_id=signature_id)
        if row is None or row.field_values is None:
            raise DataLoss("The values of a signature are missing.")
        return rows.decrypt_values(self._keys, key, signature_id, row.field_values)


def _not_what_was_asked() -> Unavailable:
    return Unavailable("The document cannot be sealed at the moment.")


def _not_integrated() -> Unavailable:
    return Unavailable("The trail is not under a checkpoint yet.", reason="NOT_INTEGRATED_YET")
