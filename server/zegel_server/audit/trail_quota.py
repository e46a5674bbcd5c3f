"""Limits how many repeatable events the trail of one signature request takes, so that its evidence stays readable.

What can happen only once (sent, viewed, signed, declined, called off) is bounded by the request itself and always
taken. The rest is counted, in one row for each signer and two for the sender's side; one statement raises the count
with the event, whatever the trail's length.

Invariants:

* Nobody uses up another's share: a signer who fills in fields all day cannot keep another from signing.
* All shares together are less than `zegel.evidence.trail` reads.
* A signer's read beyond its share is refused. The sender's side can always read what it owns: beyond its share such
  reads are recorded in the log, but outside of the request's trail.
"""

from typing import Final

from sqlalchemy import text

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.db import Statement, Transaction
from zegel_server.errors import ResourceExhausted

SIGNER: Final = 1_000
"""Counted events of one signer: enough to fill in every field of a request with a separate call."""
SENDING: Final = 5_000
"""Sessions and links for signers and changes of the expiry by the sender's side in total: a hundred per signer."""
READING: Final = 2_000
"""Downloads by the sender's side in total that the trail takes."""

ONCE: Final = frozenset(
    {
        events.EVENT_TYPE_SIGNATURE_REQUEST_SENT,
        events.EVENT_TYPE_SIGNATURE_REQUEST_VIEWED,
        events.EVENT_TYPE_DISCLOSURE_ACCEPTED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_SIGNED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_DECLINED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_ALL_SIGNED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_DOWNLOADABLE,
        events.EVENT_TYPE_SIGNATURE_REQUEST_CANCELED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_EXPIRED,
        events.EVENT_TYPE_SIGNATURE_REQUEST_INVALID,
        # Once for each certificate that the operator installs while the request waits for its seal.
        events.EVENT_TYPE_SEAL_CERTIFICATE_CHANGED,
        # Once for each link, and links are counted when they are created.
        events.EVENT_TYPE_SIGNER_LINK_REDEEMED,
        events.EVENT_TYPE_SIGNER_LINK_REVOKED,
    }
)
"""Events that are bounded without being counted."""

_SPEND: Final = Statement(
    text(
        "INSERT INTO audit_allowances (trail, party, events) VALUES (:trail, :party, 1) ON CONFLICT (trail, party)"
        " DO UPDATE SET events = audit_allowances.events + 1 WHERE audit_allowances.events < :most"
    )
)


async def spend(transaction: Transaction, trail: str, event_type: int, signer: str) -> bool:
    """Counts an event that is to be added to a trail.

    Args:
        transaction: The transaction that records the event.
        trail: The trail; empty for none.
        event_type: A value of ``zegel.event.v1.EventType``.
        signer: The signer who acts; empty for the sender's side.

    Returns:
        Whether the trail takes it: ``False`` for a read of the sender's side to be recorded outside of the trail.

    Raises:
        ResourceExhausted: The signer's or sender's share is used up (``TRAIL_FULL``).
    """
    if not trail or event_type in ONCE:
        return True
    reading = event_type == events.EVENT_TYPE_DOCUMENT_DOWNLOADED and not signer
    party, most = (signer, SIGNER) if signer else ("reading", READING) if reading else ("sending", SENDING)
    if await transaction.execute(_SPEND, trail=trail, party=party, most=most):
        return True
    if reading:
        return False
    raise trail_full("The signature request's trail takes no more events of this kind from this party.")


def trail_full(message: str) -> ResourceExhausted:
    """The error for an event that a trail no longer takes, or for a trail that is too long for evidence.

    Args:
        message: One English sentence for a developer.
    """
    return ResourceExhausted(message, reason="TRAIL_FULL", limit="events_of_request")
