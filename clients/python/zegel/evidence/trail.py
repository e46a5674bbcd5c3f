"""Checking the evidence that Zegel hands out: the audit trail in a completed PDF, and the proof beside it. Offline.

Two files make a trail provable: ``audit.jsonl``, the leaves of one signature request, and ``completed.tlog-proof``, the
proof that the last of them is in the log. Each leaf holds the hash of the one before, so the proof of the last covers
all. A third file, ``signed.tlog-proof``, proves that the log knows the sealed file: it carries the leaf that commits to
the file's SHA-256. What opens the leaves' commitments is in ``openings.json``: see ``zegel.evidence.openings``.
Formats: RFC 8785 for leaves, C2SP ``tlog-proof`` for proofs.

Invariants:

* Functions of bytes alone: no clock, no network, no file.
* A report is good only if each check was made and passed; one that could not be made has failed.
* Every byte of the files counts, except signature lines of keys that the caller does not know.
* Nothing here needs a person's data: a leaf holds commitments only.
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
"""Longer ``audit.jsonl`` are refused unread: 100,000 events, where a busy request has some hundred."""
MAX_EVENTS: Final = 100_000
"""More lines are refused unread."""
MAX_FAILURES: Final = 100
"""Reading ends after so many: what fails so often is no trail, and a report that tells more is read by nobody."""
SEALED_EVENT_TYPE: Final = "SIGNATURE_REQUEST_DOWNLOADABLE"
"""The event that names the sealed file's hash: a value of ``zegel.event.v1.EventType`` without its prefix."""


class Check(StrEnum):
    """What is checked, each on its own."""

    LEAF_FORMAT = "leaf_format"
    """Each line is a leaf in its one form."""
    SEQUENCE = "sequence"
    """Leaves count 1, 2, 3, ... without a gap."""
    CHAIN = "chain"
    """Each leaf holds the hash of the one before."""
    ONE_TRAIL = "one_trail"
    """All leaves are of one trail and one tenant, and of the one that was asked for."""
    PROOF_FORMAT = "proof_format"
    """The proof file is in its one form."""
    SIGNATURE = "signature"
    """A trusted log, and as many witnesses as were asked for, signed the checkpoint."""
    INCLUSION = "inclusion"
    """The leaf is in the log that the checkpoint commits to."""
    SEALED_FILE = "sealed_file"
    """The leaf is that of a sealed file, and of this one."""
    OPENINGS = "openings"
    """The openings are in their one form, and each fits the commitment that it opens."""
    SAME_DOCUMENTS = "same_documents"
    """What was sent, what each signer signed and what everybody signed are the same documents."""
    BOXES = "boxes"
    """The boxes are those that were sent, each of a signer."""
    SEAL_CERTIFICATE = "seal_certificate"
    """The trail names the certificate that seals."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not pass: which, why, and in which line of ``audit.jsonl`` (from 1), if in one."""

    check: Check
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class TrailReport:
    """What checking a trail found.

    Args:
        leaves: The events, in order; those that could be read.
        index: Place in the log of the last one, or ``None`` where the proof could not be read.
        checkpoint: The tree head, only if it could be believed.
        failures: The checks that did not pass; none makes the report good.
        clock_steps: Lines whose time lies before that of the line above: the server's clock went back. The order is
            that of the log, so this takes nothing from the proof.
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
        """Whether the log knows the file as sealed."""
        return not self.failures


def check_trail(
    audit_jsonl: bytes,
    proof: bytes,
    logs: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> TrailReport:
    """Check the trail of a signature request: that it is whole, unedited, and in the log.

    Args:
        audit_jsonl: ``audit.jsonl``: each leaf, in order, and a newline after each.
        proof: ``completed.tlog-proof``: proof of the last leaf, with no extra data or that leaf as such.
        logs: Verifier keys of the logs that are trusted.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have signed.

    Returns:
        The report; it never raises for what the files hold.
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
    """Check that the log knows a file as sealed, with the file's hash, what opens its commitment, and the log's key.

    Args:
        file_sha256: SHA-256 of the whole file, 32 bytes.
        file_size: How many bytes it has.
        proof: ``signed.tlog-proof``; its extra data is the leaf that commits to the file.
        logs: Verifier keys of the logs that are trusted.
        opening: What opens the commitment, from the file's own ``openings.json``; leaves of version 1 need none.
        trail: The audit ID that the leaf must have, such as that of the trail in the file.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have signed.

    Returns:
        The report; it never raises for what the files hold.
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
    """Whether a leaf commits to a file, or in version 1 tells its hash."""
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
    """Check a proof of a leaf, or of its own extra data, and tell what failed; return what could be read."""
    try:
        parsed = LogProof.parse(proof)
    except TransparencyError as error:
        failures.append(Failure(Check.PROOF_FORMAT, str(error)))
        return None, None
    # Extra data is not authenticated by the proof. As the leaf itself it is; as anything else it could be edited.
    if leaf is not None and parsed.extra not in {b"", leaf}:
        failures.append(Failure(Check.PROOF_FORMAT, "the proof carries data that is not its leaf"))
    try:
        return parsed, parsed.verify(parsed.extra if leaf is None else leaf, logs, witnesses, quorum)
    except InvalidProof as error:
        failures.append(Failure(Check.INCLUSION, str(error)))
    except (InvalidNote, InvalidCheckpoint, InvalidNoteSignature, UnsignedNote) as error:
        failures.append(Failure(Check.SIGNATURE, str(error)))
    return parsed, None
