"""Texts that people typed, encrypted anew under another tenant key: the statements over one table.

Invariants:

* A text that was changed or erased since its row was read stays as it then became: a row is changed only while it holds
  what was read, and is read again otherwise.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from zegel_server.crypto import TenantKey, TextKey
from zegel_server.db import Row, Statement, bind
from zegel_server.db.typed_texts import TypedTextsTable
from zegel_server.keys.table_rotation import TableRotation


class TextsRotation(TableRotation):
    """Encrypts a table's texts anew.

    Args:
        declared: The table, as the schema declares it.
    """

    def __init__(self, declared: TypedTextsTable) -> None:
        table = declared.table
        super().__init__(
            table, declared.row_key, (*declared.row_name, *declared.columns), version=table.c.texts_key_version
        )
        texts = [table.c[name] for name in declared.columns]
        self._declared = declared
        self.rewrap = Statement(
            update(table)
            .where(
                *self.is_row,
                table.c.texts_key_version == bind("old_version"),
                *(column.is_not_distinct_from(bind(f"old_{column.name}")) for column in texts),
            )
            .values(
                **{column.name: bind(f"new_{column.name}") for column in texts}, texts_key_version=bind("new_version")
            )
        )

    def change(self, row: Row, *, old_version: int, old: TenantKey, version: int, new: TenantKey) -> Mapping[str, Any]:
        """See ``TableRotation.change``."""
        declared = self._declared
        before, after = TextKey(old_version, old), TextKey(version, new)
        changed: dict[str, bytes | None] = {}
        for name in declared.columns:
            stored, context = getattr(row, name), declared.context_of(row, name)
            changed[f"old_{name}"] = stored
            changed[f"new_{name}"] = None if stored is None else after.encrypt(before.decrypt(stored, context), context)
        return {**self.row_of(row), **changed, "old_version": old_version, "new_version": version}
