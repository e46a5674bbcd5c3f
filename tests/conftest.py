"""What every test can ask for, and how a run ends: by saying what was left out."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from support import postgres, require, shared

pytest_plugins = ["support.api_fixtures"]
"""Servers that the tests of any folder may share: one of each kind a worker process."""

CONTRACT = Path(__file__).parent / "contract"
NOT_UNIT = frozenset({"contract", "corpus", "database", "faults", "postgresql", "process", "server", "slow"})
DATABASES = frozenset({"database", "database_url", "open_sqlite", "place", "url"})
"""Fixtures that open one."""
STARTERS = frozenset({"subprocess", "support.openbao"})
"""Modules that a test imports to start a program."""

# Before gRPC is imported anywhere: its own log would otherwise mix with pytest's, and the tests start processes.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Two shared cores stall at will, so no deadline; a found example is printed whole instead of kept in the tree.
settings.register_profile(
    "default", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz-small", settings.get_profile("default"), max_examples=1_000)
settings.register_profile("fuzz-large", settings.get_profile("default"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """A real PostgreSQL server, one for each worker process and only where a test asks for it."""
    cluster = postgres.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def postgres_url(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """The URL of an empty database that is this test's alone."""
    name = postgres_cluster.create()
    yield postgres_cluster.url(name)
    postgres_cluster.drop(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what a test uses, so that ``-m`` takes or leaves exactly that; a ``unit`` test has none of ``NOT_UNIT``."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        names = vars(getattr(item, "module", None) or object).values()
        if CONTRACT in item.path.parents:
            item.add_marker(pytest.mark.contract)
        if "postgres_cluster" in fixtures:
            item.add_marker(pytest.mark.postgresql)
        if "api" in fixtures or "on_sqlite" in fixtures or any(map(_of_server, names)):
            item.add_marker(pytest.mark.server)
        if not DATABASES.isdisjoint(fixtures):
            item.add_marker(pytest.mark.database)
        if any(map(_starts_programs, names)):
            item.add_marker(pytest.mark.process)
        if any(map(_of_shared, names)):
            item.add_marker(pytest.mark.shared)
        searches = is_hypothesis_test(getattr(item, "obj", None))
        if not searches and NOT_UNIT.isdisjoint(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.unit)


def _of_server(value: object) -> bool:
    return getattr(value, "__module__", None) == "support.server"


def _starts_programs(value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ in STARTERS


def _of_shared(value: object) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == shared.__name__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists what was left out and the command that brings it."""
    left_out: dict[tuple[str, str], int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found = require.split(reason)
        if found:
            left_out[found] = left_out.get(found, 0) + 1
    if not left_out:
        return
    terminalreporter.section("left out")
    for (what, how), count in sorted(left_out.items()):
        terminalreporter.line(f"{count} test{'s' if count > 1 else ''} for want of {what}: {how}")
