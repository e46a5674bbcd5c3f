"""Reading the log: heads, tiles and proofs, each of which is checked before it is handed out.

Invariants:

* A head is accepted if the log's key signed it and the tiles prove that it continues the head known before. So a
  database that was set back, forked or edited is detected the next time it is read, and nothing is served from it.
* A proof, a tile or a leaf is handed out only after it was checked against a head.
* Memory does not grow with the log: one head and a bounded cache of tiles.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from zegel.evidence.tiles import TILE_WIDTH, Tile
from zegel.evidence.transparency import (
    EMPTY_ROOT,
    HASH_SIZE,
    InvalidProof,
    InvalidTile,
    TransparencyError,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from zegel_server import clock
from zegel_server.audit import store
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.tree import TILE_HEIGHT, Edge, Prover, edge_tiles
from zegel_server.db import Database, Row
from zegel_server.errors import DataLoss

DAMAGED: Final = "LOG_DAMAGED"
"""The ErrorReason of every error about an altered log."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head of this log.

    Attributes:
        size: Leaves of the tree.
        root: Its root, 32 bytes.
        checkpoint: The signed checkpoint.
    """

    size: int
    root: bytes
    checkpoint: bytes


def damaged(why: str) -> DataLoss:
    """The error for a log that was found altered.

    Args:
        why: What is wrong with the log, without personal data.
    """
    return DataLoss(f"The audit log was found altered: {why}.", reason=DAMAGED)


class Log:
    """Reads the log and checks what it reads.

    Args:
        database: Where its rows are.
        key: The log's key.
    """

    def __init__(self, database: Database, key: LogKey) -> None:
        self._database = database
        self.key = key
        self._known: Head | None = None
        self._prover = Prover(_Tiles(database))

    @property
    def known(self) -> Head | None:
        """The newest head that this process has seen, or ``None``."""
        return self._known

    @property
    def size(self) -> int:
        """Leaves under the newest head that this process has seen; another process may have made a newer one."""
        return self._known.size if self._known else 0

    async def create(self) -> None:
        """Creates the log if there is none: a signed head of the empty tree."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                store.INSERT_LOG,
                log_id=store.LOG_ID,
                size=0,
                checkpoint=self.key.checkpoint(0, EMPTY_ROOT),
                update_time=clock.now(),
            )

    def parse(self, checkpoint: bytes) -> Head:
        """Reads a checkpoint that should be this log's.

        Args:
            checkpoint: The signed note.

        Raises:
            DataLoss: The log's key did not sign it (``LOG_DAMAGED``).
        """
        try:
            opened = open_checkpoint(checkpoint, [self.key.verifier])
        except TransparencyError as error:
            raise damaged("a checkpoint is not signed by the log's key") from error
        return Head(opened.size, opened.root, bytes(checkpoint))

    def know(self, head: Head) -> None:
        """Accepts a head: whatever is read from now on must continue it.

        Args:
            head: One that was published, or that this process made and committed.
        """
        if self._known is None or head.size >= self._known.size:
            self._known = head

    async def head(self) -> Head:
        """The newest head.

        Raises:
            DataLoss: It does not continue the head known before (``LOG_DAMAGED``).
            Unavailable: The database does not answer.
        """
        known = self._known
        row = await self._database.fetch_one(store.HEAD)
        if known is not None and row is not None and row.checkpoint == known.checkpoint and row.size == known.size:
            return known
        head = self._parse_row(row)
        if known is not None:
            await self._check_continues(known, head)
        self.know(head)
        # This process may have committed a newer head while the row was being read.
        return self._known if self._known is not None and self._known.size > head.size else head

    def _parse_row(self, row: Row | None) -> Head:
        if row is None:
            raise damaged("its newest checkpoint is missing")
        head = self.parse(row.checkpoint)
        if head.size != row.size:
            raise damaged("its newest checkpoint has another size than its row says")
        return head

    async def _check_continues(self, known: Head, head: Head) -> None:
        if head.size < known.size:
            raise damaged(f"it has {head.size} events, but {known.size} had been signed")
        if head.size == known.size:
            if head.root != known.root:
                raise damaged(f"two different trees of {head.size} events were signed")
            return
        if known.size == 0:
            return
        proof = await self._checked(self._prover.consistency(known.size, head.size))
        try:
            verify_consistency(known.size, head.size, known.root, head.root, proof)
        except InvalidProof:
            self._refuse(f"the tree of {head.size} events does not continue the tree of {known.size}")

    async def edge(self, head: Head) -> Edge:
        """A tree's right edge, to append to.

        Args:
            head: The head of the tree.

        Raises:
            DataLoss: The tiles do not yield the head's root (``LOG_DAMAGED``).
        """
        edge = await self._edge(head.size)
        if edge.root() != head.root:
            self._refuse("the tiles do not yield the signed root")
        return edge

    async def _edge(self, size: int) -> Edge:
        partial = [
            b"" if tile is None else (await self._checked(self._prover.tile(tile))).hashes for tile in edge_tiles(size)
        ]
        return Edge(size, tuple(partial))

    async def inclusion(self, index: int, leaf: bytes, head: Head) -> list[bytes]:
        """The proof that a leaf is in the log.

        Args:
            index: Its index in the log.
            leaf: Its hash, 32 bytes.
            head: The head to prove it under, with more than ``index`` leaves.

        Raises:
            DataLoss: The leaf, or a tile, is not what was signed (``LOG_DAMAGED``).
        """
        proof = await self._checked(self._prover.inclusion(index, head.size))
        try:
            verify_inclusion(index, head.size, leaf, proof, head.root)
        except InvalidProof:
            self._refuse(f"event {index} or a tile over it is not what was signed")
        return proof

    async def tile(self, tile: Tile, head: Head) -> bytes:
        """The hashes of a tile, after checking that they are in the head's tree.

        Args:
            tile: The tile; not wider than it is in the head's tree.
            head: The head to check it under.

        Raises:
            DataLoss: It is not what was signed (``LOG_DAMAGED``).
        """
        # The path of the first leaf under the tile includes all of its hashes as siblings, except the first hash of
        # each tile on the path: that one is the root of the tile below.
        index = tile.index << TILE_HEIGHT * (tile.level + 1)
        hashes = first = below = b""
        for level in range(tile.level + 1):
            number = tile.index << TILE_HEIGHT * (tile.level - level)
            nodes = await self._checked(self._prover.tile(tile if level == tile.level else Tile(level, number)))
            first = first or nodes.hashes[:HASH_SIZE]
            if level and nodes.hashes[:HASH_SIZE] != below:
                self._refuse("a tile is not what was signed")
            if level < tile.level:
                below = nodes.node(TILE_HEIGHT, 0)
            else:
                hashes = nodes.hashes
        await self.inclusion(index, first, head)
        return hashes

    async def leaf_hashes(self, bundle: int, head: Head) -> bytes:
        """The hashes of the leaves ``[256 bundle, 256 bundle + 256)`` as far as the head has them, 32 bytes each.

        Args:
            bundle: Index of the bundle.
            head: The head to check them under.

        Raises:
            DataLoss: They are not what was signed (``LOG_DAMAGED``).
        """
        return await self.tile(Tile(0, bundle, min(TILE_WIDTH, head.size - bundle * TILE_WIDTH)), head)

    async def consistency(self, first: int, second: int, head: Head) -> list[bytes]:
        """The proof that the tree at one size is a prefix of the tree at a later size.

        Args:
            first: The earlier size, at least 1.
            second: The later size, at most the head's.
            head: The head to check both under.

        Raises:
            DataLoss: A tile is not what was signed (``LOG_DAMAGED``).
        """
        root = head.root if second == head.size else await self._proved_root(second, head)
        proof = await self._checked(self._prover.consistency(first, second))
        try:
            verify_consistency(first, second, await self._proved_root(first, head), root, proof)
        except InvalidProof:
            self._refuse("a tile is not what was signed")
        return proof

    async def _proved_root(self, size: int, head: Head) -> bytes:
        """The log's root at an earlier size, proved under a head."""
        root = (await self._edge(size)).root()
        proof = await self._checked(self._prover.consistency(size, head.size))
        try:
            verify_consistency(size, head.size, root, head.root, proof)
        except InvalidProof:
            self._refuse("a tile is not what was signed")
        return root

    async def _checked(self, reading: Awaitable[_T]) -> _T:
        try:
            return await reading
        except InvalidTile:
            self._refuse("a tile is missing or too short")

    def _refuse(self, why: str) -> NoReturn:
        # The cache may hold what was altered: the next read goes back to the rows.
        self._prover.forget()
        raise damaged(why)


class _Tiles:
    """The tiles of ``audit_tiles``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_tile(self, level: int, index: int, width: int) -> bytes:
        """See ``TileReader``."""
        row = await self._database.fetch_one(store.TILE, level=level, tile_index=index)
        return b"" if row is None else bytes(row.hashes[: width * HASH_SIZE])
