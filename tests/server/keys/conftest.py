"""A database of each kind with the server's tables, and a key provider."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.databases import sqlite_url
from zegel_server.crypto import open_root_keys
from zegel_server.db import Database, open_database
from zegel_server.db.migrate import upgrade
from zegel_server.keys.service import Keys


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database, of each kind in turn."""
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_migrated_url"))
    else:
        url = sqlite_url(tmp_path, upgrade)
    database = await open_database(url)
    yield database
    await database.close()


@pytest.fixture
async def keys(database: Database, tmp_path: Path) -> AsyncIterator[Keys]:
    """The keys of an installation."""
    root_keys = open_root_keys(f"local:{tmp_path / 'root.keyring'}")
    yield Keys(database, root_keys)
    await root_keys.close()
