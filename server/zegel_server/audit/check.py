"""Checking the whole log from its rows: for ``zegel-server audit check``, and for whoever restored a database.

    report = await AuditCheck(database, keys, log, publisher).run()

Invariants:

* Everything is recomputed: leaves, tiles, root and trails from the rows, and the rows from the leaves. What a signed
  checkpoint confirms is right; what differs from it was altered, and is named.
* It goes on after a finding, and writes nothing. The server may run meanwhile: the check is of the newest checkpoint
  when it began.
* Memory does not grow with the log: some hundred rows at a time. Findings beyond ``MAX_FINDINGS`` are counted only.
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
"""Findings that are told one by one: a log with more of them is not mended by hand."""
ROWS: Final = 512
"""Rows read at once."""
CLOCK_STEP: Final = clock.SECOND
"""How far an event's time may lie before that of the one in front of it: transactions overtake one another by less."""


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        events: Events under the checkpoint.
        waiting: Events that wait for their place.
        findings: What was altered, in words; no personal data.
        more: Further findings that are not told.
        clock_steps: Places of events whose time lies before that of the event in front: the server's clock went back.
            The order is that of the log, so this takes nothing from it.
        unread: Events whose personal data could not be held against its commitment, since their tenant's own key
            provider does not give the key. All else of them was checked.
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
        """Notes what was altered."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(what)
        else:
            self.more += 1


class AuditCheck:
    """Checks every row of the log.

    Args:
        database: Where the rows are.
        keys: Knows tenants' pseudonyms and opens personal data.
        log: Reads the log.
        publisher: Knows what was published; ``None`` where nothing is.
        progress: Told how many events were looked at.
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
                # Since the check began, the log may have grown.
                if row.leaf_index >= self._log.size and row.leaf_index >= (await self._log.head()).size:
                    report.find(f"event {row.event_id} has place {row.leaf_index}, which no checkpoint covers")
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
        # What the checkpoint in the database says by itself can still be held against the rows.
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
                # One that the next bundles make wider is looked at when it is full, or at the end.
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
        """Checks up to 256 rows, and returns their leaf hashes: the signed ones, as far as they are known."""
        first = bundle * TILE_WIDTH
        width = min(TILE_WIDTH, head.size - first)
        rows = await self._database.fetch(store.EVENTS_BY_INDEX, first=first, end=first + width)
        by_place = {row.leaf_index - first: row for row in rows}
        signed = await self._signed_hashes(bundle, width, head)
        hashes: list[bytes] = []
        for place in range(width):
            row = by_place.get(place)
            should = signed[place * HASH_SIZE : (place + 1) * HASH_SIZE] if signed else b""
            has = leaf_hash(row.leaf) if row is not None and row.leaf is not None else b""
            if row is None or not has:
                report.find(f"event {first + place} is missing")
            elif should and has != should:
                report.find(f"event {first + place} ({row.event_id}): its leaf is not the one that was signed")
            else:
                await self._check_row(row, report)
            hashes.append(should or has or bytes(HASH_SIZE))
        return hashes

    async def _signed_hashes(self, bundle: int, width: int, head: Head) -> bytes | None:
        """The leaf hashes as the checkpoint confirms them, or ``None`` where the tiles are not to be believed."""
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
                        report.find(f"tile {row.level}/{row.tile_index} holds more than any checkpoint covers")
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
                report.find(f"{name}: a draft stands beside its leaf")
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
                # The one before is all that the next one needs.
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
            return  # told of by the check of the row
        if not follows or not linked:
            report.find(f"{name}: it does not follow the event in front of it in its trail")
        if row.request_id is not None and (row.request_id, row.request_tenant_id) != (
            row.signature_request_id,
            row.tenant_id,
        ):
            report.find(f"{name}: its row names another signature request than its trail")

    async def _end_trail(self, last: Row, report: CheckReport) -> None:
        try:
            facts: Any = loads(last.leaf)
        except CanonicalError:
            return
        if last.length == facts["seq"] and last.head == leaf_hash(last.leaf):
            return
        # It may have grown since the check began.
        known = await self._database.fetch_one(store.TRAIL, trail=last.trail)
        rows: Sequence[Row] = await self._database.fetch(store.TRAIL_EVENTS, trail=last.trail, end=LAST)
        if known is None or known.length != len(rows) or known.head != leaf_hash(rows[-1].leaf):
            report.find(f"trail {last.trail}: its events are not as many as were recorded, or its end is another")

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
                    report.find(f"event {row.event_id}, which waits for its place, is malformed")
            after = rows[-1].event_number
