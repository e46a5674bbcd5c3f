"""Encryption and decryption of single segments, in any order."""

import os
import struct
from typing import Final, Self, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from zegel.segments._layout import (
    DEK_SIZE,
    HEADER_SIZE,
    NONCE_PREFIX_SIZE,
    SALT_SIZE,
    TAG_SIZE,
    SegmentError,
    check_index,
    full_plaintext,
)

Buffer: TypeAlias = bytes | bytearray | memoryview
"""A writable buffer that belongs to the caller."""

_COUNTER: Final = struct.Struct(">IB")


class SegmentCipher:
    """Encrypts and decrypts single segments of one stream, in any order.

    Args:
        dek: The document version's data encryption key, 32 bytes.
        aad: The associated data, as from `document_aad`.
        header: The stream's first 40 bytes.

    Raises:
        ValueError: The key is not 32 bytes.
        SegmentError: The header is not one of this format.
    """

    __slots__ = ("_aead", "_prefix", "header")

    header: Final[bytes]
    """The stream's first 40 bytes. Not secret."""

    def __init__(self, dek: bytes, aad: bytes, header: bytes) -> None:
        if len(dek) != DEK_SIZE:
            msg = f"a data encryption key is {DEK_SIZE} bytes"
            raise ValueError(msg)
        if len(header) != HEADER_SIZE or header[0] != HEADER_SIZE:
            msg = "not the header of an AES256_GCM_HKDF_1MB stream"
            raise SegmentError(msg)
        self.header = bytes(header)
        self._prefix = self.header[1 + SALT_SIZE :]
        salt = self.header[1 : 1 + SALT_SIZE]
        # One AEAD object for each stream: its key schedule takes longer than a small segment.
        self._aead = AESGCM(HKDF(algorithm=SHA256(), length=DEK_SIZE, salt=salt, info=aad).derive(dek))

    @classmethod
    def create(cls, dek: bytes, aad: bytes) -> Self:
        """Begin a new stream, with a fresh random salt and nonce prefix from the system.

        Raises:
            ValueError: The key is not 32 bytes.
        """
        return cls(dek, aad, bytes([HEADER_SIZE]) + os.urandom(SALT_SIZE + NONCE_PREFIX_SIZE))

    def encrypt(self, index: int, last: bool, plaintext: Buffer) -> bytes:
        """Encrypt one segment.

        Args:
            index: Its number, from 0.
            last: Whether the stream ends with it.
            plaintext: Its bytes: a full segment, or no more than that if it is the last; empty only for segment 0.

        Returns:
            The ciphertext and its tag, ``len(plaintext) + 16`` bytes.

        Raises:
            ValueError: The index is out of range, or the length is wrong for this segment.
        """
        check_index(index)
        self._check_length(index, last, len(plaintext), ValueError)
        return self._aead.encrypt(self._nonce(index, last), plaintext, None)

    def encrypt_into(self, index: int, last: bool, plaintext: Buffer, out: bytearray | memoryview) -> None:
        """Encrypt one segment into the caller's buffer, which spares an allocation for each segment.

        Args:
            index: Its number, from 0.
            last: Whether the stream ends with it.
            plaintext: Its bytes, as for `encrypt`.
            out: Receives the ciphertext and its tag; exactly ``len(plaintext) + 16`` bytes.

        Raises:
            ValueError: As for `encrypt`, or ``out`` has another size.
        """
        check_index(index)
        self._check_length(index, last, len(plaintext), ValueError)
        self._aead.encrypt_into(self._nonce(index, last), plaintext, None, out)

    def decrypt(self, index: int, last: bool, ciphertext: Buffer) -> bytes:
        """Decrypt one segment, and return its plaintext only if its tag is valid.

        Args:
            index: Its number, from 0.
            last: Whether the stream ends with it.
            ciphertext: The whole segment, its tag included; for segment 0 without the header.

        Raises:
            ValueError: The index is out of range.
            SegmentError: The segment is damaged, or belongs elsewhere in the stream or to another stream.
        """
        check_index(index)
        self._check_length(index, last, len(ciphertext) - TAG_SIZE, SegmentError)
        try:
            return self._aead.decrypt(self._nonce(index, last), ciphertext, None)
        except InvalidTag:
            msg = f"segment {index} does not authenticate"
            raise SegmentError(msg) from None

    @staticmethod
    def _check_length(index: int, last: bool, size: int, error: type[Exception]) -> None:
        smallest = (1 if index else 0) if last else full_plaintext(index)
        if not smallest <= size <= full_plaintext(index):
            msg = f"segment {index} has a wrong length"
            raise error(msg)

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + _COUNTER.pack(index, last)
