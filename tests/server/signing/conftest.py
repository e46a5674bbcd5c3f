"""A tenant that sends and signs requests, on each database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from support.databases import sqlite_url
from support.sealing_world import SealingWorld, open_sealing_world
from support.signing_world import World, make_world
from zegel_server import clock
from zegel_server.pdf.sandbox.client import Sandbox


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with tables and no rows."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: str = request.getfixturevalue("postgres_tables_url")
    return server


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the server's clock ahead by so many microseconds."""
    real = clock.now

    def move(ahead: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: real() + ahead)

    return move


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A tenant in it."""
    made = await make_world(url, tmp_path)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sealing_world(url: str, tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[SealingWorld]:
    """A tenant in it whose requests are sealed, by real parts."""
    async with open_sealing_world(url, tmp_path, sandbox) as made:
        yield made
