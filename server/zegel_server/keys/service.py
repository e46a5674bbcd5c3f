"""Tenant keys, DEKs and the keys of persons, as rows.

Root key (its provider's) -> tenant key -> one DEK a document version, and one key a subject: a person within a tenant,
known by mail address, or the tenant itself. What is personal stands in the database only encrypted under its subject's
key; a person is found again by a keyed hash of the address.

Invariants:

* A key leaves here only after its commitment was checked (see ``crypto.commitment``).
* New keys are wrapped under a tenant key that still stands when their row commits: ``hold`` sees to that.
* Plain keys stay in memory, in bounded caches of what cannot change under its identifier, and for a bounded time: then
  a tenant that brings its own key provider is asked again, so that taking its key away takes effect.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from zegel_server import clock
from zegel_server.crypto import (
    Dek,
    KeyHierarchy,
    RootKeys,
    TenantKey,
    WrappedDek,
    WrappedKey,
    WrappedTenantKey,
    new_dek,
    unwrap_dek,
    wrap_dek,
)
from zegel_server.db import Database, Row, Transaction, UniqueViolation
from zegel_server.errors import Aborted, DataLoss
from zegel_server.ids import new_id
from zegel_server.keys import personal, store
from zegel_server.keys.cache import CACHED_KEYS, MAX_AGE_S, KeyCache, Together
from zegel_server.keys.providers import provider_of
from zegel_server.keys.subjects import new_subject

_INDEX_LABEL: Final = b"zegel/email-index/v1"


@dataclass(frozen=True, slots=True)
class StoredDek:
    """A DEK as its row keeps it.

    Attributes:
        key_version: Version of the tenant key that wraps it.
        wrapped_key: 40 bytes; ``None`` once it was destroyed.
        commitment: 32 bytes.
    """

    key_version: int
    wrapped_key: bytes | None = field(repr=False)
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """A person within a tenant.

    Attributes:
        subject_id: Identifier.
        key: The key of its personal data, 32 bytes.
    """

    subject_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundedTenant:
    """The key rows of a tenant to be.

    Attributes:
        subject_id: The tenant as a subject itself.
        tenant_key: Row of its first tenant key.
        subject: Row of the subject.
    """

    subject_id: str
    tenant_key: Mapping[str, Any] = field(repr=False)
    subject: Mapping[str, Any] = field(repr=False)


class Keys:
    """Makes, opens and destroys keys.

    Args:
        database: Where their rows are.
        root_keys: The provider above them.
        max_age_s: Seconds after which a key in memory is looked up again: what a tenant that takes its own key away
            waits at most.
    """

    encrypt_personal = staticmethod(personal.encrypt_personal)
    decrypt_personal = staticmethod(personal.decrypt_personal)

    def __init__(self, database: Database, root_keys: RootKeys, *, max_age_s: float = MAX_AGE_S) -> None:
        self._database = database
        self._root_keys = root_keys
        self._hierarchy = KeyHierarchy(root_keys)
        self._tenant_keys = KeyCache[TenantKey](CACHED_KEYS, max_age_s)
        self._unwrapping = Together[TenantKey]()
        self._subject_keys = KeyCache[bytes](CACHED_KEYS, max_age_s)
        self._pseudonyms = KeyCache[str](CACHED_KEYS)
        self._tenant_subjects = KeyCache[str](CACHED_KEYS)

    # ------------------------------------------------------------------------------------------------ tenants

    async def found_tenant(self, tenant_id: str) -> FoundedTenant:
        """Makes the keys of a new tenant, before the transaction that creates it.

        Args:
            tenant_id: Its identifier.

        Raises:
            Unavailable: The key provider does not answer.
        """
        await self._root_keys.ensure(tenant_id)
        key_id = _tenant_key_id(tenant_id, 1)
        tenant_key, wrapped = await self._hierarchy.new_tenant_key(key_id, tenant_id)
        subject_id = new_id("sub")
        _, subject_row = new_subject(tenant_key, tenant_id, subject_id, b"")
        row = {
            "tenant_id": tenant_id,
            "key_version": 1,
            "root_key_id": wrapped.wrapped.root_key_id,
            "wrapped_key": wrapped.wrapped.blob,
            "commitment": wrapped.commitment,
            "create_time": clock.now(),
        }
        return FoundedTenant(subject_id, row, subject_row)

    async def store_tenant(self, transaction: Transaction, founded: FoundedTenant) -> None:
        """Stores the keys of a new tenant.

        Args:
            transaction: The one that creates it.
            founded: What ``found_tenant`` made.
        """
        await transaction.execute(store.INSERT_TENANT_KEY, **founded.tenant_key)
        await transaction.execute(store.INSERT_SUBJECT, **founded.subject)

    async def pseudonym(self, tenant_id: str) -> str:
        """The tenant's pseudonym, as leaves of the audit log have it; it never changes.

        Args:
            tenant_id: Its identifier.
        """
        known = self._pseudonyms.fresh(tenant_id)
        if known is None:
            row = await self._database.fetch_one(store.PSEUDONYM, tenant_id=tenant_id)
            if row is None:
                raise DataLoss("A tenant's row is missing.")
            known = str(row.pseudonym)
            self._pseudonyms.put(tenant_id, known)
        return known

    async def tenant_key(self, tenant_id: str, key_version: int | None = None) -> tuple[int, TenantKey]:
        """A tenant key in the clear.

        Args:
            tenant_id: Whose.
            key_version: Which version; the newest where left out, as the database has it at this moment.

        Raises:
            KeyDestroyed: Its root key was destroyed.
            RootKeyGone: The tenant's own key provider does not have its root key any more.
            DataLoss: There is no such key, or it is damaged.
            Unavailable: The key provider does not answer.
        """
        if key_version is not None:
            known = self._tenant_keys.fresh(_tenant_key_id(tenant_id, key_version))
            if known is not None:
                return key_version, known
            row = await self._database.fetch_one(store.TENANT_KEY, tenant_id=tenant_id, key_version=key_version)
        else:
            row = await self._database.fetch_one(store.NEWEST_TENANT_KEY, tenant_id=tenant_id)
        if row is None:
            raise DataLoss("A tenant key's row is missing.")
        key_id = _tenant_key_id(tenant_id, row.key_version)
        known = self._tenant_keys.fresh(key_id)
        if known is None and not provider_of(row.root_key_id):
            # The installation's own provider takes keys away by their rows alone, and this one is there.
            known = self._tenant_keys.stale(key_id)
            if known is not None:
                self._tenant_keys.put(key_id, known)
        if known is None:
            self._tenant_keys.drop(key_id)
            wrapped = WrappedTenantKey(key_id, WrappedKey(row.root_key_id, row.wrapped_key), row.commitment)
            known = await self._unwrapping.ask(wrapped, lambda: self._hierarchy.unwrap_tenant_key(wrapped))
            self._tenant_keys.put(key_id, known)
        return int(row.key_version), known

    async def hold(self, transaction: Transaction, tenant_id: str, key_version: int) -> None:
        """Makes sure that a tenant key still stands, until the transaction ends: new keys wrapped under it are safe.

        Args:
            transaction: The one that stores keys wrapped under it.
            tenant_id: Whose it is.
            key_version: Its version.

        Raises:
            Aborted: It was destroyed since; begin again.
        """
        row = await transaction.fetch_one(store.HOLD_TENANT_KEY, tenant_id=tenant_id, key_version=key_version)
        if row is None:
            raise Aborted("The tenant's key was changed at the same time; try again.", reason="ETAG_MISMATCH")

    # --------------------------------------------------------------------------------------------------- DEKs

    async def new_dek(self, tenant_id: str, key_id: str) -> tuple[bytes, StoredDek]:
        """Makes a DEK; its row must be stored in a transaction that ``hold``s the tenant key.

        Args:
            tenant_id: Whose document it is for.
            key_id: Which document version it is for: the commitment binds the key to it.

        Raises:
            Unavailable: The key provider does not answer.
        """
        version, tenant_key = await self.tenant_key(tenant_id)
        dek, wrapped = new_dek(tenant_key, key_id)
        return dek.key, StoredDek(version, wrapped.blob, wrapped.commitment)

    async def wrap_dek(self, tenant_id: str, key_id: str, key: bytes) -> StoredDek:
        """Wraps a DEK that a client made; as of ``new_dek``, its row must be stored while the tenant key is held.

        Args:
            tenant_id: Whose document it is for.
            key_id: Which document version it is for: the commitment binds the key to it.
            key: 32 bytes.

        Raises:
            Unavailable: The key provider does not answer.
        """
        version, tenant_key = await self.tenant_key(tenant_id)
        wrapped = wrap_dek(tenant_key, Dek(key_id, key))
        return StoredDek(version, wrapped.blob, wrapped.commitment)

    async def open_dek(self, tenant_id: str, key_id: str, stored: StoredDek) -> bytes:
        """Opens a DEK.

        Args:
            tenant_id: Whose document it is for.
            key_id: Which document version it is for.
            stored: As its row has it; its key is not destroyed.

        Raises:
            DataLoss: What is stored is damaged, or was swapped.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        if stored.wrapped_key is None:
            raise DataLoss("A key that was destroyed was asked for.")
        _, tenant_key = await self.tenant_key(tenant_id, stored.key_version)
        return _open(tenant_key, key_id, stored.wrapped_key, stored.commitment).key

    # ----------------------------------------------------------------------------------------------- subjects

    async def subject(self, tenant_id: str, email: str) -> Subject:
        """The subject with a mail address, made where there is none yet.

        Args:
            tenant_id: Within which tenant.
            email: The address; upper and lower case are the same.

        Raises:
            Unavailable: The key provider does not answer.
        """
        index = await self._email_index(tenant_id, email)
        row = await self._database.fetch_one(store.SUBJECT_BY_INDEX, tenant_id=tenant_id, email_index=index)
        if row is None or row.wrapped_key is None:
            return await self._make_subject(tenant_id, index, row)
        return Subject(row.subject_id, await self._open_subject(row))

    async def known_subject(self, tenant_id: str, email: str) -> str | None:
        """The subject with a mail address, if there is one who is not forgotten.

        Args:
            tenant_id: Within which tenant.
            email: The address; upper and lower case are the same.
        """
        index = await self._email_index(tenant_id, email)
        row = await self._database.fetch_one(store.SUBJECT_BY_INDEX, tenant_id=tenant_id, email_index=index)
        return None if row is None or row.wrapped_key is None else str(row.subject_id)

    async def _make_subject(self, tenant_id: str, index: bytes, forgotten: Row | None) -> Subject:
        version, tenant_key = await self.tenant_key(tenant_id)
        subject_id = new_id("sub")
        key, values = new_subject(tenant_key, tenant_id, subject_id, index)
        try:
            async with self._database.transaction() as transaction:
                await self.hold(transaction, tenant_id, version)
                if forgotten is not None:
                    # Forgotten for good: whoever comes back under the address is somebody new to us.
                    await transaction.execute(
                        store.RELEASE_INDEX, subject_id=forgotten.subject_id, email_index=forgotten.subject_id.encode()
                    )
                await transaction.execute(store.INSERT_SUBJECT, **values)
        except UniqueViolation:
            row = await self._database.fetch_one(store.SUBJECT_BY_INDEX, tenant_id=tenant_id, email_index=index)
            if row is None:
                raise Aborted("The same person was added and removed at the same time; try again.") from None
            return Subject(row.subject_id, await self._open_subject(row))
        return Subject(subject_id, key)

    async def tenant_subject(self, tenant_id: str) -> str:
        """The subject that the tenant itself is.

        Args:
            tenant_id: Its identifier.
        """
        known = self._tenant_subjects.fresh(tenant_id)
        if known is None:
            row = await self._database.fetch_one(store.SUBJECT_BY_INDEX, tenant_id=tenant_id, email_index=b"")
            if row is None:
                raise DataLoss("A tenant's subject is missing.")
            known = str(row.subject_id)
            self._tenant_subjects.put(tenant_id, known)
        return known

    async def subject_key(self, subject_id: str) -> bytes | None:
        """The key of a subject's personal data; ``None`` once it was destroyed.

        Args:
            subject_id: Whose.
        """
        # The row every time: another process may have destroyed the key, and then no cache must still have it.
        row = await self._database.fetch_one(store.SUBJECT, subject_id=subject_id)
        if row is None or row.wrapped_key is None:
            self._subject_keys.drop(subject_id)
            return None
        return await self._open_subject(row)

    async def destroy_subject(self, transaction: Transaction, subject_id: str) -> None:
        """Destroys the key of a subject's personal data: nobody can read it any more, nor show that it was theirs.

        Args:
            transaction: Under way.
            subject_id: Whose.
        """
        await transaction.execute(store.DESTROY_SUBJECT, subject_id=subject_id)

        def forget() -> None:
            self._subject_keys.drop(subject_id)

        transaction.after_commit(forget)

    async def _open_subject(self, row: Row) -> bytes:
        known = self._subject_keys.fresh(row.subject_id)
        if known is None:
            self._subject_keys.drop(row.subject_id)
            _, tenant_key = await self.tenant_key(row.tenant_id, row.key_version)
            known = _open(tenant_key, row.subject_id, row.wrapped_key, row.commitment).key
            self._subject_keys.put(row.subject_id, known, like=self._tenant_keys, whose=tenant_key.key_id)
        return known

    async def keyed_hash(self, tenant_id: str, label: bytes, data: bytes) -> bytes:
        """A hash by which data is known again within a tenant, and by nobody without the tenant's key.

        Args:
            tenant_id: Within which tenant.
            label: What it is for: hashes of one purpose are never those of another.
            data: The data.

        Returns:
            HMAC-SHA-256 under a key of the purpose, 32 bytes.
        """
        own = await self.own_key(tenant_id)
        return hmac.digest(hmac.digest(own, label, "sha256"), data, "sha256")

    async def own_key(self, tenant_id: str) -> bytes:
        """The key of the tenant itself as a subject: what is derived from it goes when the tenant's keys go.

        Args:
            tenant_id: Whose.

        Raises:
            DataLoss: It is missing.
            Unavailable: The key provider does not answer.
        """
        own = await self.subject_key(await self.tenant_subject(tenant_id))
        if own is None:
            raise DataLoss("A tenant's own key is missing.")
        return own

    async def _email_index(self, tenant_id: str, email: str) -> bytes:
        return await self.keyed_hash(tenant_id, _INDEX_LABEL, email.strip().casefold().encode())


def _tenant_key_id(tenant_id: str, key_version: int) -> str:
    return f"{tenant_id}/{key_version}"


def _open(tenant_key: TenantKey, key_id: str, blob: bytes, commitment: bytes) -> Dek:
    return unwrap_dek(tenant_key, WrappedDek(key_id, tenant_key.key_id, blob, commitment))
