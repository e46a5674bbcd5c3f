"""Accounts at a tenant's identity provider, and binding members to those whose subjects a caller knows.

Invariants:

* An account is an issuer and a subject: the same subject of another issuer is another account.
* Only a hash of it is kept, keyed with the tenant's key.
"""

from typing import Final

from zegel_server.db import Database, Transaction
from zegel_server.edge import etags
from zegel_server.errors import FailedPrecondition
from zegel_server.identity import store
from zegel_server.keys.service import Keys

_ACCOUNT: Final = b"zegel/account/v1"


async def account_of(keys: Keys, tenant_id: str, issuer: str, subject: str) -> bytes:
    """What a member is bound to: a keyed hash of an account at a provider.

    Args:
        keys: The tenants' keys.
        tenant_id: The tenant.
        issuer: The provider's issuer.
        subject: The account's subject there.
    """
    return await keys.keyed_hash(tenant_id, _ACCOUNT, f"{issuer}\n{subject}".encode())


class Accounts:
    """Binds members to accounts whose subjects a caller knows.

    Args:
        database: Where the rows are.
        keys: The tenants' keys.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def find(self, tenant_id: str, subject: str) -> tuple[bytes, int]:
        """What to bind a member to.

        Args:
            tenant_id: The tenant.
            subject: The account's subject.

        Returns:
            The account, and the provider's revision, for :meth:`hold`.

        Raises:
            FailedPrecondition: The tenant has no identity provider.
        """
        row = await self._database.fetch_one(store.PROVIDER, tenant_id=tenant_id)
        if row is None:
            raise _no_provider()
        return await account_of(self._keys, tenant_id, row.issuer, subject), row.revision

    @staticmethod
    async def hold(transaction: Transaction, tenant_id: str, revision: int) -> None:
        """Refuses if the provider was changed, and keeps it as it is until the transaction ends.

        Args:
            transaction: The one that binds the member.
            tenant_id: The tenant.
            revision: What :meth:`find` returned.

        Raises:
            Aborted: It was changed.
            FailedPrecondition: It was removed.
        """
        row = await transaction.fetch_one(store.HOLD_PROVIDER, tenant_id=tenant_id)
        if row is None:
            raise _no_provider()
        if row.revision != revision:
            raise etags.changed("identity_provider")


def _no_provider() -> FailedPrecondition:
    return FailedPrecondition("The tenant has no identity provider that the subject could be of.")
