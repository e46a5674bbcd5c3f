"""Texts that people typed, encrypted anew under another tenant key: the statements over one table.

Invariants:

* A text that was changed or erased since its row was read stays as it then became: a row is changed only while it holds
  what was read, and is read again otherwise.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from zegel_server.crypto import TenantKey, TextKey
from zegel_server.db import Row, Statement, bind
from zegel_server.db.typed_texts import TypedTextsTable


class TextsRotation:
    """The statements over a table whose rows hold texts.

    Args:
        declared: The table, as the schema declares it.

    Attributes:
        waiting: Finds rows under the old tenant key.
        rewrap: Puts one row under the new one.
        left: Counts the rows under the old one.
    """

    def __init__(self, declared: TypedTextsTable) -> None:
        table = declared.table
        names = dict.fromkeys((*declared.row_key, *declared.row_name, *declared.columns))
        row_key = [table.c[name] for name in declared.row_key]
        texts = [table.c[name] for name in declared.columns]
        under = (table.c.tenant_id == bind("tenant"), table.c.texts_key_version == bind("old_version"))
        self._declared = declared
        self.waiting = Statement(
            select(*(table.c[name] for name in names)).where(*under).order_by(*row_key).limit(bind("limit"))
        )
        self.rewrap = Statement(
            update(table)
            .where(
                *(column == bind(f"row_{column.name}") for column in row_key),
                table.c.texts_key_version == bind("old_version"),
                *(column.is_not_distinct_from(bind(f"old_{column.name}")) for column in texts),
            )
            .values(
                **{column.name: bind(f"new_{column.name}") for column in texts}, texts_key_version=bind("new_version")
            )
        )
        self.left = Statement(select(func.count().label("left")).select_from(table).where(*under))

    def change(self, row: Row, *, old_version: int, old: TenantKey, version: int, new: TenantKey) -> Mapping[str, Any]:
        """The parameters of ``rewrap`` for a row.

        Args:
            row: What ``waiting`` found.
            old_version: Version of the old tenant key.
            old: The old tenant key.
            version: Version of the new tenant key.
            new: The new tenant key.

        Raises:
            DataLoss: A stored text is damaged.
        """
        declared = self._declared
        before, after = TextKey(old_version, old), TextKey(version, new)
        changed: dict[str, bytes | None] = {}
        for name in declared.columns:
            stored, context = getattr(row, name), declared.context_of(row, name)
            changed[f"old_{name}"] = stored
            changed[f"new_{name}"] = None if stored is None else after.encrypt(before.decrypt(stored, context), context)
        return {
            **{f"row_{name}": getattr(row, name) for name in declared.row_key},
            **changed,
            "old_version": old_version,
            "new_version": version,
        }
