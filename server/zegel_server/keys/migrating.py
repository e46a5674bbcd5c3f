"""The tenants' keys for the migration that encrypts what people typed before it was encrypted."""

from collections.abc import Mapping, Sequence

from zegel_server.crypto import KeyDestroyed, KeyHierarchy, RootKeys, TextKey
from zegel_server.db import Row
from zegel_server.errors import FailedPrecondition, Unavailable
from zegel_server.keys.rotation import stored_tenant_key


async def open_text_keys(root_keys: RootKeys, rows: Sequence[Row]) -> Mapping[str, TextKey | None]:
    """Opens tenant keys.

    Args:
        root_keys: The providers that wrapped them.
        rows: The newest tenant key of each tenant.

    Returns:
        Its text key by tenant; ``None`` for a tenant whose root key was destroyed.

    Raises:
        DataLoss: A stored key is damaged.
        FailedPrecondition: A tenant has withdrawn its key; which, is in the message.
        Unavailable: A key provider does not answer; for which tenant, is in the message.
    """
    hierarchy = KeyHierarchy(root_keys)
    found: dict[str, TextKey | None] = {}
    for row in rows:
        try:
            found[row.tenant_id] = TextKey(row.key_version, await hierarchy.unwrap_tenant_key(stored_tenant_key(row)))
        except KeyDestroyed:
            found[row.tenant_id] = None
        except (FailedPrecondition, Unavailable) as error:
            raise type(error)(f"{row.tenant_id}: {error}") from error
    return found
