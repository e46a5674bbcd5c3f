"""Personal data at rest: encrypted under its subject's key (AES-256-GCM), and bound to the row that it is stored in.

Invariants:

* A nonce is random: a subject's key encrypts far fewer than 2**32 messages.
* Data of one row is never accepted as another's: the row's name is authenticated with it.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegel_server.errors import DataLoss

NONCE: Final = 12
"""Bytes of an AES-GCM nonce."""


def encrypt_personal(key: bytes, data: Mapping[str, Any], context: str) -> bytes:
    """Encrypts personal data under its subject's key (AES-256-GCM).

    Args:
        key: The subject's key.
        data: The data, as JSON has it.
        context: Names the row that the data belongs to, as AES-GCM's associated data: it opens for no other row.
    """
    nonce = secrets.token_bytes(NONCE)
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return nonce + AESGCM(key).encrypt(nonce, plain, context.encode())


def decrypt_personal(key: bytes | None, stored: bytes, context: str) -> dict[str, Any]:
    """Decrypts personal data; empty once the subject's key is destroyed.

    Args:
        key: The subject's key, or ``None``.
        stored: What ``encrypt_personal`` made.
        context: Names the row that the data belongs to.

    Raises:
        DataLoss: It is damaged, or belongs to another row.
    """
    if key is None:
        return {}
    try:
        plain = AESGCM(key).decrypt(stored[:NONCE], stored[NONCE:], context.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: it was cut short
        raise DataLoss("Stored personal data is damaged.") from error
    data: dict[str, Any] = json.loads(plain)
    return data
