"""The edge with servicers that do as a test says: by gRPC on a real port, and without it in this process."""

from collections.abc import AsyncIterator

import pytest

from support.edge import ADAPTERS, Edge


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """The edge, serving by gRPC."""
    edge = Edge()
    await edge.start()
    yield edge
    await edge.stop()


@pytest.fixture(params=ADAPTERS, ids=lambda each: each.__name__)
def adapter(request: pytest.FixtureRequest) -> type[Edge]:
    """Each way in which a call can come: a test that takes this runs once by each."""
    kind: type[Edge] = request.param
    return kind
