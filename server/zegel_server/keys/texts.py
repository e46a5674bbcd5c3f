"""Texts that people typed, in rows: encrypted under a tenant key, as JSON.

Invariants:

* An erased text (NULL) reads as if nothing had been typed.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from zegel_server.crypto import TextKey
from zegel_server.db import Row
from zegel_server.db.typed_texts import text_context
from zegel_server.errors import DataLoss
from zegel_server.keys.service import Keys


def encrypt_texts(key: TextKey, data: Any, kind: str, *row_name: object, column: str = "texts") -> bytes:
    """Encrypts what a row holds of what people typed.

    Args:
        key: The tenant's.
        data: The texts, as JSON has them.
        kind: What they belong to, as the schema declares it.
        row_name: That one's name, such as its identifier.
        column: The column that holds them.
    """
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return key.encrypt(plain, text_context(kind, *row_name, column=column))


async def text_key(keys: Keys, tenant_id: str, key_version: int | None = None) -> TextKey:
    """The key of what the people of a tenant type; texts must be stored in a transaction that has called ``hold``.

    Args:
        keys: Gives the tenant key.
        tenant_id: Whose.
        key_version: Which version of the tenant key; if left out, the newest in the database at this moment.

    Raises:
        KeyDestroyed: Its root key was destroyed.
        Unavailable: The key provider does not answer.
    """
    return TextKey(*await keys.tenant_key(tenant_id, key_version))


async def text_keys(keys: Keys, tenant_id: str, rows: Iterable[Row]) -> "TextKeys":
    """The keys that open the texts of rows: one for all of them, two while the tenant's key is rotated.

    Args:
        keys: Gives the tenant keys.
        tenant_id: Whose.
        rows: Rows with the column ``texts_key_version``.

    Raises:
        KeyDestroyed: Their root key was destroyed.
        Unavailable: The key provider does not answer.
    """
    versions = sorted({row.texts_key_version for row in rows} - {None})
    return TextKeys([await text_key(keys, tenant_id, version) for version in versions])


class TextKeys:
    """What opens the texts of some rows.

    Args:
        keys: The versions that the rows name.
    """

    def __init__(self, keys: Iterable[TextKey]) -> None:
        self._keys: Mapping[int, TextKey] = {key.key_version: key for key in keys}

    def read(self, row: Row, kind: str, *row_name: object, column: str = "texts") -> Any:
        """What a row holds, as ``encrypt_texts`` was given it; an empty object where it was erased.

        Args:
            row: The row.
            kind: What the texts belong to, as the schema declares it.
            row_name: That one's name, such as its identifier.
            column: The column that holds them.

        Raises:
            DataLoss: What is stored is damaged.
        """
        stored = getattr(row, column)
        if stored is None:
            return {}
        key = self._keys.get(row.texts_key_version)
        if key is None:
            raise DataLoss("A stored text names no key.")
        return json.loads(key.decrypt(stored, text_context(kind, *row_name, column=column)))

    def title(self, row: Row, kind: str, *row_name: object) -> str:
        """The title that a row holds; empty where it was erased.

        Args:
            row: The row.
            kind: What the title belongs to, as the schema declares it.
            row_name: That one's name, such as its identifier.
        """
        return str(self.read(row, kind, *row_name).get("title", ""))
