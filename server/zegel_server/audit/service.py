"""The use cases of the audit trail: reading events, proving them, and the evidence of a signature request.

How to set it up::

    trail = AuditTrail(database, keys, log, sequencer, cosignatures)
    await trail.evidence(audit_id)      # for sealing: Evidence(audit_jsonl, proof)
    await trail.flush()                 # everything committed so far is under a checkpoint

Invariants:

* Only events under a signed checkpoint are shown, each after it was checked against one: an altered event, tile or
  checkpoint is never served.
* A caller sees only events of its own tenant, and of those what its scopes of ``audit.read`` reach: all; its own acts
  and the requests that it owns; or the request that it is a party to.
* A watch leaves nothing out and sends nothing twice: it follows the log's indexes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from zegel.evidence.openings import check_openings
from zegel.evidence.tiles import TILE_WIDTH
from zegel.evidence.trail import MAX_TRAIL_BYTES, SEALED_EVENT_TYPE, LeafFields, check_trail
from zegel.evidence.transparency import HASH_SIZE, LogProof, leaf_hash
from zegel_server import ids
from zegel_server.audit import store
from zegel_server.audit.answers import ConsistencyProof, Evidence, RequestOpenings, TransactionRecord
from zegel_server.audit.cosignatures import Cosignatures
from zegel_server.audit.leaf import commitment
from zegel_server.audit.log import Head, Log, damaged
from zegel_server.audit.model import AuditEvent, Contradiction, EventFilter, event_of, leaf_facts
from zegel_server.audit.sequencer import Sequencer
from zegel_server.audit.trail_quota import trail_full
from zegel_server.caller import UNNAMED, Caller, Scope
from zegel_server.db import Row
from zegel_server.db.database import Database
from zegel_server.edge import validation
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import NotFound, OutOfRange, Unavailable
from zegel_server.keys.service import Keys

PERMISSION: Final = "audit.read"
"""The permission to read events."""
WINDOW: Final = 4_096
"""Events of a tenant that one query searches for matches of a filter: a few milliseconds of the event loop."""
WINDOWS: Final = 64
"""Searches per page: a page with few matches ends after them, and its token continues from there."""
CHUNK: Final = 256
"""Events that a watch reads in one query."""
WATCH_S: Final = 0.25
"""How often a watch looks for events that another process brought into the log."""


class AuditTrail:
    """Reads and proves events.

    Args:
        database: Where the rows are.
        keys: Decrypts personal data.
        log: Reads the log.
        sequencer: Integrates waiting events, and signals new ones.
        cosignatures: Knows the witnesses' lines; ``None`` if there are no witnesses.
        openings: Returns what opens the commitments in a request's trail; ``None`` if nothing does.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        log: Log,
        sequencer: Sequencer,
        cosignatures: Cosignatures | None = None,
        *,
        openings: RequestOpenings | None = None,
    ) -> None:
        self._cosignatures = cosignatures or Cosignatures(database, log)
        self._database = database
        self._keys = keys
        self._log = log
        self._sequencer = sequencer
        self._openings = openings

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._log.key.origin

    @property
    def verifier_key(self) -> str:
        """The log's verifier key, as C2SP ``signed-note`` writes it."""
        return str(self._log.key.verifier)

    async def flush(self) -> None:
        """Returns once everything committed before the call is under a checkpoint.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``).
            Unavailable: The database does not answer.
        """
        await self._sequencer.flush()

    # ------------------------------------------------------------------------------------------------- events

    async def list_events(self, caller: Caller, wanted: EventFilter, page: PageRequest) -> Page[AuditEvent]:
        """Lists events.

        Args:
            caller: Who asks.
            wanted: Which events.
            page: Which page; its position is the first event's index in the log.

        Raises:
            NotFound: The caller does not reach the signature request.
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        query = await self._query(caller, wanted)
        head = await self._log.head()
        events: list[AuditEvent] = []
        (first,) = page.start(0)
        for _ in range(WINDOWS):
            found, first, more = await self._look(caller, query, head, first, page.size - len(events))
            events += found
            if not more:
                return Page(events)
            if len(events) == page.size:
                break
            await asyncio.sleep(0)
        return Page(events, (first,))

    async def watch(self, caller: Caller, wanted: EventFilter, *, first: int) -> AsyncIterator[AuditEvent]:
        """Yields events from an index on, and then new ones as they come, until it is closed.

        Args:
            caller: Who asks.
            wanted: Which events.
            first: The least index in the log.

        Raises:
            NotFound: The caller does not reach the signature request.
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        query = await self._query(caller, wanted)
        while True:
            head = await self._log.head()
            more = first < head.size
            if more and wanted.signature_request_id:
                await self._request(caller, wanted.signature_request_id)  # it may have changed hands meanwhile
            while more:
                found, first, more = await self._look(caller, query, head, first, CHUNK)
                for event in found:
                    yield event
                await asyncio.sleep(0)
            first = max(first, head.size)
            await self._sequencer.wait(head.size, WATCH_S)

    async def _query(self, caller: Caller, wanted: EventFilter) -> dict[str, Any]:
        """The query parameters that restrict a list to what is wanted and may be seen."""
        scopes = caller.demand(PERMISSION)
        trail = None
        party = ""
        owners = caller.reach(PERMISSION)
        if wanted.signature_request_id:
            # The whole trail: a caller who reaches the request sees what others did to it.
            trail, owners = (await self._request(caller, wanted.signature_request_id)).audit_id, ""
        elif scopes & Scope.PARTY and caller.signature_request_id:
            party = (await self._request(caller, caller.signature_request_id)).audit_id
        return {
            "tenant_id": caller.tenant_id,
            "all": 0 if owners else 1,
            "own": caller.principal_id if scopes & Scope.OWN else UNNAMED,
            "owners": owners,
            "party": party or UNNAMED,
            "types": "".join(f",{number}" for number in sorted(wanted.types)) + "," if wanted.types else "",
            "principal_id": wanted.principal_id,
            "start_time": wanted.start_time,
            "end_time": wanted.end_time,
            **({} if trail is None else {"trail": trail}),
        }

    async def _request(self, caller: Caller, signature_request_id: str) -> Row:
        row = None
        if ids.is_id(signature_request_id, "req"):
            row = await self._database.fetch_one(
                store.REQUEST,
                tenant_id=caller.tenant_id,
                signature_request_id=signature_request_id,
                **_reach(caller),
            )
        if row is None:
            raise NotFound("signature_request")
        return row

    async def _look(
        self, caller: Caller, query: Mapping[str, Any], head: Head, first: int, limit: int
    ) -> tuple[list[AuditEvent], int, bool]:
        """Searches one window of events; returns the matches, where to continue, and whether there is more."""
        end = head.size
        statement = store.EVENTS_OF_TRAIL
        if "trail" not in query:
            statement = store.EVENTS_OF_TENANT
            rest = await self._database.fetch_one(store.WINDOW, tenant_id=caller.tenant_id, first=first, width=WINDOW)
            end = min(end, rest.leaf_index) if rest else end
        rows = await self._database.fetch(statement, **query, first=first, end=end, limit=limit)
        events = await self._events(rows, head)
        if len(rows) == limit:
            return events, events[-1].log_index + 1, True
        return events, end, end < head.size

    async def _events(self, rows: Sequence[Row], head: Head) -> list[AuditEvent]:
        """Checks rows against the log and reads them."""
        bundles: dict[int, bytes] = {}
        events = []
        for row in rows:
            bundle, offset = divmod(row.leaf_index, TILE_WIDTH)
            hashes = bundles.get(bundle)
            if hashes is None:
                hashes = bundles[bundle] = await self._log.leaf_hashes(bundle, head)
            if leaf_hash(row.leaf) != hashes[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]:
                raise damaged(f"event {row.leaf_index} is not what was signed")
            events.append(await self._event(row))
        return events

    async def _event(self, row: Row) -> AuditEvent:
        """Reads a row whose leaf was found in the log."""
        pseudonym = await self._keys.pseudonym(row.tenant_id) if row.tenant_id else ""
        try:
            facts = leaf_facts(row, pseudonym)
        except Contradiction as error:
            raise damaged(f"the row of event {row.leaf_index} contradicts its leaf") from error
        personal: dict[str, str] = {}
        if row.personal is not None:
            key = await self._keys.subject_key(row.subject_id)
            if key is not None:
                personal = self._keys.decrypt_personal(key, row.personal, row.subject_id)
                if commitment(key, personal) != facts["personal"]:
                    raise damaged(f"the personal data of event {row.leaf_index} is not what was recorded")
        return event_of(
            row,
            facts,
            log_index=row.leaf_index,
            signature_request_id=row.signature_request_id,
            personal=personal,
        )

    # ------------------------------------------------------------------------------------------------- proofs

    async def checkpoint(self) -> Head:
        """The newest signed checkpoint, of those that have enough cosignatures.

        Raises:
            Unavailable: There is no such checkpoint yet (``NOT_WITNESSED_YET``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        return await self._cosignatures.demanded()

    async def inclusion_proof(self, caller: Caller, event_id: str) -> bytes:
        """Proves that an event is in the log.

        Args:
            caller: Who asks.
            event_id: Which event.

        Returns:
            A C2SP ``tlog-proof`` that carries the leaf.

        Raises:
            NotFound: There is no such event within the caller's reach.
            Unavailable: It is not under a checkpoint yet (``NOT_INTEGRATED_YET``), or not under one with enough
                cosignatures (``NOT_WITNESSED_YET``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        validation.identifier(event_id, "evt", "event_id", "event")
        caller.demand(PERMISSION)
        own = caller.principal_id if caller.scopes(PERMISSION) & Scope.OWN else UNNAMED
        row = await self._database.fetch_one(
            store.EVENT, tenant_id=caller.tenant_id, event_id=event_id, own=own, **_reach(caller)
        )
        if row is None:
            raise NotFound("event")
        head = await self._log.head()
        if row.leaf_index is None or row.leaf_index >= head.size:
            raise _not_yet()
        return await self._proof(row.leaf_index, bytes(row.leaf), head, carried=True)

    async def _proof(self, index: int, leaf: bytes, head: Head, *, carried: bool) -> bytes:
        head = await self._cosignatures.covering(index + 1, head)
        hashes = await self._log.inclusion(index, leaf_hash(leaf), head)
        return LogProof(index, tuple(hashes), head.checkpoint, leaf if carried else b"").format()

    async def consistency_proof(self, first: int, second: int) -> ConsistencyProof:
        """Proves that the log at one size is a prefix of the log at a later size.

        Args:
            first: The earlier size, at least 1.
            second: The later size; 0 for that of the checkpoint that is handed out.

        Raises:
            OutOfRange: The log was never so large, or the sizes are not in order.
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        head = await self._log.head()
        served = await self._cosignatures.newest()
        second = second or (served or head).size
        if second < 0 or second > head.size:
            raise OutOfRange("second_size", f"must be at most the log's size, {head.size}")
        if not 1 <= first <= second:
            raise OutOfRange("first_size", f"must be from 1 to the later size, {second}")
        hashes = await self._log.consistency(first, second, head)
        return ConsistencyProof(second, hashes, served.checkpoint if served and second == served.size else b"")

    # ----------------------------------------------------------------------------------------------- evidence

    async def transaction(self, caller: Caller, audit_id: str) -> TransactionRecord:
        """Returns all that the log knows about a signature request, found by its audit ID.

        Args:
            caller: Who asks.
            audit_id: The audit ID.

        Raises:
            NotFound: There is none within the caller's reach.
            ResourceExhausted: It has more events than evidence can carry (``TRAIL_FULL``).
            Unavailable: Its proofs lack required cosignatures (``NOT_WITNESSED_YET``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        validation.identifier(audit_id, "aud", "audit_id", "audit_id")
        caller.demand(PERMISSION)
        request = await self._database.fetch_one(
            store.REQUEST_BY_AUDIT_ID, tenant_id=caller.tenant_id, audit_id=audit_id, **_reach(caller)
        )
        if request is None:
            raise NotFound("audit_id")
        # So that a caller finds what it has just done.
        if await self._database.fetch_one(store.TRAIL_IS_WAITING, trail=audit_id) is not None:
            await self.flush()
        head, rows, evidence, leaves = await self._trail(audit_id)
        openings = b""
        if self._openings is not None:
            openings = await self._openings(caller.tenant_id, request.signature_request_id)
        if openings and not check_openings(leaves, openings, complete=False).ok:
            raise damaged("a signature request's documents or fields are not those that were sent")
        sealed_proof = b""
        events = []
        for row in rows:
            event = await self._event(row)
            events.append(event)
            if leaf_facts(row, None)["type"] == SEALED_EVENT_TYPE:
                sealed_proof = await self._proof(row.leaf_index, event.leaf, head, carried=True)
        return TransactionRecord(request.signature_request_id, events, evidence, sealed_proof, openings)

    async def evidence(self, trail: str) -> Evidence:
        """The evidence of a trail: each event that was committed, under the newest checkpoint.

        For the server itself: to use it on behalf of a caller, check first what the caller may see.

        Args:
            trail: The audit ID.

        Raises:
            Unavailable: An event of it is not under a checkpoint yet, or it has no event (``NOT_INTEGRATED_YET``); or
                not under one with enough cosignatures (``NOT_WITNESSED_YET``).
            ResourceExhausted: The trail has more events than evidence can carry (``TRAIL_FULL``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        if await self._database.fetch_one(store.TRAIL_IS_WAITING, trail=trail) is not None:
            raise _not_yet()
        return (await self._trail(trail))[2]

    async def _trail(self, trail: str) -> tuple[Head, Sequence[Row], Evidence, Sequence[LeafFields]]:
        # Reads its length first: what is read later can be longer, never shorter.
        known = await self._database.fetch_one(store.TRAIL, trail=trail)
        head = await self._log.head()
        rows = await self._database.fetch(store.TRAIL_EVENTS, trail=trail, end=head.size)
        if len(rows) < (known.length if known else 0):
            raise damaged("events of a signature request are missing")
        if not rows:
            raise _not_yet()
        lines = b"".join(bytes(row.leaf) + b"\n" for row in rows)
        if len(lines) > MAX_TRAIL_BYTES:
            raise trail_full(
                "The signature request has more events than evidence can carry; read them with ListEvents."
            )
        proof = await self._proof(rows[-1].leaf_index, bytes(rows[-1].leaf), head, carried=False)
        # The same check that whoever receives the evidence will make.
        witnesses, quorum = self._cosignatures.keys, self._cosignatures.needed
        report = check_trail(lines, proof, [self._log.key.verifier], witnesses=witnesses, quorum=quorum)
        if not report.ok:
            raise damaged("the events of a signature request are not those that were signed")
        return head, rows, Evidence(lines, proof), report.leaves


def _reach(caller: Caller) -> dict[str, str]:
    """The query parameters that restrict a query to the requests whose trails a caller may read."""
    party = caller.scopes(PERMISSION) & Scope.PARTY and caller.signature_request_id
    return {"owners": caller.reach(PERMISSION), "party": party or UNNAMED}


def _not_yet() -> Unavailable:
    return Unavailable("The event is not under a checkpoint yet; try again in a moment.", reason="NOT_INTEGRATED_YET")
