"""The log's Merkle tree as tiles: appending to it, and reading proofs from it (RFC 6962, C2SP ``tlog-tiles``).

Appending needs only the tree's right edge: the partial tile of each level. Proofs need the few tiles that contain their
hashes: one or two per level, and a level is 256 times smaller than the one below.

Invariants:

* Pure: no clock, no database. An ``Edge`` is immutable, so after a transaction that fails the old one is still valid.
* A full tile never changes. A partial tile is a prefix of each wider version of the same tile.
* What is kept in memory does not grow with the log: an edge is at most 8 tiles, the cache is bounded.
* Nothing read is trusted beyond its length. Before serving a proof, the caller checks it against the checkpoint with
  ``zegel.evidence.transparency``, so a tile that was edited in the database is never served.
"""

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, Protocol

from zegel.evidence.tiles import TILE_WIDTH, Tile
from zegel.evidence.transparency import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, InvalidTile, node_hash

TILE_HEIGHT: Final = 8
"""Tree levels that a tile spans: 256 = 2^8 hashes."""
TILE_BYTES: Final = TILE_WIDTH * HASH_SIZE
"""Bytes of a full tile."""
CACHED_TILES: Final = 1024
"""Tiles whose inner nodes a prover caches: 16 KiB each. All but the lowest level of a log of 60 million leaves fit."""


def _parents(row: bytes) -> bytes:
    """Hash each pair of neighbours in a row of 32-byte hashes; a last one without a neighbour is left out."""
    return b"".join(
        [sha256(b"\x01" + row[i : i + 2 * HASH_SIZE]).digest() for i in range(0, len(row) - HASH_SIZE, 2 * HASH_SIZE)]
    )


def _full_root(row: bytes) -> bytes:
    """Return the root over a row of 2^n hashes."""
    while len(row) > HASH_SIZE:
        row = _parents(row)
    return row


# ------------------------------------------------------------------------------------------------------------ appending


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: all that is needed to append to it and to compute its root.

    Args:
        size: Leaves of the tree.
        partial: The partial tile of each level from 0 up, empty if all tiles of the level are full. Its length in
            hashes is ``size // 256**level % 256``.

    Raises:
        InvalidTile: A partial tile does not have the width that a tree of this size gives it.
    """

    size: int = 0
    partial: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        widths = [len(tile) for tile in self.partial]
        if not 0 <= self.size <= MAX_SIZE or widths != [tile.width * HASH_SIZE if tile else 0 for tile in self.tiles()]:
            raise InvalidTile("the partial tiles do not fit a tree of this size")

    def tiles(self) -> Iterator[Tile | None]:
        """Yield the partial tile of each level, or ``None``: what to load, and to pass to the constructor."""
        return edge_tiles(self.size)

    def peaks(self) -> list[bytes]:
        """Return the roots of the full subtrees that the tree consists of, the largest first."""
        peaks: list[bytes] = []
        for tile in reversed(self.partial):
            width, start = len(tile) // HASH_SIZE, 0
            for bit in range(TILE_HEIGHT - 1, -1, -1):
                if width >> bit & 1:
                    end = start + (HASH_SIZE << bit)
                    peaks.append(_full_root(tile[start:end]))
                    start = end
        return peaks

    def root(self) -> bytes:
        """Return the tree's root, 32 bytes."""
        return _fold(self.peaks())


def edge_tiles(size: int) -> Iterator[Tile | None]:
    """Yield the partial tile of each level of a tree, from level 0 up; ``None`` for a level without one."""
    level = 0
    while size:
        width = size % TILE_WIDTH
        size //= TILE_WIDTH
        yield Tile(level, size, width) if width else None
        level += 1


@dataclass(frozen=True, slots=True)
class Appended:
    """The result of appending.

    Args:
        edge: The new edge.
        root: Root of the new tree, 32 bytes.
        tiles: Each tile that is new or wider than before, with its bytes; the last state of each, level by level.
    """

    edge: Edge
    root: bytes
    tiles: tuple[tuple[Tile, bytes], ...]


