"""Queries of the signing tables."""

from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, func, literal, or_, select, update

from zegel_server.db import Statement, bind, insert_into, owned_by
from zegel_server.db.ownership import shown
from zegel_server.db.schema import outbox, requested_documents, signature_requests, signatures

tenants = shown("tenants", to="signing")

SEAL: Final = "seal"
"""Kind of an outbox row that asks for a request to be sealed."""

INSERT_REQUEST: Final = insert_into(signature_requests)
INSERT_DOCUMENT: Final = insert_into(requested_documents)
INSERT_SIGNATURE: Final = insert_into(signatures)
INSERT_OUTBOX: Final = insert_into(
    outbox, "kind", "tenant_id", "resource_id", "payload", "due_time", "attempts", "last_reason"
)

TENANT_NAME: Final = Statement(select(tenants.c.name).where(tenants.c.tenant_id == bind("tenant_id")))

# What a caller reaches is decided in the query: what is out of reach is not found, and costs no more than what is not.
REQUEST: Final = Statement(
    select(signature_requests, tenants.c.name.label("tenant_name"))
    .join(tenants, tenants.c.tenant_id == signature_requests.c.tenant_id)
    .where(
        signature_requests.c.tenant_id == bind("tenant_id"),
        signature_requests.c.signature_request_id == bind("signature_request_id"),
        owned_by(signature_requests.c.owner_id),
    )
)
LOCK_REQUEST: Final = Statement(
    select(signature_requests)
    .where(
        signature_requests.c.tenant_id == bind("tenant_id"),
        signature_requests.c.signature_request_id == bind("signature_request_id"),
    )
    .with_for_update()
)
# With the request's revision, so that a reader outside of a transaction sees whether the two belong together.
SIGNATURES: Final = Statement(
    select(signatures, signature_requests.c.revision.label("request_revision"))
    .join(signature_requests, signature_requests.c.signature_request_id == signatures.c.signature_request_id)
    .where(signatures.c.signature_request_id == bind("signature_request_id"))
    .order_by(signatures.c.position)
)
SIGNATURE_VALUES: Final = Statement(
    select(signatures.c.field_values).where(signatures.c.signature_id == bind("signature_id"))
)
DOCUMENTS: Final = Statement(
    select(requested_documents)
    .where(requested_documents.c.signature_request_id == bind("signature_request_id"))
    .order_by(requested_documents.c.position)
)
SEALING: Final = Statement(
    select(outbox.c.attempts, outbox.c.last_reason, outbox.c.due_time, outbox.c.blocked).where(
        outbox.c.kind == literal(SEAL), outbox.c.resource_id == bind("signature_request_id")
    )
)

MOVE_REQUEST: Final = Statement(
    update(signature_requests)
    .where(signature_requests.c.signature_request_id == bind("id"))
    .values(owner_id=bind("new_owner_id"), revision=bind("new_revision"))
)
UPDATE_REQUEST: Final = Statement(
    update(signature_requests)
    .where(signature_requests.c.signature_request_id == bind("id"))
    .values(
        state=bind("new_state"),
        expire_time=bind("new_expire_time"),
        all_signed_time=bind("new_all_signed_time"),
        seal_time=bind("new_seal_time"),
        sealed_document_id=bind("new_sealed_document_id"),
        revision=bind("new_revision"),
    )
)
UPDATE_SIGNATURE: Final = Statement(
    update(signatures)
    .where(signatures.c.signature_id == bind("id"))
    .values(
        status=bind("new_status"),
        view_time=bind("new_view_time"),
        disclosure_time=bind("new_disclosure_time"),
        sign_time=bind("new_sign_time"),
        decline_time=bind("new_decline_time"),
    )
)
UPDATE_PROFILE: Final = Statement(
    update(signatures).where(signatures.c.signature_id == bind("id")).values(profile=bind("new_profile"))
)
UPDATE_VALUES: Final = Statement(
    update(signatures)
    .where(signatures.c.signature_id == bind("id"))
    .values(field_values=bind("new_values"), text_length=bind("new_length"))
)

# A list's page, the newest first, and the rows that belong to its requests: four queries however long the page is.
_PAGE: Final = (
    signature_requests.c.tenant_id == bind("tenant_id"),
    (bind("state") == literal("")) | (signature_requests.c.state == bind("state")),
    signature_requests.c.signature_request_id < bind("before"),
)


class Pages(NamedTuple):
    """The statements of one kind of list."""

    requests: Statement
    signatures: Statement
    documents: Statement
    sealing: Statement


