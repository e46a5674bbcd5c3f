"""A small sealed PDF with real evidence, made from parts: development authority, a log of a few leaves, the seal."""

import datetime as dt
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

from support.sealing_in_process import seal_rendition
from zegel.evidence import canonical, note_signing, transparency
from zegel.evidence.commitments import (
    ORIGINAL,
    RENDITION,
    SEALED,
    Box,
    DocumentHash,
    SealedOpening,
    boxes_salt,
    commit_boxes,
    commit_document,
    document_salt,
)
from zegel.evidence.openings import OpenedDocument, Openings
from zegel.evidence.trail import SEALED_EVENT_TYPE
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.ocsp import LocalOcspResponder
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.pdf.completion.assembling import SealSpec
from zegel_server.pdf.fonts import typesetting as fonts
from zegel_server.pdf.model import (
    AuditDocument,
    AuditEvent,
    AuditPage,
    AuditParty,
    CompletionJob,
    Stamp,
)
from zegel_server.pdf.pages.rendition import render

TRAIL = "trail-0001"
SIGNATURE = "signature-1"
TENANT_KEY = bytes(range(32))


def log_key(name: str = "log.example.org/zegel", seed: int = 7) -> note_signing.SignerKey:
    return note_signing.SignerKey(name, transparency.ED25519, bytes([seed]) * 32)


def make_pdf(text: str = "An agreement", pages: int = 1) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    for number in range(pages):
        canvas.drawString(72, 720, f"{text}, page {number + 1}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def make_leaf(
    seq: int,
    previous: bytes | None,
    kind: str,
    documents: Sequence[DocumentHash] = (),
    *,
    time: dt.datetime | None = None,
    resource: str | None = None,
    **extra: canonical.Json,
) -> bytes:
    moment = time or dt.datetime.now(dt.UTC) - dt.timedelta(seconds=20 - seq)
    return canonical.dumps(
        {
            **extra,
            "v": 2,
            "event_id": f"event-{seq}",
            "tenant": "tenant-1",
            "trail": TRAIL,
            "seq": seq,
            "prev": transparency.leaf_hash(previous).hex() if previous else None,
            "type": kind,
            "time": moment.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "actor": "actor-1",
            "actor_kind": "signer",
            "auth": None,
            "role": None,
            "decision": "allowed",
            "policy_version": 1,
            "documents": [
                {
                    "commitment": commit_document(salt_of(each), each),
                    "content": each.content,
                    "document": each.document,
                    "version": each.version,
                }
                for each in documents
            ],
            "resource": resource,
            "personal": None,
        }
    )


def salt_of(document: DocumentHash) -> bytes:
    return document_salt(TENANT_KEY, document.content, document.document, document.version)


Signers = Sequence[note_signing.SignerKey]


def prove(leaf: bytes, key: note_signing.SignerKey, extra: bytes = b"", witnesses: Signers = ()) -> bytes:
    """Returns a proof of ``leaf`` in a log of two leaves, the other of which is unrelated."""
    other = transparency.leaf_hash(b"another event")
    root = transparency.node_hash(other, transparency.leaf_hash(leaf))
    text = transparency.Checkpoint(key.name, 2, root).format()
    note = note_signing.sign_note(text, key.sign(text), *(each.sign(text, 1_800_000_000) for each in witnesses))
    return transparency.LogProof(1, (other,), note, extra).format()


@dataclass(frozen=True)
class Sealed:
    """A sealed file and what verifies it."""

    pdf: bytes
    vkey: str
    root_pem: bytes
    detached: bytes


def answer_about_seal(authority: DevelopmentAuthority) -> bytes:
    """A fresh OCSP answer about the authority's seal."""
    seal = authority.seal.certificate
    return LocalOcspResponder(lambda: authority.responder, [seal]).answer(seal)


