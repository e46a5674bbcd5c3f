"""A small log for tests, made by the real code, and RFC 6962's definitions to compare it with."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from zegel.evidence.leaves import BARE_HASHES, LEAF_VERSION, DocumentCommitment, LeafFields
from zegel.evidence.note_signing import SignerKey, sign_note
from zegel.evidence.tiles import ENTRIES, TILE_WIDTH, Tile, encode_bundle
from zegel.evidence.transparency import ED25519, HASH_SIZE, Checkpoint, LogProof, leaf_hash
from zegel_server.audit.leaf import compose
from zegel_server.audit.tree import Edge, Plan, TileNodes, append, plan_consistency, plan_inclusion

ORIGIN = "example.com/zegel-log"
KEY = SignerKey(ORIGIN, ED25519, hashlib.sha256(b"the log's key in tests").digest())


def naive_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word for word."""
    if not leaf_hashes:
        return hashlib.sha256(b"").digest()
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    k = 1
    while k * 2 < len(leaf_hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaf_hashes[:k]) + naive_root(leaf_hashes[k:])).digest()


def naive_inclusion(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaf_hashes) == 1:
        return []
    k = 1
    while k * 2 < len(leaf_hashes):
        k *= 2
    if index < k:
        return [*naive_inclusion(index, leaf_hashes[:k]), naive_root(leaf_hashes[k:])]
    return [*naive_inclusion(index - k, leaf_hashes[k:]), naive_root(leaf_hashes[:k])]


def naive_consistency(old: int, leaf_hashes: Sequence[bytes], *, known: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if old == len(leaf_hashes):
        return [] if known else [naive_root(leaf_hashes)]
    k = 1
    while k * 2 < len(leaf_hashes):
        k *= 2
    if old <= k:
        return [*naive_consistency(old, leaf_hashes[:k], known=known), naive_root(leaf_hashes[k:])]
    return [*naive_consistency(old - k, leaf_hashes[k:], known=False), naive_root(leaf_hashes[:k])]


@dataclass
class MadeLog:
    """A log in memory. ``roots`` holds the root of each size at which it stopped."""

    entries: list[bytes] = field(default_factory=list)
    edge: Edge = field(default_factory=Edge)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)

    def add(self, *leaves: bytes) -> None:
        done = append(self.edge, [leaf_hash(leaf) for leaf in leaves])
        self.entries += leaves
        self.edge = done.edge
        self.roots[done.edge.size] = done.root
        self.tiles.update({(tile.level, tile.index): data for tile, data in done.tiles})

    @property
    def size(self) -> int:
        return len(self.entries)

    def get_tile(self, level: int, index: int, width: int) -> bytes:
        return self.tiles[level, index][: width * HASH_SIZE]

    def prove(self, plan: Plan) -> list[bytes]:
        return plan.assemble({t: TileNodes(t, self.get_tile(t.level, t.index, t.width)) for t in plan.tiles})

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return self.prove(plan_inclusion(index, size))

    def consistency(self, old: int, new: int) -> list[bytes]:
        return self.prove(plan_consistency(old, new))

    def checkpoint(self, size: int | None = None, key: SignerKey = KEY) -> bytes:
        size = self.size if size is None else size
        text = Checkpoint(ORIGIN, size, self.roots[size]).format()
        return sign_note(text, key.sign(text))

    def proof(self, index: int, *, extra: bool = False, size: int | None = None) -> LogProof:
        size = self.size if size is None else size
        hashes = tuple(self.inclusion(index, size))
        return LogProof(index, hashes, self.checkpoint(size), self.entries[index] if extra else b"")

    def files(self) -> dict[str, bytes]:
        """What the log serves: paths under its prefix, and bytes."""
        found = {"checkpoint": self.checkpoint()}
        for (level, index), data in self.tiles.items():
            found[Tile(level, index, len(data) // HASH_SIZE).path] = data
        for index in range(-(-self.size // TILE_WIDTH)):
            entries = self.entries[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
            found[Tile(ENTRIES, index, len(entries)).path] = encode_bundle(entries)
        return found


START = datetime(2031, 1, 2, 3, 4, 5, 678900, UTC)


def make_fields(
    seq: int, prev: str | None, *, trail: str = "aud_1", kind: str = "FIELDS_FILLED", bare: bool = False
) -> LeafFields:
    """The fields of a plausible event; with ``bare``, as leaves named documents before there were commitments."""
    hashed = hashlib.sha256(b"document").hexdigest()
    return LeafFields(
        event_id=f"evt_{trail}_{seq}",
        tenant="b5b0ab1e",
        trail=trail,
        seq=seq,
        prev=prev,
        type=kind,
        time=START + timedelta(seconds=seq),
        actor="5af3ac70",
        actor_kind="signer",
        auth="link",
        role="signer",
        policy_version=4,
        documents=(DocumentCommitment("doc_1", 1, hashed, "" if bare else "original"),),
        resource="sig_1",
        personal=hashlib.sha256(b"commitment").hexdigest(),
        version=BARE_HASHES if bare else LEAF_VERSION,
    )


def make_trail(count: int, *, trail: str = "aud_1", bare: bool = False) -> list[bytes]:
    """The chained leaves of a signature request."""
    leaves: list[bytes] = []
    for seq in range(1, count + 1):
        prev = leaf_hash(leaves[-1]).hex() if leaves else None
        leaves.append(compose(make_fields(seq, prev, trail=trail, bare=bare)))
    return leaves
