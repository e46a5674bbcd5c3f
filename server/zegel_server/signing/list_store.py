"""The queries of lists of signature requests: one for a page, whatever is shown of each request.

Invariants:

* A query reads the columns and the rows of other tables that what is shown is made from, and no others.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from sqlalchemy import literal, null, select

from zegel_server.db import NestedRows, Statement, bind
from zegel_server.db.ownership import shown
from zegel_server.db.pages import newest
from zegel_server.db.schema import requested_documents, signature_requests, signatures
from zegel_server.signing.store import SEAL

subjects, progress = shown("subjects", to="signing"), shown("jobs", to="signing")

_r, _s = signature_requests.c, signatures.c

SIGNATURES: Final = NestedRows(
    signatures.join(subjects, subjects.c.subject_id == _s.subject_id),
    *(column for column in _s if column.name != "field_values"),
    subjects.c.key_version,
    subjects.c.wrapped_key,
    subjects.c.commitment,
)
DOCUMENTS: Final = NestedRows(requested_documents, *requested_documents.c)
SEALING: Final = NestedRows(
    progress, progress.c.attempts, progress.c.last_reason, progress.c.due_time, progress.c.blocked
)

_LONG: Final = ("texts", "fields")
"""Columns that are read, and decrypted, only where they are shown."""
_SHORT: Final = tuple(column for column in signature_requests.c if column.name not in _LONG)

_READ_FOR: Final = {
    "title": ("texts",),
    "message": ("texts",),
    "fields": ("fields",),
    "signatures": ("signatures",),
    "documents": ("documents",),
    "rendition": ("documents",),
    "sealing": ("sealing",),
}
"""What is read besides the short columns, by the field of the message that is made from it."""


def parts_of(fields: Iterable[str]) -> frozenset[str]:
    """What is read for a page besides the short columns: long columns, and rows of other tables.

    Args:
        fields: The fields of the message that are shown.
    """
    return frozenset(part for field in fields for part in _READ_FOR.get(field, ()))


@cache  # as many as there are sets of parts, times the numbers of branches
def page_of(parts: frozenset[str], branches: int) -> Statement:
    """The query of a page, the newest request first.

    Args:
        parts: What it reads, from ``parts_of``.
        branches: How many owners it takes (``owner_0``, ...); 0 for everybody's requests.
    """
    page = newest(
        [*_SHORT, *(_r[name] for name in _LONG if name in parts)],
        _r.tenant_id == bind("tenant_id"),
        (bind("state") == literal("")) | (_r.state == bind("state")),
        key=_r.signature_request_id,
        owner=_r.owner_id,
        branches=branches,
    ).c
    request_id = page.signature_request_id
    nested: list[Any] = []
    if "signatures" in parts:
        nested.append(SIGNATURES.column("signatures", _s.signature_request_id == request_id))
    if "documents" in parts:
        nested.append(DOCUMENTS.column("documents", requested_documents.c.signature_request_id == request_id))
    if "sealing" in parts:
        of_it = (progress.c.kind == literal(SEAL), progress.c.resource_id == request_id)
        nested.append(SEALING.column("sealing", page.state == literal("ALL_SIGNED"), *of_it))
    names = {column.key for column in page} | {column.key for column in nested}
    absent = [null().label(name) for name in (*_LONG, "signatures", "documents", "sealing") if name not in names]
    return Statement(select(*page, *nested, *absent).order_by(request_id.desc()))
