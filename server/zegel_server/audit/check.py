"""Checking the whole log from its rows: for ``zegel-server audit check``, and after a database was restored.

    report = await AuditCheck(database, keys, log, publisher).run()

Invariants:

* Everything is recomputed: leaves, tiles, root and trails from the rows, and the rows from the leaves. A signed
  checkpoint decides what is right; whatever differs from it was altered, and is reported.
* It goes on after a finding, and writes nothing. The server may run meanwhile: the check covers what the newest
  checkpoint covered when it began.
* Memory does not grow with the log: a few hundred rows at a time. Findings beyond ``MAX_FINDINGS`` are only counted.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zegel.evidence.canonical import CanonicalError, loads
from zegel.evidence.tiles import TILE_WIDTH, Tile
from zegel.evidence.transparency import HASH_SIZE, leaf_hash
from zegel_server import clock
from zegel_server.audit import leaf, store
from zegel_server.audit.log import Head, Log
from zegel_server.audit.model import LAST, Contradiction, leaf_facts
from zegel_server.audit.publisher import Publisher
from zegel_server.audit.tree import Edge, append
from zegel_server.db import Database, Row
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable, ZegelError
from zegel_server.keys.service import Keys

MAX_FINDINGS: Final = 1_000
"""Findings that are reported one by one: a log with more is beyond repair by hand."""
ROWS: Final = 512
"""Rows read by one query."""
CLOCK_STEP: Final = clock.SECOND
"""How far an event's time may lie before its predecessor's: concurrent transactions commit out of order by less."""


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        events: Events under the checkpoint.
        waiting: Events that are not in the log yet.
        findings: What was altered, as sentences without personal data.
        more: How many further findings were only counted.
        clock_steps: Log indexes of events whose time lies before their predecessor's: the server's clock was set back.
            The log's order does not depend on the time, so this is no finding.
        unread: Events whose personal data could not be checked against its commitment, because the tenant's own key
            provider does not give the key. Everything else about them was checked.
    """

    events: int = 0
    waiting: int = 0
    findings: list[str] = field(default_factory=list)
    more: int = 0
    clock_steps: list[int] = field(default_factory=list)
    unread: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was altered."""
        return not self.findings

    def find(self, what: str) -> None:
        """Adds a finding."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(what)
        else:
            self.more += 1


