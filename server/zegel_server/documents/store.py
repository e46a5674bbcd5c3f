"""Queries of the documents' tables."""

from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, null, or_, select, update

from zegel_server.db import NestedRows, Statement, bind, insert_into, owned_by
from zegel_server.db.ownership import shown
from zegel_server.db.pages import newest
from zegel_server.db.schema import (
    document_versions,
    documents,
    uploads,
)

requested_documents = shown("requested_documents", to="documents")
signature_requests = shown("signature_requests", to="documents")

_d, _v, _u = documents.c, document_versions.c, uploads.c

# The query itself decides what a caller reaches: what is out of reach is not found, and takes no longer to miss.
_reached = owned_by(_d.owner_id)

# ------------------------------------------------------------------------------------------------------ documents

_DOCUMENT: Final = (
    _d.document_id,
    _d.texts,
    _d.texts_key_version,
    _d.state,
    _d.owner_id,
    _d.create_time,
    _d.update_time,
    _d.delete_time,
    _d.revision,
    _d.end_time,
)
_VERSION: Final = (
    _v.version,
    _v.size,
    _v.sha256,
    _v.media_type,
    _v.pages,
    _v.create_time.label("version_time"),
    _v.rendition_size,
    _v.rendition_sha256,
    _v.findings,
)
_KEY: Final = (
    _v.blob_prefix,
    _v.header,
    _v.key_version,
    _v.wrapped_key,
    _v.commitment,
    _v.rendition_prefix,
    _v.rendition_header,
)

_requested = exists().where(
    requested_documents.c.signature_request_id == bind("signature_request_id"),
    requested_documents.c.document_id == _v.document_id,
    requested_documents.c.version == _v.version,
)
# A signer is a party to the versions that the request names, to what was merged of them, and to its sealed document.
_is_party: ColumnElement[bool] = or_(_d.signature_request_id == bind("signature_request_id"), _requested)


def _with_versions(*columns: Any) -> Select[Any]:
    return select(*_DOCUMENT, *_VERSION, *columns).select_from(
        documents.join(document_versions, _v.document_id == _d.document_id)
    )


def _one(*conditions: ColumnElement[bool]) -> Statement:
    return Statement(
        _with_versions()
        .where(_d.document_id == bind("document_id"), _d.tenant_id == bind("tenant_id"), *conditions)
        .order_by(_v.version)
    )


GET: Final = _one(_reached)
GET_AS_PARTY: Final = _one(_reached, _is_party)


def _readable(*conditions: ColumnElement[bool]) -> Statement:
    """A version with its key: the newest that fits."""
    return Statement(
        _with_versions(*_KEY, _d.signature_request_id)
        .where(_d.document_id == bind("document_id"), _d.tenant_id == bind("tenant_id"), _reached, *conditions)
        .order_by(_v.version.desc())
        .limit(1)
    )


_numbered = _v.version == bind("version")

READABLE: Final = {
    # whether as a party, whether a version by its number
    (False, False): _readable(),
    (False, True): _readable(_numbered),
    (True, False): _readable(_is_party),
    (True, True): _readable(_is_party, _numbered),
}


# The state that a running download depends on.
STANDS: Final = Statement(
    select(_d.state, _d.owner_id, _v.key_version, _v.wrapped_key, _v.commitment)
    .select_from(documents.join(document_versions, _v.document_id == _d.document_id))
    .where(_v.document_id == bind("document_id"), _v.version == bind("version"))
)

# The trail that a download belongs to: a signer's request, or the request that a document was sealed for.
TRAIL: Final = Statement(
    select(signature_requests.c.audit_id).where(
        signature_requests.c.signature_request_id == bind("signature_request_id")
    )
)


# Merged documents are not listed: nobody uploaded them, and their request names them.
_made = _d.merged == 0
_active = and_(_made, _d.state == "ACTIVE")
_party_to = or_(
    _d.signature_request_id == bind("signature_request_id"),
    exists().where(
        requested_documents.c.signature_request_id == bind("signature_request_id"),
        requested_documents.c.document_id == _d.document_id,
    ),
)

VERSIONS_OF: Final = NestedRows(document_versions, *_VERSION)


