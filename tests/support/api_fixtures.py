"""Fixtures of a real server for API tests: one of each kind per pytest worker; ``tests/conftest.py`` loads them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support import postgres
from support.api import Api, TestTenant
from support.server import ServerProcess, postgresql_server, sqlite_server

__all__ = ["api", "on_postgresql", "on_sqlite", "other", "server", "tenant"]


@pytest.fixture(scope="session")
def on_sqlite() -> Iterator[ServerProcess]:
    """A server on SQLite."""
    with sqlite_server() as server:
        yield server


@pytest.fixture(scope="session")
def on_postgresql(postgres_cluster: postgres.Cluster) -> Iterator[ServerProcess]:
    """A server on PostgreSQL."""
    with postgresql_server(postgres_cluster) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def server(request: pytest.FixtureRequest) -> ServerProcess:
    """A server of each kind in turn."""
    found: ServerProcess = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    """A channel to a server."""
    async with Api(server) as api:
        yield api


@pytest.fixture
async def tenant(api: Api) -> TestTenant:
    """A tenant for this test only."""
    return await api.tenant()


@pytest.fixture
async def other(api: Api) -> TestTenant:
    """Another tenant for this test only."""
    return await api.tenant()
