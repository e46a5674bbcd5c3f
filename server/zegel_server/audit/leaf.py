"""Composing the leaves of the audit log: canonical JSON (RFC 8785) that ``zegel.evidence`` reads back.

Invariants:

* ``parse(compose(fields)) == fields``, and ``compose(parse(data)) == data``.
* No personal data in clear: what is personal stands there as a commitment, which says nothing once its key is gone.

A sequencer composes a leaf when it integrates the event, for only then are its place in the trail and the hash of the
leaf before it known. So this is on the path of every event, and takes a few microseconds.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from zegel.canonical import Json, dumps, dumps_ordered
from zegel.evidence import LEAF_VERSION, MAX_LEAF_BYTES, DocumentHash, InvalidLeaf, LeafFields
from zegel.evidence import parse_leaf as parse

__all__ = ["COMMITMENT_KEY_SIZE", "DocumentHash", "InvalidLeaf", "LeafFields", "commitment", "compose", "parse"]

COMMITMENT_KEY_SIZE: Final = 32
"""Bytes of a subject's key: as long as the hash, so that guessing a name or an address is guessing the key."""


def compose(fields: LeafFields) -> bytes:
    """Return the leaf of an event: what is hashed into the tree and handed out as evidence.

    Args:
        fields: What it says. ``time`` must be aware of its zone; the leaf tells it in UTC.

    Raises:
        InvalidLeaf: The leaf would be longer than an entry bundle can hold, or its time has no zone.
        CanonicalError: A string holds half of a surrogate pair, or ``extra`` has no canonical form.
    """
    time = fields.time
    if time.tzinfo is not UTC:
        if time.tzinfo is None:
            raise InvalidLeaf("an event's time has no zone")
        time = time.astimezone(UTC)
    # Written in the order of RFC 8785, so that nothing has to be sorted.
    value: dict[str, Json] = {
        "actor": fields.actor,
        "actor_kind": fields.actor_kind,
        "auth": fields.auth,
        "decision": fields.decision,
        "documents": [
            {**each.extra, "document": each.document, "sha256": each.sha256, "version": each.version}
            for each in fields.documents
        ],
        "event_id": fields.event_id,
        "personal": fields.personal,
        "policy_version": fields.policy_version,
        "prev": fields.prev,
        "resource": fields.resource,
        "role": fields.role,
        "seq": fields.seq,
        "tenant": fields.tenant,
        "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "trail": fields.trail,
        "type": fields.type,
        "v": LEAF_VERSION,
    }
    if fields.extra or any(each.extra for each in fields.documents):
        leaf = dumps({**fields.extra, **value})
    else:
        leaf = dumps_ordered(value)
    if len(leaf) > MAX_LEAF_BYTES:
        raise InvalidLeaf("an event is too long for the log")
    return leaf


def commitment(subject_key: bytes, personal: Mapping[str, Json]) -> str:
    """Commit to personal data without telling it: HMAC-SHA-256 over its canonical JSON, in hex.

    Whoever has the key and the data can check it; whoever has not can neither read nor guess it.

    Args:
        subject_key: The key of the person whom the data tells of, 32 bytes.
        personal: The data, such as name, address and user agent.

    Raises:
        ValueError: The key is of another length.
        CanonicalError: The data has no canonical form.
    """
    if len(subject_key) != COMMITMENT_KEY_SIZE:
        raise ValueError("a subject's key is of 32 bytes")
    return hmac.digest(subject_key, dumps(personal), "sha256").hex()
