"""What the audit trail's use cases return: plain values, no I/O."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from zegel_server.audit.model import AuditEvent

RequestOpenings = Callable[[str, str], Awaitable[bytes]]
"""Returns what opens the commitments in the trail of a tenant's signature request: ``openings.json``, or empty."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A trail as a completed PDF carries it.

    Attributes:
        audit_jsonl: The leaves, each followed by a newline.
        proof: A C2SP ``tlog-proof`` of the last leaf.
    """

    audit_jsonl: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """All that the log knows about a signature request.

    Attributes:
        signature_request_id: The signature request.
        events: Its events, oldest first.
        evidence: The leaves and the proof.
        sealed_proof: A ``tlog-proof`` of the leaf that names the sealed file, with that leaf; empty if there is none.
        openings: What opens the leaves' commitments to documents and fields (``zegel.evidence.openings``); empty for a
            request that is older than such commitments.
    """

    signature_request_id: str
    events: Sequence[AuditEvent]
    evidence: Evidence
    sealed_proof: bytes
    openings: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Proof that the log at one size is a prefix of the log at a later size.

    Attributes:
        second_size: The later size.
        hashes: The proof's hashes, 32 bytes each.
        checkpoint: The later size's checkpoint if that is the newest checkpoint; otherwise empty.
    """

    second_size: int
    hashes: Sequence[bytes]
    checkpoint: bytes
