"""Sessions: opening, listing and revoking them.

Invariants:

* Only the SHA-256 of a token is stored.
* If the client shows a certificate, a session that it opens is bound to that certificate.
* A change to a session takes effect for every request that follows the call's answer.
"""

from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Database, Transaction
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import NotFound
from zegel_server.identity import store
from zegel_server.identity.model import MEMBER_IDLE, SIGNER_IDLE, USE_NOTED_EVERY, Session, narrowing
from zegel_server.identity.row_locks import hold_caller
from zegel_server.identity.rows import api_key_session, session_of
from zegel_server.ids import SESSION_PREFIX, hash_token, last_id, new_id, new_token
from zegel_server.permissions.service import Permissions

ENDED_KEPT: Final = 30 * clock.DAY
"""How long an ended session is kept, so that its token is refused as expired rather than as unknown."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that has just been opened, with its token, which is shown only now."""

    session: Session
    token: str


class Sessions:
    """Use cases of sessions.

    Args:
        database: Where the sessions are stored.
        permissions: Roles and bindings.
        recorder: Records the events.
    """

    def __init__(self, database: Database, permissions: Permissions, recorder: Recorder) -> None:
        self._database = database
        self._permissions = permissions
        self._recorder = recorder

    # --------------------------------------------------------------------------------------------------- opening

    async def open_for_member(
        self, caller: Caller, member_id: str, permissions: frozenset[str], expire_time: int
    ) -> OpenedSession:
        """Opens a session for a member.

        Args:
            caller: Who opens it.
            member_id: The member.
            permissions: What to narrow it to; empty for no narrowing.
            expire_time: When it expires at the latest.

        Raises:
            NotFound: There is no such member, or the caller may open sessions only for itself.
            PermissionDenied: The session could do something that the caller may not (``GRANT_EXCEEDS_GRANTER``).
            InvalidArgument: A permission does not exist.
        """
        self._permissions.check_known(permissions)
        member = await self._database.fetch_one(
            store.MEMBER, tenant_id=caller.tenant_id, member_id=member_id, only=caller.owner_filter("session.create")
        )
        if member is None:
            raise NotFound("member")
        await self._permissions.check_not_above(caller, member_id, permissions)
        permissions = narrowing(permissions, caller.narrowed)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_SIGNED_IN, resource_id=member_id)
        async with self._database.transaction() as transaction:
            if (
                await transaction.fetch_one(store.HOLD_MEMBER, tenant_id=caller.tenant_id, member_id=member_id)
            ) is None:
                raise NotFound("member")
            opened = await self._open(
                transaction,
                caller,
                kind=PrincipalKind.MEMBER,
                principal_id=member_id,
                subject_id=member.subject_id,
                signature_request_id="",
                permissions=permissions,
                expire_time=expire_time,
                idle_us=MEMBER_IDLE,
            )
            await self._recorder.record(transaction, draft)
        return opened

    async def open_signer_session(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        tenant_id: str,
        signature_id: str,
        subject_id: str,
        signature_request_id: str,
        request_owner_id: str,
        expire_time: int,
    ) -> tuple[str, str]:
        """Opens a session for one signer of one request, inside the signing domain's transaction.

        Args:
            transaction: That use case's transaction.
            caller: Who opens it.
            tenant_id: The request's tenant.
            signature_id: The signer's signature.
            subject_id: The signer as a subject.
            signature_request_id: The request.
            request_owner_id: Who owns the request.
            expire_time: When it expires at the latest.

        Returns:
            The session's identifier, and its token.
        """
        if tenant_id != caller.tenant_id:
            raise NotFound("signature_request")
        opened = await self._open(
            transaction,
            caller,
            kind=PrincipalKind.SIGNER,
            principal_id=signature_id,
            subject_id=subject_id,
            signature_request_id=signature_request_id,
            permissions=frozenset(),
            expire_time=expire_time,
            idle_us=SIGNER_IDLE,
            granter_id=caller.principal_id,
            request_owner_id=request_owner_id,
        )
        return opened.session.session_id, opened.token

    async def _open(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        kind: PrincipalKind,
        principal_id: str,
        subject_id: str,
        signature_request_id: str,
        permissions: frozenset[str],
        expire_time: int,
        idle_us: int,
        granter_id: str = "",
        request_owner_id: str = "",
    ) -> OpenedSession:
        # Revoking a key revokes the sessions that it opened, and those that they opened in turn.
        held = await hold_caller(transaction, caller)
        # A member's session cannot open a fresher one; a signer's counts as authenticated when it is handed over.
        inherits = kind is PrincipalKind.MEMBER and caller.kind is not PrincipalKind.API_KEY
        return await self.insert(
            transaction,
            caller,
            kind=kind,
            principal_id=principal_id,
            subject_id=subject_id,
            signature_request_id=signature_request_id,
            creator_id=caller.principal_id,
            api_key_id=held.api_key_id,
            permissions=permissions,
            expire_time=expire_time,
            idle_us=idle_us,
            auth_time=held.auth_time if inherits else None,
            granter_id=granter_id,
            request_owner_id=request_owner_id,
        )

    async def insert(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        kind: PrincipalKind,
        principal_id: str,
        subject_id: str,
        signature_request_id: str,
        creator_id: str,
        api_key_id: str,
        permissions: frozenset[str],
        expire_time: int,
        idle_us: int,
        auth_time: int | None = None,
        granter_id: str = "",
        request_owner_id: str = "",
    ) -> OpenedSession:
        """Stores a session inside another use case's transaction, which has checked that it may.

        Args:
            transaction: That use case's transaction.
            caller: Who receives it: it is bound to this caller's certificate, if there is one.
            kind: What kind of principal it stands for.
            principal_id: The principal it stands for.
            subject_id: The subject whose personal data the origin of its calls is.
            signature_request_id: The request that a signer's session opens.
            creator_id: Who opened it.
            api_key_id: The API key whose revocation also revokes it; empty for none.
            permissions: The permissions it is narrowed to; empty for no narrowing.
            expire_time: When it expires at the latest.
            idle_us: How long it may be unused before it expires, in microseconds.
            auth_time: When its principal authenticated; ``None`` for now.
            granter_id: Of a signer's session: who handed it out.
            request_owner_id: Of a signer's session: who owned the request then.
        """
        token = new_token(SESSION_PREFIX)
        now = clock.now()
        session = Session(
            session_id=new_id("ses"),
            tenant_id=caller.tenant_id,
            kind=kind,
            principal_id=principal_id,
            subject_id=subject_id,
            signature_request_id=signature_request_id,
            creator_id=creator_id,
            permissions=permissions,
            certificate=caller.certificate or None,
            create_time=now,
            expire_time=expire_time,
            idle_us=idle_us,
            last_use_time=now,
            revoke_time=None,
            policy_version=caller.policy_version,
            auth_time=now if auth_time is None else auth_time,
        )
        await transaction.execute(
            store.INSERT_SESSION,
            session_id=session.session_id,
            tenant_id=session.tenant_id,
            token_hash=hash_token(token),
            kind=kind.value,
            principal_id=principal_id,
            subject_id=subject_id,
            signature_request_id=signature_request_id,
            creator_id=creator_id,
            api_key_id=api_key_id,
            certificate=caller.certificate or None,
            permissions=" ".join(sorted(permissions)),
            create_time=now,
            expire_time=expire_time,
            idle_us=idle_us,
            last_use_time=now,
            revoke_time=None,
            auth_time=session.auth_time,
            granter_id=granter_id,
            request_owner_id=request_owner_id,
        )
        return OpenedSession(session, token)

    # -------------------------------------------------------------------------------------- reading and revoking

    async def current(self, caller: Caller) -> Session:
        """Returns the session or API key that a call was made with.

        Args:
            caller: Who calls.
        """
        if caller.kind is PrincipalKind.API_KEY:
            row = await self._database.fetch_one(
                store.API_KEY, tenant_id=caller.tenant_id, api_key_id=caller.session_id
            )
            if row is not None:
                return api_key_session(row, caller.policy_version)
        else:
            row = await self._database.fetch_one(
                store.SESSION, tenant_id=caller.tenant_id, session_id=caller.session_id
            )
            if row is not None:
                return session_of(row, caller.policy_version)
        raise NotFound("session")

    async def list_good(self, caller: Caller, page: PageRequest, *, principal_id: str) -> Page[Session]:
        """A page of the sessions that are valid at this moment, newest first.

        Args:
            caller: Who asks.
            page: Which page.
            principal_id: Only those of this principal; empty for all that the caller may see.
        """
        rows = await self._database.fetch(
            store.SESSIONS,
            tenant_id=caller.tenant_id,
            principal_id=principal_id,
            reader=caller.owner_filter("session.read"),
            before=page.start(last_id("ses"))[0],
            now=clock.now(),
            idle_before=clock.now() - USE_NOTED_EVERY,
            limit=page.rows,
        )
        found = page.cut(rows, "session_id")
        return found.holding([session_of(row, caller.policy_version) for row in found.items])

    async def revoke(self, caller: Caller, session_id: str) -> None:
        """Revokes a session; does nothing if it was already revoked.

        Args:
            caller: Who revokes it.
            session_id: The session.

        Raises:
            NotFound: There is no such session, or the caller may not revoke it.
        """
        only = caller.owner_filter("session.revoke")
        row = await self._database.fetch_one(
            store.REACHED_SESSION, tenant_id=caller.tenant_id, session_id=session_id, only=only
        )
        if row is None:
            raise NotFound("session")
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_SESSION_REVOKED,
            resource_id=session_id,
            signature_request_id=row.signature_request_id,
        )
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                store.REVOKE_SESSION, tenant=caller.tenant_id, id=session_id, now=clock.now()
            )
            if changed:
                await self._recorder.record(transaction, draft)

    async def revoke_of_signer(self, transaction: Transaction, tenant_id: str, signature_id: str) -> None:
        """Revokes every session of a signer, inside the signing domain's transaction.

        Args:
            transaction: That use case's.
            tenant_id: The request's tenant.
            signature_id: The signer's signature.
        """
        await transaction.execute(store.REVOKE_SESSIONS_OF, tenant=tenant_id, principal=signature_id, now=clock.now())

    async def forget_ended(self) -> int:
        """Deletes sessions, links and tokens that ended long ago; until then they are reported as ended."""
        before = clock.now() - ENDED_KEPT
        async with self._database.transaction() as transaction:
            gone = await transaction.execute(store.FORGET_RETIRED, before=before)
            gone += await transaction.execute(store.FORGET_LINKS, before=before)
            gone += await transaction.execute(store.FORGET_SPENT, before=before)
            return gone + await transaction.execute(store.FORGET_SESSIONS, before=before)
