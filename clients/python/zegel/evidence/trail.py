"""Checking, offline, the evidence that Zegel hands out: the audit trail in a completed PDF, and the detached proof.

Two files prove a trail: ``audit.jsonl``, the leaves of one signature request, and ``completed.tlog-proof``, which
proves that the last of them is in the log. Each leaf holds the hash of the one before, so the proof of the last covers
them all. A third file, ``signed.tlog-proof``, proves that the log knows the sealed file: it carries the leaf that
commits to the file's SHA-256. ``openings.json`` opens the leaves' commitments: see ``zegel.evidence.openings``.
Formats: RFC 8785 for leaves, C2SP ``tlog-proof`` for proofs.

Invariants:

* Functions of bytes only: they use no clock, network or file.
* A report is good only if each check was made and passed; one that could not be made has failed.
* Every byte of the files counts, except signature lines of keys that the caller does not know.
* Nothing here needs personal data: a leaf holds only commitments to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zegel.evidence.commitments import SEALED, DocumentHash, SealedOpening
from zegel.evidence.leaves import (
    BARE_HASHES,
    LEAF_VERSION,
    MAX_LEAF_BYTES,
    DocumentCommitment,
    InvalidLeaf,
    LeafFields,
    parse_leaf,
)
from zegel.evidence.transparency import (
    Checkpoint,
    InvalidCheckpoint,
    InvalidNote,
    InvalidNoteSignature,
    InvalidProof,
    LogProof,
    TransparencyError,
    UnsignedNote,
    VerifierKey,
    leaf_hash,
)

__all__ = [
    "LEAF_VERSION",
    "MAX_LEAF_BYTES",
    "MAX_TRAIL_BYTES",
    "SEALED_EVENT_TYPE",
    "Check",
    "DetachedReport",
    "DocumentCommitment",
    "DocumentHash",
    "Failure",
    "InvalidLeaf",
    "LeafFields",
    "SealedOpening",
    "TrailReport",
    "check_detached",
    "check_trail",
    "parse_leaf",
]

MAX_TRAIL_BYTES: Final = 64 * 2**20
"""A longer ``audit.jsonl`` is refused unread. This is enough for 100,000 events; a busy request has some hundred."""
MAX_EVENTS: Final = 100_000
"""More lines are refused unread."""
MAX_FAILURES: Final = 100
"""Checking stops after so many failures: nobody would read a longer report."""
SEALED_EVENT_TYPE: Final = "SIGNATURE_REQUEST_DOWNLOADABLE"
"""The event that names the sealed file's hash: a value of ``zegel.event.v1.EventType`` without its prefix."""


class Check(StrEnum):
    """The separate checks."""

    LEAF_FORMAT = "leaf_format"
    """Each line is a leaf in canonical form."""
    SEQUENCE = "sequence"
    """Leaves are numbered 1, 2, 3, ... without a gap."""
    CHAIN = "chain"
    """Each leaf holds the hash of the one before."""
    ONE_TRAIL = "one_trail"
    """All leaves belong to one trail and tenant, and that trail is the one asked for."""
    PROOF_FORMAT = "proof_format"
    """The proof file is in canonical form."""
    SIGNATURE = "signature"
    """A trusted log, and as many witnesses as were asked for, signed the checkpoint."""
    INCLUSION = "inclusion"
    """The leaf is in the log that the checkpoint commits to."""
    SEALED_FILE = "sealed_file"
    """The leaf is that of a sealed file, and of this very file."""
    OPENINGS = "openings"
    """The openings are in canonical form, and each matches the commitment that it opens."""
    SAME_DOCUMENTS = "same_documents"
    """The documents that were sent are the ones that each signer signed and that were completed."""
    BOXES = "boxes"
    """The boxes are those of the sent request, and each belongs to a signer."""
    SEAL_CERTIFICATE = "seal_certificate"
    """The trail names the certificate that seals."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not pass: which, why, and the line of ``audit.jsonl`` (from 1) if it concerns one."""

    check: Check
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class TrailReport:
    """What checking a trail found.

    Args:
        leaves: The events that could be read, in order.
        index: Index of the last one in the log, or ``None`` if the proof could not be read.
        checkpoint: The tree head, if its signatures are good.
        failures: The checks that did not pass; the report is good if there are none.
        clock_steps: Lines whose time is before that of the line above: the server's clock was set back. The log's order
            proves the sequence, so this does not weaken the proof.
    """

    leaves: tuple[LeafFields, ...]
    index: int | None
    checkpoint: Checkpoint | None
    failures: tuple[Failure, ...]
    clock_steps: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the whole trail is proved."""
        return not self.failures

    @property
    def trail(self) -> str | None:
        """The audit ID of a good trail; ``None`` where anything failed."""
        return self.leaves[0].trail if self.ok else None


@dataclass(frozen=True, slots=True)
class DetachedReport:
    """What checking a detached proof found; see ``TrailReport``. ``leaf`` is the event that names the sealed file."""

    leaf: LeafFields | None
    index: int | None
    checkpoint: Checkpoint | None
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether the log has the file as a sealed one."""
        return not self.failures


