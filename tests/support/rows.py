"""A table of the tests' own, for the unit of work's tests on both databases."""

import sqlite3

import asyncpg
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from zegel_server.db import Statement, bind, insert_into
from zegel_server.db.factory import sqlite_path

things = Table(
    "things",
    MetaData(),
    Column("thing_id", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

INSERT = insert_into(things)
ONE = Statement(select(things).where(things.c.thing_id == bind("thing_id")))
LOCKED = Statement(select(things).where(things.c.thing_id == bind("thing_id")).with_for_update())
ALL = Statement(select(things).order_by(things.c.thing_id))
SET = Statement(update(things).where(things.c.thing_id == bind("id")).values(amount=bind("new_amount")))


async def make_tables(url: str) -> None:
    """Creates the table.

    Args:
        url: An empty database.
    """
    if url.startswith("sqlite"):
        connection = sqlite3.connect(sqlite_path(url))
        connection.execute(str(CreateTable(things).compile(dialect=sqlite.dialect())))
        connection.close()
        return
    running = await asyncpg.connect(url)
    await running.execute(str(CreateTable(things).compile(dialect=postgresql.dialect())))
    await running.close()
