"""Which domain each table belongs to, and which columns others may read.

A domain's statements use its own tables and no others. Of another domain's tables it reads only the columns declared
here, through ``shown``; to change something there it calls that domain's service. The exceptions are declared here as
well. ``tests/tooling/test_table_owners.py`` checks every module against this.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import TableClause, column, table

from zegel_server.db.schema import metadata

_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "identity": (
        "tenants",
        "members",
        "identity_providers",
        "spent_id_tokens",
        "api_keys",
        "retired_tokens",
        "sessions",
        "signer_links",
    ),
    "keys": ("own_key_providers", "tenant_keys", "subjects"),
    "permissions": ("roles", "role_grants", "role_parents", "bindings", "teams", "team_members", "delegations"),
    "documents": ("documents", "document_versions", "uploads"),
    "signing": ("signature_requests", "requested_documents", "signatures"),
    "audit": (
        "audit_events",
        "audit_trails",
        "audit_allowances",
        "audit_log",
        "audit_tiles",
        "audit_cosignatures",
    ),
    "edge": ("idempotency",),
    "jobs": ("jobs",),
}

OWNERS: Final[Mapping[str, str]] = {name: owner for owner, names in _OF.items() for name in names}
"""The owner of each table, by the table's name."""

SHOWN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    # (table, reader): the columns it may read
    ("signature_requests", "audit"): ("signature_request_id", "tenant_id", "owner_id", "audit_id"),
    ("signature_requests", "documents"): ("signature_request_id", "audit_id", "state", "rendition_document_id"),
    ("requested_documents", "documents"): (
        "signature_request_id",
        "document_id",
        "version",
        "texts",
        "texts_key_version",
    ),
    ("jobs", "signing"): ("kind", "resource_id", "attempts", "last_reason", "due_time", "blocked"),
    # So that a list has the keys of the people in it, still wrapped, in the query that reads them.
    ("subjects", "signing"): ("subject_id", "key_version", "wrapped_key", "commitment"),
    ("tenants", "keys"): ("tenant_id", "pseudonym"),
    ("tenants", "permissions"): ("tenant_id", "policy_version"),
    ("tenants", "signing"): ("tenant_id", "name"),
    ("members", "permissions"): ("member_id", "tenant_id"),
    ("api_keys", "permissions"): ("api_key_id", "tenant_id", "expire_time", "revoke_time", "permissions"),
    ("identity_providers", "permissions"): ("tenant_id",),
    ("subjects", "identity"): ("subject_id", "key_version", "wrapped_key", "commitment"),
    ("bindings", "identity"): ("tenant_id", "principal_id", "role", "expire_time", "create_time"),
    ("own_key_providers", "identity"): ("tenant_id", "key_provider"),
}
"""The columns that a domain may read of another domain's table, by table and reader."""

WRITTEN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    # The version of a tenant's policy is in the tenant's row, so that a request reads both in one query.
    ("tenants", "permissions"): ("policy_version",),
    # A document's title is erased with the document, in the same transaction.
    ("requested_documents", "documents"): ("texts", "texts_key_version"),
}
"""The columns of another domain's table that this domain changes, by table and writer."""


def shown(name: str, *, to: str) -> TableClause:
    """The columns that a domain may read of another domain's table, to use in a query like the table itself.

    Args:
        name: The table.
        to: The domain.

    Raises:
        KeyError: The domain may read nothing of the table.
    """
    source = metadata.tables[name]
    return table(name, *(column(each, source.c[each].type) for each in SHOWN[name, to]))
