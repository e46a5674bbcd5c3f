"""The edge with servicers that do as a test says, on a real port."""

from collections.abc import AsyncIterator

import pytest

from support.edge import Edge


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """The edge, serving."""
    edge = Edge()
    await edge.start()
    yield edge
    await edge.stop()
