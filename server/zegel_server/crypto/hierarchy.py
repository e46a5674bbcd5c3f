"""The key hierarchy: root key -> tenant key -> one data encryption key (DEK) per document version.

Everything here is computation: callers handle the rows, and functions take and return plain values.

Two operations look alike but differ:

* **Rotation** wraps the same keys again. `KeyHierarchy.rewrap_tenant_key` puts a tenant key under the newest root key;
  an old copy of the database stays readable for as long as the old root key exists.
* **Erasure** that also reaches earlier copies of the database: create a root key for the tenant, make a new tenant key
  under it, `rewrap_dek` every DEK that is kept, then destroy the old root key. A wrapped DEK that was left behind, in
  the database or in any copy of it, now needs a key that no longer exists. Rewrapping the old tenant key would not
  suffice: it opens the DEKs in an old copy.

Invariants:

* Neither rewrites the ciphertext of a document.
* A key is returned only after its commitment was checked, so one row's key is never accepted as another's.
* Unwrapped keys are left out of a ``repr``.
"""

import secrets
from dataclasses import dataclass, field, replace

from zegel_server.crypto.commitment import check_commitment, commit
from zegel_server.crypto.root_keys import DEFAULT_PURPOSE, RootKeys, WrappedKey
from zegel_server.crypto.wrapping import KEY_SIZE, unwrap_key, wrap_key
from zegel_server.errors import DataLoss

__all__ = [
    "Dek",
    "KeyHierarchy",
    "TenantKey",
    "WrappedDek",
    "WrappedTenantKey",
    "new_dek",
    "rewrap_dek",
    "unwrap_dek",
]


@dataclass(frozen=True, slots=True)
class TenantKey:
    """A tenant key in the clear; keep it in memory only.

    Attributes:
        key_id: Its identifier.
        key: 32 bytes.
    """

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedTenantKey:
    """A tenant key as it is stored.

    Attributes:
        key_id: Its identifier.
        wrapped: The key, wrapped with a root key.
        commitment: 32 bytes, see `commitment`.
    """

    key_id: str
    wrapped: WrappedKey
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Dek:
    """A data encryption key in the clear; keep it in memory only.

    Attributes:
        key_id: Its identifier.
        key: 32 bytes.
    """

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedDek:
    """A data encryption key as it is stored.

    Attributes:
        key_id: Its identifier, specific to one document version, so that the commitment binds the key to it.
        tenant_key_id: The tenant key that opens it.
        blob: The wrapped key, 40 bytes.
        commitment: 32 bytes, see `commitment`.
    """

    key_id: str
    tenant_key_id: str
    blob: bytes = field(repr=False)
    commitment: bytes


class KeyHierarchy:
    """Creates and unwraps tenant keys.

    Args:
        root_keys: The provider that wraps them.
    """

    def __init__(self, root_keys: RootKeys) -> None:
        self._root_keys = root_keys

    async def new_tenant_key(self, key_id: str, purpose: str = DEFAULT_PURPOSE) -> tuple[TenantKey, WrappedTenantKey]:
        """Create a tenant key, wrapped with the primary root key of a purpose.

        Args:
            key_id: Its identifier, never used before.
            purpose: The purpose; a tenant's identifier gives it its own root keys.

        Raises:
            NoRootKey: The purpose has no root key.
            Unavailable: The provider does not answer.
        """
        key = secrets.token_bytes(KEY_SIZE)
        wrapped = await self._root_keys.wrap(key, purpose)
        return TenantKey(key_id, key), WrappedTenantKey(key_id, wrapped, commit(key, key_id))

    async def unwrap_tenant_key(self, stored: WrappedTenantKey) -> TenantKey:
        """Unwrap a tenant key.

        Raises:
            KeyDestroyed: Its root key was destroyed.
            DataLoss: What is stored was damaged or swapped, or its root key is unknown.
            Unavailable: The provider does not answer.
        """
        key = await self._root_keys.unwrap(stored.wrapped)
        check_commitment(key, stored.key_id, stored.commitment)
        return TenantKey(stored.key_id, key)

    async def rewrap_tenant_key(self, stored: WrappedTenantKey, purpose: str = DEFAULT_PURPOSE) -> WrappedTenantKey:
        """Rewrap a tenant key with the purpose's primary root key. No DEK and no document changes.

        Raises:
            NoRootKey: The purpose has no root key.
            KeyDestroyed: The root key that wraps it now was destroyed.
            DataLoss: What is stored was damaged or swapped, or its root key is unknown.
            Unavailable: The provider does not answer.
        """
        tenant_key = await self.unwrap_tenant_key(stored)
        return replace(stored, wrapped=await self._root_keys.wrap(tenant_key.key, purpose))


def new_dek(tenant_key: TenantKey, key_id: str) -> tuple[Dek, WrappedDek]:
    """Create a data encryption key with the system's random generator.

    Args:
        tenant_key: The key that wraps it.
        key_id: Its identifier, never used before: the document version's.
    """
    dek = Dek(key_id, secrets.token_bytes(KEY_SIZE))
    return dek, wrap_dek(tenant_key, dek)


def unwrap_dek(tenant_key: TenantKey, stored: WrappedDek) -> Dek:
    """Unwrap a data encryption key.

    Raises:
        DataLoss: What is stored was damaged or swapped, or belongs to another tenant key.
    """
    if stored.tenant_key_id != tenant_key.key_id:
        raise DataLoss("A stored key belongs to another tenant key.")
    key = unwrap_key(tenant_key.key, stored.blob)
    check_commitment(key, stored.key_id, stored.commitment)
    return Dek(stored.key_id, key)


def rewrap_dek(tenant_key: TenantKey, new_tenant_key: TenantKey, stored: WrappedDek) -> WrappedDek:
    """Rewrap a data encryption key with another tenant key. The document does not change.

    Raises:
        DataLoss: What is stored was damaged or swapped, or belongs to another tenant key.
    """
    dek = unwrap_dek(tenant_key, stored)
    return replace(stored, tenant_key_id=new_tenant_key.key_id, blob=wrap_key(new_tenant_key.key, dek.key))


def wrap_dek(tenant_key: TenantKey, dek: Dek) -> WrappedDek:
    """Wrap a data encryption key that somebody else made.

    Args:
        tenant_key: The key that wraps it.
        dek: The key.
    """
    return WrappedDek(dek.key_id, tenant_key.key_id, wrap_key(tenant_key.key, dek.key), commit(dek.key, dek.key_id))
