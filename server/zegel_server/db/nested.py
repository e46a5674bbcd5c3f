"""Rows of other tables within a row: read in the same query, as one text, instead of in a query of their own.

A page of a list with what belongs to each of its rows is one round trip then, and one moment of the database.

Invariants:

* A value comes back as its column would give it: text, integers, bytes or ``None``.
"""

import json
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, FromClause, Label, LargeBinary, Text, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from zegel_server.db.database import Row
from zegel_server.db.statement import row_type


class _Rows(FunctionElement[str]):
    """The rows of a query as a JSON array of arrays."""

    type = Text()
    inherit_cache = True


@compiles(_Rows, "sqlite")
def _group(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


@compiles(_Rows, "postgresql")
def _aggregate(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(json_agg(json_build_array({compiler.process(element.clauses, **options)})) AS TEXT)"


class _Hex(FunctionElement[str]):
    """Bytes as hexadecimal digits."""

    type = Text()
    inherit_cache = True


@compiles(_Hex, "sqlite")
def _hex(element: Any, compiler: Any, **options: Any) -> str:
    # Of NULL, SQLite's hex() makes an empty text.
    inner = compiler.process(element.clauses, **options)
    return f"CASE WHEN {inner} IS NULL THEN NULL ELSE hex({inner}) END"


@compiles(_Hex, "postgresql")
def _encode(element: Any, compiler: Any, **options: Any) -> str:
    return f"encode({compiler.process(element.clauses, **options)}, 'hex')"


class NestedRows:
    """Rows of a table, or of several that are joined, that belong to a row of a query.

    Args:
        source: The table or the join.
        columns: Its columns, or labels of them; none is an expression of its own.
    """

    def __init__(self, source: FromClause, *columns: Column[Any] | Label[Any] | ColumnElement[Any]) -> None:
        self._source = source
        self._columns = columns
        self._make_row: Final = row_type([str(column.key) for column in columns])._make
        self._bytes: Final = [index for index, column in enumerate(columns) if isinstance(column.type, LargeBinary)]

    def column(self, name: str, *conditions: ColumnElement[bool]) -> Label[str]:
        """A column that has them all, to select beside those of the row that they belong to.

        Args:
            name: The column's name.
            conditions: What binds them to the row.
        """
        told = [_Hex(each) if isinstance(each.type, LargeBinary) else each for each in map(_bare, self._columns)]
        return select(_Rows(*told)).select_from(self._source).where(*conditions).scalar_subquery().label(name)

    def rows(self, text: str | None) -> list[Row]:
        """The rows, in no order.

        Args:
            text: What the column holds.
        """
        found: list[Row] = []
        if not text:
            return found
        for values in json.loads(text):
            for index in self._bytes:
                if values[index] is not None:
                    values[index] = bytes.fromhex(values[index])
            found.append(self._make_row(values))
        return found


def _bare(column: Any) -> Any:
    return column.element if isinstance(column, Label) else column
