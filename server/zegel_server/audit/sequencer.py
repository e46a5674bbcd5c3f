"""The sequencer: gives committed events their index in the log and signs the tree that contains them.

How to set it up::

    key = LogKey.open(keys_folder, origin)
    log = Log(database, key)
    publisher = Publisher(log, database, data_dir / "log")          # or None
    sequencer = Sequencer(database, log, publisher)
    recorder.recorded = sequencer.nudge
    await sequencer.start()                                         # raises DataLoss if the log was altered
    ...
    await sequencer.close()

Invariants:

* One transaction writes everything: leaves, tiles, ends of trails, size and signed checkpoint. A checkpoint leaves the
  process only once that has committed, so a crash at any moment leaves the log as it was either before or after.
* The log's row is locked, and replaced by compare-and-swap: of two sequencers one wins, and the other starts over from
  the new state. What the loser may have signed is discarded unseen, so no two trees of one size ever get out.
* Nothing is appended to a tree that its checkpoint does not confirm.
* Events enter the log in the order of their numbers, as far as they are committed; each event of a trail has the hash
  of the one before it.
* Memory does not grow with the log: at most ``BATCH`` events and the tree's right edge.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from zegel.evidence.trail import InvalidLeaf
from zegel.evidence.transparency import leaf_hash
from zegel_server import clock
from zegel_server.audit import leaf, store
from zegel_server.audit.log import Head, Log, damaged
from zegel_server.audit.tree import Appended, Edge, append
from zegel_server.db import Database, Row, Transaction, UniqueViolation
from zegel_server.errors import Unavailable, ZegelError

BATCH: Final = 512
"""Events of one transaction. SQLite runs on the event loop, and this many take a few milliseconds."""
PACE_S: Final = 0.04
"""The least time between the beginnings of two batches, so that under load one checkpoint serves many events. Far below
the 250 ms that a checkpoint may take; an event that comes alone does not wait for it."""
POLL_S: Final = 0.1
"""How often to look for events that another process committed; for those of this one there is ``nudge``."""
FIRST_PAUSE_S: Final = 0.1
"""How long to wait after the first failure; the wait doubles with each further one."""
LONGEST_PAUSE_S: Final = 5.0
"""The longest wait after failures; bounded because the database may be back at any time."""
RACES: Final = 100
"""How often in a row another sequencer may win before that counts as a failure."""


class Publishing(Protocol):
    """What publishes committed checkpoints; see ``Publisher``."""

    async def start(self) -> Head | None:
        """Starts, and returns the newest head that was published."""
        ...

    def committed(self) -> None:
        """Signals that there is a newer head."""
        ...

    async def close(self) -> None:
        """Stops, once everything that is committed is published."""
        ...


class _Overtaken(Exception):  # noqa: N818 - not an error
    """Another sequencer was first."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one transaction writes."""

    head: Head
    appended: Appended
    positions: Sequence[tuple[int, int, str, str]]
    trails: Sequence[dict[str, Any]]


