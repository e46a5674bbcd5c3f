"""The audit log: recording events against the same rows without a log; proofs by log size; verifying a whole log.

A round records events, each in its own transaction, from 64 concurrent tasks; the floor is the same without a
sequencer. Rounds are interleaved, each on an empty database, and medians are reported. Time runs until every event is
covered by a signed checkpoint. Proofs are made from tiles written for the purpose; only a sample of the events has
rows. Memory is measured in a separate process that records and sequences: its growth after the first fifth of the
events.
"""

import asyncio
import gc
import itertools
import multiprocessing
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import _run
from support import postgres
from support.audit_world import DOCUMENT, AuditWorld, open_world, prepare
from support.merkle_log import make_trail
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.mirror import verify_log
from zegel.evidence.tiles import ENTRIES, TILE_WIDTH, Tile, encode_bundle
from zegel.evidence.transparency import LogProof, leaf_hash
from zegel_server import clock
from zegel_server.audit.log import Head
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.model import EventFilter
from zegel_server.audit.tree import Edge, append
from zegel_server.edge.paging import PageRequest
from zegel_server.ids import new_id

AT_ONCE: Final = 64
"""Number of concurrent tasks that record: like the calls in progress in a busy server."""
TRAILS: Final = 50
"""Number of signature requests that the events belong to."""
ROUNDS: Final = {"small": 3, "large": 9}
EVENTS: Final = {"sqlite": {"small": 6_000, "large": 30_000}, "postgresql": {"small": 1_500, "large": 10_000}}
PROOF_SIZES: Final = {"small": (10_000, 1_000_000), "large": (10_000, 1_000_000, 10_000_000)}
PROOFS: Final = {"small": 2_000, "large": 20_000}
FSCK_EVENTS: Final = {"small": 100_000, "large": 1_000_000}
MEMORY_EVENTS: Final = {"small": 10_000, "large": 100_000}
MILLION: Final = 1_000_000
TRAIL_LENGTH: Final = 10
"""Number of events of each signature request in the log that is verified whole."""


class Clocked:
    """Stands in for the publisher, and notes when each checkpoint was committed."""

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self.checkpoints: list[tuple[float, int]] = []

    async def start(self) -> Head | None:
        """See ``Publishing.start``."""
        return None

    def committed(self) -> None:
        """See ``Publishing.committed``."""
        self.checkpoints.append((time.perf_counter(), self._size()))

    async def close(self) -> None:
        """See ``Publishing.close``."""


@dataclass(frozen=True)
class Round:
    """The results of a round.

    Attributes:
        rate: Events per second.
        cpu_us: Processor time per event, in microseconds: that of this process, so without PostgreSQL's.
        waits: How long each event waited for its checkpoint, in seconds.
    """

    rate: float
    cpu_us: float
    waits: Sequence[float]


async def record_round(url: str, folder: Path, events: int, *, logged: bool) -> Round:
    """Runs one round."""
    await prepare(url)
    world = await open_world(url, folder)
    clocked = Clocked(lambda: world.log.size)
    world.sequencer._publisher = clocked  # noqa: SLF001 - the clock stands in the publisher's place
    caller = world.caller()
    requests = [await world.add_request(caller.principal_id) for _ in range(TRAILS)]
    committed: dict[str, float] = {}
    numbers = iter(range(events))

    async def work() -> None:
        for number in numbers:
            [event_id] = await world.record(
                caller, "FIELDS_FILLED", request=requests[number % TRAILS], documents=[DOCUMENT]
            )
            committed[event_id] = time.perf_counter()

    if logged:
        await world.sequencer.start()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    if logged:
        await world.sequencer.flush()
    rate, cpu_us = events / (time.perf_counter() - began), (time.process_time() - cpu) / events * 1e6
    waits = await covering_waits(world, committed, clocked.checkpoints) if logged else []
    await world.close()
    return Round(rate, cpu_us, waits)


async def covering_waits(
    world: AuditWorld, committed: dict[str, float], checkpoints: Sequence[tuple[float, int]]
) -> list[float]:
    """Returns the time from each event's commit to the first checkpoint that covers it."""
    waits, caller, asked = [], world.caller(), PageRequest(1_000)
    covering = iter(checkpoints)
    moment, size = next(covering)
    while True:
        page = await world.trail.list_events(caller, EventFilter(), asked)
        for event in page.items:
            while size <= event.log_index:
                moment, size = next(covering)
            waits.append(max(0.0, moment - committed[event.event_id]))
        if page.next is None:
            return waits
        asked = PageRequest(1_000, page.next)


