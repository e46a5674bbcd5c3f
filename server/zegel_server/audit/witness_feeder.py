"""Brings checkpoints to the witnesses, and their lines back. It follows the sequencer and never holds it up.

It goes by rounds: one checkpoint, the newest at that moment, is brought to all witnesses at once, so that their lines
come together under one checkpoint. Signatures, for who wires it::

    witness_feeder = WitnessFeeder(log, cosignatures, witnesses, registry, publisher)
    sequencer = Sequencer(database, log, witness_feeder)        # it starts and closes what it is given

Invariants:

* What a witness does, or does not do, ends in a log line and a count. It never stops the log, nor another witness.
* A round does not wait for a witness that is slow: that one is asked again once it has answered.
* Several processes may bring the same checkpoint; each line is kept once.
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
from zegel_server.audit.witnesses import Outcome, Told, Witness, WitnessClient
from zegel_server.errors import ZegelError

PACE_S: Final = 1.0
"""The least time between two rounds: witnesses serve many logs, and one line covers all events before it."""
GRACE_S: Final = 0.5
"""How long a round waits for those that have not answered, after which the next may begin without them."""
POLL_S: Final = 5.0
"""How often to look without being told: for what another process committed and did not bring, and for what failed."""
FIRST_PAUSE_S: Final = 1.0
"""How long a witness that failed is left alone, then twice as long each time."""
LONGEST_PAUSE_S: Final = 60.0
"""The longest: a witness may be back at any time."""
TRIES: Final = 3
"""Asks of one witness in a round: it may know another size, and that may change while it is asked."""


@dataclass(slots=True)
class _State:
    """What is known of a witness, in this process."""

    witness: Witness
    known: int = 0
    failures: int = 0
    due: float = 0.0
    done: bytes = b""
    task: asyncio.Task[None] | None = field(default=None)


class WitnessFeeder:
    """Asks witnesses, and publishes what they answer; a ``Publishing`` for the sequencer.

    Args:
        log: The log.
        cosignatures: Keeps the lines.
        witnesses: Whom to ask.
        registry: Where what came of it is counted.
        publisher: Brings checkpoints out; ``None`` for nobody.
    """

    def __init__(
        self,
        log: Log,
        cosignatures: Cosignatures,
        witnesses: Sequence[Witness],
        registry: CollectorRegistry,
        publisher: Publishing | None = None,
    ) -> None:
        self._log = log
        self._cosignatures = cosignatures
        self._states = [_State(each) for each in witnesses]
        self._publisher = publisher
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: WitnessClient | None = None
        self._report = structlog.get_logger("zegel.audit")
        self._asked = Counter(
            "zegel_witness_asks", "Asks of witnesses, by what came of them.", ["witness", "outcome"], registry=registry
        )
        self._sizes = Gauge(
            "zegel_witness_size",
            "Events under what a witness cosigned last.",
            ["witness"],
            registry=registry,
        )

    # ------------------------------------------------------------------------------------------------ running

    async def start(self) -> Head | None:
        """See ``Publishing``."""
        published = await self._publisher.start() if self._publisher else None
        self._client = WitnessClient()
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
        if self._client:
            await self._client.close()
            self._client = None
        if self._publisher:
            await self._publisher.close()

    async def run(self) -> None:
        """Goes round until it is cancelled."""
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
        """Brings the newest checkpoint to each witness that is idle, and waits a little for the answers.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``): nobody is asked to cosign that.
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
        """Brings a checkpoint to one witness; whatever happens is told and counted here."""
        try:
            if await self._cosignatures.has(head, state.witness):
                state.done = head.root  # by another process, or before the last start
                return
            told = await self._ask(state, head)
        except Exception as error:  # noqa: BLE001 - it must not end the others
            told = Told(Outcome.AWAY, f"could not be asked ({type(error).__name__})")
        self._asked.labels(state.witness.name, told.outcome).inc()
        if told.outcome is Outcome.COSIGNED:
            state.failures, state.due, state.done = 0, 0.0, head.root
            self._sizes.labels(state.witness.name).set(head.size)
            if self._publisher:
                self._publisher.committed()
            return
        state.failures += 1
        pause = min(FIRST_PAUSE_S * 2.0 ** min(state.failures - 1, 32), LONGEST_PAUSE_S)
        state.due = asyncio.get_running_loop().time() + pause
        grave = told.outcome in {Outcome.FORKED, Outcome.FORGED}
        (self._report.error if grave else self._report.warning)(
            "a witness did not cosign",
            witness=state.witness.name,
            outcome=str(told.outcome),
            why=told.why,
            size=head.size,
            again_s=pause,
        )

    async def _ask(self, state: _State, head: Head) -> Told:
        assert self._client is not None  # noqa: S101 - started before anything is brought
        checkpoint = self._cosignatures.plain(head)
        told = Told(Outcome.BEHIND, "knows another size each time")
        for _ in range(TRIES):
            old = state.known if state.known <= head.size else 0
            proof = await self._log.consistency(old, head.size, head) if 0 < old < head.size else []
            told = await self._client.ask(state.witness, AddCheckpoint(old, tuple(proof), checkpoint))
            if told.outcome is Outcome.COSIGNED:
                await self._cosignatures.keep(head, told.lines)
                state.known = head.size
                return told
            if told.outcome is not Outcome.BEHIND or told.size is None:
                return told
            if told.size == old:
                return Told(Outcome.REFUSED, "contradicts itself on the size that it knows")
            if told.size > head.size:
                return await self._ahead(state, told.size)
            state.known = told.size
        return told

    async def _ahead(self, state: _State, size: int) -> Told:
        """A witness has seen more than this checkpoint: of another process of ours, or of a log that was set back."""
        newest = await self._log.head()
        if size > newest.size:
            why = f"has cosigned {size} events of this log, which has {newest.size}: the log was set back or forked"
            return Told(Outcome.FORKED, why)
        state.known = size
        self._wanted.set()
        return Told(Outcome.BEHIND, "was brought a newer checkpoint meanwhile", size=size)
