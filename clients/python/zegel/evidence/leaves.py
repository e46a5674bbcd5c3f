"""Leaves of the audit log: what each says about one act, read from its canonical form (RFC 8785).

Version 2 names documents by commitments (``zegel.evidence.commitments``). Version 1 named them by their bare hashes;
such leaves stay in logs for good and are still read.

Invariants:

* ``parse_leaf`` accepts one encoding of a leaf and no other; members that it does not know are kept.
* A leaf holds no personal data in clear, and from version 2 on nothing that could be derived from a document alone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from zegel.evidence.canonical import MAX_INTEGER, CanonicalError, Json, loads
from zegel.evidence.transparency import TransparencyError

LEAF_VERSION: Final = 2
"""The version of leaves that are written."""
BARE_HASHES: Final = 1
"""The previous version, which names documents by their bare SHA-256. It is read but not written."""
MAX_LEAF_BYTES: Final = 65_535
"""Longest leaf: the maximum of an entry bundle's length prefix (C2SP tlog-tiles)."""
ASSERTED: Final = "asserted"
"""The member of a leaf that names what its caller asserted of the signer's origin, none of which the server saw."""
_ORIGIN: Final = ("address", "time_zone", "user_agent")
HEX_HASH: Final = re.compile("[0-9a-f]{64}", re.ASCII)
"""A hash of 32 bytes as leaves spell it."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_TYPE = re.compile("[A-Z][A-Z0-9_]{0,63}", re.ASCII)


class InvalidLeaf(TransparencyError):  # noqa: N818 - named after what is invalid, as all of these
    """The bytes are not a leaf in canonical form."""


@dataclass(frozen=True, slots=True)
class DocumentCommitment:
    """A document that an event concerns, as its leaf names it.

    Args:
        document: Identifier of the document.
        version: Number of its version.
        commitment: Commitment to the bytes, in lower-case hex; in a leaf of version 1 their bare SHA-256.
        content: Which content of the document: ``original``, ``rendition``, ``sealed``; empty in a leaf of version 1.
        extra: Members that this version does not know, unchanged.
    """

    document: str
    version: int
    commitment: str
    content: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafFields:
    """What a leaf of the audit log says: one act.

    Args:
        event_id: Identifier of the event.
        tenant: Pseudonym of the tenant, or ``None`` for an act outside of all.
        trail: Audit ID of the signature request, or ``None`` for an act that belongs to none.
        seq: Number in the trail, from 1; ``None`` without a trail.
        prev: Leaf hash of the trail's previous event, in hex; ``None`` for the first and without a trail.
        type: A value of ``zegel.event.v1.EventType`` without its prefix. It may be one that this version does not know.
        time: When, by the server's clock, to the microsecond.
        actor: Pseudonym of who did it, or ``None`` for the server itself.
        actor_kind: What the actor is, such as ``member``, ``api_key``, ``signer``, ``system``.
        auth: How the actor authenticated, or ``None``.
        role: The role by which it was allowed, or ``None``.
        decision: ``allowed`` or ``refused``.
        policy_version: Version of the policy that decided; 0 if none was consulted.
        documents: The documents that it concerns.
        resource: What it was done to, or ``None``.
        personal: Commitment to the personal data: HMAC-SHA-256 under the subject's key, in hex, or ``None``.
        extra: Members that this version does not know, unchanged.
        version: Version of the leaf.
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
    documents: tuple[DocumentCommitment, ...] = ()
    resource: str | None = None
    personal: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)
    version: int = LEAF_VERSION


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _or_null(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


_BARE_RULES: dict[str, Callable[[object], bool]] = {
    "document": _text,
    "version": _count,
    "sha256": _matches(HEX_HASH),
}
_COMMITTED_RULES: dict[str, Callable[[object], bool]] = {
    "document": _text,
    "version": _count,
    "commitment": _matches(HEX_HASH),
    "content": _text,
}


def _documents(rules: Mapping[str, Callable[[object], bool]]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, list) and all(isinstance(each, dict) and _follows(each, rules) for each in value)
    )


_LEAF_RULES: dict[str, Callable[[object], bool]] = {
    "event_id": _text,
    "tenant": _or_null(_text),
    "trail": _or_null(_text),
    "seq": _or_null(_count),
    "prev": _or_null(_matches(HEX_HASH)),
    "type": _matches(_TYPE),
    "time": _matches(_TIME),
    "actor": _or_null(_text),
    "actor_kind": _text,
    "auth": _or_null(_text),
    "role": _or_null(_text),
    "decision": _text,
    "policy_version": _count,
    "documents": _documents(_COMMITTED_RULES),
    "resource": _or_null(_text),
    "personal": _or_null(_matches(HEX_HASH)),
}

_RULES: Final[Mapping[int, Mapping[str, Callable[[object], bool]]]] = {
    BARE_HASHES: _LEAF_RULES | {"documents": _documents(_BARE_RULES)},
    LEAF_VERSION: _LEAF_RULES,
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
    version: Any = value.pop("v", None) if isinstance(value, dict) else None
    rules = _RULES.get(version) if _count(version) else None
    if rules is None:
        raise InvalidLeaf("a leaf has another version")
    if not _follows(value, rules):
        wrong = [name for name, rule in rules.items() if name not in value or not rule(value[name])]
        raise InvalidLeaf(f"a leaf lacks or misstates {', '.join(wrong)}")
    seq, prev = value["seq"], value["prev"]
    if (seq is None) != (value["trail"] is None) or seq == 0 or (prev is None) != (seq in {None, 1}):
        raise InvalidLeaf("a leaf's trail, seq and prev contradict each other")
    try:
        time = datetime.fromisoformat(value.pop("time")).astimezone(UTC)
    except ValueError as error:
        raise InvalidLeaf("a leaf's time does not exist in the calendar") from error
    bare = version == BARE_HASHES
    documents = tuple(
        DocumentCommitment(
            each.pop("document"),
            each.pop("version"),
            each.pop("sha256" if bare else "commitment"),
            "" if bare else each.pop("content"),
            each,
        )
        for each in value.pop("documents")
    )
    known = {name: value.pop(name) for name in rules if name in value}
    return LeafFields(**known, time=time, documents=documents, extra=value, version=version)


def asserted_of(leaf: LeafFields) -> tuple[str, ...]:
    """What the caller of an event asserted of where the signer was, by name; none of it was seen by the server.

    Args:
        leaf: The event.

    Returns:
        Some of ``address``, ``time_zone`` and ``user_agent``, in that order; what else a leaf has there is left out.
    """
    said = leaf.extra.get(ASSERTED)
    return tuple(name for name in _ORIGIN if isinstance(said, list) and name in said)
