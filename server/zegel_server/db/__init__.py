"""Rows: the schema, statements compiled once, and a small asynchronous unit of work over SQLite and PostgreSQL."""

from zegel_server.db.database import (
    Database,
    Reader,
    Row,
    StillReferenced,
    Transaction,
    TransactionOver,
    UniqueViolation,
)
from zegel_server.db.factory import open_database
from zegel_server.db.nested import NestedRows
from zegel_server.db.statement import Statement, bind, insert_into, owned_by, upsert_into

__all__ = [
    "Database",
    "NestedRows",
    "Reader",
    "Row",
    "Statement",
    "StillReferenced",
    "Transaction",
    "TransactionOver",
    "UniqueViolation",
    "bind",
    "insert_into",
    "open_database",
    "owned_by",
    "upsert_into",
]