def measure_events(name: str, size: str, databases: Iterator[tuple[str, Path]]) -> dict[str, float]:
    """Runs interleaved rounds with and without a log."""
    events = EVENTS[name][size]
    rounds: list[tuple[Round, Round]] = []
    for number in range(ROUNDS[size]):
        url, folder = next(databases)
        logged = asyncio.run(record_round(url, folder, events, logged=True))
        url, folder = next(databases)
        floor = asyncio.run(record_round(url, folder, events, logged=False))
        rounds.append((logged, floor))
        print(
            f"{name}, round {number + 1}: {logged.rate:,.0f} events/s with the log, {floor.rate:,.0f} without"
            f" ({logged.cpu_us:.0f} and {floor.cpu_us:.0f} us of processor time),"
            f" checkpoint after {quantile(logged.waits, 50):.0f} ms (p50), {quantile(logged.waits, 99):.0f} ms (p99)",
            flush=True,
        )
    waits = [wait for logged, _ in rounds for wait in logged.waits]
    return {
        "events_per_second": round(_run.median([logged.rate for logged, _ in rounds])),
        "ratio_to_no_log": _run.rounded(_run.median([logged.rate / floor.rate for logged, floor in rounds])),
        "cpu_ratio_to_no_log": _run.rounded(_run.median([floor.cpu_us / logged.cpu_us for logged, floor in rounds])),
        "checkpoint_p50_ms": _run.rounded(quantile(waits, 50), 1),
        "checkpoint_p99_ms": _run.rounded(quantile(waits, 99), 1),
    }


def quantile(seconds: Sequence[float], percent: int) -> float:
    """Returns a percentile, in milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1_000


# --------------------------------------------------------------------------------------------------------------- memory


async def _grow(url: str, folder: Path, events: int) -> float:
    await prepare(url)
    world = await open_world(url, folder)
    caller = world.caller()
    # As many as the sender's side records in a trail, for a hundred thousand events.
    requests = [await world.add_request(caller.principal_id) for _ in range(TRAILS)]
    await world.sequencer.start()
    seen = []
    for _ in range(5):
        numbers = iter(range(events // 5))

        async def work(numbers: Iterator[int] = numbers) -> None:
            for number in numbers:
                await world.record(caller, "FIELDS_FILLED", request=requests[number % TRAILS], documents=[DOCUMENT])

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await world.sequencer.flush()
        gc.collect()
        seen.append(resident_bytes())
    await world.close()
    return (seen[-1] - seen[0]) / 2**20


def resident_bytes() -> int:
    """This process's resident memory, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_memory(url: str, folder: Path, events: int) -> float:
    """Returns the MiB by which a process that sequences the given number of events grows after the first fifth of them.

    Runs on PostgreSQL: SQLite's page cache, up to 64 MiB, is in this process and would hide the sequencer's memory.
    """
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        return alone.apply(_grown, (url, folder, events))


def _grown(url: str, folder: Path, events: int) -> float:
    return asyncio.run(_grow(url, folder, events))


# --------------------------------------------------------------------------------------------------------------- proofs


async def measure_proofs(leaves: int, proofs: int) -> tuple[float, int]:
    """Returns proofs served per second from a log of the given size, and the bytes of one without its leaf."""
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        url = f"sqlite:///{folder / 'zegel.sqlite'}"
        await prepare(url)
        world = await open_world(url, folder)
        wanted = sorted(random.Random(leaves).sample(range(leaves), min(proofs, leaves)))  # noqa: S311 - a sample
        ids = await asyncio.to_thread(write_log, folder / "zegel.sqlite", world, leaves, wanted)
        caller = world.caller()
        random.Random(0).shuffle(ids)  # noqa: S311 - as callers come
        await world.trail.inclusion_proof(caller, ids[0])
        began = time.perf_counter()
        found = [await world.trail.inclusion_proof(caller, event_id) for event_id in ids]
        rate = len(ids) / (time.perf_counter() - began)
        await world.close()
    return rate, max(len(replace(LogProof.parse(each), extra=b"").format()) for each in found)


