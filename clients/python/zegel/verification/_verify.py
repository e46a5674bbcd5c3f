"""The verification of a sealed file: which checks are made, in which order, and what they add up to."""

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from asn1crypto import pem, x509

from zegel import evidence
from zegel.leaves import BARE_HASHES
from zegel.transparency import VerifierKey
from zegel.verification import signatures
from zegel.verification.attachments import AttachmentError, read_attachments
from zegel.verification.container import ContainerError
from zegel.verification.report import Check, Document, Event, Facts, Report

TRAIL_NAME, PROOF_NAME = "audit.jsonl", "completed.tlog-proof"
"""The evidence's names among the attachments of a sealed file."""

_T = TypeVar("_T")


def verify_pdf(
    pdf: bytes,
    log_vkeys: Sequence[str],
    trust_roots: Sequence[bytes],
    detached_proof: bytes | None = None,
    now: dt.datetime | None = None,
    *,
    witness_vkeys: Sequence[str] = (),
    witnesses_needed: int = 0,
) -> Report:
    """Verify a sealed file, offline.

    Args:
        pdf: The file, whatever it is.
        log_vkeys: Verifier keys (C2SP ``signed-note``) of the transparency logs that are trusted.
        trust_roots: Root certificates, PEM (one or more in each) or DER, that the seal and the timestamps may lead to.
        detached_proof: The ``.tlog-proof`` that was handed out beside the file, if it is at hand. Without it the file
            is just as protected; with it, the log itself vouches for the file's hash.
        now: When the verification takes place, with a time zone; the present if left out.
        witness_vkeys: Verifier keys of the witnesses that are trusted.
        witnesses_needed: How many of them must have cosigned the checkpoints that the evidence stands on.

    Returns:
        A report. No content of ``pdf`` or ``detached_proof`` makes this raise.

    Raises:
        ValueError: ``trust_roots`` holds something that is no certificate.
        zegel.transparency.InvalidKey: ``log_vkeys`` or ``witness_vkeys`` holds something that is no verifier key.
    """
    roots = [certificate for data in trust_roots for certificate in load_certificates(data)]
    logs = [VerifierKey.parse(vkey.strip()) for vkey in log_vkeys]
    witnesses = [VerifierKey.parse(vkey.strip()) for vkey in witness_vkeys]
    now = now or dt.datetime.now(dt.UTC)
    return _Verification(pdf, logs, roots, detached_proof, now, witnesses, witnesses_needed).run()


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates in PEM or DER data.

    Raises:
        ValueError: There is none, or something else.
    """
    encodings = [der for _, _, der in pem.unarmor(data, multiple=True)] if pem.detect(data) else [data]
    certificates = [x509.Certificate.load(der, strict=True) for der in encodings]
    for certificate in certificates:
        certificate.subject.native  # noqa: B018 - asn1crypto parses on demand: fail here, not in a check
    if not certificates:
        raise ValueError("no certificate")
    return certificates


@dataclass
class _Verification:
    """One verification under way: gathers checks and facts."""

    pdf: bytes
    logs: Sequence[VerifierKey]
    roots: Sequence[x509.Certificate]
    detached_proof: bytes | None
    now: dt.datetime
    witnesses: Sequence[VerifierKey] = ()
    witnesses_needed: int = 0
    checks: list[Check] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    def run(self) -> Report:
        file = self._check("structure", lambda: signatures.open_signed(self.pdf), self._say_structure)
        if file is not None:
            self._signatures(file)
            self._evidence(file)
        if self.detached_proof is not None:
            self._detached(self.detached_proof)
        return Report(tuple(self.checks), self.facts)

    def _check(self, name: str, make: Callable[[], _T], say: Callable[[_T], str]) -> _T | None:
        """Make one check; whatever is raised in it is its failure."""
        try:
            result = make()
            self.checks.append(Check(name, ok=True, detail=say(result)))
        except (signatures.SignatureError, ContainerError, AttachmentError) as error:
            text = str(error)
            self.checks.append(Check(name, ok=False, detail=text[:1].upper() + text[1:].rstrip(".") + "."))
        except Exception:  # noqa: BLE001 - parsers of damaged files raise anything; a file that does that is not valid
            self.checks.append(Check(name, ok=False, detail="The file cannot be read as a PDF that was sealed."))
        else:
            return result
        return None

    def _say_structure(self, file: signatures.SignedFile) -> str:
        count = len(file.timestamps)
        return (
            f"One seal and {count} document timestamp{'s' if count > 1 else ''}; "
            f"the last covers all {len(self.pdf):,} bytes of the file."
        )

    def _signatures(self, file: signatures.SignedFile) -> None:
        stamp = self._check(
            "document_timestamp",
            lambda: signatures.check_last_timestamp(file, self.roots),
            lambda facts: f"No byte differs from those timestamped on {_when(facts.timestamped_at)}.",
        )
        seal = self._check(
            "seal",
            lambda: signatures.check_seal(file, self.roots, self.now),
            lambda facts: (
                f"Sealed by {facts.sealed_by} on {_when(facts.sealed_at)}; PAdES B-LTA, no changes permitted."
            ),
        )
        self._check(
            "changes",
            lambda: signatures.check_changes(file),
            lambda _: "Since the seal, only validation data and timestamps were added.",
        )
        if stamp:
            self.facts = replace(self.facts, timestamped_by=stamp.timestamped_by, timestamped_at=stamp.timestamped_at)
        if seal:
            self.facts = replace(self.facts, sealed_by=seal.sealed_by, sealed_at=seal.sealed_at)

    def _evidence(self, file: signatures.SignedFile) -> None:
        attached = self._check(
            "evidence",
            lambda: attached_evidence(file),
            lambda _: f"{TRAIL_NAME} and {PROOF_NAME} are attached, and the seal covers both.",
        )
        if attached is None:
            return
        report = evidence.check_trail(
            attached[TRAIL_NAME],
            attached[PROOF_NAME],
            self.logs,
            witnesses=self.witnesses,
            quorum=self.witnesses_needed,
        )
        if report.ok and report.checkpoint is not None and report.trail is not None:
            detail = (
                f"{len(report.leaves)} events, unbroken, in the log {report.checkpoint.origin} "
                f"(entry {report.index} of {report.checkpoint.size})."
            )
            self.facts = replace(
                self.facts,
                audit_id=report.trail,
                log=report.checkpoint.origin,
                documents=_documents(report.leaves),
                events=tuple(_event(leaf) for leaf in report.leaves),
            )
        else:
            detail = _failures(report.failures) or "The trail belongs to no signature request."
        self.checks.append(Check("audit_trail", ok=report.ok and report.trail is not None, detail=detail))

    def _detached(self, proof: bytes) -> None:
        digest = hashlib.sha256(self.pdf).digest()
        report = evidence.check_detached(
            digest,
            len(self.pdf),
            proof,
            self.logs,
            trail=self.facts.audit_id or None,
            witnesses=self.witnesses,
            quorum=self.witnesses_needed,
        )
        detail = _failures(report.failures)
        if report.ok and report.checkpoint is not None:
            detail = f"The log {report.checkpoint.origin} knows this very file (entry {report.index})."
        self.checks.append(Check("detached_proof", ok=report.ok, detail=detail))


def attached_evidence(file: signatures.SignedFile) -> dict[str, bytes]:
    """The evidence, by its names, which must be the same in the sealed revision and in the file as it is now.

    Raises:
        AttachmentError: It is missing, there twice, or was exchanged after the seal.
    """
    names = (TRAIL_NAME, PROOF_NAME)
    sealed = read_attachments(file.reader, file.seal.signed_revision, names)
    if read_attachments(file.reader, file.reader.xrefs.total_revisions - 1, names) != sealed:
        raise AttachmentError("The evidence in the file is not the evidence that was sealed.")
    return sealed


def _documents(leaves: Sequence[evidence.LeafFields]) -> tuple[Document, ...]:
    # Of leaves that hold commitments, hashes are known by their openings alone.
    named = {
        (each.document, each.version, each.commitment): None
        for leaf in leaves
        if leaf.version == BARE_HASHES
        for each in leaf.documents
    }
    return tuple(Document(document, version, sha256) for document, version, sha256 in named)


def _event(leaf: evidence.LeafFields) -> Event:
    return Event(leaf.seq or 0, leaf.type, leaf.time, leaf.actor or "", leaf.actor_kind)


def _failures(failures: Sequence[evidence.Failure]) -> str:
    said = [f"{f.reason} (line {f.line})" if f.line else f.reason for f in failures[:3]]
    more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""  # noqa: PLR2004 - a report, not a log
    return ("; ".join(said) + more)[:1].upper() + ("; ".join(said) + more)[1:] + "." if said else ""


def _when(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
