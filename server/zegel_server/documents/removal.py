"""Removing blobs after the rows that named them: at least once, and after a crash as well.

Invariants:

* The wish to remove is written in the transaction that gives the blobs up; what carries it out runs afterwards.
* It is struck off only once every blob is gone. Carrying it out twice does no harm.
"""

import json
from typing import Final

from zegel_server import clock
from zegel_server.db import Database, Transaction
from zegel_server.documents import store
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.errors import ZegelError

DELETE_BLOBS: Final = "delete_blobs"
"""Kind of the outbox's rows that are meant here; their resource is the folder."""
BATCH: Final = 100
"""Folders removed in one go: a second's work."""
FIRST_RETRY: Final = 10 * clock.SECOND
"""How long a failed removal waits; twice as long after each further one."""
LAST_RETRY: Final = clock.HOUR
"""The longest it waits: a store that comes back is met within the hour."""


async def schedule_removal(transaction: Transaction, tenant_id: str, prefix: str) -> None:
    """Has a folder of blobs removed once the transaction is committed.

    Args:
        transaction: The one that gives them up.
        tenant_id: Whose they are.
        prefix: The folder.
    """
    await transaction.execute(
        store.INSERT_TASK,
        kind=DELETE_BLOBS,
        tenant_id=tenant_id,
        resource_id=prefix,
        payload=json.dumps({"prefix": prefix}),
        due_time=clock.now(),
        attempts=0,
        last_reason="",
    )


class Remover:
    """Carries removals out.

    Args:
        database: Where they are written.
        encrypted_store: Where the blobs are.
    """

    def __init__(self, database: Database, encrypted_store: EncryptedStore) -> None:
        self._database = database
        self._encrypted_store = encrypted_store

    async def run(self) -> int:
        """Carries out what is due; what fails is put off.

        Returns:
            How many folders were removed.

        Raises:
            Unavailable: The database does not answer.
        """
        done = 0
        for task in await self._database.fetch(store.DUE_TASKS, kind=DELETE_BLOBS, at=clock.now(), most=BATCH):
            try:
                await self._encrypted_store.part_store.remove(task.resource_id)
            except ZegelError as error:
                wait = min(FIRST_RETRY << min(task.attempts, 16), LAST_RETRY)
                async with self._database.transaction() as transaction:
                    await transaction.execute(
                        store.PUT_OFF_TASK, which=task.outbox_id, new_due=clock.now() + wait, reason=error.reason
                    )
                continue
            async with self._database.transaction() as transaction:
                await transaction.execute(store.DONE_TASK, which=task.outbox_id)
            done += 1
        return done