@cache
def page_of(party: bool, show_deleted: bool, versions: bool, branches: int) -> Statement:
    """The query of a page of a list, the newest document first.

    Args:
        party: Whether of the documents to which a signer is a party, and of those of their versions.
        show_deleted: Whether deleted and purged ones are among them.
        versions: Whether to read their versions.
        branches: How many owners it takes; 0 for everybody's documents.
    """
    kind = (_made if show_deleted else _active, *([_party_to] if party else []))
    tenant = _d.tenant_id == bind("tenant_id")
    columns = (*_DOCUMENT, _d.signature_request_id)
    page = newest(columns, tenant, *kind, key=_d.document_id, owner=_d.owner_id, branches=branches).c
    of_it = [_v.document_id == page.document_id]
    if party:
        of_it.append(or_(page.signature_request_id == bind("signature_request_id"), _requested))
    nested = VERSIONS_OF.column("versions", *of_it) if versions else null().label("versions")
    return Statement(select(*page, nested).order_by(page.document_id.desc()))


OWNER_OF: Final = Statement(
    select(_d.owner_id).where(_d.document_id == bind("document_id"), _d.tenant_id == bind("tenant_id"), _reached)
)
LOCK_DOCUMENT: Final = Statement(
    select(*_DOCUMENT, _d.tenant_id, _d.signature_request_id, _d.merged)
    .where(_d.document_id == bind("document_id"), _d.tenant_id == bind("tenant_id"), _reached)
    .with_for_update()
)
PIN_DOCUMENT: Final = Statement(
    select(_d.state)
    .where(_d.document_id == bind("document_id"), _d.tenant_id == bind("tenant_id"))
    .with_for_update(read=True)
)
VERSIONS: Final = Statement(
    select(*_VERSION, _v.blob_prefix, _v.rendition_prefix)
    .where(_v.document_id == bind("document_id"))
    .order_by(_v.version)
)
# The documents merged from this one and others, by the requests that name it; each is then locked, in this order.
MERGED_OF: Final = Statement(
    select(_d.document_id)
    .distinct()
    .select_from(requested_documents)
    .join(
        signature_requests,
        signature_requests.c.signature_request_id == requested_documents.c.signature_request_id,
    )
    .join(documents, _d.document_id == signature_requests.c.rendition_document_id)
    .where(requested_documents.c.document_id == bind("document_id"), _d.merged == 1)
    .order_by(_d.document_id)
)
# Whether a source of a merged document is gone.
MERGED_OF_GONE: Final = Statement(
    select(_d.document_id)
    .select_from(requested_documents)
    .join(documents, _d.document_id == requested_documents.c.document_id)
    .where(requested_documents.c.signature_request_id == bind("signature_request_id"), _d.state != "ACTIVE")
    .limit(1)
)
IN_USE: Final = Statement(
    select(signature_requests.c.signature_request_id)
    .join(
        requested_documents,
        requested_documents.c.signature_request_id == signature_requests.c.signature_request_id,
    )
    .where(
        requested_documents.c.document_id == bind("document_id"),
        or_(signature_requests.c.state == "AWAITING_SIGNATURES", signature_requests.c.state == "ALL_SIGNED"),
    )
    .limit(1)
)

INSERT_DOCUMENT: Final = insert_into(documents)
INSERT_VERSION: Final = insert_into(document_versions)


def _change(*columns: str) -> Statement:
    return Statement(
        update(documents)
        .where(_d.document_id == bind("which"))
        .values({**{column: bind(f"new_{column}") for column in columns}, "revision": _d.revision + 1})
    )


