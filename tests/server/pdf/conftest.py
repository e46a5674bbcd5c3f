from collections.abc import AsyncIterator

import pytest_asyncio

from zegel_server.pdf.workshop import Workshop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop() as running:
        yield running
