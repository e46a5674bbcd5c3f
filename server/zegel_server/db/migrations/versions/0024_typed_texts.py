"""What people type is encrypted: titles, messages, fields, names, descriptions, and the answers that repeat them."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

BATCH: Final = 500

Encrypt = Callable[[bytes, str], bytes]


class Key(NamedTuple):
    """How a tenant's texts are encrypted; given by the caller of the migrations."""

    key_version: int
    encrypt: Encrypt


def _texts_of(**names: str) -> Callable[[Any], bytes | None]:
    """The texts of a row, as JSON; ``None`` if all are empty."""

    def texts(row: Any) -> bytes | None:
        found = {name: getattr(row, column) for name, column in names.items()}
        return _json(found) if any(found.values()) else None

    return texts


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


class Table(NamedTuple):
    """A table, its rows' key, what its texts belong to, and the old columns of each new one."""

    name: str
    row_key: tuple[str, ...]
    kind: str
    row_name: tuple[str, ...]
    texts: Mapping[str, Callable[[Any], bytes | None]]
    old: tuple[str, ...]


_TITLE: Final = {"texts": _texts_of(title="title")}
_DOCUMENT: Final = ("document", ("document_id",), _TITLE, ("title",))
TABLES: Final = (
    Table("documents", ("document_id",), *_DOCUMENT),
    Table("uploads", ("upload_id",), *_DOCUMENT),
    Table(
        "signature_requests",
        ("signature_request_id",),
        "signature_request",
        ("signature_request_id",),
        {
            "texts": _texts_of(title="title", message="message"),
            "fields": lambda row: row.old_fields.encode() or None,
        },
        ("title", "message", "old_fields"),
    ),
    Table(
        "requested_documents",
        ("signature_request_id", "position"),
        "requested_document",
        ("signature_request_id", "position"),
        _TITLE,
        ("title",),
    ),
    Table("api_keys", ("api_key_id",), "api_key", ("api_key_id",), {"texts": _texts_of(name="name")}, ("name",)),
    Table("teams", ("team_id",), "team", ("team_id",), {"texts": _texts_of(name="name")}, ("name",)),
    Table(
        "roles",
        ("tenant_id", "role"),
        "role",
        ("tenant_id", "role"),
        {"texts": _texts_of(description="description")},
        ("description",),
    ),
    Table(
        "idempotency",
        ("tenant_id", "principal_id", "request_id"),
        "answer",
        ("tenant_id", "principal_id", "request_id"),
        {"response": lambda row: row.old_response},
        ("old_response",),
    ),
)


def upgrade() -> None:
    keys: Mapping[str, Key | None] = op.get_bind().info.get("text_keys", {})
    op.execute("ALTER TABLE signature_requests RENAME COLUMN fields TO old_fields")
    op.execute("ALTER TABLE idempotency RENAME COLUMN response TO old_response")
    op.add_column("requested_documents", sa.Column("tenant_id", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE requested_documents SET tenant_id = (SELECT r.tenant_id FROM signature_requests AS r"
        " WHERE r.signature_request_id = requested_documents.signature_request_id)"
    )
    for table in TABLES:
        for column in table.texts:
            op.add_column(table.name, sa.Column(column, sa.LargeBinary()))
        op.add_column(table.name, sa.Column("texts_key_version", sa.BigInteger()))
        _encrypt(table, keys)
        for column in table.old:
            op.drop_column(table.name, column)
        op.create_index(f"ix_{table.name}_tenant_id_texts_key_version", table.name, ["tenant_id", "texts_key_version"])
    if op.get_bind().dialect.name == "sqlite":
        _constrain_on_sqlite()
        if op.get_bind().exec_driver_sql("SELECT 1 FROM tenant_keys").first() is not None:
            # Nothing that was overwritten is left in the file: VACUUM runs after this transaction, see ``migrate``.
            op.execute("PRAGMA user_version = 18")
        return
    for table in TABLES:
        under = ["tenant_id", "texts_key_version"]
        op.create_foreign_key(
            f"fk_{table.name}_tenant_id_texts_key_version",
            table.name,
            "tenant_keys",
            under,
            ["tenant_id", "key_version"],
        )
        # Writes the table anew, without the old rows and columns, whose pages would otherwise stay as they are.
        column = next(iter(table.texts))
        op.execute(f"ALTER TABLE {table.name} ALTER COLUMN {column} TYPE bytea USING {column} || ''::bytea")


def _encrypt(table: Table, keys: Mapping[str, Key | None]) -> None:
    connection = op.get_bind()
    names = dict.fromkeys(("tenant_id", *table.row_key, *table.row_name, *table.old))
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    source = sa.table(table.name, *columns, *map(sa.column, table.texts), sa.column("texts_key_version"))
    row_key = [source.c[name] for name in table.row_key]
    encrypt = (
        sa.update(source)
        .where(*(column == sa.bindparam(f"row_{column.name}") for column in row_key))
        .values(
            **{name: sa.bindparam(f"new_{name}", type_=sa.LargeBinary()) for name in table.texts},
            texts_key_version=sa.bindparam("new_version", type_=sa.BigInteger()),
        )
    )
    after: tuple[Any, ...] | None = None
    while True:
        page = sa.select(*(source.c[name] for name in names)).order_by(*row_key).limit(BATCH)
        if after is not None:
            page = page.where(sa.tuple_(*row_key) > sa.tuple_(*map(sa.literal, after)))
        rows = connection.execute(page).all()
        if not rows:
            return
        after = tuple(getattr(rows[-1], name) for name in table.row_key)
        if changes := [change for row in rows if (change := _change(table, row, keys)) is not None]:
            connection.execute(encrypt, changes)


def _change(table: Table, row: Any, keys: Mapping[str, Key | None]) -> dict[str, Any] | None:
    plain = {name: texts(row) for name, texts in table.texts.items()}
    if not any(plain.values()):
        return None
    if row.tenant_id not in keys:
        message = f"no key of the tenant {row.tenant_id} was given: migrate again, with the server's key provider"
        raise RuntimeError(message)
    key = keys[row.tenant_id]
    if key is None:  # its root key was destroyed: what the tenant's people typed ends with the rest of its data
        return None
    name = "/".join((table.kind, *(str(getattr(row, each)) for each in table.row_name)))
    return {
        **{f"row_{each}": getattr(row, each) for each in table.row_key},
        **{
            f"new_{column}": None if text is None else key.encrypt(text, f"{name}/{column}")
            for column, text in plain.items()
        },
        "new_version": key.key_version,
    }


def _constrain_on_sqlite() -> None:
    """Adds the constraints to the tables' SQL text, as migration 0013 does and says why."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    for table in TABLES:
        constraint = (
            f", CONSTRAINT fk_{table.name}_tenant_id_texts_key_version FOREIGN KEY(tenant_id, texts_key_version)"
            " REFERENCES tenant_keys (tenant_id, key_version)"
        )
        changed = connection.execute(
            sa.text(
                "UPDATE sqlite_master SET sql = substr(rtrim(sql, :blank), 1, length(rtrim(sql, :blank)) - 1)"
                " || :constraint || ')' WHERE type = 'table' AND name = :name AND rtrim(sql, :blank) LIKE '%)'"
            ),
            {"blank": " \t\r\n", "constraint": constraint, "name": table.name},
        )
        if changed.rowcount != 1:
            message = f"the table {table.name} is not as the earlier migrations made it"
            raise RuntimeError(message)
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
