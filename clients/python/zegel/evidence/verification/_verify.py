"""The verification of a sealed file: which checks are made, in which order, and the report they result in."""

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from asn1crypto import pem, x509

from zegel.evidence import trail as evidence
from zegel.evidence.disclosures import find_disclosure
from zegel.evidence.leaves import asserted_of
from zegel.evidence.openings import OpenedTrail, check_openings
from zegel.evidence.sealed_file.completion import FILES
from zegel.evidence.sealed_file.reading import SealedFile, read_sealed_file
from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.transparency import VerifierKey
from zegel.evidence.verification.container import ContainerError
from zegel.evidence.verification.path_rules import PathError
from zegel.evidence.verification.report import Check, Day, Document, Event, Facts, Report
from zegel.evidence.verification.seal_form import SealFormError
from zegel.evidence.verification.signatures import CLOCKS_APART, SealFacts, SignatureError, Signatures
from zegel.evidence.verification.store import StoreError

TRAIL_NAME, PROOF_NAME, OPENINGS_NAME = (file.name for file in FILES)
"""The names of the evidence files attached to a sealed file."""

_ACCEPTED: Final = "DISCLOSURE_ACCEPTED"
"""The event of a signer who accepts the disclosure, named by its hash."""

_DAY_OF_SIGNING: Final = "DATE_SIGNED"
"""The type of the boxes that show the day on which somebody signed."""

LONG_WAIT: Final = dt.timedelta(hours=24)
"""Longest time between the trail's last event and the seal before the report warns. Sealing takes seconds, but waits
while the timestamp authority is unavailable. A longer wait may also mean that somebody replaced the timestamps with
later ones."""

_T = TypeVar("_T")
_KNOWN_FAILURES = (FormError, ContainerError, SealFormError, SignatureError, StoreError, PathError)


