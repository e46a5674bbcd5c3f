"""Tenant keys, DEKs and the keys of people, stored as rows.

Root key (at its provider) -> tenant key -> one DEK for each document version, and one key for each subject: a person
within a tenant, known by mail address, or the tenant itself. Personal data is stored in the database only encrypted
under its subject's key; a person is found again by a keyed hash of the address. What else people type: see ``texts``.

Invariants:

* A key leaves here only after its commitment was checked (see ``crypto.commitment``).
* New keys are wrapped under a tenant key that still exists when their row commits: ``hold`` ensures that.
* Unwrapped keys stay in memory in bounded caches (a key never changes under its identifier), and for a bounded time:
  then a tenant's own key provider is asked again, so that withdrawing the key there takes effect.
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
    TextKey,
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
from zegel_server.keys.cache import CACHED_KEYS, MAX_AGE_S, KeyCache, SingleFlight
from zegel_server.keys.providers import provider_of
from zegel_server.keys.subjects import new_subject

_INDEX_LABEL: Final = b"zegel/email-index/v1"


@dataclass(frozen=True, slots=True)
class StoredDek:
    """A DEK as its row stores it.

    Attributes:
        key_version: Version of the tenant key that wraps it.
        wrapped_key: 40 bytes; ``None`` once it has been destroyed.
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
    """The key rows of a tenant that is about to be created.

    Attributes:
        subject_id: Identifier of the subject that stands for the tenant itself.
        tenant_key: Row of its first tenant key.
        subject: Row of the subject.
        text_key: Encrypts what the tenant's people type.
    """

    subject_id: str
    tenant_key: Mapping[str, Any] = field(repr=False)
    subject: Mapping[str, Any] = field(repr=False)
    text_key: TextKey = field(repr=False)


class Keys:
    """Makes, opens and destroys keys.

    Args:
        database: Where their rows are.
        root_keys: The provider that wraps the tenant keys.
        max_age_s: Seconds after which a key in memory is looked up again: the longest that a tenant waits for the
            withdrawal of its own key to take effect.
    """

    encrypt_personal = staticmethod(personal.encrypt_personal)
    decrypt_personal = staticmethod(personal.decrypt_personal)

    def __init__(self, database: Database, root_keys: RootKeys, *, max_age_s: float = MAX_AGE_S) -> None:
        self._database = database
        self._root_keys = root_keys
        self._hierarchy = KeyHierarchy(root_keys)
        self._tenant_keys = KeyCache[TenantKey](CACHED_KEYS, max_age_s)
        self._unwrapping = SingleFlight[TenantKey]()
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
        tenant_key, wrapped = await self._hierarchy.new_tenant_key(_tenant_key_id(tenant_id, 1), tenant_id)
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
        return FoundedTenant(subject_id, row, subject_row, TextKey(1, tenant_key))

    async def store_tenant(self, transaction: Transaction, founded: FoundedTenant) -> None:
        """Stores the keys of a new tenant.

        Args:
            transaction: The one that creates it.
            founded: What ``found_tenant`` made.
        """
        await transaction.execute(store.INSERT_TENANT_KEY, **founded.tenant_key)
        await transaction.execute(store.INSERT_SUBJECT, **founded.subject)

    async def pseudonym(self, tenant_id: str) -> str:
        """The tenant's pseudonym, which stands for it in the audit log's leaves; it never changes.

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
            key_version: Which version; if left out, the newest in the database at this moment.

        Raises:
            KeyDestroyed: Its root key was destroyed.
            RootKeyGone: The tenant's own key provider no longer has its root key.
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
            # A key of the installation's own provider is withdrawn only by deleting its row, and the row exists.
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
        """Makes sure that a tenant key exists until the transaction ends, so that new keys can be wrapped under it.

        Args:
            transaction: The one that stores keys wrapped under it.
            tenant_id: Whose it is.
            key_version: Its version.

        Raises:
            Aborted: It has been destroyed since; start over.
        """
        row = await transaction.fetch_one(store.HOLD_TENANT_KEY, tenant_id=tenant_id, key_version=key_version)
        if row is None:
            raise Aborted("The tenant's key was changed at the same time; try again.", reason="ETAG_MISMATCH")

    # --------------------------------------------------------------------------------------------------- DEKs

    async def new_dek(self, tenant_id: str, key_id: str) -> tuple[bytes, StoredDek]:
        """Makes a DEK; its row must be stored in a transaction that has called ``hold`` for the tenant key.

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
        """Wraps a DEK that a client made; as with ``new_dek``, its row must be stored under ``hold``.

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
            stored: The DEK as its row stores it; it must not have been destroyed.

        Raises:
            DataLoss: What is stored is damaged, or was swapped for another key.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        if stored.wrapped_key is None:
            raise DataLoss("A destroyed key was asked for.")
        _, tenant_key = await self.tenant_key(tenant_id, stored.key_version)
        return _open(tenant_key, key_id, stored.wrapped_key, stored.commitment).key

    # ----------------------------------------------------------------------------------------------- subjects

    async def subject(self, tenant_id: str, email: str) -> Subject:
        """The subject with a mail address, created if there is none yet.

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
        """The subject with a mail address, or ``None`` if there is none or it was forgotten.

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
                    # A forgotten person stays forgotten: the same address later becomes a new subject.
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
        """The subject that stands for the tenant itself.

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

    async def subject_key(self, subject_id: str, row: Row | None = None) -> bytes | None:
        """The key of a subject's personal data; ``None`` once it was destroyed.

        Args:
            subject_id: Whose.
            row: Has the key's columns in the subject's row, if they were read just now; they are never remembered.
        """
        # Read every time: another process may have destroyed the key, and a cached copy must not outlive it.
        row = row or await self._database.fetch_one(store.SUBJECT, subject_id=subject_id)
        if row is None or row.wrapped_key is None:
            self._subject_keys.drop(subject_id)
            return None
        return await self._open_subject(row)

    async def destroy_subject(self, transaction: Transaction, subject_id: str) -> None:
        """Destroys the key of a subject's personal data: nobody can read the data any more, or prove whose it was.

        Args:
            transaction: The open transaction.
            subject_id: Whose.
        """
        await transaction.execute(store.DESTROY_SUBJECT, subject_id=subject_id)
        transaction.after_commit(lambda: self._subject_keys.drop(subject_id))

    async def _open_subject(self, row: Row) -> bytes:
        known = self._subject_keys.fresh(row.subject_id)
        if known is None:
            self._subject_keys.drop(row.subject_id)
            _, tenant_key = await self.tenant_key(row.tenant_id, row.key_version)
            known = _open(tenant_key, row.subject_id, row.wrapped_key, row.commitment).key
            self._subject_keys.put(row.subject_id, known, like=self._tenant_keys, whose=tenant_key.key_id)
        return known

    async def keyed_hash(self, tenant_id: str, label: bytes, data: bytes) -> bytes:
        """A keyed hash that recognises data again within a tenant; nobody can compute it without the tenant's key.

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
        """The key of the tenant itself as a subject: what derives from it is lost when the tenant's keys are destroyed.

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
