"""One suite for both databases: an empty one of each kind in turn, with a table of the tests' own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.rows import make_tables
from zegel_server.db import Database, open_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'rows.db'}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the tests' table, of each kind in turn."""
    await make_tables(database_url)
    database = await open_database(database_url, pool_size=8)
    yield database
    await database.close()
