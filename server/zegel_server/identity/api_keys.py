"""Use cases of API keys.

Invariants:

* A token is shown once, by the call that made it; only its hash and its first characters are stored.
* Revoking a key removes its roles, and the sessions and links made with it, in the same transaction.
* What a narrowed caller creates is narrowed at least as much, whatever permissions its roles gain later.
* After a rotation exactly one token is the key's current one; earlier ones are valid until the overlap ends.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.crypto import TextKey
from zegel_server.db import Database, Reader, Row, Transaction
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import FailedPrecondition, NotFound, ZegelError
from zegel_server.identity import store
from zegel_server.identity.model import TOKEN_SHOWN, narrowing
from zegel_server.identity.row_locks import hold_caller
from zegel_server.ids import API_KEY_PREFIX, hash_token, new_id, new_token
from zegel_server.keys.providers import is_key_away
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import TextKeys, encrypt_texts, text_key, text_keys
from zegel_server.permissions.service import Permissions


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a program authenticates with."""

    api_key_id: str
    name: str
    roles: tuple[str, ...]
    token_prefix: str
    create_time: int
    expire_time: int | None
    revoke_time: int | None
    last_use_time: int | None
    permissions: frozenset[str] = frozenset()
    rotate_time: int | None = None
    previous_expire_time: int | None = None
    previous_use_time: int | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """An API key that has just been given a token.

    Attributes:
        api_key: The key.
        token: The token, shown only now.
    """

    api_key: ApiKey
    token: str = field(repr=False)


