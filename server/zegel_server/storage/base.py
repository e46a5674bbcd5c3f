"""What every blob store guarantees, whichever implementation it is.

Blobs are small immutable objects, at most a few MiB each: a document is stored as numbered parts of a few segments, so
that an interrupted upload goes on from the last whole part on a disk and on S3 alike. All of them are ciphertext.

Invariants:

* Once `BlobStore.put` has returned, the object survives the process, and on a disk the loss of power.
* Under a key there is a whole object or nothing, never part of an object.
* An object never changes. Writing the same bytes again does nothing; writing different bytes is refused.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias

__all__ = ["MAX_KEY_LENGTH", "BlobInfo", "BlobStore", "Buffer", "check_key", "check_prefix"]

Buffer: TypeAlias = bytes | bytearray | memoryview

MAX_KEY_LENGTH: Final = 512
"""Characters of a key: S3 takes 1,024 bytes, and the bucket's own prefix may need the rest."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""One part of a key. It cannot begin with a dot, so neither ``..`` nor a store's own files can be named."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One stored object.

    Attributes:
        key: Its key.
        size: Its size in bytes.
        modified: When it was written, in UTC.
    """

    key: str
    size: int
    modified: datetime


class BlobStore(Protocol):
    """A store of immutable objects under slash-separated keys.

    A key is parts joined by ``/``. A part consists of letters, digits, ``_``, ``-`` and ``.``, and begins with neither
    of the last two. A key is never also the folder of another key.

    All methods raise `errors.Unavailable` when the store does not answer or answers with an error, and `ValueError` for
    a malformed key.
    """

    async def put(self, key: str, data: Buffer) -> None:
        """Store an object; it is durable once this returns.

        Args:
            key: Its key.
            data: Its bytes, at most a few MiB. Not changed by the caller before this returns.

        Raises:
            AlreadyExists: Other bytes are stored under this key.
            ResourceExhausted: The store is full (reason ``STORAGE_FULL``).
        """
        ...

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return an object, or a range of it.

        Args:
            key: Its key.
            start: The first byte wanted.
            length: How many bytes are wanted; to the end where left out.

        Raises:
            DataLoss: There is no such object, or it ends before the range does.
        """
        ...

    async def size(self, key: str) -> int | None:
        """Return an object's size in bytes, or None if there is no such object."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """List all objects below a folder, in no particular order.

        Objects written or removed meanwhile may or may not be among them.

        Args:
            prefix: The folder, as a key without a trailing slash; all objects where empty.
        """
        ...

    async def close(self) -> None:
        """Release the store's resources; no other call may follow."""
        ...


def check_key(key: str) -> str:
    """Return a key that is well formed.

    Raises:
        ValueError: It is not.
    """
    if len(key) > MAX_KEY_LENGTH or not all(_NAME.fullmatch(name) for name in key.split("/")):
        raise ValueError("a blob's key consists of parts of letters, digits, '_', '-' and '.', joined by '/'")
    return key


def check_prefix(prefix: str) -> str:
    """Return a folder's name that is well formed, or empty.

    Raises:
        ValueError: It is neither.
    """
    return check_key(prefix) if prefix else prefix


def check_range(start: int, length: int | None) -> None:
    """Refuse a range that no object can have.

    Raises:
        ValueError: A bound is negative.
    """
    if start < 0 or (length is not None and length < 0):
        raise ValueError("a range begins at 0 or later and is 0 bytes or more")
