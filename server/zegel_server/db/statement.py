"""SQLAlchemy Core statements, compiled once for each dialect and run as plain SQL from then on.

Queries are written and checked in Core; the slow part of it, building and compiling a statement
for each execution, happens once at import. Invariants:

* A statement's text never depends on a value: every value is a parameter.
* Columns hold only what both drivers give back unchanged (text, integers, bytes), so no result is processed.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Literal, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Insert,
    Integer,
    SelectBase,
    Table,
    Text,
    bindparam,
    insert,
    literal,
    or_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement

Dialect = Literal["sqlite", "postgresql"]

_DIALECTS: Final = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": asyncpg_dialect.dialect(),
}


def bind(name: str) -> BindParameter[Any]:
    """A required parameter of a statement.

    Args:
        name: The keyword by which a caller gives its value.
    """
    return bindparam(name)


class _Position(FunctionElement[int]):
    """The position of one text in another, from 1; 0 if it is not in it."""

    type = Integer()
    inherit_cache = True


@compiles(_Position, "sqlite")
def _instr(element: Any, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_Position, "postgresql")
def _strpos(element: Any, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def owned_by(column: ColumnElement[str], name: str = "owners") -> ColumnElement[bool]:
    """Whether one of the given owners owns a row: restricts a query to what a caller may see.

    Args:
        column: The column with the owner.
        name: The parameter: the owners with commas before, between and after them; empty for all rows.
    """
    comma = literal(",", Text)
    owners = bindparam(name, type_=Text)
    return or_(owners == literal("", Text), _Position(owners, comma + column + comma) > literal(0, Integer))


class Compiled:
    """A statement in one dialect.

    Attributes:
        sql: Its text.
        arguments: Makes the positional arguments from the caller's keywords.
    """

    __slots__ = ("arguments", "sql")

    def __init__(self, element: ClauseElement, dialect: Dialect, keys: Sequence[str] | None) -> None:
        compiled = element.compile(dialect=_DIALECTS[dialect], column_keys=keys)
        self.sql = str(compiled)
        names: list[str] = list(compiled.positiontup or [])  # type: ignore[attr-defined]
        fixed = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}  # type: ignore[attr-defined]
        self.arguments = _argument_maker(names, fixed)


def _argument_maker(names: list[str], fixed: dict[str, Any]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """The fastest mapping from keywords to positions; a missing keyword raises ``KeyError``."""
    if not names:
        return lambda _values: ()
    if fixed.keys() & set(names):
        return lambda values: [fixed[name] if name in fixed else values[name] for name in names]
    if len(names) == 1:
        only = names[0]
        return lambda values: (values[only],)
    return itemgetter(*names)


class Statement:
    """A statement that runs on both dialects.

    Args:
        element: A Core statement whose values are ``bind(...)`` parameters, or one for each dialect.
        keys: For an ``INSERT`` without values: the columns to give.
    """

    __slots__ = ("_compiled", "_elements", "_keys", "make_row", "returns_rows")

    def __init__(self, element: ClauseElement | Mapping[Dialect, ClauseElement], *, keys: Iterable[str] = ()) -> None:
        self._elements = element if isinstance(element, Mapping) else {"sqlite": element, "postgresql": element}
        self._keys = list(keys) or None
        self._compiled: dict[Dialect, Compiled] = {}
        columns = _result_columns(next(iter(self._elements.values())))
        self.returns_rows = bool(columns)
        self.make_row: Callable[[Iterable[Any]], Any] = row_type(columns)._make if columns else tuple

    def on(self, dialect: Dialect) -> Compiled:
        """The statement in a dialect, compiled at its first use.

        Args:
            dialect: Which one.
        """
        try:
            return self._compiled[dialect]
        except KeyError:
            compiled = self._compiled[dialect] = Compiled(self._elements[dialect], dialect, self._keys)
            return compiled


def row_type(columns: Sequence[str]) -> Any:
    """A named tuple for rows.

    Args:
        columns: The names of their columns.
    """
    return namedtuple("Row", columns, rename=True)  # noqa: PYI024 - the columns are known only now


def _result_columns(element: ClauseElement) -> list[str]:
    if isinstance(element, SelectBase):
        return [str(column.key) for column in element.selected_columns]
    if isinstance(element, UpdateBase):
        return [str(getattr(column, "key", column)) for column in element._returning]  # noqa: SLF001 - no public way
    return []


def insert_into(table: Table, *columns: Column[Any] | str) -> Statement:
    """An ``INSERT`` of one row.

    Args:
        table: Into which table.
        columns: The columns that the caller gives, by their names as keywords; all if none is given.
    """
    return Statement(insert(table), keys=[c if isinstance(c, str) else c.name for c in columns or table.columns])


def upsert_into(table: Table, *, update: Sequence[str] = ()) -> Statement:
    """An ``INSERT`` of one whole row that updates or keeps an existing row with the same primary key.

    Args:
        table: Into which table.
        update: The columns of an existing row that take the new values; if empty, the existing row stays as it is.
    """
    keys = [column.name for column in table.columns]

    def conflict(statement: Any) -> Insert:
        on = [column.name for column in table.primary_key.columns]
        if not update:
            return cast("Insert", statement.on_conflict_do_nothing(index_elements=on))
        changed = statement.on_conflict_do_update(
            index_elements=on, set_={name: statement.excluded[name] for name in update}
        )
        return cast("Insert", changed)

    return Statement(
        {"sqlite": conflict(sqlite.insert(table)), "postgresql": conflict(postgresql.insert(table))}, keys=keys
    )
