"""The providers of root keys under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zegel_server.crypto import RootKeys, open_root_keys


@pytest.fixture(params=["local"])
async def root_keys_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty provider, of each kind in turn."""
    return f"local:{tmp_path / 'keyring.json'}"


@pytest.fixture
async def root_keys(root_keys_url: str) -> AsyncIterator[RootKeys]:
    """An empty provider of root keys, of each kind in turn."""
    provider = open_root_keys(root_keys_url)
    yield provider
    await provider.close()
