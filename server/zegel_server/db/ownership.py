"""Which domain each table belongs to, and what others may see of it.

A domain names its own tables in its statements, and no others. Of another domain's it sees the columns that are
declared here, by ``shown``; what it wants changed there it asks of that domain's service. The two exceptions are
declared here as well. ``tests/tooling/test_table_owners.py`` holds every module to it.
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
    # what is shown to whom, by which columns
    ("signature_requests", "audit"): ("signature_request_id", "tenant_id", "owner_id", "audit_id"),
    ("signature_requests", "documents"): ("signature_request_id", "audit_id", "state", "rendition_document_id"),
    ("requested_documents", "documents"): ("signature_request_id", "document_id", "version"),
    ("jobs", "signing"): ("kind", "resource_id", "attempts", "last_reason", "due_time", "blocked"),
    ("tenants", "keys"): ("tenant_id", "pseudonym"),
    ("tenants", "permissions"): ("tenant_id", "policy_version"),
    ("tenants", "signing"): ("tenant_id", "name"),
    ("members", "permissions"): ("member_id", "tenant_id"),
    ("api_keys", "permissions"): ("api_key_id", "tenant_id", "expire_time", "revoke_time", "permissions"),
    ("identity_providers", "permissions"): ("tenant_id",),
    ("own_key_providers", "identity"): ("tenant_id", "key_provider"),
}
"""The columns that a domain may see of another domain's table, by table and reader."""

WRITTEN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    # The version of a tenant's policy stands in its row, so that each request reads both in one look-up.
    ("tenants", "permissions"): ("policy_version",),
}
"""The columns that a domain alone writes in another domain's table, by table and writer."""


def shown(name: str, *, to: str) -> TableClause:
    """What a domain sees of another domain's table: a query over it compiles to one over the table itself.

    Args:
        name: The table.
        to: The domain.

    Raises:
        KeyError: Nothing of the table is shown to the domain.
    """
    source = metadata.tables[name]
    return table(name, *(column(each, source.c[each].type) for each in SHOWN[name, to]))
