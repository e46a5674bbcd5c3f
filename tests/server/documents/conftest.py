"""A tenant with documents, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.databases import sqlite_url
from support.documents_world import World, make_world


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with tables and no rows."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: str = request.getfixturevalue("postgres_tables_url")
    return server


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A tenant in it."""
    made = await make_world(url, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def sqlite_world(tmp_path: Path) -> AsyncIterator[World]:
    """A tenant on SQLite alone: for what does not depend on the database."""
    made = await make_world(sqlite_url(tmp_path), tmp_path)
    yield made
    await made.close()