def write_log(path: Path, world: AuditWorld, leaves: int, wanted: Sequence[int]) -> list[str]:
    """Writes the tiles and checkpoint of a log, and the rows of the wanted events."""
    connection = sqlite3.connect(path)
    ids: dict[int, str] = {}
    edge = Edge()
    picked = set(wanted)
    for first in range(0, leaves, MILLION // 4):
        hashes = []
        for index in range(first, min(first + MILLION // 4, leaves)):
            leaf = b"leaf %d of a log for measuring, as long as leaves commonly are: " % index + b"." * 500
            hashes.append(leaf_hash(leaf))
            if index in picked:
                ids[index] = new_id("evt")
                connection.execute(
                    "INSERT INTO audit_events (event_id, tenant_id, signature_request_id, trail, event_type,"
                    " event_time, principal_id, subject_id, body, leaf_index, leaf)"
                    " VALUES (?, ?, '', '', 1, ?, '', '', '', ?, ?)",
                    (ids[index], world.tenant_id, clock.now(), index, leaf),
                )
        appended = append(edge, hashes)
        edge = appended.edge
        connection.executemany(
            "INSERT INTO audit_tiles VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes",
            ((tile.level, tile.index, data) for tile, data in appended.tiles),
        )
    checkpoint = world.log.key.checkpoint(leaves, edge.root())
    connection.execute("INSERT INTO audit_log VALUES (1, ?, ?, 0)", (leaves, checkpoint))
    connection.commit()
    connection.close()
    return list(ids.values())


# ----------------------------------------------------------------------------------------------------- the whole log


def measure_fsck(events: int) -> float:
    """Returns the seconds that ``zegel audit verify`` takes for a log of the given number of events."""
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        key = LogKey.open(folder)
        write_files(folder / "log", key, events)
        began = time.perf_counter()
        head = verify_log(FolderSource(folder / "log"), [key.verifier])
        seconds = time.perf_counter() - began
        if head.size != events:
            raise SystemExit("bench: the log is not as long as it was made")
    return seconds


def write_files(folder: Path, key: LogKey, events: int) -> None:
    """Writes a published log of trails of ten events each, with the events of several trails interleaved."""
    edge = Edge()

    def write(tile: Tile, data: bytes) -> None:
        (folder / tile.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / tile.path).write_bytes(data)

    stream = _mixed_trails(events)
    for bundle in range(-(-events // TILE_WIDTH)):
        entries = list(itertools.islice(stream, min(TILE_WIDTH, events - bundle * TILE_WIDTH)))
        write(Tile(ENTRIES, bundle, len(entries)), encode_bundle(entries))
        appended = append(edge, [leaf_hash(entry) for entry in entries])
        edge = appended.edge
        for tile, data in appended.tiles:
            if tile.width == TILE_WIDTH:
                write(tile, data)
    for partial, data in zip(edge.tiles(), edge.partial, strict=True):
        if partial is not None:
            write(partial, data)
    (folder / "checkpoint").write_bytes(key.checkpoint(edge.size, edge.root()))


def _mixed_trails(events: int) -> Iterator[bytes]:
    at_once = 100
    for group in range(-(-events // (TRAIL_LENGTH * at_once))):
        trails = [make_trail(TRAIL_LENGTH, trail=f"aud_{group:013d}{number:013d}") for number in range(at_once)]
        yield from itertools.chain.from_iterable(zip(*trails, strict=True))


# ------------------------------------------------------------------------------------------------------------- the run


@contextmanager
def sqlite_databases() -> Iterator[Iterator[tuple[str, Path]]]:
    """Empty SQLite files, each in its own folder."""
    with tempfile.TemporaryDirectory() as kept:

        def each() -> Iterator[tuple[str, Path]]:
            for number in itertools.count():
                folder = Path(kept) / str(number)
                folder.mkdir()
                yield f"sqlite:///{folder / 'zegel.sqlite'}", folder

        yield each()


@contextmanager
def postgresql_databases() -> Iterator[Iterator[tuple[str, Path]] | None]:
    """Empty databases of a PostgreSQL server with durable commits; ``None`` if it is not installed."""
    if postgres.binaries() is None:
        print("PostgreSQL is not installed (make tools installs it): left out", flush=True)
        yield None
        return
    cluster = postgres.start(durable=True)
    try:
        with tempfile.TemporaryDirectory() as kept:

            def each() -> Iterator[tuple[str, Path]]:
                for number in itertools.count():
                    folder = Path(kept) / str(number)
                    folder.mkdir()
                    yield cluster.url(cluster.create()), folder

            yield each()
    finally:
        cluster.stop()


def main() -> None:
    """Measures, and prints the figures."""
    size = _run.arguments(__doc__ or "").size
    figures: dict[str, Any] = {}
    with sqlite_databases() as databases:
        figures |= measure_events("sqlite", size, databases)
    with postgresql_databases() as found:
        if found is not None:
            of_postgresql = measure_events("postgresql", size, found)
            figures |= {f"postgresql_{name}": value for name, value in of_postgresql.items()}
            grown = measure_memory(*next(found), MEMORY_EVENTS[size])
            print(f"{MEMORY_EVENTS[size]:,} events sequenced: memory grew by {grown:.1f} MiB", flush=True)
            figures |= {"memory_growth_mib": _run.rounded(grown, 1), "memory_events": MEMORY_EVENTS[size]}
    for leaves in PROOF_SIZES[size]:
        rate, length = asyncio.run(measure_proofs(leaves, PROOFS[size]))
        print(f"{leaves:,} events: {rate:,.0f} proofs/s of {length:,} bytes", flush=True)
        figures |= {"proofs_per_second": round(rate), "proof_bytes": length, "proof_events": leaves}
        figures[f"proofs_per_second_{leaves}"] = round(rate)
    events = FSCK_EVENTS[size]
    seconds = measure_fsck(events)
    print(f"zegel audit verify: {events:,} events in {seconds:.1f} s", flush=True)
    # For a million events: the time grows with their number.
    figures |= {"fsck_seconds": _run.rounded(seconds * MILLION / events, 2), "fsck_events": events}
    _run.finish(**figures)


if __name__ == "__main__":
    main()
