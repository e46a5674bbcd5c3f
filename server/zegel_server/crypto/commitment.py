"""Commitments to keys.

AES-GCM does not commit to its key: a ciphertext can be made that opens under two keys, to two different plaintexts.
So each wrapped key is stored with a value that only this key, under this identifier, yields; it is checked before the
key is used.

Source: "How to Abuse and Fix Authenticated Encryption Without Key Commitment" (USENIX Security 2022); HKDF is RFC 5869.
"""

from typing import Final

from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from zegel_server.errors import DataLoss

__all__ = ["COMMITMENT_SIZE", "check_commitment", "commit"]

COMMITMENT_SIZE: Final = 32
"""Bytes of a commitment: 256 bits, so that finding two keys with the same one takes 2^128 tries."""

_DOMAIN: Final = b"zegel/kc/v1"


def commit(key: bytes, key_id: str) -> bytes:
    """Return the commitment to a key, ``HKDF-Expand-SHA256(key, "zegel/kc/v1" | key id, 32 bytes)``.

    Args:
        key: A uniformly random key of 32 bytes. The commitment reveals nothing about it.
        key_id: The key's identifier, so that a key that is moved to another row fails the check.
    """
    return HKDFExpand(algorithm=SHA256(), length=COMMITMENT_SIZE, info=_DOMAIN + key_id.encode()).derive(key)


def check_commitment(key: bytes, key_id: str, commitment: bytes) -> None:
    """Refuse a key that is not the one committed to, in constant time.

    Raises:
        DataLoss: The key or its identifier is not the one committed to.
    """
    if not constant_time.bytes_eq(commit(key, key_id), commitment):
        raise DataLoss("A stored key is not the one that was committed to.")
