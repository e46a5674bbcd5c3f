"""Identity providers of tenants, and signing in with them.

Invariants:

* A member who is bound to an account at the provider (issuer and subject) is found by it, whatever the token says about
  mail addresses. No other account signs in as that member, and this account as no other member.
* Only a member without an account is found by its mail address, if the tenant's provider is believed about that, and is
  bound to the account then.
* An ID token is spent in the transaction that stores the session; of two at once only one succeeds.
* Whatever is wrong with a token, its caller gets the same error.
"""

import json
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Origin, PrincipalKind, Scope
from zegel_server.db import Database, Row, UniqueViolation
from zegel_server.edge import etags
from zegel_server.errors import InvalidArgument, NotFound, Unauthenticated
from zegel_server.identity import id_tokens, store
from zegel_server.identity.accounts import account_of
from zegel_server.identity.discovery import ProviderKeys, may_ask
from zegel_server.identity.id_tokens import EmailTrust, RefusedError, SignIn
from zegel_server.identity.model import MEMBER_IDLE, fingerprint
from zegel_server.identity.sessions import OpenedSession, Sessions
from zegel_server.keys.service import Keys
from zegel_server.permissions.model import EXCHANGE
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions

MAX_ISSUER: Final = 255
"""Characters of an issuer, as the contract says."""
MAX_AUDIENCES: Final = 20
"""Audiences of a provider, as the contract says."""
QUIET: Final = 10 * clock.SECOND
"""How long further refusals of one tenant are only counted, after one was recorded."""
KEPT: Final = 10_000
"""Tenants whose refusals are counted at once."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A tenant's identity provider; times in microseconds since the epoch."""

    issuer: str
    audiences: tuple[str, ...]
    update_time: int
    revision: int
    email_trust: EmailTrust


@dataclass(frozen=True, slots=True)
class _Presented:
    """A valid ID token, with its provider; ``found_by_email`` says that the member may be bound to its account."""

    sign_in: SignIn
    account: bytes
    revision: int
    subject_id: str
    found_by_email: bool


_presented: Final[ContextVar[_Presented]] = ContextVar("presented")


