"""Exchanges of one-time credentials (signer links, ID tokens) for sessions.

Invariants:

* These credentials are valid for no other method, and session tokens are not accepted here.
* A credential is spent in the transaction that stores the session.
"""

from typing import Protocol

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind
from zegel_server.db import Database, Transaction
from zegel_server.errors import FailedPrecondition, NotFound, Unauthenticated
from zegel_server.identity import id_tokens
from zegel_server.identity.links import Links, ended
from zegel_server.identity.model import SIGNER_IDLE
from zegel_server.identity.providers import Providers
from zegel_server.identity.sessions import OpenedSession, Sessions
from zegel_server.ids import LINK_PREFIX, is_token


class Signable(Protocol):
    """What an exchange needs to know of signatures."""

    async def demand(self, transaction: Transaction, caller: Caller) -> None:
        """Refuses if the signature is no longer awaited, and locks its request until the transaction ends.

        Args:
            transaction: The one that opens the signer's session.
            caller: The signer.

        Raises:
            FailedPrecondition: The signer has signed or declined, or the request has ended.
            NotFound: There is no such signature.
        """
        ...


class Exchange:
    """Use cases of exchanging credentials for sessions.

    Args:
        database: Where the rows are.
        links: Signer links.
        sessions: Opens the sessions.
        signable: Tells whether a signature is still awaited.
        recorder: Records the events.
        providers: Identity providers, and signing in with them.
    """

    def __init__(
        self,
        database: Database,
        *,
        links: Links,
        sessions: Sessions,
        signable: Signable,
        recorder: Recorder,
        providers: Providers,
    ) -> None:
        self._database = database
        self.providers = providers
        self._links = links
        self._sessions = sessions
        self._signable = signable
        self._recorder = recorder

    async def present(self, token: str, origin: Origin, certificate: bytes | None, message: object) -> Caller:
        """Returns who calls: the session stage for methods that exchange credentials.

        Args:
            token: The credential to exchange.
            origin: Where the call came from.
            certificate: The client's certificate in DER, or ``None``.
            message: The request, whose ``tenant_id`` says for which tenant an ID token is meant.

        Raises:
            Unauthenticated: The token is not valid at this moment.
        """
        if is_token(token, (LINK_PREFIX,)):
            return await self._links.present(token, origin, certificate)
        if id_tokens.has_form(token):
            return await self.providers.present(token, str(getattr(message, "tenant_id", "")), origin, certificate)
        raise Unauthenticated("The token is malformed.", reason="SESSION_MALFORMED")

    async def redeem(self, caller: Caller, expire_time: int) -> OpenedSession:
        """Exchanges a signer link for a session.

        Args:
            caller: Who presented the link.
            expire_time: When the session expires at the latest.

        Raises:
            Unauthenticated: The link was used or revoked, or has expired.
        """
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_SIGNER_LINK_REDEEMED,
            resource_id=caller.principal_id,
            signature_request_id=caller.signature_request_id,
        )
        async with self._database.transaction() as transaction:
            await self._links.hold(transaction, caller)
            try:
                await self._signable.demand(transaction, caller)
            except (FailedPrecondition, NotFound):
                raise ended() from None
            link = await self._links.lock(transaction, caller)
            opened = await self._sessions.insert(
                transaction,
                caller,
                kind=PrincipalKind.SIGNER,
                principal_id=caller.principal_id,
                subject_id=caller.subject_id,
                signature_request_id=caller.signature_request_id,
                creator_id=link.creator_id,
                api_key_id=link.api_key_id,
                granter_id=link.granter_id,
                request_owner_id=link.request_owner_id,
                permissions=frozenset(),
                expire_time=expire_time,
                idle_us=SIGNER_IDLE,
            )
            session_id = opened.session.session_id
            await self._links.spend(transaction, caller, session_id)
            told = {"opened_session": session_id, "link": link.signer_link_id}
            await self._recorder.record(
                transaction, draft.about(trail=link.trail, auth="signer_link", session_id="", extra=told)
            )
        return opened