def seal_spec(authority: DevelopmentAuthority, **changes: object) -> SealSpec:
    spec = SealSpec(
        chain=authority.seal.chain,
        certificates=authority.timestamp.chain,
        crls=list(authority.crls),
        ocsps=[answer_about_seal(authority)],
        signature_algorithm=authority.seal.signature_algorithm,
        signing_time=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        reason="Completed",
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def make_rendition(document: bytes) -> bytes:
    fonts.preload()
    return render(document).data


@dataclass(frozen=True)
class Evidence:
    """What is attached, and the trail's last leaf."""

    files: dict[str, bytes]
    last: bytes


def make_evidence(
    key: note_signing.SignerKey,
    document: bytes,
    rendition: bytes,
    certificate: bytes,
    boxes: Sequence[Box] = (),
    *,
    witnesses: Signers = (),
    ended: dt.datetime | None = None,
) -> Evidence:
    """The evidence of a request with one signer, who signed a rendition of a document.

    Args:
        key: The log's key.
        document: The original.
        rendition: What the signer was shown.
        certificate: The seal's, DER.
        boxes: The boxes that the request names.
        witnesses: Who cosigns.
        ended: When everybody had signed; just now where left out.
    """
    hashes = [
        DocumentHash("document-1", 1, hashlib.sha256(data).hexdigest(), len(data), content)
        for data, content in ((document, ORIGINAL), (rendition, RENDITION))
    ]
    salt = boxes_salt(TENANT_KEY, TRAIL)
    signers: canonical.Json = [{"order": 0, "personal": "00" * 32, "signature": SIGNATURE}]
    sent = make_leaf(
        1, None, "SIGNATURE_REQUEST_SENT", hashes, boxes=commit_boxes(salt, boxes), signers=signers, time=ended
    )
    signed = make_leaf(2, sent, "SIGNATURE_REQUEST_SIGNED", hashes, resource=SIGNATURE, time=ended)
    sha256 = hashlib.sha256(certificate).hexdigest()
    last = make_leaf(3, signed, "SIGNATURE_REQUEST_ALL_SIGNED", hashes, seal_certificate=sha256, time=ended)
    sealed = SealedOpening("document-2", 1, document_salt(TENANT_KEY, SEALED, "document-2", 1))
    openings = Openings(tuple(OpenedDocument(each, salt_of(each)) for each in hashes), tuple(boxes), salt, sealed)
    trail = b"".join(leaf + b"\n" for leaf in (sent, signed, last))
    files = {
        "audit.jsonl": trail,
        "completed.tlog-proof": prove(last, key, witnesses=witnesses),
        "openings.json": openings.format(),
    }
    return Evidence(files, last)


AUDIT = AuditPage(
    audit_id=TRAIL,
    title="An agreement",
    tenant_name="Lettings & Co",
    completed_time="2026-11-27 10:00:00 UTC",
    documents=[AuditDocument("An agreement", "00" * 32, 1)],
    parties=[AuditParty("Ann Bell", "ann@example.com", "Signer", "Signed")],
    events=[AuditEvent("2026-11-27 10:00:00", "Signed", "Ann Bell")],
    origin="log.example.org/zegel",
)

STAMP = Stamp(1, 72.0, 300.0, 180.0, 60.0, "signature", text="Ann Bell", caption="Ann Bell")
"""What the signer signs with."""


def box_of(stamp: Stamp) -> Box:
    x, y, width, height = (round(each * 1000) for each in (stamp.x, stamp.y, stamp.width, stamp.height))
    return Box(stamp.page, x, y, width, height, SIGNATURE, "SIGNATURE")


def make_sealed(
    folder: Path,
    document: bytes | None = None,
    key: note_signing.SignerKey | None = None,
    witnesses: Signers = (),
    *,
    stamps: Sequence[Stamp] = (STAMP,),
    ended: dt.datetime | None = None,
    audit: AuditPage = AUDIT,
) -> Sealed:
    key = key or log_key()
    document = document or make_pdf()
    authority = DevelopmentAuthority.open(folder)
    rendition = make_rendition(document)
    boxes = [box_of(stamp) for stamp in stamps]
    certificate = authority.seal.chain[0]
    evidence = make_evidence(key, document, rendition, certificate, boxes, witnesses=witnesses, ended=ended)
    job = CompletionJob(rendition, list(stamps), audit, evidence.files, dt.datetime.now(dt.UTC))
    respond = LocalTimestampAuthority(authority.timestamp).respond
    pdf = rendition + seal_rendition(job, seal_spec(authority), authority.seal.sign, respond).appended
    return Sealed(pdf, str(key.verifier), authority.root_pem, detached_of(pdf, evidence.last, key, witnesses))


def detached_of(
    pdf: bytes, last: bytes, key: note_signing.SignerKey, witnesses: Signers = (), *, seq: int = 4
) -> bytes:
    """The proof that is handed out beside a sealed file."""
    named = DocumentHash("document-2", 1, hashlib.sha256(pdf).hexdigest(), len(pdf), SEALED)
    sealing = make_leaf(seq, last, SEALED_EVENT_TYPE, [named])
    return prove(sealing, key, sealing, witnesses)
