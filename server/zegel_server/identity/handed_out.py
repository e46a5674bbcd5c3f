"""What was handed out to signers, and whether whoever handed it out could still do so.

A signer's session or link records who handed it out and who owned the request then. It is valid only while that
principal may hand it out for that owner, as policy has it at the moment: whatever ends the principal's access (a
delegation that ended or expired, a role, a team, the member itself) ends it, with nothing to remember to revoke.

Invariants:

* Every look-up of a signer's session or link decides this again.
* A new owner of the request succeeds to what was valid until then; what had ended is revoked, and does not come back.
"""

from typing import Final, NamedTuple

from zegel_server import clock
from zegel_server.db import Database, Transaction
from zegel_server.identity import store
from zegel_server.ids import is_id
from zegel_server.permissions.policies import Policies

HANDING_OUT: Final = "signature_request.open"
"""The permission to open signers' sessions and to create links."""


class OfRequest(NamedTuple):
    """The request whose sessions and links are meant.

    Attributes:
        tenant_id: Its tenant.
        signature_request_id: The request.
        signature_ids: Its signatures.
    """

    tenant_id: str
    signature_request_id: str
    signature_ids: tuple[str, ...]


class HandedOut:
    """The sessions and links of a request's signers, as its owner changes.

    Args:
        database: Where they are stored.
        policies: Decides what principals may do.
    """

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    async def fallen_granters(self, of: OfRequest, owner_id: str, version: int) -> frozenset[str]:
        """Who handed out something for a request, and could no longer do so.

        Args:
            of: The request.
            owner_id: Who owns it.
            version: The policy's version.
        """
        rows = list(
            await self._database.fetch(
                store.GRANTERS_OF_LINKS, tenant_id=of.tenant_id, signature_request_id=of.signature_request_id
            )
        )
        for signature_id in of.signature_ids:
            rows += await self._database.fetch(
                store.GRANTERS_OF_SESSIONS, tenant_id=of.tenant_id, principal_id=signature_id
            )
        granters = {str(row.granter_id) for row in rows}
        return frozenset(
            [each for each in granters if not await stands(self._policies, of.tenant_id, version, each, owner_id)]
        )

    async def pass_on(
        self,
        transaction: Transaction,
        of: OfRequest,
        owner_id: str,
        fallen: frozenset[str],
    ) -> None:
        """Passes on to a request's new owner what was handed out for it.

        Args:
            transaction: The one that changes the owner; it has locked the request.
            of: The request.
            owner_id: The new owner.
            fallen: From ``fallen_granters``: what they handed out is revoked.
        """
        now = clock.now()
        for signature_id in of.signature_ids:
            of_signer = {"tenant": of.tenant_id, "principal": signature_id}
            for granter_id in sorted(fallen):
                await transaction.execute(store.REVOKE_SESSIONS_FROM, **of_signer, granter=granter_id, now=now)
            await transaction.execute(store.PASS_SESSIONS_ON, **of_signer, new_owner=owner_id)
        of_request = {"tenant": of.tenant_id, "request": of.signature_request_id}
        for granter_id in sorted(fallen):
            await transaction.execute(store.REVOKE_LINKS_FROM, **of_request, granter=granter_id, now=now)
        await transaction.execute(store.PASS_LINKS_ON, **of_request, new_owner=owner_id)


async def stands(policies: Policies, tenant_id: str, version: int, granter_id: str, owner_id: str) -> bool:
    """Whether whoever handed something out for a request may do so at this moment.

    Args:
        policies: Decides what principals may do.
        tenant_id: The tenant.
        version: The policy's version, from the look-up of the session or link.
        granter_id: Who handed it out, or the owner who succeeded to it.
        owner_id: Who owned the request then.

    Raises:
        Aborted: The policy changes faster than it can be read.
    """
    if is_id(granter_id, "tea"):
        return granter_id == owner_id  # a team succeeded to it, whoever is in it
    held = await policies.holdings(tenant_id, version, granter_id)
    return held.reaches(HANDING_OUT, principal_id=granter_id, owner_id=owner_id)
