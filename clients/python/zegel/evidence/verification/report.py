"""What a verification found: each check by name, and the facts that are proved if all checks pass."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check that was made.

    Args:
        name: Stable and short, for programs: ``structure``, ``document_timestamp``, ``seal``, ``audit_trail``,
            ``rendition``, ``seal_certificate``, ``detached_proof``.
        ok: Whether it holds.
        detail: One sentence for a person: what holds, or what does not.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Document:
    """A document of the signature request, as its events describe it.

    Args:
        name: Its identifier in the trail. Not a file name, which is personal data.
        version: Which version of it.
        sha256: Hash of its bytes, lower-case hexadecimal.
        content: ``original``, or ``rendition`` for the form that every signer was shown.
        size: How many bytes it has.
    """

    name: str
    version: int
    sha256: str
    content: str
    size: int


@dataclass(frozen=True)
class Day:
    """The day of signing, where the request has a field for it.

    Args:
        signature: The signature whose day it is, as in the trail.
        page: The page of the sealed file on which the field is, from 1.
        time_zone: The IANA name of the time zone in which it is that day; empty in a request from before days named
            their zones: it is UTC then.
    """

    signature: str
    page: int
    time_zone: str


@dataclass(frozen=True)
class Event:
    """One line of the audit trail.

    Args:
        sequence: Its number in the trail, from 1.
        type: A value of ``zegel.event.v1.EventType`` without its prefix, such as ``SIGNATURE_REQUEST_SIGNED``.
        time: When, by the server's clock.
        actor: Pseudonym of who did it; empty if it was the server itself.
        actor_kind: What the actor is, such as ``signer``.
        asserted: What the caller asserted of where the signer was: some of ``address``, ``time_zone`` and
            ``user_agent``. The log commits to what was said; it does not make it true, and nobody else saw it.
        disclosure: Version of the disclosure that was accepted (``zegel.evidence.disclosures``); 0 for another event.
    """

    sequence: int
    type: str
    time: dt.datetime
    actor: str
    actor_kind: str
    asserted: tuple[str, ...] = ()
    disclosure: int = 0


@dataclass(frozen=True)
class Facts:
    """What a valid file proves. If the file is not valid, nothing here may be relied upon.

    Args:
        audit_id: Identifier of the signature request's trail.
        log: The transparency log's name (its origin).
        sealed_by: Subject of the seal's certificate.
        sealed_at: The time in the timestamp on the seal.
        timestamped_by: Subject of the timestamp authority's certificate.
        timestamped_at: The time in the last document timestamp.
        documents: The documents with their hashes.
        events: The audit trail in its order.
        seal_certificate: SHA-256 of the sealing certificate in lower-case hexadecimal, as used for pinning.
        rendition_length: How many bytes at the beginning of the file are what every signer was given.
        last_event_at: The time of the trail's last event, by the server's clock.
        days: The fields that show a day of signing, in the order of the request.
    """

    audit_id: str = ""
    log: str = ""
    sealed_by: str = ""
    sealed_at: dt.datetime | None = None
    timestamped_by: str = ""
    timestamped_at: dt.datetime | None = None
    documents: tuple[Document, ...] = ()
    events: tuple[Event, ...] = ()
    seal_certificate: str = ""
    rendition_length: int = 0
    last_event_at: dt.datetime | None = None
    days: tuple[Day, ...] = ()


@dataclass(frozen=True)
class Report:
    """The outcome: checks in the order they were made, facts, and warnings.

    Warnings do not make a file invalid: they say what was not proved, or what needs an explanation. A check that could
    not be made because an earlier one failed is absent; ``ok`` is false then.
    """

    checks: tuple[Check, ...]
    facts: Facts = field(default_factory=Facts)
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check was made and passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.ok)

    def as_dict(self) -> dict[str, Any]:
        """The report for programs: what ``zegel verify --json`` prints. Times are ISO 8601 in UTC."""
        facts = self.facts
        return {
            "valid": self.ok,
            "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in self.checks],
            "warnings": list(self.warnings),
            "audit_id": facts.audit_id,
            "log": facts.log,
            "sealed_by": facts.sealed_by,
            "sealed_at": _iso(facts.sealed_at),
            "timestamped_by": facts.timestamped_by,
            "timestamped_at": _iso(facts.timestamped_at),
            "seal_certificate": facts.seal_certificate,
            "rendition_length": facts.rendition_length,
            "last_event_at": _iso(facts.last_event_at),
            "documents": [
                {"name": d.name, "version": d.version, "content": d.content, "size": d.size, "sha256": d.sha256}
                for d in facts.documents
            ],
            "days": [{"signature": d.signature, "page": d.page, "time_zone": d.time_zone} for d in facts.days],
            "events": [
                {
                    "sequence": e.sequence,
                    "type": e.type,
                    "time": _iso(e.time),
                    "actor": e.actor,
                    "actor_kind": e.actor_kind,
                    "asserted": list(e.asserted),
                    "disclosure": e.disclosure,
                }
                for e in facts.events
            ],
        }


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
