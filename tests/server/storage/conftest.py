"""The blob stores under test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support import versitygw
from zegel_server.storage import BlobStore, open_blob_store


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[versitygw.S3Server]:
    """A real S3 server, one for each worker process and only where a test asks for it."""
    server = versitygw.start(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture
def s3_url(s3_server: versitygw.S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, with the credentials for it in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.bucket()


@pytest.fixture(params=["local", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty blob store, of each kind in turn."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    return (tmp_path / "blobs").as_uri()


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[BlobStore]:
    """An empty blob store, of each kind in turn."""
    store = open_blob_store(store_url)
    yield store
    await store.close()
