"""Makes the calls of the matrix's cells, many at a time, and holds every answer against the declared one."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from security.cells import ABSENT, DENIED, INVALID, PASS, SAME, Cell
from security.world import World

CONNECTIONS: Final = 3
IN_FLIGHT: Final = 96
"""Calls under way at a time: both cores are busy, and no queue grows."""
STREAM_S: Final = 5.0
"""How long the first message of an endless stream is waited for."""
ENDLESS: Final = frozenset({"WatchEvents"})
"""Streams that may have nothing to tell: who is not refused in that time was let through."""
CLIENT_FAULT: Final = "Internal error from Core"
"""What grpc.aio says of its own failure; no server sent it."""
TELL_S: Final = 15.0
"""How often it is told how far a long run has come."""
FAILED: Final = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "UNIMPLEMENTED", "DATA_LOSS"})
"""What no request, however made, may be answered with here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a caller can see of an answer, but for its time.

    Attributes:
        code: Name of the status.
        message: Its text.
        metadata: Trailing metadata, the details in it.
        body: The answer itself, where the call went through.
    """

    code: str
    message: str = ""
    metadata: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        """The one ``ErrorInfo``; an empty one where there is none."""
        found = error_details_pb2.ErrorInfo()
        for key, value in self.metadata:
            if key == "grpc-status-details-bin":
                for each in status_pb2.Status.FromString(value).details:
                    if each.Is(found.DESCRIPTOR):
                        each.Unpack(found)
        return found

    @property
    def outcome(self) -> str:
        """The code, with the reason where the code alone does not say enough."""
        return f"{self.code}/{self.info.reason}" if self.code == "PERMISSION_DENIED" else self.code


def _metadata(found: Any) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((key, value.encode() if isinstance(value, str) else value) for key, value in found or ()))


@dataclass
class Findings:
    """What came out.

    Attributes:
        probes: Calls made.
        leaks: Answers that tell apart what must look the same, or let through what must not be.
        mismatches: Other answers than the declared ones: refused where it is allowed, failed.
        outcomes: How often each outcome came.
        client_faults: Calls that the client's library itself lost, and that were made again.
        cells: How many cells, by what is expected.
    """

    probes: int = 0
    leaks: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    client_faults: int = 0
    cells: Counter[str] = field(default_factory=Counter)


class Prober:
    """Makes calls, and holds what comes against what is declared.

    Args:
        world: The server and who calls it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.findings = Findings()
        self._alike: dict[tuple[str, str], Answer] = {}
        self._methods: dict[tuple[int, str], Any] = {}
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> Self:
        credentials = grpc.ssl_channel_credentials(self.world.server.authority)
        for number in range(CONNECTIONS):
            options = [("grpc.use_local_subchannel_pool", 1), ("zegel.number", number)]
            self._channels.append(grpc.aio.secure_channel(self.world.server.listen, credentials, options=options))
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close(None)

    async def ask(self, cell: Cell, payload: bytes, number: int) -> Answer:
        """Makes one call.

        Args:
            cell: Whose.
            payload: The request.
            number: Chooses the connection.
        """
        descriptor = cell.rpc.descriptor
        metadata = None if cell.token is None else (("authorization", f"Bearer {cell.token}"),)
        self.findings.probes += 1
        method = self._method(cell, number % CONNECTIONS)
        call = method(iter((payload,)) if descriptor.client_streaming else payload, metadata=metadata, timeout=60)
        try:
            if not descriptor.server_streaming:
                body = await call
            else:
                try:
                    body = await (asyncio.wait_for(call.read(), STREAM_S) if cell.rpc.name in ENDLESS else call.read())
                except TimeoutError:
                    return Answer("OK")
                finally:
                    call.cancel()
            return Answer("OK", body=body if isinstance(body, bytes) else b"")
        except grpc.aio.AioRpcError as error:
            if error.details() == CLIENT_FAULT and not error.trailing_metadata():
                # It wrote into a stream that the server had refused already, and lost the refusal.
                self.findings.client_faults += 1
                return await self.ask(cell, payload, number)
            return Answer(error.code().name, error.details() or "", _metadata(error.trailing_metadata()))

    def _method(self, cell: Cell, number: int) -> Any:
        key = (number, cell.rpc.path)
        found = self._methods.get(key)
        if found is None:
            channel, descriptor = self._channels[number], cell.rpc.descriptor
            kind: Any = {
                (False, False): channel.unary_unary,
                (True, False): channel.stream_unary,
                (False, True): channel.unary_stream,
            }[descriptor.client_streaming, descriptor.server_streaming]
            found = self._methods[key] = kind(cell.rpc.path)
        return found

    async def probe(self, cell: Cell, number: int) -> None:
        """Probes one cell.

        Args:
            cell: The cell.
            number: Which probe it is.
        """
        answer = await self.ask(cell, cell.payload, number)
        self.findings.cells[cell.expected] += 1
        self.findings.outcomes[answer.outcome] += 1
        if answer.code in FAILED:
            self.mismatch(cell, answer)
        elif cell.expected == PASS:
            self.check_pass(cell, answer)
        elif cell.expected == DENIED:
            self.check_alike(cell, answer, "PERMISSION_DENIED", "PERMISSION_DENIED", cell.rpc.name)
        elif cell.expected in {ABSENT, SAME}:
            assert cell.twin is not None
            twin = await self.ask(cell, cell.twin, number)
            if answer != twin:
                self.leak(cell, answer, twin)
            elif cell.expected == ABSENT and (answer.code, answer.info.reason) != ("NOT_FOUND", "RESOURCE_NOT_FOUND"):
                self.leak(cell, answer)
        elif cell.expected == INVALID:
            self.check_alike(cell, answer, "INVALID_ARGUMENT", answer.info.reason, f"{cell.rpc.name} {cell.about}")
        else:
            self.check_alike(cell, answer, "UNAUTHENTICATED", cell.expected, "")

    def check_pass(self, cell: Cell, answer: Answer) -> None:
        """A caller who is let through is told of the resource's state, not that it is absent or not allowed."""
        info = answer.info
        refused = (
            answer.code == "UNAUTHENTICATED"
            or answer.outcome == "PERMISSION_DENIED/PERMISSION_DENIED"
            or (answer.code == "NOT_FOUND" and cell.kind and info.metadata["resource"] == cell.kind)
        )
        if refused or (cell.passes and answer.outcome not in cell.passes):
            self.mismatch(cell, answer)

    def check_alike(self, cell: Cell, answer: Answer, code: str, reason: str, group: str) -> None:
        """A refusal is the declared one, and byte for byte that of the others of its group."""
        if answer.code != code or answer.info.reason != reason:
            self.leak(cell, answer)
            return
        first = self._alike.setdefault((group, reason), answer)
        if answer != first:
            self.leak(cell, answer, first)

    def leak(self, cell: Cell, answer: Answer, twin: Answer | None = None) -> None:
        """Notes an answer that tells too much."""
        self.findings.leaks.append(_told(cell, answer) + (f" but {_said(twin)}" if twin else ""))

    def mismatch(self, cell: Cell, answer: Answer) -> None:
        """Notes another answer than the declared one."""
        self.findings.mismatches.append(_told(cell, answer))

    async def run(
        self, cells: Iterator[Cell], probes: int | None = None, tell: Callable[[str], object] | None = None
    ) -> Findings:
        """Probes cells, many at a time.

        Args:
            cells: The cells.
            probes: Ends after so many calls; where left out, once there are no more cells.
            tell: Is told now and then how far it has come.
        """
        numbered = zip(itertools.count(), cells, strict=False)
        began = told = time.monotonic()

        async def work() -> None:
            nonlocal told
            for number, cell in numbered:
                await self.probe(cell, number)
                if probes is not None and self.findings.probes >= probes:
                    return
                if tell and time.monotonic() - told > TELL_S:
                    told = time.monotonic()
                    rate = self.findings.probes / (told - began)
                    tell(f"{self.findings.probes} probes, {rate:.0f}/s, {len(self.findings.leaks)} leaks\n")

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        return self.findings


def _said(answer: Answer) -> str:
    return f"{answer.code} {answer.info.reason} {dict(answer.info.metadata)} {answer.message!r} {len(answer.body)} B"


def _told(cell: Cell, answer: Answer) -> str:
    return f"{cell.rpc.name} by {cell.who}, {cell.about}: {cell.expected} expected, {_said(answer)}"
