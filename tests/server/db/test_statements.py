"""Every statement of every module is one that both databases take, on the schema as the migrations leave it."""

import importlib
import pkgutil
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.ext.asyncio import create_async_engine

import zegel_server
from zegel_server.db import Statement, bind, insert_into, upsert_into
from zegel_server.db.schema import metadata, roles, tenants


def statements() -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for module in pkgutil.walk_packages(zegel_server.__path__, "zegel_server."):
        if ".migrations" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Statement):
                found.setdefault(f"{module.name}.{name}", value)
    return found


STATEMENTS = statements()


def test_there_are_statements_to_look_at() -> None:
    assert len(STATEMENTS) > 80
    assert "zegel_server.identity.store.SESSION_BY_TOKEN" in STATEMENTS


def test_sqlite_takes_each(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    connection = sqlite3.connect(path)
    refused = {}
    for name, statement in STATEMENTS.items():
        sql = statement.on("sqlite").sql
        try:
            connection.execute(f"EXPLAIN {sql}", (None,) * sql.count("?"))
        except sqlite3.Error as error:
            refused[name] = f"{error}: {sql}"
    connection.close()
    assert refused == {}


async def test_postgresql_takes_each(postgres_url: str) -> None:
    engine = create_async_engine("postgresql+asyncpg://" + postgres_url.partition("://")[2])
    async with engine.begin() as running:
        await running.run_sync(metadata.create_all)
    await engine.dispose()
    connection = await asyncpg.connect(postgres_url)
    refused = {}
    for name, statement in STATEMENTS.items():
        sql = statement.on("postgresql").sql
        try:
            await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            refused[name] = f"{error}: {sql}"
    await connection.close()
    assert refused == {}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_both_dialects_give_the_same_columns_and_ask_for_the_same_values(name: str) -> None:
    asked: dict[str, set[str]] = {}
    for dialect in ("sqlite", "postgresql"):

        class Noting(dict[str, object]):
            def __missing__(self, key: str) -> None:
                asked.setdefault(dialect, set()).add(key)  # noqa: B023 - used within the turn

        STATEMENTS[name].on(dialect).arguments(Noting())
    assert asked.get("sqlite", set()) == asked.get("postgresql", set())


def test_a_statement_tells_whether_it_returns_rows() -> None:
    assert Statement(select(tenants)).returns_rows
    assert not insert_into(tenants).returns_rows
    assert Statement(insert(roles).returning(roles.c.role)).returns_rows


def test_values_are_parameters_and_fixed_ones_stay() -> None:
    statement = Statement(select(roles.c.role).where(roles.c.tenant_id == bind("tenant_id"), roles.c.revision > 7))
    for dialect in ("sqlite", "postgresql"):
        assert list(statement.on(dialect).arguments({"tenant_id": "' OR 1=1"})) == ["' OR 1=1", 7]
        assert "OR 1=1" not in statement.on(dialect).sql


def test_a_partial_insert_asks_for_its_columns_alone() -> None:
    statement = insert_into(roles, "tenant_id", roles.c.role)
    assert statement.on("sqlite").sql == "INSERT INTO roles (tenant_id, role) VALUES (?, ?)"


def test_an_upsert_gives_way_or_updates() -> None:
    assert "DO NOTHING" in upsert_into(roles).on("sqlite").sql
    changing = upsert_into(roles, update=["revision"]).on("postgresql").sql
    assert "DO UPDATE SET revision = excluded.revision" in changing
