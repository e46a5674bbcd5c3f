"""Queries of the audit tables."""

from typing import Final

from sqlalchemy import BigInteger, Text, and_, bindparam, cast, delete, exists, literal, or_, select, text, update

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.db import Statement, bind, owned_by, upsert_into
from zegel_server.db.ownership import shown
from zegel_server.db.schema import (
    audit_cosignatures,
    audit_events,
    audit_log,
    audit_tiles,
    audit_trails,
)

signature_requests = shown("signature_requests", to="audit")

ORIGIN_TYPES: Final = (
    events.EVENT_TYPE_SIGNATURE_REQUEST_VIEWED,
    events.EVENT_TYPE_DISCLOSURE_ACCEPTED,
    events.EVENT_TYPE_SIGNATURE_REQUEST_SIGNED,
)
"""What the audit page tells the origins of: each happens once to a signer, so there are few however long a trail is."""

LOG_ID: Final = 1
"""The one row of ``audit_log``: an installation has one log."""

# ------------------------------------------------------------------------------------------------------------- the log

_HEAD = select(audit_log.c.size, audit_log.c.checkpoint, audit_log.c.update_time).where(
    audit_log.c.log_id == literal(LOG_ID, BigInteger)
)
HEAD: Final = Statement(_HEAD)
LOCK_HEAD: Final = Statement(_HEAD.with_for_update())
INSERT_LOG: Final = upsert_into(audit_log)
# Compare-and-swap besides the lock: what is replaced must still be what was read.
ADVANCE: Final = Statement(
    update(audit_log)
    .where(audit_log.c.log_id == literal(LOG_ID, BigInteger), audit_log.c.checkpoint == bind("before"))
    .values(size=bind("new_size"), checkpoint=bind("new_checkpoint"), update_time=bind("now"))
)
TILE: Final = Statement(
    select(audit_tiles.c.hashes).where(
        audit_tiles.c.level == bind("level"), audit_tiles.c.tile_index == bind("tile_index")
    )
)
WRITE_TILE: Final = upsert_into(audit_tiles, update=["hashes"])
TILES: Final = Statement(
    select(audit_tiles)
    .where(
        or_(
            audit_tiles.c.level > bind("level"),
            and_(audit_tiles.c.level == bind("level"), audit_tiles.c.tile_index > bind("tile_index")),
        )
    )
    .order_by(audit_tiles.c.level, audit_tiles.c.tile_index)
    .limit(bind("limit"))
)

# Few rows: see ``cosignatures``.
COSIGNATURES: Final = Statement(
    select(audit_cosignatures).order_by(audit_cosignatures.c.size.desc(), audit_cosignatures.c.witness)
)
WRITE_COSIGNATURE: Final = upsert_into(audit_cosignatures)
FORGET_COSIGNATURES: Final = Statement(
    delete(audit_cosignatures).where(
        audit_cosignatures.c.size < bind("least"), audit_cosignatures.c.size != bind("kept")
    )
)

# ----------------------------------------------------------------------------------------------------------- the queue

_WAITING = audit_events.c.leaf_index.is_(None)