RENAME: Final = _change("texts", "texts_key_version", "update_time")
TOUCH: Final = _change("update_time")
MOVE: Final = _change("owner_id", "update_time")
SET_STATE: Final = _change("state", "update_time", "delete_time")
PURGE: Final = _change("state", "texts", "texts_key_version", "update_time", "end_time")
# The titles that uploads and signature requests keep of a document.
ERASE_UPLOADED_TITLES: Final = Statement(
    update(uploads).where(_u.document_id == bind("which")).values(texts=None, texts_key_version=None)
)
ERASE_REQUESTED_TITLES: Final = Statement(
    update(requested_documents)
    .where(requested_documents.c.document_id == bind("which"))
    .values(texts=None, texts_key_version=None)
)
DESTROY_KEYS: Final = Statement(
    update(document_versions)
    .where(_v.document_id == bind("which"))
    .values(wrapped_key=None, pages=bind("new_pages"), findings=None)
)
# If two make the rendition of a version at the same time, only one changes the row.
ADD_RENDITION: Final = Statement(
    update(document_versions)
    .where(
        _v.document_id == bind("which"),
        _v.version == bind("which_version"),
        _v.rendition_prefix.is_(None),
        _v.wrapped_key.is_not(None),
    )
    .values(
        rendition_prefix=bind("prefix"),
        rendition_header=bind("header"),
        rendition_size=bind("size"),
        rendition_sha256=bind("sha256"),
        findings=bind("found"),
        pages=bind("new_pages"),
    )
)

# -------------------------------------------------------------------------------------------------------- uploads

INSERT_UPLOAD: Final = insert_into(uploads)

_of_upload = and_(_v.document_id == _u.document_id, _v.version == _u.version)
GET_UPLOAD: Final = Statement(
    select(uploads, _v.size.label("final_size"), _v.create_time.label("end_time"))
    .select_from(uploads.outerjoin(document_versions, _of_upload))
    .where(_u.upload_id == bind("upload_id"), _u.tenant_id == bind("tenant_id"), owned_by(_u.owner_id))
)
LOCK_UPLOAD: Final = Statement(select(uploads).where(_u.upload_id == bind("upload_id")).with_for_update())

_is_open = _u.state == "OPEN"

CLAIM: Final = Statement(update(uploads).where(_u.upload_id == bind("which")).values(claim=bind("tags")))
NOTE: Final = Statement(
    update(uploads).where(_u.upload_id == bind("which")).values(persisted_parts=bind("parts"), claim=bind("tags"))
)
CLOSE: Final = Statement(
    update(uploads)
    .where(_u.upload_id == bind("which"), _is_open)
    .values(
        state=bind("new_state"), persisted_parts=bind("parts"), wrapped_key=None, texts=None, texts_key_version=None
    )
)
NEWEST_VERSION: Final = Statement(
    select(func.max(_v.version).label("newest")).where(_v.document_id == bind("document_id"))
)
NEWEST_UPLOAD: Final = Statement(
    select(func.max(_u.version).label("newest")).where(_u.document_id == bind("document_id"), _is_open)
)
OPEN_UPLOADS_OF: Final = Statement(select(uploads).where(_u.document_id == bind("document_id"), _is_open))
EXPIRED_UPLOADS: Final = Statement(
    select(_u.upload_id, _u.tenant_id)
    .where(_is_open, _u.expire_time <= bind("at"))
    .order_by(_u.expire_time)
    .limit(bind("most"))
)

# --------------------------------------------------------------------------------------------------------- scrub

PREFIX_OF_VERSION: Final = Statement(
    select(_v.blob_prefix, _v.size, _v.rendition_size, _v.wrapped_key).where(
        or_(_v.blob_prefix == bind("prefix"), _v.rendition_prefix == bind("prefix"))
    )
)
PREFIX_OF_UPLOAD: Final = Statement(select(_u.upload_id).where(_u.blob_prefix == bind("prefix"), _is_open))
EVERY_VERSION: Final = Statement(
    select(_v.document_id, _v.tenant_id, _d.signature_request_id, *_VERSION, *_KEY)
    .select_from(document_versions.join(documents, _d.document_id == _v.document_id))
    .where(
        or_(
            _v.document_id > bind("after_document"),
            and_(_v.document_id == bind("after_document"), _v.version > bind("after_version")),
        ),
        _v.wrapped_key.is_not(None),
    )
    .order_by(_v.document_id, _v.version)
    .limit(bind("most"))
)
EVERY_UPLOAD: Final = Statement(
    select(uploads).where(_is_open, _u.upload_id > bind("after_upload")).order_by(_u.upload_id).limit(bind("most"))
)