class Sequencer:
    """Integrates events and signs checkpoints; a log may have several of them, in one or more processes.

    Args:
        database: Where the rows are.
        log: Reads the log and holds its key.
        publisher: Publishes checkpoints and tiles; ``None`` to publish nothing.
    """

    def __init__(self, database: Database, log: Log, publisher: Publishing | None = None) -> None:
        self._database = database
        self._log = log
        self._publisher = publisher
        self._edge: tuple[bytes, Edge] | None = None
        self._turn = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._advanced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._report = structlog.get_logger("zegel.audit")

    # ------------------------------------------------------------------------------------------------ running

    async def start(self) -> None:
        """Checks the log against what was published, and starts.

        Raises:
            DataLoss: The log does not continue what was published, or was altered (``LOG_DAMAGED``): nothing is
                signed.
            Unavailable: The database does not answer.
        """
        await self._log.create()
        published = await self._publisher.start() if self._publisher else None
        if published:
            self._log.know(published)
        head = await self._log.head()
        self._edge = (head.checkpoint, await self._log.edge(head))
        self._task = asyncio.create_task(self.run())

    async def close(self) -> None:
        """Stops, after everything that was committed has entered the log."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            with suppress(ZegelError):
                await self.flush()
        if self._publisher:
            await self._publisher.close()

    def nudge(self) -> None:
        """Signals that there are events; never blocks."""
        self._nudged.set()

    async def run(self) -> None:
        """Integrates until it is cancelled."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            began = loop.time()
            nudged = self._nudged.is_set()
            self._nudged.clear()
            try:
                waiting = nudged or await self._database.fetch_one(store.IS_WAITING) is not None
                done = await self.integrate() if waiting else 0
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - it must go on; the next round looks at everything again
                done = 0
                pause = min(max(pause * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
                reason = error.reason if isinstance(error, ZegelError) else "INTERNAL"
                self._report.error(
                    "sequencing failed",
                    reason=reason,
                    kind=type(error).__name__,
                    why=error.message if isinstance(error, ZegelError) else "",
                    again_s=pause,
                )
            if pause:
                await asyncio.sleep(pause)
                continue
            if done < BATCH:
                await _within(self._nudged, POLL_S)
            await asyncio.sleep(max(0.0, began + PACE_S - loop.time()) if done < BATCH else 0.0)

    async def flush(self) -> None:
        """Returns once everything committed before the call is under a checkpoint.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``).
            Unavailable: The database does not answer.
        """
        row = await self._database.fetch_one(store.LAST_WAITING)
        while row is not None and await self._database.fetch_one(store.IS_WAITING_TO, last=row.event_number):
            await self.integrate()
        # Readers may see a batch whose commit this process has not had confirmed yet.
        async with self._turn:
            return

    async def wait(self, size: int, timeout_s: float) -> None:
        """Waits until the log may have more events than a given number, or the time is up.

        Args:
            size: The number.
            timeout_s: The longest wait, in seconds; events of another process do not end it.
        """
        if self._log.size > size:
            return
        await _within(self._advanced, timeout_s)

    # -------------------------------------------------------------------------------------------- integrating

    async def integrate(self) -> int:
        """Integrates one batch of waiting events.

        Returns:
            How many; fewer than ``BATCH`` if none is left.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``); nothing was signed.
            Unavailable: The database does not answer.
        """
        for _ in range(RACES):
            with suppress(_Overtaken):
                async with self._turn:
                    return await self._integrate()
            # What the other sequencer wrote must continue what is known.
            await self._log.head()
        raise Unavailable("The audit log is being written by other processes all the time.", dependency="database")

    async def _integrate(self) -> int:
        # Starts from the newest known head without reading the row: usually right, and under the lock it shows if not.
        head = self._log.known or await self._log.head()
        if self._edge is None or self._edge[0] != head.checkpoint:
            self._edge = (head.checkpoint, await self._log.edge(head))
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(store.LOCK_HEAD)
            if row is None or row.checkpoint != head.checkpoint:
                raise _Overtaken
            waiting = await transaction.fetch(store.WAITING, limit=BATCH)
            if not waiting:
                return 0
            batch = self._compose(self._edge[1], waiting)
            try:
                await self._write(transaction, head, batch)
            except UniqueViolation as error:
                # Not a race: this transaction holds the lock on the log's row.
                raise damaged("an event beyond its newest checkpoint has an index already") from error
            transaction.after_commit(self._after_commit(batch))
        return len(waiting)

    def _compose(self, edge: Edge, waiting: Sequence[Row]) -> _Batch:
        """Makes the leaves, the tree and its checkpoint: some microseconds an event, and no I/O."""
        positions: list[tuple[int, int, str, str]] = []
        trails: dict[str, tuple[int, bytes]] = {}
        hashes: list[bytes] = []
        index = edge.size
        for row in waiting:
            number, trail, body, length, end = row
            seq = prev = None
            try:
                if trail:
                    length, end = trails.get(trail) or (length or 0, end or b"")
                    seq, prev = length + 1, end.hex() or None
                data = leaf.complete(body, seq, prev)
            except InvalidLeaf as error:
                raise damaged("an event that waits to be sequenced is malformed") from error
            hashed = leaf_hash(data)
            if seq is not None:
                trails[trail] = (seq, hashed)
            hashes.append(hashed)
            positions.append((number, index, leaf.prev_text(prev), leaf.seq_text(seq)))
            index += 1
        appended = append(edge, hashes)
        checkpoint = self._log.key.checkpoint(appended.edge.size, appended.root)
        return _Batch(
            Head(appended.edge.size, appended.root, checkpoint),
            appended,
            positions,
            [{"trail": trail, "length": length, "head": end} for trail, (length, end) in trails.items()],
        )

    async def _write(self, transaction: Transaction, before: Head, batch: _Batch) -> None:
        # The swap comes first: the sequencer that loses it has written nothing.
        swapped = await transaction.execute(
            store.ADVANCE,
            before=before.checkpoint,
            new_size=batch.head.size,
            new_checkpoint=batch.head.checkpoint,
            now=clock.now(),
        )
        if swapped != 1:
            raise _Overtaken
        updated = await transaction.execute(store.INTEGRATE, positions=json.dumps(batch.positions))
        if updated != len(batch.positions):
            raise damaged("an event that waits to be sequenced disappeared under a lock")
        await transaction.execute_many(
            store.WRITE_TILE,
            [
                {"level": tile.level, "tile_index": tile.index, "hashes": hashes}
                for tile, hashes in batch.appended.tiles
            ],
        )
        if batch.trails:
            await transaction.execute_many(store.WRITE_TRAIL, batch.trails)

    def _after_commit(self, batch: _Batch) -> Callable[[], None]:
        def committed() -> None:
            self._edge = (batch.head.checkpoint, batch.appended.edge)
            self._log.know(batch.head)
            self._advanced.set()
            self._advanced = asyncio.Event()
            if self._publisher:
                self._publisher.committed()

        return committed


async def _within(event: asyncio.Event, timeout_s: float) -> None:
    # Not wait_for: up to Python 3.11 it loses a cancellation that comes at the same time as the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