IS_WAITING: Final = Statement(select(audit_events.c.event_number).where(_WAITING).limit(1))
LAST_WAITING: Final = Statement(
    select(audit_events.c.event_number).where(_WAITING).order_by(audit_events.c.event_number.desc()).limit(1)
)
IS_WAITING_TO: Final = Statement(
    select(audit_events.c.event_number).where(_WAITING, audit_events.c.event_number <= bind("last")).limit(1)
)
TRAIL_IS_WAITING: Final = Statement(
    select(audit_events.c.event_number).where(_WAITING, audit_events.c.trail == bind("trail")).limit(1)
)
# Joined with the end of each event's trail, so that a batch takes one query.
WAITING: Final = Statement(
    select(
        audit_events.c.event_number,
        audit_events.c.trail,
        audit_events.c.body,
        audit_trails.c.length,
        audit_trails.c.head,
    )
    .select_from(audit_events.outerjoin(audit_trails, audit_trails.c.trail == audit_events.c.trail))
    .where(_WAITING)
    .order_by(audit_events.c.event_number)
    .limit(bind("limit"))
)
# One statement for the whole batch, which saves savepoints. ``positions`` is a JSON array of event number, index in the
# log, and the text of the leaf's ``prev`` and ``seq``. The database puts these two into the draft, so that the leaves
# need not be sent back to it.
INTEGRATE: Final = Statement(
    {
        "sqlite": text(
            "UPDATE audit_events SET leaf_index = json_extract(entry.value, '$[1]'), leaf = CAST(replace(replace(body,"
            " char(10), json_extract(entry.value, '$[2]')), char(9), json_extract(entry.value, '$[3]')) AS BLOB),"
            " body = '' FROM json_each(:positions) AS entry WHERE event_number = json_extract(entry.value, '$[0]')"
            " AND leaf_index IS NULL"
        ),
        "postgresql": text(
            "UPDATE audit_events SET leaf_index = CAST(entry->>1 AS bigint), leaf = convert_to(replace(replace(body,"
            " chr(10), entry->>2), chr(9), entry->>3), 'UTF8'), body = ''"
            " FROM json_array_elements(CAST(CAST(:positions AS text) AS json)) AS entry"
            " WHERE event_number = CAST(entry->>0 AS bigint) AND leaf_index IS NULL"
        ),
    }
)
WRITE_TRAIL: Final = upsert_into(audit_trails, update=["length", "head"])
TRAIL: Final = Statement(select(audit_trails).where(audit_trails.c.trail == bind("trail")))

# ---------------------------------------------------------------------------------------------------------- the events

_EVENT: Final = (
    audit_events.c.event_id,
    audit_events.c.tenant_id,
    audit_events.c.signature_request_id,
    audit_events.c.trail,
    audit_events.c.event_type,
    audit_events.c.event_time,
    audit_events.c.principal_id,
    audit_events.c.subject_id,
    audit_events.c.personal,
    audit_events.c.leaf_index,
    audit_events.c.leaf,
)
_OWNED = exists().where(
    signature_requests.c.audit_id == audit_events.c.trail,
    signature_requests.c.tenant_id == audit_events.c.tenant_id,
    owned_by(signature_requests.c.owner_id),
)
# Each filter is off where its value is empty: the statement's text never depends on a value.
_TYPES = bindparam("types", type_=Text)
_FILTERS: Final = (
    audit_events.c.tenant_id == bind("tenant_id"),
    audit_events.c.leaf_index >= bind("first"),
    audit_events.c.leaf_index < bind("end"),
    or_(
        bind("all") == literal(1, BigInteger),
        audit_events.c.principal_id == bind("own"),
        and_(audit_events.c.trail != literal("", Text), or_(audit_events.c.trail == bind("party"), _OWNED)),
    ),
    or_(bind("principal_id") == literal("", Text), audit_events.c.principal_id == bind("principal_id")),
    audit_events.c.event_time >= bind("start_time"),
    audit_events.c.event_time < bind("end_time"),
    or_(
        literal("", Text) == _TYPES,
        _TYPES.like(literal("%,", Text) + cast(audit_events.c.event_type, Text) + ",%"),
    ),
)
_LIST = select(*_EVENT).where(*_FILTERS).order_by(audit_events.c.leaf_index).limit(bind("limit"))
EVENTS_OF_TENANT: Final = Statement(_LIST)
EVENTS_OF_TRAIL: Final = Statement(_LIST.where(audit_events.c.trail == bind("trail")))
# Where one search through a tenant's events ends: an index entry, some thousand events further on.
WINDOW: Final = Statement(
    select(audit_events.c.leaf_index)
    .where(audit_events.c.tenant_id == bind("tenant_id"), audit_events.c.leaf_index >= bind("first"))
    .order_by(audit_events.c.leaf_index)
    .offset(bind("width"))
    .limit(1)
)
TRAIL_EVENTS: Final = Statement(
    select(*_EVENT)
    .where(audit_events.c.trail == bind("trail"), audit_events.c.leaf_index < bind("end"))
    .order_by(audit_events.c.leaf_index)
)
ORIGINS: Final = Statement(
    select(*_EVENT).where(
        audit_events.c.trail == bind("trail"),
        audit_events.c.leaf_index.is_not(None),
        audit_events.c.event_type.in_([literal(each) for each in ORIGIN_TYPES]),
    )
)
EVENT: Final = Statement(
    select(*_EVENT)
    .select_from(
        audit_events.outerjoin(
            signature_requests,
            and_(
                signature_requests.c.audit_id == audit_events.c.trail,
                signature_requests.c.tenant_id == audit_events.c.tenant_id,
            ),
        )
    )
    .where(
        audit_events.c.tenant_id == bind("tenant_id"),
        audit_events.c.event_id == bind("event_id"),
        or_(
            audit_events.c.principal_id == bind("own"),
            bind("owners") == literal("", Text),
            and_(
                signature_requests.c.audit_id.is_not(None),
                or_(
                    owned_by(signature_requests.c.owner_id),
                    signature_requests.c.signature_request_id == bind("party"),
                ),
            ),
        ),
    )
)
LEAVES: Final = Statement(
    select(audit_events.c.leaf_index, audit_events.c.leaf)
    .where(audit_events.c.leaf_index >= bind("first"), audit_events.c.leaf_index < bind("end"))
    .order_by(audit_events.c.leaf_index)
)

