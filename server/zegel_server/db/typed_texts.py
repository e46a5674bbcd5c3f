"""How the schema declares what people type, so that rotation finds it without a list.

The schema declares the columns with ``typed_texts``. They hold bytes that the tenant's key encrypts (``crypto.texts``);
``texts_key_version`` says which version of it. The database refuses to delete a tenant key that a row refers to, as
with wrapped keys.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, LargeBinary, MetaData, Table

_KIND: Final = "kind"
_ROW_NAME: Final = "row_name"


@dataclass(frozen=True, slots=True)
class TypedTextsTable:
    """A table whose rows hold encrypted texts.

    Attributes:
        table: The table, with the columns ``tenant_id`` and ``texts_key_version``.
        row_key: The columns that identify a row.
        columns: The columns that hold encrypted texts.
        kind: What the texts belong to, such as ``document``.
        row_name: The columns that make up the name of what the texts belong to.
    """

    table: Table
    row_key: tuple[str, ...]
    columns: tuple[str, ...]
    kind: str
    row_name: tuple[str, ...]

    def context_of(self, row: Any, column: str) -> str:
        """What a row's text is bound to.

        Args:
            row: A row with the columns of ``row_name``.
            column: The text's column.
        """
        return text_context(self.kind, *(getattr(row, name) for name in self.row_name), column=column)


def text_context(kind: str, *row_name: object, column: str = "texts") -> str:
    """What a text is bound to.

    Args:
        kind: What it belongs to, such as ``document``.
        row_name: That one's name, such as its identifier.
        column: The column that holds it.
    """
    return "/".join((kind, *map(str, row_name), column))


def typed_texts(kind: str, *row_name: str, columns: tuple[str, ...] = ("texts",)) -> tuple[Any, ...]:
    """The columns of what people type, for a table that has a ``tenant_id``.

    Each is NULL once its text is erased; all are encrypted under the same tenant key.

    Args:
        kind: What the texts belong to. Two tables may name the same: a text can then be moved from one to the other.
        row_name: The table's columns that make up the name of what the texts belong to.
        columns: Names of the columns.
    """
    under = ("tenant_id", "texts_key_version")
    return (
        *(Column(name, LargeBinary, info={_KIND: kind, _ROW_NAME: row_name}) for name in columns),
        Column("texts_key_version", BigInteger),
        ForeignKeyConstraint(under, ["tenant_keys.tenant_id", "tenant_keys.key_version"]),
        Index(None, *under),
    )


def typed_texts_tables(metadata: MetaData) -> list[TypedTextsTable]:
    """Every table that was declared to hold what people type, by name.

    Args:
        metadata: The schema.
    """
    found = []
    for _, table in sorted(metadata.tables.items()):
        columns = [column for column in table.columns if _KIND in column.info]
        if columns:
            info = columns[0].info
            names = tuple(column.name for column in columns)
            row_key = tuple(column.name for column in table.primary_key.columns)
            found.append(TypedTextsTable(table, row_key, names, info[_KIND], info[_ROW_NAME]))
    return found
