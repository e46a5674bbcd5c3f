"""Signer links: tokens that can be exchanged for a signer's session, once.

Invariants:

* A link stands for one signer of one request. Its token is shown once; only its hash is stored.
* A link is spent under its row's lock, in the transaction that stores the session: of two at once only one succeeds.
* Redeeming locks the link's API key first, in the order of a revocation: key, then sessions, then links.
"""

from typing import NamedTuple

from zegel_server import clock
from zegel_server.caller import Caller, Origin, PrincipalKind
from zegel_server.db import Database, Row, Transaction
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import NotFound, Unauthenticated
from zegel_server.identity import store
from zegel_server.identity.handed_out import stands
from zegel_server.identity.model import LinkState, ListedLink, fingerprint, link_state
from zegel_server.identity.row_locks import hold_caller
from zegel_server.ids import LINK_PREFIX, hash_token, last_id, new_id, new_token
from zegel_server.permissions.model import EXCHANGE, SIGNER
from zegel_server.permissions.policies import Policies


class MadeLink(NamedTuple):
    """A link that has just been created.

    Attributes:
        signer_link_id: Its identifier.
        token: Its token, shown only now.
    """

    signer_link_id: str
    token: str


class Links:
    """Stores and checks signer links, within other use cases' transactions.

    Args:
        database: Where the links are stored.
        policies: Decides what signers may do.
    """

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    async def create(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        signature_request_id: str,
        signature_id: str,
        subject_id: str,
        request_owner_id: str,
        trail: str,
        expire_time: int,
    ) -> MadeLink:
        """Creates a link.

        Args:
            transaction: The transaction to create it in; nothing has run in it yet.
            caller: Who creates it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            subject_id: The signer as a subject.
            request_owner_id: Who owns the request.
            trail: The request's audit ID.
            expire_time: When it expires.

        Raises:
            Unauthenticated: The caller was revoked meanwhile.
        """
        # Revoking a key revokes what was made with it.
        api_key_id = (await hold_caller(transaction, caller)).api_key_id
        made = MadeLink(new_id("lnk"), new_token(LINK_PREFIX))
        await transaction.execute(
            store.INSERT_LINK,
            signer_link_id=made.signer_link_id,
            tenant_id=caller.tenant_id,
            token_hash=hash_token(made.token),
            signature_request_id=signature_request_id,
            signature_id=signature_id,
            subject_id=subject_id,
            trail=trail,
            creator_id=caller.principal_id,
            api_key_id=api_key_id,
            create_time=clock.now(),
            expire_time=expire_time,
            revoke_time=None,
            spend_time=None,
            session_id="",
            granter_id=caller.principal_id,
            request_owner_id=request_owner_id,
        )
        return made

    async def renew(self, transaction: Transaction, caller: Caller, signer_link_id: str) -> str:
        """Gives a link a new token, for a caller who did not receive the first answer.

        Args:
            transaction: The open transaction; nothing has run in it yet.
            caller: Who created it.
            signer_link_id: The link.

        Returns:
            The token; empty if the link is no longer valid.
        """
        await hold_caller(transaction, caller)
        token = new_token(LINK_PREFIX)
        renewed = await transaction.execute(
            store.RENEW_LINK,
            tenant=caller.tenant_id,
            id=signer_link_id,
            now=clock.now(),
            new_token_hash=hash_token(token),
        )
        return token if renewed else ""

    async def find(self, tenant_id: str, signature_request_id: str, signer_link_id: str) -> None:
        """Checks that a link belongs to a request.

        Args:
            tenant_id: The tenant.
            signature_request_id: The request.
            signer_link_id: The link.

        Raises:
            NotFound: It does not.
        """
        row = await self._database.fetch_one(store.SIGNER_LINK, tenant_id=tenant_id, signer_link_id=signer_link_id)
        if row is None or row.signature_request_id != signature_request_id:
            raise NotFound("signer_link")

    async def list_page(self, caller: Caller, signature_request_id: str, page: PageRequest) -> Page[ListedLink]:
        """A page of a request's links, newest first.

        Args:
            caller: Who asks.
            signature_request_id: The request.
            page: Which page.
        """
        rows = await self._database.fetch(
            store.LINKS_OF_REQUEST,
            tenant_id=caller.tenant_id,
            signature_request_id=signature_request_id,
            before=page.start(last_id("lnk"))[0],
            limit=page.rows,
        )
        found = page.cut([ListedLink(*row) for row in rows], "signer_link_id")
        told = (caller.tenant_id, caller.policy_version)
        return found.holding(
            [
                each._replace(fallen=not await stands(self._policies, *told, each.granter_id, each.request_owner_id))
                for each in found.items
            ]
        )

    async def revoke(self, transaction: Transaction, tenant_id: str, signer_link_id: str) -> bool:
        """Revokes a link and the session that it was exchanged for.

        Args:
            transaction: The open transaction.
            tenant_id: The tenant.
            signer_link_id: The link.

        Returns:
            Whether anything changed.
        """
        row = await transaction.fetch_one(store.LOCK_LINK, tenant_id=tenant_id, signer_link_id=signer_link_id)
        if row is None or row.revoke_time is not None:
            return False
        now = clock.now()
        if row.session_id:
            await transaction.execute(store.REVOKE_SESSION, tenant=tenant_id, id=row.session_id, now=now)
        await transaction.execute(store.REVOKE_LINK, id=signer_link_id, now=now)
        return True

    # ------------------------------------------------------------------------------------------------ redeeming

    async def present(self, token: str, origin: Origin, certificate: bytes | None) -> Caller:
        """Returns who calls with a link: a caller who may only exchange it.

        Args:
            token: The link's token; in the form of one.
            origin: Where the call came from.
            certificate: The client's certificate in DER, or ``None``.

        Raises:
            Unauthenticated: It is unknown, revoked, spent or expired.
        """
        row = await self._database.fetch_one(store.LINK_BY_TOKEN, token_hash=hash_token(token))
        if row is None:
            raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")
        now = clock.now()
        check(row, now)
        if row.key_expire_time is not None and now >= row.key_expire_time:
            raise ended()
        if not await stands(self._policies, row.tenant_id, row.policy_version, row.granter_id, row.request_owner_id):
            raise revoked()
        snapshot = await self._policies.snapshot(row.tenant_id, row.policy_version)
        return Caller(
            row.tenant_id,
            row.signature_id,
            PrincipalKind.SIGNER,
            row.signer_link_id,
            row.subject_id,
            row.signature_request_id,
            row.policy_version,
            snapshot.of((SIGNER,)).decide,
            (EXCHANGE,),
            origin,
            fingerprint(certificate) if certificate else b"",
        )

    async def hold(self, transaction: Transaction, caller: Caller) -> None:
        """Keeps the API key of a link from being revoked until the transaction ends; must be its first step.

        Args:
            transaction: The transaction that redeems the link.
            caller: Who presented the link.

        Raises:
            Unauthenticated: The key was revoked meanwhile.
        """
        row = await self.read(transaction, caller)
        if row.api_key_id:
            key = await transaction.fetch_one(store.HOLD_API_KEY, tenant_id=caller.tenant_id, own_id=row.api_key_id)
            if key is None or key.revoke_time is not None:
                raise revoked()

    async def read(self, transaction: Transaction, caller: Caller) -> Row:
        """The row of the link that a caller presented.

        Args:
            transaction: The open transaction.
            caller: Who presented the link.
        """
        row = await transaction.fetch_one(
            store.SIGNER_LINK, tenant_id=caller.tenant_id, signer_link_id=caller.session_id
        )
        if row is None:
            raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")
        return row

    async def spend(self, transaction: Transaction, caller: Caller, session_id: str) -> None:
        """Marks a link as used, after ``lock`` found it valid.

        Args:
            transaction: The transaction that redeems the link.
            caller: Who presented the link.
            session_id: The session that it is exchanged for.
        """
        await transaction.execute(store.SPEND_LINK, id=caller.session_id, now=clock.now(), new_session_id=session_id)

    async def lock(self, transaction: Transaction, caller: Caller) -> Row:
        """Locks the link that a caller presented, in order to use it up.

        Args:
            transaction: The transaction that redeems the link.
            caller: Who presented the link.

        Returns:
            Its row.

        Raises:
            Unauthenticated: It was revoked or used, or has expired, since the call was accepted.
        """
        row = await transaction.fetch_one(store.LOCK_LINK, tenant_id=caller.tenant_id, signer_link_id=caller.session_id)
        if row is None:
            raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")
        check(row, clock.now())
        return row


def check(row: Row, now: int) -> None:
    """Refuses a link that is not valid at this moment, with the most final of its reasons.

    Args:
        row: The link's row.
        now: The time.

    Raises:
        Unauthenticated: It is revoked, used or expired.
    """
    state = link_state(now, revoke_time=row.revoke_time, spend_time=row.spend_time, expire_time=row.expire_time)
    if state is LinkState.REVOKED:
        raise revoked()
    if state is LinkState.REDEEMED:
        raise Unauthenticated("The signer link has already been used.", reason="LINK_SPENT")
    if state is LinkState.EXPIRED:
        raise ended()


def revoked() -> Unauthenticated:
    """The error for a revoked link."""
    return Unauthenticated("The signer link was revoked.", reason="LINK_REVOKED")


def ended() -> Unauthenticated:
    """The error for an expired link."""
    return Unauthenticated("The signer link has expired.", reason="LINK_EXPIRED")
