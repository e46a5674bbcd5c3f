"""Finds out who calls, at every request.

Invariants:

* A token is looked up in the database at each request, together with the version of its tenant's policy; no result of
  an earlier request is reused.
* A valid token costs one query; only if it is not found are the tokens searched that rotation has retired.
"""

import asyncio

from zegel_server import clock
from zegel_server.caller import FRESH, Caller, Origin, PrincipalKind
from zegel_server.db import Database, Row
from zegel_server.errors import Unauthenticated
from zegel_server.identity import store
from zegel_server.identity.handed_out import stands
from zegel_server.identity.model import Session, fingerprint, stale
from zegel_server.identity.rows import api_key_session, session_of
from zegel_server.ids import API_KEY_PREFIX, hash_token, is_token
from zegel_server.permissions.model import SIGNER
from zegel_server.permissions.policies import Policies


class Authentication:
    """Looks tokens up, and records when they are used.

    Args:
        database: Where the tokens are stored.
        policies: Decides what their principals may do.
    """

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies
        self._noting: dict[str, asyncio.Task[None]] = {}

    async def authenticate(self, token: str, origin: Origin, certificate: bytes | None) -> Caller:
        """Returns the caller that a token stands for at this moment.

        Args:
            token: The bearer token.
            origin: Where the call came from.
            certificate: The client's certificate in DER, or ``None``.

        Raises:
            Unauthenticated: The token is malformed, unknown, revoked, expired, or bound to another certificate.
        """
        if not is_token(token):
            raise Unauthenticated("The token is malformed.", reason="SESSION_MALFORMED")
        token_hash = hash_token(token)
        sensitive = ""
        if token.startswith(API_KEY_PREFIX):
            row = await self._database.fetch_one(store.API_KEY_BY_TOKEN, token_hash=token_hash)
            session = await self._retired(token_hash) if row is None else api_key_session(row)
        else:
            row = await self._database.fetch_one(store.SESSION_BY_TOKEN, token_hash=token_hash)
            session = None if row is None else session_of(row)
            sensitive = "" if row is None else row.sensitive
        if session is None:
            raise Unauthenticated("No session has this token.", reason="SESSION_UNKNOWN")
        now = clock.now()
        session.check(now, certificate)
        if session.kind is not PrincipalKind.API_KEY:
            await self._check_origin(session, row, now)
        if session.wants_note(now):
            self._note_use(session, token_hash, now)
        if session.kind is PrincipalKind.SIGNER:
            snapshot = await self._policies.snapshot(session.tenant_id, session.policy_version)
            held = snapshot.of((SIGNER,))
        else:
            held = await self._policies.holdings(session.tenant_id, session.policy_version, session.principal_id)
        return Caller(
            session.tenant_id,
            session.principal_id,
            session.kind,
            session.session_id,
            session.subject_id,
            session.signature_request_id,
            session.policy_version,
            held.decide,
            session.permissions,
            origin,
            fingerprint(certificate) if certificate else b"",
            held.shares,
            stale=stale(sensitive, session.auth_time, now) if sensitive else FRESH,
        )

    async def _check_origin(self, session: Session, row: Row, now: int) -> None:
        """Refuses a session whose API key has expired, or that was handed out by somebody who could do so no longer."""
        if row.key_expire_time is not None and now >= row.key_expire_time:
            raise Unauthenticated("The session has expired.", reason="SESSION_EXPIRED")
        if session.kind is PrincipalKind.SIGNER and not await stands(
            self._policies, session.tenant_id, session.policy_version, row.granter_id, row.request_owner_id
        ):
            raise Unauthenticated("The session was revoked.", reason="SESSION_REVOKED")

    async def _retired(self, token_hash: bytes) -> Session | None:
        """The API key whose earlier token this was, for as long as that is remembered."""
        row = await self._database.fetch_one(store.API_KEY_BY_RETIRED_TOKEN, token_hash=token_hash)
        return None if row is None else api_key_session(row, retired_until=row.token_expire_time)

    def _note_use(self, session: Session, token_hash: bytes, now: int) -> None:
        """Records the use without delaying the request; a lost record costs at most a minute of idle time."""
        if session.session_id in self._noting:
            return  # the write that is under way serves all meanwhile
        task = asyncio.get_running_loop().create_task(
            self._write_use(session, token_hash, now), name=session.session_id
        )
        self._noting[session.session_id] = task
        task.add_done_callback(self._noted)

    def _noted(self, task: "asyncio.Task[None]") -> None:
        self._noting.pop(task.get_name(), None)
        if not task.cancelled():
            task.exception()  # the next request repeats a failed write

    async def _write_use(self, session: Session, token_hash: bytes, now: int) -> None:
        async with self._database.transaction() as transaction:
            if session.kind is not PrincipalKind.API_KEY:
                await transaction.execute(store.NOTE_SESSION_USE, id=session.session_id, now=now)
            elif session.retired:
                await transaction.execute(store.NOTE_RETIRED_USE, id=session.session_id, now=now)
            else:  # for this token only: after a rotation it must not count as a use of the new token
                await transaction.execute(
                    store.NOTE_API_KEY_USE, id=session.session_id, by_token_hash=token_hash, now=now
                )

    async def settle(self) -> None:
        """Waits until every use is written; called before the database is closed."""
        await asyncio.gather(*self._noting.values(), return_exceptions=True)