def verify_pdf(
    pdf: bytes,
    log_vkeys: Sequence[str],
    trust_roots: Sequence[bytes],
    detached_proof: bytes | None = None,
    now: dt.datetime | None = None,
    *,
    timestamp_roots: Sequence[bytes] = (),
    seal_pins: Sequence[str] = (),
    witness_vkeys: Sequence[str] = (),
    witnesses_needed: int = 0,
) -> Report:
    """Verify a sealed file, offline.

    Args:
        pdf: The file; it may be anything.
        log_vkeys: Verifier keys (C2SP ``signed-note``) of the transparency logs that are trusted.
        trust_roots: Root certificates, PEM (one or more in each) or DER, that the seal may lead to.
        detached_proof: The ``.tlog-proof`` that came with the file, if available. Without it the report says what is
            not proved: that this very file is in the log.
        now: When the verification takes place, with a time zone; the present by default.
        timestamp_roots: Root certificates that the timestamps may lead to; those for seals by default.
        seal_pins: SHA-256 of certificates, in lower-case hex, one of which must have sealed; any by default.
        witness_vkeys: Verifier keys of the witnesses that are trusted.
        witnesses_needed: How many of them must have cosigned the checkpoints in the evidence.

    Returns:
        A report. No content of ``pdf`` or ``detached_proof`` makes this raise.

    Raises:
        ValueError: ``trust_roots`` or ``timestamp_roots`` holds something that is not a certificate.
        zegel.evidence.transparency.InvalidKey: ``log_vkeys`` or ``witness_vkeys`` holds something that is not a
            verifier key.
    """
    roots = [certificate for data in trust_roots for certificate in load_certificates(data)]
    clocks = [certificate for data in timestamp_roots for certificate in load_certificates(data)]
    return _Verification(
        pdf,
        logs=[VerifierKey.parse(vkey.strip()) for vkey in log_vkeys],
        roots=roots,
        timestamp_roots=clocks or roots,
        pins=[pin.lower() for pin in seal_pins],
        detached_proof=detached_proof,
        now=now or dt.datetime.now(dt.UTC),
        witnesses=[VerifierKey.parse(vkey.strip()) for vkey in witness_vkeys],
        witnesses_needed=witnesses_needed,
        same_roots=not clocks,
    ).run()


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates in PEM or DER data.

    Raises:
        ValueError: There is none, or there is something else.
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
    """One verification in progress: collects checks, facts and warnings."""

    pdf: bytes
    logs: Sequence[VerifierKey]
    roots: Sequence[x509.Certificate]
    timestamp_roots: Sequence[x509.Certificate]
    pins: Sequence[str]
    detached_proof: bytes | None
    now: dt.datetime
    witnesses: Sequence[VerifierKey]
    witnesses_needed: int
    same_roots: bool
    checks: list[Check] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    def run(self) -> Report:
        file = self._check("structure", lambda: read_sealed_file(self.pdf), self._say_structure)
        opened: OpenedTrail | None = None
        if file is not None:
            seal = self._signatures(file)
            opened = self._evidence(file, seal)
        self._detached(opened)
        return Report(tuple(self.checks), self.facts, tuple(self.warnings))

    def _check(self, name: str, make: Callable[[], _T], say: Callable[[_T], str]) -> _T | None:
        """Make one check; whatever it raises counts as its failure."""
        try:
            result = make()
            self.checks.append(Check(name, ok=True, detail=say(result)))
        except _KNOWN_FAILURES as error:
            self.checks.append(Check(name, ok=False, detail=_sentence(str(error))))
        except Exception:  # noqa: BLE001 - parsers of damaged structures raise anything; a file that does is not valid
            self.checks.append(Check(name, ok=False, detail="A structure in the file cannot be read."))
        else:
            return result
        return None

    def _say_structure(self, file: SealedFile) -> str:
        count = len(file.timestamps)
        return (
            f"All {len(self.pdf):,} bytes are accounted for: the rendition, what was added to it under one seal, "
            f"and {count} document timestamp{'s' if count > 1 else ''}."
        )

    def _signatures(self, file: SealedFile) -> SealFacts | None:
        signatures = Signatures(file, self.roots, self.timestamp_roots)
        stamp = self._check(
            "document_timestamp",
            lambda: signatures.check_timestamps(self.now),
            lambda facts: f"No byte differs from those timestamped on {_when(facts.timestamped_at)}.",
        )
        seal = self._check(
            "seal",
            lambda: signatures.check_seal(self.pins),
            lambda facts: (
                f"Sealed by {facts.sealed_by} on {_when(facts.sealed_at)}; PAdES B-LTA, no changes permitted."
            ),
        )
        if stamp:
            self.facts = replace(self.facts, timestamped_by=stamp.timestamped_by, timestamped_at=stamp.timestamped_at)
        if seal:
            self.facts = replace(
                self.facts,
                sealed_by=seal.sealed_by,
                sealed_at=seal.sealed_at,
                seal_certificate=seal.certificate_sha256,
            )
        if self.same_roots:
            self.warnings.append(
                "No roots were given for timestamps, so those for seals are used (--timestamp-trust gives others)."
            )
        return seal

    def _evidence(self, file: SealedFile, seal: SealFacts | None) -> OpenedTrail | None:
        attached = file.completion.files
        report = evidence.check_trail(
            attached[TRAIL_NAME],
            attached[PROOF_NAME],
            self.logs,
            witnesses=self.witnesses,
            quorum=self.witnesses_needed,
        )
        good = report.ok and report.checkpoint is not None and report.trail is not None
        if good and report.checkpoint is not None and report.trail is not None:
            detail = (
                f"{len(report.leaves)} events, unbroken, in the log {report.checkpoint.origin} "
                f"(entry {report.index} of {report.checkpoint.size})."
            )
            self.facts = replace(
                self.facts,
                audit_id=report.trail,
                log=report.checkpoint.origin,
                events=tuple(_event(leaf) for leaf in report.leaves),
                last_event_at=report.leaves[-1].time,
            )
        else:
            detail = _failures(report.failures) or "The trail belongs to no signature request."
        self.checks.append(Check("audit_trail", ok=good, detail=detail))
        if not good:
            return None
        self._say_wait(seal)
        opened = check_openings(report.leaves, attached[OPENINGS_NAME])
        if opened.failures:
            self.checks.append(Check("rendition", ok=False, detail=_failures(opened.failures)))
            return None
        self._check("rendition", lambda: _check_rendition(file, opened), lambda told: told)
        self._check("seal_certificate", lambda: _check_certificate(seal, opened), lambda told: told)
        self.facts = replace(
            self.facts,
            documents=tuple(
                Document(each.document, each.version, each.sha256, each.content, each.size) for each in opened.documents
            ),
            rendition_length=file.rendition_length,
            days=tuple(
                Day(box.signature, box.page, box.time_zone) for box in opened.boxes if box.type == _DAY_OF_SIGNING
            ),
        )
        return opened

    def _say_wait(self, seal: SealFacts | None) -> None:
        """Warn if the time between the trail's last event and the seal needs an explanation."""
        if seal is None or self.facts.last_event_at is None:
            return
        waited = seal.sealed_at - self.facts.last_event_at
        if waited > LONG_WAIT:
            self.warnings.append(
                f"The seal's timestamp is {_span(waited)} later than the trail's last event. Sealing waits while the "
                "timestamp authority is unavailable; otherwise the timestamps were replaced by later ones."
            )
        elif waited < -CLOCKS_APART:
            self.warnings.append(
                f"The seal's timestamp is {_span(-waited)} earlier than the trail's last event: one of the two clocks "
                "is wrong."
            )

    def _detached(self, opened: OpenedTrail | None) -> None:
        if self.detached_proof is None:
            self.warnings.append(
                "No detached proof was given, so it is not proved that this very file is in the log. "
                "The holder of the seal's key could have sealed the same trail twice."
            )
            return
        report = evidence.check_detached(
            hashlib.sha256(self.pdf).digest(),
            len(self.pdf),
            self.detached_proof,
            self.logs,
            opening=opened.sealed if opened else None,
            trail=self.facts.audit_id or None,
            witnesses=self.witnesses,
            quorum=self.witnesses_needed,
        )
        detail = _failures(report.failures)
        if report.ok and report.checkpoint is not None:
            detail = f"This very file is in the log {report.checkpoint.origin} (entry {report.index})."
        self.checks.append(Check("detached_proof", ok=report.ok, detail=detail))


