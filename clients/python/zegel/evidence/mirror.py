"""Following a log from its tiles alone, without trusting its operator, as a monitor or a mirror does.

A log is a folder of files, local or on a web server (C2SP ``tlog-tiles``). ``Follower`` reads each entry once,
rebuilds the tree, and compares every tile and every checkpoint with it. Its state fits in a small file, from which it
can go on later; a log that has rewritten its past by then is caught.

Invariants:

* Nothing that the log serves is trusted: entries are hashed, tiles recomputed, and the root must be the one signed with
  the log's key.
* The tree only grows. A checkpoint that is smaller than the known one, or has the same size and another root, or whose
  entries form a log that does not continue the known one, raises ``LogRewritten`` with both signed checkpoints.
* Memory: one row of hashes for each level, and one bundle. Checking trails takes about a hundred bytes more for each
  trail.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zegel.evidence.log_sources import Source
from zegel.evidence.tiles import ENTRIES, TILE_WIDTH, Tile, decode_bundle
from zegel.evidence.transparency import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_NOTE_BYTES,
    Checkpoint,
    InvalidTile,
    TransparencyError,
    VerifierKey,
    leaf_hash,
    merkle_root,
    open_checkpoint,
)

STATE_FORMAT: Final = "zegel-log-state-v1"

_CHECKPOINT = "checkpoint"


class MissingFile(TransparencyError):  # noqa: N818 - named after what is wrong, as all of these
    """The log does not serve a file that its checkpoint covers."""


class LogRewritten(TransparencyError):  # noqa: N818
    """The log's past is not what it was before.

    Args:
        why: What differs.
        known: The checkpoint known from before, signed.
        shown: The checkpoint that the log serves now, signed.
    """

    def __init__(self, why: str, known: bytes, shown: bytes) -> None:
        super().__init__(why)
        self.known = known
        self.shown = shown


class InvalidTrail(TransparencyError):  # noqa: N818
    """The entries of a trail do not follow one another."""


# --------------------------------------------------------------------------------------------------------------- files


def fetch_checkpoint(
    source: Source, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = (), quorum: int = 0
) -> tuple[Checkpoint, bytes]:
    """Return the log's newest checkpoint, both parsed and as served.

    Args:
        source: Where the log is.
        keys: Verifier keys of the log.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned it.

    Raises:
        MissingFile: There is none.
        TransparencyError: As ``open_checkpoint``.
    """
    note = source.get(_CHECKPOINT)
    if note is None:
        raise MissingFile("there is no checkpoint")
    if len(note) > MAX_NOTE_BYTES:
        raise MissingFile("the checkpoint is too long")
    return open_checkpoint(note, keys, witnesses, quorum), note


def fetch_tile(source: Source, tile: Tile) -> bytes:
    """Return a tile or bundle, or the full one that has replaced a partial one.

    Raises:
        MissingFile: There is neither.
    """
    data = source.get(tile.path)
    if data is None and tile.width < TILE_WIDTH:
        data = source.get(Tile(tile.level, tile.index).path)
    if data is None:
        raise MissingFile(f"{tile.path} is missing")
    return data


def fetch_hashes(source: Source, tile: Tile) -> bytes:
    """Return the hashes of a tile, 32 bytes each, unchecked; raises as ``fetch_tile``, and ``InvalidTile``."""
    data = fetch_tile(source, tile)
    if len(data) not in {tile.width * HASH_SIZE, TILE_WIDTH * HASH_SIZE}:
        raise InvalidTile(f"{tile.path} is not as long as it should be")
    return data[: tile.width * HASH_SIZE]


def fetch_entries(source: Source, tile: Tile) -> list[bytes]:
    """Return the entries of a bundle, unchecked; raises as ``fetch_tile``, and ``InvalidTile``."""
    data = source.get(tile.path)
    if data is None:
        return decode_bundle(fetch_tile(source, tile), TILE_WIDTH)[: tile.width]
    return decode_bundle(data, tile.width)


# -------------------------------------------------------------------------------------------------------------- trails


class Trails:
    """Checks that the entries of each trail count 1, 2, 3, ... and that each holds the hash of the one before.

    It reads only what it needs from an entry, and leaves the check of its form to ``zegel.evidence.trail``.
    """

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, str]] = {}

    def add(self, index: int, entry: bytes, hashed: bytes) -> None:
        """Check the next entry.

        Args:
            index: Its index in the log.
            entry: The entry.
            hashed: Its leaf hash.

        Raises:
            InvalidTrail: It does not follow the one before it in its trail.
        """
        try:
            facts: Any = json.loads(entry)
            trail, seq, prev = facts["trail"], facts["seq"], facts["prev"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidTrail(f"entry {index} is no event") from error
        if trail is None and seq is None and prev is None:
            return
        length, end = self._ends.get(trail, (0, None)) if isinstance(trail, str) else (-1, None)
        if seq != length + 1 or prev != end:
            raise InvalidTrail(f"entry {index} does not follow the one before it in its trail")
        self._ends[trail] = (seq, hashed.hex())


# ------------------------------------------------------------------------------------------------------------ following


@dataclass(slots=True)
class Follower:
    """What is known of a log: its newest checked checkpoint, and the right edge of its tree.

    Args:
        keys: Verifier keys of the log.
        checkpoint: The newest checkpoint that was checked, signed; empty at the beginning.
        size: How many entries were read.
        rows: The hashes of each level's last, partial tile, from level 0 up.
        trails: Checks the trails too, if given; it must have been given all entries from the first.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned a checkpoint before it is followed.
    """

    keys: Sequence[VerifierKey]
    checkpoint: bytes = b""
    size: int = 0
    rows: list[list[bytes]] = field(default_factory=list)
    trails: Trails | None = None
    witnesses: Sequence[VerifierKey] = ()
    quorum: int = 0

    def root(self) -> bytes:
        """Return the root of the tree read so far, 32 bytes."""
        root: list[bytes] = []
        for row in self.rows:
            # To the right of a level's full subtrees there is at most one that is not full.
            root = [merkle_root(row + root)] if row or root else []
        return root[0] if root else EMPTY_ROOT

    def follow(self, source: Source, progress: Callable[[int], None] = lambda _: None) -> Checkpoint:
        """Read what the log has added, and check it.

        After an error, discard the follower and load a new one from the saved state.

        Args:
            source: Where the log is.
            progress: Called with the number of entries read so far.

        Returns:
            The log's newest checkpoint.

        Raises:
            LogRewritten: The log's past is not what it was before.
            InvalidTrail: Entries of a trail do not follow one another.
            MissingFile: A file is missing.
            TransparencyError: A file is not what the checkpoint commits to.
        """
        head, note = fetch_checkpoint(source, self.keys, self.witnesses, self.quorum)
        if head.size < self.size:
            why = f"the log had {self.size} entries and now shows a signed checkpoint of {head.size}"
            raise LogRewritten(why, self.checkpoint, note)
        before = self.size
        if head.size == before and head.root != self.root():
            raise LogRewritten(f"two different trees of {before} entries were signed", self.checkpoint, note)
        try:
            self._read(source, head, progress)
        except (InvalidTile, MissingFile) as error:
            if self.checkpoint and self._is_whole(source, head):
                why = f"the {head.size} entries shown now do not continue the {before} known"
                raise LogRewritten(why, self.checkpoint, note) from error
            raise
        self.checkpoint = note
        return head

    def _is_whole(self, source: Source, head: Checkpoint) -> bool:
        """Whether the log as served is consistent in itself, so that its signer is to blame and not a damaged file."""
        alone = Follower(self.keys)
        try:
            alone._read(source, head, lambda _: None)
        except (InvalidTile, MissingFile):
            return False
        return True

    def _read(self, source: Source, head: Checkpoint, progress: Callable[[int], None]) -> None:
        for bundle in range(self.size // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
            self._take_bundle(source, bundle, head)
            progress(self.size)
        if self.root() != head.root:
            raise InvalidTile("the entries do not lead to the signed root")
        for level, row in enumerate(self.rows):
            if row:
                tile = Tile(level, head.size >> 8 * (level + 1), len(row))
                if fetch_hashes(source, tile) != b"".join(row):
                    raise InvalidTile(f"{tile.path} does not follow from the entries")

    def _take_bundle(self, source: Source, bundle: int, head: Checkpoint) -> None:
        first = bundle * TILE_WIDTH
        entries = fetch_entries(source, Tile(ENTRIES, bundle, min(TILE_WIDTH, head.size - first)))
        known = self.rows[0] if self.rows else []
        hashes = [leaf_hash(entry) for entry in entries]
        if hashes[: len(known)] != known:
            raise InvalidTile(f"the entries from {first} on are not those that were there")
        if self.trails:
            for place in range(len(known), len(entries)):
                self.trails.add(first + place, entries[place], hashes[place])
        self.size = first + len(entries)
        self._push(source, 0, bundle, hashes)

    def _push(self, source: Source, level: int, index: int, row: list[bytes]) -> None:
        """Set a level's last tile; if it is full, check it and add its root to the level above."""
        while len(self.rows) <= level:
            self.rows.append([])
        self.rows[level] = row
        if len(row) < TILE_WIDTH:
            return
        tile = Tile(level, index)
        if fetch_hashes(source, tile) != b"".join(row):
            raise InvalidTile(f"{tile.path} does not follow from the entries")
        self.rows[level] = []
        above = self.rows[level + 1] if level + 1 < len(self.rows) else []
        self._push(source, level + 1, index // TILE_WIDTH, [*above, merkle_root(row)])

    # ---------------------------------------------------------------------------------------------------- state

    def save(self) -> bytes:
        """Return the state as JSON, to be stored and given to ``load``."""
        state = {
            "format": STATE_FORMAT,
            "checkpoint": self.checkpoint.decode(),
            "rows": [base64.b64encode(b"".join(row)).decode() for row in self.rows],
        }
        return json.dumps(state, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def load(cls, data: bytes, keys: Sequence[VerifierKey]) -> "Follower":
        """Read what ``save`` returned, and check that it is consistent.

        Args:
            data: The saved state.
            keys: Verifier keys of the log.

        Raises:
            TransparencyError: It is damaged, or belongs to another log.
        """
        try:
            state: Any = json.loads(data)
            note = state["checkpoint"].encode()
            packed = [base64.b64decode(row, validate=True) for row in state["rows"]]
            whole = state["format"] == STATE_FORMAT and all(len(row) % HASH_SIZE == 0 for row in packed)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidTile("the saved state is damaged") from error
        rows = [[row[i : i + HASH_SIZE] for i in range(0, len(row), HASH_SIZE)] for row in packed]
        head = open_checkpoint(note, keys)
        follower = cls(keys, note, head.size, rows)
        widths = [len(row) for row in rows]
        fits = widths == [head.size >> 8 * level & 0xFF for level in range(len(rows))] and not head.size >> 8 * len(
            rows
        )
        if not whole or not fits or follower.root() != head.root:
            raise InvalidTile("the saved state is damaged")
        return follower


def verify_log(
    source: Source,
    keys: Sequence[VerifierKey],
    *,
    trails: bool = True,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Checkpoint:
    """Check a whole log from its files alone: every entry, tile and trail against its signed checkpoint.

    Args:
        source: Where the log is.
        keys: Verifier keys of the log.
        trails: Whether to check that the entries of each trail follow one another.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned the checkpoint.
        progress: Called with the number of entries read so far.

    Returns:
        The checkpoint that commits to all of it.

    Raises:
        TransparencyError: As ``Follower.follow``.
    """
    follower = Follower(keys, trails=Trails() if trails else None, witnesses=witnesses, quorum=quorum)
    return follower.follow(source, progress)