# ------------------------------------------------------------------------------------------------- signature requests

# The query decides what a caller reaches: what is out of reach looks absent, and takes no longer than what is absent.
_REACHED = or_(owned_by(signature_requests.c.owner_id), signature_requests.c.signature_request_id == bind("party"))
_REQUEST: Final = (signature_requests.c.signature_request_id, signature_requests.c.audit_id)
REQUEST: Final = Statement(
    select(*_REQUEST).where(
        signature_requests.c.tenant_id == bind("tenant_id"),
        signature_requests.c.signature_request_id == bind("signature_request_id"),
        _REACHED,
    )
)
REQUEST_BY_AUDIT_ID: Final = Statement(
    select(*_REQUEST).where(
        signature_requests.c.tenant_id == bind("tenant_id"),
        signature_requests.c.audit_id == bind("audit_id"),
        _REACHED,
    )
)

# ----------------------------------------------------------------------------------------------------------- the check

EVENTS_BY_INDEX: Final = Statement(
    select(*_EVENT, audit_events.c.event_number, audit_events.c.body)
    .where(audit_events.c.leaf_index >= bind("first"), audit_events.c.leaf_index < bind("end"))
    .order_by(audit_events.c.leaf_index)
)
EVENTS_PAST: Final = Statement(
    select(audit_events.c.event_id, audit_events.c.leaf_index)
    .where(audit_events.c.leaf_index >= bind("end"))
    .order_by(audit_events.c.leaf_index)
    .limit(bind("limit"))
)
EVENTS_BY_TRAIL: Final = Statement(
    select(
        audit_events.c.trail,
        audit_events.c.leaf_index,
        audit_events.c.event_id,
        audit_events.c.tenant_id,
        audit_events.c.signature_request_id,
        audit_events.c.leaf,
        audit_trails.c.length,
        audit_trails.c.head,
        signature_requests.c.signature_request_id.label("request_id"),
        signature_requests.c.tenant_id.label("request_tenant_id"),
    )
    .select_from(
        audit_events.outerjoin(audit_trails, audit_trails.c.trail == audit_events.c.trail).outerjoin(
            signature_requests, signature_requests.c.audit_id == audit_events.c.trail
        )
    )
    .where(
        audit_events.c.leaf_index.is_not(None),
        audit_events.c.leaf_index < bind("end"),
        audit_events.c.trail >= bind("trail"),
        or_(audit_events.c.trail > bind("trail"), audit_events.c.leaf_index > bind("after")),
    )
    .order_by(audit_events.c.trail, audit_events.c.leaf_index)
    .limit(bind("limit"))
)
WAITING_AFTER: Final = Statement(
    select(audit_events.c.event_number, audit_events.c.event_id, audit_events.c.trail, audit_events.c.body)
    .where(_WAITING, audit_events.c.event_number > bind("after"))
    .order_by(audit_events.c.event_number)
    .limit(bind("limit"))
)
EMPTY_TRAILS: Final = Statement(
    select(audit_trails.c.trail)
    .where(~exists().where(audit_events.c.trail == audit_trails.c.trail, audit_events.c.leaf_index.is_not(None)))
    .limit(bind("limit"))
)
