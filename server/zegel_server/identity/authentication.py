"""Who calls: looked up at every request.

Invariants:

* A token is looked up in the database at each request, together with the version of its tenant's policy; no answer of
  an earlier request is used.
* A good token of an API key or a session costs one query; only a miss asks for a token that rotation has retired.
"""

import asyncio

from zegel_server import clock
from zegel_server.caller import FRESH, Caller, Origin, PrincipalKind
from zegel_server.db import Database
from zegel_server.errors import Unauthenticated
from zegel_server.identity import store
from zegel_server.identity.model import Session, fingerprint, stale
from zegel_server.identity.rows import api_key_session, session_of
from zegel_server.ids import API_KEY_PREFIX, hash_token, is_token
from zegel_server.permissions.model import SIGNER
from zegel_server.permissions.policies import Policies


class Authentication:
    """Looks tokens up, and notes when they are used.

    Args:
        database: Where they are.
        policies: What their principals may do.
    """

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies
        self._noting: dict[str, asyncio.Task[None]] = {}

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

    async def _retired(self, token_hash: bytes) -> Session | None:
        """The API key from which rotation has taken a token, for as long as that is remembered."""
        row = await self._database.fetch_one(store.API_KEY_BY_RETIRED_TOKEN, token_hash=token_hash)
        return None if row is None else api_key_session(row, retired_until=row.token_expire_time)

    def _note_use(self, session: Session, token_hash: bytes, now: int) -> None:
        """Notes the use without keeping the request waiting; to lose a note costs at most a minute of idle time."""
        if session.session_id in self._noting:
            return  # one note is under way for all who come meanwhile
        task = asyncio.get_running_loop().create_task(
            self._write_use(session, token_hash, now), name=session.session_id
        )
        self._noting[session.session_id] = task
        task.add_done_callback(self._noted)

    def _noted(self, task: "asyncio.Task[None]") -> None:
        self._noting.pop(task.get_name(), None)
        if not task.cancelled():
            task.exception()  # a note that failed is made by the next request

    async def _write_use(self, session: Session, token_hash: bytes, now: int) -> None:
        async with self._database.transaction() as transaction:
            if session.kind is not PrincipalKind.API_KEY:
                await transaction.execute(store.NOTE_SESSION_USE, id=session.session_id, now=now)
            elif session.retired:
                await transaction.execute(store.NOTE_RETIRED_USE, id=session.session_id, now=now)
            else:  # of this token alone: a rotation meanwhile must not take it for a use of the next one
                await transaction.execute(
                    store.NOTE_API_KEY_USE, id=session.session_id, by_token_hash=token_hash, now=now
                )

    async def settle(self) -> None:
        """Waits until every note is written; called before the database is closed."""
        await asyncio.gather(*self._noting.values(), return_exceptions=True)
