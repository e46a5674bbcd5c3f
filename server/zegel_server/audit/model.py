"""What an event says, read from its leaf: its row is trusted only as far as it agrees with the leaf.

Invariants:

* No I/O. What is returned comes from the leaf, which a signed checkpoint covers.
* A row that contradicts its leaf is refused, because the row decides which queries find it and which tenant sees it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from zegel.event.v1 import event_type_pb2
from zegel.evidence.leaves import BARE_HASHES

LAST: Final = 2**63 - 1
"""No event has a later time or a greater index."""

_PREFIX: Final = "EVENT_TYPE_"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Contradiction(Exception):  # noqa: N818 - named after what was found
    """A row and its leaf disagree."""


@dataclass(frozen=True, slots=True)
class EventDocument:
    """A document that an event concerns, as its leaf refers to it.

    Attributes:
        document_id: The document.
        version: Its version.
        content: Which bytes: ``original``, ``rendition`` or ``sealed``; empty in an old leaf, which has a hash instead.
        commitment: Commitment to its bytes, 32 bytes; empty in an old leaf.
        sha256: SHA-256 of its bytes, 32 bytes, which only an old leaf has; otherwise empty.
    """

    document_id: str
    version: int
    content: str
    commitment: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """An event under a checkpoint.

    Attributes:
        event_id: Identifier.
        log_index: Index in the log.
        event_type: A value of ``zegel.event.v1.EventType``.
        event_time: Microseconds since the epoch.
        principal_id: Who did it; empty for the server itself.
        session_id: The session it was done in; empty for the server itself.
        signature_request_id: The signature request it belongs to; empty for others.
        resource_id: What it was done to.
        documents: The documents that it concerns.
        policy_version: Version of the policy that decided; 0 if no policy was asked.
        refused: Whether it was refused.
        personal: What is known about the person; empty once the subject's key is destroyed.
        leaf: The leaf.
    """

    event_id: str
    log_index: int
    event_type: int
    event_time: int
    principal_id: str
    session_id: str
    signature_request_id: str
    resource_id: str
    documents: tuple[EventDocument, ...]
    policy_version: int
    refused: bool
    personal: Mapping[str, str] = field(repr=False)
    leaf: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Restricts a list or a watch of events, within what the caller may see.

    Attributes:
        signature_request_id: Only those of this request; empty for all.
        types: Only those of these types; empty for all.
        principal_id: Only those by this principal; empty for all.
        start_time: Only those at or after this time, in microseconds since the epoch.
        end_time: Only those before this time.
    """

    signature_request_id: str = ""
    types: frozenset[int] = frozenset()
    principal_id: str = ""
    start_time: int = 0
    end_time: int = LAST


class EventRow(Protocol):
    """The columns of an event's row that repeat what its leaf says."""

    event_id: str
    trail: str
    event_type: int
    event_time: int
    principal_id: str
    leaf: bytes


def leaf_facts(row: EventRow, pseudonym: str | None) -> dict[str, Any]:
    """Reads the leaf of a row; the leaf's hash is known to be in the log.

    Args:
        row: The row.
        pseudonym: Pseudonym of the tenant that the row names; ``None`` to leave it unchecked.

    Returns:
        The leaf's members.

    Raises:
        Contradiction: The row says something else, or the leaf is malformed.
    """
    try:
        facts: dict[str, Any] = json.loads(row.leaf)
        same = (
            facts["event_id"] == row.event_id
            and (facts["trail"] or "") == row.trail
            and facts["type"] == type_name(row.event_type)
            and (facts["actor"] or "") == row.principal_id
            and microseconds(facts["time"]) == row.event_time
            and (pseudonym is None or (facts["tenant"] or "") == pseudonym)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Contradiction("the leaf is malformed") from error
    if not same:
        raise Contradiction("the row says something other than its leaf")
    return facts


def type_name(event_type: int) -> str:
    """The name of a type as leaves give it, without its prefix.

    Args:
        event_type: A value of ``zegel.event.v1.EventType``.

    Raises:
        ValueError: It is not one.
    """
    return event_type_pb2.EventType.Name(event_type).removeprefix(_PREFIX)  # type: ignore[arg-type]


def microseconds(text: str) -> int:
    """Microseconds since the epoch of a leaf's time.

    Args:
        text: RFC 3339, in UTC.
    """
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def event_of(
    row: EventRow, facts: Mapping[str, Any], *, log_index: int, signature_request_id: str, personal: Mapping[str, str]
) -> AuditEvent:
    """Builds an event from its leaf.

    Args:
        row: Its row, which agrees with the leaf.
        facts: The leaf's members.
        log_index: Index in the log.
        signature_request_id: The signature request whose trail the leaf is in.
        personal: The personal data that the leaf commits to.
    """
    return AuditEvent(
        event_id=row.event_id,
        log_index=log_index,
        event_type=row.event_type,
        event_time=row.event_time,
        principal_id=row.principal_id,
        session_id=facts.get("session") or "",
        signature_request_id=signature_request_id,
        resource_id=facts["resource"] or "",
        documents=tuple(
            EventDocument(
                each["document"],
                each["version"],
                each.get("content", ""),
                bytes.fromhex(each.get("commitment", "")),
                bytes.fromhex(each["sha256"]) if facts["v"] == BARE_HASHES else b"",
            )
            for each in facts["documents"]
        ),
        policy_version=facts["policy_version"],
        refused=facts["decision"] == "refused",
        personal=personal,
        leaf=bytes(row.leaf),
    )
