"""Root keys: what every provider of them guarantees.

A provider has many root keys at once. Each has a purpose, such as a tenant or the installation as a whole. The newest
root key of a purpose that is not destroyed is its primary, which wraps new keys; all that are not destroyed unwrap.

Invariants:

* Root keys are never in the database. Destroying one is final for everything wrapped with it, including in earlier
  copies of the database.
* An identifier is never used twice, and orders root keys by age.
* A destroyed root key differs from one that never existed: the former is gone on purpose, the latter is a data loss.
"""

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable

__all__ = [
    "DEFAULT_PURPOSE",
    "KeyDestroyed",
    "NoRootKey",
    "RootKeyInfo",
    "RootKeys",
    "UnknownRootKey",
    "WrappedKey",
    "check_purpose",
    "created_at",
    "infos_of",
    "new_root_key_id",
    "primary_of",
    "provider_unavailable",
    "unknown_root_key",
]

DEFAULT_PURPOSE: Final = "default"
"""The purpose of the installation's own root keys."""

_PURPOSE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ID: Final = re.compile(r"rk-([0-9a-f]{12})-[0-9a-f]{20}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_RANDOM_BYTES: Final = 10


class KeyDestroyed(FailedPrecondition):
    """The root key was destroyed, and what it wrapped is lost for good."""

    default_reason = "DOCUMENT_DESTROYED"

    def __init__(self) -> None:
        super().__init__("The key was destroyed; what it protected cannot be read any more.")


class NoRootKey(FailedPrecondition):
    """There is no usable root key for a purpose; create one."""

    def __init__(self) -> None:
        super().__init__("There is no root key for this purpose yet.", state="NO_ROOT_KEY")


class UnknownRootKey(DataLoss):
    """The provider never had the root key, or has lost it."""

    def __init__(self) -> None:
        super().__init__("The key's root key is not known to the key provider.")


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key as a provider wrapped it.

    Attributes:
        root_key_id: The root key that opens it.
        blob: The wrapped key; its length depends on the provider: 40 bytes with AES Key Wrap.
    """

    root_key_id: str
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RootKeyInfo:
    """A provider's description of one of its root keys.

    Attributes:
        root_key_id: Its identifier.
        purpose: Its purpose.
        created: When it was made, in UTC.
        primary: Whether new keys of its purpose are wrapped with it.
        destroyed: Whether it was destroyed.
    """

    root_key_id: str
    purpose: str
    created: datetime
    primary: bool
    destroyed: bool


class RootKeys(Protocol):
    """A provider of root keys.

    All methods raise `errors.Unavailable` if the provider does not answer; a later call may succeed.
    """

    async def create(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """Create a root key, which becomes the primary of its purpose, and return its identifier.

        Raises:
            ValueError: The purpose is malformed.
        """
        ...

    async def ensure(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """Return the identifier of the purpose's primary; create one only if there is none, even with concurrent calls.

        Raises:
            ValueError: The purpose is malformed.
        """
        ...

    async def primary(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """Return the identifier of the purpose's primary.

        Raises:
            NoRootKey: The purpose has no root key.
        """
        ...

    async def wrap(self, key: bytes, purpose: str = DEFAULT_PURPOSE) -> WrappedKey:
        """Wrap a key of 32 bytes with the purpose's primary.

        Raises:
            ValueError: The key is not 32 bytes.
            NoRootKey: The purpose has no root key.
        """
        ...

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Return the key that was wrapped.

        Raises:
            KeyDestroyed: Its root key was destroyed.
            DataLoss: The blob is damaged, or its root key is unknown to this provider.
        """
        ...

    async def destroy(self, root_key_id: str) -> None:
        """Destroy a root key for good; does nothing if it is already destroyed.

        If it was the primary, the newest remaining root key of its purpose becomes the primary.

        Raises:
            DataLoss: There is no such root key.
        """
        ...

    async def list(self, purpose: str | None = None) -> "list[RootKeyInfo]":
        """Return all root keys, oldest first, including destroyed ones; only those of a purpose if it is given."""
        ...

    async def close(self) -> None:
        """Release the provider's resources; no other call may follow."""
        ...


def check_purpose(purpose: str) -> str:
    """Check a purpose and return it: 1 to 128 letters, digits, ``.``, ``_`` and ``-``.

    Raises:
        ValueError: The purpose is malformed.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError("a purpose is 1 to 128 letters, digits, '.', '_' and '-'")
    return purpose


def new_root_key_id(existing: Iterable[str]) -> str:
    """Return a new identifier, ``rk-<milliseconds since 1970>-<80 random bits>``, that sorts after all existing ones.

    Args:
        existing: The provider's identifiers. A clock that was set back does not make a new key look old.
    """
    newest = max((_milliseconds(root_key_id) for root_key_id in existing), default=0)
    return f"rk-{max(time.time_ns() // 1_000_000, newest + 1):012x}-{secrets.token_hex(_RANDOM_BYTES)}"


def created_at(root_key_id: str) -> datetime:
    """Return when a root key was created, which its identifier contains.

    Raises:
        ValueError: It is not an identifier.
    """
    return _EPOCH + timedelta(milliseconds=_milliseconds(root_key_id))


def primary_of(living: Iterable[tuple[str, str]], purpose: str) -> str:
    """Return the newest root key of a purpose.

    Args:
        living: Identifier and purpose of each root key that is not destroyed.
        purpose: The purpose.

    Raises:
        NoRootKey: There is none.
    """
    newest = max((root_key_id for root_key_id, its_purpose in living if its_purpose == purpose), default=None)
    if newest is None:
        raise NoRootKey
    return newest


def infos_of(living: Mapping[str, str], destroyed: Mapping[str, str]) -> list[RootKeyInfo]:
    """Return the descriptions for a provider's list, oldest first.

    Args:
        living: Purpose by identifier, of root keys that are not destroyed.
        destroyed: The same, of those recorded as destroyed. A root key in both, half destroyed, counts as living.
    """
    newest = {purpose: root_key_id for root_key_id, purpose in sorted(living.items())}
    return [
        RootKeyInfo(
            root_key_id,
            purpose,
            created_at(root_key_id),
            primary=newest.get(purpose) == root_key_id,
            destroyed=root_key_id not in living,
        )
        for root_key_id, purpose in sorted({**destroyed, **living}.items())
    ]


def unknown_root_key() -> DataLoss:
    """Return the error for a root key that the provider never had, or has lost."""
    return UnknownRootKey()


def provider_unavailable() -> Unavailable:
    """Return the error for a provider that does not answer."""
    return Unavailable("The key provider does not answer now.", dependency="key_provider")


def _milliseconds(root_key_id: str) -> int:
    match = _ID.fullmatch(root_key_id)
    if not match:
        raise ValueError("not the identifier of a root key")
    milliseconds = int(match[1], 16)
    if milliseconds > _LAST_MILLISECOND:
        raise ValueError("not the identifier of a root key")
    return milliseconds
