"""Where streams are encrypted, decrypted and kept: the one place of this domain that has keys and blobs in its hands.

Encrypting, hashing and decrypting a segment release the interpreter's lock, so they run in threads beside the event
loop; what is small is done at once, for a hop to a thread costs more.

Invariants:

* A plain key is held only by a stream that is open, and checked against its commitment before it is used.
* A blob store that does not answer costs a call, after `BLOB_TIMEOUT_S`, and not the server.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from zegel.client_encryption import RecipientKey, wrap_dek
from zegel.segments import (
    DEK_SIZE,
    MAX_PLAINTEXT_SIZE,
    SegmentCipher,
    SegmentError,
)
from zegel_server.documents.parts import new_prefix
from zegel_server.documents.streams import Place, Stream
from zegel_server.errors import DataLoss, Unavailable
from zegel_server.keys.service import Keys, StoredDek
from zegel_server.storage import BlobStore
from zegel_server.threads import Crew, Line

BLOB_TIMEOUT_S: Final = 60.0
"""How long one call to the blob store may take: some 4 MiB, which even a slow line to S3 moves in a tenth of it."""
CROWDED: Final = 16
"""Parts on their way to the store from which on each stream sends one at a time: 64 MiB, whoever waits for them."""
SMALL: Final = 32 * 1024
"""Bytes up to which computing is done on the event loop: some tens of microseconds, as long as a hop to a thread."""

_RECEIVING: Final = b"zegel/upload-sealing/v1"
"""Label of the key pair of an upload whose chunks come as ciphertext."""
_RENDITION: Final = b"zegel/rendition-key/v1"
"""Label of the key of a version's rendition: who is handed it, as signers may be, opens no original with it."""

P = ParamSpec("P")
T = TypeVar("T")


