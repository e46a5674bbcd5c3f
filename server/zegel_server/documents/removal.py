"""Removes blobs after the rows that named them: at least once, even after a crash.

Invariants:

* The job is enqueued in the transaction that drops the last reference to the blobs.
* It ends only once every blob is gone, and is never given up. Doing it twice does no harm.
"""

from typing import Final

from zegel_server.db import Transaction
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.errors import ZegelError
from zegel_server.jobs import kinds, queue
from zegel_server.jobs.model import Job, JobKind, RetryPolicy

DELETE_BLOBS: Final = kinds.register("delete_blobs")
"""The kind of job; its resource is the folder."""
CONCURRENCY: Final = 4
"""Folders removed at a time."""
FIRST_RETRY_S: Final = 10.0
"""Delay after the first failure, before jitter."""
LONGEST_RETRY_S: Final = 3600.0
"""The longest delay after a failure: a store that is back is noticed within the hour."""
BLOCKED_TRIES: Final = 12
"""Attempts, over about three hours, after which a folder counts as one that needs an operator."""


async def schedule_removal(transaction: Transaction, tenant_id: str, prefix: str) -> None:
    """Schedules a folder of blobs for removal once the transaction is committed.

    Args:
        transaction: The one that gives them up.
        tenant_id: Whose they are.
        prefix: The folder.
    """
    await queue.enqueue(transaction, DELETE_BLOBS, tenant_id=tenant_id, resource_id=prefix)


def removal_kind(encrypted_store: EncryptedStore) -> JobKind:
    """The kind of job that removes a folder of blobs.

    Args:
        encrypted_store: Where the blobs are.
    """

    async def remove(job: Job) -> None:
        await encrypted_store.part_store.remove(job.resource_id)

    return JobKind(
        DELETE_BLOBS,
        remove,
        concurrency=CONCURRENCY,
        retry=RetryPolicy(FIRST_RETRY_S, LONGEST_RETRY_S, _is_lasting, gives_up=False),
    )


def _is_lasting(attempts: int, _error: ZegelError | None) -> bool:
    return attempts >= BLOCKED_TRIES
