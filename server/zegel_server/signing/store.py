"""Queries of the signing tables."""

from typing import Final

from sqlalchemy import literal, or_, select, update

from zegel_server.db import Statement, bind, insert_into, owned_by
from zegel_server.db.ownership import shown
from zegel_server.db.schema import requested_documents, signature_requests, signatures
from zegel_server.jobs import kinds

tenants, progress = shown("tenants", to="signing"), shown("jobs", to="signing")

SEAL: Final = kinds.register("seal")
"""The kind of job that seals a request, which is its resource."""

INSERT_REQUEST: Final = insert_into(signature_requests)
INSERT_DOCUMENT: Final = insert_into(requested_documents)
INSERT_SIGNATURE: Final = insert_into(signatures)

TENANT_NAME: Final = Statement(select(tenants.c.name).where(tenants.c.tenant_id == bind("tenant_id")))

# The query itself decides what a caller reaches: what is out of reach is not found, and takes no longer to miss.
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
# With the request's revision, so that a reader outside a transaction sees whether the two are consistent.
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
    select(progress.c.attempts, progress.c.last_reason, progress.c.due_time, progress.c.blocked).where(
        progress.c.kind == literal(SEAL), progress.c.resource_id == bind("signature_request_id")
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
        signers_keep_access=bind("new_signers_keep_access"),
        end_time=bind("new_end_time"),
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
        disclosure_version=bind("new_disclosure_version"),
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

# Continues after a given request, so that those that could not be ended do not block all that follow.
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

TRAIL_OF: Final = Statement(
    select(signature_requests.c.audit_id).where(
        signature_requests.c.signature_request_id == bind("signature_request_id")
    )
)
