"""Composing the leaves of the audit log: canonical JSON (RFC 8785) that ``zegel.evidence.leaves`` reads back.

Invariants:

* ``parse(compose(fields)) == fields``, and ``compose(parse(data)) == data``.
* ``complete(draft(fields), seq, prev)`` is the leaf of the same fields at that position in the trail.
* No personal data in the clear: a leaf has a commitment to it, which reveals nothing once its key is destroyed. The
  same goes for a document's hash (``zegel.evidence.commitments``).

The leaf is drafted with the event. Its position in the trail (``seq``) and the hash of the leaf before it (``prev``)
are known only when the sequencer integrates it; the sequencer then inserts these two, which costs next to nothing.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from zegel.evidence.canonical import MAX_INTEGER, Json, dumps, dumps_ordered
from zegel.evidence.leaves import BARE_HASHES, MAX_LEAF_BYTES, DocumentCommitment, InvalidLeaf, LeafFields
from zegel.evidence.leaves import parse_leaf as parse
from zegel.evidence.transparency import HASH_SIZE

__all__ = [
    "COMMITMENT_KEY_SIZE",
    "DocumentCommitment",
    "InvalidLeaf",
    "LeafFields",
    "commitment",
    "complete",
    "compose",
    "draft",
    "parse",
]

COMMITMENT_KEY_SIZE: Final = 32
"""Bytes of a subject's key: as long as the hash, so that guessing a name is as hard as guessing the key."""

PREV_MARK: Final = "\n"
"""Marks, in a draft, where the previous event's hash goes: canonical JSON has no newline, so this is the only one."""
SEQ_MARK: Final = "\t"
"""Marks, in a draft, where the position in the trail goes: canonical JSON has no tab either."""

_PREV: Final = "prev".encode("utf-16-be")
_SEQ: Final = "seq".encode("utf-16-be")
_PLACE_BYTES: Final = HASH_SIZE * 2 + 2 + len(str(MAX_INTEGER))
"""The most that ``complete`` adds: a hash in hex between quotes, and a number."""


def compose(fields: LeafFields) -> bytes:
    """Return the leaf of an event: the bytes that are hashed into the tree and handed out as evidence.

    Args:
        fields: The leaf's fields. ``time`` must have a time zone; the leaf gives it in UTC.

    Raises:
        InvalidLeaf: The leaf would be longer than an entry bundle can hold, or its time has no time zone.
        CanonicalError: A string contains half of a surrogate pair, or ``extra`` has no canonical form.
    """
    leaf = complete(_pieces(fields), fields.seq, fields.prev)
    if len(leaf) > MAX_LEAF_BYTES:
        raise InvalidLeaf("an event is too long for the log")
    return leaf


def draft(fields: LeafFields) -> str:
    """Return a leaf without its position in the trail, with marks for ``prev`` and ``seq``.

    Everything that takes time or can be refused happens here, in the transaction that the event describes, so that no
    event can hold up the sequencer.

    Args:
        fields: The leaf's fields; ``seq`` and ``prev`` are ignored.

    Raises:
        InvalidLeaf: The leaf would be longer than an entry bundle can hold, or its time has no zone.
        CanonicalError: A string contains half of a surrogate pair, or ``extra`` has no canonical form.
    """
    text = _pieces(fields)
    # A character is at most four bytes: for most events this shows without encoding them that they are short enough.
    if len(text) * 4 > MAX_LEAF_BYTES and len(text.encode()) + _PLACE_BYTES > MAX_LEAF_BYTES:
        raise InvalidLeaf("an event is too long for the log")
    return text


