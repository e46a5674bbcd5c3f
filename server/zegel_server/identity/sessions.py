"""Sessions: looked up at every request, opened, listed, revoked.

Invariants:

* A token is looked up in the database at each request, together with the version of its tenant's policy; no answer of
  an earlier request is used.
* What is stored of a token is its SHA-256.
* Where clients show certificates, a session is bound to that of whoever opened it.
* A change to a session is in force for the next request once its call has answered.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind
from zegel_server.db import Database, Row, Transaction
from zegel_server.errors import InvalidArgument, NotFound, Unauthenticated
from zegel_server.identity import store
from zegel_server.identity.holding import hold_caller
from zegel_server.identity.model import MEMBER_IDLE, SIGNER_IDLE, USE_NOTED_EVERY, Session, fingerprint
from zegel_server.ids import API_KEY_PREFIX, SESSION_PREFIX, hash_token, is_token, new_id, new_token
from zegel_server.permissions.model import SIGNER
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions

NEVER_BEFORE: Final = "ses_~"
"""Sorts after every session's identifier: where a list that begins with the newest starts."""


ENDED_KEPT: Final = 30 * clock.DAY
"""How long a session that ended is remembered, so that its token is refused as expired and not as unknown."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was just opened, with the token that is told only now."""

    session: Session
    token: str


