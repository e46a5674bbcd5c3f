"""Checking the evidence that Zegel hands out: the audit trail in a completed PDF, and the proof beside it. Offline.

Two files make a trail provable: ``audit.jsonl``, the leaves of one signature request, and ``completed.tlog-proof``, the
proof that the last of them is in the log. Each leaf holds the hash of the one before, so the proof of the last covers
all. A third file, ``signed.tlog-proof``, proves that the log knows the sealed file: it carries the leaf that names the
file's SHA-256. Formats: RFC 8785 for leaves, C2SP ``tlog-proof`` for proofs.

Invariants:

* Functions of bytes alone: no clock, no network, no file.
* A report is good only if each check was made and passed; one that could not be made has failed.
* Every byte of the files counts, except signature lines of keys that the caller does not know.
* Nothing here needs a person's data: a leaf holds commitments only.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from zegel.canonical import MAX_INTEGER, CanonicalError, Json, loads
from zegel.transparency import (
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

LEAF_VERSION: Final = 1
"""The version of the leaf's form that this module reads."""
MAX_LEAF_BYTES: Final = 65_535
"""What the length prefix of an entry bundle can say (C2SP tlog-tiles)."""
MAX_TRAIL_BYTES: Final = 64 * 2**20
"""Longer ``audit.jsonl`` are refused unread: 100,000 events, where a busy request has some hundred."""
SEALED_EVENT_TYPE: Final = "SIGNATURE_REQUEST_DOWNLOADABLE"
"""The event that names the sealed file's hash: a value of ``zegel.event.v1.EventType`` without its prefix."""