def _pieces(fields: LeafFields) -> str:
    time = fields.time
    if time.tzinfo is not UTC:
        if time.tzinfo is None:
            raise InvalidLeaf("an event's time has no zone")
        time = time.astimezone(UTC)
    documents = [_document(each, fields.version) for each in fields.documents]
    # Written in the order of RFC 8785, so that nothing needs sorting.
    parts: list[dict[str, Json]] = [
        {
            "actor": fields.actor,
            "actor_kind": fields.actor_kind,
            "auth": fields.auth,
            "decision": fields.decision,
            "documents": documents,
            "event_id": fields.event_id,
            "personal": fields.personal,
            "policy_version": fields.policy_version,
        },
        {"resource": fields.resource, "role": fields.role},
        {
            "tenant": fields.tenant,
            "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "trail": fields.trail,
            "type": fields.type,
            "v": fields.version,
        },
    ]
    session = fields.extra.get("session") if len(fields.extra) == 1 else None
    if isinstance(session, str) and not any(each.extra for each in fields.documents):
        # The members that nearly every event has, in order.
        parts[2] = {"session": session, **parts[2]}
    elif fields.extra or any(each.extra for each in fields.documents):
        # Each further member goes where RFC 8785 sorts it: keys compare by their UTF-16 code units.
        for name, value in fields.extra.items():
            if name in {"prev", "seq"}:
                continue
            sort_key = name.encode("utf-16-be", "surrogatepass")
            part = parts[0 if sort_key < _PREV else 1 if sort_key < _SEQ else 2]
            part.setdefault(name, value)
        return _cut(*(dumps(part).decode() for part in parts))
    return _cut(*(dumps_ordered(part).decode() for part in parts))


def _document(document: DocumentCommitment, version: int) -> dict[str, Json]:
    if version == BARE_HASHES:
        named: dict[str, Json] = {"document": document.document, "sha256": document.commitment}
    else:
        named = {"commitment": document.commitment, "content": document.content, "document": document.document}
    return {**document.extra, **named, "version": document.version}


def _cut(first: str, second: str, third: str) -> str:
    """Join three objects into one draft, with the marks for ``prev`` and ``seq`` between them."""
    return f'{first[:-1]},"prev":{PREV_MARK},{second[1:-1]},"seq":{SEQ_MARK},{third[1:]}'


def complete(draft: str, seq: int | None, prev: str | None) -> bytes:
    """Return the leaf that a draft becomes at its position in the trail.

    Args:
        draft: What ``draft`` returned.
        seq: The position, from 1; ``None`` without a trail.
        prev: Leaf hash of the previous event, in hex; ``None`` for the first event and without a trail.

    Raises:
        InvalidLeaf: The text is not a draft.
    """
    first, marked, rest = draft.partition(PREV_MARK)
    second, marked_too, third = rest.partition(SEQ_MARK)
    if not marked or not marked_too or PREV_MARK in rest or SEQ_MARK in first + third:
        raise InvalidLeaf("a draft of a leaf is malformed")
    return f"{first}{prev_text(prev)}{second}{seq_text(seq)}{third}".encode()


def prev_text(prev: str | None) -> str:
    """The text of a leaf's ``prev``.

    Args:
        prev: The previous event's leaf hash in hex, or ``None``.
    """
    return "null" if prev is None else f'"{prev}"'


def seq_text(seq: int | None) -> str:
    """The text of a leaf's ``seq``.

    Args:
        seq: The position in the trail, or ``None``.
    """
    return "null" if seq is None else str(seq)


def commitment(subject_key: bytes, personal: Mapping[str, Json]) -> str:
    """Commit to personal data without revealing it: HMAC-SHA-256 over its canonical JSON, in hex.

    Anyone with the key and the data can check the commitment; nobody else can read or guess the data from it.

    Args:
        subject_key: The key of the person whom the data is about, 32 bytes.
        personal: The data, such as name, address and user agent.

    Raises:
        ValueError: The key has another length.
        CanonicalError: The data has no canonical form.
    """
    if len(subject_key) != COMMITMENT_KEY_SIZE:
        raise ValueError("a subject's key must be 32 bytes")
    return hmac.digest(subject_key, dumps(personal), "sha256").hex()
