"""The links that invite signers: use cases of the sender, and the check that a signature is still pending.

Invariants:

* A link is made and redeemed only while its signature is pending.
"""

from typing import NamedTuple

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller
from zegel_server.db import Database, Transaction
from zegel_server.edge import validation
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.identity.links import Links
from zegel_server.identity.model import LinkState, ListedLink
from zegel_server.keys.service import Keys
from zegel_server.signing.repository import lock_progress, lock_unmoved
from zegel_server.signing.service import Signing


class NewLink(NamedTuple):
    """A link that was just made.

    Attributes:
        signer_link_id: Its identifier.
        token: Its token, shown only now.
        expire_time: When it ends, in microseconds since the epoch.
    """

    signer_link_id: str
    token: str
    expire_time: int


class SignerLinks:
    """Use cases of signer links.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        links: The links themselves.
        signing: The requests.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder, links: Links, signing: Signing) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._links = links
        self._signing = signing

    async def create(
        self,
        caller: Caller,
        signature_request_id: str,
        signature_id: str,
        expire_time: int,
        *,
        keep: Keep[NewLink] = keep_nothing,
    ) -> NewLink:
        """Makes a link for one signer; the trail records who made it.

        Args:
            caller: Who makes it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            expire_time: When it ends, in microseconds since the epoch.
            keep: Remembers the answer, for a retry of the same call.

        Raises:
            FailedPrecondition: The signature is no longer pending.
            NotFound: Absent, or not the caller's to see.
            UniqueViolation: The same call is being made at the same time.
        """
        known = await self._signing.find_reachable(caller, "signature_request.open", signature_request_id)
        validation.identifier(signature_id, "sig", "signature_id", "signature")
        known.progress.demand_awaited(signature_id, clock.now())
        draft = await self._recorder.draft(
            caller.acts_on("signature_request.open", known.owner_id),
            events.EVENT_TYPE_SIGNER_LINK_CREATED,
            resource_id=signature_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
        )
        async with self._database.transaction() as transaction:
            made = await self._links.create(
                transaction,
                caller,
                signature_request_id=known.signature_request_id,
                signature_id=signature_id,
                subject_id=known.people[signature_id].subject_id,
                request_owner_id=known.owner_id,
                trail=known.audit_id,
                expire_time=expire_time,
            )
            (await lock_unmoved(transaction, known)).progress.demand_awaited(signature_id, clock.now())
            link = NewLink(*made, expire_time)
            extra = {**draft.extra, "link": link.signer_link_id, "expire_time": clock.to_rfc3339(expire_time)}
            await self._recorder.record(transaction, draft.about(extra=extra))
            await keep(transaction, link)
        return link

    async def renew(self, caller: Caller, signature_request_id: str, signature_id: str, signer_link_id: str) -> str:
        """Gives a link a new token, for a caller who did not receive the first answer.

        Args:
            caller: Who made it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            signer_link_id: The link.

        Returns:
            The token; empty where the link is no longer valid.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        known = await self._signing.find_reachable(caller, "signature_request.open", signature_request_id)
        draft = await self._recorder.draft(
            caller.acts_on("signature_request.open", known.owner_id),
            events.EVENT_TYPE_SIGNER_LINK_CREATED,
            resource_id=signature_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
            extra={"link": signer_link_id, "renewed": True},
        )
        async with self._database.transaction() as transaction:
            token = await self._links.renew(transaction, caller, signer_link_id)
            if token:
                await self._recorder.record(transaction, draft)
        return token

    async def list_page(
        self, caller: Caller, signature_request_id: str, page: PageRequest
    ) -> Page[tuple[ListedLink, LinkState]]:
        """A page of a request's links, the newest first, each with its state.

        Args:
            caller: Who asks.
            signature_request_id: The request.
            page: Which page.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        known = await self._signing.find_reachable(caller, "signature_request.read", signature_request_id)
        found = await self._links.list_page(caller, signature_request_id, page)
        now = clock.now()
        return found.holding(
            [(each, each.state(now, awaited=known.progress.awaits(each.signature_id, now))) for each in found.items]
        )

    async def revoke(self, caller: Caller, signature_request_id: str, signer_link_id: str) -> None:
        """Revokes a link and the session that it was exchanged for; revoking it again changes nothing.

        Args:
            caller: Who revokes it.
            signature_request_id: The request.
            signer_link_id: The link.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        # Read without names and titles, so that a link can be revoked while the tenant's key is unavailable.
        known = await self._signing.find_reachable(
            caller, "signature_request.open", signature_request_id, with_texts=False
        )
        validation.identifier(signer_link_id, "lnk", "signer_link_id", "signer_link")
        await self._links.find(known.tenant_id, known.signature_request_id, signer_link_id)
        draft = await self._recorder.draft(
            caller.acts_on("signature_request.open", known.owner_id),
            events.EVENT_TYPE_SIGNER_LINK_REVOKED,
            resource_id=signer_link_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
        )
        async with self._database.transaction() as transaction:
            if await self._links.revoke(transaction, known.tenant_id, signer_link_id):
                await self._recorder.record(transaction, draft)


class PendingSignatureCheck:
    """Checks that a signature is still pending before its signer's session is opened."""

    async def demand(self, transaction: Transaction, caller: Caller) -> None:
        """Refuses a signature that is no longer pending, and locks its request until the transaction ends.

        Args:
            transaction: The one that opens the session.
            caller: The signer.

        Raises:
            FailedPrecondition: The signer has signed or declined, or the request has ended.
            NotFound: There is no such signature.
        """
        progress = await lock_progress(transaction, caller.tenant_id, caller.signature_request_id)
        progress.demand_awaited(caller.principal_id, clock.now())
