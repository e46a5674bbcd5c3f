"""What the audit trail answers with: plain values, no I/O."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from zegel_server.audit.model import AuditEvent

RequestOpenings = Callable[[str, str], Awaitable[bytes]]
"""Gives what opens the commitments in the trail of a tenant's signature request: ``openings.json``, or nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A trail as a completed PDF carries it.

    Attributes:
        audit_jsonl: The leaves, a newline after each.
        proof: A C2SP ``tlog-proof`` of the last of them.
    """

    audit_jsonl: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """All that the log knows of a signature request.

    Attributes:
        signature_request_id: Which.
        events: Its events, the oldest first.
        evidence: The leaves and the proof.
        sealed_proof: Proof of the leaf that names the sealed file, which it carries; empty where there is none.
        openings: What opens the leaves' commitments to documents and boxes (``zegel.evidence.openings``); empty for a
            request from before there were any.
    """

    signature_request_id: str
    events: Sequence[AuditEvent]
    evidence: Evidence
    sealed_proof: bytes
    openings: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the log of one size is the beginning of that of another.

    Attributes:
        second_size: The later size.
        hashes: The proof, 32 bytes a hash.
        checkpoint: The later size's checkpoint where that is the newest; empty for others.
    """

    second_size: int
    hashes: Sequence[bytes]
    checkpoint: bytes
