"""Tenants whose own key provider is unavailable, as everything that depends on their keys sees them."""

from typing import Any

from zegel_server.crypto import RootKeys, TenantKey
from zegel_server.db import Database
from zegel_server.errors import Unavailable
from zegel_server.keys.service import Keys


class KeysAway(Keys):
    """The keys of an installation in which the key providers of some tenants are unavailable; nothing is cached.

    Attributes:
        away: The tenants whose provider is unavailable.
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
    """Returns the error that a provider raises when it does not answer."""
    return Unavailable("The key provider does not answer now.", dependency="key_provider", **more)
