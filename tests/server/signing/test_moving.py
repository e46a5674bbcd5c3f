"""A request that is given another owner at the worst moment."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from support.sealing_world import SealingWorld, open_sealing_world
from zegel_server.caller import Scope
from zegel_server.db import Statement, bind
from zegel_server.db.schema import documents
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.model import RequestState
from zegel_server.signing.store import MOVE_REQUEST

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def sealing_world(url: str, tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[SealingWorld]:
    async with open_sealing_world(url, tmp_path, sandbox) as made:
        yield made


async def test_a_request_that_is_moved_while_it_is_sealed_takes_its_sealed_document_along(
    sealing_world: SealingWorld,
) -> None:
    made = sealing_world
    request = await made.signed(orders=(0,))

    class Meanwhile:
        read_rendition = made.signing_documents.read_rendition

        async def store_sealed(self, **about: Any) -> Any:
            prepared = await made.signing_documents.store_sealed(**about)
            async with made.world.database.transaction() as transaction:
                await transaction.execute(
                    MOVE_REQUEST,
                    id=request.signature_request_id,
                    new_owner_id="tea_1",
                    new_revision=request.revision + 1,
                )
            return prepared

    await made.sealer_with(documents=Meanwhile()).seal(await made.job(request))
    everybody = made.world.member(Scope.ANY)
    found = await made.world.signing.get(everybody, request.signature_request_id)
    assert (found.owner_id, found.progress.state) == ("tea_1", RequestState.DOWNLOADABLE)
    row = await made.world.database.fetch_one(
        Statement(select(documents.c.owner_id).where(documents.c.document_id == bind("document_id"))),
        document_id=found.sealed_document_id,
    )
    assert row is not None
    assert row.owner_id == "tea_1"
