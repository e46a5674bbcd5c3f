"""A tenant with documents in a database that was migrated, of each kind; a folder's own fixtures go before.

Also a running sandbox, which takes seconds to start: tests that take it run in the session's event loop
(``pytestmark = pytest.mark.asyncio(loop_scope="session")``), where it belongs.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support import postgres
from support.databases import postgresql_url, sqlite_url
from support.documents_world import World, make_world
from zegel_server.db.migrate import upgrade
from zegel_server.pdf.sandbox.client import Sandbox


@pytest.fixture
def postgres_tables_url(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """The URL of a database of this test's alone, with the schema's tables and no rows."""
    with postgresql_url(postgres_cluster) as url:
        yield url


@pytest.fixture
def postgres_migrated_url(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """The URL of a database of this test's alone that was migrated, without rows."""
    with postgresql_url(postgres_cluster, upgrade) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: str = request.getfixturevalue("postgres_migrated_url")
    return server


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A tenant in it."""
    made = await make_world(url, tmp_path)
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One for all tests that do not look at its processes."""
    async with Sandbox() as running:
        yield running
