"""Creates and opens streams: the only module of this domain with access to both keys and blobs.

Invariants:

* A plain key is held only by an open stream, and is checked against its commitment before it is used.
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
"""HKDF label of the key pair for an upload that the client encrypts."""
_RENDITION: Final = b"zegel/rendition-key/v1"
"""HKDF label of a rendition's key: a signer who is given this key cannot decrypt the original with it."""


class EncryptedStore:
    """Creates and opens streams, and wraps their keys for clients.

    Args:
        blobs: Where the parts are.
        keys: Makes and opens DEKs.
    """

    def __init__(self, blobs: BlobStore, keys: Keys) -> None:
        self.part_store = PartStore(blobs)
        """Stores the parts of the streams."""
        self._keys = keys

    async def close(self) -> None:
        """Stops the threads; the blob store stays open."""
        await self.part_store.close()

    async def new_stream(self, content_id: ContentId) -> tuple[Stream, StoredDek]:
        """Creates a stream with a new key and header.

        Args:
            content_id: The content that the stream holds.

        Returns:
            The stream, and its wrapped key; the row must be inserted in a transaction that holds the tenant key.

        Raises:
            Unavailable: The key provider does not answer.
        """
        key, stored = await self._keys.new_dek(content_id.tenant_id, content_id.key_id)
        return self.stream_under(content_id, key), stored

    def stream_under(self, content_id: ContentId, dek: bytes) -> Stream:
        """Creates a stream under an existing key, with a new header and folder.

        Args:
            content_id: The content that the stream will hold.
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
            content_id: The content that the stream holds.
            prefix: The folder of its parts.
            header: Its first 40 bytes.
            stored: Its key, as stored in the row.
            size: Size of the document in bytes; omitted while it is being uploaded.

        Raises:
            DataLoss: The key does not match its commitment, or the header is damaged.
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
        """Checks that a document's key can still be unwrapped.

        Args:
            content_id: The content that the stream holds.
            stored: The key, as stored in the row.

        Raises:
            DataLoss: The key does not match its commitment.
            KeyDestroyed: A key above it was destroyed.
            RootKeyGone: The tenant's own key provider no longer has the key above it.
            Unavailable: The key provider does not answer.
        """
        await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)

    async def wrap_key_to_client(self, content_id: ContentId, stored: StoredDek, public_key: bytes) -> bytes:
        """Wraps a stream's key for a client that decrypts the stream itself.

        Args:
            content_id: The content that the stream holds.
            stored: The key, as stored in the row.
            public_key: The client's X25519 public key, 32 bytes.

        Returns:
            The key, wrapped: see ``zegel.client_encryption``.

        Raises:
            ValueError: The public key is not a usable one.
            DataLoss: The key does not match its commitment.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)
        return wrap_dek(public_key, content_key(content_id, key), content_id.client_encryption_info)

    async def receiving_key(self, content_id: ContentId, stored: StoredDek) -> ReceiverKey:
        """The key pair to which the sender of an upload wraps the document's key.

        It is derived from the key in the upload's row, which itself encrypts nothing.

        Args:
            content_id: The version that the upload will become.
            stored: The key, as stored in the row.

        Raises:
            DataLoss: The key does not match its commitment.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(content_id.tenant_id, content_id.key_id, stored)
        seed = HKDFExpand(SHA256(), DEK_SIZE, _RECEIVING).derive(key)
        return ReceiverKey(X25519PrivateKey.from_private_bytes(seed))


def content_key(content_id: ContentId, dek: bytes) -> bytes:
    """The key of a content: the version's key for the original, a key derived from it for the rendition.

    Args:
        content_id: The content.
        dek: The version's key.
    """
    return HKDFExpand(SHA256(), DEK_SIZE, _RENDITION).derive(dek) if content_id.rendition else dek
