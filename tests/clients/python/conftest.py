"""What the tests of the client share."""

from collections.abc import Iterator

import pytest

from support.fake_documents import Documents, World
from support.fake_server import made, serving
from zegel._internal import patience


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth speaking of."""
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)


@pytest.fixture(params=["sync", "aio"])
def documents(request: pytest.FixtureRequest, quick: None) -> Iterator[World]:
    """A server with documents, and each of the two clients in turn."""
    served: Documents = made(Documents)
    with serving(served) as running:
        yield World(running, request.param, served)
