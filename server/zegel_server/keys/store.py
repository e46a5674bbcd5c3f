"""Queries of the key tables."""

from typing import Final

from sqlalchemy import select, update

from zegel_server.db import Statement, bind, insert_into
from zegel_server.db.ownership import shown
from zegel_server.db.schema import subjects, tenant_keys

tenants = shown("tenants", to="keys")

INSERT_TENANT_KEY: Final = insert_into(tenant_keys)
INSERT_SUBJECT: Final = insert_into(subjects)

NEWEST_TENANT_KEY: Final = Statement(
    select(tenant_keys)
    .where(tenant_keys.c.tenant_id == bind("tenant_id"))
    .order_by(tenant_keys.c.key_version.desc())
    .limit(1)
)
TENANT_KEY: Final = Statement(
    select(tenant_keys).where(
        tenant_keys.c.tenant_id == bind("tenant_id"), tenant_keys.c.key_version == bind("key_version")
    )
)
HOLD_TENANT_KEY: Final = Statement(
    select(tenant_keys.c.key_version)
    .where(tenant_keys.c.tenant_id == bind("tenant_id"), tenant_keys.c.key_version == bind("key_version"))
    .with_for_update(read=True)
)
PSEUDONYM: Final = Statement(select(tenants.c.pseudonym).where(tenants.c.tenant_id == bind("tenant_id")))

SUBJECT: Final = Statement(select(subjects).where(subjects.c.subject_id == bind("subject_id")))
SUBJECT_BY_INDEX: Final = Statement(
    select(subjects).where(subjects.c.tenant_id == bind("tenant_id"), subjects.c.email_index == bind("email_index"))
)
DESTROY_SUBJECT: Final = Statement(
    update(subjects).where(subjects.c.subject_id == bind("subject_id")).values(wrapped_key=None)
)
# Frees the address of a forgotten person for reuse; the row stays, because events refer to it.
RELEASE_INDEX: Final = Statement(
    update(subjects).where(subjects.c.subject_id == bind("subject_id")).values(email_index=bind("email_index"))
)
