"""Where streams are begun and opened: the one place of this domain that has both keys and blobs in its hands.

Invariants:

* A plain key is held only by a stream that is open, and checked against its commitment before it is used.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from zegel.client_encryption import ReceiverKey, wrap_dek
from zegel.segments import (
    DEK_SIZE,
    MAX_PLAINTEXT_SIZE,
    SegmentCipher,
    SegmentError,
)
from zegel_server.documents.part_store import PartStore
from zegel_server.documents.parts import new_prefix
from zegel_server.documents.streams import ContentId, Stream
from zegel_server.errors import DataLoss
from zegel_server.keys.service import Keys, StoredDek
from zegel_server.storage import BlobStore

_RECEIVING: Final = b"zegel/upload-client-encryption/v1"
"""Label of the key pair of an upload whose chunks come as ciphertext."""
_RENDITION: Final = b"zegel/rendition-key/v1"
"""Label of the key of a version's rendition: who is handed it, as signers may be, opens no original with it."""


class EncryptedStore:
    """Begins and opens streams, and hands out their keys.

    Args:
        blobs: Where the parts are.
        keys: Makes and opens DEKs.
    """

    def __init__(self, blobs: BlobStore, keys: Keys) -> None:
        self.part_store = PartStore(blobs)
        """Where the parts of its streams are."""
        self._keys = keys

    async def close(self) -> None:
        """Lets the threads go; the blob store stays open."""
        await self.part_store.close()

    async def new_stream(self, content_id: ContentId) -> tuple[Stream, StoredDek]:
        """Begins a stream under a key and a header of its own.

        Args:
            content_id: Which version it is of.

        Returns:
            The stream, and its key as a row keeps it: to be stored in a transaction that holds the tenant key.

        Raises:
            Unavailable: The key provider does not answer.
        """
        key, stored = await self._keys.new_dek(content_id.tenant_id, content_id.key_id)
        return self.stream_under(content_id, key), stored

    def stream_under(self, content_id: ContentId, dek: bytes) -> Stream:
        """Begins a stream under a key that there is, with a header and a folder of its own.

        Args:
            content_id: Which version it is of, and which of its contents.
            dek: The version's key.
        """
        prefix = new_prefix(content_id.tenant_id, content_id.document_id, content_id.version)
        return Stream(
            self.part_store, prefix, SegmentCipher.create(content_key(content_id, dek), content_id.aad), dek=dek
        )

    async def open_stream(
        self, content_id: ContentId, prefix: str, header: bytes, stored: StoredDek, size: int = MAX_PLAINTEXT_SIZE
    ) -> Stream:
        """Opens a stored stream.

        Args:
            content_id: Which version it is of.
            prefix: The folder of its parts.
            header: Its first 40 bytes.
            stored: Its key as the row has it.
            size: Bytes of the document; left out while it grows.

        Raises:
            DataLoss: The key is not the one committed to, or the header is damaged.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)
        try:
            cipher = SegmentCipher(content_key(content_id, key), content_id.aad, header)
        except SegmentError as error:
            raise DataLoss("A stored header is damaged.") from error
        return Stream(self.part_store, prefix, cipher, size, dek=key)

    async def demand_key(self, content_id: ContentId, stored: StoredDek) -> None:
        """Demands that a document's key can still be had.

        Args:
            content_id: Which version it is of.
            stored: The key as the row has it.

        Raises:
            DataLoss: The key is not the one committed to.
            KeyDestroyed: A key above it was destroyed.
            RootKeyGone: The tenant's own key provider does not have the key above it any more.
            Unavailable: The key provider does not answer.
        """
        await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)

    async def wrap_key_to_client(self, content_id: ContentId, stored: StoredDek, public_key: bytes) -> bytes:
        """The key of a stream for a far end, which then reads the ciphertext by itself.

        Args:
            content_id: Which version it is of.
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
        key = await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)
        return wrap_dek(public_key, content_key(content_id, key), content_id.client_encryption_info)

    async def receiving_key(self, content_id: ContentId, stored: StoredDek) -> ReceiverKey:
        """The key pair to which the sender of an upload wraps the document's key.

        It comes of the key in the upload's row, which encrypts nothing itself.

        Args:
            content_id: Which version the upload is to become.
            stored: The key as the row has it.

        Raises:
            DataLoss: The key is not the one committed to.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)
        seed = HKDFExpand(SHA256(), DEK_SIZE, _RECEIVING).derive(key)
        return ReceiverKey(X25519PrivateKey.from_private_bytes(seed))


def content_key(content_id: ContentId, dek: bytes) -> bytes:
    """The key of one of a version's contents: the original's is the version's own.

    Args:
        content_id: Which version, and which of its contents.
        dek: The version's key.
    """
    return HKDFExpand(SHA256(), DEK_SIZE, _RENDITION).derive(dek) if content_id.rendition else dek
