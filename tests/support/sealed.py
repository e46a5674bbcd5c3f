"""A small sealed PDF with real evidence, made from parts: development authority, a log of a few leaves, the seal."""

import datetime as dt
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pikepdf
from reportlab.pdfgen.canvas import Canvas

from zegel import canonical, note_signing, transparency
from zegel.evidence import SEALED_EVENT_TYPE
from zegel_server.pdf.authority import DevelopmentAuthority
from zegel_server.pdf.ocsp import LocalOcspResponder
from zegel_server.pdf.sealing import SealSpec, seal_pdf
from zegel_server.pdf.timestamping import LocalTimestampAuthority

TRAIL = "trail-0001"


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


def attach(pdf: bytes, files: dict[str, bytes]) -> bytes:
    document = pikepdf.open(io.BytesIO(pdf))
    for name, data in files.items():
        document.attachments[name] = pikepdf.AttachedFileSpec(document, data, filename=name)
    output = io.BytesIO()
    document.save(output)
    return output.getvalue()


def make_leaf(seq: int, previous: bytes | None, kind: str, documents: Sequence[tuple[str, str]] = ()) -> bytes:
    return canonical.dumps(
        {
            "v": 1,
            "event_id": f"event-{seq}",
            "tenant": "tenant-1",
            "trail": TRAIL,
            "seq": seq,
            "prev": transparency.leaf_hash(previous).hex() if previous else None,
            "type": kind,
            "time": f"2026-11-24T07:00:0{seq}.000000Z",
            "actor": "actor-1",
            "actor_kind": "signer",
            "auth": None,
            "role": None,
            "decision": "allowed",
            "policy_version": 1,
            "documents": [{"document": name, "version": 1, "sha256": digest} for name, digest in documents],
            "resource": None,
            "personal": None,
        }
    )


Signers = Sequence[note_signing.SignerKey]


def prove(leaf: bytes, key: note_signing.SignerKey, extra: bytes = b"", witnesses: Signers = ()) -> bytes:
    """A proof of ``leaf`` in a log of two leaves, the other of which is somebody else's."""
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


def make_evidence(
    key: note_signing.SignerKey, document: bytes, witnesses: Signers = ()
) -> tuple[bytes, dict[str, bytes]]:
    """The last leaf, and the files that are attached."""
    digest = hashlib.sha256(document).hexdigest()
    first = make_leaf(1, None, "SIGNATURE_REQUEST_SENT", [("document-1", digest)])
    second = make_leaf(2, first, "SIGNATURE_REQUEST_SIGNED")
    last = make_leaf(3, second, "SIGNATURE_REQUEST_ALL_SIGNED")
    trail = b"".join(leaf + b"\n" for leaf in (first, second, last))
    return last, {"audit.jsonl": trail, "completed.tlog-proof": prove(last, key, witnesses=witnesses)}


def make_sealed(
    folder: Path,
    document: bytes | None = None,
    key: note_signing.SignerKey | None = None,
    witnesses: Signers = (),
) -> Sealed:
    key = key or log_key()
    document = document or make_pdf()
    authority = DevelopmentAuthority.open(folder)
    last, files = make_evidence(key, document, witnesses)
    respond = LocalTimestampAuthority(authority.timestamp).respond
    pdf = seal_pdf(attach(document, files), seal_spec(authority), authority.seal.sign, respond)
    sealing = make_leaf(4, last, SEALED_EVENT_TYPE, [("document-1", hashlib.sha256(pdf).hexdigest())])
    return Sealed(pdf, str(key.verifier), authority.root_pem, prove(sealing, key, sealing, witnesses))
