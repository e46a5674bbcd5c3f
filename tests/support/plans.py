"""How a database will carry out a statement, by its own account."""

import sqlite3
from typing import Any

import asyncpg

from zegel_server.db import Statement


async def plan_of(url: str, statement: Statement, **values: Any) -> str:
    """Returns the plan of a statement, with a line for each step, after statistics were gathered.

    Args:
        url: The database.
        statement: The statement.
        values: Its parameters.
    """
    if url.startswith("sqlite"):
        compiled = statement.on("sqlite")
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute(
                f"EXPLAIN QUERY PLAN {compiled.sql}", tuple(compiled.arguments(values))
            ).fetchall()
        connection.close()
        return "\n".join(row[3] for row in rows)
    compiled = statement.on("postgresql")
    server = await asyncpg.connect(url)
    try:
        await server.execute("VACUUM ANALYZE")
        found = await server.fetch(f"EXPLAIN {compiled.sql}", *compiled.arguments(values))
    finally:
        await server.close()
    return "\n".join(row[0] for row in found)