def check_trail(
    audit_jsonl: bytes,
    proof: bytes,
    logs: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> TrailReport:
    """Check that the trail of a signature request is complete, unedited, and in the log.

    Args:
        audit_jsonl: ``audit.jsonl``: all leaves in order, each followed by a newline.
        proof: ``completed.tlog-proof``: proof of the last leaf, with no extra data or with that leaf as the extra data.
        logs: Verifier keys of the logs that are trusted.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have signed.

    Returns:
        The report; no content of the files makes this raise.
    """
    failures: list[Failure] = []
    too_long = len(audit_jsonl) > MAX_TRAIL_BYTES or audit_jsonl.count(b"\n") > MAX_EVENTS
    lines = [b"."] if too_long else audit_jsonl.split(b"\n")
    if len(lines) < 2 or lines.pop():  # noqa: PLR2004 - a line and the end
        failures.append(Failure(Check.LEAF_FORMAT, "the trail is empty, too long, or does not end in a newline"))
    leaves: list[LeafFields] = []
    clock_steps: list[int] = []
    previous: LeafFields | None = None
    for number, line in enumerate(lines, 1):
        if len(failures) >= MAX_FAILURES:
            break
        try:
            leaf = parse_leaf(line)
        except InvalidLeaf as error:
            failures.append(Failure(Check.LEAF_FORMAT, str(error), number))
            continue
        if leaf.seq != number:
            failures.append(Failure(Check.SEQUENCE, "an event is missing, added or moved", number))
        if leaf.prev != (leaf_hash(lines[number - 2]).hex() if number > 1 else None):
            failures.append(Failure(Check.CHAIN, "the event before is not the one that was recorded", number))
        if previous and (leaf.trail, leaf.tenant) != (previous.trail, previous.tenant):
            failures.append(Failure(Check.ONE_TRAIL, "the event is of another trail or tenant", number))
        if previous and leaf.time < previous.time:
            clock_steps.append(number)
        leaves.append(leaf)
        previous = leaf
    last = lines[-1] if lines else b""
    parsed, head = _check_proof(proof, last, failures, logs=logs, witnesses=witnesses, quorum=quorum)
    return TrailReport(tuple(leaves), parsed.index if parsed else None, head, tuple(failures), tuple(clock_steps))


def check_detached(
    file_sha256: bytes,
    file_size: int,
    proof: bytes,
    logs: Sequence[VerifierKey],
    *,
    opening: SealedOpening | None = None,
    trail: str | None = None,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> DetachedReport:
    """Check that the log has a file as sealed, from the file's hash, the commitment's opening, and the log's key.

    Args:
        file_sha256: SHA-256 of the whole file, 32 bytes.
        file_size: How many bytes it has.
        proof: ``signed.tlog-proof``; its extra data is the leaf that commits to the file.
        logs: Verifier keys of the logs that are trusted.
        opening: Opens the commitment; from the ``openings.json`` in the file. Leaves of version 1 need none.
        trail: The audit ID that the leaf must have, such as that of the trail in the file.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have signed.

    Returns:
        The report; no content of the files makes this raise.
    """
    failures: list[Failure] = []
    parsed, head = _check_proof(proof, None, failures, logs=logs, witnesses=witnesses, quorum=quorum)
    leaf: LeafFields | None = None
    if parsed:
        try:
            leaf = parse_leaf(parsed.extra)
        except InvalidLeaf as error:
            failures.append(Failure(Check.LEAF_FORMAT, str(error)))
    if leaf and leaf.type != SEALED_EVENT_TYPE:
        failures.append(Failure(Check.SEALED_FILE, "the event is not the sealing of a file"))
    elif leaf and leaf.version != BARE_HASHES and opening is None:
        failures.append(Failure(Check.SEALED_FILE, "the opening of the event's commitment to the file is missing"))
    elif leaf and not _names(leaf, file_sha256, file_size, opening):
        failures.append(Failure(Check.SEALED_FILE, "the event names another file"))
    if leaf and (leaf.trail is None or trail not in {None, leaf.trail}):
        failures.append(Failure(Check.ONE_TRAIL, "the event is of another trail"))
    return DetachedReport(leaf, parsed.index if parsed else None, head, tuple(failures))


def _names(leaf: LeafFields, file_sha256: bytes, file_size: int, opening: SealedOpening | None) -> bool:
    """Whether a leaf commits to a file, or in version 1 names its hash."""
    if leaf.version == BARE_HASHES:
        return any(each.commitment == file_sha256.hex() for each in leaf.documents)
    if opening is None:
        return False
    wanted = (SEALED, opening.document, opening.version, opening.commit(file_sha256, file_size))
    return any((each.content, each.document, each.version, each.commitment) == wanted for each in leaf.documents)


def _check_proof(
    proof: bytes,
    leaf: bytes | None,
    failures: list[Failure],
    *,
    logs: Sequence[VerifierKey],
    witnesses: Sequence[VerifierKey],
    quorum: int,
) -> tuple[LogProof | None, Checkpoint | None]:
    """Check the proof of a leaf, or of its extra data; add failures to ``failures``, return what could be read."""
    try:
        parsed = LogProof.parse(proof)
    except TransparencyError as error:
        failures.append(Failure(Check.PROOF_FORMAT, str(error)))
        return None, None
    # The proof authenticates extra data only if it is the leaf itself; anything else could have been edited.
    if leaf is not None and parsed.extra not in {b"", leaf}:
        failures.append(Failure(Check.PROOF_FORMAT, "the proof carries data that is not its leaf"))
    try:
        return parsed, parsed.verify(parsed.extra if leaf is None else leaf, logs, witnesses, quorum)
    except InvalidProof as error:
        failures.append(Failure(Check.INCLUSION, str(error)))
    except (InvalidNote, InvalidCheckpoint, InvalidNoteSignature, UnsignedNote) as error:
        failures.append(Failure(Check.SIGNATURE, str(error)))
    return parsed, None
