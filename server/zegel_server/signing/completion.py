"""Prepares the contents of the sealed PDF: stamps, the readable audit page and the evidence. No I/O.

Invariants:

* The audit page says what the attached leaves say, and the personal data that they commit to, and nothing else: it is
  generated from their bytes.
* It tells from where somebody acted only of signers who accepted a disclosure that says so.
* The same request and evidence give the same job, and so the same file before sealing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zegel.evidence.disclosures import Disclosure, find_disclosure
from zegel.evidence.sealed_file.completion import FILES
from zegel.evidence.trail import LeafFields, parse_leaf
from zegel_server import clock
from zegel_server.audit.answers import Evidence
from zegel_server.caller import Origin
from zegel_server.pdf.model import (
    AuditDocument,
    AuditEvent,
    AuditOrigin,
    AuditPage,
    AuditParty,
    Box,
    CompletionJob,
    Stamp,
)
from zegel_server.signing.field_types import FieldType, SignedBy, draw_value
from zegel_server.signing.model import Signature
from zegel_server.signing.openings import boxes_of
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.values import Values

MAX_HISTORY: Final = 1_000
"""Rows of history on the audit page: about 40 pages. If there are more, the middle ones are only counted."""

ERASED: Final = "(erased)"
"""Printed in place of a name whose key was destroyed."""

VERIFY_HINT: Final = "zegel verify FILE --log-key log.vkey --trust authority.pem"

TRAIL_NAME, PROOF_NAME, OPENINGS_NAME = (file.name for file in FILES)
"""The evidence's names among the attachments of a sealed file."""

ALL_SIGNED: Final = "SIGNATURE_REQUEST_ALL_SIGNED"
"""The event that a completed request's trail must contain."""

_ACCEPTED: Final = "DISCLOSURE_ACCEPTED"
_CREATED_SESSION: Final = "SIGNER_SESSION_CREATED"
_CREATED_LINK: Final = "SIGNER_LINK_CREATED"

_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "SIGNATURE_REQUEST_SENT": "Sent for signature",
    "SIGNATURE_REQUEST_VIEWED": "Opened and viewed",
    _ACCEPTED: "Accepted the electronic record and signature disclosure",
    "FIELDS_FILLED": "Filled in fields",
    "SIGNATURE_REQUEST_SIGNED": "Signed",
    ALL_SIGNED: "Everybody has signed",
    "EXPIRY_EDITED": "Changed the expiry",
    "SIGNATURE_REQUEST_MOVED": "Gave the request another owner",
    "DOCUMENT_DOWNLOADED": "Downloaded a document",
    "ACCESS_DENIED": "Was refused",
    "SESSION_REVOKED": "Signing session revoked",
    "SIGNER_LINK_REDEEMED": "Opened the single-use link",
    "SIGNER_LINK_REVOKED": "Revoked a single-use link",
}

_ACTS: Final[Mapping[str, str]] = {
    "SIGNATURE_REQUEST_VIEWED": "Opened",
    _ACCEPTED: "Accepted the disclosure",
    "SIGNATURE_REQUEST_SIGNED": "Signed",
}
"""What signers did of which the page tells from where."""

_SESSION_SOURCES: Final[Mapping[str, str]] = {
    _CREATED_SESSION: "Signing session handed over by {}",
    "SIGNER_LINK_REDEEMED": "Single-use link of {} opened",
}
"""How a signer got a session, by the event that records it."""

THOUSAND: Final = 1000
"""The evidence has boxes in thousandths of a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A request that everybody has signed, with everything needed to make its sealed file.

    Attributes:
        request: The request.
        values: What each signer filled in, by signature.
        rendition: What the signers were shown.
        evidence: The trail and its proof.
        openings: What opens the trail's commitments.
        origin: Name of the log.
        origins: From where signers acted, by event.
    """

    request: SignatureRequest
    values: Mapping[str, Values]
    rendition: bytes
    evidence: Evidence
    openings: bytes
    origin: str
    origins: Mapping[str, Origin]


