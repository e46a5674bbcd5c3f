"""A log on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.audit_world import AuditWorld, open_world, prepare


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'zegel.sqlite'}"
    server: str = request.getfixturevalue("postgres_url")
    return server


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[AuditWorld]:
    """An installation in it; its sequencer is not running."""
    await prepare(url)
    made = await open_world(url, tmp_path)
    await made.log.create()
    yield made
    await made.close()
