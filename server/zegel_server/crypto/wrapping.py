"""Wrapping one 32-byte key with another: AES Key Wrap, RFC 3394, which yields 40 bytes.

It needs no nonce and is deterministic, which is safe for keys, since they are uniformly random.
It authenticates with 64 bits; the key commitment checked after it adds 256.
"""

from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from zegel_server.errors import DataLoss

__all__ = ["KEY_SIZE", "WRAPPED_SIZE", "check_key_size", "unwrap_key", "wrap_key"]

KEY_SIZE: Final = 32
"""Bytes of every key of the hierarchy: AES-256."""
WRAPPED_SIZE: Final = KEY_SIZE + 8
"""Bytes of a wrapped key: RFC 3394 adds one block of 64 bits."""


def check_key_size(key: bytes) -> bytes:
    """Check that a key is 32 bytes, and return it.

    Raises:
        ValueError: It has another length.
    """
    if len(key) != KEY_SIZE:
        raise ValueError(f"a key must be {KEY_SIZE} bytes")
    return key


def wrap_key(wrapping_key: bytes, key: bytes) -> bytes:
    """Wrap a key.

    Args:
        wrapping_key: The key to wrap it with, 32 bytes.
        key: The key, 32 bytes.

    Returns:
        40 bytes.

    Raises:
        ValueError: One of the two is not 32 bytes.
    """
    return aes_key_wrap(check_key_size(wrapping_key), check_key_size(key))


def unwrap_key(wrapping_key: bytes, blob: bytes) -> bytes:
    """Unwrap a key.

    Args:
        wrapping_key: The key that wrapped it, 32 bytes.
        blob: The wrapped key, 40 bytes.

    Raises:
        ValueError: The wrapping key is not 32 bytes.
        DataLoss: The blob is damaged, or was wrapped with another key.
    """
    check_key_size(wrapping_key)
    if len(blob) == WRAPPED_SIZE:
        try:
            return aes_key_unwrap(wrapping_key, blob)
        except InvalidUnwrap:
            pass
    raise DataLoss("A stored key cannot be unwrapped.")
