"""Client encryption: wraps a document's key to the receiver, so that chunks travel as ciphertext inside TLS.

A proxy that terminates TLS in between then sees no byte of the document. The receiver generates a key pair for the
transfer and sends the public key; the sender wraps the document's data encryption key (DEK) to it with HPKE (RFC 9180):
base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, no associated data. A wrapped DEK is the encapsulated
key followed by the ciphertext, 32 + 48 bytes, as with Tink's RAW HPKE keys.

Invariants:

* HPKE's ``info`` names purpose, tenant, document, version and which of its contents: a DEK wrapped for one never
  unwraps for another.
* A private key never leaves its object, and exists only as long as the transfer.

HPKE's base mode does not authenticate the sender. Only TLS ensures that the public key arrived unchanged and that the
wrapped DEK came from the other end. This protects against a proxy that reads the traffic, not one that alters it.
"""

from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from zegel.segments import DEK_SIZE, document_aad, rendition_aad

__all__ = ["PUBLIC_KEY_SIZE", "WRAPPED_DEK_SIZE", "ReceiverKey", "UnwrapError", "client_encryption_info", "wrap_dek"]

PUBLIC_KEY_SIZE: Final = 32
"""Bytes of an X25519 public key."""
WRAPPED_DEK_SIZE: Final = PUBLIC_KEY_SIZE + DEK_SIZE + 16
"""Bytes of a wrapped DEK: encapsulated key, ciphertext, tag."""

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE: Final = b"zegel/client-encryption/v1/"


class UnwrapError(Exception):
    """The wrapped DEK is damaged, or was wrapped to another key or for another document."""


def client_encryption_info(tenant_id: str, document_id: str, version: int, *, rendition: bool = False) -> bytes:
    """Build HPKE's ``info`` for one stream: ``"zegel/client-encryption/v1/"`` and then the stream's associated data.

    Args:
        tenant_id: The tenant's identifier.
        document_id: The document's identifier.
        version: The version's number.
        rendition: Whether the stream is the version's rendition (`rendition_aad`), and not its original
            (`document_aad`).

    Raises:
        ValueError: A part is empty or out of its range.
    """
    aad = rendition_aad if rendition else document_aad
    return _PURPOSE + aad(tenant_id, document_id, version)


class ReceiverKey:
    """A receiver's key pair, to which DEKs are wrapped.

    Args:
        private_key: The private key; use `generate` for a new one.
    """

    __slots__ = ("_private_key", "public_bytes")

    public_bytes: Final[bytes]
    """The public key, 32 bytes, for the sender."""

    def __init__(self, private_key: X25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_bytes = private_key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """Generate a key pair."""
        return cls(X25519PrivateKey.generate())

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """Return the DEK that was wrapped to this key.

        Args:
            wrapped: 80 bytes, from `wrap_dek`.
            info: What it was wrapped for, from `client_encryption_info`.

        Raises:
            UnwrapError: It is damaged, or was wrapped to another key or for another document.
        """
        if len(wrapped) == WRAPPED_DEK_SIZE:
            try:
                return _SUITE.decrypt(wrapped, self._private_key, info)
            except (InvalidTag, ValueError):
                pass
        raise UnwrapError("the wrapped key does not open")


def wrap_dek(public_bytes: bytes, dek: bytes, info: bytes) -> bytes:
    """Wrap a DEK to a receiver's public key. The result differs each time.

    Args:
        public_bytes: The receiver's public key, 32 bytes.
        dek: The data encryption key, 32 bytes.
        info: What it is wrapped for, from `client_encryption_info`.

    Returns:
        80 bytes.

    Raises:
        ValueError: The public key is not a usable X25519 key, or the DEK is not 32 bytes.
    """
    if len(dek) != DEK_SIZE:
        raise ValueError(f"a data encryption key is {DEK_SIZE} bytes")
    return _SUITE.encrypt(dek, X25519PublicKey.from_public_bytes(public_bytes), info)
