"""Real servers for whole flows: one for each kind of database and worker process; each test has its own tenants."""

from collections.abc import Iterator

import pytest

from support import postgres
from support.flow import Office, open_office
from support.server import ServerProcess, postgresql_server, sqlite_server


@pytest.fixture(scope="session")
def on_sqlite() -> Iterator[ServerProcess]:
    with sqlite_server() as server:
        yield server
        assert server.defects() == []


@pytest.fixture(scope="session")
def on_postgresql(postgres_cluster: postgres.Cluster) -> Iterator[ServerProcess]:
    with postgresql_server(postgres_cluster) as server:
        yield server
        assert server.defects() == []


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def server(request: pytest.FixtureRequest) -> ServerProcess:
    found: ServerProcess = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
def office(server: ServerProcess) -> Iterator[Office]:
    with open_office(server) as office:
        yield office


@pytest.fixture
def other_office(server: ServerProcess) -> Iterator[Office]:
    with open_office(server, "Another Ltd") as office:
        yield office


@pytest.fixture
def sqlite_office(on_sqlite: ServerProcess) -> Iterator[Office]:
    with open_office(on_sqlite) as office:
        yield office