def _pages(*conditions: ColumnElement[bool]) -> Pages:
    def of_page(query: Select[Any]) -> Statement:
        return Statement(query.where(*_PAGE, *conditions, signature_requests.c.signature_request_id >= bind("last")))

    return Pages(
        Statement(
            select(signature_requests, tenants.c.name.label("tenant_name"))
            .join(tenants, tenants.c.tenant_id == signature_requests.c.tenant_id)
            .where(*_PAGE, *conditions)
            .order_by(signature_requests.c.signature_request_id.desc())
            .limit(bind("limit"))
        ),
        of_page(
            select(signatures, signature_requests.c.revision.label("request_revision"))
            .join(signature_requests, signature_requests.c.signature_request_id == signatures.c.signature_request_id)
            .order_by(signatures.c.signature_request_id, signatures.c.position)
        ),
        of_page(
            select(requested_documents)
            .join(
                signature_requests,
                signature_requests.c.signature_request_id == requested_documents.c.signature_request_id,
            )
            .order_by(requested_documents.c.signature_request_id, requested_documents.c.position)
        ),
        of_page(
            select(outbox.c.resource_id, outbox.c.attempts, outbox.c.last_reason, outbox.c.due_time, outbox.c.blocked)
            .join(signature_requests, signature_requests.c.signature_request_id == outbox.c.resource_id)
            .where(outbox.c.kind == literal(SEAL))
        ),
    )


PAGES_OF_ALL: Final = _pages()
PAGES_OF_OWNER: Final = _pages(signature_requests.c.owner_id == bind("owner_id"))

# From a place on, so that what could not be ended does not stand before all that follows.
EXPIRED: Final = Statement(
    select(signature_requests.c.expire_time, signature_requests.c.signature_request_id, signature_requests.c.tenant_id)
    .where(
        signature_requests.c.state == literal("AWAITING_SIGNATURES"),
        signature_requests.c.expire_time <= bind("now"),
        signature_requests.c.expire_time >= bind("after_time"),
        or_(
            signature_requests.c.expire_time > bind("after_time"),
            signature_requests.c.signature_request_id > bind("after_id"),
        ),
    )
    .order_by(signature_requests.c.expire_time, signature_requests.c.signature_request_id)
    .limit(bind("limit"))
)

# -------------------------------------------------------------------------------------------------------- the outbox

DUE: Final = Statement(
    select(outbox)
    .where(outbox.c.kind == literal(SEAL), outbox.c.due_time <= bind("now"))
    .order_by(outbox.c.due_time)
    .limit(bind("limit"))
)
NEXT_DUE: Final = Statement(
    select(outbox.c.due_time).where(outbox.c.kind == literal(SEAL)).order_by(outbox.c.due_time).limit(1)
)
# Whoever changes due_time from what it read holds the row until the new one: of two workers, one changes a row.
CLAIM: Final = Statement(
    update(outbox)
    .where(outbox.c.outbox_id == bind("id"), outbox.c.due_time == bind("read_due_time"))
    .values(due_time=bind("lease"), attempts=outbox.c.attempts + 1)
)
EXTEND: Final = Statement(
    update(outbox)
    .where(outbox.c.outbox_id == bind("id"), outbox.c.due_time == bind("read_due_time"))
    .values(due_time=bind("lease"))
)
PUT_OFF: Final = Statement(
    update(outbox)
    .where(outbox.c.outbox_id == bind("id"), outbox.c.due_time == bind("read_due_time"))
    .values(due_time=bind("lease"), last_reason=bind("reason"), blocked=bind("is_blocked"))
)
# Whether this is the first time: of all tries, one changes the row.
FIRST_BLOCKED: Final = Statement(
    update(outbox)
    .where(outbox.c.outbox_id == bind("id"), outbox.c.blocked_time.is_(None))
    .values(blocked_time=bind("now"))
)
TRAIL_OF: Final = Statement(
    select(signature_requests.c.audit_id).where(
        signature_requests.c.signature_request_id == bind("signature_request_id")
    )
)
# Those that another worker holds are due later, and stay its own.
PUT_OFF_TENANT: Final = Statement(
    update(outbox)
    .where(outbox.c.kind == literal(SEAL), outbox.c.tenant_id == bind("whose"), outbox.c.due_time <= bind("now"))
    .values(due_time=bind("until"), last_reason=bind("reason"), blocked=0)
)
WAITING: Final = Statement(
    select(outbox)
    .where(outbox.c.kind == literal(SEAL))
    .order_by(outbox.c.blocked.desc(), outbox.c.due_time, outbox.c.outbox_id)
    .limit(bind("limit"))
)
RETRY: Final = Statement(
    update(outbox)
    .where(outbox.c.kind == literal(SEAL), outbox.c.resource_id == bind("which"))
    .values(due_time=bind("now"))
)
BLOCKED: Final = Statement(
    select(func.count().label("blocked"))
    .select_from(outbox)
    .where(outbox.c.kind == literal(SEAL), outbox.c.blocked == literal(1))
)
DONE: Final = Statement(
    delete(outbox).where(outbox.c.kind == literal(SEAL), outbox.c.resource_id == bind("signature_request_id"))
)