def read_trail(evidence: Evidence) -> list[LeafFields]:
    """The events of a trail, in order.

    Args:
        evidence: The trail.

    Raises:
        InvalidLeaf: A line is not a leaf.
    """
    return [parse_leaf(line) for line in evidence.audit_jsonl.splitlines()]


def job_of(completed: Completed) -> CompletionJob:
    """The job that completes a rendition.

    Args:
        completed: The request and what goes into the file.
    """
    request, evidence = completed.request, completed.evidence
    return CompletionJob(
        rendition=completed.rendition,
        stamps=list(_stamps(request, completed.values)),
        audit=_audit_page(completed, read_trail(evidence)),
        files={
            TRAIL_NAME: evidence.audit_jsonl,
            PROOF_NAME: evidence.proof,
            OPENINGS_NAME: completed.openings,
        },
        time=clock.to_datetime(request.progress.all_signed_time or request.create_time),
    )


def _time(microseconds: int | None) -> str:
    return f"{clock.to_datetime(microseconds):%Y-%m-%d %H:%M:%S} UTC" if microseconds is not None else ""


# -------------------------------------------------------------------------------------------------------------- stamps


def _stamps(request: SignatureRequest, values: Mapping[str, Values]) -> Iterator[Stamp]:
    """What is drawn into the boxes that the trail commits to; nothing where a field was left empty."""
    for field, box in zip(request.fields, boxes_of(request), strict=True):
        signature = request.progress.signatures[field.signer_index]
        value = values[signature.signature_id].get(field.api_id)
        if value is None or value.content == "":
            continue
        name = request.people[signature.signature_id].name or ERASED
        in_points = Box(
            page=box.page,
            x=box.x / THOUSAND,
            y=box.y / THOUSAND,
            width=box.width / THOUSAND,
            height=box.height / THOUSAND,
        )
        yield draw_value(
            field.type, value, in_points, SignedBy(name, signature.signature_id, _time(signature.sign_time))
        )


# ---------------------------------------------------------------------------------------------------------- audit page


def _audit_page(completed: Completed, trail: Sequence[LeafFields]) -> AuditPage:
    request, days = completed.request, _days(completed.request, completed.values)
    return AuditPage(
        audit_id=request.audit_id,
        title=request.title,
        tenant_name=request.tenant_name,
        completed_time=_time(request.progress.all_signed_time),
        documents=_documents(request),
        parties=[
            _party(request, each, trail, days.get(each.signature_id, ""))
            for each in sorted(request.progress.signatures, key=lambda each: each.order)
        ],
        events=_history(request, trail),
        origin=completed.origin,
        verify_hint=VERIFY_HINT,
        origins=_origins(request, trail, completed.origins),
    )


def _documents(request: SignatureRequest) -> list[AuditDocument]:
    """The originals and the rendition made of them, whose bytes the sealed file begins with."""
    rows = [AuditDocument(each.title, each.sha256.hex(), each.page_count) for each in request.documents]
    shown = request.rendition
    if shown is not None:
        title = f"As given to every signer: the first {shown.size:,} bytes of this file"
        rows.append(AuditDocument(title, shown.sha256.hex(), shown.page_count))
    return rows


def _days(request: SignatureRequest, values: Mapping[str, Values]) -> dict[str, str]:
    """By signature, the day of signing as it is drawn: what was filled in then, and nothing made anew."""
    drawn = {}
    for field in request.fields:
        signature_id = request.progress.signatures[field.signer_index].signature_id
        value = values[signature_id].get(field.api_id)
        if field.type is FieldType.DATE_SIGNED and value is not None:
            drawn[signature_id] = value.text
    return drawn