def _check_rendition(file: SealedFile, opened: OpenedTrail) -> str:
    """Check that the file begins with what every signer was shown, and was drawn on only in named boxes."""
    shown = opened.rendition
    if shown is None:
        raise SignatureError("The trail names no rendition.")
    digest = hashlib.sha256(file.rendition).hexdigest()
    if (digest, file.rendition_length) != (shown.sha256, shown.size):
        raise SignatureError("The file does not begin with what the signers were shown.")
    named = {(box.page, box.x, box.y, box.width, box.height) for box in opened.boxes}
    for box in file.completion.boxes:
        if (box.page, box.x, box.y, box.width, box.height) not in named:
            raise SignatureError(f"On page {box.page} something is stamped where the request named no box.")
    stamped = f"{len(file.completion.boxes)} of the {len(named)}"
    return (
        f"Its first {file.rendition_length:,} bytes are what every signer was given; on their {file.pages:,} pages "
        f"nothing was added but stamps in {stamped} boxes that the request named."
    )


def _check_certificate(seal: SealFacts | None, opened: OpenedTrail) -> str:
    """Check that the sealing certificate is the one that the trail named in advance."""
    if seal is None:
        raise SignatureError("The seal is not valid, so its certificate cannot be compared with the trail's.")
    if seal.certificate_sha256 != opened.seal_certificate:
        raise SignatureError("The seal is not by the certificate that the trail names.")
    return "The trail named the sealing certificate before the file was sealed."


def _event(leaf: evidence.LeafFields) -> Event:
    accepted = find_disclosure(leaf.extra.get("disclosure")) if leaf.type == _ACCEPTED else None
    return Event(
        leaf.seq or 0,
        leaf.type,
        leaf.time,
        leaf.actor or "",
        leaf.actor_kind,
        asserted=asserted_of(leaf),
        disclosure=accepted.version if accepted else 0,
    )


def _failures(failures: Sequence[evidence.Failure]) -> str:
    said = [f"{f.reason} (line {f.line})" if f.line else f.reason for f in failures[:3]]
    more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""  # noqa: PLR2004 - a report, not a log
    return _sentence("; ".join(said) + more) if said else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _when(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(length: dt.timedelta) -> str:
    """A length of time in the largest unit of which it has at least two."""
    seconds = length.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
