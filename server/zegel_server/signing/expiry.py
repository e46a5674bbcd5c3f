"""Ending requests whose expiry has passed, each exactly once and with its event."""

from typing import Final

import structlog

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.db import Database
from zegel_server.errors import ZegelError
from zegel_server.keys.service import Keys
from zegel_server.signing import store
from zegel_server.signing.reading import Snapshots, lock, write

_log = structlog.get_logger("zegel.signing")

BATCH: Final = 100
"""Requests that one sweep ends at most: another follows soon, and acts are refused without it already."""


class Expiry:
    """Ends expired requests.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder
        self._snapshots = Snapshots(database, keys)

    async def sweep_expired(self) -> int:
        """Ends requests whose expiry has passed; several processes may sweep at a time.

        Returns:
            How many were ended.
        """
        rows = await self._database.fetch(store.EXPIRED, now=clock.now(), limit=BATCH)
        return sum([await self._tried(row.tenant_id, row.signature_request_id) for row in rows])

    async def _tried(self, tenant_id: str, signature_request_id: str) -> bool:
        """Ends a request, or leaves it for another sweep: one tenant's key provider that is away holds up nobody."""
        try:
            return await self._end(tenant_id, signature_request_id)
        except ZegelError as error:
            _log.warning("expiry put off", signature_request_id=signature_request_id, reason=error.reason)
            return False

    async def _end(self, tenant_id: str, signature_request_id: str) -> bool:
        known = await self._snapshots.get(tenant_id, signature_request_id)
        draft = await self._recorder.draft_own(
            tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_EXPIRED,
            resource_id=signature_request_id,
            signature_request_id=signature_request_id,
            trail=known.audit_id,
        )
        async with self._database.transaction() as transaction:
            before, _ = await lock(transaction, known)
            progress = before.progress.expired(clock.now())
            if progress == before.progress:
                return False  # another process was faster, somebody signed, or the expiry was moved
            await write(transaction, before, before.after(progress))
            await self._recorder.record(transaction, draft)
        return True
