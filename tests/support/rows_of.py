"""Rows as tests need them: of other domains' tables, and changed behind a running server's back."""

import asyncio
import sqlite3
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.types import Text

from support.server import ServerProcess
from zegel_server.db.factory import sqlite_path


async def change_row(server: ServerProcess, table: str, key: tuple[str, str], column: str, value: int) -> None:
    """Sets one column of one row directly in the database.

    Args:
        server: A running server.
        table: The table.
        key: The column that names the row, and the row's name.
        column: The column to set.
        value: Its new value.
    """
    if server.rows_url.startswith("sqlite"):
        await asyncio.to_thread(_sqlite, server.rows_url, table, key, column, value)
        return
    connection = await asyncpg.connect(server.rows_url)
    statement = f"UPDATE {table} SET {column} = $1 WHERE {key[0]} = $2"  # noqa: S608 - names of ours
    tag = await connection.execute(statement, value, key[1])
    await connection.close()
    assert tag == "UPDATE 1"


def _sqlite(url: str, table: str, key: tuple[str, str], column: str, value: int) -> None:
    connection = sqlite3.connect(sqlite_path(url), timeout=20)
    statement = f"UPDATE {table} SET {column} = ? WHERE {key[0]} = ?"  # noqa: S608 - names of ours
    with connection:
        assert connection.execute(statement, (value, key[1])).rowcount == 1
    connection.close()


def row_of(table: Table, **given: Any) -> dict[str, Any]:
    """A row with a value for every column: what is given, and the plainest that the column takes.

    Args:
        table: The table.
        given: Values by column.
    """
    assert given.keys() <= {column.name for column in table.columns}
    plainest = {
        column.name: None if column.nullable else "" if isinstance(column.type, Text) else 0 for column in table.columns
    }
    return plainest | given
