"""Sends checkpoints to the witnesses and collects their cosignatures, without ever holding up the sequencer.

It works in rounds: the newest checkpoint at that moment is sent to all witnesses at once, so that their lines come
together under one checkpoint. How to set it up::

    witness_feeder = WitnessFeeder(log, cosignatures, witnesses, registry, publisher)
    sequencer = Sequencer(database, log, witness_feeder)        # which starts and closes the feeder

Invariants:

* A witness's failure ends in a log line and a counter. It never stops the log or another witness.
* A round does not wait for a witness that is slow; that one is asked again once it has answered.
* Several processes may send the same checkpoint; each line is stored once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from zegel.evidence.witness_messages import AddCheckpoint
from zegel_server.audit.cosignatures import Cosignatures
from zegel_server.audit.log import Head, Log
from zegel_server.audit.sequencer import Publishing
from zegel_server.audit.witnesses import Outcome, Witness, WitnessAnswer, WitnessClient
from zegel_server.errors import ZegelError
from zegel_server.neighbours.calls import NeighbourMetrics

PACE_S: Final = 1.0
"""The least time between two rounds: witnesses serve many logs, and one line covers all events before it."""
GRACE_S: Final = 0.5
"""Seconds that a round waits for answers; after that the next round may begin without the slow witnesses."""
POLL_S: Final = 5.0
"""Seconds between rounds without a signal: for what another process committed but did not send, and for retries."""
FIRST_PAUSE_S: Final = 1.0
"""Seconds before a witness that failed is asked again; the wait doubles with each further failure."""
LONGEST_PAUSE_S: Final = 60.0
"""The longest such wait; bounded because a witness may be back at any time."""
TRIES: Final = 3
"""Requests to one witness per round: it may know another size, which may change between requests."""


@dataclass(slots=True)
class _State:
    """What this process knows about a witness."""

    witness: Witness
    known: int = 0
    failures: int = 0
    due: float = 0.0
    done: bytes = b""
    task: asyncio.Task[None] | None = field(default=None)


class WitnessFeeder:
    """Asks the witnesses for cosignatures and publishes them; a ``Publishing`` for the sequencer.

    Args:
        log: The log.
        cosignatures: Stores the lines.
        witnesses: The witnesses to ask.
        registry: The metrics registry that counts the outcomes.
        publisher: Publishes checkpoints; ``None`` to publish nothing.
        metrics: Where it is told how the witnesses do.
    """

    def __init__(
        self,
        log: Log,
        cosignatures: Cosignatures,
        witnesses: Sequence[Witness],
        registry: CollectorRegistry,
        publisher: Publishing | None = None,
        *,
        metrics: NeighbourMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._cosignatures = cosignatures
        self._states = [_State(each) for each in witnesses]
        self._publisher = publisher
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: WitnessClient | None = None
        self._report = structlog.get_logger("zegel.audit")
        self._asked = Counter(
            "zegel_witness_asks", "Requests to witnesses, by outcome.", ["witness", "outcome"], registry=registry
        )
        self._sizes = Gauge(
            "zegel_witness_size",
            "Events under the checkpoint that a witness cosigned last.",
            ["witness"],
            registry=registry,
        )

    # ------------------------------------------------------------------------------------------------ running

    async def start(self) -> Head | None:
        """See ``Publishing``."""
        published = await self._publisher.start() if self._publisher else None
        self._client = WitnessClient(self._metrics)
        self._wanted.set()
        self._task = asyncio.create_task(self.run())
        return published

    def committed(self) -> None:
        """See ``Publishing``."""
        self._wanted.set()
        if self._publisher:
            self._publisher.committed()

    async def close(self) -> None:
        """See ``Publishing``: what no witness has answered yet is asked again at the next start."""
        tasks = [task for task in (self._task, *(each.task for each in self._states)) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None
        self._client = None
        if self._publisher:
            await self._publisher.close()

    async def run(self) -> None:
        """Runs rounds until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wanted.wait()
            self._wanted.clear()
            began = loop.time()
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - a database may be back at the next round
                why = error.message if isinstance(error, ZegelError) else ""
                self._report.error("asking witnesses failed", kind=type(error).__name__, why=why)
            await asyncio.sleep(max(0.0, began + PACE_S - loop.time()))

    async def round(self) -> None:
        """Sends the newest checkpoint to each idle witness, and waits a little for the answers.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``): no witness is asked to cosign it.
            Unavailable: The database does not answer.
        """
        head = await self._log.head()
        now = asyncio.get_running_loop().time()
        idle = [each for each in self._states if each.task is None or each.task.done()]
        for each in idle:
            if each.done != head.root and each.due <= now:
                each.task = asyncio.create_task(self._bring(each, head))
        running = [each.task for each in idle if each.task and not each.task.done()]
        if running:
            await asyncio.wait(running, timeout=GRACE_S)

    # ------------------------------------------------------------------------------------------------- asking

    async def _bring(self, state: _State, head: Head) -> None:
        """Sends a checkpoint to one witness; logs and counts whatever happens."""
        try:
            if await self._cosignatures.has(head, state.witness):
                state.done = head.root  # by another process, or before the last start
                return
            answer = await self._ask(state, head)
        except Exception as error:  # noqa: BLE001 - it must not end the others
            answer = WitnessAnswer(Outcome.AWAY, f"could not be asked ({type(error).__name__})")
        self._asked.labels(state.witness.name, answer.outcome).inc()
        if answer.outcome is Outcome.COSIGNED:
            state.failures, state.due, state.done = 0, 0.0, head.root
            self._sizes.labels(state.witness.name).set(head.size)
            if self._publisher:
                self._publisher.committed()
            return
        state.failures += 1
        pause = min(FIRST_PAUSE_S * 2.0 ** min(state.failures - 1, 32), LONGEST_PAUSE_S)
        state.due = asyncio.get_running_loop().time() + pause
        grave = answer.outcome in {Outcome.FORKED, Outcome.FORGED}
        (self._report.error if grave else self._report.warning)(
            "a witness did not cosign",
            witness=state.witness.name,
            outcome=str(answer.outcome),
            why=answer.why,
            size=head.size,
            again_s=pause,
        )

    async def _ask(self, state: _State, head: Head) -> WitnessAnswer:
        assert self._client is not None  # noqa: S101 - started before anything is brought
        checkpoint = self._cosignatures.plain(head)
        answer = WitnessAnswer(Outcome.BEHIND, "keeps answering with another size")
        for _ in range(TRIES):
            old = state.known if state.known <= head.size else 0
            proof = await self._log.consistency(old, head.size, head) if 0 < old < head.size else []
            answer = await self._client.ask(state.witness, AddCheckpoint(old, tuple(proof), checkpoint))
            if answer.outcome is Outcome.COSIGNED:
                await self._cosignatures.keep(head, answer.lines)
                state.known = head.size
                return answer
            if answer.outcome is not Outcome.BEHIND or answer.size is None:
                return answer
            if answer.size == old:
                return WitnessAnswer(Outcome.REFUSED, "contradicts itself on the size that it knows")
            if answer.size > head.size:
                return await self._ahead(state, answer.size)
            state.known = answer.size
        return answer

    async def _ahead(self, state: _State, size: int) -> WitnessAnswer:
        """A witness knows a larger log: from another process of ours, or because our log was set back."""
        newest = await self._log.head()
        if size > newest.size:
            why = f"has cosigned {size} events of this log, which has {newest.size}: the log was set back or forked"
            return WitnessAnswer(Outcome.FORKED, why)
        state.known = size
        self._wanted.set()
        return WitnessAnswer(Outcome.BEHIND, "was sent a newer checkpoint meanwhile", size=size)