def append(edge: Edge, leaf_hashes: Sequence[bytes]) -> Appended:
    """Append leaves to a tree.

    Args:
        edge: The tree's right edge.
        leaf_hashes: Hashes of the new leaves, 32 bytes each, in order.

    Raises:
        InvalidTile: A hash is not 32 bytes long, or the tree would be larger than ``MAX_SIZE``.
    """
    if any(len(each) != HASH_SIZE for each in leaf_hashes):
        raise InvalidTile("a leaf hash is not 32 bytes long")
    size = edge.size + len(leaf_hashes)
    tiles: list[tuple[Tile, bytes]] = []
    partial: list[bytes] = []
    added = b"".join(leaf_hashes)
    level = 0
    while added or level < len(edge.partial):
        before = edge.partial[level] if level < len(edge.partial) else b""
        row = before + added
        # Tiles of this level that were already full lie to the left of the row.
        first = edge.size >> TILE_HEIGHT * (level + 1)
        full = len(row) // TILE_BYTES
        roots: list[bytes] = []
        for i in range(full):
            data = row[i * TILE_BYTES : (i + 1) * TILE_BYTES]
            tiles.append((Tile(level, first + i), data))
            roots.append(_full_root(data))
        rest = row[full * TILE_BYTES :]
        if added and rest:
            tiles.append((Tile(level, first + full, len(rest) // HASH_SIZE), rest))
        partial.append(rest)
        added = b"".join(roots)
        level += 1
    after = Edge(size, tuple(partial))
    return Appended(after, after.root(), tuple(tiles))


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Join the roots of full subtrees, the largest first, into the root of them all."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


# --------------------------------------------------------------------------------------------------------------- proofs


class TileReader(Protocol):
    """Where tiles come from. It may be synchronous or asynchronous."""

    def get_tile(self, level: int, index: int, width: int) -> bytes | Awaitable[bytes]:
        """Return the first ``width`` hashes of a tile, 32 bytes each."""


class TileNodes:
    """A tile and the nodes over its hashes, as far as both children are in it. Each row is hashed when first needed.

    Raises:
        InvalidTile: The number of bytes does not match the tile's width.
    """

    __slots__ = ("_rows",)

    def __init__(self, tile: Tile, data: bytes) -> None:
        if len(data) != tile.width * HASH_SIZE:
            raise InvalidTile("a tile is not as wide as it should be")
        self._rows = [data]

    @property
    def hashes(self) -> bytes:
        """The tile's own hashes, 32 bytes each."""
        return self._rows[0]

    def node(self, height: int, index: int) -> bytes:
        """Return the node over the hashes ``[index << height, (index + 1) << height)`` of the tile."""
        while len(self._rows) <= height:
            self._rows.append(_parents(self._rows[-1]))
        return self._rows[height][index * HASH_SIZE : (index + 1) * HASH_SIZE]


@dataclass(frozen=True, slots=True)
class _Node:
    """Where a full subtree's root is: in which tile, how high above its hashes, and which node at that height."""

    tile: Tile
    height: int
    index: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiles that a proof needs, and how its hashes are computed from them.

    Planning is separate from reading, so that all tiles can be requested at once, from any source.
    """

    hashes: tuple[tuple[_Node, ...], ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles to read, each once."""
        return tuple(dict.fromkeys(node.tile for nodes in self.hashes for node in nodes))

    def assemble(self, tiles: Mapping[Tile, TileNodes]) -> list[bytes]:
        """Return the proof's hashes, given its tiles."""
        return [_fold([tiles[node.tile].node(node.height, node.index) for node in nodes]) for nodes in self.hashes]


def plan_inclusion(index: int, size: int) -> Plan:
    """Plan the proof that leaf ``index`` is in the tree of ``size`` leaves (RFC 6962, section 2.1.1).

    Raises:
        ValueError: The tree has no such leaf.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ValueError("the index is not in the tree")
    path: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append((split, end))
            end = split
        else:
            path.append((start, split))
            start = split
    return Plan(tuple(_nodes(*each, size) for each in reversed(path)))


def plan_consistency(old: int, new: int) -> Plan:
    """Plan the proof that the tree of ``old`` leaves is a prefix of that of ``new`` (RFC 6962, section 2.1.2).

    Raises:
        ValueError: Not 1 <= old <= new.
    """
    if not 1 <= old <= new <= MAX_SIZE:
        raise ValueError("the sizes must satisfy 1 <= old <= new")
    path: list[tuple[int, int]] = []
    start, end = 0, new
    while old != end:
        split = start + _split(end - start)
        if old <= split:
            path.append((split, end))
            end = split
        else:
            path.append((start, split))
            start = split
    # What is left is the last full subtree of the old tree. If that is all of it, the verifier has its root already.
    if start:
        path.append((start, end))
    return Plan(tuple(_nodes(*each, new) for each in reversed(path)))


def _split(width: int) -> int:
    """Return the largest power of two smaller than the width, where RFC 6962 splits a tree."""
    return 1 << (width - 1).bit_length() - 1


def _nodes(start: int, end: int, size: int) -> tuple[_Node, ...]:
    """Return where the full subtrees are that make up the leaves ``[start, end)``, from left to right."""
    bounds = [start]
    while bounds[-1] < end:
        bounds.append(bounds[-1] + (1 << (end - bounds[-1]).bit_length() - 1))
    nodes: list[_Node] = []
    for left, right in pairwise(bounds):
        level, height = divmod((right - left).bit_length() - 1, TILE_HEIGHT)
        index, offset = divmod(left >> TILE_HEIGHT * level, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH)
        nodes.append(_Node(Tile(level, index, width), height, offset >> height))
    return tuple(nodes)


class Prover:
    """Reads proofs from tiles, and caches the inner nodes of recently used tiles, which never change.

    For use on one event loop; not thread-safe.

    Args:
        reader: Where tiles come from.
        cached: How many tiles to cache, 16 KiB each.
    """

    def __init__(self, reader: TileReader, cached: int = CACHED_TILES) -> None:
        self._reader = reader
        self._cached = cached
        self._cache: OrderedDict[Tile, TileNodes] = OrderedDict()

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of a leaf, from its sibling upward, 32 bytes a hash.

        Raises:
            ValueError: The tree has no such leaf.
            InvalidTile: A tile's width does not match the tree's size.
        """
        return await self._prove(plan_inclusion(index, size))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof of two sizes, 32 bytes a hash.

        Raises:
            ValueError: Not 1 <= old <= new.
            InvalidTile: A tile's width does not match the tree's size.
        """
        return await self._prove(plan_consistency(old, new))

    async def _prove(self, plan: Plan) -> list[bytes]:
        return plan.assemble({tile: await self.tile(tile) for tile in plan.tiles})

    def forget(self) -> None:
        """Drop all cached tiles, because one of them was found altered."""
        self._cache.clear()

    async def tile(self, tile: Tile) -> TileNodes:
        """Return a tile and the nodes over it, as the proofs use it.

        Raises:
            InvalidTile: The tile's width is wrong.
        """
        if nodes := self._cache.get(tile):
            self._cache.move_to_end(tile)
            return nodes
        data = self._reader.get_tile(tile.level, tile.index, tile.width)
        nodes = TileNodes(tile, await data if inspect.isawaitable(data) else data)
        self._cache[tile] = nodes
        while len(self._cache) > self._cached:
            self._cache.popitem(last=False)
        return nodes
