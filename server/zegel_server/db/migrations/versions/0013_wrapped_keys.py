"""A tenant key that a row refers to cannot be deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TABLES = ("document_versions", "subjects", "uploads")
_COLUMNS = ["tenant_id", "key_version"]


def upgrade() -> None:
    op.create_index("ix_subjects_tenant_id_key_version", "subjects", _COLUMNS, unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
        return
    for table in _TABLES:
        op.create_foreign_key(f"fk_{table}_tenant_id_key_version", table, "tenant_keys", _COLUMNS, _COLUMNS)


def _on_sqlite() -> None:
    """Adds the constraints to the tables' SQL text, which is all that SQLite stores of a constraint.

    SQLite has no ``ALTER TABLE`` for that. Recreating a table would check each row that refers to it, one by one;
    writing the schema directly is what SQLite documents for a change that touches no row.
    """
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    for table in _TABLES:
        constraint = (
            f", CONSTRAINT fk_{table}_tenant_id_key_version FOREIGN KEY(tenant_id, key_version)"
            " REFERENCES tenant_keys (tenant_id, key_version)"
        )
        changed = connection.execute(
            sa.text(
                "UPDATE sqlite_master SET sql = substr(rtrim(sql, :blank), 1, length(rtrim(sql, :blank)) - 1)"
                " || :constraint || ')' WHERE type = 'table' AND name = :name AND rtrim(sql, :blank) LIKE '%)'"
            ),
            {"blank": " \t\r\n", "constraint": constraint, "name": table},
        )
        if changed.rowcount != 1:
            message = f"the table {table} is not as the earlier migrations made it"
            raise RuntimeError(message)
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    for table in _TABLES:
        if connection.exec_driver_sql(f"PRAGMA foreign_key_check({table})").first() is not None:
            message = f"rows of {table} refer to a tenant key that does not exist: restore tenant_keys first"
            raise RuntimeError(message)
