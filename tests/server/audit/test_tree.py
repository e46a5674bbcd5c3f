"""The tiled tree against RFC 6962's own recursive definition, batch by batch, and its proofs against the verifier."""

import asyncio
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.merkle_log import MadeLog, naive_consistency, naive_inclusion, naive_root
from zegel.evidence.tiles import TILE_WIDTH, Tile
from zegel.evidence.transparency import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_SIZE,
    InvalidProof,
    InvalidTile,
    merkle_root,
    verify_consistency,
    verify_inclusion,
)
from zegel_server.audit.tree import Edge, Prover, append, edge_tiles, plan_consistency, plan_inclusion


def fake_hashes(start: int, count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % i).digest() for i in range(start, start + count)]


class Stored:
    """Tiles as a store keeps them: the widest state of each, and how often one was read."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.edge = Edge()
        self.roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def grow(self, hashes: Sequence[bytes]) -> None:
        done = append(self.edge, hashes)
        for tile, data in done.tiles:
            before = self.tiles.get((tile.level, tile.index), b"")
            assert len(data) == tile.width * HASH_SIZE
            assert data.startswith(before)
            assert data != before
            self.tiles[tile.level, tile.index] = data
        self.hashes += hashes
        self.edge = done.edge
        self.roots[done.edge.size] = done.root

    def get_tile(self, level: int, index: int, width: int) -> bytes:
        self.reads += 1
        return self.tiles[level, index][: width * HASH_SIZE]


class TreeMachine(RuleBasedStateMachine):
    """Grows a tree by batches of odd sizes, and asks for proofs between any two of its states."""

    def __init__(self) -> None:
        super().__init__()
        self.stored = Stored()
        self.prover = Prover(self.stored, cached=3)

    @rule(count=st.one_of(st.integers(0, 5), st.integers(250, 260), st.integers(500, 700)))
    def grow(self, count: int) -> None:
        self.stored.grow(fake_hashes(len(self.stored.hashes), count))

    @rule()
    def reload(self) -> None:
        """A restart: the edge comes back from the tiles alone."""
        size = self.stored.edge.size
        tiles = [self.stored.get_tile(t.level, t.index, t.width) if t else b"" for t in edge_tiles(size)]
        assert Edge(size, tuple(tiles)) == self.stored.edge
        self.stored.edge = Edge(size, tuple(tiles))

    @precondition(lambda self: self.stored.hashes)
    @rule(data=st.data())
    def prove_inclusion(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from([size for size in self.stored.roots if size]))
        index = data.draw(st.integers(0, size - 1))
        proof = asyncio.run(self.prover.inclusion(index, size))
        assert proof == naive_inclusion(index, self.stored.hashes[:size])
        verify_inclusion(index, size, self.stored.hashes[index], proof, self.stored.roots[size])

    @precondition(lambda self: self.stored.hashes)
    @rule(data=st.data())
    def prove_consistency(self, data: st.DataObject) -> None:
        sizes = sorted(size for size in self.stored.roots if size)
        new = data.draw(st.sampled_from(sizes))
        old = data.draw(st.sampled_from([size for size in sizes if size <= new]))
        proof = asyncio.run(self.prover.consistency(old, new))
        assert proof == naive_consistency(old, self.stored.hashes[:new])
        verify_consistency(old, new, self.stored.roots[old], self.stored.roots[new], proof)

    @invariant()
    def root_is_that_of_the_definition(self) -> None:
        size = len(self.stored.hashes)
        assert self.stored.edge.size == size
        assert self.stored.roots[size] == self.stored.edge.root() == merkle_root(self.stored.hashes)

    @invariant()
    def tiles_are_all_there_and_no_wider_than_the_tree(self) -> None:
        widths = {place: len(data) // HASH_SIZE for place, data in self.stored.tiles.items()}
        expected: dict[tuple[int, int], int] = {}
        level, count = 0, len(self.stored.hashes)
        while count:
            expected |= {(level, i): min(TILE_WIDTH, count - i * TILE_WIDTH) for i in range(-(-count // TILE_WIDTH))}
            level, count = level + 1, count // TILE_WIDTH
        assert widths == expected


TreeMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestTree = TreeMachine.TestCase


def test_every_size_up_to_two_tiles_one_leaf_at_a_time() -> None:
    stored = Stored()
    for size in range(1, 2 * TILE_WIDTH + 3):
        stored.grow(fake_hashes(size - 1, 1))
        if size < 40 or size % 32 in {0, 1, 31}:
            assert stored.roots[size] == naive_root(stored.hashes)
    assert stored.roots[2 * TILE_WIDTH + 2] == merkle_root(stored.hashes)


def test_proofs_in_a_tree_of_three_levels_read_few_tiles() -> None:
    stored = Stored()
    size = TILE_WIDTH**2 + 3 * TILE_WIDTH + 7
    stored.grow(fake_hashes(0, size))
    prover = Prover(stored, cached=0)

    async def ask() -> None:
        for index in (0, 255, 256, TILE_WIDTH**2 - 1, TILE_WIDTH**2, size - 8, size - 1):
            stored.reads = 0
            proof = await prover.inclusion(index, size)
            assert stored.reads <= 2 * 3
            verify_inclusion(index, size, stored.hashes[index], proof, stored.roots[size])
        for old in (1, 255, 256, 257, TILE_WIDTH**2 - 1, TILE_WIDTH**2, size - 1, size):
            stored.reads = 0
            proof = await prover.consistency(old, size)
            assert stored.reads <= 2 * 3
            verify_consistency(old, size, merkle_root(stored.hashes[:old]), stored.roots[size], proof)

    asyncio.run(ask())


@given(st.integers(1, MAX_SIZE), st.data())
def test_a_plan_reads_a_number_of_tiles_that_grows_with_the_logarithm(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    levels = -(-size.bit_length() // 8)
    for plan in (plan_inclusion(index, size), plan_consistency(index + 1, size)):
        assert len(plan.tiles) <= 2 * levels
        for tile in plan.tiles:
            # Each tile that is asked for is one that a log of this size has, in its form at this size.
            assert tile.width == min(TILE_WIDTH, (size >> 8 * tile.level) - tile.index * TILE_WIDTH)
            assert tile.width >= 1


def test_the_cache_is_bounded_and_spares_reads() -> None:
    stored = Stored()
    stored.grow(fake_hashes(0, 20 * TILE_WIDTH))
    prover = Prover(stored, cached=4)

    async def ask() -> None:
        first = await prover.inclusion(5, 20 * TILE_WIDTH)
        stored.reads = 0
        assert await prover.inclusion(5, 20 * TILE_WIDTH) == first
        assert stored.reads == 0
        for index in range(0, 20 * TILE_WIDTH, TILE_WIDTH):
            await prover.inclusion(index, 20 * TILE_WIDTH)
        assert len(prover._cache) <= 4

    asyncio.run(ask())


def test_a_reader_may_answer_later() -> None:
    stored = Stored()
    stored.grow(fake_hashes(0, 300))

    class Later:
        async def get_tile(self, level: int, index: int, width: int) -> bytes:
            await asyncio.sleep(0)
            return stored.get_tile(level, index, width)

    proof = asyncio.run(Prover(Later()).inclusion(299, 300))
    verify_inclusion(299, 300, stored.hashes[299], proof, stored.roots[300])


def test_an_edited_tile_yields_a_proof_that_does_not_verify() -> None:
    stored = Stored()
    stored.grow(fake_hashes(0, 300))
    data = bytearray(stored.tiles[0, 0])
    data[40] ^= 1
    stored.tiles[0, 0] = bytes(data)
    proof = asyncio.run(Prover(stored).inclusion(9, 300))
    with pytest.raises(InvalidProof):
        verify_inclusion(9, 300, stored.hashes[9], proof, stored.roots[300])


def test_a_truncated_tile_is_refused() -> None:
    stored = Stored()
    stored.grow(fake_hashes(0, 300))
    stored.tiles[0, 0] = stored.tiles[0, 0][:-1]
    with pytest.raises(InvalidTile):
        asyncio.run(Prover(stored).inclusion(9, 300))


def test_a_failed_append_leaves_the_edge_as_it_was() -> None:
    edge = append(Edge(), fake_hashes(0, 300)).edge
    kept = (edge.size, edge.partial, edge.root())
    with pytest.raises(InvalidTile):
        append(edge, [*fake_hashes(300, 5), b"short"])
    append(edge, fake_hashes(300, 500))
    assert (edge.size, edge.partial, edge.root()) == kept


@pytest.mark.parametrize(
    ("size", "partial"),
    [(1, ()), (0, (b"",)), (1, (bytes(31),)), (2, (bytes(32),)), (256, (b"",)), (1, (bytes(32), b"")), (-1, ())],
)
def test_an_edge_that_does_not_fit_its_size_is_refused(size: int, partial: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidTile):
        Edge(size, partial)


def test_the_largest_tree_grows_no_further() -> None:
    widths = [tile.width if tile else 0 for tile in edge_tiles(MAX_SIZE)]
    edge = Edge(MAX_SIZE, tuple(bytes(width * HASH_SIZE) for width in widths))
    with pytest.raises(InvalidTile):
        append(edge, fake_hashes(0, 1))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 5), (5, 5), (0, 2**63)])
def test_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="index"):
        plan_inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5), (1, 2**63)])
def test_no_proof_between_sizes_out_of_order(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="sizes"):
        plan_consistency(old, new)


def test_the_served_tiles_are_those_of_tlog_tiles_own_example() -> None:
    # "A tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0 tile of width 112, one
    # full level 1 tile, one partial level 1 tile of width 17, and one partial level 2 tile of width 1."
    made = MadeLog()
    made.add(*(b"%d" % i for i in range(70_000)))
    tiles = [Tile(level, index, len(data) // HASH_SIZE) for (level, index), data in made.tiles.items()]
    count = {(level, full): 0 for level in range(3) for full in (True, False)}
    for tile in tiles:
        count[tile.level, tile.width == TILE_WIDTH] += 1
    assert count == {(0, True): 273, (0, False): 1, (1, True): 1, (1, False): 1, (2, True): 0, (2, False): 1}
    assert [tile.width for tile in sorted(tiles) if tile.width < TILE_WIDTH] == [112, 17, 1]