class ApiKeys:
    """Use cases of API keys.

    Args:
        database: Where the rows are.
        keys: Makes and opens the tenants' encryption keys.
        permissions: Roles and bindings.
        recorder: Records the events.
    """

    def __init__(self, database: Database, keys: Keys, permissions: Permissions, recorder: Recorder) -> None:
        self._database = database
        self._keys = keys
        self._permissions = permissions
        self._recorder = recorder

    async def create(
        self,
        caller: Caller,
        name: str,
        roles: Collection[str],
        expire_time: int | None,
        permissions: frozenset[str] = frozenset(),
        *,
        keep: Keep[NewToken] = keep_nothing,
    ) -> NewToken:
        """Creates an API key.

        Args:
            caller: Who creates it.
            name: What it is for.
            roles: Roles to grant.
            expire_time: When it expires; ``None`` for never.
            permissions: What to narrow it to; empty for only the caller's own narrowing.
            keep: Stores the result for a retry of the call.

        Raises:
            InvalidArgument: A permission does not exist.
            NotFound: There is no such role.
            PermissionDenied: A role has a permission that the caller does not have (``GRANT_EXCEEDS_GRANTER``).
        """
        self._permissions.check_known(permissions)
        permissions = narrowing(permissions, caller.narrowed)
        names = tuple(sorted(set(roles)))
        subject_id = await self._keys.tenant_subject(caller.tenant_id)
        api_key_id, token = new_id("key"), new_token(API_KEY_PREFIX)
        key = await text_key(self._keys, caller.tenant_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_API_KEY_CREATED, resource_id=api_key_id)

        async with self._database.transaction() as transaction:
            await hold_caller(transaction, caller)
            api_key = await self.insert(
                transaction,
                tenant_id=caller.tenant_id,
                subject_id=subject_id,
                creator_id=caller.principal_id,
                name=name,
                key=key,
                token=token,
                roles=names,
                expire_time=expire_time,
                api_key_id=api_key_id,
                permissions=permissions,
            )
            await self._permissions.bind(transaction, caller, api_key_id, names)
            await self._recorder.record(transaction, draft)
            made = NewToken(api_key, token)
            await keep(transaction, made)
        return made

    async def renew_unused(self, caller: Caller, tenant_id: str, api_key_id: str, rotated: int = 0) -> str:
        """Replaces a key's token if it was never used, for a caller who did not receive the first answer.

        Args:
            caller: Who created or rotated the key.
            tenant_id: The key's tenant.
            api_key_id: Which key.
            rotated: The time of the rotation that issued the lost token; 0 if the key's creation issued it.

        Returns:
            The new token; empty if the lost one was used, or the key was revoked or rotated since.

        Raises:
            PermissionDenied: The key may do something that the caller no longer may (``GRANT_EXCEEDS_GRANTER``).
        """
        token = new_token(API_KEY_PREFIX)
        kind = events.EVENT_TYPE_API_KEY_ROTATED if rotated else events.EVENT_TYPE_API_KEY_CREATED
        if rotated:
            await self._reached(caller, api_key_id, "api_key.rotate")
        draft = await self._recorder.draft(caller, kind, resource_id=api_key_id, extra={"renewed": True})
        async with self._database.transaction() as transaction:
            await hold_caller(transaction, caller)
            renewed = await transaction.execute(
                store.RENEW_UNUSED_KEY,
                tenant=tenant_id,
                id=api_key_id,
                rotated=rotated,
                new_token_hash=hash_token(token),
                new_token_prefix=token[:TOKEN_SHOWN],
            )
            if not renewed:
                return ""
            await self._recorder.record(transaction, draft)
        return token

    async def list(self, caller: Caller, page: PageRequest) -> Page[ApiKey]:
        """A page of API keys, oldest first.

        Args:
            caller: Who asks.
            page: Which page.
        """
        rows = await self._database.fetch(
            store.API_KEYS,
            tenant_id=caller.tenant_id,
            creator_id=caller.owner_filter("api_key.read"),
            after=page.start("")[0],
            limit=page.rows,
        )
        found = page.cut(rows, "api_key_id")
        keys = await text_keys(self._keys, caller.tenant_id, found.items)
        return found.holding([await self._api_key(row, _name(keys, row)) for row in found.items])

    async def rotate(
        self,
        caller: Caller,
        api_key_id: str,
        overlap_us: int,
        *,
        keep: Keep[NewToken] = keep_nothing,
    ) -> NewToken:
        """Gives an API key a new token.

        Args:
            caller: Who rotates it.
            api_key_id: The API key.
            overlap_us: How long the previous token stays valid, in microseconds.
            keep: Stores the result for a retry of the call.

        Raises:
            FailedPrecondition: The key was revoked or has expired.
            NotFound: There is no such key, or the caller may not rotate it.
            PermissionDenied: The key may do something that the caller may not (``GRANT_EXCEEDS_GRANTER``).
        """
        row = await self._reached(caller, api_key_id, "api_key.rotate")
        name = _name(await text_keys(self._keys, caller.tenant_id, [row]), row)  # which never changes
        token = new_token(API_KEY_PREFIX)
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_API_KEY_ROTATED,
            resource_id=api_key_id,
            extra={"overlap_s": overlap_us // clock.SECOND},
        )
        async with self._database.transaction() as transaction:
            # Locks keys in a fixed order and before sessions, as a revocation does, so that no deadlock arises.
            own = caller.session_id if caller.kind is PrincipalKind.API_KEY else api_key_id
            rows = {
                each: await transaction.fetch_one(store.LOCK_API_KEY, tenant_id=caller.tenant_id, api_key_id=each)
                for each in sorted({own, api_key_id})
            }
            await hold_caller(transaction, caller)
            made = NewToken(await self._rotate(transaction, rows[api_key_id], name, token, overlap_us), token)
            await self._recorder.record(transaction, draft)
            await keep(transaction, made)
        return made

    async def _rotate(self, transaction: Transaction, row: Row, name: str, token: str, overlap_us: int) -> ApiKey:
        now = clock.now()
        if row.revoke_time is not None:
            raise FailedPrecondition("The API key was revoked.", state="REVOKED")
        if row.expire_time is not None and row.expire_time <= now:
            raise FailedPrecondition("The API key has expired.", state="EXPIRED")
        until = now + overlap_us
        await transaction.execute(store.SHORTEN_RETIRED, id=row.api_key_id, until=until)
        await transaction.execute(
            store.INSERT_RETIRED, token_hash=row.token_hash, api_key_id=row.api_key_id, expire_time=until
        )
        previous_use = row.last_use_time or row.previous_use_time
        await transaction.execute(
            store.ROTATE_API_KEY,
            id=row.api_key_id,
            new_token_hash=hash_token(token),
            new_token_prefix=token[:TOKEN_SHOWN],
            now=now,
            until=until,
            previous_use=previous_use,
        )
        return replace(
            await self._api_key(row, name, transaction),
            token_prefix=token[:TOKEN_SHOWN],
            rotate_time=now,
            previous_expire_time=until,
            previous_use_time=previous_use,
        )

    async def _reached(self, caller: Caller, api_key_id: str, permission: str) -> Row:
        """The row of a key that the caller may act on and that may do no more than the caller."""
        row = await self._found(caller, api_key_id, permission)
        # Whoever receives the token can act as the key.
        await self._permissions.check_not_above(caller, api_key_id, frozenset(row.permissions.split()))
        return row

    async def _found(self, caller: Caller, api_key_id: str, permission: str) -> Row:
        row = await self._database.fetch_one(
            store.REACHED_API_KEY,
            tenant_id=caller.tenant_id,
            api_key_id=api_key_id,
            only=caller.owner_filter(permission),
        )
        if row is None:
            raise NotFound("api_key")
        return row

    async def revoke(self, caller: Caller, api_key_id: str) -> ApiKey:
        """Revokes an API key, its roles, and every session made with it; does nothing if it was already revoked.

        It does so even without the tenant's key; the answer then lacks the API key's name.

        Args:
            caller: Who revokes it.
            api_key_id: The API key.

        Raises:
            FailedPrecondition: It is the last owner (``LAST_OWNER``).
            NotFound: There is no such key, or the caller may not revoke it.
        """
        row = await self._found(caller, api_key_id, "api_key.revoke")
        if row.revoke_time is None:
            draft = await self._recorder.draft(caller, events.EVENT_TYPE_API_KEY_REVOKED, resource_id=api_key_id)
            now = clock.now()
            async with self._database.transaction() as transaction:
                if await transaction.execute(store.REVOKE_API_KEY, tenant=caller.tenant_id, id=api_key_id, now=now):
                    await self._permissions.unbind_all(transaction, caller.tenant_id, api_key_id)
                    await transaction.execute(store.REVOKE_SESSIONS_OF_KEY, id=api_key_id, now=now)
                    await transaction.execute(store.REVOKE_LINKS_OF_KEY, id=api_key_id, now=now)
                    await self._recorder.record(transaction, draft)
            row = await self._database.fetch_one(store.API_KEY, tenant_id=caller.tenant_id, api_key_id=api_key_id)
        try:
            name = _name(await text_keys(self._keys, caller.tenant_id, [row]), row)
        except ZegelError as error:
            if not is_key_away(error):
                raise
            name = ""
        return await self._api_key(row, name)

    async def insert(
        self,
        transaction: Transaction,
        *,
        tenant_id: str,
        subject_id: str,
        creator_id: str,
        name: str,
        key: TextKey,
        token: str,
        roles: tuple[str, ...],
        expire_time: int | None,
        api_key_id: str = "",
        permissions: frozenset[str] = frozenset(),
    ) -> ApiKey:
        """Stores a key inside another use case's transaction; without roles yet.

        Args:
            transaction: That use case's transaction.
            tenant_id: The key's tenant.
            subject_id: The subject whose personal data the origin of its calls is.
            creator_id: Who creates it.
            name: What it is for.
            key: Encrypts its name.
            token: Its token.
            roles: Names of the roles that it will have, for the answer.
            expire_time: When it expires.
            api_key_id: Its identifier, if it is fixed beforehand.
            permissions: What it is narrowed to; empty for no narrowing.
        """
        api_key = ApiKey(
            api_key_id or new_id("key"),
            name,
            roles,
            token[:TOKEN_SHOWN],
            clock.now(),
            expire_time,
            None,
            None,
            permissions,
        )
        await self._keys.hold(transaction, tenant_id, key.key_version)
        await transaction.execute(
            store.INSERT_API_KEY,
            api_key_id=api_key.api_key_id,
            tenant_id=tenant_id,
            subject_id=subject_id,
            texts=encrypt_texts(key, {"name": name}, "api_key", api_key.api_key_id),
            texts_key_version=key.key_version,
            token_hash=hash_token(token),
            token_prefix=api_key.token_prefix,
            creator_id=creator_id,
            create_time=api_key.create_time,
            expire_time=expire_time,
            revoke_time=None,
            last_use_time=None,
            permissions=" ".join(sorted(permissions)),
            rotate_time=None,
            previous_expire_time=None,
            previous_use_time=None,
        )
        return api_key

    async def _api_key(self, row: Row, name: str, reader: Reader | None = None) -> ApiKey:
        bindings = await self._permissions.bindings_of(reader or self._database, row.tenant_id, row.api_key_id)
        return ApiKey(
            row.api_key_id,
            name,
            tuple(binding.role for binding in bindings),
            row.token_prefix,
            row.create_time,
            row.expire_time,
            row.revoke_time,
            row.last_use_time or row.previous_use_time,
            frozenset(row.permissions.split()),
            row.rotate_time,
            row.previous_expire_time,
            row.previous_use_time,
        )


def _name(keys: TextKeys, row: Row) -> str:
    return str(keys.read(row, "api_key", row.api_key_id).get("name", ""))
