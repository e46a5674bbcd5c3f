"""Ends requests whose expiry has passed, each exactly once and with its event.

Invariants:

* No key is needed: the requests of a tenant whose key provider does not answer end like any others.
* A request that could not be ended holds up no other: the sweep goes on after it, and the next round tries it again.
"""

from typing import Final

import structlog

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.db import Database
from zegel_server.errors import ZegelError
from zegel_server.keys.service import Keys
from zegel_server.signing import repository, store
from zegel_server.signing.repository import RequestRepository

_log = structlog.get_logger("zegel.signing")

BATCH: Final = 100
"""The most requests that one sweep ends: another follows soon, and signers of an expired request are refused anyway."""

START: Final = (0, "")
"""Where a round of sweeps begins: before the request that expired first."""


class Expiry:
    """Ends expired requests.

    Args:
        database: Where the rows are.
        keys: Needed to read requests; no key is requested from it.
        recorder: Records the events.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder
        self._requests = RequestRepository(database, keys)
        self._position = START

    async def sweep_expired(self) -> int:
        """Ends requests whose expiry has passed; several processes may sweep at a time.

        Returns:
            How many requests were ended.
        """
        at, after = self._position
        rows = await self._database.fetch(store.EXPIRED, now=clock.now(), after_time=at, after_id=after, limit=BATCH)
        # After a full batch there may be more; a batch that is not full ends the round.
        self._position = (rows[-1].expire_time, rows[-1].signature_request_id) if len(rows) == BATCH else START
        return sum([await self._try_to_end(row.tenant_id, row.signature_request_id) for row in rows])

    async def _try_to_end(self, tenant_id: str, signature_request_id: str) -> bool:
        """Ends a request, or leaves it for the next round."""
        try:
            return await self._end(tenant_id, signature_request_id)
        except ZegelError as error:
            _log.warning("expiry put off", signature_request_id=signature_request_id, reason=error.reason)
            return False

    async def _end(self, tenant_id: str, signature_request_id: str) -> bool:
        known = await self._requests.get(tenant_id, signature_request_id, with_texts=False)
        draft = await self._recorder.draft_own(
            tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_EXPIRED,
            resource_id=signature_request_id,
            signature_request_id=signature_request_id,
            trail=known.audit_id,
        )
        async with self._database.transaction() as transaction:
            before, _ = await repository.lock(transaction, known)
            progress = before.progress.expired(clock.now())
            if progress == before.progress:
                return False  # another process was faster, somebody signed, or the expiry was moved
            await repository.save(transaction, before, before.with_progress(progress))
            await self._recorder.record(transaction, draft)
        return True