class Providers:
    """Use cases of identity providers.

    Args:
        database: Where the rows are.
        keys: Makes and opens the tenants' encryption keys.
        permissions: Roles and bindings.
        policies: Decides what members may do.
        sessions: Opens the sessions.
        recorder: Records the events.
        provider_keys: The providers' public keys.
    """

    def __init__(
        self,
        database: Database,
        *,
        keys: Keys,
        permissions: Permissions,
        policies: Policies,
        sessions: Sessions,
        recorder: Recorder,
        provider_keys: ProviderKeys,
    ) -> None:
        self._database = database
        self._keys = keys
        self._permissions = permissions
        self._policies = policies
        self._sessions = sessions
        self._recorder = recorder
        self._provider_keys = provider_keys
        self._refused: OrderedDict[str, tuple[int, int]] = OrderedDict()

    # ------------------------------------------------------------------------------------------------ setting it

    async def get(self, caller: Caller) -> Provider:
        """Returns the provider of the caller's tenant.

        Args:
            caller: Who asks.

        Raises:
            NotFound: The tenant has no provider.
        """
        row = await self._database.fetch_one(store.PROVIDER, tenant_id=caller.tenant_id)
        if row is None:
            raise NotFound("identity_provider")
        return _provider(row)

    async def set(
        self, caller: Caller, issuer: str, audiences: tuple[str, ...], etag: str, email_trust: EmailTrust
    ) -> Provider:
        """Sets the provider that members sign in with.

        Args:
            caller: Who sets it.
            issuer: The provider's issuer.
            audiences: The clients that ID tokens may have been issued to.
            etag: The etag last read, or empty.
            email_trust: What is believed of the mail addresses in its tokens.

        Raises:
            Aborted: The provider was changed since.
            InvalidArgument: The issuer cannot be asked for its keys.
            Unauthenticated: The caller's authentication is too old for what is sensitive (``STEP_UP_REQUIRED``).
        """
        caller.demand_fresh()  # # whoever sets the provider controls how fresh sign-ins look
        if not may_ask(issuer, self._provider_keys.allowed) or "?" in issuer:
            raise InvalidArgument("identity_provider.issuer", "must be an https URL on the open internet")
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_IDENTITY_PROVIDER_SET,
            resource_id=caller.tenant_id,
            extra={"issuer": issuer, "audiences": list(audiences), "email_trust": email_trust.value},
        )
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(store.LOCK_PROVIDER, tenant_id=caller.tenant_id)
            etags.check(etag, None if row is None else row.revision, "identity_provider")
            made = Provider(issuer, audiences, clock.now(), 1 if row is None else row.revision + 1, email_trust)
            await transaction.execute(
                store.UPSERT_PROVIDER,
                tenant_id=caller.tenant_id,
                issuer=issuer,
                audiences=json.dumps(audiences),
                update_time=made.update_time,
                revision=made.revision,
                email_trust=email_trust.value,
            )
            if row is not None and row.issuer != issuer:
                await transaction.execute(store.UNBIND_MEMBERS, tenant=caller.tenant_id)
            await self._recorder.record(transaction, draft)
        return made

    async def delete(self, caller: Caller, etag: str) -> None:
        """Removes the provider, and the bindings of members to their accounts there.

        Args:
            caller: Who does it.
            etag: The etag last read, or empty.

        Raises:
            Aborted: The provider was changed since.
            FailedPrecondition: Without it no remaining owner could sign in (``LAST_OWNER``).
            NotFound: There is no provider.
        """
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_IDENTITY_PROVIDER_DELETED, resource_id=caller.tenant_id
        )
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(store.LOCK_PROVIDER, tenant_id=caller.tenant_id)
            if row is None:
                raise NotFound("identity_provider")
            etags.check(etag, row.revision, "identity_provider")
            await transaction.execute(store.DELETE_PROVIDER, tenant_id=caller.tenant_id)
            await transaction.execute(store.UNBIND_MEMBERS, tenant=caller.tenant_id)
            await self._permissions.keep_owner(transaction, caller.tenant_id)
            await self._recorder.record(transaction, draft)

    # ------------------------------------------------------------------------------------------------ signing in

    async def present(self, token: str, tenant_id: str, origin: Origin, certificate: bytes | None) -> Caller:
        """Returns who calls with an ID token: a member who may only exchange it.

        Args:
            token: A token for which ``has_form`` is true.
            tenant_id: The tenant.
            origin: Where the call came from.
            certificate: The client's certificate in DER, or ``None``.

        Raises:
            Unauthenticated: The token is not valid, or is no member's (``ID_TOKEN_REFUSED``).
            Unavailable: The provider does not answer.
        """
        row = await self._database.fetch_one(store.PROVIDER, tenant_id=tenant_id)
        if row is None:
            raise refused()
        try:
            sign_in = await self._verify(token, _provider(row), tenant_id)
            account = await account_of(self._keys, tenant_id, row.issuer, sign_in.subject)
            member = await self._member(tenant_id, sign_in.email, account)
        except RefusedError as error:
            await self._record_refusal(row, origin, str(error))
            raise refused() from None
        held = await self._policies.holdings(tenant_id, row.policy_version, member.member_id)
        _presented.set(_Presented(sign_in, account, row.revision, member.subject_id, member.account is None))
        return Caller(
            tenant_id,
            member.member_id,
            PrincipalKind.MEMBER,
            "",
            member.subject_id,
            "",
            row.policy_version,
            held.decide,
            (EXCHANGE,),
            origin,
            fingerprint(certificate) if certificate else b"",
        )

    async def _verify(self, token: str, provider: Provider, tenant_id: str) -> SignIn:
        head = id_tokens.read_head(token)
        key = id_tokens.choose_key(head, await self._provider_keys.of(provider.issuer, tenant_id))
        if key is None:  # it may be newer than the cached keys
            key = id_tokens.choose_key(head, await self._provider_keys.of(provider.issuer, tenant_id, missing=True))
        if key is None:
            raise RefusedError("key")
        return id_tokens.verify(
            token,
            head,
            key,
            issuer=provider.issuer,
            audiences=provider.audiences,
            now=clock.now(),
            email_trust=provider.email_trust,
        )

    async def _member(self, tenant_id: str, email: str, account: bytes) -> Row:
        """The member with an account, or else one without an account who has a mail address that is believed."""
        bound = await self._database.fetch_one(store.MEMBER_OF_ACCOUNT, tenant_id=tenant_id, account=account)
        if bound is not None:
            return bound
        if not email:
            raise RefusedError("email")
        subject_id = await self._keys.known_subject(tenant_id, email)
        member = None
        if subject_id is not None:
            member = await self._database.fetch_one(store.MEMBER_OF_SUBJECT, tenant_id=tenant_id, subject_id=subject_id)
        if member is None:
            raise RefusedError("member")
        if member.account is not None:
            raise RefusedError("account")
        return member

    async def sign_in(self, caller: Caller, permissions: frozenset[str], expire_time: int) -> OpenedSession:
        """Opens a session for a member who presented an ID token.

        Args:
            caller: Who presented it.
            permissions: What to narrow the session to; empty for no narrowing.
            expire_time: When it expires at the latest.

        Raises:
            InvalidArgument: A permission does not exist.
            Unauthenticated: The token was exchanged before, or the member or provider changed (``ID_TOKEN_REFUSED``).
        """
        self._permissions.check_known(permissions)
        presented = _presented.get()
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_SIGNED_IN, resource_id=caller.principal_id, extra={"how": "oidc"}
        )
        try:
            async with self._database.transaction() as transaction:
                provider = await transaction.fetch_one(store.HOLD_PROVIDER, tenant_id=caller.tenant_id)
                member = await transaction.fetch_one(
                    store.LOCK_MEMBER, tenant_id=caller.tenant_id, member_id=caller.principal_id
                )
                if provider is None or provider.revision != presented.revision:
                    raise refused()
                if member is None or member.subject_id != presented.subject_id:
                    raise refused()
                if member.account not in ({None} if presented.found_by_email else set()) | {presented.account}:
                    raise refused()
                if member.account is None:
                    await transaction.execute(store.BIND_MEMBER, id=caller.principal_id, new_account=presented.account)
                spent = presented.sign_in
                await transaction.execute(store.INSERT_SPENT, token_hash=spent.spent, expire_time=spent.expire_time)
                opened = await self._sessions.insert(
                    transaction,
                    caller,
                    kind=PrincipalKind.MEMBER,
                    principal_id=caller.principal_id,
                    subject_id=caller.subject_id,
                    signature_request_id="",
                    creator_id=caller.principal_id,
                    api_key_id="",
                    permissions=permissions,
                    expire_time=expire_time,
                    idle_us=MEMBER_IDLE,
                    auth_time=spent.auth_time,
                )
                told = {**draft.extra, "opened_session": opened.session.session_id}
                await self._recorder.record(transaction, draft.about(auth="oidc", extra=told))
        except UniqueViolation:  # already used, or the account is another member's
            raise refused() from None
        return opened

    async def _record_refusal(self, row: Row, origin: Origin, why: str) -> None:
        """Records a refused token in the tenant's trail, and only counts those that follow shortly."""
        now = clock.now()
        recorded, since = self._refused.get(row.tenant_id, (0, 0))
        if now - recorded < QUIET:
            self._refused[row.tenant_id] = (recorded, since + 1)
            return
        self._refused[row.tenant_id] = (now, 0)
        self._refused.move_to_end(row.tenant_id)
        if len(self._refused) > KEPT:
            self._refused.popitem(last=False)
        nobody = Caller(
            row.tenant_id,
            "",
            PrincipalKind.MEMBER,
            "",
            await self._keys.tenant_subject(row.tenant_id),
            "",
            row.policy_version,
            lambda _: Scope.NONE,
            origin=origin,
        )
        extra = {"how": "oidc", "why": why, "repeated": since}
        draft = await self._recorder.draft(
            nobody, events.EVENT_TYPE_SIGN_IN_FAILED, resource_id=row.tenant_id, refused=True, extra=extra
        )
        async with self._database.transaction() as transaction:
            await self._recorder.record(transaction, draft.about(auth="oidc"))


def _provider(row: Row) -> Provider:
    return Provider(
        row.issuer, tuple(json.loads(row.audiences)), row.update_time, row.revision, EmailTrust(row.email_trust)
    )


def refused() -> Unauthenticated:
    """The error for an ID token, whatever is wrong with it."""
    return Unauthenticated("The ID token was refused.", reason="ID_TOKEN_REFUSED")