def _party(request: SignatureRequest, signature: Signature, trail: Iterable[LeafFields], day: str) -> AuditParty:
    person = request.people[signature.signature_id]
    events = {each.type for each in trail if each.resource == signature.signature_id}
    by = "\n".join(text.format(request.tenant_name) for event, text in _SESSION_SOURCES.items() if event in events)
    return AuditParty(
        name=person.name or ERASED,
        email=person.email or ERASED,
        role="Signer",
        status=signature.status.capitalize(),
        time=_time(signature.sign_time),
        detail="\n".join(filter(None, (by, signature.signature_id))),
        day=day,
    )


def _origins(
    request: SignatureRequest, trail: Sequence[LeafFields], origins: Mapping[str, Origin]
) -> tuple[AuditOrigin, ...]:
    """From where each signer acted who was told that this would be shown; what was done from one place shares a row."""
    told = {leaf.actor for leaf in trail if (text := _accepted(leaf)) is not None and text.shows_origins}
    rows: dict[tuple[str, Origin], list[str]] = {}
    for leaf in trail:
        if leaf.actor and leaf.actor in request.people and leaf.actor in told and leaf.event_id in origins:
            acts = rows.setdefault((leaf.actor, origins[leaf.event_id]), [])
            acts.append(_ACTS.get(leaf.type, leaf.type))
    return tuple(
        AuditOrigin(
            who=_who(request, actor, ERASED),
            acts="\n".join(acts),
            seen=_lines(seen.address, seen.user_agent),
            asserted=_lines(seen.asserted_address, seen.asserted_time_zone, seen.asserted_user_agent),
        )
        for (actor, seen), acts in rows.items()
    )


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _accepted(leaf: LeafFields) -> Disclosure | None:
    """The disclosure that was accepted by an event."""
    return find_disclosure(leaf.extra.get("disclosure")) if leaf.type == _ACCEPTED else None


def _history(request: SignatureRequest, trail: Sequence[LeafFields]) -> list[AuditEvent]:
    """The trail's events; consecutive repetitions share a row, and the middle of a long trail is only counted."""
    rows: list[tuple[LeafFields, int]] = []
    for leaf in trail:
        if rows and _same(rows[-1][0], leaf):
            rows[-1] = (rows[-1][0], rows[-1][1] + 1)
        else:
            rows.append((leaf, 1))
    if len(rows) <= MAX_HISTORY:
        return [_event(request, leaf, count) for leaf, count in rows]
    half = MAX_HISTORY // 2
    left_out = sum(count for _, count in rows[half:-half])
    return [
        *(_event(request, leaf, count) for leaf, count in rows[:half]),
        AuditEvent("", f"{left_out:,} more events, each of which stands in the attached {TRAIL_NAME}"),
        *(_event(request, leaf, count) for leaf, count in rows[-half:]),
    ]


def _same(one: LeafFields, other: LeafFields) -> bool:
    return (one.type, one.actor, one.resource, one.decision) == (
        other.type,
        other.actor,
        other.resource,
        other.decision,
    )


def _event(request: SignatureRequest, leaf: LeafFields, count: int) -> AuditEvent:
    if leaf.type == _CREATED_SESSION:
        text = f"Opened a signing session for {_who(request, leaf.resource, 'a signer')}"
    elif leaf.type == _CREATED_LINK:
        text = f"Made a single-use link for {_who(request, leaf.resource, 'a signer')}"
    else:
        text = _DESCRIPTIONS.get(leaf.type) or leaf.type.replace("_", " ").capitalize()
        if (accepted := _accepted(leaf)) is not None:
            text += f", version {accepted.version}"
    if count > 1:
        text += f" ({count:,} times)"
    kind = leaf.actor_kind.replace("_", " ")
    who = "Zegel" if leaf.actor is None else _who(request, leaf.actor, f"{request.tenant_name} ({kind})")
    return AuditEvent(f"{leaf.time:%Y-%m-%d %H:%M:%S}", text, who)


def _who(request: SignatureRequest, identifier: str | None, other: str) -> str:
    person = request.people.get(identifier or "")
    return other if person is None else person.name or ERASED
