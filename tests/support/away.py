"""Tenants whose own key provider is away, as all that stands on their keys finds them."""

from typing import Any

from zegel_server.crypto import RootKeys, TenantKey
from zegel_server.db import Database
from zegel_server.errors import Unavailable
from zegel_server.keys.service import Keys


class KeysAway(Keys):
    """The keys of an installation some of whose tenants' providers are away; nothing stays in memory.

    Attributes:
        away: Those tenants.
    """

    def __init__(self, database: Database, root_keys: RootKeys) -> None:
        super().__init__(database, root_keys, max_age_s=0.0)
        self.away: set[str] = set()

    async def tenant_key(self, tenant_id: str, key_version: int | None = None) -> tuple[int, TenantKey]:
        """See ``Keys.tenant_key``."""
        if tenant_id in self.away:
            raise key_away()
        return await super().tenant_key(tenant_id, key_version)


def key_away(**more: Any) -> Unavailable:
    """What a provider that does not answer raises."""
    return Unavailable("The key provider does not answer now.", dependency="key_provider", **more)
