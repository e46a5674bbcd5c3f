"""What people type, at rest: encrypted under a key that follows from a tenant key (AES-256-GCM). No I/O.

Invariants:

* Each row has a key of its own, which follows from the tenant key and the row's name: reading a list unwraps none, and
  how often a tenant types something is no limit for the random nonces.
* A text of one row or column is never accepted as another's: its name is in the key, and authenticated.
"""

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegel_server.crypto.hierarchy import TenantKey
from zegel_server.errors import DataLoss

__all__ = ["TextKey"]

_LABEL: Final = b"zegel/texts/v1/"
_NONCE: Final = 12


class TextKey:
    """Encrypts what the people of a tenant type.

    Args:
        key_version: Version of the tenant key.
        tenant_key: The tenant key.

    Attributes:
        key_version: Version of the tenant key.
    """

    def __init__(self, key_version: int, tenant_key: TenantKey) -> None:
        self.key_version = key_version
        self._tenant_key = tenant_key

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Encrypts.

        Args:
            plain: What to encrypt.
            context: Names the row and the column that it belongs to: it opens for no other.
        """
        name = context.encode()
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher(name).encrypt(nonce, plain, name)

    def decrypt(self, stored: bytes, context: str) -> bytes:
        """Decrypts.

        Args:
            stored: What ``encrypt`` made.
            context: Names the row and the column that it belongs to.

        Raises:
            DataLoss: It is damaged, belongs elsewhere, or was encrypted under another tenant key.
        """
        name = context.encode()
        try:
            return self._cipher(name).decrypt(stored[:_NONCE], stored[_NONCE:], name)
        except (InvalidTag, ValueError) as error:  # ValueError: it was cut short
            raise DataLoss("A stored text is damaged.") from error

    def _cipher(self, name: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._tenant_key.key, _LABEL + name, "sha256"))
