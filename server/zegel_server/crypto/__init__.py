"""Keys: where root keys are kept, and how the keys below them are wrapped, committed to, rotated and destroyed.

The documents themselves are encrypted by `zegel.segments`, which the SDK shares.
"""

from zegel_server.crypto.factory import open_root_keys
from zegel_server.crypto.hierarchy import (
    Dek,
    KeyHierarchy,
    TenantKey,
    WrappedDek,
    WrappedTenantKey,
    new_dek,
    rewrap_dek,
    unwrap_dek,
    wrap_dek,
)
from zegel_server.crypto.root_keys import KeyDestroyed, NoRootKey, RootKeyInfo, RootKeys, WrappedKey
from zegel_server.crypto.texts import TextKey

__all__ = [
    "Dek",
    "KeyDestroyed",
    "KeyHierarchy",
    "NoRootKey",
    "RootKeyInfo",
    "RootKeys",
    "TenantKey",
    "TextKey",
    "WrappedDek",
    "WrappedKey",
    "WrappedTenantKey",
    "new_dek",
    "open_root_keys",
    "rewrap_dek",
    "unwrap_dek",
    "wrap_dek",
]
