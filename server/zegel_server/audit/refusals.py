"""Refused calls in the audit trail.

Invariants:

* If a refusal cannot be recorded, the operator finds that in the server's log; the call is refused all the same.
* The number of recorded refusals is bounded: for one caller and method at most one per ``QUIET_S`` is recorded, with
  the count of those in between, so that nobody can fill the log by being refused.
"""

from collections import OrderedDict
from typing import Final, Protocol

import structlog

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import STEP_UP, Caller
from zegel_server.db import Database
from zegel_server.errors import ZegelError

QUIET: Final = 10 * clock.SECOND
"""Seconds after a recorded refusal in which further ones of the same caller and method are only counted."""
KEPT: Final = 10_000
"""Callers and methods whose refusals are counted at once."""


class CalledMethod(Protocol):
    """The method that was called."""

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        ...


class Refusals:
    """Records refused calls.

    Args:
        database: Where events are stored.
        recorder: Records them.
    """

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder
        self._seen: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._log = structlog.get_logger("zegel.audit")

    async def record(self, caller: Caller, method: CalledMethod, error: ZegelError) -> None:
        """Records that a call was refused.

        Args:
            caller: The caller.
            method: The method that was called.
            error: Why it was refused.
        """
        key, now = (caller.session_id, method.path), clock.now()
        recorded, since = self._seen.get(key, (0, 0))
        if now - recorded < QUIET:
            self._seen[key] = (recorded, since + 1)
            return
        self._seen[key] = (now, 0)
        self._seen.move_to_end(key)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        try:
            draft = await self._recorder.draft(
                caller,
                events.EVENT_TYPE_STEP_UP_REQUIRED if error.reason == STEP_UP else events.EVENT_TYPE_ACCESS_DENIED,
                resource_id=method.path,
                signature_request_id=caller.signature_request_id,
                refused=True,
                extra={"reason": error.reason, "repeated": since},
            )
            async with self._database.transaction() as transaction:
                await self._recorder.record(transaction, draft)
        except Exception as fault:  # noqa: BLE001 - the caller is refused all the same
            self._log.error("refusal not recorded", method=method.path, error=type(fault).__name__)