class AuditCheck:
    """Checks every row of the log.

    Args:
        database: Where the rows are.
        keys: Looks up tenants' pseudonyms and decrypts personal data.
        log: Reads the log.
        publisher: Knows what was published; ``None`` if nothing is published.
        progress: Called with the number of events that have been checked.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        log: Log,
        publisher: Publisher | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._log = log
        self._publisher = publisher
        self._progress = progress
        self._time = 0

    async def run(self) -> CheckReport:
        """Checks everything.

        Raises:
            Unavailable: The database or the key provider does not answer.
        """
        report = CheckReport()
        head = await self._head(report)
        if head is not None:
            report.events = head.size
            await self._check_events(head, report)
            await self._check_tiles_past(head, report)
            await self._check_trails(head, report)
            for row in await self._database.fetch(store.EVENTS_PAST, end=head.size, limit=ROWS):
                # The log may have grown since the check began.
                if row.leaf_index >= self._log.size and row.leaf_index >= (await self._log.head()).size:
                    report.find(f"event {row.event_id} has index {row.leaf_index}, which no checkpoint covers")
        await self._check_waiting(report)
        return report

    async def _head(self, report: CheckReport) -> Head | None:
        try:
            published = await self._publisher.published() if self._publisher else None
            if published:
                self._log.know(published)
            return await self._log.head()
        except DataLoss as error:
            report.find(error.message)
        # The rows can still be checked against the checkpoint in the database.
        row = await self._database.fetch_one(store.HEAD)
        try:
            return self._log.parse(row.checkpoint) if row else None
        except DataLoss:
            return None

    # ------------------------------------------------------------------------------------------ events, tiles

    async def _check_events(self, head: Head, report: CheckReport) -> None:
        edge = Edge()
        for bundle in range(-(-head.size // TILE_WIDTH)):
            appended = append(edge, await self._check_bundle(bundle, head, report))
            edge = appended.edge
            for tile, data in appended.tiles:
                # A tile that the next bundles widen is checked when it is full, or at the end.
                if tile.width == TILE_WIDTH:
                    await self._check_tile(tile, data, report)
            self._progress(edge.size)
            await asyncio.sleep(0)
        for partial, data in zip(edge.tiles(), edge.partial, strict=True):
            if partial is not None:
                await self._check_tile(partial, data, report)
        if edge.root() != head.root:
            report.find(f"the events do not yield the signed root of {head.size} events")

    async def _check_bundle(self, bundle: int, head: Head, report: CheckReport) -> list[bytes]:
        """Checks up to 256 rows, and returns their leaf hashes: the signed hashes where they are known."""
        first = bundle * TILE_WIDTH
        width = min(TILE_WIDTH, head.size - first)
        rows = await self._database.fetch(store.EVENTS_BY_INDEX, first=first, end=first + width)
        by_offset = {row.leaf_index - first: row for row in rows}
        signed = await self._signed_hashes(bundle, width, head)
        hashes: list[bytes] = []
        for offset in range(width):
            row = by_offset.get(offset)
            should = signed[offset * HASH_SIZE : (offset + 1) * HASH_SIZE] if signed else b""
            has = leaf_hash(row.leaf) if row is not None and row.leaf is not None else b""
            if row is None or not has:
                report.find(f"event {first + offset} is missing")
            elif should and has != should:
                report.find(f"event {first + offset} ({row.event_id}): its leaf is not the one that was signed")
            else:
                await self._check_row(row, report)
            hashes.append(should or has or bytes(HASH_SIZE))
        return hashes

    async def _signed_hashes(self, bundle: int, width: int, head: Head) -> bytes | None:
        """The leaf hashes as the checkpoint confirms them, or ``None`` if the tiles do not match it."""
        try:
            return await self._log.tile(Tile(0, bundle, width), head)
        except DataLoss:
            return None

    async def _check_tile(self, tile: Tile, data: bytes, report: CheckReport) -> None:
        row = await self._database.fetch_one(store.TILE, level=tile.level, tile_index=tile.index)
        if row is None:
            report.find(f"{tile.path} is missing")
        elif bytes(row.hashes[: len(data)]) != data:
            report.find(f"{tile.path} is not the one that was signed")

    async def _check_tiles_past(self, head: Head, report: CheckReport) -> None:
        level = tile_index = -1
        while rows := await self._database.fetch(store.TILES, level=level, tile_index=tile_index, limit=ROWS):
            for row in rows:
                wide = max((max(head.size, self._log.size) >> 8 * row.level) - row.tile_index * TILE_WIDTH, 0)
                if len(row.hashes) > min(wide, TILE_WIDTH) * HASH_SIZE:
                    newest = (await self._log.head()).size
                    wide = max((newest >> 8 * row.level) - row.tile_index * TILE_WIDTH, 0)
                    if len(row.hashes) > min(wide, TILE_WIDTH) * HASH_SIZE:
                        report.find(f"tile {row.level}/{row.tile_index} has more hashes than any checkpoint covers")
            level, tile_index = rows[-1].level, rows[-1].tile_index

    async def _check_row(self, row: Row, report: CheckReport) -> None:
        name = f"event {row.leaf_index} ({row.event_id})"
        if row.event_time < self._time - CLOCK_STEP:
            report.clock_steps.append(row.leaf_index)
        self._time = row.event_time
        try:
            loads(row.leaf)
            facts = leaf_facts(row, await self._keys.pseudonym(row.tenant_id) if row.tenant_id else "")
            if row.body:
                report.find(f"{name}: it has both a draft and a leaf")
            await self._check_personal(row, facts, name, report)
        except CanonicalError:
            report.find(f"{name}: its leaf is not in canonical form")
        except Contradiction:
            report.find(f"{name}: its row contradicts its leaf")
        except DataLoss as error:
            report.find(f"{name}: {error.message}")

    async def _check_personal(self, row: Row, facts: dict[str, Any], name: str, report: CheckReport) -> None:
        if row.personal is None:
            if facts["personal"] is not None:
                report.find(f"{name}: its personal data is missing")
            return
        try:
            key = await self._keys.subject_key(row.subject_id)
        except (Unavailable, FailedPrecondition):
            report.unread += 1
            return
        if key is None:
            return
        personal = self._keys.decrypt_personal(key, row.personal, row.subject_id)
        if leaf.commitment(key, personal) != facts["personal"]:
            report.find(f"{name}: its personal data is not what was recorded")

    # ------------------------------------------------------------------------------------------------- trails

    async def _check_trails(self, head: Head, report: CheckReport) -> None:
        trail: list[Row] = []
        name, after = "", LAST
        while rows := await self._database.fetch(
            store.EVENTS_BY_TRAIL, trail=name, after=after, end=head.size, limit=ROWS
        ):
            for row in rows:
                if trail and trail[-1].trail != row.trail:
                    await self._end_trail(trail[-1], report)
                    trail.clear()
                self._check_link(trail[-1] if trail else None, row, report)
                # The next row is checked against this one only.
                trail[:] = [row]
            name, after = rows[-1].trail, rows[-1].leaf_index
        if trail:
            await self._end_trail(trail[-1], report)
        for row in await self._database.fetch(store.EMPTY_TRAILS, limit=ROWS):
            report.find(f"all events of trail {row.trail} are missing")

    def _check_link(self, before: Row | None, row: Row, report: CheckReport) -> None:
        name = f"event {row.leaf_index} ({row.event_id})"
        try:
            facts: Any = loads(row.leaf)
            earlier: Any = loads(before.leaf) if before is not None else None
            follows = facts["seq"] == (earlier["seq"] + 1 if before is not None else 1)
            linked = facts["prev"] == (leaf_hash(before.leaf).hex() if before is not None else None)
        except (CanonicalError, KeyError, TypeError):
            return  # reported by the check of the row
        if not follows or not linked:
            report.find(f"{name}: it does not follow the previous event of its trail")
        if row.request_id is not None and (row.request_id, row.request_tenant_id) != (
            row.signature_request_id,
            row.tenant_id,
        ):
            report.find(f"{name}: its row and its trail name different signature requests")

    async def _end_trail(self, last: Row, report: CheckReport) -> None:
        try:
            facts: Any = loads(last.leaf)
        except CanonicalError:
            return
        if last.length == facts["seq"] and last.head == leaf_hash(last.leaf):
            return
        # The trail may have grown since the check began.
        known = await self._database.fetch_one(store.TRAIL, trail=last.trail)
        rows: Sequence[Row] = await self._database.fetch(store.TRAIL_EVENTS, trail=last.trail, end=LAST)
        if known is None or known.length != len(rows) or known.head != leaf_hash(rows[-1].leaf):
            report.find(f"trail {last.trail}: the number of its events, or its last event, is not what was recorded")

    async def _check_waiting(self, report: CheckReport) -> None:
        after = -1
        while rows := await self._database.fetch(store.WAITING_AFTER, after=after, limit=ROWS):
            for row in rows:
                report.waiting += 1
                try:
                    facts: Any = loads(leaf.complete(row.body, 1, None))
                    whole = facts["event_id"] == row.event_id and (facts["trail"] or "") == row.trail
                except (ZegelError, leaf.InvalidLeaf, CanonicalError, KeyError, TypeError):
                    whole = False
                if not whole:
                    report.find(f"event {row.event_id}, which is not in the log yet, is malformed")
            after = rows[-1].event_number