class EncryptedStore:
    """Opens streams, and moves their parts.

    Args:
        blobs: Where the parts are.
        keys: Makes and opens DEKs.
    """

    def __init__(self, blobs: BlobStore, keys: Keys) -> None:
        self.blobs = blobs
        self._keys = keys
        self._storing = 0
        self.readers = 0
        """Streams that are being read."""
        self._crew = Crew((os.cpu_count() or 1) + 1, "documents")

    @property
    def crowded(self) -> bool:
        """Whether enough parts are on their way to the store to keep it busy."""
        return self._storing >= CROWDED

    async def close(self) -> None:
        """Lets the threads go; the blob store stays open."""
        await self._crew.close()

    async def new_stream(self, place: Place) -> tuple[Stream, StoredDek]:
        """Begins a stream under a key and a header of its own.

        Args:
            place: Which version it is of.

        Returns:
            The stream, and its key as a row keeps it: to be stored in a transaction that holds the tenant key.

        Raises:
            Unavailable: The key provider does not answer.
        """
        key, stored = await self._keys.new_dek(place.tenant_id, place.key_id)
        return self.stream_under(place, key), stored

    def stream_under(self, place: Place, dek: bytes) -> Stream:
        """Begins a stream under a key that there is, with a header and a folder of its own.

        Args:
            place: Which version it is of, and which of its contents.
            dek: The version's key.
        """
        prefix = new_prefix(place.tenant_id, place.document_id, place.version)
        return Stream(self, prefix, SegmentCipher.create(content_key(place, dek), place.aad), dek=dek)

    async def open_stream(
        self, place: Place, prefix: str, header: bytes, stored: StoredDek, size: int = MAX_PLAINTEXT_SIZE
    ) -> Stream:
        """Opens a stored stream.

        Args:
            place: Which version it is of.
            prefix: The folder of its parts.
            header: Its first 40 bytes.
            stored: Its key as the row has it.
            size: Bytes of the document; left out while it grows.

        Raises:
            DataLoss: The key is not the one committed to, or the header is damaged.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(place.tenant_id, place.key_id, stored)
        try:
            return Stream(self, prefix, SegmentCipher(content_key(place, key), place.aad, header), size, dek=key)
        except SegmentError as error:
            raise DataLoss("A stored header is damaged.") from error

    async def demand_key(self, place: Place, stored: StoredDek) -> None:
        """Demands that a document's key can still be had.

        Args:
            place: Which version it is of.
            stored: The key as the row has it.

        Raises:
            DataLoss: The key is not the one committed to.
            KeyDestroyed: A key above it was destroyed.
            RootKeyGone: The tenant's own key provider does not have the key above it any more.
            Unavailable: The key provider does not answer.
        """
        await self._keys.open_dek(place.tenant_id, place.key_id, stored)

    async def seal_key(self, place: Place, stored: StoredDek, public_key: bytes) -> bytes:
        """The key of a stream for a far end, which then reads the ciphertext by itself.

        Args:
            place: Which version it is of.
            stored: The key as the row has it.
            public_key: The far end's X25519 public key, 32 bytes.

        Returns:
            The key, wrapped: see ``zegel.client_encryption``.

        Raises:
            ValueError: The public key is not a usable one.
            DataLoss: The key is not the one committed to.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(place.tenant_id, place.key_id, stored)
        return wrap_dek(public_key, content_key(place, key), place.sealing_info)

    async def receiving_key(self, place: Place, stored: StoredDek) -> RecipientKey:
        """The key pair to which the sender of an upload wraps the document's key.

        It comes of the key in the upload's row, which encrypts nothing itself.

        Args:
            place: Which version the upload is to become.
            stored: The key as the row has it.

        Raises:
            DataLoss: The key is not the one committed to.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(place.tenant_id, place.key_id, stored)
        seed = HKDFExpand(SHA256(), DEK_SIZE, _RECEIVING).derive(key)
        return RecipientKey(X25519PrivateKey.from_private_bytes(seed))

    def line(self) -> Line:
        """Begins work that is done piece after piece in threads."""
        return Line(self._crew)

    async def compute(self, size: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Computes, in a thread where it pays.

        Args:
            size: Bytes that it goes over.
            call: What computes.
            args: Its arguments.
            kwargs: The same by name.
        """
        if size <= SMALL:
            return call(*args, **kwargs)
        return await self._crew.run(lambda: call(*args, **kwargs))

    async def put(self, key: str, data: bytes | memoryview) -> None:
        """Stores a blob, durably.

        Args:
            key: Its key.
            data: Its bytes.

        Raises:
            AlreadyExists: Other bytes are stored under the key.
            ResourceExhausted: The store is full.
            Unavailable: It does not answer.
        """
        self._storing += 1
        try:
            await _in_time(self.blobs.put(key, data))
        finally:
            self._storing -= 1

    async def get(self, key: str, start: int, length: int) -> bytes:
        """A range of a blob.

        Args:
            key: Its key.
            start: The first byte.
            length: How many bytes.

        Raises:
            DataLoss: They are not there.
            Unavailable: The store does not answer.
        """
        return await _in_time(self.blobs.get(key, start, length))

    async def remove(self, prefix: str) -> int:
        """Removes every part below a folder.

        Args:
            prefix: The folder.

        Returns:
            How many there were.

        Raises:
            Unavailable: The store does not answer.
        """
        # Listed whole before the first is removed: a document has 1,025 parts at the most.
        keys = [info.key async for info in self.blobs.list(prefix)]
        for key in keys:
            await _in_time(self.blobs.delete(key))
        return len(keys)


def content_key(place: Place, dek: bytes) -> bytes:
    """The key of one of a version's contents: the original's is the version's own.

    Args:
        place: Which version, and which of its contents.
        dek: The version's key.
    """
    return HKDFExpand(SHA256(), DEK_SIZE, _RENDITION).derive(dek) if place.rendition else dek


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(BLOB_TIMEOUT_S):
            return await answer
    except TimeoutError as error:
        raise Unavailable("The storage for documents does not answer now.", dependency="storage") from error