_HEX_HASH = re.compile("[0-9a-f]{64}", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_TYPE = re.compile("[A-Z][A-Z0-9_]{0,63}", re.ASCII)


class InvalidLeaf(TransparencyError):  # noqa: N818 - named after what is invalid, as all of these
    """The bytes are no leaf in its one form."""


# --------------------------------------------------------------------------------------------------------------- leaves


@dataclass(frozen=True, slots=True)
class DocumentHash:
    """A document that an event concerns: which, which version of it, and the SHA-256 of its bytes in lower-case hex."""

    document: str
    version: int
    sha256: str
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafFields:
    """What a leaf of the audit log says: one act.

    Args:
        event_id: Identifier of the event.
        tenant: Pseudonym of the tenant, or ``None`` for an act outside of all.
        trail: Audit ID of the signature request, or ``None`` for an act that belongs to none.
        seq: Place in the trail, from 1; ``None`` without a trail.
        prev: Leaf hash of the trail's event before, in hex; ``None`` for the first and without a trail.
        type: A value of ``zegel.event.v1.EventType`` without its prefix. It may be one that this version does not know.
        time: When, by the server's clock, to the microsecond.
        actor: Pseudonym of who did it, or ``None`` for the server itself.
        actor_kind: What the actor is, such as ``member``, ``api_key``, ``signer``, ``system``.
        auth: How the actor authenticated, or ``None``.
        role: The role by which it was allowed, or ``None``.
        decision: ``allowed`` or ``refused``.
        policy_version: Version of the policy that decided; 0 where none was asked.
        documents: The documents that it concerns.
        resource: What it was done to, or ``None``.
        personal: Commitment to the personal data: HMAC-SHA-256 under the subject's key, in hex, or ``None``.
        extra: Members that this version does not know, as they stand.
    """

    event_id: str
    tenant: str | None
    trail: str | None
    seq: int | None
    prev: str | None
    type: str
    time: datetime
    actor: str | None
    actor_kind: str
    auth: str | None = None
    role: str | None = None
    decision: str = "allowed"
    policy_version: int = 0
    documents: tuple[DocumentHash, ...] = ()
    resource: str | None = None
    personal: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _or_null(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


_DOCUMENT_RULES: dict[str, Callable[[object], bool]] = {
    "document": _text,
    "version": _count,
    "sha256": _matches(_HEX_HASH),
}


def _documents(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and _follows(each, _DOCUMENT_RULES) for each in value)


_LEAF_RULES: dict[str, Callable[[object], bool]] = {
    "event_id": _text,
    "tenant": _or_null(_text),
    "trail": _or_null(_text),
    "seq": _or_null(_count),
    "prev": _or_null(_matches(_HEX_HASH)),
    "type": _matches(_TYPE),
    "time": _matches(_TIME),
    "actor": _or_null(_text),
    "actor_kind": _text,
    "auth": _or_null(_text),
    "role": _or_null(_text),
    "decision": _text,
    "policy_version": _count,
    "documents": _documents,
    "resource": _or_null(_text),
    "personal": _or_null(_matches(_HEX_HASH)),
}


def _follows(value: Mapping[str, object], rules: Mapping[str, Callable[[object], bool]]) -> bool:
    return all(name in value and rule(value[name]) for name, rule in rules.items())


def parse_leaf(data: bytes) -> LeafFields:
    """Read a leaf. What it holds beyond the fields known here is kept in ``extra``.

    Raises:
        InvalidLeaf: The bytes are not canonical JSON, too long, or a field is missing or of a wrong form.
    """
    if len(data) > MAX_LEAF_BYTES:
        raise InvalidLeaf("a leaf is too long")
    try:
        value: Any = loads(data)
    except CanonicalError as error:
        raise InvalidLeaf("a leaf is not canonical JSON") from error
    if not isinstance(value, dict) or not _count(value.get("v")) or value.pop("v") != LEAF_VERSION:
        raise InvalidLeaf("a leaf is of another version")
    if not _follows(value, _LEAF_RULES):
        wrong = [name for name, rule in _LEAF_RULES.items() if name not in value or not rule(value[name])]
        raise InvalidLeaf(f"a leaf lacks or misstates {', '.join(wrong)}")
    seq, prev = value["seq"], value["prev"]
    if (seq is None) != (value["trail"] is None) or seq == 0 or (prev is None) != (seq in {None, 1}):
        raise InvalidLeaf("a leaf's trail, seq and prev contradict each other")
    try:
        time = datetime.fromisoformat(value.pop("time")).astimezone(UTC)
    except ValueError as error:
        raise InvalidLeaf("a leaf's time is none of the calendar") from error
    documents = tuple(
        DocumentHash(each.pop("document"), each.pop("version"), each.pop("sha256"), each)
        for each in value.pop("documents")
    )
    known = {name: value.pop(name) for name in _LEAF_RULES if name in value}
    return LeafFields(**known, time=time, documents=documents, extra=value)


# --------------------------------------------------------------------------------------------------------------- checks


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
    lines = audit_jsonl.split(b"\n") if len(audit_jsonl) <= MAX_TRAIL_BYTES else [b"."]
    if len(lines) < 2 or lines.pop():  # noqa: PLR2004 - a line and the end
        failures.append(Failure(Check.LEAF_FORMAT, "the trail is empty, too long, or does not end in a newline"))
    leaves: list[LeafFields] = []
    clock_steps: list[int] = []
    previous: LeafFields | None = None
    for number, line in enumerate(lines, 1):
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
    proof: bytes,
    logs: Sequence[VerifierKey],
    *,
    trail: str | None = None,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> DetachedReport:
    """Check that the log knows a file as sealed, with nothing but the file's hash, the proof and the log's key.

    Args:
        file_sha256: SHA-256 of the whole file, 32 bytes.
        proof: ``signed.tlog-proof``; its extra data is the leaf that names the file.
        logs: Verifier keys of the logs that are trusted.
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
    elif leaf and all(each.sha256 != file_sha256.hex() for each in leaf.documents):
        failures.append(Failure(Check.SEALED_FILE, "the event names another file"))
    if leaf and (leaf.trail is None or trail not in {None, leaf.trail}):
        failures.append(Failure(Check.ONE_TRAIL, "the event is of another trail"))
    return DetachedReport(leaf, parsed.index if parsed else None, head, tuple(failures))


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