class Sessions:
    """Use cases of sessions.

    Args:
        database: Where they are.
        policies: What their principals may do.
        permissions: Roles and bindings.
        recorder: Records the events.
    """

    def __init__(self, database: Database, policies: Policies, permissions: Permissions, recorder: Recorder) -> None:
        self._database = database
        self._policies = policies
        self._permissions = permissions
        self._recorder = recorder
        self._noting: dict[str, asyncio.Task[None]] = {}

    # ---------------------------------------------------------------------------------------------- each request

    async def authenticate(self, token: str, origin: Origin, certificate: bytes | None) -> Caller:
        """Says who calls, as the database has it at this moment.

        Args:
            token: The bearer token.
            origin: Where the call came from.
            certificate: The client's certificate in DER, or ``None``.

        Raises:
            Unauthenticated: The token is malformed, unknown, revoked, expired, or bound to another certificate.
        """
        if not is_token(token):
            raise Unauthenticated("The token has not the form of one.", reason="SESSION_MALFORMED")
        if token.startswith(API_KEY_PREFIX):
            row = await self._database.fetch_one(store.API_KEY_BY_TOKEN, token_hash=hash_token(token))
            session = None if row is None else api_key_session(row)
        else:
            row = await self._database.fetch_one(store.SESSION_BY_TOKEN, token_hash=hash_token(token))
            session = None if row is None else session_of(row)
        if session is None:
            raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")
        now = clock.now()
        session.check(now, certificate)
        if session.wants_note(now):
            self._note_use(session, now)
        if session.kind is PrincipalKind.SIGNER:
            snapshot = await self._policies.snapshot(session.tenant_id, session.policy_version)
            decide = snapshot.of((SIGNER,))
        else:
            decide = await self._policies.decide_for(session.tenant_id, session.policy_version, session.principal_id)
        return Caller(
            session.tenant_id,
            session.principal_id,
            session.kind,
            session.session_id,
            session.subject_id,
            session.signature_request_id,
            session.policy_version,
            decide,
            session.permissions,
            origin,
            fingerprint(certificate) if certificate else b"",
        )

    def _note_use(self, session: Session, now: int) -> None:
        """Notes the use without keeping the request waiting; to lose a note costs at most a minute of idle time."""
        if session.session_id in self._noting:
            return  # one note is under way for all who come meanwhile
        task = asyncio.get_running_loop().create_task(self._write_use(session, now), name=session.session_id)
        self._noting[session.session_id] = task
        task.add_done_callback(self._noted)

    def _noted(self, task: "asyncio.Task[None]") -> None:
        self._noting.pop(task.get_name(), None)
        if not task.cancelled():
            task.exception()  # a note that failed is made by the next request

    async def _write_use(self, session: Session, now: int) -> None:
        statement = store.NOTE_API_KEY_USE if session.kind is PrincipalKind.API_KEY else store.NOTE_SESSION_USE
        async with self._database.transaction() as transaction:
            await transaction.execute(statement, id=session.session_id, now=now)

    async def settle(self) -> None:
        """Waits until every note is written; called before the database is closed."""
        await asyncio.gather(*self._noting.values(), return_exceptions=True)

    async def forget_ended(self) -> int:
        """Forgets sessions that ended long ago; until then their tokens are told apart from ones that never were."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(store.FORGET_SESSIONS, before=clock.now() - ENDED_KEPT)

    # --------------------------------------------------------------------------------------------------- opening

    async def open_for_member(
        self, caller: Caller, member_id: str, permissions: frozenset[str], expire_time: int
    ) -> OpenedSession:
        """Opens a session for a member.

        Args:
            caller: Who opens it.
            member_id: For whom.
            permissions: What to narrow it to; empty for no narrowing.
            expire_time: When it ends at the latest.

        Raises:
            NotFound: There is no such member, or the caller may open sessions only for itself.
            PermissionDenied: The member may do what the caller may not (``GRANT_EXCEEDS_GRANTER``).
            InvalidArgument: A permission is none.
        """
        unknown = permissions - self._permissions.known
        if unknown:
            raise InvalidArgument("permissions", "must be permissions that a method demands")
        member = await self._database.fetch_one(store.MEMBER, tenant_id=caller.tenant_id, member_id=member_id)
        if member is None:
            raise NotFound("member")
        caller.require("session.create", "member", owner_id=member_id)
        await self._permissions.check_not_above(caller, member_id)
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
        expire_time: int,
    ) -> tuple[str, str]:
        """Opens a session for one signer of one request, inside the signing domain's transaction.

        Args:
            transaction: That use case's.
            caller: Who opens it.
            tenant_id: The request's tenant.
            signature_id: The signer's signature.
            subject_id: The signer as a subject.
            signature_request_id: The request.
            expire_time: When it ends at the latest.

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
    ) -> OpenedSession:
        # What a key opened goes with the key, and so does what was opened with that in turn.
        api_key_id = (await hold_caller(transaction, caller)).api_key_id
        token = new_token(SESSION_PREFIX)
        now = clock.now()
        session = Session(
            session_id=new_id("ses"),
            tenant_id=caller.tenant_id,
            kind=kind,
            principal_id=principal_id,
            subject_id=subject_id,
            signature_request_id=signature_request_id,
            creator_id=caller.principal_id,
            permissions=permissions,
            certificate=caller.certificate or None,
            create_time=now,
            expire_time=expire_time,
            idle_us=idle_us,
            last_use_time=now,
            revoke_time=None,
            policy_version=caller.policy_version,
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
            creator_id=caller.principal_id,
            api_key_id=api_key_id,
            certificate=caller.certificate or None,
            permissions=" ".join(sorted(permissions)),
            create_time=now,
            expire_time=expire_time,
            idle_us=idle_us,
            last_use_time=now,
            revoke_time=None,
        )
        return OpenedSession(session, token)

    # -------------------------------------------------------------------------------------- reading and revoking

    async def current(self, caller: Caller) -> Session:
        """The session or API key that a call carries.

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

    async def list_good(self, caller: Caller, *, principal_id: str, before: str, limit: int) -> list[Session]:
        """Sessions that are good at this moment, the newest first.

        Args:
            caller: Who asks.
            principal_id: Only those of this principal; empty for all that the caller may see.
            before: The last session of the page before; empty for the first page.
            limit: The most to return.
        """
        rows = await self._database.fetch(
            store.SESSIONS,
            tenant_id=caller.tenant_id,
            principal_id=principal_id,
            reader=caller.owner_filter("session.read"),
            before=before or NEVER_BEFORE,
            now=clock.now(),
            idle_before=clock.now() - USE_NOTED_EVERY,
            limit=limit,
        )
        return [session_of(row, caller.policy_version) for row in rows]

    async def revoke(self, caller: Caller, session_id: str) -> None:
        """Revokes a session; one that was revoked before stays so.

        Args:
            caller: Who revokes it.
            session_id: Which.

        Raises:
            NotFound: There is no such session, or it is not the caller's to revoke.
        """
        row = await self._database.fetch_one(store.SESSION, tenant_id=caller.tenant_id, session_id=session_id)
        if row is None:
            raise NotFound("session")
        # What somebody opened for another is its own as well.
        own = caller.principal_id in {row.principal_id, row.creator_id}
        caller.require("session.revoke", "session", owner_id=caller.principal_id if own else row.principal_id)
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


def session_of(row: Row, policy_version: int | None = None) -> Session:
    """A session from its row.

    Args:
        row: The row, with the policy's version where none is given.
        policy_version: Version of the tenant's policy.
    """
    return Session(
        row.session_id,
        row.tenant_id,
        PrincipalKind(row.kind),
        row.principal_id,
        row.subject_id,
        row.signature_request_id,
        row.creator_id,
        frozenset(row.permissions.split()) if row.permissions else frozenset(),
        row.certificate,
        row.create_time,
        row.expire_time,
        row.idle_us,
        row.last_use_time,
        row.revoke_time,
        row.policy_version if policy_version is None else policy_version,
    )


def api_key_session(row: Row, policy_version: int | None = None) -> Session:
    """An API key as the session that it is.

    Args:
        row: The key's row, with the policy's version where none is given.
        policy_version: Version of the tenant's policy.
    """
    return Session(
        row.api_key_id,
        row.tenant_id,
        PrincipalKind.API_KEY,
        row.api_key_id,
        row.subject_id,
        "",
        row.creator_id,
        frozenset(),
        None,
        row.create_time,
        row.expire_time,
        0,
        row.last_use_time or 0,
        row.revoke_time,
        row.policy_version if policy_version is None else policy_version,
    )
