"""The kind of job that seals a request that everybody has signed.

Invariants:

* A request is never given up: sealing is retried until it succeeds.
* If waiting cannot resolve a failure, the request is marked *blocked*; the first time, its trail records it.
* While a tenant's own key provider is unavailable, all the tenant's jobs are postponed.
"""

from typing import Final, Protocol

from zegel.event.v1 import event_type_pb2 as events
from zegel_server.audit.recorder import Recorder
from zegel_server.db import Database, Transaction
from zegel_server.errors import NotFound, Unavailable, ZegelError
from zegel_server.jobs import queue
from zegel_server.jobs.model import INTERNAL, Job, JobKind, RetryPolicy, Written, never_by_waiting
from zegel_server.keys.providers import is_key_away
from zegel_server.signing import store

CONCURRENCY: Final = 4
"""Requests sealed at a time: each takes memory for its documents. Most of the time an attempt waits, for a slot of the
sandbox or for an authority."""
TENANT_CONCURRENCY: Final = 2
"""Requests of one tenant sealed at a time: its large ones, or those that wait for its key provider, hold up no other's.
"""
MOST_TO_SEAL: Final = 1_000
"""Requests of a tenant that are due to be sealed, beyond which it sends no further ones: an hour's work if they are
large."""
FIRST_RETRY_S: Final = 0.5
"""Delay after the first failure, before jitter."""
LONGEST_RETRY_S: Final = 300.0
"""The longest delay after a failure: an authority that is back for five minutes is noticed."""
DEFECT_TRIES: Final = 10
"""Attempts, over some minutes, after which a defect of ours, such as a sandbox that stops on a file, counts as lasting:
some failures come from the machine's load, and a trail's record cannot be taken back."""


class Seals(Protocol):
    """Tries to seal a request."""

    async def seal(self, job: Job) -> None:
        """One try.

        Args:
            job: The job; its resource is the request.
        """
        ...


async def demand_room(database: Database, tenant_id: str) -> None:
    """Refuses a request to be sent while too many of the tenant's wait to be sealed.

    Args:
        database: Where they are.
        tenant_id: Whose.

    Raises:
        ResourceExhausted: So many do; some are sealed after a while.
        Unavailable: The database does not answer.
    """
    await queue.demand_room(database, store.SEAL, tenant_id, MOST_TO_SEAL, limit="requests_to_seal")


def is_lasting(attempts: int, error: ZegelError | None) -> bool:
    """Whether waiting cannot resolve a failure.

    Args:
        attempts: How often it was tried.
        error: Why it failed; ``None`` for a defect.
    """
    if error is None or _is_ours(error):
        return attempts >= DEFECT_TRIES
    return never_by_waiting(error) or error.reason == "TRAIL_FULL"


def _is_ours(error: ZegelError) -> bool:
    """Whether a failure is Zegel's own: a defect, or a sandbox that stopped or misbehaved."""
    return error.reason == INTERNAL or (
        error.reason == Unavailable.default_reason and "dependency" not in error.metadata
    )


def sealing_kind(database: Database, sealer: Seals, recorder: Recorder) -> JobKind:
    """The kind of job that seals requests.

    Args:
        database: Where the requests are.
        sealer: Seals one request.
        recorder: Records that a request cannot be sealed.
    """

    async def on_stuck(job: Job, reason: str) -> Written:
        request = await database.fetch_one(store.TRAIL_OF, signature_request_id=job.resource_id)
        if request is None:
            raise NotFound("signature_request")
        draft = await recorder.draft_own(
            job.tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_INVALID,
            resource_id=job.resource_id,
            signature_request_id=job.resource_id,
            trail=request.audit_id,
            extra={"reason": reason},
        )

        async def write(transaction: Transaction) -> None:
            await recorder.record(transaction, draft)

        return write

    return JobKind(
        store.SEAL,
        sealer.seal,
        concurrency=CONCURRENCY,
        tenant_concurrency=TENANT_CONCURRENCY,
        retry=RetryPolicy(FIRST_RETRY_S, LONGEST_RETRY_S, is_lasting, gives_up=False),
        is_tenant_wide=is_key_away,
        on_stuck=on_stuck,
    )
