"""The blob stores under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zegel_server.storage import BlobStore, open_blob_store


@pytest.fixture(params=["local"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """An empty blob store, of each kind in turn."""
    store = open_blob_store((tmp_path / "blobs").as_uri())
    yield store
    await store.close()
