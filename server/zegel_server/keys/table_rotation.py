"""What rotation does to a table whose rows hold something under a tenant key: what all such tables share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, Table, func, select

from zegel_server.crypto import TenantKey
from zegel_server.db import Row, Statement, bind


class TableRotation(ABC):
    """Puts what a table's rows hold under another tenant key.

    Args:
        table: The table, with a column ``tenant_id``.
        row_key: The columns that identify a row.
        needed: The columns that ``change`` needs beside them.
        version: The column with the version of the tenant key.

    Attributes:
        waiting: Finds rows under the old tenant key.
        left: Counts the rows under the old one.
        rewrap: Puts one row under the new one.
        is_row: The conditions under which a statement means the row whose parameters ``row_of`` gives.
    """

    rewrap: Statement

    def __init__(self, table: Table, row_key: Iterable[str], needed: Iterable[str], version: Column[Any]) -> None:
        self._row_key = tuple(row_key)
        columns = [table.c[name] for name in self._row_key]
        names = dict.fromkeys((*self._row_key, *needed))
        under = (table.c.tenant_id == bind("tenant"), version == bind("old_version"))
        self.waiting = Statement(
            select(*(table.c[name] for name in names)).where(*under).order_by(*columns).limit(bind("limit"))
        )
        self.left = Statement(select(func.count().label("left")).select_from(table).where(*under))
        self.is_row = [column == bind(f"row_{column.name}") for column in columns]

    def row_of(self, row: Row) -> dict[str, Any]:
        """The parameters that say which row is meant.

        Args:
            row: What ``waiting`` found.
        """
        return {f"row_{name}": getattr(row, name) for name in self._row_key}

    @abstractmethod
    def change(self, row: Row, *, old_version: int, old: TenantKey, version: int, new: TenantKey) -> Mapping[str, Any]:
        """The parameters of ``rewrap`` for a row.

        Args:
            row: What ``waiting`` found.
            old_version: Version of the old tenant key.
            old: The old tenant key.
            version: Version of the new tenant key.
            new: The new tenant key.

        Raises:
            DataLoss: What is stored is damaged.
        """
