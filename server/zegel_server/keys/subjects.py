"""A new subject: its key, and the row that keeps it. No I/O."""

from typing import Any

from zegel_server import clock
from zegel_server.crypto import TenantKey, new_dek


def new_subject(tenant_key: TenantKey, tenant_id: str, subject_id: str, index: bytes) -> tuple[bytes, dict[str, Any]]:
    """Makes the key of a subject.

    Args:
        tenant_key: The tenant key that wraps it.
        tenant_id: Within which tenant.
        subject_id: Identifier of the subject.
        index: Keyed hash of the mail address that finds the subject again; empty for the tenant itself.

    Returns:
        The key, and the row to store.
    """
    key, wrapped = new_dek(tenant_key, subject_id)
    return key.key, {
        "subject_id": subject_id,
        "tenant_id": tenant_id,
        "email_index": index,
        "key_version": int(tenant_key.key_id.rpartition("/")[2]),
        "wrapped_key": wrapped.blob,
        "commitment": wrapped.commitment,
        "create_time": clock.now(),
    }
