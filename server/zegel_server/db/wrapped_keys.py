"""How the schema declares that a table's rows hold wrapped keys, so that rotation finds such tables without a list.

The schema declares the columns with ``wrapped_key``, which also makes the database itself refuse to delete a tenant key
that a row refers to: by a foreign key, with an index that makes the check cheap.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, LargeBinary, MetaData, Table

_KEY_ID: Final = "key_id"
"""Entry of a column's ``info``: the columns that make up the key's identifier."""


@dataclass(frozen=True, slots=True)
class WrappedKeyTable:
    """A table whose rows hold wrapped keys.

    Attributes:
        table: The table, with the columns ``tenant_id``, ``key_version``, ``wrapped_key`` and ``commitment``.
        row_key: The columns that identify a row.
        key_id: The columns that make up the identifier of a row's key.
    """

    table: Table
    row_key: tuple[str, ...]
    key_id: tuple[str, ...]

    def key_id_of(self, row: Any) -> str:
        """The identifier of a row's key: what its commitment binds it to.

        Args:
            row: A row with the columns of ``key_id``.
        """
        return "/".join(str(getattr(row, name)) for name in self.key_id)


def wrapped_key(*key_id: str) -> tuple[Any, ...]:
    """The columns of a wrapped key, for a table that has a ``tenant_id``.

    ``wrapped_key`` is NULL once the key was destroyed; the row still refers to a tenant key, and is rotated with
    the others.

    Args:
        key_id: The table's columns that make up the key's identifier, joined by slashes.
    """
    under = ("tenant_id", "key_version")
    return (
        Column("key_version", BigInteger, nullable=False),
        Column("wrapped_key", LargeBinary, info={_KEY_ID: key_id}),
        Column("commitment", LargeBinary, nullable=False),
        ForeignKeyConstraint(under, [f"tenant_keys.{name}" for name in under]),
        Index(None, *under),
    )


def wrapped_key_tables(metadata: MetaData) -> list[WrappedKeyTable]:
    """Every table that was declared to hold wrapped keys, by name.

    Args:
        metadata: The schema.
    """
    return [
        WrappedKeyTable(table, tuple(column.name for column in table.primary_key.columns), column.info[_KEY_ID])
        for _, table in sorted(metadata.tables.items())
        for column in table.columns
        if _KEY_ID in column.info
    ]
