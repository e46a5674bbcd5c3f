"""A migrated database of each kind, without a tenant."""

from collections.abc import AsyncIterator

import pytest

from zegel_server.db import Database, open_database


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The database that a worker has."""
    opened = await open_database(url, pool_size=8)
    yield opened
    await opened.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[Database]:
    """The same as another process has it."""
    opened = await open_database(url, pool_size=8)
    yield opened
    await opened.close()
